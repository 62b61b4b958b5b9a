//! Natural batching: what is asked for while a batch is under way goes together in the next one.
//!
//! There is no timer. Who comes to an idle lane starts at once; who comes to busy ones waits until one is done with its
//! batch, and goes with all that have come meanwhile, also while the batch was made ready (a transaction begins). So a lone
//! caller pays nothing, and the more there are, the more share the price of a transaction.
//!
//! - **No batch waits for another:** each item names by keys what it needs to itself. While a batch with one of them is
//!   in work, it stays, and so does whoever came after it and needs the same.
//! - **Fair:** of those who share a key, answers are as they would be one by one in the order of arrival. Nobody is overtaken
//!   by who is in his way.
//! - **Bounded:** in the size of a batch, and in how many may wait; beyond that [`Refused::Full`].
//! - **Nothing is half done:** what was taken in is carried out, also when its caller has gone.

use std::collections::{HashSet, VecDeque};
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
    /// How many batches may be in work at once
    pub lanes: usize,
    /// The most items of a batch
    pub batch: usize,
    /// The most items that wait
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

/// What an item needs to itself. It is kept as hashes: who shares one with another waits for him, and that is all.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    hashes: Box<[u64]>,
    gathers: bool,
}

impl Keys {
    pub fn of<K: Hash>(keys: impl IntoIterator<Item = K>) -> Self {
        let hash = |key: K| {
            let mut hasher = DefaultHasher::new();
            key.hash(&mut hasher);
            hasher.finish()
        };
        Self { hashes: keys.into_iter().map(hash).collect(), gathers: false }
    }

    /// For keys that many share: the item goes to the lane of its first key, and with others that do. They would be
    /// in each other's way in different lanes, and one with a few of them would go off again and again.
    pub fn gathered(self) -> Self {
        Self { gathers: true, ..self }
    }

    fn lane(&self, of: usize) -> Option<usize> {
        let of = u64::try_from(of).expect("few");
        let first = self.hashes.first().filter(|_| self.gathers)?;
        Some(usize::try_from(first % of).expect("below the number of lanes"))
    }
}

/// Items that wait for their batch. Clones share the queue.
pub struct Coalescer<T, R>(Arc<Inner<T, R>>);

impl<T, R> Clone for Coalescer<T, R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

struct Inner<T, R> {
    name: &'static str,
    shape: Shape,
    queue: Mutex<Queue<T, R>>,
    ready: Box<Ready<T, R>>,
}

struct Queue<T, R> {
    /// In the order in which they came
    waiting: VecDeque<Waiting<T, R>>,
    /// The keys of the batches in work: each is in one of them
    held: HashSet<u64>,
    lanes: Box<[Lane]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    Idle,
    /// About to take whoever can go
    Taking,
    Working,
}

struct Waiting<T, R> {
    item: T,
    keys: Keys,
    /// The one lane it may go by
    lane: Option<usize>,
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
        let lanes = vec![Lane::Idle; shape.lanes.max(1)].into();
        let queue = Mutex::new(Queue { waiting: VecDeque::new(), held: HashSet::new(), lanes });
        Self(Arc::new(Inner { name, shape, queue, ready: Box::new(ready) }))
    }

    /// Carries out the item with others. It is in no batch beside one with any of its `keys`.
    pub async fn run(&self, keys: Keys, item: T) -> Result<R, Refused> {
        let (answer, answered) = oneshot::channel();
        {
            let mut queue = self.0.queue();
            if queue.waiting.len() >= self.0.shape.waiting {
                return Err(Refused::Full);
            }
            let lane = keys.lane(queue.lanes.len());
            let came = Waiting { item, keys, lane, since: Instant::now(), answer };
            // Whoever else can go is on the way.
            let by = queue.idle_lane(&came).filter(|_| queue.is_free(&came));
            queue.waiting.push_back(came);
            if let Some(lane) = by {
                queue.start(lane, &self.0);
            }
        }
        answered.await.map_err(|_| Refused::Lost)
    }
}

impl<T, R> Inner<T, R> {
    fn queue(&self) -> MutexGuard<'_, Queue<T, R>> {
        self.queue.lock().expect("nobody panics with it")
    }
}

impl<T, R> Queue<T, R> {
    /// A lane to start for an item; none while one that may take it is about to.
    fn idle_lane(&self, it: &Waiting<T, R>) -> Option<usize> {
        let mut lanes = self.lanes.iter().enumerate().filter(|(lane, _)| it.may_go_by(*lane));
        let is_taken = lanes.clone().any(|(_, state)| *state == Lane::Taking);
        lanes.find(|(_, state)| !is_taken && **state == Lane::Idle).map(|(lane, _)| lane)
    }

    /// Whether a lane is idle, and there is somebody for it whom no other is about to take.
    fn has_work(&self, lane: usize) -> bool {
        let is_left = |n: usize| self.idle_lane(&self.waiting[n]).is_some();
        self.lanes[lane] == Lane::Idle && self.free(lane).any(is_left)
    }

    /// Whether nobody is in the way of who comes last.
    fn is_free(&self, last: &Waiting<T, R>) -> bool {
        let keys = &last.keys.hashes;
        let is_wanted = |key| self.waiting.iter().any(|earlier| earlier.keys.hashes.contains(key));
        keys.iter().all(|key| !self.held.contains(key)) && !keys.iter().any(is_wanted)
    }

    /// The places of those who can go by a lane, in the order in which they came: nobody whose keys are in work, or
    /// wanted by somebody who came before him and stays.
    fn free(&self, lane: usize) -> impl Iterator<Item = usize> {
        let mut wanted: HashSet<u64> = HashSet::new();
        let waiting = self.waiting.iter().enumerate();
        waiting.filter_map(move |(n, it)| {
            let keys = &it.keys.hashes;
            if it.may_go_by(lane) && keys.iter().all(|key| !self.held.contains(key) && !wanted.contains(key)) {
                return Some(n);
            }
            wanted.extend(keys);
            None
        })
    }

    fn take(&mut self, lane: usize, most: usize) -> Vec<Waiting<T, R>> {
        let mut places = self.free(lane).take(most).collect::<Vec<_>>().into_iter().peekable();
        let (mut taken, mut left) = (Vec::with_capacity(places.len()), VecDeque::new());
        for (n, it) in self.waiting.drain(..).enumerate() {
            if places.next_if_eq(&n).is_some() {
                taken.push(it);
            } else {
                left.push_back(it);
            }
        }
        self.waiting = left;
        self.held.extend(taken.iter().flat_map(|it| &it.keys.hashes));
        self.lanes[lane] = Lane::Working;
        taken
    }
}

impl<T, R> Waiting<T, R> {
    fn may_go_by(&self, lane: usize) -> bool {
        self.lane.is_none_or(|own| own == lane)
    }
}

impl<T: Send + 'static, R: Send + 'static> Queue<T, R> {
    fn start(&mut self, lane: usize, inner: &Arc<Inner<T, R>>) {
        self.lanes[lane] = Lane::Taking;
        tokio::spawn(drain(inner.clone(), lane));
    }

    /// Starts what is idle and has somebody who can go, now that some have been taken or are done.
    fn start_others(&mut self, inner: &Arc<Inner<T, R>>) {
        for lane in 0..self.lanes.len() {
            if self.has_work(lane) {
                self.start(lane, inner);
            }
        }
    }
}

/// Carries out batches of a lane until nobody can go by it.
async fn drain<T: Send + 'static, R: Send + 'static>(inner: Arc<Inner<T, R>>, lane: usize) {
    loop {
        // Should it panic, its callers are told, and the lane goes on.
        let ready = AssertUnwindSafe((inner.ready)()).catch_unwind().await;
        // Whoever is about to come with the others can do so.
        tokio::task::yield_now().await;
        let batch = {
            let mut queue = inner.queue();
            let batch = queue.take(lane, inner.shape.batch);
            queue.start_others(&inner);
            batch
        };
        let keys: Vec<Keys> = batch.iter().map(|it| it.keys.clone()).collect();
        // Another lane may have taken what this one was started for.
        if let (Ok(work), false) = (ready, batch.is_empty()) {
            carry_out(&inner, work, batch).await;
        }
        let mut queue = inner.queue();
        for key in keys.iter().flat_map(|keys| &keys.hashes) {
            queue.held.remove(key);
        }
        queue.lanes[lane] = Lane::Idle;
        let goes_on = queue.has_work(lane);
        if goes_on {
            queue.lanes[lane] = Lane::Taking;
        }
        queue.start_others(&inner);
        if !goes_on {
            return;
        }
    }
}

async fn carry_out<T: Send, R: Send>(inner: &Inner<T, R>, work: Work<T, R>, batch: Vec<Waiting<T, R>>) {
    metrics::histogram!("stockhold_batch_items", "queue" => inner.name).record(batch.len() as f64);
    let longest = batch.iter().map(|it| it.since).min().map(|since| since.elapsed()).unwrap_or_default();
    metrics::histogram!("stockhold_batch_wait_seconds", "queue" => inner.name).record(longest);
    let (items, answers): (Vec<T>, Vec<_>) = batch.into_iter().map(|it| (it.item, it.answer)).unzip();
    let work = async move { work(items).await }.instrument(tracing::debug_span!("batch", queue = inner.name));
    if let Ok(outcomes) = AssertUnwindSafe(work).catch_unwind().await {
        debug_assert_eq!(outcomes.len(), answers.len(), "every item has its answer");
        for (answer, outcome) in answers.into_iter().zip(outcomes) {
            // Who has gone needs none.
            let _ = answer.send(outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use futures::future::join_all;
    use proptest::prelude::*;
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
            tokio::spawn(async move { queue.run(Keys::default(), n).await })
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
            tokio::spawn(async move { queue.run(Keys::default(), n).await })
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
        assert_eq!(queue.run(Keys::default(), 3).await, Err(Refused::Lost));
        settle().await;
        panics.acquire().await.unwrap().forget();
        assert_eq!(queue.run(Keys::default(), 4).await, Ok(1), "the queue goes on");
    }

    #[tokio::test]
    async fn beyond_its_bound_it_takes_no_more() {
        let gate = Arc::new(Semaphore::new(0));
        let queue = numbered(SHAPE, gate.clone());
        let mut asked = Vec::new();
        for n in 0..9 {
            let queue = queue.clone();
            asked.push(tokio::spawn(async move { queue.run(Keys::default(), n).await }));
            settle().await;
        }
        assert_eq!(queue.run(Keys::default(), 10).now_or_never(), Some(Err(Refused::Full)));
        gate.add_permits(100);
        for (n, asked) in (0..).zip(asked) {
            assert_eq!(asked.await.unwrap().unwrap().0, n);
        }
    }

    #[tokio::test]
    async fn who_is_in_nobodys_way_passes_those_who_wait_for_a_batch() {
        let gate = Arc::new(Semaphore::new(0));
        let queue = numbered(Shape { lanes: 2, ..SHAPE }, gate.clone());
        let mut asked = Vec::new();
        // The first has A; the second waits for it, and the third for the second.
        for (n, keys) in [(0, ["A", "-"]), (1, ["A", "B"]), (2, ["B", "C"]), (3, ["D", "E"])] {
            let queue = queue.clone();
            asked.push(tokio::spawn(async move { queue.run(Keys::of(keys), n).await }));
            settle().await;
        }
        gate.add_permits(3);
        let mut batches = Vec::new();
        for asked in asked {
            batches.push(asked.await.expect("no panic").expect("there is room").1);
        }
        assert_eq!(batches, [vec![0], vec![1, 2], vec![1, 2], vec![3]]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// Whatever is asked for: batches at work share no key, and who shares one with another is served in the order of arrival.
        #[test]
        fn no_batch_waits_for_another_and_nobody_is_overtaken(
            asked in prop::collection::vec((prop::collection::btree_set(0u8..6, 0..4), any::<bool>(), 0usize..4), 1..60),
            lanes in 1usize..4,
            batch in 1usize..6,
        ) {
            let shape = Shape { lanes, batch, waiting: 100 };
            let (at_work, done) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
            let (began, ended) = (at_work.clone(), done.clone());
            let queue = Coalescer::new("test", shape, || async {}.boxed(), move |(), items: Vec<(usize, BTreeSet<u8>)>| {
                let (began, ended) = (began.clone(), ended.clone());
                async move {
                    let keys: BTreeSet<u8> = items.iter().flat_map(|(_, keys)| keys.clone()).collect();
                    let is_free = |others: &BTreeSet<u8>| others.is_disjoint(&keys);
                    let (beside, is_alone) = {
                        let mut began = began.lock().expect("nobody panics with it");
                        let seen = (began.len(), began.iter().all(is_free));
                        began.push(keys.clone());
                        seen
                    };
                    for _ in 0..items[0].0 % 5 {
                        tokio::task::yield_now().await;
                    }
                    let mut began = began.lock().expect("nobody panics with it");
                    let place = began.iter().position(|it| *it == keys).expect("it was added when it began");
                    began.swap_remove(place);
                    ended.lock().expect("nobody panics with it").extend(items.iter().cloned());
                    items.iter().map(|_| beside < lanes && is_alone && items.len() <= batch).collect()
                }
                .boxed()
            });
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime of one thread");
            let answers = runtime.block_on(async {
                let mut answers = Vec::new();
                for (n, (keys, gathers, pause)) in asked.iter().cloned().enumerate() {
                    let (queue, named) = (queue.clone(), Keys::of(&keys));
                    let named = if gathers { named.gathered() } else { named };
                    answers.push(tokio::spawn(async move { queue.run(named, (n, keys)).await }));
                    for _ in 0..pause {
                        tokio::task::yield_now().await;
                    }
                }
                join_all(answers).await
            });
            prop_assert!(answers.into_iter().all(|answer| answer.expect("no panic") == Ok(true)));
            for key in 0..6 {
                let done = done.lock().expect("nobody panics with it");
                let order: Vec<usize> = done.iter().filter(|(_, keys)| keys.contains(&key)).map(|(n, _)| *n).collect();
                prop_assert!(order.is_sorted(), "{key}: {order:?}");
            }
            let queue = queue.0.queue();
            prop_assert!(queue.waiting.is_empty() && queue.held.is_empty() && queue.lanes.iter().all(|lane| *lane == Lane::Idle));
        }
    }

    #[tokio::test]
    async fn who_leaves_is_carried_out_and_a_panic_ends_its_batch_alone() {
        let gate = Arc::new(Semaphore::new(0));
        let queue = numbered(SHAPE, gate.clone());
        let _ = tokio::time::timeout(Duration::from_millis(10), queue.run(Keys::default(), 1)).await;
        assert_eq!(gate.available_permits(), 0);
        gate.add_permits(1);
        settle().await;
        assert_eq!(gate.available_permits(), 0, "the batch of who left went on");
        gate.add_permits(2);
        assert_eq!(queue.run(Keys::default(), 666).await, Err(Refused::Lost));
        assert_eq!(queue.run(Keys::default(), 2).await.map(|(n, _)| n), Ok(2));
    }
}
