//! Scenario 1: kill -9 of one server after the other, each started again at once.

use std::time::{Duration, Instant};

use crate::Run;
use crate::race::Race;
use crate::report::{Result, Verdict};
use crate::stage::{PATIENCE, Stage};

const BETWEEN_KILLS: Duration = Duration::from_secs(2);

pub async fn play(run: Run) -> Result<Verdict> {
    let mut stage = Stage::new().await?;
    let duration = Duration::from_secs(run.scaled(60, 10));
    let until = Instant::now() + duration;
    let race = Race::start(run, &stage, until).await?;
    let mut kills = 0;
    while Instant::now() + BETWEEN_KILLS < until {
        tokio::time::sleep(BETWEEN_KILLS).await;
        let next = kills % stage.servers.len();
        stage.servers[next].kill();
        stage.start(next)?;
        kills += 1;
        println!("  … kill {kills}, {} requests answered", race.answered());
    }
    for node in &stage.servers {
        node.until_ready(PATIENCE).await?;
    }
    let mut verdict = Verdict::default();
    verdict.note("kills", kills);
    race.finish(&stage, &mut verdict).await?;
    stage.deadlocks(&mut verdict).await?;
    Ok(verdict)
}
