//! Receiving a body whole, before the request takes a place in work: within its size, at a pace, and in a bounded
//! part of the memory together with all others.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::platform::limits::Limits;
use crate::platform::problem::{BODY_TOO_LARGE, MALFORMED, OVERLOADED, Problem, REQUEST_TIMEOUT};

/// What every body may take without asking. Most are smaller.
const FREE: usize = 16 * 1024;

pub struct Bodies {
    limit: usize,
    time: Duration,
    pace: usize,
    /// Bytes for bodies that are larger than [`FREE`] and said how large.
    known: Arc<Semaphore>,
    /// Of those that do not say, each could become as large as allowed, and one at a time may try.
    unknown: Arc<Semaphore>,
}

/// A body, and the memory that is set aside for it.
pub struct Received {
    pub bytes: Bytes,
    pub memory: Option<OwnedSemaphorePermit>,
}

impl Bodies {
    pub fn new(limit: usize, limits: &Limits) -> Self {
        Self {
            limit,
            time: Duration::from_secs(limits.body_seconds),
            pace: limits.body_pace,
            known: Arc::new(Semaphore::new(limits.body_memory)),
            unknown: Arc::new(Semaphore::new(1)),
        }
    }

    pub async fn receive(&self, mut body: Body) -> Result<Received, Problem> {
        let length = body.size_hint().exact().and_then(|length| usize::try_from(length).ok());
        if length.is_some_and(|length| length > self.limit) {
            return Err(self.too_large());
        }
        let begun = Instant::now();
        let mut memory = None;
        // Nothing is set aside for what is only promised.
        let mut buffer = BytesMut::new();
        loop {
            let deadline = begun + self.time + Duration::from_secs_f64(buffer.len() as f64 / self.pace as f64);
            let Ok(frame) = timeout_at(deadline, body.frame()).await else { return Err(self.too_slow()) };
            let Some(frame) = frame else { break };
            let Ok(data) = frame.map_err(|_| cut_off())?.into_data() else { continue };
            if buffer.len() + data.len() > self.limit {
                return Err(self.too_large());
            }
            if memory.is_none() && buffer.len() + data.len() > FREE {
                memory = Some(within(deadline, self.set_aside(length)).await?);
                // In one piece: to grow by and by is to have it twice. What is not written to costs nothing.
                buffer.reserve(length.unwrap_or(self.limit) - buffer.len());
            }
            // Copied, so that many small pieces do not each keep the buffer they were read into.
            buffer.extend_from_slice(&data);
        }
        if length.is_none() && memory.is_some() {
            // Its length is known by now, and the next may try.
            memory = Some(within(begun + self.time, self.set_aside(Some(buffer.len()))).await?);
        }
        Ok(Received { bytes: buffer.freeze(), memory })
    }

    async fn set_aside(&self, length: Option<usize>) -> OwnedSemaphorePermit {
        let permit = match length {
            Some(length) => {
                let length = u32::try_from(length).expect("within the limit, which is within body_memory");
                self.known.clone().acquire_many_owned(length).await
            }
            None => self.unknown.clone().acquire_owned().await,
        };
        permit.expect("never closed")
    }

    fn too_large(&self) -> Problem {
        Problem::new(
            &BODY_TOO_LARGE,
            format!("the body is larger than the {} bytes that this server takes", self.limit),
        )
    }

    fn too_slow(&self) -> Problem {
        let detail =
            format!("the body did not arrive within {} s and {} bytes a second", self.time.as_secs(), self.pace);
        Problem::new(&REQUEST_TIMEOUT, detail)
    }
}

async fn within(
    deadline: Instant,
    memory: impl Future<Output = OwnedSemaphorePermit>,
) -> Result<OwnedSemaphorePermit, Problem> {
    let full = |_| Problem::new(&OVERLOADED, "too many large bodies are being received; repeat it in a moment");
    timeout_at(deadline, memory).await.map_err(full)
}

fn cut_off() -> Problem {
    Problem::new(&MALFORMED, "the body was cut off")
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;

    fn bodies(limit: usize) -> Bodies {
        Bodies::new(limit, &Limits { body_seconds: 1, body_memory: limit, ..Limits::default() })
    }

    fn chunks(sizes: Vec<usize>) -> Body {
        Body::from_stream(stream::iter(sizes.into_iter().map(|size| Ok::<_, std::io::Error>(vec![b'x'; size]))))
    }

    async fn kind(bodies: &Bodies, body: Body) -> &'static str {
        bodies.receive(body).await.map_or_else(|problem| problem.kind().slug, |_| "received")
    }

    #[tokio::test]
    async fn a_body_ends_at_the_limit() {
        let bodies = bodies(100_000);
        assert_eq!(bodies.receive(chunks(vec![40_000, 60_000])).await.ok().unwrap().bytes.len(), 100_000);
        assert_eq!(kind(&bodies, chunks(vec![40_000, 60_001])).await, "body-too-large");
        assert_eq!(kind(&bodies, Body::from(vec![0; 100_001])).await, "body-too-large");
        assert_eq!(bodies.receive(Body::empty()).await.ok().unwrap().bytes.len(), 0);
    }

    #[tokio::test]
    async fn large_bodies_wait_for_memory_and_small_ones_do_not() {
        let bodies = bodies(100_000);
        let first = bodies.receive(Body::from(vec![0; 60_000])).await.ok().unwrap();
        assert_eq!(kind(&bodies, Body::from(vec![0; 60_000])).await, "overloaded");
        assert_eq!(kind(&bodies, chunks(vec![30_000, 30_000])).await, "overloaded");
        assert_eq!(kind(&bodies, chunks(vec![1000])).await, "received");
        drop(first);
        assert_eq!(kind(&bodies, chunks(vec![30_000, 30_000])).await, "received");
    }

    #[tokio::test]
    async fn who_sends_nothing_is_not_waited_for() {
        let silent = Body::from_stream(stream::pending::<std::io::Result<Bytes>>());
        assert_eq!(kind(&bodies(1000), silent).await, "request-timeout");
    }
}
