//! The wrapped keys of personal data: a table of its own, outside the events, whose rows can be deleted.

use parking_lot::Mutex;

use super::{connect::PostgresOptions, error::PostgresError, link::Link};
use crate::vault::{
    keep::VaultError,
    room::{Look, Room, RoomKey},
};

/// Tries of one statement, on new connections where the last one is gone.
const TRIES_MAX: usize = 8;
/// Wrapped keys that are fetched at once.
const PAGE: i64 = 4_096;

/// The table, over a connection of its own.
pub(in crate::store) struct PgRoom {
    options: PostgresOptions,
    link: Mutex<Option<Link>>,
}

impl PgRoom {
    /// The room in a database whose tables are there. Connects when it is asked.
    pub(in crate::store) fn new(options: PostgresOptions) -> Self {
        Self {
            options,
            link: Mutex::new(None),
        }
    }

    fn with<R>(
        &self,
        mut work: impl FnMut(&mut Link) -> Result<R, PostgresError>,
    ) -> Result<R, VaultError> {
        let mut place = self.link.lock();
        let mut tried = 0;
        loop {
            tried += 1;
            let done = match &mut *place {
                Some(link) => work(link),
                None => self
                    .options
                    .connect()
                    .and_then(|link| work(place.insert(link))),
            };
            match done {
                Ok(done) => return Ok(done),
                Err(error) if tried < TRIES_MAX && error.is_conflict() => {}
                Err(error) if tried < TRIES_MAX && error.is_lost() => *place = None,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Room for PgRoom {
    fn get(&self, name: &RoomKey) -> Result<Option<Vec<u8>>, VaultError> {
        self.with(|link| wrapped(link, name))
    }

    fn keep(&self, name: &RoomKey, new: &[u8]) -> Result<Vec<u8>, VaultError> {
        self.with(|link| {
            link.query(
                "INSERT INTO madang_personal_keys (name, wrapped) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
                &[&name.as_slice(), &new],
            )?;
            wrapped(link, name)?.ok_or(PostgresError::Contended)
        })
    }

    fn delete(&self, name: &RoomKey) -> Result<(), VaultError> {
        self.with(|link| {
            link.query(
                "DELETE FROM madang_personal_keys WHERE name = $1",
                &[&name.as_slice()],
            )?;
            // What was deleted stays in the table's file until it is cleaned.
            link.run("VACUUM madang_personal_keys")
        })
    }

    fn each(&self, look: &mut Look<'_>) -> Result<(), VaultError> {
        let mut after: Vec<u8> = Vec::new();
        loop {
            let rows = self.with(|link| {
                link.query(
                    "SELECT name, wrapped FROM madang_personal_keys WHERE name > $1 ORDER BY name LIMIT $2",
                    &[&after, &PAGE],
                )
            })?;
            for row in &rows {
                let (name, wrapped): (&[u8], &[u8]) = (cell(row, 0)?, cell(row, 1)?);
                let name = name.try_into().map_err(|_| PostgresError::Foreign)?;
                look(&name, wrapped)?;
                after = name.to_vec();
            }
            if rows.is_empty() {
                return Ok(());
            }
        }
    }
}

fn wrapped(link: &mut Link, name: &RoomKey) -> Result<Option<Vec<u8>>, PostgresError> {
    let rows = link.query(
        "SELECT wrapped FROM madang_personal_keys WHERE name = $1",
        &[&name.as_slice()],
    )?;
    rows.first().map(|row| Ok(row.try_get(0)?)).transpose()
}

fn cell(row: &postgres::Row, at: usize) -> Result<&[u8], PostgresError> {
    Ok(row.try_get(at)?)
}
