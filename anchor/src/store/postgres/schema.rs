//! The tables, and how they come to be.
//!
//! Plain SQL: bytea, bigint, primary keys, one sequence. The rows are the ledger's own, so that both engines agree by what they run on, not by being
//! written alike twice.

use postgres::Client;

use super::error::PostgresError;

/// Each is run once, in this order; none is ever changed.
const MIGRATIONS: [&str; 2] = [
    "
    CREATE TABLE madang_rows (
        tbl smallint NOT NULL,
        key bytea NOT NULL,
        row bytea NOT NULL,
        PRIMARY KEY (tbl, key)
    );
    CREATE SEQUENCE madang_entry;
    CREATE TABLE madang_instances (
        name text PRIMARY KEY,
        shard smallint NOT NULL UNIQUE
    );
    CREATE TABLE madang_events (
        entry bigint PRIMARY KEY,
        shard smallint NOT NULL,
        link bigint NOT NULL,
        hash bytea NOT NULL,
        payload bytea NOT NULL,
        UNIQUE (shard, link)
    );
    CREATE TABLE madang_network (
        id bytea PRIMARY KEY
    );
",
    "
    CREATE TABLE madang_personal_keys (
        name bytea PRIMARY KEY,
        wrapped bytea NOT NULL
    );
",
];

/// Only one anchor makes tables at a time.
const LOCK: i64 = 0x6d61_6461_6e67;

/// Brings the tables to what this program knows.
///
/// # Errors
/// [`PostgresError::Newer`] for tables of a later program; the database's own.
pub(super) fn migrate(client: &mut Client) -> Result<(), PostgresError> {
    let mut transaction = client.transaction()?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])?;
    let known = transaction.query_one("SELECT to_regclass('madang_schema') IS NOT NULL", &[])?;
    if !known.try_get::<_, bool>(0)? {
        transaction.batch_execute("CREATE TABLE madang_schema (version integer PRIMARY KEY)")?;
    }
    let version =
        transaction.query_one("SELECT coalesce(max(version), 0) FROM madang_schema", &[])?;
    let version: i32 = version.try_get(0)?;
    let done = usize::try_from(version).unwrap_or(0);
    if done > MIGRATIONS.len() {
        return Err(PostgresError::Newer);
    }
    for (at, migration) in MIGRATIONS.iter().enumerate().skip(done) {
        transaction.batch_execute(migration)?;
        let version = i32::try_from(at + 1).unwrap_or(i32::MAX);
        transaction.execute("INSERT INTO madang_schema VALUES ($1)", &[&version])?;
    }
    Ok(transaction.commit()?)
}
