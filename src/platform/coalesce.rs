//! Natural batching: what is asked for while a batch is under way goes together in the next one.
//!
//! Who comes to an idle lane starts at once; who comes to busy ones waits until one is done with its batch, and goes with all
//! that have come meanwhile, also while the batch was made ready (a transaction begins). So a lone caller pays nothing, and
//! the more there are, the more share the price of a transaction.
//!
//! - **Who was answered together asks together again:** the next batch waits a moment (`gather`) until as many are there as
//!   were before, as long as that is not in vain. Who comes just too late would wait for all of a batch that could have
//!   taken him along.
//! - **Few go by one lane:** two small batches at once are in each other's way, and each pays the price of a transaction. What a
//!   batch waits for is nobody else's business, though: after a while (`patience`) others need not wait for it.
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
use std::time::{Duration, Instant};

use futures::future::{BoxFuture, FutureExt};
use tokio::sync::{Notify, oneshot};
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
    /// How many there have to be, waiting or in work, for two batches at once; fewer go one after the other, by whichever lane
    pub crowd: usize,
    /// How long they wait for it
    pub patience: Duration,
    /// How long they wait for those who were answered last
    pub gather: Duration,
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
    /// Nobody is waited for any more
    complete: Notify,
    ready: Box<Ready<T, R>>,
}

struct Queue<T, R> {
    /// In the order in which they came
    waiting: VecDeque<Waiting<T, R>>,
    /// The keys of the batches in work: each is in one of them
    held: HashSet<u64>,
    lanes: Box<[Lane]>,
    /// How many are in a batch
    at_work: usize,
    crowd: usize,
    /// How many there were when a batch was answered last, and when that was
    around: usize,
    answered: Instant,
    gathering: Gathering,
}

/// Whether to wait for who was answered. Pure. Each time in vain that follows another makes twice as many batches go without.
#[derive(Debug, Default)]
struct Gathering {
    vain: u32,
    resting: u32,
}

impl Gathering {
    fn is_worth_it(&mut self) -> bool {
        let rests = self.resting > 0;
        self.resting = self.resting.saturating_sub(1);
        !rests
    }

    fn ended(&mut self, in_vain: bool) {
        self.resting = if in_vain { (1 << self.vain) - 1 } else { 0 };
        self.vain = if in_vain { (self.vain + 1).min(6) } else { 0 };
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    Idle,
    /// About to take whoever can go
    Taking,
    Working,
    /// With a batch that takes long
    Slow,
}

struct Waiting<T, R> {
    item: T,
    keys: Keys,
    /// The one lane it may go by, in a crowd
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
        let queue = Queue {
            waiting: VecDeque::new(),
            held: HashSet::new(),
            lanes,
            at_work: 0,
            crowd: shape.crowd,
            around: 0,
            answered: Instant::now(),
            gathering: Gathering::default(),
        };
        let (queue, complete) = (Mutex::new(queue), Notify::new());
        Self(Arc::new(Inner { name, shape, queue, complete, ready: Box::new(ready) }))
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
            } else if queue.waiting.len() + queue.at_work == queue.crowd {
                queue.start_others(&self.0);
            }
            if !queue.lacks(&self.0.shape) {
                self.0.complete.notify_one();
            }
        }
        answered.await.map_err(|_| Refused::Lost)
    }
}

impl<T, R> Inner<T, R> {
    fn queue(&self) -> MutexGuard<'_, Queue<T, R>> {
        self.queue.lock().expect("nobody panics with it")
    }

    /// Waits for those who were answered last, if they are expected.
    async fn gather(&self) {
        let begins = {
            let mut queue = self.queue();
            let is_just_now = queue.answered.elapsed() < self.shape.gather;
            is_just_now && queue.lacks(&self.shape) && queue.gathering.is_worth_it()
        };
        if begins {
            let all = async {
                while self.queue().lacks(&self.shape) {
                    self.complete.notified().await;
                }
            };
            let is_in_vain = tokio::time::timeout(self.shape.gather, all).await.is_err();
            self.queue().gathering.ended(is_in_vain);
        }
    }
}

impl<T, R> Queue<T, R> {
    /// A lane to start for an item; none while one that may take it is about to.
    fn idle_lane(&self, it: &Waiting<T, R>) -> Option<usize> {
        if self.is_few() && self.lanes.iter().any(|state| matches!(state, Lane::Taking | Lane::Working)) {
            return None;
        }
        let mut lanes = self.lanes.iter().enumerate().filter(|(lane, _)| self.may_go(it, *lane));
        let is_taken = lanes.clone().any(|(_, state)| *state == Lane::Taking);
        lanes.find(|(_, state)| !is_taken && **state == Lane::Idle).map(|(lane, _)| lane)
    }

    /// Whether somebody waits, and fewer do than were there before.
    fn lacks(&self, shape: &Shape) -> bool {
        self.is_few() && !self.waiting.is_empty() && self.waiting.len() < self.around.min(shape.batch)
    }

    fn is_few(&self) -> bool {
        self.waiting.len() + self.at_work < self.crowd
    }

    fn may_go(&self, it: &Waiting<T, R>, lane: usize) -> bool {
        self.is_few() || it.lane.is_none_or(|own| own == lane)
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
            if self.may_go(it, lane) && keys.iter().all(|key| !self.held.contains(key) && !wanted.contains(key)) {
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
        self.at_work += taken.len();
        taken
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
        inner.gather().await;
        let batch = {
            let mut queue = inner.queue();
            let batch = queue.take(lane, inner.shape.batch);
            queue.start_others(&inner);
            if !queue.lacks(&inner.shape) {
                inner.complete.notify_one();
            }
            batch
        };
        let keys: Vec<Keys> = batch.iter().map(|it| it.keys.clone()).collect();
        // Another lane may have taken what this one was started for.
        if let (Ok(work), false) = (ready, batch.is_empty()) {
            let mut work = std::pin::pin!(carry_out(&inner, work, batch));
            if tokio::time::timeout(inner.shape.patience, &mut work).await.is_err() {
                {
                    let mut queue = inner.queue();
                    queue.lanes[lane] = Lane::Slow;
                    queue.start_others(&inner);
                }
                work.await;
            }
        }
        let mut queue = inner.queue();
        for key in keys.iter().flat_map(|keys| &keys.hashes) {
            queue.held.remove(key);
        }
        queue.lanes[lane] = Lane::Idle;
        queue.at_work -= keys.len();
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
        {
            let mut queue = inner.queue();
            (queue.around, queue.answered) = (answers.len() + queue.waiting.len(), Instant::now());
        }
        for (answer, outcome) in answers.into_iter().zip(outcomes) {
            // Who has gone needs none.
            let _ = answer.send(outcome);
        }
    }
}

#[cfg(test)]
mod tests;
