//! Settlement: verified outside, decided alone, durable before it is answered.

use std::{collections::BTreeMap, sync::Arc};

use madang_protocol::{
    ids::{GrantId, KeyId, TariffHash},
    record::{
        receipt::Receipt,
        request::CloseGrant,
        settlement::{Outcome, SettleBatch, Verdict},
        tariff::Tariff,
    },
    reject::Reject,
    sealed::{Sealed, Unverified},
    time::UnixMillis,
};

use super::{
    anchor_store::{Done, Store},
    engine::Seen,
    error::StoreError,
};
use crate::ledger::{
    device,
    settle::{self, Batch, Good, Shown, ShownBy},
    settled::{self, Judged},
    table::Table,
    terms::{self, Terms},
    view::{Fault, View as _},
};

/// What a receipt is checked against, looked up before its signature is verified.
struct Known {
    terms: Option<Terms>,
    tariff: Option<Arc<Tariff>>,
}

impl Store {
    /// Settles a batch in one transaction and signs its verdict. The same batch has the same verdict, however often it comes.
    ///
    /// The caller has verified the batch; its receipts are verified here, by this thread and idle cores.
    ///
    /// # Errors
    /// `DEVICE_UNKNOWN`; `REQUEST_ID_REUSED` for the identifier of another batch. A bad receipt is no error but an outcome.
    pub fn settle(
        &self,
        batch: &Sealed<SettleBatch>,
        now: UnixMillis,
    ) -> Result<Sealed<Verdict>, StoreError> {
        let hash = batch.hash();
        let seller = batch.device;
        let judged = |view: &Seen<'_>| -> Result<Option<Judged>, Fault> {
            match settled::judged(view, &seller, &batch.id)? {
                Some(judged) if judged.hash != hash => Err(Reject::REQUEST_ID_REUSED.into()),
                judged => Ok(judged),
            }
        };
        let (before, known, closed) = self.read(|view| {
            device::get(view, &seller)?.ok_or(Reject::DEVICE_UNKNOWN)?;
            let before = judged(view)?;
            if before.is_some() {
                return Ok((before, Vec::new(), Vec::new()));
            }
            let grants = batch.closed.iter();
            let closed = grants.map(|grant| Ok((*grant, terms::get(view, grant)?)));
            let closed = closed.collect::<Result<Vec<_>, Fault>>()?;
            Ok((None, self.known(view, &batch.receipts)?, closed))
        })?;
        let batch_shown = Batch {
            device: seller,
            id: batch.id,
            hash,
            receipts: self.shown(&batch.receipts, known, ShownBy::Seller(seller)),
            closed,
        };
        let done = self.commit_payload(|view| {
            if let Some(judged) = &before {
                return Ok((None, Some(judged.clone())));
            }
            if let Some(judged) = judged(view)? {
                return Ok((None, Some(judged)));
            }
            let settled = settle::decide_batch(view, &batch_shown, now)?;
            let payload = settled.to_payload();
            let judged = Judged {
                hash,
                entry: 0,
                time: settled.time,
                outcomes: settled.outcomes.iter().map(settled::parts_of).collect(),
            };
            Ok((Some(payload), Some(judged)))
        })?;
        let mut judged = done.value.ok_or(Reject::STORE_FAILED)?;
        if judged.entry == 0 {
            judged.entry = done.entry;
        }
        self.sign(verdict_of(batch, &judged, self.issuer_id()))
    }

    /// Closes a buyer's end of a grant. Its final receipt, if it shows one, is settled as if the seller had shown it.
    ///
    /// # Errors
    /// `GRANT_UNKNOWN`, `NOT_THE_BUYER`, `GRANT_CLOSED`, `SETTLE_TOO_LATE`, and what is wrong with the receipt.
    pub fn close_grant(
        &self,
        close: &Sealed<CloseGrant>,
        now: UnixMillis,
    ) -> Result<Done, StoreError> {
        let receipts: Vec<Unverified<Receipt>> = close.receipt.iter().cloned().collect();
        let by = ShownBy::Buyer(close.device);
        let (terms, known) = self.read(|view| {
            let terms = terms::get(view, &close.grant)?;
            let terms = settle::admit(terms.as_ref(), by)?.clone();
            Ok((terms, self.known(view, &receipts)?))
        })?;
        let shown = self.shown(&receipts, known, by).pop();
        let good = shown.map(|shown| shown.good).transpose()?;
        let done = self.commit_payload(|view| {
            let settled = settle::decide_close(view, close.grant, &terms, good.as_ref(), now)?;
            Ok((settled.map(|settled| settled.to_payload()), ()))
        })?;
        Ok(done)
    }

    fn known(
        &self,
        view: &Seen<'_>,
        receipts: &[Unverified<Receipt>],
    ) -> Result<Vec<Known>, Fault> {
        let grants: Vec<GrantId> = receipts
            .iter()
            .map(|receipt| receipt.claims().grant)
            .collect();
        view.expect(Table::Grant, grants.iter().map(|grant| grant.as_bytes()))?;
        let mut tariffs: BTreeMap<TariffHash, Option<Arc<Tariff>>> = BTreeMap::new();
        let mut known = Vec::with_capacity(receipts.len());
        for receipt in receipts {
            let terms = terms::get(view, &receipt.claims().grant)?;
            let tariff = match &terms {
                None => None,
                Some(terms) => match tariffs.get(&terms.tariff) {
                    Some(tariff) => tariff.clone(),
                    None => {
                        let tariff = self.kept_tariff(view, &terms.tariff)?;
                        tariffs.insert(terms.tariff, tariff.clone());
                        tariff
                    }
                },
            };
            known.push(Known { terms, tariff });
        }
        Ok(known)
    }

    fn shown(
        &self,
        receipts: &[Unverified<Receipt>],
        known: Vec<Known>,
        by: ShownBy,
    ) -> Vec<Shown> {
        let pairs: Vec<_> = receipts.iter().zip(known).collect();
        self.helpers.map(pairs, |(receipt, known)| Shown {
            grant: receipt.claims().grant,
            good: self.good(receipt, &known, by),
            terms: known.terms,
        })
    }

    fn good(
        &self,
        receipt: &Unverified<Receipt>,
        known: &Known,
        by: ShownBy,
    ) -> Result<Good, Reject> {
        let terms = settle::admit(known.terms.as_ref(), by)?;
        let receipt = receipt.clone().verify(&self.trust)?;
        settle::check(terms, known.tariff.as_deref(), receipt)
    }
}

fn verdict_of(batch: &Sealed<SettleBatch>, judged: &Judged, issuer: KeyId) -> Verdict {
    let grants = batch.receipts.iter().map(|receipt| receipt.claims().grant);
    let outcomes = grants.zip(&judged.outcomes);
    let outcomes = outcomes.map(|(grant, part): (GrantId, _)| Outcome {
        grant,
        judgement: part.0,
        settled: part.1,
        earned: part.2,
    });
    Verdict {
        issuer,
        batch: batch.id,
        batch_hash: judged.hash,
        outcomes: outcomes.collect(),
        entry: judged.entry,
        time: judged.time,
    }
}
