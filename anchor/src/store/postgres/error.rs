//! Why the database does not do what it is asked.

use std::{error::Error as _, io, sync::Arc};

use postgres::error::SqlState;

/// Why the database does not do what it is asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PostgresError {
    /// The database's own word, or the connection's.
    #[error("the database: {}", said(.0))]
    Database(Arc<postgres::Error>),
    /// The tables are a later program's.
    #[error("the database was used by a newer madang-anchor; use that one")]
    Newer,
    /// The tables belong to another network.
    #[error(
        "the database holds another network's accounts; name its own anchor's home, or another database"
    )]
    OtherNetwork,
    /// It is not empty.
    #[error("the database holds accounts already; name an empty one")]
    NotEmpty,
    /// Another process has this name.
    #[error(
        "an anchor named {0} is running on this database already; give each a name of its own with --instance"
    )]
    Busy(String),
    /// There is no room for another name.
    #[error("the database knows too many anchors by name")]
    InstancesTooMany,
    /// A row is not what this program writes.
    #[error("the database holds what this program has not written")]
    Foreign,
    /// Other anchors changed the same rows again and again.
    #[error("the database is too busy: the same rows are changed by others all the time")]
    Contended,
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

impl PostgresError {
    /// Whether the transaction did nothing because others were faster, and may do it now.
    pub(super) fn is_conflict(&self) -> bool {
        let Self::Database(error) = self else {
            return false;
        };
        error.code().is_some_and(|code| {
            [
                SqlState::T_R_SERIALIZATION_FAILURE,
                SqlState::T_R_DEADLOCK_DETECTED,
                SqlState::UNIQUE_VIOLATION,
                SqlState::LOCK_NOT_AVAILABLE,
            ]
            .contains(code)
        })
    }

    /// Whether the connection was lost, or the server goes away or is not there yet: what it was asked for last may have been done or not.
    pub(super) fn is_lost(&self) -> bool {
        let Self::Database(error) = self else {
            return false;
        };
        let is_broken = || {
            error
                .source()
                .is_some_and(|source| source.is::<io::Error>())
        };
        error.is_closed() || error.code().map_or_else(is_broken, is_away)
    }
}

/// Connection exceptions, operator intervention, insufficient resources (PostgreSQL's classes 08, 57 and 53).
fn is_away(code: &SqlState) -> bool {
    ["08", "57P", "53"]
        .iter()
        .any(|class| code.code().starts_with(class))
}

impl From<postgres::Error> for PostgresError {
    fn from(error: postgres::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}

/// The server's own sentence, which the client's error leaves to its source.
fn said(error: &postgres::Error) -> String {
    match error.as_db_error() {
        Some(said) => said.message().to_owned(),
        None => error.to_string(),
    }
}
