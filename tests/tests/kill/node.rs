//! A process that writes a node's store as fast as it can is killed 50 times; what it called durable is there, and what it did not is there whole
//! or not at all.

use std::{collections::BTreeMap, path::Path, thread, time::Duration};

use madang::store::NodeStore;
use madang_protocol::{amount::Amount, ids::BatchId};
use madang_tests::shop::{self, DAY, Deed, GRANTS, Line};

use crate::{
    dice::{Dice, note},
    victim::{Victim, alone},
};

const KILLS: u32 = 50;
/// The kill comes at most this long after the store is open.
const WITHIN: Duration = Duration::from_millis(150);
/// One in so many kills comes at any moment after the start instead.
const EARLY_ONE_IN: u64 = 5;

#[test]
fn a_node_store_that_is_killed_under_load_has_all_that_was_durable() {
    let mut dice = Dice::thrown("node");
    let dir = tempfile::tempdir().unwrap();
    let mut known = Known::default();
    let mut durable = 0;
    for _ in 0..KILLS {
        let mut victim = Victim::start(env!("CARGO_BIN_EXE_store_writer"), &[dir.path()]);
        let mut said = String::new();
        if !dice.one_in(EARLY_ONE_IN) {
            said = victim.line();
        }
        thread::sleep(dice.moment(WITHIN));
        said.push_str(&victim.kill());
        let mut heard = Heard::after(&known);
        for line in said.lines().filter_map(Line::from_text) {
            durable += u32::from(matches!(line, Line::Durable(_)));
            heard.hear(line);
        }
        known = alone(|| heard.check(dir.path()));
    }
    note(&format!(
        "node: {KILLS} kills, {durable} writes durable before them"
    ));
    assert!(durable > KILLS, "hardly a load: {durable}");
}

/// What the store holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Known {
    held: BTreeMap<u8, u64>,
    signed: BTreeMap<u8, u64>,
    waiting: Option<Batch>,
    /// The sequence that is settled, by grant.
    settled: BTreeMap<u8, u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Batch {
    id: BatchId,
    receipts: BTreeMap<u8, u64>,
}

/// What the store must hold, and what it may hold beyond that, by what the process said.
struct Heard {
    must: Known,
    held_at_most: BTreeMap<u8, u64>,
    signed_at_most: BTreeMap<u8, u64>,
    /// The batch or the verdict that was being written.
    in_flight: Option<Deed>,
}

impl Heard {
    fn after(known: &Known) -> Self {
        Self {
            must: known.clone(),
            held_at_most: known.held.clone(),
            signed_at_most: known.signed.clone(),
            in_flight: None,
        }
    }

    fn hear(&mut self, line: Line) {
        match line {
            Line::Opened(_) => {}
            Line::Writing(Deed::Held { grant, sequence }) => {
                self.held_at_most.insert(grant, sequence);
            }
            Line::Durable(Deed::Held { grant, sequence }) => {
                self.must.held.insert(grant, sequence);
            }
            Line::Writing(Deed::Signed { grant, sequence }) => {
                self.signed_at_most.insert(grant, sequence);
            }
            Line::Durable(Deed::Signed { grant, sequence }) => {
                self.must.signed.insert(grant, sequence);
            }
            Line::Writing(deed @ (Deed::Batch { .. } | Deed::Verdict { .. })) => {
                self.in_flight = Some(deed);
            }
            Line::Durable(deed @ (Deed::Batch { .. } | Deed::Verdict { .. })) => {
                assert_eq!(self.in_flight.take(), Some(deed.clone()));
                apply(&mut self.must, deed);
            }
        }
    }

    /// Opens the store and compares; gives what it holds now.
    fn check(self, dir: &Path) -> Known {
        let (store, _) = NodeStore::open(dir).unwrap();
        let found = look(&store);
        store.close();
        let mut may = self.must.clone();
        if let Some(deed) = self.in_flight {
            apply(&mut may, deed);
        }
        // A batch and its verdict are there whole or not at all.
        let settling = |known: &Known| (known.waiting.clone(), known.settled.clone());
        assert!(
            [settling(&self.must), settling(&may)].contains(&settling(&found)),
            "{found:#?}\nis neither {:#?}\nnor {may:#?}",
            self.must
        );
        for grant in 0..GRANTS {
            let at = |sequences: &BTreeMap<u8, u64>| sequences.get(&grant).copied().unwrap_or(0);
            let held = at(&self.must.held)..=at(&self.held_at_most);
            let signed = at(&self.must.signed)..=at(&self.signed_at_most);
            assert!(held.contains(&at(&found.held)), "{held:?}, {found:#?}");
            assert!(
                signed.contains(&at(&found.signed)),
                "{signed:?}, {found:#?}"
            );
        }
        found
    }
}

/// What a batch or a verdict changes.
fn apply(known: &mut Known, deed: Deed) {
    match deed {
        Deed::Batch { batch, receipts } => {
            assert_eq!(known.waiting, None, "a batch waits already");
            known.waiting = Some(Batch {
                id: batch,
                receipts,
            });
        }
        Deed::Verdict { batch } => {
            let judged = known.waiting.take().unwrap();
            assert_eq!(judged.id, batch, "another batch waits");
            known.settled.extend(judged.receipts);
        }
        Deed::Held { .. } | Deed::Signed { .. } => {}
    }
}

fn look(store: &NodeStore) -> Known {
    let mut known = Known::default();
    let mut spent = Amount::ZERO;
    for number in 0..GRANTS {
        if let Some(row) = store.held(shop::grant(number)).unwrap() {
            let receipt = row.receipt.claims();
            assert_eq!(receipt.amount, shop::cost(receipt.sequence).unwrap());
            known.held.insert(number, receipt.sequence);
            assert_eq!(
                row.settled,
                shop::cost(row.judged).unwrap(),
                "settled once: {row:?}"
            );
            if row.judged > 0 {
                known.settled.insert(number, row.judged);
            }
        }
        if let Some(receipt) = store.signed(shop::grant(number)).unwrap() {
            let receipt = receipt.claims();
            known.signed.insert(number, receipt.sequence);
            spent = spent.saturating_add(receipt.amount);
        }
    }
    assert_eq!(
        store.spent_on(DAY.day()).unwrap(),
        spent,
        "each receipt counts once"
    );
    known.waiting = store.batch_waiting().unwrap().map(|batch| Batch {
        id: batch.claims().id,
        receipts: shop::contents(batch.claims()),
    });
    known
}
