//! [`Rates`]: how often each of many may do something that costs us work. Time is an argument.

use std::hash::Hash;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use lru::LruCache;

/// How much one may do: a burst, and then one each interval.
#[derive(Debug, Clone, Copy)]
pub(in crate::mesh) struct Allowance {
    /// What may come at once.
    pub(in crate::mesh) burst: u32,
    /// What comes back in time.
    pub(in crate::mesh) every: Duration,
}

/// Counts what each has left. Whoever has not been seen for long is forgotten, and starts with a full burst.
#[derive(Debug)]
pub(in crate::mesh) struct Rates<K: Hash + Eq> {
    allowance: Allowance,
    left: LruCache<K, (u32, Instant)>,
}

impl<K: Hash + Eq> Rates<K> {
    /// `allowance` for each, remembering the latest `remembered`.
    pub(in crate::mesh) fn new(allowance: Allowance, remembered: NonZeroUsize) -> Self {
        Self {
            allowance,
            left: LruCache::new(remembered),
        }
    }

    /// Takes one off what `key` has left; whether there was one.
    pub(in crate::mesh) fn take(&mut self, key: K, now: Instant) -> bool {
        let Allowance { burst, every } = self.allowance;
        let (left, since) = self.left.get_or_insert_mut(key, || (burst, now));
        let returned = now.saturating_duration_since(*since).as_nanos() / every.as_nanos().max(1);
        let returned = u32::try_from(returned).unwrap_or(u32::MAX);
        if left.saturating_add(returned) >= burst {
            (*left, *since) = (burst, now);
        } else {
            *left += returned;
            *since += every * returned;
        }
        let is_allowed = *left > 0;
        *left = left.saturating_sub(1);
        is_allowed
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]
mod tests {
    use super::*;

    #[test]
    fn after_a_burst_one_comes_back_each_interval() {
        let second = Duration::from_secs(1);
        let mut rates = Rates::new(
            Allowance {
                burst: 3,
                every: second,
            },
            NonZeroUsize::new(2).unwrap(),
        );
        let start = Instant::now();
        let taken =
            |rates: &mut Rates<u8>, now, tries| (0..tries).filter(|_| rates.take(1, now)).count();
        assert_eq!(taken(&mut rates, start, 5), 3);
        assert_eq!(taken(&mut rates, start + second / 2, 5), 0);
        assert_eq!(taken(&mut rates, start + second * 3 / 2, 5), 1);
        // The half second that was left over counts.
        assert_eq!(taken(&mut rates, start + second * 2, 5), 1);
        assert_eq!(taken(&mut rates, start + second * 1_000_000, 5), 3);
        // An earlier time gives nothing back and breaks nothing.
        assert_eq!(taken(&mut rates, start, 5), 0);
        // Others have their own.
        assert!(rates.take(2, start));
    }
}
