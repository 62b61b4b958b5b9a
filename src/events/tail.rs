//! The end of the feed, read once per process for all who follow it live.
//!
//! A worker looks for news every [`PAUSE`] while anybody follows, and hands each burst of them to all, a [`SLICE`] of the
//! readers at a time. The text of its events is written once; what a filter picks of it, and that in gzip, is made once for
//! all who filter so, and what was wanted of the last burst before anybody waits for it. Who falls behind by more than
//! [`BURSTS`] loses its place, and has to begin again where it was; nothing is kept for it.

use std::array;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Mutex, broadcast};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use super::{Cursor, Events, Filter, PublishedEvent, WINDOW, repo};
use crate::platform::gzip::Packed;

/// Between two looks.
pub const PAUSE: Duration = Duration::from_millis(40);

/// From one burst to the next, for each reader, though not beyond [`LONGEST_REST`]: several times what it takes to hand one
/// on, so that a thousand readers leave most of the processors to those who write.
const REST: Duration = Duration::from_micros(400);
const LONGEST_REST: Duration = Duration::from_millis(400);

/// How many readers are woken at once, and what the others are let go first for: a request is behind few readers then,
/// each time that it has waited for the database.
const SLICE: usize = 32;
const BREATH: Duration = Duration::from_millis(1);

/// Readers come into one of so many groups, in turn. A slice is made of whole ones.
const GROUPS: usize = 64;

/// What a slow reader may be behind, in bursts.
const BURSTS: usize = 64;

/// Of how many filters a burst keeps what they want; of others it is picked for each reader. It bounds what a slow reader,
/// who keeps bursts, keeps with them.
const SHARED: usize = 8;

/// While nobody follows, the horizon is looked at this often, so that it is known when something holds the feed back.
const WATCH: Duration = Duration::from_secs(1);

/// From here on, what holds the feed back is told to the operator, and again after a while.
const ALARM: Duration = Duration::from_secs(3);
const REMIND: Duration = Duration::from_secs(60);

pub struct Tail {
    groups: [broadcast::Sender<Arc<Burst>>; GROUPS],
    /// How many came so far
    came: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How far was read; `None` when nobody followed the last time
    position: Option<i64>,
    watched: Option<Instant>,
    /// When the last burst was sent
    told: Option<Instant>,
    last: Option<Arc<Burst>>,
    alarmed: Option<Instant>,
}

impl Default for Tail {
    fn default() -> Self {
        let groups = array::from_fn(|_| broadcast::Sender::new(BURSTS));
        Self { groups, came: AtomicUsize::default(), state: Mutex::default() }
    }
}

impl Tail {
    fn join(&self) -> broadcast::Receiver<Arc<Burst>> {
        self.groups[self.came.fetch_add(1, Ordering::Relaxed) % GROUPS].subscribe()
    }

    fn readers(&self) -> usize {
        self.groups.iter().map(broadcast::Sender::receiver_count).sum()
    }

    async fn hand_on(&self, burst: Arc<Burst>) {
        let mut woken = 0;
        for group in &self.groups {
            let readers = group.receiver_count();
            if woken > 0 && woken + readers > SLICE {
                sleep(BREATH).await;
                woken = 0;
            }
            // Nobody may be left who listens.
            let _ = group.send(burst.clone());
            woken += readers;
        }
    }
}

/// Events that became final together.
pub struct Burst {
    /// They come after this position,
    pub from: i64,
    /// and with them all is known up to this one
    pub to: i64,
    events: Vec<(PublishedEvent, Range<usize>)>,
    /// As Server-Sent Events
    text: Bytes,
    /// What readers will want, as of the last burst
    ready: Vec<(Filter, Arc<Piece>)>,
    /// What they wanted
    shared: std::sync::Mutex<Vec<(Filter, Arc<Piece>)>>,
}

/// A text for readers, as they take it.
#[derive(Default)]
pub struct Piece {
    pub text: Bytes,
    packed: OnceLock<Packed>,
    is_wanted_packed: AtomicBool,
}

impl Piece {
    /// In gzip.
    pub fn packed(&self) -> &Packed {
        self.is_wanted_packed.store(true, Ordering::Relaxed);
        self.pack()
    }

    fn pack(&self) -> &Packed {
        self.packed.get_or_init(|| Packed::new(&self.text))
    }
}

impl<T: Into<Bytes>> From<T> for Piece {
    fn from(text: T) -> Self {
        Self { text: text.into(), ..Self::default() }
    }
}

impl Burst {
    fn new(from: i64, to: i64, feed: i64, events: Vec<PublishedEvent>) -> Self {
        let mut text = Vec::new();
        let mut shown = Vec::with_capacity(events.len());
        for event in events {
            let begin = text.len();
            show(&event, feed, &mut text);
            shown.push((event, begin..text.len()));
        }
        Self { from, to, events: shown, text: text.into(), ready: Vec::new(), shared: std::sync::Mutex::default() }
    }

    /// What a filter wants of it, after a position.
    pub fn wanted(&self, filter: &Filter, after: i64) -> Arc<Piece> {
        if after > self.from {
            return Arc::new(self.pick(filter, after).into());
        }
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |pieces: &[(Filter, Arc<Piece>)]| {
            pieces.iter().find(|(other, _)| other == filter).map(|(_, piece)| piece.clone())
        };
        if let Some(piece) = of(&shared) {
            return piece;
        }
        let piece = of(&self.ready).unwrap_or_else(|| Arc::new(self.pick(filter, after).into()));
        if shared.len() < SHARED {
            shared.push((filter.clone(), piece.clone()));
        }
        piece
    }

    /// Makes what was wanted of the last burst.
    fn prepare(&mut self, last: &Self) {
        let wanted = last.shared.lock().unwrap_or_else(PoisonError::into_inner);
        for (filter, piece) in wanted.iter() {
            let own = Piece::from(self.pick(filter, self.from));
            if piece.is_wanted_packed.load(Ordering::Relaxed) {
                own.pack();
            }
            self.ready.push((filter.clone(), own.into()));
        }
    }

    fn pick(&self, filter: &Filter, after: i64) -> Bytes {
        if filter.is_open() && after <= self.from {
            return self.text.clone();
        }
        let wanted = self.events.iter().filter(|(event, _)| event.position > after && filter.wants(event));
        let parts: Vec<&[u8]> = wanted.map(|(_, range)| &self.text[range.clone()]).collect();
        parts.concat().into()
    }
}

/// Tells who reads from the feed when to look again; see [`Events::news`].
pub struct News(broadcast::Receiver<Arc<Burst>>);

impl News {
    /// Returns when there may be something after a position.
    pub async fn after(&mut self, position: i64) {
        // Who missed a burst looks as well.
        while self.0.recv().await.is_ok_and(|burst| burst.to <= position) {}
    }
}

/// An event as a Server-Sent Event (WHATWG HTML, 9.2): its id is the cursor after it.
pub fn show(event: &PublishedEvent, feed: i64, text: &mut Vec<u8>) {
    text.extend_from_slice(b"id: ");
    text.extend_from_slice(Cursor { feed, position: event.position }.encode().as_bytes());
    text.extend_from_slice(b"\ndata: ");
    serde_json::to_writer(&mut *text, event).expect("events are plain data, and memory takes all");
    text.extend_from_slice(b"\n\n");
}

impl Events {
    /// What comes from now on; whoever misses the end of what was before reads it from the feed.
    pub(super) fn listen(&self) -> broadcast::Receiver<Arc<Burst>> {
        self.tail.join()
    }

    /// News from now on, for who reads from the feed and then waits for more.
    pub fn news(&self) -> News {
        News(self.listen())
    }

    /// One look for news, for the worker. Says whether there is more.
    pub async fn follow(&self) -> sqlx::Result<bool> {
        let mut state = self.tail.state.lock().await;
        let readers = self.tail.readers();
        let is_followed = readers > 0;
        let rest = (REST * u32::try_from(readers).unwrap_or(u32::MAX)).min(LONGEST_REST);
        if state.told.is_some_and(|at| at.elapsed() < rest) {
            return Ok(false);
        }
        if !is_followed {
            (state.position, state.last) = (None, None);
            if state.watched.is_some_and(|at| at.elapsed() < WATCH) {
                return Ok(false);
            }
        }
        state.watched = Some(Instant::now());
        let horizon = self.position_now().await?;
        self.watch_lag(&mut state).await?;
        let begins = state.position.is_none();
        let from = *state.position.get_or_insert(horizon);
        if !is_followed {
            state.position = None;
            return Ok(false);
        }
        let feed = self.cursor_at(from).await?.feed;
        if from >= horizon {
            // Who came before the tail began may have missed what was just before that, and is to look.
            if begins {
                self.tail.hand_on(Arc::new(Burst::new(from, from, feed, Vec::new()))).await;
            }
            return Ok(false);
        }
        let events = repo::read(&mut *self.db.conn().await?, from, horizon, WINDOW).await?;
        let more = i64::try_from(events.len()).is_ok_and(|n| n == WINDOW);
        let to = events.last().filter(|_| more).map_or(horizon, |last| last.position);
        let last = state.last.take();
        // It takes a processor for milliseconds: not on a thread that others wait for.
        let made = spawn_blocking(move || {
            let mut burst = Burst::new(from, to, feed, events);
            last.iter().for_each(|last| burst.prepare(last));
            Arc::new(burst)
        });
        let burst = made.await.map_err(io::Error::from)?;
        // What is behind goes on at once.
        (state.position, state.told) = (Some(to), (!more).then(Instant::now));
        state.last = Some(burst.clone());
        self.tail.hand_on(burst).await;
        Ok(more)
    }

    async fn watch_lag(&self, state: &mut State) -> sqlx::Result<()> {
        let lag = self.horizon.lag().await;
        metrics::gauge!("stockhold_feed_lag_seconds").set(lag.as_secs_f64());
        if lag < ALARM {
            state.alarmed = None;
        } else if state.alarmed.is_none_or(|at| at.elapsed() >= REMIND) {
            state.alarmed = Some(Instant::now());
            let holders = repo::holders(&mut *self.db.conn().await?).await?.join("; ");
            tracing::warn!(
                seconds = lag.as_secs(),
                %holders,
                "the event feed waits for a transaction that does not end; nothing is lost. Commit it, or end it: SELECT \
                 pg_terminate_backend(<process>)"
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::events::FilterQuery;

    #[test]
    fn a_burst_gives_each_what_it_wants() {
        let event = |position, r#type| PublishedEvent {
            position,
            ..PublishedEvent::for_test(r#type, "products/A", json!({"text": "two\nlines"}))
        };
        let burst = Burst::new(4, 9, 1, vec![event(5, "a"), event(7, "b")]);
        let wanted = |filter: &Filter, after| burst.wanted(filter, after).text.clone();
        let all = wanted(&Filter::default(), 4);
        let text = std::str::from_utf8(&all).unwrap();
        assert_eq!(text.matches("\n\n").count(), 2, "an event ends with an empty line: {text}");
        assert_eq!(text.matches("data: ").count(), 2, "and has one line of data");
        let only = Filter::from(FilterQuery { r#type: Some("b".to_owned()), ..FilterQuery::default() });
        assert!(text.ends_with(std::str::from_utf8(&wanted(&only, 4)).unwrap()));
        assert_eq!(wanted(&Filter::default(), 5), wanted(&only, 4), "what was read is not told again");
        assert!(wanted(&only, 7).is_empty());
    }

    #[test]
    fn what_was_wanted_of_the_last_burst_is_ready() {
        let event = || PublishedEvent { position: 5, ..PublishedEvent::for_test("a", "products/A", json!({})) };
        let [last, mut next, mut third] = [(); 3].map(|()| Burst::new(4, 5, 1, vec![event()]));
        let other = Filter { subjects: vec!["products/B".to_owned()], ..Filter::default() };
        last.wanted(&Filter::default(), 4).packed();
        last.wanted(&other, 4);
        next.prepare(&last);
        let is_packed = |piece: &Piece| piece.packed.get().is_some();
        assert!(is_packed(&next.wanted(&Filter::default(), 4)));
        assert!(!is_packed(&next.wanted(&other, 4)));
        assert!(Arc::ptr_eq(&next.wanted(&other, 4), &next.ready[1].1));
        third.prepare(&next);
        assert!(!is_packed(&third.ready[0].1), "nobody took it packed any more");
        let unwanted = Burst::new(4, 5, 1, Vec::new());
        third.prepare(&unwanted);
        assert_eq!(third.ready.len(), 2, "nobody wanted anything of that one");
    }

    #[tokio::test]
    async fn a_burst_comes_to_all_and_to_few_at_once() {
        let tail = Tail::default();
        let readers: Vec<_> = (0..3 * SLICE).map(|_| tail.join()).collect();
        assert_eq!(tail.readers(), readers.len());
        let reached = || readers.iter().filter(|reader| !reader.is_empty()).count();
        let mut handing = std::pin::pin!(tail.hand_on(Arc::new(Burst::new(4, 5, 1, Vec::new()))));
        assert!(futures::poll!(handing.as_mut()).is_pending());
        assert_eq!(reached(), SLICE);
        handing.await;
        assert_eq!(reached(), readers.len());
    }

    #[test]
    fn what_many_want_is_picked_once_and_few_kinds_of_it_are_kept() {
        let event = PublishedEvent { position: 5, ..PublishedEvent::for_test("a", "products/A", json!({})) };
        let burst = Burst::new(4, 5, 1, vec![event]);
        let of = |n: usize| Filter { subjects: vec![format!("products/{n}")], ..Filter::default() };
        let first = burst.wanted(&of(0), 4);
        for n in 0..2 * SHARED {
            burst.wanted(&of(n), 4);
        }
        assert!(Arc::ptr_eq(&first, &burst.wanted(&of(0), 3)));
        assert_eq!(burst.shared.lock().unwrap().len(), SHARED);
    }
}
