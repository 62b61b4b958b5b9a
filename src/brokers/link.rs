//! A link: what brings the feed to one broker.
//!
//! It reads a batch, has the broker acknowledge it, and only then stores how far that was. What ends in between (this
//! server, the broker, the database, the hold) costs nothing but that a part of the batch is sent again, with the same
//! ids: at least once, in order.

use std::convert::Infallible;

use super::hold::{Failure, Hold, Paused, Work};
use super::settings::From;
use crate::events::{Events, Filter, PublishedEvent};

/// Events that are on their way to the broker at once.
const BATCH: usize = 500;

/// A kind of broker.
pub(super) trait Broker: Send + Sync + 'static {
    type Connection: Connection;

    /// One try, which ends within seconds. `feed` is what cursors of the events begin with.
    fn connect(&self, feed: i64) -> impl Future<Output = Result<Self::Connection, Failure>> + Send;
}

/// A connection that is never made again behind our back: what was sent on it before would come after what is sent anew.
pub(super) trait Connection: Send {
    /// Sends events in their order. Says how many of them, from the first, the broker has taken for sure.
    fn publish(&mut self, events: &[PublishedEvent]) -> impl Future<Output = (usize, Result<(), Failure>)> + Send;

    /// Returns when the connection is lost.
    fn lost(&mut self) -> impl Future<Output = Failure> + Send;
}

pub(super) struct Link<B> {
    pub hold: Hold,
    pub broker: B,
    pub filter: Filter,
    pub from: From,
    pub events: Events,
}

impl<B: Broker> Work for Link<B> {
    fn hold(&self) -> &Hold {
        &self.hold
    }

    async fn beginning(&self) -> sqlx::Result<i64> {
        match self.from {
            From::Now => self.events.settled_position().await,
            From::Beginning => self.events.forgotten_to().await,
        }
    }

    async fn connect_and_work(&self, failures: &mut u32) -> Result<Infallible, Paused> {
        let feed = self.events.cursor_at(0).await?.feed;
        let mut connection = self.broker.connect(feed).await.map_err(Paused::Failed)?;
        self.leave_out_what_is_forgotten().await?;
        let mut news = self.events.news();
        loop {
            let stretch = self.events.read(self.hold.position(), BATCH, &self.filter).await?;
            let nothing = (0, Ok(()));
            let (taken, outcome) =
                if stretch.events.is_empty() { nothing } else { connection.publish(&stretch.events).await };
            metrics::counter!("stockhold_broker_published_total", "broker" => self.hold.name).increment(taken as u64);
            if stretch.events.is_empty() {
                self.hold.pass(stretch.position);
            } else if outcome.is_ok() {
                self.hold.advance(stretch.position).await?;
            } else if let Some(last) = taken.checked_sub(1) {
                self.hold.advance(stretch.events[last].position).await?;
            }
            outcome.map_err(Paused::Failed)?;
            *failures = 0;
            self.hold.is_up().await?;
            if stretch.is_all {
                tokio::select! {
                    () = news.after(stretch.position) => {}
                    failure = connection.lost() => return Err(Paused::Failed(failure)),
                }
            }
        }
    }

    async fn lag(&self) -> sqlx::Result<i64> {
        Ok((self.events.position().await? - self.hold.position()).max(0))
    }
}

impl<B: Broker> Link<B> {
    /// Events that were dropped while the broker was away cannot be sent any more.
    async fn leave_out_what_is_forgotten(&self) -> Result<(), Paused> {
        let (forgotten_to, position) = (self.events.forgotten_to().await?, self.hold.position());
        if position < forgotten_to {
            tracing::error!(
                broker = self.hold.name,
                up_to_events = forgotten_to - position,
                "events were too old to be kept before the broker had them: it goes on without them"
            );
            self.hold.advance(forgotten_to).await?;
        }
        Ok(())
    }
}
