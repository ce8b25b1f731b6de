//! The system under test beside its reference, and the checks after each step.

use madang_anchor::store::Store;
use madang_protocol::{
    amount::Amount,
    ids::GrantId,
    record::{
        grant::Grant,
        receipt::{Counters, Receipt},
        settlement::{Judgement, SettleBatch},
        tariff::Tariff,
    },
    reject::Reject,
    sealed::{Sealed, Unverified},
    time::UnixMillis,
};
use tempfile::TempDir;

use crate::{
    disk::{copy_folder, remove_index},
    support::{HOUR, Person, START, later, open, refusal, won},
};

const WALLET_WON: u64 = 60_000;
const COMMISSION_BP: u64 = 500;
/// A day's, by the tariff of the tests.
const FREE_REQUESTS: u64 = 6;

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Ask {
        buyer: usize,
        seller: usize,
        won: u64,
    },
    Use {
        grant: usize,
        requests: u64,
        bytes: u64,
        passes: u64,
        is_final: bool,
    },
    Settle {
        seller: usize,
        picks: Vec<(usize, usize)>,
        closed: Vec<usize>,
    },
    Resend {
        batch: usize,
    },
    Close {
        grant: usize,
        shows: bool,
    },
    Wait {
        minutes: u64,
        present: u8,
    },
    Restart,
    Crash {
        keeps_index: bool,
    },
}

/// A grant in the model.
struct Model {
    grant: Grant,
    buyer: usize,
    seller: usize,
    counters: Vec<Counters>,
    /// Every receipt that was ever signed, each with its amount by the model's own rating.
    receipts: Vec<(Unverified<Receipt>, u64)>,
    is_final: bool,
    /// One more than the index of the best receipt that counts.
    best: usize,
    seller_closed: bool,
    buyer_closed: Option<UnixMillis>,
    ended: bool,
}

impl Model {
    fn settled(&self) -> u64 {
        self.best.checked_sub(1).map_or(0, |at| self.receipts[at].1)
    }

    fn used_requests(&self) -> u64 {
        let best = self.best.checked_sub(1);
        let counters = best.and_then(|at| self.receipts[at].0.claims().counters.first());
        counters.map_or(0, |one| one.requests)
    }

    fn debit(&self) -> u64 {
        self.settled()
    }

    fn earned(&self) -> u64 {
        self.settled() - self.settled() * COMMISSION_BP / 10_000
    }

    fn is_best_final(&self) -> bool {
        self.best > 0 && self.receipts[self.best - 1].0.claims().is_final
    }

    fn close_if_both(&mut self) {
        let buyer = self.buyer_closed.is_some() || self.is_best_final();
        self.ended |= self.seller_closed && buyer;
    }
}

pub(crate) struct Sim {
    dir: TempDir,
    store: Option<Store>,
    buyers: Vec<Person>,
    sellers: Vec<Person>,
    tariffs: Vec<Sealed<Tariff>>,
    grants: Vec<Model>,
    batches: Vec<(Sealed<SettleBatch>, Vec<u8>)>,
    now: UnixMillis,
}

/// Independent of the protocol's rating: 500 won a request beyond the quota, 2 won a MiB, 9,000 won a pass; rounded up once.
fn price(grant: &Grant, counters: &[Counters]) -> u64 {
    let requests = counters[0]
        .requests
        .saturating_sub(grant.quotas[0].requests);
    let bytes = (u128::from(counters[1].bytes) * 2_000_000).div_ceil(1 << 20);
    requests * 500_000_000 + bytes as u64 + counters[2].passes * 9_000_000_000
}

impl Sim {
    pub(crate) fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let store = open(dir.path());
        let buyers = (1..3)
            .map(|number| Person::settle_in(&store, number, WALLET_WON, 0))
            .collect();
        let sellers: Vec<_> = (3..5)
            .map(|number| Person::settle_in(&store, number, 0, COMMISSION_BP as u16))
            .collect();
        let tariffs = sellers.iter().map(Person::tariff).collect();
        Self {
            dir,
            store: Some(store),
            buyers,
            sellers,
            tariffs,
            grants: Vec::new(),
            batches: Vec::new(),
            now: START,
        }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    pub(crate) fn run(&mut self, step: &Step) {
        match step {
            Step::Ask { buyer, seller, won } => self.ask(*buyer, *seller, *won),
            Step::Use {
                grant,
                requests,
                bytes,
                passes,
                is_final,
            } => {
                let more = [*requests, *bytes, *passes];
                if let Some(at) = self.pick(*grant) {
                    self.use_more(at, more, *is_final);
                }
            }
            Step::Settle {
                seller,
                picks,
                closed,
            } => self.settle(*seller, picks, closed),
            Step::Resend { batch } => self.resend(*batch),
            Step::Close { grant, shows } => {
                if let Some(at) = self.pick(*grant) {
                    self.close(at, *shows);
                }
            }
            Step::Wait { minutes, present } => self.wait(*minutes, *present),
            Step::Restart => {
                self.store().close().unwrap();
                self.store = None;
                self.store = Some(open(self.dir.path()));
            }
            Step::Crash { keeps_index } => self.crash(*keeps_index),
        }
    }

    fn pick(&self, grant: usize) -> Option<usize> {
        (!self.grants.is_empty()).then(|| grant % self.grants.len())
    }

    fn available(&self, buyer: usize) -> u64 {
        let mut left = WALLET_WON * 1_000_000;
        for one in self.grants.iter().filter(|one| one.buyer == buyer) {
            left -= if one.ended {
                one.debit()
            } else {
                one.grant.amount_max.micros()
            };
        }
        left
    }

    /// What the next grant has free: half, rounded up, of what the grants of the day have neither used nor reserved.
    fn free_slice(&self, buyer: usize, seller: usize) -> u64 {
        let own = |one: &&Model| {
            let is_of_today = one.grant.issued.day() == self.now.day();
            one.buyer == buyer && one.seller == seller && is_of_today
        };
        let taken = |one: &Model| {
            let reserved = one.grant.quotas[0].requests;
            if one.ended {
                one.used_requests().min(reserved)
            } else {
                reserved
            }
        };
        let left = FREE_REQUESTS - self.grants.iter().filter(own).map(taken).sum::<u64>();
        left.div_ceil(2)
    }

    fn ask(&mut self, buyer: usize, seller: usize, amount: u64) {
        let number = self.grants.len() as u64;
        let ask = self.buyers[buyer].ask(
            &self.sellers[seller],
            &self.tariffs[seller],
            won(amount),
            number,
            self.now,
        );
        let answer = self.store().grant(&ask, self.now);
        if won(amount).micros() > self.available(buyer) {
            assert_eq!(refusal(answer), Reject::CREDIT_INSUFFICIENT);
            return;
        }
        let grant = answer.unwrap();
        let free = self.free_slice(buyer, seller);
        assert_eq!(grant.quotas[0].requests, free, "another slice of free use");
        let again = self.store().grant(&ask, self.now).unwrap();
        assert_eq!(grant.to_bytes(), again.to_bytes());
        self.grants.push(Model {
            grant: grant.into_value(),
            buyer,
            seller,
            counters: vec![Counters::default(); 3],
            receipts: Vec::new(),
            is_final: false,
            best: 0,
            seller_closed: false,
            buyer_closed: None,
            ended: false,
        });
    }

    fn use_more(&mut self, at: usize, more: [u64; 3], is_final: bool) {
        let one = &mut self.grants[at];
        let mut counters = one.counters.clone();
        counters[0].requests += more[0];
        counters[1].bytes += more[1];
        counters[2].passes += more[2];
        let amount = price(&one.grant, &counters);
        if one.is_final || amount > one.grant.amount_max.micros() {
            return;
        }
        let sequence = one.receipts.len() as u64 + 1;
        let tariff = &self.tariffs[one.seller];
        let receipt =
            self.buyers[one.buyer].receipt(&one.grant, tariff, sequence, &counters, is_final);
        assert_eq!(
            receipt.claims().amount.micros(),
            amount,
            "two ratings differ"
        );
        one.receipts.push((receipt, amount));
        (one.counters, one.is_final) = (counters, is_final);
    }

    fn settle(&mut self, seller: usize, picks: &[(usize, usize)], closed: &[usize]) {
        let (mut receipts, mut expected) = (Vec::new(), Vec::new());
        for (grant, receipt) in picks {
            let Some(at) = self
                .pick(*grant)
                .filter(|at| !self.grants[*at].receipts.is_empty())
            else {
                continue;
            };
            let index = receipt % self.grants[at].receipts.len();
            receipts.push(self.grants[at].receipts[index].0.clone());
            expected.push((at, index));
        }
        let closed: Vec<usize> = closed
            .iter()
            .filter_map(|grant| self.pick(*grant))
            .collect();
        let number = self.batches.len() as u64;
        let ids: Vec<GrantId> = closed.iter().map(|at| self.grants[*at].grant.id).collect();
        let batch = self.sellers[seller].batch(number, receipts, ids, self.now);
        let verdict = self.store().settle(&batch, self.now).unwrap();
        assert_eq!(verdict.outcomes.len(), expected.len());
        // Holds end when the whole batch is judged.
        for (outcome, (at, index)) in verdict.outcomes.iter().zip(expected) {
            let judgement = self.judge(at, index, seller);
            assert_eq!(outcome.judgement, judgement, "grant {at}, receipt {index}");
            if self.grants[at].seller == seller
                && judgement != Judgement::Rejected(Reject::GRANT_UNKNOWN)
            {
                assert_eq!(outcome.settled.micros(), self.grants[at].settled());
                assert_eq!(outcome.earned.micros(), self.grants[at].earned());
            }
        }
        for at in closed {
            let one = &mut self.grants[at];
            one.seller_closed |= one.seller == seller;
        }
        self.grants.iter_mut().for_each(Model::close_if_both);
        self.batches.push((batch, verdict.to_bytes()));
    }

    fn judge(&mut self, at: usize, index: usize, seller: usize) -> Judgement {
        let now = self.now;
        let is_known = self.is_known(at);
        let one = &mut self.grants[at];
        if !is_known {
            return Judgement::Rejected(Reject::GRANT_UNKNOWN);
        }
        if one.seller != seller {
            return Judgement::Rejected(Reject::NOT_THE_SELLER);
        }
        let judgement = match (index + 1).cmp(&one.best) {
            std::cmp::Ordering::Less => Judgement::Stale,
            std::cmp::Ordering::Equal => Judgement::Duplicate,
            std::cmp::Ordering::Greater if now > one.grant.settle_until => {
                Judgement::Rejected(Reject::SETTLE_TOO_LATE)
            }
            std::cmp::Ordering::Greater if one.ended => Judgement::Rejected(Reject::GRANT_CLOSED),
            std::cmp::Ordering::Greater => {
                one.best = index + 1;
                // More than the buyer closed with: the closing does not count.
                one.buyer_closed = None;
                Judgement::Applied
            }
        };
        let is_final = one.receipts[index].0.claims().is_final;
        one.seller_closed |= is_final && !matches!(judgement, Judgement::Rejected(_));
        judgement
    }

    /// A grant that ended without any receipt is forgotten after its time.
    fn is_known(&self, at: usize) -> bool {
        self.store()
            .grant_status(self.grants[at].grant.id)
            .unwrap()
            .is_some()
    }

    fn resend(&mut self, batch: usize) {
        if self.batches.is_empty() {
            return;
        }
        let (batch, verdict) = &self.batches[batch % self.batches.len()];
        // Verdicts are kept for 15 days; a batch of before then is judged anew, and moves nothing.
        if self.now.since(batch.time).as_millis() < u128::from(15 * 24 * HOUR) {
            let again = self.store().settle(batch, self.now).unwrap();
            assert_eq!(again.to_bytes(), *verdict);
        }
    }

    fn close(&mut self, at: usize, shows: bool) {
        if !self.is_known(at) {
            return;
        }
        let (now, last) = (self.now, self.grants[at].receipts.len());
        let receipt = match self.grants[at].receipts.last() {
            Some((receipt, _)) if shows && receipt.claims().is_final => Some(receipt.clone()),
            _ => None,
        };
        let one = &self.grants[at];
        let close = self.buyers[one.buyer].close(one.grant.id, receipt.clone(), now);
        let answer = self.store().close_grant(&close, now);
        let one = &mut self.grants[at];
        if receipt.is_some() && last > one.best {
            if now > one.grant.settle_until {
                assert_eq!(refusal(answer), Reject::SETTLE_TOO_LATE);
                return;
            }
            if one.ended {
                assert_eq!(refusal(answer), Reject::GRANT_CLOSED);
                return;
            }
            one.best = last;
        }
        answer.unwrap();
        if !one.ended {
            one.buyer_closed.get_or_insert(now);
        }
        one.close_if_both();
    }

    fn wait(&mut self, minutes: u64, present: u8) {
        self.now = later(self.now, minutes * 60_000);
        for (at, seller) in self.sellers.iter().enumerate() {
            if present & (1 << at) != 0 {
                self.store()
                    .presence_seen(seller.device(), false, self.now)
                    .unwrap();
            }
        }
        while self.store().tick(self.now).unwrap() {}
        let now = self.now;
        for at in 0..self.grants.len() {
            let status = self.store().grant_status(self.grants[at].grant.id).unwrap();
            let one = &mut self.grants[at];
            let is_over = now > one.grant.settle_until;
            let ended = status.is_none_or(|status| status.progress.hold_ended);
            let may = one
                .buyer_closed
                .is_some_and(|time| now > later(time, 24 * HOUR));
            let must = one
                .buyer_closed
                .is_some_and(|time| now > later(time, 72 * HOUR));
            assert!(!one.ended || ended, "a hold began again");
            assert!(
                one.ended || !ended || may || is_over,
                "a hold ended too early"
            );
            assert!(ended || !(must || is_over), "a hold did not end");
            one.ended = ended;
        }
    }

    /// The process is gone in the middle: what is on the disk at this moment is all that the next one finds.
    pub(crate) fn crash(&mut self, keeps_index: bool) {
        let before = self.store().verify_all().unwrap();
        let copy = TempDir::new().unwrap();
        copy_folder(self.dir.path(), copy.path());
        if !keeps_index {
            remove_index(copy.path());
        }
        let store = open(copy.path());
        assert_eq!(
            store.verify_all().unwrap(),
            before,
            "other rows after a crash"
        );
        self.store = Some(store);
        self.dir = copy;
    }

    /// What must hold after every step.
    pub(crate) fn check(&self) {
        self.store().verify_all().unwrap();
        let micros = |amount: Amount| amount.micros();
        for (at, buyer) in self.buyers.iter().enumerate() {
            let wallet = self.store().wallet(buyer.id()).unwrap();
            let own = || self.grants.iter().filter(|one| one.buyer == at);
            let debits: u64 = own().map(Model::debit).sum();
            let held: u64 = own()
                .filter(|one| !one.ended)
                .map(|one| one.grant.amount_max.micros() - one.debit())
                .sum();
            assert_eq!(micros(wallet.posted), WALLET_WON * 1_000_000 - debits);
            assert_eq!(micros(wallet.held), held);
            assert_eq!(micros(wallet.available), self.available(at));
        }
        for (at, seller) in self.sellers.iter().enumerate() {
            let own = self.grants.iter().filter(|one| one.seller == at);
            let earned: u64 = own.map(Model::earned).sum();
            assert_eq!(
                micros(self.store().wallet(seller.id()).unwrap().earned),
                earned
            );
            let billed: u64 = self.billed(seller).iter().sum();
            assert_eq!(billed, earned);
        }
    }

    fn billed(&self, seller: &Person) -> Vec<u64> {
        let (mut before, mut earned) = (None, Vec::new());
        loop {
            let page = self.store().bill(seller.id(), before, 3).unwrap();
            earned.extend(page.lines.iter().map(|line| line.earned.micros()));
            before = page.more_before;
            if before.is_none() {
                return earned;
            }
        }
    }
}
