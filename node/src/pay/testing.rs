//! The records that the tests here share: one seller, one buyer and one issuer, each with a key of its own.
#![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

use ed25519_dalek::SigningKey;
use madang_protocol::{
    amount::{Amount, Currency},
    ids::{AccountId, GrantId, KeyId, NetworkId, PublicKey},
    name::SiteName,
    record::{
        grant::{Funding, Grant},
        network::Tax,
        tariff::{Audience, PassOffer, Quota, Rule, Tariff},
    },
    sealed::{Record, Sealed, Unverified},
    time::UnixMillis,
};

pub(super) const NOW: UnixMillis = UnixMillis(1_795_305_600_000);
pub(super) const HOUR: u64 = 3_600_000;
pub(super) const DAY: u64 = 24 * HOUR;

/// Whose signature is on what.
pub(super) const SELLER: u8 = 1;
pub(super) const BUYER: u8 = 2;
pub(super) const ISSUER: u8 = 3;

pub(super) fn later(time: UnixMillis, by: u64) -> UnixMillis {
    UnixMillis(time.0 + by)
}

pub(super) fn id(number: usize) -> GrantId {
    GrantId((number as u128).to_be_bytes())
}

/// A grant for `site` that is spent for an hour and settled for two weeks.
pub(super) fn grant(
    number: usize,
    site: &SiteName,
    tax: Tax,
    issued: UnixMillis,
) -> Unverified<Grant> {
    let grant = Grant {
        issuer: KeyId::of(&public(ISSUER)),
        id: id(number),
        buyer: AccountId([2; 16]),
        buyer_key: public(BUYER),
        seller: AccountId([1; 16]),
        seller_key: public(SELLER),
        site: site.clone(),
        tariff: tariff(site, None).tariff_hash(),
        currency: Currency::KRW,
        amount_max: Amount::from_micros(1 << 40),
        quotas: vec![Quota::default()],
        tax,
        commission_bp: 0,
        funding: Funding::Prepaid,
        predecessor: None,
        issued,
        spend_until: later(issued, HOUR),
        settle_until: later(issued, 14 * DAY),
    };
    seal(grant, ISSUER)
}

/// A base unit for each request.
pub(super) fn tariff(site: &SiteName, pass: Option<PassOffer>) -> Unverified<Tariff> {
    let rule = Rule {
        pattern: "/**".into(),
        audience: Audience::Anyone,
        per_request: Amount::from_micros(1),
        per_mib: Amount::ZERO,
        per_minute: Amount::ZERO,
        pass,
        quota: Quota::default(),
        quota_period_days: 0,
    };
    let tariff = Tariff {
        device: public(SELLER),
        site: site.clone(),
        currency: Currency::KRW,
        rules: vec![rule],
        valid_from: NOW,
        valid_until: later(NOW, DAY),
        sequence: 1,
    };
    seal(tariff, SELLER)
}

pub(super) fn seal<T: Record>(record: T, by: u8) -> Unverified<T> {
    let sealed = Sealed::sign(record, NetworkId([7; 16]), &key(by));
    sealed.unwrap().into_unverified()
}

pub(super) fn public(of: u8) -> PublicKey {
    PublicKey::of(&key(of))
}

fn key(of: u8) -> SigningKey {
    SigningKey::from_bytes(&[of; 32])
}
