//! A process that only opens its store, and closes it, is killed 1,500 times within that.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use madang::store::{Event, HeldRow, NodeStore};
use madang_tests::shop::{self, Found, Line};

use crate::{
    dice::{Dice, note},
    victim::{Victim, alone},
};

const KILLS: u32 = 1_500;
/// Stores that are opened and killed side by side: each waits for its disk most of the time.
const LANES: u32 = 4;
/// After so many kills the store is opened whole, and every row is looked at.
const LOOK_EVERY: u32 = 50;
/// Sales in a store; each is two rows, all of which a start checks.
const SALES: usize = 1_500;

#[test]
fn a_store_whose_opening_is_killed_opens_again_with_every_row() {
    let mut dice = Dice::thrown("opener");
    let counts = thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES)
            .map(|_| {
                let dice = dice.apart();
                scope.spawn(|| kill_openings(dice))
            })
            .collect();
        let counts = lanes.into_iter().map(|lane| lane.join().unwrap());
        counts.fold(Counts::default(), Counts::and)
    });
    note(&format!("opener: {KILLS} kills, {counts:?}"));
}

/// What processes said that they found.
#[derive(Debug, Clone, Default)]
struct Counts {
    opens: u32,
    with_entries_replayed: u32,
    /// Starts that made the index anew, by why. Three kills in a row within a start are one reason; a kill while it is made anew is another.
    with_index_made_anew: BTreeMap<String, u32>,
}

impl Counts {
    fn and(mut self, other: Self) -> Self {
        self.opens += other.opens;
        self.with_entries_replayed += other.with_entries_replayed;
        for (why, count) in other.with_index_made_anew {
            *self.with_index_made_anew.entry(why).or_default() += count;
        }
        self
    }

    fn count(&mut self, found: Found) {
        self.opens += 1;
        self.with_entries_replayed += u32::from(found.replayed > 0);
        if let Some(why) = found.rebuilt {
            *self.with_index_made_anew.entry(why).or_default() += 1;
        }
    }
}

/// One store, and its share of the kills.
fn kill_openings(mut dice: Dice) -> Counts {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let rows = alone(|| fill(dir));
    let whole = open_whole(dir);
    let within = fastest_opening(dir).mul_f32(1.2);
    let same = |found: &Found| assert_eq!((found.entry, found.rows), (whole.entry, whole.rows));
    let mut counts = Counts::default();
    for kill in 1..=KILLS / LANES {
        let victim = Victim::start(OPENER, &[dir]);
        thread::sleep(dice.moment(within));
        for found in victim.kill().lines().filter_map(found) {
            same(&found);
            counts.count(found);
        }
        if kill % LOOK_EVERY == 0 || kill == KILLS / LANES {
            let found = open_whole(dir);
            same(&found);
            counts.count(found);
            assert_eq!(alone(|| sales(dir)), rows, "after {kill} kills");
        }
    }
    counts
}

/// How long a process needs from its start to the end of its first opening, at best.
fn fastest_opening(dir: &Path) -> Duration {
    let times = (0..3).map(|_| {
        let started = Instant::now();
        open_whole(dir);
        started.elapsed()
    });
    times.min().unwrap()
}

const OPENER: &str = env!("CARGO_BIN_EXE_store_opener");

/// Lets a process open the store once, close it and end.
fn open_whole(dir: &Path) -> Found {
    let said = Victim::start(OPENER, &[dir.as_os_str(), OsStr::new("1")]).finish();
    said.lines().find_map(found).unwrap()
}

fn found(line: &str) -> Option<Found> {
    match Line::from_text(line)? {
        Line::Opened(found) => Some(found),
        Line::Writing(_) | Line::Durable(_) => None,
    }
}

/// Sales of [`SALES`] grants.
fn fill(dir: &Path) -> Vec<HeldRow> {
    let (store, _) = NodeStore::open(dir).unwrap();
    let mut ticket = None;
    for number in 0..SALES {
        let mut receipt = shop::receipt(0, 1 + number as u64 % 7)
            .unwrap()
            .into_value();
        receipt.grant.0[..8].copy_from_slice(&(number as u64).to_le_bytes());
        let receipt = shop::seal_receipt(receipt).unwrap();
        ticket = Some(
            store
                .record(&[Event::ReceiptHeld(receipt.into_unverified())])
                .unwrap(),
        );
    }
    ticket.unwrap().wait().unwrap();
    store.close();
    drop(store);
    sales(dir)
}

/// Every sale in the store, in this process.
fn sales(dir: &Path) -> Vec<HeldRow> {
    let (store, _) = NodeStore::open(dir).unwrap();
    let sales = store.sales(2 * SALES).unwrap();
    assert_eq!(sales.len(), SALES);
    store.close();
    sales
}
