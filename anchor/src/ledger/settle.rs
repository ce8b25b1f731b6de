//! Receipts become money moved. One batch is one event: each receipt has its own outcome, and a bad one spoils nothing.
//!
//! Checked in this order: grant known, shown by its seller; shape and signature (by the caller, outside); the rules of receipts; then, alone with
//! the rows: duplicate or stale; time; hold. What moves is the difference of two cumulative splits.

use std::collections::BTreeMap;

use madang_protocol::{
    amount::Amount,
    ids::{AccountId, BatchId, GrantId, PublicKey, RecordHash},
    record::{
        receipt::Receipt,
        settlement::{Judgement, Outcome},
        tariff::Tariff,
    },
    reject::Reject,
    rules::{receipt::check_terms, settlement::split},
    sealed::Sealed,
    time::UnixMillis,
};

use super::{
    pass::{self, PassHeld},
    progress::{self, Before, Best, BuyerClosed, Progress},
    settled::{Move, Settled, Source},
    table::Table,
    terms::Terms,
    view::{Fault, View},
};

/// A receipt that is good by itself, and what it comes to.
#[derive(Debug, Clone)]
pub struct Good {
    /// What it says, and who gets what of it.
    pub best: Best,
    /// The sealed receipt.
    pub sealed: Vec<u8>,
    /// The passes that it buys: rule, pattern, days of each, number.
    passes: Vec<(usize, String, u16, u64)>,
}

/// A receipt as it was shown.
#[derive(Debug)]
pub struct Shown {
    /// The grant that it names.
    pub grant: GrantId,
    /// That grant's terms, if it is known.
    pub terms: Option<Terms>,
    /// Whether it is good by itself.
    pub good: Result<Good, Reject>,
}

/// Who shows a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShownBy {
    /// The seller's device.
    Seller(PublicKey),
    /// The buyer's device.
    Buyer(PublicKey),
}

/// A batch as it was shown.
#[derive(Debug)]
pub struct Batch {
    /// The seller's device.
    pub device: PublicKey,
    /// Names the batch.
    pub id: BatchId,
    /// The hash of the sealed batch.
    pub hash: RecordHash,
    /// Its receipts, in its order.
    pub receipts: Vec<Shown>,
    /// Grants on which the seller claims nothing more.
    pub closed: Vec<(GrantId, Option<Terms>)>,
}

/// Whether whoever shows a receipt may show it. Costs no cryptography.
pub fn admit(terms: Option<&Terms>, by: ShownBy) -> Result<&Terms, Reject> {
    let terms = terms.ok_or(Reject::GRANT_UNKNOWN)?;
    match by {
        ShownBy::Seller(device) if device != terms.seller_key => Err(Reject::NOT_THE_SELLER),
        ShownBy::Buyer(device) if device != terms.buyer_key => Err(Reject::NOT_THE_BUYER),
        ShownBy::Seller(_) | ShownBy::Buyer(_) => Ok(terms),
    }
}

/// Whether a receipt, whose signature was checked, is good by itself.
pub fn check(
    terms: &Terms,
    tariff: Option<&Tariff>,
    receipt: Sealed<Receipt>,
) -> Result<Good, Reject> {
    if receipt.buyer != terms.buyer_key {
        return Err(Reject::NOT_THE_BUYER);
    }
    // The grant keeps its tariff, so that only a receipt of another one can miss it.
    let tariff = tariff.ok_or(Reject::GRANT_NOT_FOR_US)?;
    check_terms(terms.for_receipts(receipt.grant), tariff, None, &receipt)?;
    let split = split(receipt.amount, terms.tax, terms.commission_bp)?;
    let rules = tariff.rules.iter().zip(&receipt.counters).enumerate();
    let passes = rules.filter(|(_, (_, counters))| counters.passes > 0);
    let passes = passes.filter_map(|(at, (rule, counters))| {
        let days = rule.pass?.days;
        Some((at, rule.pattern.clone(), days, counters.passes))
    });
    let passes = passes.collect();
    let sealed = receipt.to_bytes();
    let hash = RecordHash::of(&sealed);
    let receipt = receipt.into_value();
    Ok(Good {
        best: Best {
            sequence: receipt.sequence,
            amount: receipt.amount,
            split,
            receipt: hash,
            is_final: receipt.is_final,
            counters: receipt.counters,
        },
        sealed,
        passes,
    })
}

/// Decides on a batch that has no verdict yet.
pub fn decide_batch(view: &impl View, batch: &Batch, now: UnixMillis) -> Result<Settled, Fault> {
    let shown = batch.receipts.iter().filter(|shown| shown.good.is_ok());
    let grants = shown.map(|shown| shown.grant);
    let grants = grants.chain(batch.closed.iter().map(|(grant, _)| *grant));
    let grants: Vec<GrantId> = grants.collect();
    view.expect(Table::Progress, grants.iter().map(|grant| grant.as_bytes()))?;
    let mut deciding = Deciding::new(view, now);
    let mut outcomes = Vec::with_capacity(batch.receipts.len());
    for shown in &batch.receipts {
        outcomes.push(deciding.shown_by_seller(shown)?);
    }
    for (grant, terms) in &batch.closed {
        if admit(terms.as_ref(), ShownBy::Seller(batch.device)).is_ok() {
            deciding.touch(grant)?.progress.seller_closed = true;
        }
    }
    let source = Source::Batch {
        device: batch.device,
        id: batch.id,
        hash: batch.hash,
    };
    Ok(deciding.finish(source, outcomes))
}

/// Decides on a buyer's closing, with its final receipt if anything was used; `None` where it changes nothing.
pub fn decide_close(
    view: &impl View,
    grant: GrantId,
    terms: &Terms,
    good: Option<&Good>,
    now: UnixMillis,
) -> Result<Option<Settled>, Fault> {
    let mut deciding = Deciding::new(view, now);
    if let Some(good) = good
        && let Judgement::Rejected(reject) = deciding.raise(grant, terms, good)?
    {
        return Err(reject.into());
    }
    let touched = deciding.touch(&grant)?;
    let is_closed = touched.progress.buyer_closed.is_some() || touched.progress.hold_ended;
    if is_closed && touched.last_move.is_none() {
        return Ok(None);
    }
    touched.progress.buyer_closed.get_or_insert(BuyerClosed {
        time: now,
        presence_ms: 0,
    });
    Ok(Some(deciding.finish(Source::Buyer { grant }, Vec::new())))
}

/// A grant's progress while a batch is decided.
struct Touched {
    progress: Progress,
    was_seller_closed: bool,
    last_move: Option<usize>,
}

struct Deciding<'a, V> {
    view: &'a V,
    now: UnixMillis,
    touched: BTreeMap<GrantId, Touched>,
    moves: Vec<Move>,
    /// Passes that this event prolongs.
    passes: BTreeMap<(AccountId, [u8; 32]), UnixMillis>,
}

impl<'a, V: View> Deciding<'a, V> {
    fn new(view: &'a V, now: UnixMillis) -> Self {
        Self {
            view,
            now,
            touched: BTreeMap::new(),
            moves: Vec::new(),
            passes: BTreeMap::new(),
        }
    }

    fn touch(&mut self, grant: &GrantId) -> Result<&mut Touched, Fault> {
        use std::collections::btree_map::Entry;
        match self.touched.entry(*grant) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(place) => {
                let progress = progress::get(self.view, grant)?;
                Ok(place.insert(Touched {
                    was_seller_closed: progress.seller_closed,
                    progress,
                    last_move: None,
                }))
            }
        }
    }

    fn shown_by_seller(&mut self, shown: &Shown) -> Result<Outcome, Fault> {
        let grant = shown.grant;
        let judgement = match (&shown.terms, &shown.good) {
            (Some(terms), Ok(good)) => {
                let is_final = good.best.is_final;
                let judgement = self.raise(grant, terms, good)?;
                if judgement == Judgement::Applied {
                    // The buyer closed with less than it had signed: its closing does not count.
                    self.touch(&grant)?.progress.buyer_closed = None;
                }
                if is_final && !matches!(judgement, Judgement::Rejected(_)) {
                    self.touch(&grant)?.progress.seller_closed = true;
                }
                judgement
            }
            // A stranger learns nothing of the grant.
            (_, Err(reject @ (Reject::GRANT_UNKNOWN | Reject::NOT_THE_SELLER))) => {
                return Ok(Outcome {
                    grant,
                    judgement: Judgement::Rejected(*reject),
                    settled: Amount::ZERO,
                    earned: Amount::ZERO,
                });
            }
            (_, Err(reject)) => Judgement::Rejected(*reject),
            (None, Ok(_)) => Judgement::Rejected(Reject::GRANT_UNKNOWN),
        };
        let progress = &self.touch(&grant)?.progress;
        Ok(Outcome {
            grant,
            judgement,
            settled: progress.amount(),
            earned: progress.split().seller,
        })
    }

    /// Takes a good receipt as the best one, if it is.
    fn raise(&mut self, grant: GrantId, terms: &Terms, good: &Good) -> Result<Judgement, Fault> {
        let now = self.now;
        let at = self.moves.len();
        let touched = self.touch(&grant)?;
        let before = touched.progress.best.as_ref();
        match before.map(|best| good.best.rank().cmp(&best.rank())) {
            Some(std::cmp::Ordering::Equal) => return Ok(Judgement::Duplicate),
            Some(std::cmp::Ordering::Less) => return Ok(Judgement::Stale),
            Some(std::cmp::Ordering::Greater) | None => {}
        }
        if now > terms.settle_until {
            return Ok(Judgement::Rejected(Reject::SETTLE_TOO_LATE));
        }
        if touched.progress.hold_ended {
            return Ok(Judgement::Rejected(Reject::GRANT_CLOSED));
        }
        let since = before.map(Before::of);
        touched.progress.best = Some(good.best.clone());
        touched.last_move = Some(at);
        let mut passes = Vec::new();
        for (rule, pattern, days, number) in &good.passes {
            let counted = since.as_ref().and_then(|before| before.counters.get(*rule));
            let had = counted.map_or(0, |counters| counters.passes);
            if *number > had {
                passes.push(self.prolong(grant, terms, pattern.clone(), *days, number - had)?);
            }
        }
        self.moves.push(Move {
            grant,
            best: good.best.clone(),
            since,
            closes_seller: false,
            ends_hold: false,
            passes,
            sealed: good.sealed.clone(),
        });
        Ok(Judgement::Applied)
    }

    fn prolong(
        &mut self,
        grant: GrantId,
        terms: &Terms,
        pattern: String,
        days: u16,
        bought: u64,
    ) -> Result<PassHeld, Fault> {
        let rule = pass::rule_of(&terms.site, &pattern);
        let known = self.passes.get(&(terms.buyer, rule)).copied();
        let present = match known {
            Some(until) => Some(until),
            None => pass::until(self.view, &terms.buyer, &rule)?,
        };
        let until = pass::extended(present, bought, days, self.now);
        self.passes.insert((terms.buyer, rule), until);
        Ok(PassHeld {
            account: terms.buyer,
            site: terms.site.clone(),
            pattern,
            grant,
            issued: self.now,
            until,
        })
    }

    fn finish(mut self, source: Source, outcomes: Vec<Outcome>) -> Settled {
        let (mut seller_closed, mut ended) = (Vec::new(), Vec::new());
        for (grant, touched) in self.touched {
            let closes = touched.progress.seller_closed && !touched.was_seller_closed;
            let ends = !touched.progress.hold_ended && touched.progress.is_closed_by_both();
            match touched.last_move.and_then(|at| self.moves.get_mut(at)) {
                Some(last) => (last.closes_seller, last.ends_hold) = (closes, ends),
                None => {
                    if closes {
                        seller_closed.push(grant);
                    }
                    if ends {
                        ended.push(grant);
                    }
                }
            }
        }
        Settled {
            source,
            time: self.now,
            outcomes,
            moves: self.moves,
            seller_closed,
            ended,
        }
    }
}
