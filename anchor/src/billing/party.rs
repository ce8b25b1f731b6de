//! Who a document names.

use madang_protocol::{ids::AccountId, name::Handle, reject::Reject};
use serde::{Deserialize, Serialize};

use crate::store::{Store, error::StoreError};

/// Somebody whom a document names. The ledger knows accounts by their identifiers alone: what people are called comes in here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Party {
    /// The name in the network.
    pub handle: Handle,
    /// What an authority calls it, where it said so.
    pub tax_id: Option<String>,
}

/// Who an account is, on every document.
///
/// # Errors
/// `ACCOUNT_UNKNOWN`; the store's own.
pub fn party(store: &Store, account: &AccountId) -> Result<Party, StoreError> {
    let known = store.account(*account)?;
    let handle = known
        .ok_or(StoreError::Refused(Reject::ACCOUNT_UNKNOWN))?
        .handle;
    let organisation = store.organisation(*account)?;
    Ok(Party {
        handle,
        tax_id: organisation.tax_id.as_ref().map(ToString::to_string),
    })
}
