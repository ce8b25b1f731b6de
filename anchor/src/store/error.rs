//! Why a store does not do what it is asked.

use std::{error::Error, io, sync::Arc};

use madang_journal::{ApplyError, CommitError, NotDurable, OpenError, WalkError};
use madang_protocol::reject::Reject;

use super::postgres::PostgresError;
use crate::{ledger::view::Fault, vault::keep::VaultError};

/// Why a store does not do what it is asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The caller is told so. Nothing was written.
    #[error(transparent)]
    Refused(#[from] Reject),
    /// The disk is full. Nothing was acknowledged; whether it was written is unknown.
    #[error("the disk is full")]
    Full(#[source] Cause),
    /// The store cannot be read or written. Whether it was written is unknown.
    #[error("the store failed")]
    Failed(#[source] Cause),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

/// What is behind a failure, for the log.
pub type Cause = Arc<dyn Error + Send + Sync>;

impl StoreError {
    /// The refusal that a peer is answered with.
    pub fn reject(&self) -> Reject {
        match self {
            Self::Refused(reject) => *reject,
            Self::Full(_) => Reject::STORE_FULL,
            Self::Failed(_) | Self::Closed => Reject::STORE_FAILED,
        }
    }

    fn of_cause(cause: Cause) -> Self {
        let mut source: Option<&(dyn Error + 'static)> = Some(cause.as_ref());
        while let Some(error) = source {
            if error
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::StorageFull)
            {
                return Self::Full(cause);
            }
            source = error.source();
        }
        Self::Failed(cause)
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Refused(reject) => Self::Refused(reject),
            Fault::Unreadable(_) | Fault::Broken(_) | Fault::Rows(_) => {
                Self::of_cause(Arc::new(fault))
            }
        }
    }
}

impl From<CommitError<Fault>> for StoreError {
    fn from(error: CommitError<Fault>) -> Self {
        match error {
            CommitError::Refused(fault) => fault.into(),
            CommitError::Closed => Self::Closed,
            CommitError::TooLong { .. } => Self::Refused(Reject::RECORD_TOO_LARGE),
            CommitError::Apply(ApplyError::Refused(_) | ApplyError::Row(_))
            | CommitError::Stalled(_) => Self::of_cause(Arc::new(error)),
        }
    }
}

impl From<PostgresError> for StoreError {
    fn from(error: PostgresError) -> Self {
        if matches!(error, PostgresError::Closed) {
            return Self::Closed;
        }
        Self::of_cause(Arc::new(error))
    }
}

impl From<VaultError> for StoreError {
    fn from(error: VaultError) -> Self {
        Self::of_cause(Arc::new(error))
    }
}

impl From<WalkError> for StoreError {
    fn from(error: WalkError) -> Self {
        Self::of_cause(Arc::new(error))
    }
}

impl From<NotDurable> for StoreError {
    fn from(error: NotDurable) -> Self {
        Self::of_cause(Arc::new(error))
    }
}

/// Why a store does not open.
#[derive(Debug, thiserror::Error)]
pub enum StoreOpenError {
    /// The journal or its index cannot be used.
    #[error(transparent)]
    Journal(#[from] OpenError),
    /// The database cannot be used.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// Personal data cannot be used.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// What was left to do could not be done.
    #[error("finish what was begun")]
    Unfinished(#[from] StoreError),
    /// The policy contradicts itself.
    #[error("the policy is not one that the protocol allows")]
    Policy,
}
