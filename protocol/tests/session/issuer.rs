//! Keys and records that the tests' anchor issues.

use std::time::{Duration, Instant};

use ed25519_dalek::SigningKey;
use madang_protocol::{
    amount::{Amount, Currency},
    ids::{AccountId, GrantId, KeyId, NetworkId, PublicKey, SessionId},
    limits::{GRANT_SETTLE_WITHIN, GRANT_SPEND_WITHIN},
    record::{
        grant::{Funding, Grant},
        network::Tax,
        passport::{Passport, Role},
        tariff::{Audience, PassOffer, Quota, Rule, Tariff},
    },
    sealed::{Sealed, Trust},
    session::{
        moment::Moment,
        seller::{Seller, SellerTerms},
    },
    time::UnixMillis,
};

pub const NETWORK: NetworkId = NetworkId([7; 16]);
pub const START: UnixMillis = UnixMillis(1_795_000_000_000);
pub const SELLER: u8 = 1;
pub const SELLER_ACCOUNT: AccountId = AccountId([1; 16]);

pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub fn public(seed: u8) -> PublicKey {
    PublicKey::of(&key(seed))
}

fn issuer() -> SigningKey {
    key(200)
}

fn issuer_id() -> KeyId {
    KeyId::of(&PublicKey::of(&issuer()))
}

pub fn trust() -> Trust {
    Trust::new(NETWORK, &[PublicKey::of(&issuer())])
}

/// A clock that only the test moves.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    pub now: Moment,
}

impl Clock {
    pub fn new() -> Self {
        Self {
            now: Moment {
                instant: Instant::now(),
                time: START,
            },
        }
    }

    pub fn pass(&mut self, millis: u64) {
        self.now.instant += Duration::from_millis(millis);
        self.now.time = self.now.time.plus(Duration::from_millis(millis));
    }
}

pub fn passport(device: u8, account: AccountId, handle: &str) -> Sealed<Passport> {
    let passport = Passport {
        issuer: issuer_id(),
        account,
        handle: handle.parse().unwrap(),
        device: public(device),
        role: Role::Subscriber,
        issued: START,
        renew_after: START.plus(Duration::from_secs(86_400)),
        expires: START.plus(Duration::from_secs(14 * 86_400)),
    };
    Sealed::sign(passport, NETWORK, &issuer()).unwrap()
}

pub fn rule(per_request: u64, per_mib: u64, per_minute: u64) -> Rule {
    Rule {
        pattern: "/**".into(),
        audience: Audience::Anyone,
        per_request: Amount::from_micros(per_request),
        per_mib: Amount::from_micros(per_mib),
        per_minute: Amount::from_micros(per_minute),
        pass: None,
        quota: Quota::default(),
        quota_period_days: 0,
    }
}

pub fn pass_rule(price: u64, days: u16) -> Rule {
    Rule {
        pass: Some(PassOffer {
            price: Amount::from_micros(price),
            days,
        }),
        ..rule(0, 0, 0)
    }
}

pub fn tariff(rules: Vec<Rule>, sequence: u64) -> Sealed<Tariff> {
    let tariff = Tariff {
        device: public(SELLER),
        site: "seller".parse().unwrap(),
        currency: Currency::KRW,
        rules,
        valid_from: START,
        valid_until: START.plus(Duration::from_secs(86_400)),
        sequence,
    };
    Sealed::sign(tariff, NETWORK, &key(SELLER)).unwrap()
}

/// What differs between grants in these tests.
#[derive(Debug, Clone, Copy)]
pub struct GrantFor {
    pub id: u8,
    pub device: u8,
    pub account: AccountId,
    pub amount_max: u64,
    pub predecessor: Option<GrantId>,
    pub now: UnixMillis,
}

pub fn grant(tariff: &Sealed<Tariff>, wanted: GrantFor) -> Sealed<Grant> {
    let quotas = tariff.rules.iter().map(|rule| rule.quota).collect();
    grant_with(tariff, wanted, quotas)
}

pub fn grant_with(tariff: &Sealed<Tariff>, wanted: GrantFor, quotas: Vec<Quota>) -> Sealed<Grant> {
    let grant = Grant {
        issuer: issuer_id(),
        id: GrantId([wanted.id; 16]),
        buyer: wanted.account,
        buyer_key: public(wanted.device),
        seller: SELLER_ACCOUNT,
        seller_key: public(SELLER),
        site: "seller".parse().unwrap(),
        tariff: tariff.tariff_hash(),
        currency: Currency::KRW,
        amount_max: Amount::from_micros(wanted.amount_max),
        quotas,
        tax: Tax::NONE,
        commission_bp: 500,
        funding: Funding::Prepaid,
        predecessor: wanted.predecessor,
        issued: wanted.now,
        spend_until: wanted.now.plus(GRANT_SPEND_WITHIN),
        settle_until: wanted.now.plus(GRANT_SETTLE_WITHIN),
    };
    Sealed::sign(grant, NETWORK, &issuer()).unwrap()
}

pub fn seller(device: u8, account: AccountId, tariff: &Sealed<Tariff>) -> Seller {
    Seller::new(SellerTerms {
        session: SessionId([device; 16]),
        site: "seller".parse().unwrap(),
        buyer: public(device),
        account,
        passport: passport(SELLER, SELLER_ACCOUNT, "seller"),
        tariff: tariff.clone(),
        patience: Duration::from_secs(10),
    })
}
