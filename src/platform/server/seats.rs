//! Who has a connection. Where there is no place left, the one that has kept the server waiting longest has to
//! go, so that clients who say nothing cannot keep out those who do.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard};

use super::watch::Watch;

/// Of how many connections the one that goes is chosen. All of them would be a long search while a flood comes in.
const SAMPLE: usize = 32;

#[derive(Clone)]
pub struct Seats {
    taken: Arc<Mutex<Taken>>,
    most: usize,
    most_per_address: usize,
}

#[derive(Default)]
struct Taken {
    all: Vec<Arc<Watch>>,
    per_address: HashMap<IpAddr, usize>,
}

/// Why there is no seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Every connection there is has a request in work.
    Full,
    /// The address has its share.
    Address,
}

impl Seats {
    pub fn new(most: usize, most_per_address: usize) -> Self {
        Self { taken: Arc::default(), most, most_per_address }
    }

    /// A seat for this connection. `address` counts it; `None` is for those that are not counted.
    pub fn take(&self, watch: Arc<Watch>, address: Option<IpAddr>) -> Result<Seat, Refused> {
        let mut taken = self.taken();
        if let Some(address) = address
            && taken.per_address.get(&address).is_some_and(|taken| *taken >= self.most_per_address)
        {
            return Err(Refused::Address);
        }
        if taken.all.len() >= self.most {
            taken.make_room()?;
        }
        if let Some(address) = address {
            *taken.per_address.entry(address).or_default() += 1;
        }
        watch.place.store(taken.all.len(), Relaxed);
        taken.all.push(watch.clone());
        metrics::gauge!("stockhold_connections").set(taken.all.len() as f64);
        Ok(Seat { seats: self.clone(), watch, address })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().expect("never poisoned")
    }
}

impl Taken {
    fn make_room(&mut self) -> Result<(), Refused> {
        let sample = rand::seq::index::sample(&mut rand::rng(), self.all.len(), SAMPLE.min(self.all.len()));
        let watches = sample.into_iter().map(|place| &self.all[place]);
        let waiting = watches.filter_map(|watch| watch.waiting_since().map(|since| (since, watch)));
        let (_, longest) = waiting.min_by_key(|(since, _)| *since).ok_or(Refused::Full)?;
        let longest = longest.clone();
        longest.crowded.notify_one();
        self.leave(&longest);
        Ok(())
    }

    fn leave(&mut self, watch: &Watch) {
        let place = watch.place.swap(usize::MAX, Relaxed);
        if place == usize::MAX {
            return; // it had to go already
        }
        self.all.swap_remove(place);
        if let Some(moved) = self.all.get(place) {
            moved.place.store(place, Relaxed);
        }
        metrics::gauge!("stockhold_connections").set(self.all.len() as f64);
    }
}

/// A connection's seat, free again when it is dropped.
pub struct Seat {
    seats: Seats,
    watch: Arc<Watch>,
    address: Option<IpAddr>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken();
        taken.leave(&self.watch);
        if let Some(address) = self.address
            && let Some(count) = taken.per_address.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                taken.per_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::limits::Limits;

    fn watch() -> Arc<Watch> {
        Arc::new(Watch::new(&Limits::default()))
    }

    #[test]
    fn one_address_has_its_share() {
        let seats = Seats::new(10, 2);
        let address = Some(IpAddr::from([192, 0, 2, 1]));
        let first = seats.take(watch(), address).ok().unwrap();
        let _second = seats.take(watch(), address).ok().unwrap();
        assert_eq!(seats.take(watch(), address).err(), Some(Refused::Address));
        let _other = seats.take(watch(), Some(IpAddr::from([192, 0, 2, 2]))).ok().unwrap();
        let _uncounted = seats.take(watch(), None).ok().unwrap();
        drop(first);
        let _again = seats.take(watch(), address).ok().unwrap();
    }

    #[test]
    fn who_waits_longest_makes_room_and_who_works_does_not() {
        let seats = Seats::new(3, 10);
        let watches = [watch(), watch(), watch()];
        let taken: Vec<Seat> = watches.iter().map(|w| seats.take(w.clone(), None).ok().unwrap()).collect();
        watches[0].work();
        let new = watch();
        let _new = seats.take(new.clone(), None).ok().unwrap();
        assert_eq!(watches[1].place.load(Relaxed), usize::MAX);
        assert_eq!(seats.taken().all.len(), 3);
        watches[2].work();
        new.work();
        assert_eq!(seats.take(watch(), None).err(), Some(Refused::Full));
        drop(taken);
        assert_eq!(seats.taken().all.len(), 1);
        assert_eq!(new.place.load(Relaxed), 0);
    }
}
