//! [`Follower`]: brings the figures up to date, a bounded number of steps at a time, and counts in memory what stands in no event.

use std::{collections::BTreeMap, time::Duration};

use madang_protocol::{reject::Reject, time::UnixMillis};
use parking_lot::Mutex;

use crate::{
    ledger::{
        policy::ROLL_UPS_PER_TICK,
        statistics::{holds::HoldsWalk, rolled_up::Refusals, subject::Subject},
    },
    metrics::Metrics,
    store::{Step, Store, error::StoreError},
};

/// The statistics' follower of one anchor.
#[derive(Debug)]
pub(super) struct Follower {
    /// Since they were counted last. There are as many codes as there are refusals.
    refusals: Mutex<Refusals>,
    pace: Mutex<Pace>,
}

#[derive(Debug, Default)]
struct Pace {
    /// Before this, there is time. An anchor that has just begun has nothing to say yet.
    next: Option<UnixMillis>,
    holds: HoldsWalk,
}

impl Follower {
    pub(super) fn new() -> Self {
        Self {
            refusals: Mutex::new(BTreeMap::new()),
            pace: Mutex::default(),
        }
    }

    /// Counts a call that was refused.
    pub(super) fn handle_refused(&self, reject: Reject) {
        *self.refusals.lock().entry(reject.0).or_default() += 1;
    }

    /// Rolls up what happened since, if it is time.
    pub(super) fn handle_tick(
        &self,
        store: &Store,
        metrics: &Metrics,
        every: Duration,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let Some(mut pace) = self.pace.try_lock() else {
            return Ok(());
        };
        for _ in 0..HOLD_PAGES_PER_TICK {
            let (walk, summed) = store.walk_holds(&pace.holds)?;
            pace.holds = walk;
            if let Some(holds) = summed {
                metrics.holds(&holds);
                break;
            }
        }
        let next = *pace.next.get_or_insert(now.plus(every));
        if now < next {
            return Ok(());
        }
        let is_done = self.roll_up(store, now)?;
        if is_done {
            pace.next = Some(now.plus(every));
        }
        let (all, cursor) = store.statistics_of(&Subject::All)?;
        metrics.statistics(&all, cursor.rolled_up, store.statistics_lag()?);
        Ok(())
    }

    /// Takes steps until there is nothing to count, or enough of them. Whether there is nothing to count any more.
    pub(super) fn roll_up(&self, store: &Store, now: UnixMillis) -> Result<bool, StoreError> {
        let mut refusals = std::mem::take(&mut *self.refusals.lock());
        let rolled_up = roll_up(store, &mut refusals, now);
        // What was not counted is, the next time.
        let mut kept = self.refusals.lock();
        for (code, times) in refusals {
            *kept.entry(code).or_default() += times;
        }
        rolled_up
    }
}

/// As [`Follower::roll_up`], for a store at rest.
pub(crate) fn roll_up(
    store: &Store,
    refusals: &mut Refusals,
    now: UnixMillis,
) -> Result<bool, StoreError> {
    for _ in 0..ROLL_UPS_PER_TICK {
        if store.roll_up(refusals, now)? == Step::Idle {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Pages of balances and devices that are gone through in one tick.
const HOLD_PAGES_PER_TICK: usize = 4;
