//! Where the time goes: what each process takes for a call, and each statement of it.
//!
//! Postgres counts its statements for it (`pg_stat_statements`), which costs a little: it comes last, and no bar is
//! measured here.

use std::fs;

use serde::{Deserialize, Serialize};

use crate::house::House;
use crate::report::Report;
use crate::scenarios::{Bench, PRODUCTS};
use crate::shop::{Operation, Pick};

/// Statements that take more than this share of the time for all are named.
const WORTH_A_LINE: f64 = 0.01;

#[derive(Serialize)]
pub struct Profile {
    pub name: &'static str,
    pub clients: usize,
    pub rate: f64,
    /// Processor time in µs for each call
    pub postgres: f64,
    pub server: f64,
    pub client: f64,
    /// The statements that take most, first
    pub statements: Vec<Statement>,
}

#[derive(Deserialize, Serialize)]
pub struct Statement {
    /// How it begins
    pub text: String,
    pub calls: f64,
    /// µs, for each of its own calls
    pub mean: f64,
    /// µs, of all of its calls
    pub total: f64,
}

pub fn run(bench: &mut Bench, report: &mut Report) {
    let extension = bench.house.try_psql("postgres", &["-c", "CREATE EXTENSION IF NOT EXISTS pg_stat_statements"]);
    if !extension.status.success() {
        bench.progress.println("no profile: this Postgres comes without pg_stat_statements");
        return;
    }
    bench.house.psql("postgres", &["-c", "ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'"]);
    bench.house.restart();
    let reserve = Operation::Reserve { lines: 1, pick: Pick::Uniform(PRODUCTS) };
    let available = Operation::Available { products: 1, of: PRODUCTS };
    // Reads first: reservations leave Postgres something to clean up.
    for (name, operation, clients) in [("A1", &available, 64), ("R1", &reserve, 1), ("R1", &reserve, 64)] {
        bench.progress.set_message(format!("where the time goes: {name}, {clients} clients"));
        bench.load(operation, clients);
        bench.house.psql("postgres", &["-c", "SELECT pg_stat_statements_reset()"]);
        let before = Taken::by(&bench.house);
        let figures = bench.load(operation, clients);
        let taken = Taken::by(&bench.house);
        let calls = figures.rate * bench.time().as_secs_f64();
        report.profile(Profile {
            name,
            clients,
            rate: figures.rate,
            postgres: (taken.postgres - before.postgres) / calls,
            server: (taken.server - before.server) / calls,
            client: (taken.client - before.client) / calls,
            statements: statements(&bench.house),
        });
        bench.progress.inc(2);
    }
}

/// Processor time in µs, so far.
struct Taken {
    postgres: f64,
    server: f64,
    client: f64,
}

impl Taken {
    fn by(house: &House) -> Self {
        let postgres = house.postgres_processes().into_iter().map(processor_time).sum();
        let own = i32::try_from(std::process::id()).expect("a process id");
        Self { postgres, server: processor_time(house.server_process()), client: processor_time(own) }
    }
}

/// Of a process, in µs: of each of its threads (`/proc/*/task/*/schedstat`); nothing of those that have ended.
fn processor_time(process: i32) -> f64 {
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let times = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    });
    times.sum::<f64>() / 1000.0
}

fn statements(house: &House) -> Vec<Statement> {
    let counted = format!(
        "WITH counted AS (
             SELECT left(regexp_replace(query, '\\s+', ' ', 'g'), 80) AS text, calls, mean_exec_time * 1000 AS mean,
                    total_exec_time * 1000 AS total, sum(total_exec_time) OVER () * 1000 AS together
             FROM pg_stat_statements WHERE dbid = (SELECT oid FROM pg_database WHERE datname = 'stockhold')
         )
         SELECT coalesce(json_agg(json_build_object('text', text, 'calls', calls, 'mean', mean, 'total', total)
                                  ORDER BY total DESC), '[]')
         FROM counted WHERE total > {WORTH_A_LINE} * together"
    );
    serde_json::from_str(&house.psql("postgres", &["-c", &counted])).expect("psql prints the JSON that was asked for")
}
