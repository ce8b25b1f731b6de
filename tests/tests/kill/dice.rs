//! Chance with a seed that is printed, and can be given.

use std::{io::Write as _, time::Duration};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

/// The environment variable that replays a run.
pub(crate) const SEED_VARIABLE: &str = "MADANG_KILL_SEED";

/// The chance of one test.
pub(crate) struct Dice(StdRng);

impl Dice {
    /// The seed that was asked for, or a new one; says which.
    pub(crate) fn thrown(test: &str) -> Self {
        let given = std::env::var(SEED_VARIABLE).ok();
        let seed = given.map_or_else(rand::random, |seed| seed.parse().unwrap());
        note(&format!("{test}: {SEED_VARIABLE}={seed}"));
        Self(StdRng::seed_from_u64(seed))
    }

    /// Chance of its own for a part of the test.
    pub(crate) fn apart(&mut self) -> Self {
        Self(StdRng::seed_from_u64(self.0.random()))
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0.random_range(0..end)
    }

    pub(crate) fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    pub(crate) fn moment(&mut self, within: Duration) -> Duration {
        Duration::from_micros(self.below(u64::try_from(within.as_micros()).unwrap()))
    }

    pub(crate) fn id(&mut self) -> [u8; 16] {
        self.0.random()
    }
}

/// A line for who reads the test's output.
pub(crate) fn note(line: &str) {
    // Where nobody reads, the test goes on.
    let _ = writeln!(std::io::stderr(), "{line}");
}
