//! Natural batching: what is asked for while a batch is under way goes together in the next one.
//!
//! There is no timer. Who comes to an idle lane starts at once; who comes to a busy one waits for the batch in work and
//! goes with all that have come meanwhile, also while the batch was made ready (a transaction begins). So a lone caller
//! pays nothing, and the more there are, the more share the price of a transaction.
//!
//! - **Fair:** a lane serves in the order of arrival, and answers are as they would be one by one in that order.
//! - **Bounded:** in the size of a batch, and in how many may wait; beyond that [`Refused::Full`].
//! - **Nothing is half done:** what was taken in is carried out, also when its caller has gone.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use futures::future::{BoxFuture, FutureExt};
use tokio::sync::oneshot;
use tracing::Instrument;

/// Makes ready for a batch.
type Ready<T, R> = dyn Fn() -> BoxFuture<'static, Work<T, R>> + Send + Sync;

/// Carries it out: an answer for each item, in their order.
type Work<T, R> = Box<dyn FnOnce(Vec<T>) -> BoxFuture<'static, Vec<R>> + Send>;

/// The size of things.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// How many batches may be in work at once. Items that belong together should go to one lane
    pub lanes: usize,
    /// The most items of a batch
    pub batch: usize,
    /// The most items that wait in a lane
    pub waiting: usize,
}

/// Why an item has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("too many are waiting already")]
    Full,
    #[error("the batch was not carried out")]
    Lost,
}

/// Lanes of items that wait for their batch. Clones share the lanes.
pub struct Coalescer<T, R>(Arc<Inner<T, R>>);

impl<T, R> Clone for Coalescer<T, R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

struct Inner<T, R> {
    name: &'static str,
    shape: Shape,
    lanes: Box<[Mutex<Lane<T, R>>]>,
    ready: Box<Ready<T, R>>,
}

struct Lane<T, R> {
    waiting: VecDeque<Waiting<T, R>>,
    /// Somebody carries out batches of this lane until nobody waits
    busy: bool,
}

struct Waiting<T, R> {
    item: T,
    since: Instant,
    answer: oneshot::Sender<R>,
}

impl<T: Send + 'static, R: Send + 'static> Coalescer<T, R> {
    /// `name` stands in the metrics `stockhold_batch_items` and `stockhold_batch_wait_seconds`. What comes while `ready`
    /// is made goes along.
    pub fn new<P, F, W>(name: &'static str, shape: Shape, ready: F, work: W) -> Self
    where
        P: Send + 'static,
        F: Fn() -> BoxFuture<'static, P> + Send + Sync + 'static,
        W: Fn(P, Vec<T>) -> BoxFuture<'static, Vec<R>> + Send + Sync + 'static,
    {
        let work = Arc::new(work);
        let ready = move || {
            let (ready, work) = (ready(), work.clone());
            async move {
                let ready = ready.await;
                let work: Work<T, R> = Box::new(move |items| work(ready, items));
                work
            }
            .boxed()
        };
        let lane = || Mutex::new(Lane { waiting: VecDeque::new(), busy: false });
        let lanes = (0..shape.lanes.max(1)).map(|_| lane()).collect();
        Self(Arc::new(Inner { name, shape, lanes, ready: Box::new(ready) }))
    }

    /// Carries out the item with others of its lane, which `key` picks.
    pub async fn run(&self, key: &impl Hash, item: T) -> Result<R, Refused> {
        let lane = self.0.lane_of(key);
        let (answer, answered) = oneshot::channel();
        {
            let mut state = self.0.lock(lane);
            if state.waiting.len() >= self.0.shape.waiting {
                return Err(Refused::Full);
            }
            state.waiting.push_back(Waiting { item, since: Instant::now(), answer });
            if !state.busy {
                state.busy = true;
                tokio::spawn(drain(self.0.clone(), lane));
            }
        }
        answered.await.map_err(|_| Refused::Lost)
    }
}

impl<T, R> Inner<T, R> {
    /// The same key goes to the same lane in every process of one build, which nothing depends on.
    fn lane_of(&self, key: &impl Hash) -> usize {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let lanes = u64::try_from(self.lanes.len()).expect("few");
        usize::try_from(hasher.finish() % lanes).expect("below the number of lanes")
    }

    fn lock(&self, lane: usize) -> MutexGuard<'_, Lane<T, R>> {
        self.lanes[lane].lock().expect("nobody panics with it")
    }

    /// Whether anybody waits; if not, the lane is idle.
    fn goes_on(&self, lane: usize) -> bool {
        let mut state = self.lock(lane);
        state.busy = !state.waiting.is_empty();
        state.busy
    }

    fn take(&self, lane: usize) -> Vec<Waiting<T, R>> {
        let mut state = self.lock(lane);
        let size = state.waiting.len().min(self.shape.batch);
        state.waiting.drain(..size).collect()
    }
}

/// Carries out batches until nobody waits.
async fn drain<T: Send + 'static, R: Send + 'static>(inner: Arc<Inner<T, R>>, lane: usize) {
    while inner.goes_on(lane) {
        // Should one panic, its callers are told, and the lane goes on.
        let ready = AssertUnwindSafe((inner.ready)()).catch_unwind().await;
        // Whoever is about to come with the others can do so.
        tokio::task::yield_now().await;
        let batch = inner.take(lane);
        let Ok(work) = ready else { continue };
        metrics::histogram!("stockhold_batch_items", "queue" => inner.name).record(batch.len() as f64);
        let longest = batch.first().map(|first| first.since.elapsed()).unwrap_or_default();
        metrics::histogram!("stockhold_batch_wait_seconds", "queue" => inner.name).record(longest);
        let (items, answers): (Vec<T>, Vec<_>) = batch.into_iter().map(|w| (w.item, w.answer)).unzip();
        let work = work(items).instrument(tracing::debug_span!("batch", queue = inner.name, lane));
        if let Ok(outcomes) = AssertUnwindSafe(work).catch_unwind().await {
            debug_assert_eq!(outcomes.len(), answers.len(), "every item has its answer");
            for (answer, outcome) in answers.into_iter().zip(outcomes) {
                // Who has gone needs none.
                let _ = answer.send(outcome);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::future::join_all;
    use tokio::sync::Semaphore;

    use super::*;

    const SHAPE: Shape = Shape { lanes: 1, batch: 4, waiting: 8 };

    /// Answers each item with itself and the batch it was in; goes on when `gate` lets it.
    fn numbered(shape: Shape, gate: Arc<Semaphore>) -> Coalescer<u32, (u32, Vec<u32>)> {
        Coalescer::new(
            "test",
            shape,
            || async {}.boxed(),
            move |(), items: Vec<u32>| {
                let gate = gate.clone();
                async move {
                    gate.acquire().await.expect("never closed").forget();
                    assert!(!items.contains(&666), "an item that brings its batch down");
                    items.iter().map(|item| (*item, items.clone())).collect()
                }
                .boxed()
            },
        )
    }

    async fn settle() {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn who_comes_meanwhile_goes_together_in_order_and_bounded() {
        let gate = Arc::new(Semaphore::new(0));
        let queue = numbered(SHAPE, gate.clone());
        let ask = |n: u32| {
            let queue = queue.clone();
            tokio::spawn(async move { queue.run(&(), n).await })
        };
        let first = ask(0);
        settle().await;
        let others: Vec<_> = (1..7).map(ask).collect();
        settle().await;
        gate.add_permits(3);
        let answers: Vec<_> = join_all([first].into_iter().chain(others)).await;
        let batches: Vec<(u32, Vec<u32>)> = answers.into_iter().map(|a| a.unwrap().unwrap()).collect();
        assert_eq!(batches[0], (0, vec![0]));
        (1..5).for_each(|n| assert_eq!(batches[n as usize], (n, vec![1, 2, 3, 4])));
        (5..7).for_each(|n| assert_eq!(batches[n as usize], (n, vec![5, 6])));
    }

    #[tokio::test]
    async fn who_comes_while_a_batch_is_made_ready_goes_along() {
        let gate = Arc::new(Semaphore::new(0));
        let (opens, panics) = (gate.clone(), Arc::new(Semaphore::new(0)));
        let fails = panics.clone();
        let ready = move || {
            let (gate, fails) = (opens.clone(), fails.clone());
            async move {
                gate.acquire().await.expect("never closed").forget();
                assert!(fails.try_acquire().is_err(), "it cannot be made ready");
            }
            .boxed()
        };
        let work = |(), items: Vec<u32>| async move { vec![items.len(); items.len()] }.boxed();
        let queue = Coalescer::new("test", SHAPE, ready, work);
        let ask = |n: u32| {
            let queue = queue.clone();
            tokio::spawn(async move { queue.run(&(), n).await })
        };
        let mut asked = Vec::new();
        for n in 0..3 {
            asked.push(ask(n));
            settle().await;
        }
        gate.add_permits(1);
        assert!(join_all(asked).await.into_iter().all(|answer| answer.unwrap() == Ok(3)));
        panics.add_permits(1);
        gate.add_permits(2);
        assert_eq!(queue.run(&(), 3).await, Err(Refused::Lost));
        settle().await;
        panics.acquire().await.unwrap().forget();
        assert_eq!(queue.run(&(), 4).await, Ok(1), "the lane goes on");
    }

    #[tokio::test]
    async fn beyond_its_bound_a_lane_takes_no_more_and_others_do() {
        let gate = Arc::new(Semaphore::new(0));
        let queue = numbered(Shape { lanes: 64, ..SHAPE }, gate.clone());
        let mut asked = Vec::new();
        for n in 0..9 {
            let queue = queue.clone();
            asked.push(tokio::spawn(async move { queue.run(&"one", n).await }));
            settle().await;
        }
        assert_eq!(queue.run(&"one", 10).now_or_never(), Some(Err(Refused::Full)));
        let elsewhere = (0..64).find(|key| queue.0.lane_of(key) != queue.0.lane_of(&"one")).expect("64 lanes");
        assert_eq!(queue.run(&elsewhere, 11).now_or_never(), None, "it waits for its batch alone");
        gate.add_permits(100);
        for (n, asked) in (0..).zip(asked) {
            assert_eq!(asked.await.unwrap().unwrap().0, n);
        }
    }

    #[tokio::test]
    async fn who_leaves_is_carried_out_and_a_panic_ends_its_batch_alone() {
        let gate = Arc::new(Semaphore::new(0));
        let queue = numbered(SHAPE, gate.clone());
        let _ = tokio::time::timeout(Duration::from_millis(10), queue.run(&(), 1)).await;
        assert_eq!(gate.available_permits(), 0);
        gate.add_permits(1);
        settle().await;
        assert_eq!(gate.available_permits(), 0, "the batch of who left went on");
        gate.add_permits(2);
        assert_eq!(queue.run(&(), 666).await, Err(Refused::Lost));
        assert_eq!(queue.run(&(), 2).await.map(|(n, _)| n), Ok(2));
    }
}
