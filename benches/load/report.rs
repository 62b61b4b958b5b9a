//! The table with its ratios and bars, the figures as JSON, and plots.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use plotters::prelude::*;
use serde::Serialize;

use crate::Args;
use crate::measure::{Figures, median};
use crate::profile::{Profile, Statement};

/// Around the table, in the page that shows it.
const BEGIN: &str = "<!-- as benches/run measured it -->";
const END: &str = "<!-- until here -->";

#[derive(Default, Serialize)]
pub struct Report {
    seconds: u64,
    runs: usize,
    /// By scenario or limit, and number of clients: a figure of each run
    figures: BTreeMap<String, BTreeMap<usize, Vec<Figures>>>,
    /// Resident memory of the server in MiB: then, and at most so far
    memory: Vec<(String, f64, f64)>,
    start_up: Option<(f64, f64)>,
    expiry: Option<Expiry>,
    growth: Vec<Growth>,
    profiles: Vec<Profile>,
}

/// A shop of G1, in the order in which it grew.
#[derive(Serialize)]
struct Growth {
    shop: String,
    reserved: Vec<Figures>,
    read: Vec<Figures>,
}

impl Growth {
    fn reserved(&self) -> f64 {
        median(self.reserved.iter().map(|figures| figures.rate).collect())
    }

    fn read(&self) -> f64 {
        median(self.read.iter().map(|figures| figures.rate).collect())
    }
}

#[derive(Serialize)]
struct Expiry {
    before: Figures,
    during: Figures,
    /// Seconds after the second in which the holds were due
    free_after: f64,
    /// Seconds until each was also ended and told of
    swept_after: f64,
}

/// A bar of ours: what is measured, against what, and how many times that it should be.
struct Bar {
    name: &'static str,
    value: f64,
    bar: f64,
    at_least: bool,
}

impl Bar {
    fn met(&self) -> &'static str {
        match self.value {
            value if value.is_nan() => "not measured",
            value if (value >= self.bar) == self.at_least => "met",
            _ => "not met",
        }
    }
}

impl Report {
    pub fn new(args: &Args) -> Self {
        Self { seconds: args.seconds, runs: args.runs, ..Self::default() }
    }

    pub fn add(&mut self, name: &str, clients: usize, figures: Figures) {
        self.figures.entry(name.to_owned()).or_default().entry(clients).or_default().push(figures);
    }

    pub fn memory(&mut self, when: &str, (now, most): (f64, f64)) {
        self.memory.retain(|(before, ..)| before != when);
        self.memory.push((when.to_owned(), now, most));
    }

    pub fn start_up(&mut self, cold: Duration, warm: Duration) {
        self.start_up = Some((cold.as_secs_f64(), warm.as_secs_f64()));
    }

    pub fn expiry(&mut self, before: &Figures, during: &Figures, freed: Duration, swept: Duration) {
        let (free_after, swept_after) = (freed.as_secs_f64(), swept.as_secs_f64());
        self.expiry = Some(Expiry { before: before.clone(), during: during.clone(), free_after, swept_after });
    }

    /// One run of each.
    pub fn growth(&mut self, shop: &str, reserved: Figures, read: Figures) {
        match self.growth.iter_mut().find(|growth| growth.shop == shop) {
            Some(growth) => {
                growth.reserved.push(reserved);
                growth.read.push(read);
            }
            None => {
                let (reserved, read) = (vec![reserved], vec![read]);
                self.growth.push(Growth { shop: shop.to_owned(), reserved, read });
            }
        }
    }

    pub fn profile(&mut self, profile: Profile) {
        self.profiles.push(profile);
    }

    fn median(&self, name: &str, clients: usize, of: fn(&Figures) -> f64) -> f64 {
        let figures = self.figures.get(name).and_then(|by| by.get(&clients));
        figures.map_or(f64::NAN, |figures| median(figures.iter().map(of).collect()))
    }

    fn rate(&self, name: &str, clients: usize) -> f64 {
        self.median(name, clients, |figures| figures.rate)
    }

    /// At its best number of clients.
    fn best(&self, name: &str) -> f64 {
        let by = self.figures.get(name).into_iter().flat_map(|by| by.keys());
        by.map(|clients| self.rate(name, *clients)).fold(f64::NAN, f64::max)
    }

    fn bars(&self) -> Vec<Bar> {
        let l3 = |clients| self.median("L3", clients, |figures| figures.p50);
        let least = |name, value, bar| Bar { name, value, bar, at_least: true };
        let most = |name, value, bar| Bar { name, value, bar, at_least: false };
        let idle = self.memory.iter().find(|(when, ..)| when == "idle").map_or(f64::NAN, |(_, now, _)| *now);
        let peak = self.memory.iter().map(|(.., most)| *most).fold(f64::NAN, f64::max);
        let expiry = self.expiry.as_ref();
        let growth = |of: fn(&Growth) -> f64| match self.growth.as_slice() {
            [first, .., last] => of(first) / of(last),
            _ => f64::NAN,
        };
        vec![
            least("R1 at 64, times L1 at its best", self.rate("R1", 64) / self.best("L1"), 2.0),
            least("R2 at 64, times L2 at 32", self.rate("R2", 64) / self.rate("L2", 32), 10.0),
            least("R2 at 64, times R1 at 64", self.rate("R2", 64) / self.rate("R1", 64), 0.9),
            least("R4 at 64, times R1 at 64", self.rate("R4", 64) / self.rate("R1", 64), 0.4),
            least("O1 at 64, times L1 at its best", self.rate("O1", 64) / self.best("L1"), 1.0),
            least("A1 at 64, times L5 at 64", self.rate("A1", 64) / self.rate("L5", 64), 0.5),
            most("p99 of R1 at 8, times the p50 of L3 at 8", self.median("R1", 8, |f| f.p99) / l3(8), 4.0),
            most("p50 of R1 at 1, times the p50 of L3 at 1", self.median("R1", 1, |f| f.p50) / l3(1), 1.5),
            most("E1: all free, seconds after they were due", expiry.map_or(f64::NAN, |e| e.free_after), 1.0),
            least("E1: R3 meanwhile, times R3 before", expiry.map_or(f64::NAN, |e| e.during.rate / e.before.rate), 0.7),
            most("G1: cost of R1 in the largest shop, times that in the smallest", growth(Growth::reserved), 1.3),
            most("G1: cost of A1 in the largest shop, times that in the smallest", growth(Growth::read), 1.3),
            most("memory when idle, MiB", idle, 64.0),
            most("memory at most, MiB", peak, 256.0),
        ]
    }

    /// Markdown.
    pub fn table(&self) -> String {
        let mut text = String::from("| bar | asked for | measured | |\n| --- | --- | --- | --- |\n");
        for bar in self.bars() {
            let sign = if bar.at_least { "≥" } else { "≤" };
            let _ = writeln!(text, "| {} | {sign} {} | {:.2} | {} |", bar.name, bar.bar, bar.value, bar.met());
        }
        let _ = writeln!(
            text,
            "\nMedians of {} runs of {} s (of rates, the least and the most):\n",
            self.runs, self.seconds
        );
        text += "| what | clients | per second | p50 ms | p99 ms | max ms | failed |\n| --- | --- | --- | --- | --- | --- | --- |\n";
        for (name, by) in &self.figures {
            for (clients, figures) in by {
                let rates = || figures.iter().map(|figures| figures.rate);
                let (least, most) = (rates().fold(f64::MAX, f64::min), rates().fold(0.0, f64::max));
                let of = |of: fn(&Figures) -> f64| self.median(name, *clients, of);
                let failed: u64 = figures.iter().map(|figures| figures.failed).sum();
                let _ = writeln!(
                    text,
                    "| {name} | {clients} | {:.0} ({least:.0}–{most:.0}) | {:.2} | {:.2} | {:.1} | {failed} |",
                    self.rate(name, *clients),
                    of(|f| f.p50),
                    of(|f| f.p99),
                    of(|f| f.max)
                );
            }
        }
        self.rest(&mut text);
        text
    }

    fn rest(&self, text: &mut String) {
        if let Some((cold, warm)) = self.start_up {
            let _ = writeln!(
                text,
                "\nS1: ready {cold:.1} s after a first start (which makes the cluster), {warm:.1} s after another."
            );
        }
        if let Some(expiry) = &self.expiry {
            let _ = writeln!(
                text,
                "\nE1: 100,000 holds due within a second: all free {:.2} s after it, each ended and told of after {:.1} s; R3 at \
                 32 clients did {:.0}/s before and {:.0}/s meanwhile.",
                expiry.free_after, expiry.swept_after, expiry.before.rate, expiry.during.rate
            );
        }
        if !self.growth.is_empty() {
            *text += "\n| G1, 64 clients | R1 per second | A1 per second |\n| --- | --- | --- |\n";
            for growth in &self.growth {
                let _ = writeln!(text, "| {} | {:.0} | {:.0} |", growth.shop, growth.reserved(), growth.read());
            }
        }
        self.where_the_time_goes(text);
        *text += "\n| M1: memory after | MiB | at most so far |\n| --- | --- | --- |\n";
        for (when, now, most) in &self.memory {
            let _ = writeln!(text, "| {when} | {now:.0} | {most:.0} |");
        }
    }

    fn where_the_time_goes(&self, text: &mut String) {
        if self.profiles.is_empty() {
            return;
        }
        *text += "\nProcessor time for each call, in µs:\n\n\
                  | what | clients | per second | Postgres | server | client |\n| --- | --- | --- | --- | --- | --- |\n";
        for Profile { name, clients, rate, postgres, server, client, .. } in &self.profiles {
            let _ = writeln!(text, "| {name} | {clients} | {rate:.0} | {postgres:.0} | {server:.0} | {client:.0} |");
        }
        for Profile { name, clients, rate, statements, .. } in &self.profiles {
            let calls = rate * self.seconds as f64;
            let _ = writeln!(
                text,
                "\nStatements, {name} with {clients} clients, executed in µs:\n\n\
                 | statement | calls | each | for each {name} |\n| --- | --- | --- | --- |"
            );
            for Statement { text: sql, calls: own, mean, total } in statements {
                let sql = sql.replace('|', "\\|");
                let _ = writeln!(text, "| `{sql}` | {own:.0} | {mean:.0} | {:.1} |", total / calls);
            }
        }
    }

    /// `results.json`, the plots, and the table: in `DIRECTORY.md`, where that has a place for it, else in `table.md`.
    pub fn write(&self, directory: &Path) {
        fs::create_dir_all(directory).expect("the directory can be made");
        let json = serde_json::to_string_pretty(self).expect("figures are plain data");
        fs::write(directory.join("results.json"), json + "\n").expect("writable");
        let page = directory.with_extension("md");
        let text = fs::read_to_string(&page).unwrap_or_default();
        let ends = (text.split_once(BEGIN), text.split_once(END));
        if let (Some((before, _)), Some((_, after))) = ends {
            fs::write(page, format!("{before}{BEGIN}\n\n{}\n{END}{after}", self.table())).expect("writable");
        } else {
            fs::write(directory.join("table.md"), self.table()).expect("writable");
        }
        let rates = [("R1", "R1"), ("R2", "R2"), ("R4", "R4"), ("O1", "O1"), ("L1", "L1"), ("L2", "L2")];
        self.plot(&directory.join("rates.svg"), "Changes per second by number of clients", &rates, |figures| {
            figures.rate
        });
        let reads = [("A1", "A1"), ("A2", "A2"), ("L5", "L5"), ("L4", "L4")];
        self.plot(&directory.join("reads.svg"), "Reads per second by number of clients", &reads, |figures| {
            figures.rate
        });
        let waits = [("R1", "R1"), ("R2", "R2"), ("O1", "O1"), ("A1", "A1"), ("L3", "L3")];
        self.plot(&directory.join("p99.svg"), "p99 in ms by number of clients", &waits, |figures| figures.p99);
    }

    fn plot(&self, file: &Path, title: &str, lines: &[(&str, &str)], of: fn(&Figures) -> f64) {
        let points = |name: &str| -> Vec<(f64, f64)> {
            let by = self.figures.get(name).into_iter().flatten();
            by.map(|(clients, _)| ((*clients as f64).log2(), self.median(name, *clients, of))).collect()
        };
        let drawn: Vec<(&str, Vec<(f64, f64)>)> = lines.iter().map(|(name, label)| (*label, points(name))).collect();
        let all = || drawn.iter().flat_map(|(_, points)| points);
        let highest = all().map(|(_, y)| *y).fold(0.0, f64::max);
        if highest <= 0.0 {
            return;
        }
        let root = SVGBackend::new(file, (760, 420)).into_drawing_area();
        let draw = || -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
            root.fill(&WHITE)?;
            let mut chart = ChartBuilder::on(&root)
                .caption(title, ("sans-serif", 18))
                .margin(14)
                .x_label_area_size(34)
                .y_label_area_size(64)
                .build_cartesian_2d(0.0..8.3, 0.0..highest * 1.08)?;
            let clients = |x: &f64| format!("{:.0}", x.exp2());
            chart
                .configure_mesh()
                .light_line_style(TRANSPARENT)
                .x_labels(9)
                .x_label_formatter(&clients)
                .x_desc("clients")
                .draw()?;
            for (n, (label, points)) in drawn.iter().enumerate().filter(|(_, (_, points))| !points.is_empty()) {
                let colour = Palette99::pick(n).to_rgba();
                let style = colour.stroke_width(2);
                chart
                    .draw_series(LineSeries::new(points.iter().copied(), style))?
                    .label(*label)
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], style));
                chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, colour.filled())))?;
            }
            chart
                .configure_series_labels()
                .position(SeriesLabelPosition::UpperLeft)
                .border_style(BLACK.mix(0.3))
                .background_style(WHITE.mix(0.8))
                .draw()?;
            root.present()
        };
        draw().expect("a plot can be drawn");
    }
}
