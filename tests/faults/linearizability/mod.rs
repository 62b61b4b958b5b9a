//! Scenario 9, first half: what several clients of two servers saw of one product must be what one client could
//! have seen who made the same calls one by one.

mod checker;
mod product;
mod record;
mod trials;

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;

use crate::Run;
use crate::report::{Result, Verdict};
use crate::stage::{Stage, WAREHOUSE};

use checker::{linearize, once_per_key};
use product::Product;
use record::{History, Recorder};

/// Histories that are recorded at a time.
const TOGETHER: usize = 3;

pub async fn play(run: Run) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    verdict.note("histories made by hand, told apart by the checker", trials::run());
    let mut stage = Stage::new().await?;
    let main = json!({"code": WAREHOUSE, "name": "Main"});
    stage.client()?.insist("POST", "/v1/warehouses", None, Some(&main)).await?.expect(201)?;
    let histories = run.scaled(200, 12);
    let recorder = Recorder::new(&stage)?;
    let recorded = stream::iter(0..histories).map(|n| recorder.record(run.seed, n)).buffer_unordered(TOGETHER);
    let checked = recorded.and_then(async |history| Ok(tokio::task::spawn_blocking(|| check(history)).await?));
    let checked: Vec<Checked> = checked.try_collect().await?;

    let sum = |of: fn(&Checked) -> usize| checked.iter().map(of).sum::<usize>();
    verdict.exactly("histories recorded", checked.len(), histories as usize);
    verdict.note("calls in them", sum(|it| it.calls));
    verdict.note("  of which the client hung up on", sum(|it| it.unknown));
    verdict.note("  of which were the same again, under the same key", sum(|it| it.again));
    let wrong: Vec<String> = checked.iter().filter_map(|it| it.wrong.clone()).collect();
    verdict.none("histories that are not linearizable", &wrong);
    verdict.exactly("the same with one read falsified, and still accepted", sum(|it| it.blind), 0);
    stage.doctor(&mut verdict).await?;
    stage.deadlocks(&mut verdict).await?;
    Ok(verdict)
}

#[derive(Default)]
struct Checked {
    calls: usize,
    unknown: usize,
    again: usize,
    /// Why it is not linearizable
    wrong: Option<String>,
    /// 1 when the checker does not see that a read was falsified
    blind: usize,
}

fn check(history: History) -> Checked {
    let History { sku, calls } = history;
    let (made, lost) = (calls.len(), calls.iter().filter(|it| it.ended.is_none()).count());
    let mut history = match once_per_key(calls) {
        Ok(calls) => History { sku, calls },
        Err(key) => {
            let wrong = Some(format!("{sku}: the answers under the key {key} differ"));
            return Checked { calls: made, wrong, ..Checked::default() };
        }
    };
    let wrong = linearize(Product::default(), &history.calls).err().map(|best| history.tell(&best));
    let again = made - history.calls.len();
    let blind = history.falsify() && linearize(Product::default(), &history.calls).is_ok();
    Checked { calls: made, unknown: lost, again, wrong, blind: usize::from(blind) }
}
