//! [`Market`]: who trades at the anchor; and [`Books`], what the anchor says that everybody owes, held against what the stalls know.

use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use ed25519_dalek::SigningKey;
use madang_protocol::{
    amount::{Amount, Currency},
    broker::{Bill, BillLine, ENROL, QUERY, Side, Wallet},
    codec,
    ids::{GrantId, NetworkId, PublicKey},
    record::{
        passport::Passport,
        request::{Enrol, Query, Question, Secret},
        tariff::{Audience, Quota, Rule, Tariff},
    },
    sealed::{Record, Sealed, Trust, Unverified},
    time::UnixMillis,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    stall::{GRANT_REQUESTS, Stall},
    wire::{Unknown, Wire},
};

/// What one request costs, in millionths of the currency, and what of it is the seller's: the provider takes 5 %. So little that no machine is fast
/// enough to spend what a device may be granted in a day.
pub(crate) const PRICE: u64 = 200_000;
const SHARE: u64 = 190_000;

pub(crate) fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    UnixMillis(u64::try_from(since.as_millis()).unwrap())
}

/// A subscriber's device.
pub(crate) struct Device {
    handle: &'static str,
    key: SigningKey,
    pub(crate) passport: Option<Unverified<Passport>>,
}

impl Device {
    pub(crate) fn public(&self) -> PublicKey {
        PublicKey::of(&self.key)
    }
}

/// A buyer with `topped_up` millionths in its wallet, and a seller of requests.
pub(crate) struct Market {
    trust: Trust,
    network: NetworkId,
    pub(crate) buyer: Device,
    pub(crate) seller: Device,
    pub(crate) tariff: Sealed<Tariff>,
    topped_up: u64,
}

impl Market {
    /// Enrols a device of `bob`, who buys, and one of `alice`, who sells.
    pub(crate) async fn open(
        wire: &mut Wire,
        trust: Trust,
        password: &str,
        topped_up: u64,
    ) -> Result<Self, Unknown> {
        let device = |handle, seed| Device {
            handle,
            key: SigningKey::from_bytes(&[seed; 32]),
            passport: None,
        };
        let (mut buyer, mut seller) = (device("bob", 2), device("alice", 1));
        let network = trust.network();
        let tariff = Sealed::sign(tariff(&seller), network, &seller.key).unwrap();
        for one in [&mut buyer, &mut seller] {
            let enrol = Enrol {
                device: one.public(),
                handle: one.handle.parse().unwrap(),
                password: Secret(password.to_owned()),
                label: "PC".to_owned(),
                time: now(),
            };
            let enrol = Sealed::sign(enrol, network, &one.key).unwrap();
            let passport = wire.post(ENROL, &enrol.to_bytes()).await?;
            one.passport = Some(Unverified::from_bytes(&passport).unwrap());
        }
        Ok(Self {
            trust,
            network,
            buyer,
            seller,
            tariff,
            topped_up,
        })
    }

    pub(crate) fn seal<T: Record>(&self, by: &Device, record: T) -> Sealed<T> {
        Sealed::sign(record, self.network, &by.key).unwrap()
    }

    pub(crate) fn record<T: Record>(&self, octets: &[u8]) -> Sealed<T> {
        Unverified::<T>::from_bytes(octets)
            .unwrap()
            .verify(&self.trust)
            .unwrap()
    }

    async fn query<T: Serialize + DeserializeOwned>(
        &self,
        wire: &mut Wire,
        by: &Device,
        question: Question,
    ) -> Result<T, Unknown> {
        let query = Query {
            device: by.public(),
            question,
            time: now(),
        };
        let answer = wire.post(QUERY, &self.seal(by, query).to_bytes()).await?;
        Ok(codec::decode(&answer, 1 << 20).unwrap())
    }
}

fn tariff(seller: &Device) -> Tariff {
    Tariff {
        device: seller.public(),
        site: seller.handle.parse().unwrap(),
        currency: Currency::KRW,
        rules: vec![Rule {
            pattern: "/reports/**".to_owned(),
            audience: Audience::Anyone,
            per_request: Amount::from_micros(PRICE),
            per_mib: Amount::ZERO,
            per_minute: Amount::ZERO,
            pass: None,
            quota: Quota::default(),
            quota_period_days: 0,
        }],
        valid_from: now(),
        valid_until: UnixMillis(now().0 + 86_400_000),
        sequence: 1,
    }
}

/// What the anchor says.
pub(crate) struct Books {
    bought: Wallet,
    sold: Wallet,
    purchases: BTreeMap<GrantId, BillLine>,
    sales: BTreeMap<GrantId, BillLine>,
}

impl Books {
    pub(crate) async fn read(wire: &mut Wire, market: &Market) -> Result<Self, Unknown> {
        Ok(Self {
            bought: market.query(wire, &market.buyer, Question::Wallet).await?,
            sold: market.query(wire, &market.seller, Question::Wallet).await?,
            purchases: bill(wire, market, &market.buyer, Side::Purchase).await?,
            sales: bill(wire, market, &market.seller, Side::Sale).await?,
        })
    }

    /// Each grant stands where it was acknowledged or, with all of what was under way together, one call beyond.
    pub(crate) fn check_after_kill(&self, stalls: &[Stall]) {
        for stall in stalls {
            let raised = stall
                .in_flight
                .as_ref()
                .map_or(&[][..], |call| &call.raised);
            let stands = |grant: &GrantId| self.purchases.get(grant).map_or(0, requests);
            let is_done = raised
                .iter()
                .any(|(grant, _)| stands(grant) != stall.sales[grant].settled);
            for (grant, sale) in &stall.sales {
                let under_way = raised.iter().find(|(one, _)| one == grant);
                let expected = match under_way {
                    Some((_, requests)) if is_done => *requests,
                    _ => sale.settled,
                };
                assert_eq!(stands(grant), expected, "{grant}, {sale:?}, {under_way:?}");
            }
        }
    }

    /// Nothing is under way: every amount is what the stalls know, to the last unit.
    pub(crate) fn check_at_rest(&self, stalls: &[Stall], market: &Market) {
        assert!(stalls.iter().all(|stall| stall.in_flight.is_none()));
        let (mut settled, mut held, mut lines) = (0, 0, 0);
        for (grant, sale) in stalls.iter().flat_map(|stall| &stall.sales) {
            settled += sale.settled;
            if !(sale.seller_closed && sale.buyer_closed) {
                held += GRANT_REQUESTS - sale.settled;
            }
            if sale.settled > 0 {
                lines += 1;
                for side in [&self.purchases, &self.sales] {
                    let line = &side[grant];
                    assert_eq!(requests(line), sale.settled, "{grant}");
                    assert_eq!(line.earned, Amount::from_micros(sale.settled * SHARE));
                }
            }
        }
        assert_eq!((self.purchases.len(), self.sales.len()), (lines, lines));
        assert_eq!(
            self.bought.posted,
            Amount::from_micros(market.topped_up - settled * PRICE)
        );
        assert_eq!(self.bought.held, Amount::from_micros(held * PRICE));
        assert_eq!(
            self.bought.available,
            Amount::from_micros(market.topped_up - (settled + held) * PRICE)
        );
        assert_eq!(self.sold.earned, Amount::from_micros(settled * SHARE));
    }
}

/// What a line of a bill counts, after checking that it is what it costs.
fn requests(line: &BillLine) -> u64 {
    let requests = line.counters[0].requests;
    assert_eq!(
        (line.amount, line.debit),
        (
            Amount::from_micros(requests * PRICE),
            Amount::from_micros(requests * PRICE)
        )
    );
    requests
}

async fn bill(
    wire: &mut Wire,
    market: &Market,
    of: &Device,
    side: Side,
) -> Result<BTreeMap<GrantId, BillLine>, Unknown> {
    let mut lines = BTreeMap::new();
    let mut before = None;
    loop {
        let question = Question::Bill { before, limit: 500 };
        let page: Bill = market.query(wire, of, question).await?;
        for line in page.lines {
            assert_eq!(line.side, side);
            assert!(
                lines.insert(line.grant, line).is_none(),
                "a grant has one line"
            );
        }
        match page.more_before {
            None => return Ok(lines),
            more => before = more,
        }
    }
}
