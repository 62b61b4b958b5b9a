//! Figures, bars, and how they are printed.

use std::error::Error;
use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Run;

pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// A figure, and the bar it has to meet, if there is one.
struct Figure {
    what: String,
    found: String,
    bar: String,
    passed: bool,
}

/// What a scenario found.
#[derive(Default)]
pub struct Verdict {
    figures: Vec<Figure>,
    skipped: Option<String>,
}

impl Verdict {
    /// A scenario that this machine cannot play, and why.
    pub fn skipped(why: impl Into<String>) -> Self {
        Self { figures: Vec::new(), skipped: Some(why.into()) }
    }

    pub fn broken(error: Box<dyn Error + Send + Sync>) -> Self {
        let mut verdict = Self::default();
        verdict.add("the scenario ran to its end", error, "yes", false);
        verdict
    }

    fn add(&mut self, what: &str, found: impl Display, bar: impl Display, passed: bool) {
        let (what, found, bar) = (what.to_owned(), found.to_string(), bar.to_string());
        self.figures.push(Figure { what, found, bar, passed });
    }

    /// A figure without a bar.
    pub fn note(&mut self, what: &str, found: impl Display) {
        self.add(what, found, "", true);
    }

    pub fn exactly<T: PartialEq + Display>(&mut self, what: &str, found: T, bar: T) {
        let passed = found == bar;
        self.add(what, found, bar, passed);
    }

    pub fn at_least<T: PartialOrd + Display>(&mut self, what: &str, found: T, bar: T) {
        let passed = found >= bar;
        self.add(what, found, format!("≥ {bar}"), passed);
    }

    pub fn at_most<T: PartialOrd + Display>(&mut self, what: &str, found: T, bar: T) {
        let passed = found <= bar;
        self.add(what, found, format!("≤ {bar}"), passed);
    }

    /// None of these; the first few are shown.
    pub fn none(&mut self, what: &str, wrong: &[String]) {
        self.exactly(what, wrong.len(), 0);
        wrong.iter().take(5).for_each(|example| self.note("  for example", example));
    }

    /// A duration that may not be longer than `bar`.
    pub fn within(&mut self, what: &str, found: Duration, bar: Duration) {
        self.add(what, seconds(found), format!("≤ {}", seconds(bar)), found <= bar);
    }

    /// Memory that may not be more than `bar`, in MiB.
    pub fn within_mib(&mut self, what: &str, found: u64, bar: u64) {
        self.add(what, format!("{found} MiB"), format!("≤ {bar} MiB"), found <= bar);
    }

    pub fn passed(&self) -> bool {
        self.figures.iter().all(|figure| figure.passed)
    }

    pub fn print(&self, took: Duration) {
        if let Some(why) = &self.skipped {
            println!("  SKIPPED: {why}");
        }
        for Figure { what, found, bar, passed } in &self.figures {
            let mark = if !passed {
                "FAILED"
            } else if bar.is_empty() {
                ""
            } else {
                "ok"
            };
            println!("  {what:52} {found:>14}  {bar:>10}  {mark}");
        }
        println!("  -- {}", seconds(took));
    }
}

pub fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}

/// The middle and the slowest few of some latencies, for a line.
pub fn spread(mut latencies: Vec<Duration>) -> String {
    latencies.sort_unstable();
    let at = |share: usize| latencies.get(latencies.len() * share / 100).or(latencies.last()).copied();
    let text = |it: Option<Duration>| it.map_or("-".to_owned(), |it| format!("{} ms", it.as_millis()));
    format!("p50 {}, p99 {}, max {}", text(at(50)), text(at(99)), text(latencies.last().copied()))
}

/// The results of a whole run.
pub struct Report {
    run: Run,
    verdicts: Vec<(String, Verdict, Duration)>,
}

impl Report {
    pub fn new(run: Run) -> Self {
        Self { run, verdicts: Vec::new() }
    }

    pub fn add(&mut self, name: &str, verdict: Verdict, took: Duration) {
        self.verdicts.push((name.to_owned(), verdict, took));
    }

    pub fn passed(&self) -> bool {
        self.verdicts.iter().all(|(_, verdict, _)| verdict.passed())
    }

    pub fn summary(&self) -> String {
        let failed: Vec<&str> =
            self.verdicts.iter().filter(|(_, verdict, _)| !verdict.passed()).map(|(name, ..)| name.as_str()).collect();
        let took = self.verdicts.iter().map(|(.., took)| *took).sum();
        match failed.as_slice() {
            [] => format!("{} scenarios, no bar missed, {}", self.verdicts.len(), seconds(took)),
            failed => format!("FAILED: {} (repeat with --seed {})", failed.join(", "), self.run.seed),
        }
    }

    pub fn write(&self, file: &Path) -> Result<()> {
        let scenarios = self.verdicts.iter().map(|(name, verdict, took)| {
            let figures = verdict.figures.iter().map(|Figure { what, found, bar, passed }| {
                json!({"figure": what, "found": found, "bar": bar, "passed": passed})
            });
            json!({
                "scenario": name, "passed": verdict.passed(), "skipped": verdict.skipped,
                "seconds": took.as_secs_f64(), "figures": figures.collect::<Vec<Value>>(),
            })
        });
        let report = json!({
            "form": self.run.scaled("long", "short"), "seed": self.run.seed, "scenarios": scenarios.collect::<Vec<Value>>(),
        });
        Ok(std::fs::write(file, serde_json::to_string_pretty(&report)?)?)
    }
}
