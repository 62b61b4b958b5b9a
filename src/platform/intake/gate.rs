//! How much at once. Beyond what the database can do, more requests in work make each of them slower and none faster;
//! so there is a number, and a short wait, and then an honest refusal.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

pub struct Gate {
    name: &'static str,
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// Those who may wait; it is not worth to wait behind more.
    benches: usize,
    patience: Duration,
}

/// A place in work, free again when it is dropped.
pub type Place = OwnedSemaphorePermit;

impl Gate {
    pub fn new(name: &'static str, places: usize, patience: Duration) -> Self {
        let benches = (places / 16).max(1);
        Self { name, places: Arc::new(Semaphore::new(places)), waiting: AtomicUsize::new(0), benches, patience }
    }

    /// Nobody who comes now would get in: known before anything is spent on the request.
    pub fn is_shut(&self) -> bool {
        self.waiting.load(Relaxed) >= self.benches
    }

    /// A place, now or within the patience. `None` when there is none.
    pub async fn enter(&self) -> Option<Place> {
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            return Some(place);
        }
        let _waiting = Waiting::sit_down(self)?;
        timeout(self.patience, self.places.clone().acquire_owned()).await.ok()?.ok()
    }

    /// Counts a refusal.
    pub fn shed(&self) {
        metrics::counter!("stockhold_requests_shed_total", "gate" => self.name).increment(1);
    }

    pub fn measure(&self) {
        let free = self.places.available_permits() as f64;
        metrics::gauge!("stockhold_requests_places_free", "gate" => self.name).set(free);
    }
}

/// Somebody on a bench, who gets up also when the client goes away.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn sit_down(gate: &'a Gate) -> Option<Self> {
        let taken = gate.waiting.fetch_add(1, Relaxed);
        let seated = Self(&gate.waiting);
        (taken < gate.benches).then_some(seated)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_finds_no_place_waits_and_is_sent_away() {
        let gate = Arc::new(Gate::new("test", 2, Duration::from_millis(200)));
        let (one, _two) = (gate.enter().await.unwrap(), gate.enter().await.unwrap());
        let third = tokio::spawn({
            let gate = gate.clone();
            async move { gate.enter().await.is_some() }
        });
        while !gate.is_shut() {
            tokio::task::yield_now().await;
        }
        assert!(gate.enter().await.is_none(), "there is one bench");
        drop(one);
        assert!(third.await.unwrap(), "who waited got the place");
        assert!(gate.enter().await.is_some() || !gate.is_shut());
    }

    #[tokio::test]
    async fn patience_ends() {
        let gate = Gate::new("test", 1, Duration::from_millis(10));
        let _one = gate.enter().await.unwrap();
        assert!(gate.enter().await.is_none());
        assert!(!gate.is_shut(), "who left waits no longer");
    }
}
