//! Sessions that count and sign in any order, each under its own tax, against a real store: never more leaves the wallet than was agreed, for a site or
//! for a day.
#![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

use std::collections::BTreeSet;

use madang_protocol::{
    ids::RequestId,
    record::{
        network::{Tax, TaxMode},
        receipt::Receipt,
    },
    rules::settlement::{amount_within, split},
    sealed::Unverified,
};
use proptest::prelude::*;
use tempfile::TempDir;

use super::{
    super::testing::{BUYER, NOW, grant, id, public, seal, tariff},
    *,
};
use crate::store::ROWS_PAGE;

const PER_DAY: u64 = 1_200;
/// What is agreed for each site.
const AGREED: [u64; 2] = [1_000, 700];
/// The site of each session.
const SITE_OF: [usize; 4] = [0, 0, 1, 1];

struct Session {
    number: SessionNumber,
    site: usize,
    tax: Tax,
    /// Without a tax that comes on top, as receipts say it.
    counted: u64,
    signed: u64,
    sequence: u64,
}

impl Session {
    /// What the anchor takes from the wallet for so much.
    fn debit(&self, amount: u64) -> u64 {
        let split = split(Amount::from_micros(amount), self.tax, 500);
        split.unwrap().debit.micros()
    }
}

struct Town {
    wallet: Wallet,
    store: Arc<NodeStore>,
    sessions: Vec<Session>,
    _folder: TempDir,
}

impl Town {
    fn new(taxes: [Tax; SITE_OF.len()]) -> Self {
        let folder = TempDir::new().unwrap();
        let (store, _) = NodeStore::open(folder.path()).unwrap();
        let store = Arc::new(store);
        let (clock, _) = Clock::manual(NOW);
        let budgets = Budgets {
            per_site: Amount::from_micros(AGREED[0]),
            per_day: Amount::from_micros(PER_DAY),
        };
        let wallet = Wallet::new(Arc::clone(&store), clock, budgets);
        let mut events: Vec<Event> = (0..AGREED.len()).map(agreed).collect();
        events.extend((0..SITE_OF.len()).map(|at| held(at, taxes[at])));
        drop(store.record(&events).unwrap());
        let sessions = SITE_OF.iter().zip(taxes).map(|(site, tax)| Session {
            number: wallet.begin(),
            site: *site,
            tax,
            counted: 0,
            signed: 0,
            sequence: 0,
        });
        Self {
            sessions: sessions.collect(),
            wallet,
            store,
            _folder: folder,
        }
    }

    /// A session wants `wanted` more, and perhaps signs for all that it has counted.
    fn step(&mut self, at: usize, wanted: u64, signs: bool) {
        let (store, session) = (&self.store, &mut self.sessions[at]);
        let (number, site) = (session.number, site(session.site));
        self.wallet.counting(number, &site, |left| {
            let most = Amount::from_micros(session.debit(session.counted)).saturating_add(left);
            let within = amount_within(most, session.tax).micros();
            session.counted = session.counted.saturating_add(wanted).min(within);
            if signs && session.counted > session.signed {
                session.sequence += 1;
                session.signed = session.counted;
                let signed = receipt(at, session.sequence, session.signed);
                drop(store.record(&[Event::ReceiptSigned(signed)]).unwrap());
            }
            let unsigned = session.debit(session.counted) - session.debit(session.signed);
            let unsigned = Amount::from_micros(unsigned);
            ((), unsigned)
        });
    }

    /// What leaves the wallet for what is counted.
    fn counted(&self, of: impl Fn(&Session) -> bool) -> u64 {
        let counted = self.sessions.iter().filter(|one| of(one));
        counted.map(|one| one.debit(one.counted)).sum()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_interleaving_of_sessions_comes_to_more_than_was_agreed(
        steps in proptest::collection::vec((0..SITE_OF.len(), 1..500_u64, any::<bool>()), 1..40),
        taxes in taxes(),
    ) {
        let mut town = Town::new(taxes);
        for (at, wanted, signs) in steps {
            town.step(at, wanted, signs);
            prop_assert!(town.counted(|_| true) <= PER_DAY);
            for (site, agreed) in AGREED.iter().enumerate() {
                prop_assert!(town.counted(|one| one.site == site) <= *agreed);
            }
        }
        // And nothing of it is withheld: whoever comes last has all that is left.
        for at in 0..SITE_OF.len() {
            town.step(at, 0, true);
        }
        town.step(0, u64::MAX, true);
        town.step(2, u64::MAX, true);
        let (first, all) = (town.counted(|one| one.site == 0), town.counted(|_| true));
        // A base unit that a tax would make two of stays in the wallet.
        let crumb = u64::from(taxes.iter().any(|tax| tax.on_top_bp() > 0));
        prop_assert!(first + crumb >= AGREED[0] || all + crumb >= PER_DAY);
        prop_assert!(all + crumb >= PER_DAY && all <= PER_DAY);
        prop_assert_eq!(town.store.spent_on(NOW.day()).unwrap(), Amount::from_micros(all));
        for (at, agreed) in AGREED.iter().enumerate() {
            let spent = town.store.agreement(&site(at)).unwrap().unwrap().spent;
            prop_assert_eq!(spent.micros(), town.counted(|one| one.site == at));
            prop_assert!(spent.micros() <= *agreed);
        }
    }
}

/// None, or one for each session.
fn taxes() -> impl Strategy<Value = [Tax; SITE_OF.len()]> {
    let tax = (0..=10_000_u16, any::<bool>()).prop_map(|(rate_bp, on_top)| Tax {
        rate_bp,
        mode: if on_top {
            TaxMode::Exclusive
        } else {
            TaxMode::Inclusive
        },
    });
    prop_oneof![
        Just([Tax::NONE; SITE_OF.len()]),
        [tax.clone(), tax.clone(), tax.clone(), tax],
    ]
}

#[test]
fn what_a_session_has_not_signed_for_comes_back_when_it_is_forgotten() {
    let mut town = Town::new([Tax::NONE; SITE_OF.len()]);
    town.step(0, 1_000, false);
    town.step(1, 1, false);
    assert_eq!(town.counted(|one| one.site == 0), 1_000);
    town.wallet.end(town.sessions[0].number);
    town.step(1, 1_000, false);
    assert_eq!(town.sessions[1].counted, 1_000);
}

#[test]
fn every_grant_is_looked_through_however_many_there_are() {
    let town = Town::new([Tax::NONE; SITE_OF.len()]);
    let number = 2 * ROWS_PAGE + 44;
    let events: Vec<Event> = (0..number).map(|at| held(at, Tax::NONE)).collect();
    drop(town.store.record(&events).unwrap());
    let (mut seen, mut last) = (BTreeSet::new(), None);
    loop {
        let page = town.store.grants_after(last).unwrap();
        seen.extend(page.iter().map(|row| row.grant.claims().id));
        last = page.last().map(|row| row.grant.claims().id);
        if page.len() < ROWS_PAGE {
            break;
        }
    }
    assert_eq!(seen.len(), number);
}

fn site(at: usize) -> SiteName {
    ["alice", "carol"][at].parse().unwrap()
}

fn agreed(at: usize) -> Event {
    Event::Agreed(AgreementRow {
        site: site(at),
        tariff: tariff(&site(at), None).tariff_hash(),
        budget: Amount::from_micros(AGREED[at]),
        passes: BTreeSet::new(),
        since: NOW,
        spent: Amount::ZERO,
        stopped: None,
    })
}

/// The grant of a session, or another one.
fn held(at: usize, tax: Tax) -> Event {
    let site = site(SITE_OF[at % SITE_OF.len()]);
    Event::GrantHeld {
        request: RequestId([at as u8; 16]),
        grant: grant(at, &site, tax, NOW),
        tariff: tariff(&site, None),
    }
}

fn receipt(at: usize, sequence: u64, amount: u64) -> Unverified<Receipt> {
    let receipt = Receipt {
        buyer: public(BUYER),
        grant: id(at),
        tariff: tariff(&site(SITE_OF[at]), None).tariff_hash(),
        sequence,
        counters: Vec::new(),
        amount: Amount::from_micros(amount),
        time: NOW,
        is_final: false,
    };
    seal(receipt, BUYER)
}
