//! A seller's store against a simple reference, whatever happens in whatever order.

use proptest::prelude::*;
use tempfile::TempDir;

use super::{super::*, records::*};

const GRANTS: usize = 4;

#[derive(Debug, Clone)]
enum Step {
    Show(usize),
    Receipt {
        grant: usize,
        is_final: bool,
    },
    Serve(usize),
    /// A batch is written down, and perhaps sent.
    Batch,
    /// The verdict on it comes.
    Verdict,
    /// So many hours go by.
    Wait(u64),
    Sweep,
}

fn step() -> impl Strategy<Value = Step> {
    let receipt = |(grant, is_final)| Step::Receipt { grant, is_final };
    prop_oneof![
        2 => (0..GRANTS).prop_map(Step::Show),
        4 => (0..GRANTS, any::<bool>()).prop_map(receipt),
        2 => (0..GRANTS).prop_map(Step::Serve),
        2 => Just(Step::Batch),
        2 => Just(Step::Verdict),
        2 => (1..200_u64).prop_map(Step::Wait),
        3 => Just(Step::Sweep),
    ]
}

/// What the seller should know of a grant.
#[derive(Debug, Clone, Default, PartialEq)]
struct Known {
    is_shown: bool,
    /// The highest receipt's sequence, and whether it is final.
    highest: Option<(u64, bool)>,
    judged: u64,
    served: u64,
}

impl Known {
    fn is_unsettled(&self) -> bool {
        self.highest
            .is_some_and(|(highest, _)| highest > self.judged)
    }
}

struct Shop {
    store: NodeStore,
    now: UnixMillis,
    known: Vec<Known>,
    sequence: u64,
    batches: u8,
    _folder: TempDir,
}

impl Shop {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let (store, _) = NodeStore::open(folder.path()).unwrap();
        Self {
            store,
            now: NOW,
            known: vec![Known::default(); GRANTS],
            sequence: 0,
            batches: 0,
            _folder: folder,
        }
    }

    /// Grants are a few days apart.
    fn issued(at: usize) -> UnixMillis {
        later(NOW, at as u64 * 3 * DAY)
    }

    fn record(&self, event: Event) {
        drop(self.store.record(&[event]).unwrap());
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Show(at) => {
                self.known[at].is_shown = true;
                self.record(Event::GrantShown(grant(at, Self::issued(at))));
            }
            Step::Receipt { grant, is_final } => {
                self.sequence += 1;
                self.known[grant].highest = Some((self.sequence, is_final));
                let receipt = receipt(grant, self.sequence, self.sequence, is_final);
                self.record(Event::ReceiptHeld(receipt));
            }
            Step::Serve(at) if self.known[at].is_shown => {
                self.known[at].served += 1;
                self.record(served(at, self.known[at].served));
            }
            Step::Serve(_) => {}
            Step::Batch => {
                if self.store.batch_waiting().unwrap().is_none() {
                    self.batches += 1;
                    self.record(Event::BatchMade(batch(&self.store, self.batches)));
                }
            }
            Step::Verdict => self.judge(),
            Step::Wait(hours) => self.now = later(self.now, hours * HOUR),
            Step::Sweep => {
                forget_sales(&self.store, self.now).await.unwrap();
                for at in 0..GRANTS {
                    if self.is_over(at) {
                        self.known[at] = Known::default();
                    }
                }
            }
        }
    }

    fn judge(&mut self) {
        let Some(batch) = self.store.batch_waiting().unwrap() else {
            return;
        };
        for receipt in &batch.claims().receipts {
            let known = &mut self.known[number(receipt.claims().grant)];
            if known.highest.is_some() {
                known.judged = known.judged.max(receipt.claims().sequence);
            }
        }
        self.record(verdict(&batch));
    }

    fn is_over(&self, at: usize) -> bool {
        let known = &self.known[at];
        let is_settled = known.highest.is_some() && !known.is_unsettled();
        let settle_until = later(Self::issued(at), 14 * DAY);
        let is_over = if known.is_shown {
            let is_final = known.highest.is_some_and(|(_, is_final)| is_final);
            let is_spent = self.now >= later(Self::issued(at), HOUR + DAY);
            self.now >= later(settle_until, DAY) || (is_final && is_settled && is_spent)
        } else {
            is_settled
        };
        assert!(
            !(is_over && known.is_unsettled() && self.now < settle_until),
            "unsettled and still settleable: {known:?}"
        );
        is_over
    }

    /// As the store has it.
    fn stored(&self, at: usize) -> Known {
        let held = self.store.held(id(at)).unwrap();
        let served = self.store.served(id(at)).unwrap();
        let highest = held.as_ref().map(|held| held.receipt.claims());
        let known = Known {
            is_shown: self.store.grant_shown(id(at)).unwrap().is_some(),
            highest: highest.map(|receipt| (receipt.sequence, receipt.is_final)),
            judged: held.as_ref().map_or(0, |held| held.judged),
            served: served.first().copied().unwrap_or_default(),
        };
        let keys = self.store.served_keys(id(at)).unwrap();
        assert_eq!(keys.len() as u64, known.served);
        known
    }

    fn check(&self) {
        let waiting = self.store.to_settle().unwrap();
        for (at, known) in self.known.iter().enumerate() {
            assert_eq!(self.stored(at), *known, "{at}");
            let mut of_grant = waiting.iter().filter(|one| one.claims().grant == id(at));
            let waits = of_grant.next().is_some();
            assert_eq!(waits, known.is_unsettled(), "{at}: {known:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_sale_is_forgotten_when_it_is_over_and_never_before(
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut shop = Shop::new();
            for step in steps {
                shop.take(step).await;
                shop.check();
            }
            // In the end nothing is left.
            let end = [Step::Verdict, Step::Batch, Step::Verdict, Step::Wait(30 * 24), Step::Sweep];
            for step in end {
                shop.take(step).await;
            }
            shop.known.fill(Known::default());
            shop.check();
        });
    }
}
