//! Grants, price lists and passes.

use std::sync::Arc;

use madang_protocol::{
    ids::{AccountId, GrantId, TariffHash},
    name::SiteName,
    record::{grant::Grant, pass::Pass, request::GrantRequest, tariff::Tariff},
    reject::Reject,
    sealed::{Sealed, Unverified},
    time::UnixMillis,
};

use super::{
    anchor_store::{Store, draw_id},
    engine::Seen,
    error::StoreError,
};
use crate::ledger::{
    grant::{self, Ask, Drawn},
    pass,
    progress::{self, Progress},
    table::Table,
    tariff,
    terms::{self, Terms},
    view::{Fault, Invariant},
};

/// A grant as the store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantStatus {
    /// What is fixed.
    pub terms: Terms,
    /// How far it is.
    pub progress: Progress,
}

impl Store {
    /// Grants credit: holds the asked amount and its tax on the buyer's wallet. The same request has the same answer, however often it comes.
    ///
    /// The caller has verified the request; the seller's passport in it only says whom to look up.
    ///
    /// # Errors
    /// `REQUEST_ID_REUSED`, `RECORD_EXPIRED` or `RECORD_FROM_FUTURE` for its time, `DEVICE_UNKNOWN`, `DEVICE_REVOKED`, `ACCOUNT_CLOSED` of either
    /// side, `SELF_DEALING`, `TARIFF_UNKNOWN` where it has to be enclosed, `GRANT_NOT_FOR_US` for a tariff or a predecessor of others,
    /// `CURRENCY_FOREIGN`, `TARIFF_NOT_VALID_NOW`, `GRANT_LIMIT_REACHED`, `GRANT_UNKNOWN`, `CREDIT_INSUFFICIENT`.
    pub fn grant(
        &self,
        request: &Sealed<GrantRequest>,
        now: UnixMillis,
    ) -> Result<Sealed<Grant>, StoreError> {
        let ask = Ask::of(request);
        let (answered, kept) = self.read(|view| {
            let answered = grant::answered(view, &request.device, &request.id, &ask)?;
            Ok((answered, self.kept_tariff(view, &ask.tariff)?))
        })?;
        let tariff = match (&answered, kept) {
            (None, None) => Some(self.enclosed_tariff(request)?),
            (_, kept) => kept,
        };
        let sealed = match &request.tariff {
            Some(tariff) => tariff.to_bytes(),
            None => Vec::new(),
        };
        let id = GrantId(draw_id(now)?);
        let done = self.commit(|view| {
            if let Some(answer) = grant::answered(view, &request.device, &request.id, &ask)? {
                return Ok((None, answer));
            }
            let tariff = tariff.as_deref().ok_or(Reject::TARIFF_UNKNOWN)?;
            let is_kept = tariff::sealed(view, &ask.tariff)?.is_some();
            if !is_kept && sealed.is_empty() {
                return Err(Reject::TARIFF_UNKNOWN.into());
            }
            let drawn = Drawn {
                grant: id,
                issuer: self.issuer_id(),
                tariff,
                tariff_sealed: &sealed,
            };
            let (event, terms) = grant::decide(view, &self.policy, request, &drawn, now)?;
            Ok((Some(event), (id, terms)))
        })?;
        let (id, terms) = done.value;
        self.sign(terms.to_record(id)?)
    }

    /// A grant as it is now.
    pub fn grant_status(&self, id: GrantId) -> Result<Option<GrantStatus>, StoreError> {
        self.read(|view| {
            let Some(terms) = terms::get(view, &id)? else {
                return Ok(None);
            };
            let progress = progress::get(view, &id)?;
            Ok(Some(GrantStatus { terms, progress }))
        })
    }

    /// A price list that grants name, as its seller signed it.
    pub fn tariff(&self, hash: TariffHash) -> Result<Option<Unverified<Tariff>>, StoreError> {
        self.read(|view| tariff::get(view, &hash))
    }

    /// The price list of a grant's terms, decoded.
    pub(crate) fn kept_tariff_of(&self, terms: &Terms) -> Result<Arc<Tariff>, StoreError> {
        let kept = self.read(|view| self.kept_tariff(view, &terms.tariff))?;
        kept.ok_or_else(|| Fault::from(Invariant::RowExists(Table::Tariff)).into())
    }

    /// At most `limit` passes of an account, for one site or for all, that are good at `now`, the last to end first.
    pub fn passes(
        &self,
        account: AccountId,
        site: Option<&SiteName>,
        now: UnixMillis,
        limit: usize,
    ) -> Result<Vec<Sealed<Pass>>, StoreError> {
        let held = self.read(|view| pass::list(view, &account, site, now, limit))?;
        held.iter()
            .map(|held| self.sign(held.to_record(self.issuer_id())?))
            .collect()
    }

    /// A tariff that grants name, decoded: from the cache, or from its row.
    pub(super) fn kept_tariff(
        &self,
        view: &Seen<'_>,
        hash: &TariffHash,
    ) -> Result<Option<Arc<Tariff>>, Fault> {
        if let Some(tariff) = self.tariffs.lock().get(hash) {
            return Ok(Some(tariff.clone()));
        }
        let Some(row) = tariff::get(view, hash)? else {
            return Ok(None);
        };
        // Its signature was checked before it was kept.
        let tariff = Arc::new(row.claims().clone());
        self.tariffs.lock().put(*hash, tariff.clone());
        Ok(Some(tariff))
    }

    fn enclosed_tariff(&self, request: &Sealed<GrantRequest>) -> Result<Arc<Tariff>, StoreError> {
        let enclosed = request.tariff.clone().ok_or(Reject::TARIFF_UNKNOWN)?;
        if enclosed.tariff_hash() != request.tariff_hash {
            return Err(Reject::TARIFF_UNKNOWN.into());
        }
        Ok(Arc::new(enclosed.verify(&self.trust)?.into_value()))
    }
}
