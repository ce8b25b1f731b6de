//! A buyer, a seller and their money in an ordinary map. The books are audited after each event.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use madang_protocol::{
    amount::{Amount, Currency},
    ids::{AccountId, BatchId, GrantId, KeyId, PublicKey, RecordHash, RequestId, TariffHash},
    record::{grant::Funding, network::Tax, request::Secret},
    reject::Reject,
    rules::settlement::{hold_for, split},
    time::UnixMillis,
};

use super::{
    account::{self, Account, AccountClass, AccountStatus},
    adjustment::{self, Adjustment, AdjustmentKind},
    audit::audit,
    booking::Decision,
    entry::{Balance, balance},
    event::{self, Event},
    grant::{Ask, Granted},
    policy::Policy,
    progress::{self, Before, Best},
    settled::{Move, Settled, Source},
    table::LedgerAccount,
    terms::Terms,
    top_up::{self, TopUp},
    view::{Fault, testing::MapTables},
};

pub(super) const BUYER: AccountId = AccountId([3; 16]);
pub(super) const SELLER: AccountId = AccountId([5; 16]);
pub(super) const DAY: u64 = 24 * 3_600_000;

/// How grants of a test are taxed and shared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms1 {
    pub(super) tax: Tax,
    pub(super) commission_bp: u16,
}

#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) tables: MapTables,
    pub(super) now: UnixMillis,
    entry: u64,
    rates: Terms1,
}

pub(super) fn micros(amount: u64) -> Amount {
    Amount::from_micros(amount)
}

pub(super) fn refusal<T: std::fmt::Debug>(result: Result<T, Fault>) -> Reject {
    match result {
        Err(Fault::Refused(reject)) => reject,
        other => panic!("a refusal is expected: {other:?}"),
    }
}

impl World {
    pub(super) fn new(rates: Terms1) -> Self {
        let mut world = Self {
            tables: MapTables::default(),
            now: UnixMillis(1_000 * DAY),
            entry: 0,
            rates,
        };
        for (id, handle) in [(BUYER, "buyer"), (SELLER, "seller")] {
            let account = Account {
                id,
                handle: handle.parse().unwrap(),
                class: AccountClass::Person,
                commission_bp: rates.commission_bp,
                credit_limit: Amount::ZERO,
                password_hash: Secret("$argon2id$".into()),
                status: AccountStatus::Active,
                created: world.now,
            };
            let event = account::decide_create(&world.tables, account).unwrap();
            world.apply(&event);
        }
        world
    }

    /// Applies an event and looks at the books. Gives its entry.
    pub(super) fn apply(&mut self, event: &Event) -> u64 {
        self.apply_payload(&event.to_payload())
    }

    fn apply_payload(&mut self, payload: &[u8]) -> u64 {
        self.entry += 1;
        event::apply(&mut self.tables, self.entry, payload).unwrap();
        audit(&self.tables).unwrap();
        self.entry
    }

    pub(super) fn balance(&self, account: LedgerAccount) -> Balance {
        balance(&self.tables, account, Currency::KRW).unwrap()
    }

    pub(super) fn top_up(&mut self, request: u8, amount: u64) -> u64 {
        let top_up = TopUp {
            request: RequestId([request; 16]),
            account: BUYER,
            amount: micros(amount),
            currency: Currency::KRW,
            time: self.now,
        };
        let decided = top_up::decide(&self.tables, &Policy::DEFAULT, top_up);
        self.book(decided).unwrap()
    }

    pub(super) fn adjust(
        &mut self,
        request: u8,
        kind: AdjustmentKind,
        amount: u64,
    ) -> Result<u64, Fault> {
        let asked = Adjustment {
            request: RequestId([request; 16]),
            account: BUYER,
            kind,
            amount: micros(amount),
            currency: Currency::KRW,
            reason: "since".into(),
            time: self.now,
        };
        let decided = adjustment::decide(&self.tables, &Policy::DEFAULT, asked);
        self.book(decided)
    }

    fn book(&mut self, decided: Result<Decision, Fault>) -> Result<u64, Fault> {
        match decided? {
            Decision::Book(event) => Ok(self.apply(&event)),
            Decision::Booked(entry) => Ok(entry),
        }
    }

    /// Grants as much, whatever there is: what may be granted is decided elsewhere.
    pub(super) fn grant(&mut self, number: u8, amount_max: u64) -> GrantId {
        let (grant, amount_max) = (GrantId([number; 16]), micros(amount_max));
        let terms = Terms {
            issuer: KeyId([2; 8]),
            buyer: BUYER,
            buyer_key: PublicKey([4; 32]),
            seller: SELLER,
            seller_key: PublicKey([6; 32]),
            site: "seller".into(),
            tariff: TariffHash([7; 32]),
            currency: Currency::KRW,
            amount_max,
            hold: hold_for(amount_max, self.rates.tax).unwrap(),
            tax: self.rates.tax,
            commission_bp: self.rates.commission_bp,
            funding: Funding::Prepaid,
            predecessor: None,
            request: RequestId([number; 16]),
            issued: self.now,
            spend_until: UnixMillis(self.now.0 + DAY / 24),
            settle_until: UnixMillis(self.now.0 + 14 * DAY),
            quotas: vec![],
            quota_keys: vec![],
            entry: 0,
            lots: vec![],
        };
        let ask = Ask {
            seller_key: terms.seller_key,
            tariff: terms.tariff,
            amount_max,
            predecessor: None,
        };
        self.apply(&Event::Granted(Box::new(Granted {
            grant,
            ask,
            terms,
            tariff: Some(vec![1]),
        })));
        grant
    }

    /// Settles a cumulative amount.
    pub(super) fn settle(&mut self, grant: GrantId, amount: u64) {
        let rates = self.rates;
        let before = progress::get(&self.tables, &grant).unwrap();
        let best = Best {
            sequence: 1,
            amount: micros(amount),
            split: split(micros(amount), rates.tax, rates.commission_bp).unwrap(),
            receipt: RecordHash([10; 32]),
            is_final: false,
            counters: vec![],
        };
        let one = Move {
            grant,
            best,
            since: before.best.as_ref().map(Before::of),
            closes_seller: false,
            ends_hold: false,
            passes: vec![],
            sealed: vec![],
        };
        self.apply_payload(&self.settled(vec![one], vec![]).to_payload());
    }

    /// Ends the hold of a grant.
    pub(super) fn end(&mut self, grant: GrantId) {
        self.apply_payload(&self.settled(vec![], vec![grant]).to_payload());
    }

    fn settled(&self, moves: Vec<Move>, ended: Vec<GrantId>) -> Settled {
        Settled {
            source: Source::Batch {
                device: PublicKey([6; 32]),
                id: BatchId([11; 16]),
                hash: RecordHash([12; 32]),
            },
            time: self.now,
            outcomes: vec![],
            moves,
            seller_closed: vec![],
            ended,
        }
    }

    /// Lets `days` pass, and what is due happen.
    pub(super) fn wait(&mut self, days: u64) {
        self.now = UnixMillis(self.now.0 + days * DAY);
        while let Some(event) = super::sweep::decide(&self.tables, self.now).unwrap() {
            self.apply(&event);
        }
    }
}
