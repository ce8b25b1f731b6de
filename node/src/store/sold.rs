//! What a seller asks of its store.

use madang_protocol::{
    ids::{AccountId, GrantId},
    limits::{BATCH_RECEIPTS_MAX, GRANT_REQUESTS_MAX},
    name::SiteName,
    record::{receipt::Receipt, settlement::SettleBatch},
    rules::metering::RequestKey,
    sealed::Unverified,
    session::exposure::{Debt, EXPOSURE_ACCOUNTS_MAX},
    time::UnixMillis,
};

use super::{
    open::{NodeStore, ROWS_PAGE, StoreRead},
    row::{HeldRow, PassRow},
    schema::{
        BATCHES, DEBTS, GRANTS_SHOWN, HELD, PASSES, SERVED, SERVED_KEYS, ShownGrant, TO_SETTLE,
        key_of, pass_key,
    },
};

impl NodeStore {
    /// What each account owes, and has paid.
    pub fn debts(&self) -> Result<Vec<(AccountId, Debt)>, StoreRead> {
        let rows = self.many::<Debt>(DEBTS, &[], EXPOSURE_ACCOUNTS_MAX)?;
        Ok(rows
            .into_iter()
            .filter_map(|(key, debt)| Some((AccountId(key.try_into().ok()?), debt)))
            .collect())
    }

    /// The highest receipt held for a grant, and what has become of it.
    pub fn held(&self, grant: GrantId) -> Result<Option<HeldRow>, StoreRead> {
        self.one(HELD, &grant.0)
    }

    /// A grant that a buyer showed before.
    pub fn grant_shown(&self, grant: GrantId) -> Result<Option<ShownGrant>, StoreRead> {
        self.one(GRANTS_SHOWN, &grant.0)
    }

    /// Up to `limit` sales, by grant.
    pub fn sales(&self, limit: usize) -> Result<Vec<HeldRow>, StoreRead> {
        Ok(self
            .many(HELD, &[], limit)?
            .into_iter()
            .map(|(_, row)| row)
            .collect())
    }

    /// Up to `limit` grants that buyers showed.
    pub fn grants_shown(&self, limit: usize) -> Result<Vec<ShownGrant>, StoreRead> {
        Ok(self
            .many(GRANTS_SHOWN, &[], limit)?
            .into_iter()
            .map(|(_, row)| row)
            .collect())
    }

    /// The grants that buyers showed after `after` in the order of their ids, up to a page of them: fewer are the last ones.
    pub fn grants_shown_after(&self, after: Option<GrantId>) -> Result<Vec<ShownGrant>, StoreRead> {
        self.page(GRANTS_SHOWN, after.as_ref().map(|id| &id.0[..]))
    }

    /// The sales after `after` in the order of their grants, up to a page of them: fewer are the last ones.
    pub fn sales_after(&self, after: Option<GrantId>) -> Result<Vec<HeldRow>, StoreRead> {
        self.page(HELD, after.as_ref().map(|id| &id.0[..]))
    }

    /// The passes that were sold after `after` in the order of the table, up to a page of them: fewer are the last ones.
    pub fn passes_sold_after(&self, after: Option<&PassRow>) -> Result<Vec<PassRow>, StoreRead> {
        self.page(PASSES, after.map(key_of).as_deref())
    }

    /// The batch that waits for its verdict, if one does.
    pub fn batch_waiting(&self) -> Result<Option<Unverified<SettleBatch>>, StoreRead> {
        Ok(self.many(BATCHES, &[], 1)?.pop().map(|(_, batch)| batch))
    }

    /// Receipts that the anchor has not judged, as many as one batch may hold.
    pub fn to_settle(&self) -> Result<Vec<Unverified<Receipt>>, StoreRead> {
        let grants = self.many::<()>(TO_SETTLE, &[], BATCH_RECEIPTS_MAX)?;
        let held = grants
            .into_iter()
            .map(|(grant, ())| self.one::<HeldRow>(HELD, &grant));
        held.filter_map(|row| row.map(|row| row.map(|row| row.receipt)).transpose())
            .collect()
    }

    /// Requests that were served under a grant, by rule.
    pub fn served(&self, grant: GrantId) -> Result<Vec<u64>, StoreRead> {
        Ok(self.one(SERVED, &grant.0)?.unwrap_or_default())
    }

    /// What requests that were served under a grant are recognised by.
    pub fn served_keys(&self, grant: GrantId) -> Result<Vec<RequestKey>, StoreRead> {
        let (mut keys, mut last) = (Vec::new(), grant.0.to_vec());
        // More than one range may hold, in ranges.
        while keys.len() < GRANT_REQUESTS_MAX {
            let rows = self.after::<()>(SERVED_KEYS, Some(&last), ROWS_PAGE)?;
            let of_grant = rows
                .iter()
                .filter_map(|(key, ())| key.strip_prefix(&grant.0)?.try_into().ok());
            let before = keys.len();
            keys.extend(of_grant.map(RequestKey));
            match rows.last() {
                Some((key, ())) if keys.len() == before + ROWS_PAGE => last.clone_from(key),
                Some(_) | None => break,
            }
        }
        Ok(keys)
    }

    /// When the pass of `account` for `pattern` of `site` ends, if one was sold here.
    pub fn pass_sold(
        &self,
        account: AccountId,
        site: &SiteName,
        pattern: &str,
    ) -> Result<Option<UnixMillis>, StoreRead> {
        Ok(self
            .one::<PassRow>(PASSES, &pass_key(account, site, pattern))?
            .map(|pass| pass.until))
    }
}
