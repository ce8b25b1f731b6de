//! [`Stall`]: one till of the seller, with a buyer in front of it. It does one thing at a time, notes it before it is sent, and asks again with the
//! same octets until an answer came.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use madang_protocol::{
    amount::Amount,
    broker::{CLOSE, GRANT, SETTLE},
    ids::{BatchId, GrantId, RequestId},
    record::{
        grant::Grant,
        receipt::{Counters, Receipt},
        request::{CloseGrant, GrantRequest},
        settlement::{Judgement, SettleBatch, Verdict},
    },
    sealed::{Sealed, Unverified},
};

use crate::{
    books::{Market, PRICE, now},
    dice::Dice,
    wire::{Unknown, Wire},
};

/// Requests that one grant pays for.
pub(crate) const GRANT_REQUESTS: u64 = 12;
/// Grants that are open at once.
const OPEN_MAX: usize = 4;

/// What is known of a grant: the requests that were acknowledged as settled, and who has closed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sale {
    pub(crate) settled: u64,
    pub(crate) seller_closed: bool,
    pub(crate) buyer_closed: bool,
}

/// A call and its octets.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) path: &'static str,
    octets: Vec<u8>,
    /// The requests that it settles, by grant, and whether it closes the grant.
    pub(crate) raised: Vec<(GrantId, u64)>,
}

pub(crate) struct Stall {
    market: Arc<Market>,
    dice: Dice,
    grants: BTreeMap<GrantId, Sealed<Grant>>,
    pub(crate) sales: BTreeMap<GrantId, Sale>,
    pub(crate) in_flight: Option<Call>,
    /// Calls that were answered, with the answers: they are answered so for ever.
    pub(crate) answered: Vec<(Call, Bytes)>,
}

impl Stall {
    pub(crate) fn new(market: Arc<Market>, dice: Dice) -> Self {
        Self {
            market,
            dice,
            grants: BTreeMap::new(),
            sales: BTreeMap::new(),
            in_flight: None,
            answered: Vec::new(),
        }
    }

    /// Trades until the anchor is gone.
    pub(crate) async fn trade(mut self, anchor: SocketAddr) -> Self {
        let Ok(mut wire) = Wire::to(anchor).await else {
            return self;
        };
        while self.step(&mut wire).await.is_ok() {}
        self
    }

    /// Asks again what was not answered.
    pub(crate) async fn catch_up(&mut self, wire: &mut Wire) -> Result<(), Unknown> {
        if self.in_flight.is_some() {
            self.step(wire).await?;
        }
        Ok(())
    }

    /// Asks something again that was answered: the answer must be the same to the octet.
    pub(crate) async fn ask_again(&self, wire: &mut Wire, at: usize) -> Result<(), Unknown> {
        let (call, answer) = &self.answered[at];
        let again = wire.post(call.path, &call.octets).await?;
        assert_eq!(&again, answer, "another answer to what was answered before");
        Ok(())
    }

    async fn step(&mut self, wire: &mut Wire) -> Result<(), Unknown> {
        let call = match &self.in_flight {
            Some(call) => call.clone(),
            None => self.next(),
        };
        self.in_flight = Some(call.clone());
        let answer = wire.post(call.path, &call.octets).await?;
        self.in_flight = None;
        self.note(call, answer);
        Ok(())
    }

    fn next(&mut self) -> Call {
        let done = |sale: &&Sale| sale.seller_closed && !sale.buyer_closed;
        let to_close = self
            .sales
            .iter()
            .find(|(_, sale)| done(sale))
            .map(|(id, _)| *id);
        if let Some(grant) = to_close {
            return self.close(grant);
        }
        let open = self.open();
        if open.is_empty() || (open.len() < OPEN_MAX && self.dice.one_in(4)) {
            return self.ask_grant();
        }
        self.settle(open)
    }

    fn open(&self) -> Vec<GrantId> {
        let open = self.sales.iter().filter(|(_, sale)| !sale.seller_closed);
        open.map(|(id, _)| *id).collect()
    }

    fn ask_grant(&mut self) -> Call {
        let market = &self.market;
        let request = market.seal(
            &market.buyer,
            GrantRequest {
                device: market.buyer.public(),
                id: RequestId(self.dice.id()),
                seller: market.seller.passport.clone().unwrap(),
                tariff_hash: market.tariff.tariff_hash(),
                tariff: Some(market.tariff.to_unverified()),
                amount_max: Amount::from_micros(GRANT_REQUESTS * PRICE),
                predecessor: None,
                time: now(),
            },
        );
        Call {
            path: GRANT,
            octets: request.to_bytes(),
            raised: Vec::new(),
        }
    }

    /// A batch of some of `open`, each with 1 to 3 requests more; the last request closes the grant.
    fn settle(&mut self, open: Vec<GrantId>) -> Call {
        let mut raised = Vec::new();
        for grant in open {
            if raised.is_empty() || !self.dice.one_in(3) {
                let more = 1 + self.dice.below(3);
                raised.push((
                    grant,
                    (self.sales[&grant].settled + more).min(GRANT_REQUESTS),
                ));
            }
        }
        let receipts = raised
            .iter()
            .map(|(grant, requests)| self.receipt(*grant, *requests));
        let closed = raised
            .iter()
            .filter(|(_, requests)| *requests == GRANT_REQUESTS);
        let market = &self.market;
        let batch = SettleBatch {
            device: market.seller.public(),
            id: BatchId([0; 16]),
            receipts: receipts.collect(),
            closed: closed.map(|(grant, _)| *grant).collect(),
            time: now(),
        };
        let batch = SettleBatch {
            id: BatchId(self.dice.id()),
            ..batch
        };
        let octets = market.seal(&market.seller, batch).to_bytes();
        Call {
            path: SETTLE,
            octets,
            raised,
        }
    }

    fn close(&self, grant: GrantId) -> Call {
        let market = &self.market;
        let close = CloseGrant {
            device: market.buyer.public(),
            grant,
            receipt: Some(self.receipt(grant, GRANT_REQUESTS)),
            time: now(),
        };
        let octets = market.seal(&market.buyer, close).to_bytes();
        Call {
            path: CLOSE,
            octets,
            raised: vec![(grant, GRANT_REQUESTS)],
        }
    }

    fn receipt(&self, grant: GrantId, requests: u64) -> Unverified<Receipt> {
        let market = &self.market;
        let receipt = Receipt {
            buyer: market.buyer.public(),
            grant,
            tariff: market.tariff.tariff_hash(),
            sequence: requests,
            counters: vec![Counters {
                requests,
                ..Counters::default()
            }],
            amount: Amount::from_micros(requests * PRICE),
            // The same receipt whenever it is made.
            time: self.grants[&grant].issued,
            is_final: requests == GRANT_REQUESTS,
        };
        market.seal(&market.buyer, receipt).into_unverified()
    }

    fn note(&mut self, call: Call, answer: Bytes) {
        match call.path {
            GRANT => {
                let grant: Sealed<Grant> = self.market.record(&answer);
                let sale = Sale {
                    settled: 0,
                    seller_closed: false,
                    buyer_closed: false,
                };
                assert_eq!(self.sales.insert(grant.id, sale), None, "a grant is new");
                self.grants.insert(grant.id, grant);
            }
            SETTLE => self.note_verdict(&call, &answer),
            _ => {
                let (grant, _) = call.raised[0];
                self.sales.get_mut(&grant).unwrap().buyer_closed = true;
                return;
            }
        }
        self.answered.push((call, answer));
    }

    fn note_verdict(&mut self, call: &Call, answer: &[u8]) {
        let verdict: Sealed<Verdict> = self.market.record(answer);
        assert_eq!(verdict.outcomes.len(), call.raised.len());
        for ((grant, requests), outcome) in call.raised.iter().zip(&verdict.outcomes) {
            // Nobody else settles these grants: each receipt raises what is settled, once.
            assert_eq!(
                (outcome.grant, outcome.judgement),
                (*grant, Judgement::Applied)
            );
            assert_eq!(outcome.settled, Amount::from_micros(requests * PRICE));
            let sale = self.sales.get_mut(grant).unwrap();
            sale.settled = *requests;
            sale.seller_closed = *requests == GRANT_REQUESTS;
        }
    }
}
