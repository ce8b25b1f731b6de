//! Verifying many signatures at once: by the caller's thread, and by as many more as there are idle cores.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

/// Turns of helping threads, so that many callers do not start many threads each.
#[derive(Debug)]
pub(super) struct Helpers {
    idle: AtomicUsize,
}

impl Helpers {
    /// One less than there are cores: the caller works too.
    pub(super) fn for_this_machine() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self {
            idle: AtomicUsize::new(cores - 1),
        }
    }

    /// `work` for each of `items`, in their order.
    pub(super) fn map<T: Send, R: Send>(
        &self,
        mut items: Vec<T>,
        work: impl Fn(T) -> R + Sync,
    ) -> Vec<R> {
        let turns = Turns::take(self, items.len() / ITEMS_PER_THREAD_MIN);
        let share = items.len().div_ceil(turns.taken + 1).max(1);
        let mut parts = Vec::with_capacity(turns.taken);
        while items.len() > share {
            parts.push(items.split_off(items.len() - share));
        }
        let work = &work;
        thread::scope(|scope| {
            let run = |part: Vec<T>| part.into_iter().map(work).collect::<Vec<R>>();
            let helping: Vec<_> = parts
                .into_iter()
                .map(|part| scope.spawn(move || run(part)))
                .collect();
            let mut results = run(items);
            for helper in helping.into_iter().rev() {
                match helper.join() {
                    Ok(part) => results.extend(part),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            results
        })
    }
}

/// Turns taken, and given back when dropped.
struct Turns<'a> {
    helpers: &'a Helpers,
    taken: usize,
}

impl<'a> Turns<'a> {
    fn take(helpers: &'a Helpers, wanted: usize) -> Self {
        let mut idle = helpers.idle.load(Ordering::Relaxed);
        loop {
            let taken = wanted.min(idle);
            let left = helpers.idle.compare_exchange_weak(
                idle,
                idle - taken,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            match left {
                Ok(_) => return Self { helpers, taken },
                Err(now) => idle = now,
            }
        }
    }
}

impl Drop for Turns<'_> {
    fn drop(&mut self) {
        self.helpers.idle.fetch_add(self.taken, Ordering::Relaxed);
    }
}

/// Signatures for which another thread is worth its start: a few milliseconds of work.
const ITEMS_PER_THREAD_MIN: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_stays_and_every_turn_is_given_back() {
        let helpers = Helpers {
            idle: AtomicUsize::new(3),
        };
        for count in [0, 1, 63, 64, 129, 1_000, 1_003] {
            let items: Vec<usize> = (0..count).collect();
            let doubled: Vec<usize> = items.iter().map(|item| item * 2).collect();
            assert_eq!(helpers.map(items, |item| item * 2), doubled);
            assert_eq!(helpers.idle.load(Ordering::Relaxed), 3);
        }
    }
}
