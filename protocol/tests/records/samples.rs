//! One of each record, with fixed keys and values.

use std::time::Duration;

use ed25519_dalek::SigningKey;
use madang_protocol::{
    amount::{Amount, Currency},
    codec,
    ids::{AccountId, BatchId, GrantId, KeyId, NetworkId, PublicKey, RecordHash, RequestId},
    record::{
        announcement::Announcement,
        grant::{Funding, Grant},
        head::{ChainHead, HeadStatement},
        network::{NetworkDescriptor, Tax, TaxMode},
        pass::Pass,
        passport::{Passport, Role},
        presence::Presence,
        receipt::{Counters, Receipt},
        request::{CloseGrant, Enrol, GrantRequest, Query, Question, Secret, SignIn, SignedIn},
        revocation::RevocationList,
        settlement::{Judgement, Outcome, SettleBatch, Verdict},
        tariff::{Audience, PassOffer, Quota, Rule, Tariff},
        usage::{UsageReport, UsageRow, Visitor},
    },
    reject::Reject,
    sealed::{Record, Sealed, Trust, Unverified},
    time::{Day, UnixMillis},
};

pub const NETWORK: NetworkId = NetworkId([0x4e; 16]);
pub const TIME: UnixMillis = UnixMillis(0x0000_01a2_0000_0000);

pub fn device() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

pub fn buyer() -> SigningKey {
    SigningKey::from_bytes(&[2; 32])
}

pub fn issuer() -> SigningKey {
    SigningKey::from_bytes(&[3; 32])
}

pub fn public(key: &SigningKey) -> PublicKey {
    PublicKey::of(key)
}

fn issuer_id() -> KeyId {
    KeyId::of(&public(&issuer()))
}

pub fn trust() -> Trust {
    Trust::new(NETWORK, &[public(&issuer())])
}

fn seal<T: Record>(value: T, key: &SigningKey) -> Sealed<T> {
    Sealed::sign(value, NETWORK, key).unwrap()
}

fn later(days: u64) -> UnixMillis {
    TIME.plus(Duration::from_secs(days * 86_400))
}

/// A record as octets, its payload by fields, and its kind's reader.
pub struct Sample {
    pub name: &'static str,
    pub domain: &'static str,
    pub octets_max: usize,
    pub key: SigningKey,
    pub fields: Vec<(&'static str, Vec<u8>)>,
    pub octets: Vec<u8>,
    pub read: fn(&[u8]) -> Result<(), Reject>,
}

impl Sample {
    pub fn payload(&self) -> Vec<u8> {
        self.fields
            .iter()
            .flat_map(|(_, octets)| octets.clone())
            .collect()
    }
}

fn read<T: Record>(octets: &[u8]) -> Result<(), Reject> {
    Unverified::<T>::from_bytes(octets)?
        .verify(&trust())
        .map(|_| ())
}

macro_rules! sample {
    ($kind:ident, $value:expr, $key:expr, [$($field:ident)*]) => {{
        let value: $kind = $value;
        let fields = vec![$((stringify!($field), codec::encode(&value.$field))),*];
        Sample {
            name: stringify!($kind),
            domain: $kind::DOMAIN,
            octets_max: $kind::BYTES_MAX,
            fields,
            octets: seal(value, &$key).to_bytes(),
            key: $key,
            read: read::<$kind>,
        }
    }};
}

pub fn passport() -> Passport {
    Passport {
        issuer: issuer_id(),
        account: AccountId([0xa1; 16]),
        handle: "alice".parse().unwrap(),
        device: public(&device()),
        role: Role::Hub,
        issued: TIME,
        renew_after: later(1),
        expires: later(14),
    }
}

pub fn tariff() -> Tariff {
    Tariff {
        device: public(&device()),
        site: "blog--alice".parse().unwrap(),
        currency: Currency::KRW,
        rules: vec![Rule {
            pattern: "/보고서/**".into(),
            audience: Audience::Subscribers,
            per_request: Amount::from_micros(500_000_000),
            per_mib: Amount::from_micros(2_000_000),
            per_minute: Amount::from_micros(10_000_000),
            pass: Some(PassOffer {
                price: Amount::from_micros(1_000_000_000),
                days: 30,
            }),
            quota: Quota {
                requests: 1,
                bytes: 2,
                milliseconds: 3,
            },
            quota_period_days: 7,
        }],
        valid_from: TIME,
        valid_until: later(365),
        sequence: 5,
    }
}

pub fn grant() -> Grant {
    Grant {
        issuer: issuer_id(),
        id: GrantId([0x61; 16]),
        buyer: AccountId([0xb0; 16]),
        buyer_key: public(&buyer()),
        seller: AccountId([0xa1; 16]),
        seller_key: public(&device()),
        site: "blog--alice".parse().unwrap(),
        tariff: seal(tariff(), &device()).tariff_hash(),
        currency: Currency::KRW,
        amount_max: Amount::from_micros(10_000_000_000),
        quotas: vec![Quota {
            requests: 1,
            bytes: 2,
            milliseconds: 3,
        }],
        tax: Tax {
            rate_bp: 1_000,
            mode: TaxMode::Exclusive,
        },
        commission_bp: 500,
        funding: Funding::Postpaid,
        predecessor: Some(GrantId([0x60; 16])),
        issued: TIME,
        spend_until: TIME.plus(Duration::from_secs(3_600)),
        settle_until: later(14),
    }
}

pub fn receipt() -> Receipt {
    Receipt {
        buyer: public(&buyer()),
        grant: GrantId([0x61; 16]),
        tariff: seal(tariff(), &device()).tariff_hash(),
        sequence: 9,
        counters: vec![Counters {
            requests: 2,
            bytes: 3,
            milliseconds: 4,
            passes: 1,
        }],
        amount: Amount::from_micros(1_500_000_169),
        time: TIME,
        is_final: true,
    }
}

pub fn pass() -> Pass {
    Pass {
        issuer: issuer_id(),
        account: AccountId([0xb0; 16]),
        site: "blog--alice".parse().unwrap(),
        pattern: "/보고서/**".into(),
        grant: GrantId([0x61; 16]),
        issued: TIME,
        until: later(30),
    }
}

fn announcement() -> Announcement {
    Announcement {
        device: public(&device()),
        site: "blog--alice".parse().unwrap(),
        title: "Alice".into(),
        description: "마당".into(),
        keywords: vec!["날씨".into()],
        tariff: Some(seal(tariff(), &device()).tariff_hash()),
        audience: Audience::Members(madang_protocol::ids::GroupId([0x67; 16])),
        addresses: vec!["/ip4/192.0.2.1/tcp/4001".into()],
        sequence: 3,
        issued: TIME,
        expires: later(2),
        passport: seal(passport(), &issuer()).into_unverified(),
    }
}

fn descriptor() -> NetworkDescriptor {
    NetworkDescriptor {
        issuer: issuer_id(),
        network: NETWORK,
        name: "Madang".into(),
        currency: Currency::KRW,
        tax: Tax {
            rate_bp: 1_000,
            mode: TaxMode::Inclusive,
        },
        issuers: vec![public(&issuer())],
        bootstrap: vec!["/ip4/192.0.2.1/tcp/4001/p2p/x".into()],
        sequence: 2,
        issued: TIME,
    }
}

fn revocations() -> RevocationList {
    RevocationList {
        issuer: issuer_id(),
        sequence: 4,
        devices: vec![PublicKey([8; 32])],
        accounts: vec![AccountId([9; 16])],
        issued: TIME,
    }
}

fn heads() -> HeadStatement {
    let head = |chain, instance: &str| ChainHead {
        chain,
        instance: instance.into(),
        link: 12,
        entry: 34,
        hash: RecordHash([0x56; 32]),
    };
    HeadStatement {
        issuer: issuer_id(),
        day: TIME.day(),
        heads: vec![head(0, ""), head(2, "b")],
        time: TIME,
    }
}

fn signed_in() -> SignedIn {
    SignedIn {
        issuer: issuer_id(),
        nonce: [0x11; 16],
        time: TIME,
        passport: seal(passport(), &issuer()).into_unverified(),
        descriptor: seal(descriptor(), &issuer()).into_unverified(),
        revocations: seal(revocations(), &issuer()).into_unverified(),
        passes: vec![seal(pass(), &issuer()).into_unverified()],
    }
}

fn usage() -> UsageReport {
    UsageReport {
        device: public(&device()),
        day: Day(20_000),
        sequence: 6,
        rows: vec![UsageRow {
            site: "alice".parse().unwrap(),
            group: None,
            visitor: Visitor::Subscriber,
            requests_free: 1,
            requests_paid: 2,
            bytes: 3,
            sessions: 4,
        }],
        time: TIME,
    }
}

fn grant_request() -> GrantRequest {
    let list = seal(tariff(), &device()).into_unverified();
    GrantRequest {
        device: public(&buyer()),
        id: RequestId([0x72; 16]),
        seller: seal(passport(), &issuer()).into_unverified(),
        tariff_hash: list.tariff_hash(),
        tariff: Some(list),
        amount_max: Amount::from_micros(7),
        predecessor: None,
        time: TIME,
    }
}

fn verdict() -> Verdict {
    let outcome = |judgement| Outcome {
        grant: GrantId([0x61; 16]),
        judgement,
        settled: Amount::from_micros(20),
        earned: Amount::from_micros(19),
    };
    Verdict {
        issuer: issuer_id(),
        batch: BatchId([0x62; 16]),
        batch_hash: RecordHash([0x63; 32]),
        outcomes: vec![
            outcome(Judgement::Applied),
            outcome(Judgement::Rejected(Reject::RECEIPT_FORKED)),
        ],
        entry: 77,
        time: TIME,
    }
}

/// What a device asks of the anchor.
fn requests() -> Vec<Sample> {
    let enrol = Enrol {
        device: public(&device()),
        handle: "alice".parse().unwrap(),
        password: Secret("correct horse".into()),
        label: "laptop".into(),
        time: TIME,
    };
    let sign_in = SignIn {
        device: public(&device()),
        handle: "alice".parse().unwrap(),
        addresses: vec!["/ip4/192.0.2.1/tcp/4001".into()],
        nonce: [0x11; 16],
        time: TIME,
    };
    let presence = Presence {
        device: public(&device()),
        addresses: vec!["/ip4/192.0.2.1/tcp/4001".into()],
        announcements: vec![seal(announcement(), &device()).into_unverified()],
        tariffs: vec![seal(tariff(), &device()).into_unverified()],
        leaving: false,
        sequence: 8,
        time: TIME,
    };
    let close = CloseGrant {
        device: public(&buyer()),
        grant: GrantId([0x61; 16]),
        receipt: Some(seal(receipt(), &buyer()).into_unverified()),
        time: TIME,
    };
    let query = Query {
        device: public(&device()),
        question: Question::Bill {
            before: Some(5),
            limit: 100,
        },
        time: TIME,
    };
    let batch = SettleBatch {
        device: public(&device()),
        id: BatchId([0x62; 16]),
        receipts: vec![seal(receipt(), &buyer()).into_unverified()],
        closed: vec![GrantId([0x61; 16])],
        time: TIME,
    };
    vec![
        sample!(Enrol, enrol, device(), [device handle password label time]),
        sample!(SignIn, sign_in, device(), [device handle addresses nonce time]),
        sample!(Presence, presence, device(), [device addresses announcements tariffs leaving sequence time]),
        sample!(GrantRequest, grant_request(), buyer(), [device id seller tariff_hash tariff amount_max predecessor time]),
        sample!(CloseGrant, close, buyer(), [device grant receipt time]),
        sample!(Query, query, device(), [device question time]),
        sample!(SettleBatch, batch, device(), [device id receipts closed time]),
        sample!(UsageReport, usage(), device(), [device day sequence rows time]),
    ]
}

/// One of each kind.
pub fn all() -> Vec<Sample> {
    let mut samples = requests();
    samples.extend([
        sample!(Passport, passport(), issuer(), [issuer account handle device role issued renew_after expires]),
        sample!(
            Announcement, announcement(), device(),
            [device site title description keywords tariff audience addresses sequence issued expires passport]
        ),
        sample!(Tariff, tariff(), device(), [device site currency rules valid_from valid_until sequence]),
        sample!(
            Grant, grant(), issuer(),
            [issuer id buyer buyer_key seller seller_key site tariff currency amount_max quotas tax commission_bp funding
             predecessor issued spend_until settle_until]
        ),
        sample!(Receipt, receipt(), buyer(), [buyer grant tariff sequence counters amount time is_final]),
        sample!(Verdict, verdict(), issuer(), [issuer batch batch_hash outcomes entry time]),
        sample!(Pass, pass(), issuer(), [issuer account site pattern grant issued until]),
        sample!(HeadStatement, heads(), issuer(), [issuer day heads time]),
        sample!(RevocationList, revocations(), issuer(), [issuer sequence devices accounts issued]),
        sample!(
            NetworkDescriptor, descriptor(), issuer(),
            [issuer network name currency tax issuers bootstrap sequence issued]
        ),
        sample!(SignedIn, signed_in(), issuer(), [issuer nonce time passport descriptor revocations passes]),
    ]);
    samples
}
