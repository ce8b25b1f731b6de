//! A schema whose rows are easy to predict, a model of it, and a disk that fails as it is told.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test file uses a part; tests fail by panicking"
)]

pub mod disk;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use madang_journal::{
    ApplyError, CommitError, NotDurable, OpenError, Options, Order, Payload, Recovery, Rows,
    Schema, Store, Ticket,
};

use disk::{Mounted, SimDisk};

/// One change of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    Put(u8, Vec<u8>, Vec<u8>),
    Delete(u8, Vec<u8>),
    /// Adds to a counter: applied twice or skipped, it shows.
    Add(u8, Vec<u8>, u64),
}

pub fn encode(ops: &[Op]) -> Payload {
    let mut out = Vec::new();
    for op in ops {
        let (kind, table, key, value) = match op {
            Op::Put(table, key, value) => (0, table, key, value.clone()),
            Op::Delete(table, key) => (1, table, key, Vec::new()),
            Op::Add(table, key, n) => (2, table, key, n.to_le_bytes().to_vec()),
        };
        out.extend_from_slice(&[kind, *table, key.len() as u8]);
        out.extend_from_slice(key);
        out.extend_from_slice(&(value.len() as u32).to_le_bytes());
        out.extend_from_slice(&value);
    }
    out
}

pub fn decode(mut bytes: &[u8]) -> Option<Vec<Op>> {
    let mut ops = Vec::new();
    while !bytes.is_empty() {
        let ([kind, table, key_len], rest) = bytes.split_first_chunk()?;
        let (key, rest) = rest.split_at_checked(*key_len as usize)?;
        let (len, rest) = rest.split_first_chunk()?;
        let (value, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        ops.push(match kind {
            0 => Op::Put(*table, key.to_vec(), value.to_vec()),
            1 => Op::Delete(*table, key.to_vec()),
            2 => Op::Add(
                *table,
                key.to_vec(),
                u64::from_le_bytes(value.try_into().ok()?),
            ),
            _ => return None,
        });
        bytes = rest;
    }
    Some(ops)
}

#[derive(Debug, Clone, Copy)]
pub struct Counters;

impl Schema for Counters {
    const VERSION: u32 = 1;

    fn apply(&self, _seq: u64, payload: &[u8], rows: &mut Rows<'_>) -> Result<(), ApplyError> {
        for op in decode(payload).ok_or_else(|| ApplyError::refused("malformed"))? {
            match op {
                Op::Put(table, key, value) => rows.put(table, &key, value)?,
                Op::Delete(table, key) => rows.delete(table, &key)?,
                Op::Add(table, key, n) => {
                    let old = rows.get(table, &key)?.map_or(0, |row| count(&row));
                    rows.put(table, &key, (old + n).to_le_bytes().to_vec())?;
                }
            }
        }
        Ok(())
    }
}

pub fn count(row: &[u8]) -> u64 {
    u64::from_le_bytes(row.try_into().unwrap_or([0xff; 8]))
}

/// What the rows must be: the fold of the same operations over a map.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Model(pub BTreeMap<(u8, Vec<u8>), Vec<u8>>);

impl Model {
    pub fn apply(&mut self, ops: &[Op]) {
        for op in ops {
            match op.clone() {
                Op::Put(table, key, value) => drop(self.0.insert((table, key), value)),
                Op::Delete(table, key) => drop(self.0.remove(&(table, key))),
                Op::Add(table, key, n) => {
                    let row = self.0.entry((table, key)).or_insert_with(|| vec![0; 8]);
                    *row = (count(row) + n).to_le_bytes().to_vec();
                }
            }
        }
    }

    pub fn of<'a>(entries: impl IntoIterator<Item = &'a Vec<Op>>) -> Self {
        let mut model = Self::default();
        entries.into_iter().for_each(|ops| model.apply(ops));
        model
    }
}

pub const TABLES: [u8; 3] = [0, 7, 254];

/// All rows of the tables that tests use, by range reads, and each compared with a look-up.
pub fn rows_of(store: &Store<Counters>) -> Model {
    store.read(|rows| {
        let mut model = Model::default();
        for table in TABLES {
            let forward = rows.range(table, .., Order::Forward, usize::MAX).unwrap();
            let mut backward = rows.range(table, .., Order::Backward, usize::MAX).unwrap();
            backward.reverse();
            assert_eq!(forward, backward);
            for (key, row) in forward {
                assert_eq!(rows.get(table, &key).unwrap().as_ref(), Some(&row));
                model.0.insert((table, key), row.to_vec());
            }
        }
        model
    })
}

/// The operations in the journal, by entry.
pub fn entries_of(store: &Store<Counters>) -> Vec<Vec<Op>> {
    store
        .entries(1)
        .map(|entry| decode(&entry.unwrap().payload).unwrap())
        .collect()
}

pub fn options(dir: &Path) -> Options {
    Options {
        segment_bytes: 64 << 10,
        preallocate_bytes: 8 << 10,
        ..Options::small(dir)
    }
}

/// Segments of a few entries, so that every test crosses from file to file.
pub fn sim_options(dir: &Path, disk: &Arc<SimDisk>) -> Options {
    Options {
        segment_bytes: 1_024,
        preallocate_bytes: 512,
        disk: Arc::new(Mounted(disk.clone())),
        ..Options::small(dir)
    }
}

pub fn open(options: Options) -> Result<(Store<Counters>, Recovery), OpenError> {
    Store::open(options, Counters)
}

pub fn commit(
    store: &Store<Counters>,
    ops: &[Op],
) -> Result<Ticket, CommitError<std::convert::Infallible>> {
    store
        .commit(|_| Ok((vec![encode(ops)], ())))
        .map(|((), ticket)| ticket)
}

/// Commits and waits.
pub fn commit_durable(store: &Store<Counters>, ops: &[Op]) -> Result<(), NotDurable> {
    commit(store, ops).unwrap().wait()
}

pub fn add(key: &str, n: u64) -> Op {
    Op::Add(0, key.as_bytes().to_vec(), n)
}

/// Copies a folder with its folders; a missing one is an empty one.
pub fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).into_iter().flatten() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// splitmix64: small, and the same everywhere.
#[derive(Debug, Clone)]
pub struct Seeded(pub u64);

impl Seeded {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    pub fn ops(&mut self) -> Vec<Op> {
        (0..1 + self.below(4)).map(|_| self.op()).collect()
    }

    fn op(&mut self) -> Op {
        let table = TABLES[self.below(3) as usize];
        let key = format!("k{}", self.below(12)).into_bytes();
        match self.below(5) {
            0 => Op::Delete(table, [b"p".as_slice(), &key].concat()),
            1 | 2 => Op::Put(
                table,
                [b"p".as_slice(), &key].concat(),
                vec![self.next() as u8; self.below(60) as usize],
            ),
            _ => Op::Add(table, key, self.below(1_000)),
        }
    }
}
