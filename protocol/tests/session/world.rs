//! An honest buyer and an honest seller with everything between them in the test's hands: frames and bodies on their way, connections, time.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use madang_protocol::{
    amount::Amount,
    ids::{AccountId, GrantId},
    record::{
        receipt::{Counters, Receipt},
        tariff::Tariff,
    },
    rules::{
        metering::RequestKey,
        rating::{Value, octet_price},
    },
    sealed::{Sealed, Trust},
    session::{
        buyer::{Buyer, BuyerEvent, BuyerTerms, Ended, Head},
        exposure::{Exposure, Policy},
        frame::{BuyerFrame, ResponseId, SellerFrame},
        seller::{Remembered, Seller, SellerEvent},
    },
};

use super::issuer::{Clock, NETWORK, SELLER, key, passport, public, seller, trust};

mod checks;
mod deaths;
mod free;
mod requests;

use deaths::remembered;
use free::Free;
pub use free::Successors;
use requests::Upload;

pub const ACCOUNT: AccountId = AccountId([9; 16]);
const DEVICE: u8 = 9;

/// Something the buyer wants whole.
#[derive(Debug, Clone, Copy)]
pub struct Want {
    pub rule: usize,
    pub octets: u64,
    /// Whether it has an entity tag, and so goes on where it broke off.
    pub resumes: bool,
    /// Octets of its request's body.
    pub uploads: u64,
    /// How far the buyer has it.
    pub got: u64,
    pub done: bool,
}

#[derive(Debug, Clone, Copy)]
struct Body {
    want: usize,
    upload: Option<Upload>,
    /// Octets not sent yet.
    left: u64,
    head_arrived: bool,
    /// As the head says.
    is_paid: bool,
    in_flight: u64,
    is_opened_at_buyer: bool,
}

/// What may happen next.
#[derive(Debug, Clone, Copy)]
pub enum Transition {
    Request(usize),
    Send(u64),
    DeliverBody(u64),
    DeliverToSeller,
    DeliverToBuyer,
    Pass(u64),
    Break,
    /// The stream of frames breaks, bodies go on.
    BreakFrames,
    Connect,
    Cancel,
    ForgetBuyer,
    /// The buyer's process dies, and its disk has not had the newest so many of its receipts.
    ForgetReceipts(usize),
    /// The seller's process dies, and comes back with its journal.
    RestartSeller,
}

pub struct World {
    pub clock: Clock,
    trust: Trust,
    pub tariff: Sealed<Tariff>,
    pub exposure: Exposure,
    pub seller: Seller,
    pub buyer: Buyer,
    policy: Policy,
    budget: u64,
    grant_max: u64,
    grants: u8,
    to_seller: VecDeque<BuyerFrame>,
    to_buyer: VecDeque<SellerFrame>,
    connected: bool,
    ready: bool,
    pub wants: Vec<Want>,
    bodies: BTreeMap<ResponseId, Body>,
    /// Independent accounts of what happened, by rule.
    received: Vec<Counters>,
    heads: Vec<u64>,
    sent: Value,
    sent_to: Vec<u64>,
    best: BTreeMap<GrantId, (Vec<Counters>, Amount)>,
    /// The journals of both ends.
    signed: Vec<Sealed<Receipt>>,
    sold: BTreeMap<GrantId, Remembered>,
    pub(super) has_restarted: bool,
    open_millis: u64,
    has_forgotten_uploads: bool,
    pub stopped: Option<madang_protocol::reject::Reject>,
    pub refusals: u64,
    pub last_refusal: Option<madang_protocol::reject::Reject>,
    pub free: Free,
}

impl World {
    pub fn new(
        tariff: Sealed<Tariff>,
        policy: Policy,
        wants: Vec<Want>,
        grant_max: u64,
        budget: u64,
    ) -> Self {
        let rules = tariff.rules.len();
        let sent_to = vec![0; wants.len()];
        let free = Free::of(&tariff);
        Self {
            clock: Clock::new(),
            trust: trust(),
            exposure: Exposure::new(policy),
            seller: seller(DEVICE, ACCOUNT, &tariff),
            buyer: Self::buyer(budget),
            tariff,
            policy,
            budget,
            grant_max,
            grants: 0,
            to_seller: VecDeque::new(),
            to_buyer: VecDeque::new(),
            connected: false,
            ready: false,
            wants,
            bodies: BTreeMap::new(),
            received: vec![Counters::default(); rules],
            heads: vec![0; rules],
            sent: Value::ZERO,
            sent_to,
            best: BTreeMap::new(),
            signed: Vec::new(),
            sold: BTreeMap::new(),
            has_restarted: false,
            open_millis: 0,
            has_forgotten_uploads: false,
            stopped: None,
            refusals: 0,
            last_refusal: None,
            free,
        }
    }

    fn buyer(budget: u64) -> Buyer {
        let terms = BuyerTerms {
            network: NETWORK,
            site: "seller".parse().unwrap(),
            seller: public(SELLER),
            budget: Amount::from_micros(budget),
            patience: Duration::from_secs(30),
        };
        Buyer::new(terms, key(DEVICE))
    }

    pub fn step(&mut self, transition: Transition) {
        match transition {
            Transition::Request(want) => self.request(want),
            Transition::Send(octets) => self.send(octets),
            Transition::DeliverBody(octets) => self.deliver_body(octets),
            Transition::DeliverToSeller => self.deliver_to_seller(),
            Transition::DeliverToBuyer => self.deliver_to_buyer(),
            Transition::Pass(millis) => self.pass(millis),
            Transition::Break => self.break_all(),
            Transition::BreakFrames => self.break_frames(),
            Transition::Connect => self.connect(),
            Transition::Cancel => self.cancel(),
            Transition::ForgetBuyer => self.forget_buyer(usize::MAX),
            Transition::ForgetReceipts(newest) => self.forget_buyer(newest),
            Transition::RestartSeller => self.restart_seller(),
        }
        self.drain();
        self.check();
    }

    fn key_of(&self, want: usize) -> Option<RequestKey> {
        let wanted = self.wants[want];
        wanted.resumes.then_some(RequestKey([want as u8; 16]))
    }

    fn send(&mut self, octets: u64) {
        for id in self.bodies.keys().copied().collect::<Vec<_>>() {
            let body = self.bodies[&id];
            if !self.upload(id, octets) || body.left == 0 {
                continue;
            }
            let wanted = octets.min(body.left);
            let taken = self
                .seller
                .take(&mut self.exposure, id, wanted, self.clock.now)
                .unwrap();
            assert!(taken <= wanted);
            let wanted = self.wants[body.want];
            let price = octet_price(&self.tariff.rules[wanted.rule]);
            // Octets that were sent before are no new loss, where their place in the whole is known.
            let position = wanted.octets - body.left + taken;
            let fresh = if wanted.resumes {
                position.saturating_sub(self.sent_to[body.want]).min(taken)
            } else {
                taken
            };
            self.sent_to[body.want] = self.sent_to[body.want].max(position);
            self.sent += price.times(fresh);
            let body = self.bodies.get_mut(&id).unwrap();
            body.left -= taken;
            body.in_flight += taken;
            if body.left == 0 {
                self.seller
                    .close_response(&mut self.exposure, id, self.clock.now);
            }
        }
    }

    fn deliver_body(&mut self, octets: u64) {
        for id in self.bodies.keys().copied().collect::<Vec<_>>() {
            let body = self.bodies[&id];
            let want = self.wants[body.want];
            if body.upload.is_some() {
                continue;
            }
            if !body.head_arrived {
                let head = Head {
                    response: id,
                    rule: want.rule,
                    key: self.key_of(body.want),
                    is_paid: body.is_paid,
                };
                self.bodies.get_mut(&id).unwrap().head_arrived = true;
                self.heads[want.rule] += 1;
                match self.buyer.open_response(&head, self.clock.now) {
                    Ok(()) => self.bodies.get_mut(&id).unwrap().is_opened_at_buyer = true,
                    Err(reject) => {
                        self.stopped = Some(reject);
                        self.abandon(id, Ended::Cancelled);
                    }
                }
                continue;
            }
            let come = octets.min(body.in_flight);
            self.received[want.rule].bytes += come;
            self.wants[body.want].got += come;
            self.bodies.get_mut(&id).unwrap().in_flight -= come;
            if come > 0
                && let Err(reject) = self.buyer.received(id, come, self.clock.now)
            {
                self.stopped = Some(reject);
                self.abandon(id, Ended::Cancelled);
            } else if body.left == 0 && body.in_flight == come {
                self.bodies.remove(&id);
                self.wants[body.want].done = true;
                self.buyer
                    .close_response(id, Ended::Complete, self.clock.now);
                self.seller
                    .close_response(&mut self.exposure, id, self.clock.now);
            }
        }
    }

    fn abandon(&mut self, id: ResponseId, ended: Ended) {
        let Some(body) = self.bodies.remove(&id) else {
            return;
        };
        self.seller
            .close_response(&mut self.exposure, id, self.clock.now);
        if let Some(upload) = body.upload {
            self.buyer.close_upload(upload.id, self.clock.now);
        }
        if body.is_opened_at_buyer {
            self.buyer.close_response(id, ended, self.clock.now);
        }
    }

    fn deliver_to_seller(&mut self) {
        if let Some(frame) = self.to_seller.pop_front() {
            let is_hello = matches!(frame, BuyerFrame::Hello(_));
            let outcome = self.seller.handle_frame(
                frame,
                &self.trust,
                &mut self.exposure,
                |grant| remembered(&self.sold, grant),
                self.clock.now,
            );
            assert_eq!(outcome, Ok(()), "an honest buyer's frame is refused");
            if is_hello && std::mem::take(&mut self.has_forgotten_uploads) {
                self.exposure.write_off(&ACCOUNT);
            }
        }
    }

    fn deliver_to_buyer(&mut self) {
        if let Some(frame) = self.to_buyer.pop_front() {
            let outcome = self.buyer.handle_frame(frame, &self.trust, self.clock.now);
            assert_eq!(outcome, Ok(()), "an honest seller's frame is refused");
        }
    }

    fn pass(&mut self, millis: u64) {
        self.clock.pass(millis);
        if !self.bodies.is_empty() {
            self.open_millis += millis;
        }
        if self
            .buyer
            .poll_timeout()
            .is_some_and(|at| at <= self.clock.now.instant)
        {
            self.buyer.handle_timeout(self.clock.now);
        }
        if self
            .seller
            .poll_timeout()
            .is_some_and(|at| at <= self.clock.now.instant)
        {
            self.seller
                .handle_timeout(&mut self.exposure, self.clock.now);
        }
    }

    fn break_frames(&mut self) {
        self.connected = false;
        self.ready = false;
        self.to_seller.clear();
        self.to_buyer.clear();
        self.buyer.handle_disconnected();
    }

    fn break_all(&mut self) {
        self.break_frames();
        for id in self.bodies.keys().copied().collect::<Vec<_>>() {
            self.abandon(id, Ended::Interrupted);
        }
    }

    fn connect(&mut self) {
        if !self.connected {
            self.connected = true;
            self.buyer
                .handle_connected(&passport(DEVICE, ACCOUNT, "buyer"), &[]);
            if self.buyer.grant().is_none() && self.grants == 0 {
                self.present(None);
            }
        }
    }

    fn cancel(&mut self) {
        if let Some(id) = self.bodies.keys().next().copied() {
            self.abandon(id, Ended::Cancelled);
        }
    }

    fn drain(&mut self) {
        while let Some(event) = self.buyer.poll_event() {
            match event {
                BuyerEvent::NeedSuccessor(id) => match self.free.successors {
                    Successors::Come => self.present(Some(id)),
                    Successors::AreRefused => self.buyer.handle_no_successor(id, self.clock.now),
                    Successors::NeverCome => {}
                },
                BuyerEvent::Ready(_) => self.ready = true,
                BuyerEvent::Stopped(reject) => self.stopped = Some(reject),
                BuyerEvent::Signed(receipt) | BuyerEvent::Final(receipt) => {
                    if receipt.is_final {
                        self.free.give_back(&receipt);
                    }
                    let best = (receipt.counters.clone(), receipt.amount);
                    self.best.insert(receipt.grant, best);
                    self.signed.push(receipt);
                }
                BuyerEvent::Refused { reject, .. } => {
                    self.refusals += 1;
                    assert_eq!(reject, madang_protocol::reject::Reject::RECEIPT_OVERDUE);
                }
                BuyerEvent::UsedUp { reason, .. } => self.stopped = Some(reason),
                BuyerEvent::Welcomed { .. } | BuyerEvent::Closed => {}
            }
        }
        while let Some(event) = self.seller.poll_event() {
            match event {
                SellerEvent::Closed(reason) => assert_eq!(reason, None),
                SellerEvent::Honoured(receipt) => {
                    let sold = self.sold.entry(receipt.grant).or_default();
                    sold.receipt = Some(receipt);
                }
                SellerEvent::RequestServed { grant, rule, key } => {
                    let sold = self.sold.entry(grant).or_default();
                    sold.served.resize(self.tariff.rules.len(), 0);
                    sold.served[rule] += 1;
                    sold.keys.extend(key);
                }
                SellerEvent::RequestReturned { grant, rule } => {
                    self.sold.get_mut(&grant).unwrap().served[rule] -= 1;
                }
                SellerEvent::Room
                | SellerEvent::Paid(_)
                | SellerEvent::PassBought { .. }
                | SellerEvent::Final(_)
                | SellerEvent::Overdue => {}
            }
        }
        while let Some(frame) = self.buyer.poll_transmit() {
            if self.connected {
                self.to_seller.push_back(frame);
            }
        }
        while let Some(frame) = self.seller.poll_transmit() {
            if self.connected {
                self.to_buyer.push_back(frame);
            }
        }
    }

    /// Requests that the buyer has signed for, under all grants.
    pub fn requests_signed(&self) -> u64 {
        let counters = self.best.values().flat_map(|(counters, _)| counters);
        counters.map(|one| one.requests).sum()
    }

    /// Everything flows: connections stay up, everything arrives, time passes.
    pub fn run_fair(&mut self, rounds: usize, chunk: u64, millis: u64) -> bool {
        for _ in 0..rounds {
            self.step(Transition::Connect);
            for _ in 0..8 {
                self.step(Transition::DeliverToSeller);
                self.step(Transition::DeliverToBuyer);
            }
            for want in 0..self.wants.len() {
                self.step(Transition::Request(want));
            }
            self.step(Transition::Send(chunk));
            self.step(Transition::DeliverBody(u64::MAX));
            self.step(Transition::DeliverBody(u64::MAX));
            self.step(Transition::Pass(millis));
            if self.wants.iter().all(|want| want.done) {
                return true;
            }
        }
        false
    }
}
