//! Where the database is, and whose turn an instance's name is.

use std::{
    fmt,
    str::FromStr,
    thread,
    time::{Duration, Instant},
};

use madang_protocol::ids::NetworkId;
use postgres::{Config, NoTls};

use super::{chain::ChainHead, error::PostgresError, link::Link, schema::migrate};

/// Which database, and as whom. Its password is not shown.
#[derive(Clone)]
pub struct PostgresOptions {
    config: Config,
    /// This anchor's name among those on the same database.
    pub instance: String,
}

/// A connection is made within this time.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// An instance whose process has just ended is let go of by the database within this time.
const NAME_FREE_WITHIN: Duration = Duration::from_secs(5);
const NAME_RETRY_EVERY: Duration = Duration::from_millis(50);
/// The name of an anchor that is alone.
const INSTANCE: &str = "anchor";
/// What locks of instances are told from others by.
const LOCK_CLASS: i32 = 0x6d61_6461;
/// A transaction that a lost anchor has left open is given up by the database after this, and a statement that waits for others' rows.
const SETTINGS: &str = "SET default_transaction_isolation = 'serializable'; \
    SET idle_in_transaction_session_timeout = '60s'; SET lock_timeout = '10s'; SET statement_timeout = '120s'";

impl FromStr for PostgresOptions {
    type Err = PostgresError;

    /// `postgres://user:password@host:port/database`, or the words of a connection string.
    fn from_str(text: &str) -> Result<Self, PostgresError> {
        let mut config: Config = text.parse()?;
        config.connect_timeout(CONNECT_WITHIN);
        if config.get_application_name().is_none() {
            config.application_name("madang-anchor");
        }
        Ok(Self {
            config,
            instance: INSTANCE.to_owned(),
        })
    }
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("instance", &self.instance)
            .finish_non_exhaustive()
    }
}

impl PostgresOptions {
    /// A new connection.
    pub(super) fn connect(&self) -> Result<Link, PostgresError> {
        let mut client = self.config.connect(NoTls)?;
        client.batch_execute(SETTINGS)?;
        Ok(Link::new(client))
    }

    /// Makes the tables where they are not there yet, and sees that they are this network's. Gives this instance's shard.
    pub(super) fn prepare(&self, network: NetworkId) -> Result<i16, PostgresError> {
        let mut client = self.config.connect(NoTls)?;
        migrate(&mut client)?;
        let mut link = Link::new(client);
        link.query(
            "INSERT INTO madang_network (id) SELECT $1 WHERE NOT EXISTS (SELECT FROM madang_network)",
            &[&network.0.as_slice()],
        )?;
        let kept = link.query("SELECT id FROM madang_network", &[])?;
        let is_ours = |row: &postgres::Row| row.try_get(0).is_ok_and(|id: &[u8]| id == network.0);
        if kept.len() != 1 || !kept.iter().all(is_ours) {
            return Err(PostgresError::OtherNetwork);
        }
        link.query(
            "INSERT INTO madang_instances (name, shard) \
             SELECT $1, (SELECT coalesce(max(shard), 0) + 1 FROM madang_instances) ON CONFLICT (name) DO NOTHING",
            &[&self.instance],
        )?;
        let shard = link.query(
            "SELECT shard FROM madang_instances WHERE name = $1",
            &[&self.instance],
        )?;
        let shard = shard.first().ok_or(PostgresError::InstancesTooMany)?;
        Ok(shard.try_get(0)?)
    }

    /// A connection that holds this instance's name for as long as it lives, and where its chain ends.
    pub(super) fn connect_as(&self, shard: i16) -> Result<(Link, ChainHead), PostgresError> {
        let mut link = self.connect()?;
        let deadline = Instant::now() + NAME_FREE_WITHIN;
        loop {
            let taken = link.query(
                "SELECT pg_try_advisory_lock($1, $2)",
                &[&LOCK_CLASS, &i32::from(shard)],
            )?;
            if taken
                .first()
                .is_some_and(|row| row.try_get(0).unwrap_or(false))
            {
                break;
            }
            if Instant::now() >= deadline {
                return Err(PostgresError::Busy(self.instance.clone()));
            }
            thread::sleep(NAME_RETRY_EVERY);
        }
        let head = ChainHead::read(&mut link, shard)?;
        Ok((link, head))
    }
}
