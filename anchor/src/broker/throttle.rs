//! [`Throttle`]: how often one key (a handle, an address, a device) may try, with a bounded memory.
//!
//! Each key may try `burst` times at once, and once more for every `interval` that has passed. The table forgets the key that tried least
//! recently when it is full.

use std::{
    hash::Hash,
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use lru::LruCache;
use parking_lot::Mutex;

/// A table of keys and how often they tried.
#[derive(Debug)]
pub struct Throttle<K: Hash + Eq> {
    /// When each key's tries would be used up if none were in advance (the generic cell rate algorithm's theoretical arrival time).
    arrivals: Mutex<LruCache<K, Instant>>,
    burst: u32,
    interval: Duration,
}

impl<K: Hash + Eq> Throttle<K> {
    /// A throttle that remembers at most `keys_max` keys.
    pub fn new(keys_max: NonZeroUsize, burst: u32, interval: Duration) -> Self {
        Self {
            arrivals: Mutex::new(LruCache::new(keys_max)),
            burst,
            interval,
        }
    }

    /// Counts a try of `key`, or refuses it and says how long to wait.
    pub fn handle_try(&self, key: K, now: Instant) -> Result<(), Duration> {
        let mut arrivals = self.arrivals.lock();
        let arrival = arrivals
            .get(&key)
            .map_or(now, |arrival| (*arrival).max(now));
        let ahead = arrival.saturating_duration_since(now);
        let room = self.interval * self.burst.saturating_sub(1);
        if ahead > room {
            return Err(ahead - room);
        }
        arrivals.put(key, arrival + self.interval);
        Ok(())
    }

    /// Forgets one try of `key`, which turned out to be honest.
    pub fn handle_success(&self, key: &K) {
        if let Some(arrival) = self.arrivals.lock().get_mut(key) {
            *arrival = arrival.checked_sub(self.interval).unwrap_or(*arrival);
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

    use super::*;

    fn throttle(keys_max: usize) -> Throttle<u8> {
        Throttle::new(
            NonZeroUsize::new(keys_max).unwrap(),
            3,
            Duration::from_secs(10),
        )
    }

    #[test]
    fn a_burst_passes_and_then_one_for_each_interval() {
        let (throttle, start) = (throttle(8), Instant::now());
        for _ in 0..3 {
            assert_eq!(throttle.handle_try(1, start), Ok(()));
        }
        assert_eq!(throttle.handle_try(1, start), Err(Duration::from_secs(10)));
        assert_eq!(throttle.handle_try(2, start), Ok(()));
        let later = start + Duration::from_secs(10);
        assert_eq!(throttle.handle_try(1, later), Ok(()));
        assert_eq!(
            throttle.handle_try(1, later + Duration::from_secs(4)),
            Err(Duration::from_secs(6))
        );
    }

    #[test]
    fn refused_tries_do_not_lengthen_the_wait() {
        let (throttle, start) = (throttle(8), Instant::now());
        for _ in 0..100 {
            let _ = throttle.handle_try(1, start);
        }
        assert_eq!(
            throttle.handle_try(1, start + Duration::from_secs(10)),
            Ok(())
        );
    }

    #[test]
    fn honest_tries_are_not_counted() {
        let (throttle, start) = (throttle(8), Instant::now());
        for _ in 0..100 {
            assert_eq!(throttle.handle_try(1, start), Ok(()));
            throttle.handle_success(&1);
        }
    }

    #[test]
    fn the_table_is_bounded() {
        let (throttle, start) = (throttle(4), Instant::now());
        for key in 0..100 {
            assert_eq!(throttle.handle_try(key, start), Ok(()));
        }
        assert_eq!(throttle.arrivals.lock().len(), 4);
    }
}
