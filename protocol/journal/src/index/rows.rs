//! An index that knows how far it has come, and whether its rows are the ones that were written.

use std::ops::{Bound, ControlFlow};

use parking_lot::Mutex;

use super::engine::{Engine, IndexError, Scan, Visit};
use super::filter::Filter;
use super::meta::{Applied, Meta};
use super::scan;
use crate::row::{Key, META_KEY, Row};

/// Why an index that opened is not believed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Unsound {
    /// Reading it failed.
    #[error(transparent)]
    Failed(#[from] IndexError),
    /// Its own row is missing or altered.
    #[error("the index does not say how far it has come")]
    NoMeta,
    /// Rows are missing or altered.
    #[error("rows are missing or altered: {found} of {expected} found, or with other contents")]
    Rows {
        /// Rows found.
        found: u64,
        /// Rows that should be there.
        expected: u64,
    },
    /// Another version of the schema made it.
    #[error("the rows were made by version {found} of their rules, and {expected} is in use")]
    Schema {
        /// The version that made them.
        found: u32,
        /// The version in use.
        expected: u32,
    },
}

/// An open engine whose rows are the fold of the journal up to `applied`.
pub(crate) struct Index {
    engine: Box<dyn Engine>,
    meta: Mutex<Meta>,
    filter: Filter,
}

impl Index {
    /// Takes an engine without rows as the fold of nothing.
    pub(crate) fn empty(engine: Box<dyn Engine>, schema: u32) -> Result<Self, IndexError> {
        let meta = Meta {
            schema,
            ..Meta::default()
        };
        engine.write(&[], (META_KEY, &meta.encode()))?;
        Ok(Self {
            engine,
            meta: Mutex::new(meta),
            filter: Filter::new(0),
        })
    }

    /// Takes an engine whose files are those that were closed whole. Which keys it has is [learnt](Self::learn_keys) later.
    pub(crate) fn sealed(engine: Box<dyn Engine>, schema: u32) -> Result<Self, Unsound> {
        let meta = meta_of(&*engine, schema)?;
        Ok(Self {
            engine,
            filter: Filter::not_whole(meta.digest.rows.min(FILTER_ROWS_MAX)),
            meta: Mutex::new(meta),
        })
    }

    /// Whether it knows which keys it has.
    pub(crate) fn knows_keys(&self) -> bool {
        self.filter.is_whole()
    }

    /// Reads some keys of a sealed index, after the key `after`, and gives the last; `None` once it knows them all. Until then each look-up of a key
    /// that is not there asks the engine.
    pub(crate) fn learn_keys(&self, after: Option<Key>) -> Result<Option<Key>, IndexError> {
        let from = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let rest = Scan {
            from,
            to: Bound::Unbounded,
            backwards: false,
        };
        let (mut learnt, mut last) = (0, None);
        self.engine.scan(rest, &mut |key, _| {
            self.filter.insert(key);
            learnt += 1;
            if learnt < KEYS_LEARNT_AT_ONCE {
                return ControlFlow::Continue(());
            }
            last = Some(Key::from(key));
            ControlFlow::Break(())
        })?;
        if last.is_none() {
            self.filter.is_told_all();
        }
        Ok(last)
    }

    /// Reads every row of an engine and compares their digest with the one that was written with them.
    pub(crate) fn verify(engine: Box<dyn Engine>, schema: u32) -> Result<Self, Unsound> {
        let meta = meta_of(&*engine, schema)?;
        let filter = Filter::new(meta.digest.rows.min(FILTER_ROWS_MAX));
        let digest = scan::digest(&*engine, &filter, meta.digest.rows >= ROWS_FOR_TWO_THREADS)?;
        if digest != meta.digest {
            return Err(Unsound::Rows {
                found: digest.rows,
                expected: meta.digest.rows,
            });
        }
        Ok(Self {
            engine,
            meta: Mutex::new(meta),
            filter,
        })
    }

    pub(crate) fn applied(&self) -> Applied {
        self.meta.lock().applied
    }

    pub(crate) fn rows(&self) -> u64 {
        self.meta.lock().digest.rows
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Row>, IndexError> {
        if !self.filter.may_contain(key) {
            return Ok(None);
        }
        self.engine.get(key)
    }

    pub(crate) fn scan(&self, scan: Scan<'_>, visit: Visit<'_>) -> Result<(), IndexError> {
        self.engine.scan(scan, visit)
    }

    /// Writes rows that bring the index to `applied`, all or none. `rows` are in order, each once. One writer at a time.
    pub(crate) fn write(
        &self,
        rows: &[(&Key, Option<&Row>)],
        applied: Applied,
    ) -> Result<(), IndexError> {
        let mut meta = *self.meta.lock();
        meta.applied = applied;
        for (key, row) in rows {
            if let Some(old) = self.get(key)? {
                meta.digest.remove(key, &old);
            }
            if let Some(new) = row {
                meta.digest.add(key, new);
                self.filter.insert(key);
            }
        }
        self.engine.write(rows, (META_KEY, &meta.encode()))?;
        *self.meta.lock() = meta;
        Ok(())
    }

    pub(crate) fn flush(&self) -> Result<(), IndexError> {
        self.engine.flush()
    }
}

fn meta_of(engine: &dyn Engine, schema: u32) -> Result<Meta, Unsound> {
    let meta = engine
        .get(META_KEY)?
        .and_then(|row| Meta::decode(&row))
        .ok_or(Unsound::NoMeta)?;
    if meta.schema != schema {
        return Err(Unsound::Schema {
            found: meta.schema,
            expected: schema,
        });
    }
    Ok(meta)
}

/// Keys read without a pause: whoever lets go of the index waits for so many.
const KEYS_LEARNT_AT_ONCE: u32 = 1_024;

/// Rows for which the first layer of the filter is made at most: the count comes from a disk.
const FILTER_ROWS_MAX: u64 = 1 << 24;

/// Below this a second thread costs more than it saves.
const ROWS_FOR_TWO_THREADS: u64 = 20_000;
