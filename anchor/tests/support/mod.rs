//! A small town for the store's tests and its benchmark: people with devices, price lists, grants, receipts, batches.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test uses its part; a test fails by panicking"
)]

pub(crate) mod database;
pub(crate) mod programs;

use std::{path::Path, sync::Arc};

use ed25519_dalek::SigningKey;
use madang_anchor::{
    ledger::{
        account::{Account, AccountClass},
        policy::Policy,
    },
    store::{self, NewAccount, NewDevice, Options, Store, error::StoreError},
};
use madang_protocol::{
    amount::{Amount, Currency},
    ids::{AccountId, BatchId, GrantId, NetworkId, PublicKey, RequestId},
    name::SiteName,
    record::{
        grant::Grant,
        passport::{Passport, Role},
        receipt::{Counters, Receipt},
        request::{CloseGrant, GrantRequest, Secret},
        settlement::SettleBatch,
        tariff::{Audience, PassOffer, Quota, Rule, Tariff},
    },
    reject::Reject,
    rules::{rating::rate, receipt::trimmed},
    sealed::{Sealed, Unverified},
    time::UnixMillis,
};
use tempfile::TempDir;

use database::Server;

pub(crate) const NETWORK: NetworkId = NetworkId([7; 16]);
/// 2026-11-22T00:00:00Z.
pub(crate) const START: UnixMillis = UnixMillis(1_795_305_600_000);
pub(crate) const SECOND: u64 = 1_000;
pub(crate) const HOUR: u64 = 3_600_000;
pub(crate) const DAY: u64 = 24 * HOUR;

/// A key that is the same in every run.
pub(crate) fn key(number: u64) -> SigningKey {
    let mut seed = [0x5a; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    SigningKey::from_bytes(&seed)
}

pub(crate) fn issuer() -> Arc<SigningKey> {
    Arc::new(key(u64::MAX))
}

pub(crate) fn options(dir: &Path) -> Options {
    let journal = madang_journal::Options::small(dir);
    Options::at(store::Place::Folder(journal), NETWORK, issuer())
}

/// Where stores can be opened, each a new one.
pub(crate) enum Place {
    Folder,
    Database(Arc<Server>),
}

impl Place {
    /// A new store, and its folder, if it has one.
    pub(crate) fn open(&self) -> (Store, Option<TempDir>) {
        self.open_under(Policy::DEFAULT)
    }

    /// A new store under the provider's `policy`.
    pub(crate) fn open_under(&self, policy: Policy) -> (Store, Option<TempDir>) {
        let (options, dir) = match self {
            Self::Folder => {
                let dir = TempDir::new().unwrap();
                (options(dir.path()), Some(dir))
            }
            Self::Database(server) => {
                let place = store::Place::Postgres(server.database());
                (Options::at(place, NETWORK, issuer()), None)
            }
        };
        let options = Options { policy, ..options };
        (Store::open(options).unwrap().0, dir)
    }
}

pub(crate) fn open(dir: &Path) -> Store {
    Store::open(options(dir)).unwrap().0
}

pub(crate) fn seal<T: madang_protocol::sealed::Record>(record: T, key: &SigningKey) -> Sealed<T> {
    Sealed::sign(record, NETWORK, key).unwrap()
}

pub(crate) fn later(time: UnixMillis, millis: u64) -> UnixMillis {
    UnixMillis(time.0 + millis)
}

pub(crate) fn won(units: u64) -> Amount {
    Amount::from_units(units).unwrap()
}

/// A subscriber with one device.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) account: Account,
    pub(crate) key: SigningKey,
}

impl Person {
    /// Creates the account, enrols the device, tops the wallet up.
    pub(crate) fn settle_in(store: &Store, number: u64, won_in: u64, commission_bp: u16) -> Self {
        Self::settle_in_as(AccountClass::Person, store, number, won_in, commission_bp)
    }

    /// As [`Self::settle_in`], whatever kind of subscriber it is.
    pub(crate) fn settle_in_as(
        class: AccountClass,
        store: &Store,
        number: u64,
        won_in: u64,
        commission_bp: u16,
    ) -> Self {
        let account = NewAccount {
            handle: format!("person{number}").parse().unwrap(),
            class,
            commission_bp,
            credit_limit: Amount::ZERO,
            password_hash: Secret("$argon2id$".into()),
        };
        let account = store.create_account(account, START).unwrap().value;
        let key = key(number);
        let device = NewDevice {
            account: account.id,
            key: PublicKey::of(&key),
            label: "pc".into(),
            role: Role::Subscriber,
        };
        store.enrol_device(device, START).unwrap();
        if won_in > 0 {
            let mut request = [1; 16];
            request[..8].copy_from_slice(&number.to_le_bytes());
            store
                .top_up(account.id, won(won_in), RequestId(request), START)
                .unwrap();
        }
        Self { account, key }
    }

    /// An account without a device.
    pub(crate) fn create(store: &Store, number: u64) -> AccountId {
        let account = NewAccount {
            handle: format!("person{number}").parse().unwrap(),
            class: AccountClass::Person,
            commission_bp: 0,
            credit_limit: Amount::ZERO,
            password_hash: Secret("$argon2id$".into()),
        };
        store.create_account(account, START).unwrap().value.id
    }

    pub(crate) fn id(&self) -> AccountId {
        self.account.id
    }

    pub(crate) fn device(&self) -> PublicKey {
        PublicKey::of(&self.key)
    }

    pub(crate) fn site(&self) -> SiteName {
        SiteName::of(self.account.handle.clone())
    }

    pub(crate) fn passport(&self) -> Unverified<Passport> {
        let passport = Passport {
            issuer: madang_protocol::ids::KeyId::of(&PublicKey::of(&issuer())),
            account: self.id(),
            handle: self.account.handle.clone(),
            device: self.device(),
            role: Role::Subscriber,
            issued: START,
            renew_after: later(START, DAY),
            expires: later(START, 14 * DAY),
        };
        seal(passport, &issuer()).into_unverified()
    }

    /// Requests at 500 won with 6 free a day, of which a first grant has 3, MiB at 2 won, a pass of 30 days at 9,000 won.
    pub(crate) fn tariff(&self) -> Sealed<Tariff> {
        let rule = |pattern: &str| Rule {
            pattern: pattern.into(),
            audience: Audience::Subscribers,
            per_request: Amount::ZERO,
            per_mib: Amount::ZERO,
            per_minute: Amount::ZERO,
            pass: None,
            quota: Quota::default(),
            quota_period_days: 0,
        };
        let tariff = Tariff {
            device: self.device(),
            site: self.site(),
            currency: Currency::KRW,
            rules: vec![
                Rule {
                    per_request: won(500),
                    quota: Quota {
                        requests: 6,
                        ..Quota::default()
                    },
                    quota_period_days: 1,
                    ..rule("/reports/**")
                },
                Rule {
                    per_mib: won(2),
                    ..rule("/video/**")
                },
                Rule {
                    pass: Some(PassOffer {
                        price: won(9_000),
                        days: 30,
                    }),
                    ..rule("/club/**")
                },
            ],
            valid_from: START,
            valid_until: later(START, 365 * DAY),
            sequence: 1,
        };
        seal(tariff, &self.key)
    }

    pub(crate) fn ask(
        &self,
        seller: &Self,
        tariff: &Sealed<Tariff>,
        amount_max: Amount,
        number: u64,
        now: UnixMillis,
    ) -> Sealed<GrantRequest> {
        let mut id = [2; 16];
        id[..8].copy_from_slice(&number.to_le_bytes());
        let request = GrantRequest {
            device: self.device(),
            id: RequestId(id),
            seller: seller.passport(),
            tariff_hash: tariff.tariff_hash(),
            tariff: Some(tariff.to_unverified()),
            amount_max,
            predecessor: None,
            time: now,
        };
        seal(request, &self.key)
    }

    /// The receipt of `counters` under `grant`.
    pub(crate) fn receipt(
        &self,
        grant: &Grant,
        tariff: &Tariff,
        sequence: u64,
        counters: &[Counters],
        is_final: bool,
    ) -> Unverified<Receipt> {
        let receipt = Receipt {
            buyer: self.device(),
            grant: grant.id,
            tariff: grant.tariff,
            sequence,
            counters: trimmed(counters).to_vec(),
            amount: rate(tariff, &grant.quotas, counters).unwrap(),
            time: grant.issued,
            is_final,
        };
        seal(receipt, &self.key).into_unverified()
    }

    pub(crate) fn batch(
        &self,
        number: u64,
        receipts: Vec<Unverified<Receipt>>,
        closed: Vec<GrantId>,
        now: UnixMillis,
    ) -> Sealed<SettleBatch> {
        let mut id = [3; 16];
        id[..8].copy_from_slice(&number.to_le_bytes());
        let batch = SettleBatch {
            device: self.device(),
            id: BatchId(id),
            receipts,
            closed,
            time: now,
        };
        seal(batch, &self.key)
    }

    pub(crate) fn close(
        &self,
        grant: GrantId,
        receipt: Option<Unverified<Receipt>>,
        now: UnixMillis,
    ) -> Sealed<CloseGrant> {
        let close = CloseGrant {
            device: self.device(),
            grant,
            receipt,
            time: now,
        };
        seal(close, &self.key)
    }
}

/// Uses of the three rules of [`Person::tariff`].
pub(crate) fn used(requests: u64, bytes: u64, passes: u64) -> Vec<Counters> {
    vec![
        Counters {
            requests,
            ..Counters::default()
        },
        Counters {
            bytes,
            ..Counters::default()
        },
        Counters {
            passes,
            ..Counters::default()
        },
    ]
}

/// The refusal behind an error.
pub(crate) fn refusal<T: std::fmt::Debug>(result: Result<T, StoreError>) -> Reject {
    match result {
        Err(StoreError::Refused(reject)) => reject,
        other => panic!("a refusal is expected: {other:?}"),
    }
}
