//! Documents of whatever happens to some grants in some order.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// What happens to one of some grants.
#[derive(Debug, Clone)]
enum Act {
    Settle { grant: usize, amount: u64 },
    GiveBack { grant: usize, amount: u64 },
    Month { close: bool },
}

fn act() -> impl Strategy<Value = Act> {
    let grant = 0..GRANTS;
    prop_oneof![
        4 => (grant.clone(), 1..1_000_000_u64).prop_map(|(grant, amount)| Act::Settle { grant, amount }),
        3 => (grant, 1..500_000_u64).prop_map(|(grant, amount)| Act::GiveBack { grant, amount }),
        1 => any::<bool>().prop_map(|close| Act::Month { close }),
    ]
}

const GRANTS: usize = 6;

/// A world in which what cannot be is left out; the audit looks at L-20 after each event.
struct Model {
    world: World,
    grants: Vec<GrantId>,
    /// Settled, taken back, ended.
    stand: Vec<(u64, u64, bool)>,
    requests: u8,
    unclosed: Vec<Month>,
}

impl Model {
    fn new() -> Self {
        let mut world = world();
        let numbers = 1..=u8::try_from(GRANTS).unwrap();
        let grants: Vec<GrantId> = numbers
            .map(|number| world.grant(number, 1_000_000))
            .collect();
        Self {
            world,
            stand: vec![(0, 0, false); grants.len()],
            grants,
            requests: 100,
            unclosed: Vec::new(),
        }
    }

    fn act(&mut self, act: &Act) {
        match *act {
            Act::Settle { grant, amount } => {
                let (settled, _, ended) = &mut self.stand[grant];
                if amount > *settled && !*ended {
                    *settled = amount;
                    self.world.settle(self.grants[grant], amount);
                }
            }
            Act::GiveBack { grant, amount } => {
                let (settled, back, ended) = &mut self.stand[grant];
                if *settled - *back >= amount {
                    if !*ended {
                        *ended = true;
                        self.world.end(self.grants[grant]);
                    }
                    *back += amount;
                    self.requests += 1;
                    let request = self.requests;
                    give_back(&mut self.world, request, self.grants[grant], amount);
                }
            }
            Act::Month { close: is_closed } => {
                // Grants are not swept away here, so that anything may be late.
                let month = open(&self.world);
                while open(&self.world) == month {
                    self.world.now.0 += DAY;
                    turn(&mut self.world);
                }
                self.unclosed.push(month);
                if is_closed {
                    self.close_all();
                }
            }
        }
    }

    fn close_all(&mut self) {
        for month in std::mem::take(&mut self.unclosed) {
            close(&mut self.world, month, 2);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn l_20_documents_sum_to_what_was_settled_whatever_comes_when(
        acts in prop::collection::vec(act(), 1..24),
    ) {
        let mut model = Model::new();
        let mut kept: BTreeMap<Number, (Document, Vec<Line>)> = BTreeMap::new();
        for act in acts.iter().chain([&Act::Month { close: true }]) {
            model.act(act);
            for account in [BUYER, SELLER] {
                for document in documents(&model.world, account) {
                    let now = (document.clone(), all_lines(&model.world, &document, 2));
                    // L-21
                    let before = kept.entry(document.number).or_insert_with(|| now.clone());
                    prop_assert_eq!(&*before, &now);
                }
            }
        }
        let left: u64 = model.stand.iter().map(|(settled, back, _)| settled - back).sum();
        for (account, kinds) in [
            (BUYER, [Kind::Invoice, Kind::CreditNote]),
            (SELLER, [Kind::Statement, Kind::Correction]),
        ] {
            let of = documents(&model.world, account);
            let sum = |kind| -> u64 {
                let of = of.iter().filter(|one| one.number.kind == kind);
                of.map(|one| totals(one)[0]).sum()
            };
            prop_assert_eq!(sum(kinds[0]) - sum(kinds[1]), left);
        }
    }

    #[test]
    fn any_order_and_batching_of_the_same_receipts_gives_the_same_documents(
        finals in prop::collection::vec(1..1_000_000_u64, GRANTS),
        steps in prop::collection::vec((0..GRANTS, 1..1_000_000_u64), 0..24),
        late in prop::collection::vec(any::<bool>(), GRANTS),
        rows in 1..8_usize,
    ) {
        let hashes = |ordered: bool| {
            let mut model = Model::new();
            if !ordered {
                for (grant, amount) in &steps {
                    let amount = (*amount).min(finals[*grant]);
                    if !late[*grant] {
                        model.act(&Act::Settle { grant: *grant, amount });
                    }
                }
            }
            for (grant, amount) in finals.iter().enumerate() {
                if !late[grant] {
                    model.act(&Act::Settle { grant, amount: *amount });
                }
            }
            let first = open(&model.world);
            model.act(&Act::Month { close: false });
            close(&mut model.world, first, if ordered { 100 } else { rows });
            let mut order: Vec<usize> = (0..GRANTS).filter(|grant| late[*grant]).collect();
            if !ordered {
                order.reverse();
            }
            for grant in order {
                if !ordered {
                    model.act(&Act::Settle { grant, amount: finals[grant].div_ceil(2) });
                }
                model.act(&Act::Settle { grant, amount: finals[grant] });
            }
            let second = open(&model.world);
            model.act(&Act::Month { close: false });
            close(&mut model.world, second, if ordered { 100 } else { rows });
            let both = [BUYER, SELLER].map(|account| documents(&model.world, account));
            both.concat().into_iter().map(|one| (one.number, one.content)).collect::<Vec<_>>()
        };
        prop_assert_eq!(hashes(true), hashes(false));
    }
}
