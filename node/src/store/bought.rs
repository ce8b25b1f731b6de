//! What a buyer asks of its store.

use madang_protocol::{
    amount::Amount,
    ids::{AccountId, GrantId},
    name::SiteName,
    record::{receipt::Receipt, request::GrantRequest},
    sealed::Unverified,
    time::Day,
};

use super::{
    open::{NodeStore, ROWS_PAGE, StoreRead},
    row::{AgreementRow, BoughtRow, GrantRow, PassRow},
    schema::{
        AGREEMENTS, ASKED, BOUGHT, DAYS, GRANTS, GRANTS_OPEN, SIGNED, TO_CLOSE, TO_FETCH, TO_TELL,
        key_of, pass_key,
    },
};

/// Agreements that are read at once.
const AGREEMENTS_MAX: usize = 4_096;
/// Grants that are told to the anchor in one round.
const CLOSINGS_MAX: usize = 256;
/// Passes that are asked for in one round.
const PASSES_FETCHED_MAX: usize = 64;

impl NodeStore {
    /// The agreement to pay `site`.
    pub fn agreement(&self, site: &SiteName) -> Result<Option<AgreementRow>, StoreRead> {
        self.one(AGREEMENTS, site.to_string().as_bytes())
    }

    /// All agreements, in the order of their sites.
    pub fn agreements(&self) -> Result<Vec<AgreementRow>, StoreRead> {
        Ok(self
            .many(AGREEMENTS, &[], AGREEMENTS_MAX)?
            .into_iter()
            .map(|(_, row)| row)
            .collect())
    }

    /// What leaves the wallet for what was signed for on `day`.
    pub fn spent_on(&self, day: Day) -> Result<Amount, StoreRead> {
        Ok(self.one(DAYS, &day.0.to_be_bytes())?.unwrap_or_default())
    }

    /// Requests for grants that were never answered: to be repeated with the same ids.
    pub fn asked(&self, limit: usize) -> Result<Vec<Unverified<GrantRequest>>, StoreRead> {
        Ok(self
            .many(ASKED, &[], limit)?
            .into_iter()
            .map(|(_, row)| row)
            .collect())
    }

    /// A grant that this node holds.
    pub fn grant(&self, grant: GrantId) -> Result<Option<GrantRow>, StoreRead> {
        self.one(GRANTS, &grant.0)
    }

    /// Up to `limit` grants that this node holds or held.
    pub fn grants(&self, limit: usize) -> Result<Vec<GrantRow>, StoreRead> {
        Ok(self
            .many(GRANTS, &[], limit)?
            .into_iter()
            .map(|(_, row)| row)
            .collect())
    }

    /// The grants after `after` in the order of their ids, up to a page of them: fewer are the last ones.
    pub fn grants_after(&self, after: Option<GrantId>) -> Result<Vec<GrantRow>, StoreRead> {
        self.page(GRANTS, after.as_ref().map(|id| &id.0[..]))
    }

    /// Of those after `after` that the anchor has not been told are done, up to a page of them, and where the next page begins.
    pub fn grants_open_after(
        &self,
        after: Option<GrantId>,
    ) -> Result<(Vec<GrantRow>, Option<GrantId>), StoreRead> {
        self.grants_in(GRANTS_OPEN, after)
    }

    /// Of those after `after` whose final receipt the seller is to be shown, up to a page of them, and where the next page begins.
    pub fn grants_to_tell_after(
        &self,
        after: Option<GrantId>,
    ) -> Result<(Vec<GrantRow>, Option<GrantId>), StoreRead> {
        self.grants_in(TO_TELL, after)
    }

    fn grants_in(
        &self,
        table: u8,
        after: Option<GrantId>,
    ) -> Result<(Vec<GrantRow>, Option<GrantId>), StoreRead> {
        let after = after.as_ref().map(|id| &id.0[..]);
        let ids = self.after::<()>(table, after, ROWS_PAGE)?;
        let next = ids.last().filter(|_| ids.len() == ROWS_PAGE);
        let next = next.and_then(|(key, ())| Some(GrantId(key.as_slice().try_into().ok()?)));
        let rows = ids.iter().map(|(key, ())| self.one(GRANTS, key));
        Ok((
            rows.filter_map(Result::transpose)
                .collect::<Result<_, _>>()?,
            next,
        ))
    }

    /// The passes that were bought after `after` in the order of the table, up to a page of them: fewer are the last ones.
    pub fn passes_bought_after(
        &self,
        after: Option<&PassRow>,
    ) -> Result<Vec<BoughtRow>, StoreRead> {
        self.page(BOUGHT, after.map(key_of).as_deref())
    }

    /// The highest receipt that this node signed for a grant.
    pub fn signed(&self, grant: GrantId) -> Result<Option<Unverified<Receipt>>, StoreRead> {
        self.one(SIGNED, &grant.0)
    }

    /// The pass of `account` for `pattern` of `site` that this node signed for last, if it did.
    pub fn pass_bought(
        &self,
        account: AccountId,
        site: &SiteName,
        pattern: &str,
    ) -> Result<Option<BoughtRow>, StoreRead> {
        self.one(BOUGHT, &pass_key(account, site, pattern))
    }

    /// Passes that were bought, and whose issuer's word is not in hand: some of them, the same until they are known.
    pub fn passes_to_fetch(&self) -> Result<Vec<BoughtRow>, StoreRead> {
        let rows = self.many::<()>(TO_FETCH, &[], PASSES_FETCHED_MAX)?;
        let bought = rows.into_iter().map(|(key, ())| self.one(BOUGHT, &key));
        bought.filter_map(Result::transpose).collect()
    }

    /// Grants that the anchor must be told are done.
    pub fn to_close(&self) -> Result<Vec<GrantId>, StoreRead> {
        let rows = self.many::<()>(TO_CLOSE, &[], CLOSINGS_MAX)?;
        Ok(rows
            .into_iter()
            .filter_map(|(key, ())| Some(GrantId(key.try_into().ok()?)))
            .collect())
    }
}
