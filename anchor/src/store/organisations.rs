//! Organisations: tax and members.

use madang_protocol::{ids::AccountId, time::UnixMillis};

use super::{
    anchor_store::{Done, Store},
    error::StoreError,
};
use crate::ledger::organisation::{self, Organisation, OrganisationChange};

impl Store {
    /// Changes an organisation's tax or members. What is so already does nothing.
    ///
    /// # Errors
    /// `ACCOUNT_UNKNOWN`, `ACCOUNT_CLOSED` of either, `NOT_AN_ORGANISATION`, `NOT_A_PERSON`, `OWNER_NEEDED`, `TAX_ID_NEEDED`, `TOO_MANY`.
    pub fn change_organisation(
        &self,
        id: AccountId,
        change: OrganisationChange,
        now: UnixMillis,
    ) -> Result<Done, StoreError> {
        self.commit(|view| {
            let event = organisation::decide(view, id, change.clone(), now)?;
            Ok((event, ()))
        })
    }

    /// What is kept of an organisation beside its account.
    pub fn organisation(&self, id: AccountId) -> Result<Organisation, StoreError> {
        self.read(|view| organisation::get(view, &id))
    }

    /// The organisations that a person acts for.
    pub fn organisations_of(&self, person: AccountId) -> Result<Vec<AccountId>, StoreError> {
        self.read(|view| organisation::of_person(view, &person))
    }
}
