//! Durable appends beside a raw write and fdatasync of the same bytes, and starts of a large store. Prints ratios; asserts nothing.
//!
//! `cargo bench -p madang-journal --bench append` takes some minutes; `-- --entries 100000` makes the large store smaller.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and ends at the first error"
)]

use std::convert::Infallible;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use madang_journal::{ApplyError, Options, Recovery, Rows, Schema, Store};

const RECORD_BYTES: usize = 300;
const ENTRY_HEADER_BYTES: usize = 64;

/// Rows as settlements make them: each record writes one row of its own and reads and changes four of 256 accounts.
struct Settlements;

impl Schema for Settlements {
    const VERSION: u32 = 1;

    fn apply(&self, _seq: u64, payload: &[u8], rows: &mut Rows<'_>) -> Result<(), ApplyError> {
        for record in payload.chunks_exact(RECORD_BYTES) {
            let (id, value) = record.split_at(16);
            rows.put(0, id, &value[..80])?;
            for table in 1..5 {
                let account = [id[table as usize]];
                let before = rows.get(table, &account)?.map_or(0, |row| {
                    u64::from_le_bytes(row[..8].try_into().unwrap_or_default())
                });
                rows.put(table, &account, (before + 1).to_le_bytes().as_slice())?;
            }
        }
        Ok(())
    }
}

fn record(n: u64) -> [u8; RECORD_BYTES] {
    let mut record = [7; RECORD_BYTES];
    let mut z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    record[..8].copy_from_slice(&z.to_le_bytes());
    record[8..16].copy_from_slice(&n.to_le_bytes());
    record
}

fn main() {
    let entries = argument("--entries").unwrap_or(1_000_000);
    let dir = std::env::current_dir()
        .unwrap()
        .join("target/bench-journal");
    println!(
        "batch  journal/s      raw/s  ratio  (records of {RECORD_BYTES} B, durable; median of 5 pairs)"
    );
    for (batch, records) in [(1, 2_000), (64, 64_000), (1_000, 500_000)] {
        let mut pairs: Vec<(f64, f64)> = (0..5)
            .map(|_| (journal(&dir, batch, records), raw(&dir, batch, records)))
            .collect();
        pairs.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
        let (journal, raw) = pairs[2];
        println!(
            "{batch:>5} {journal:>10.0} {raw:>10.0} {:>6.2}",
            journal / raw
        );
    }
    grouped(&dir);
    one_payload(&dir);
    starts(&dir, entries);
    fs::remove_dir_all(&dir).ok();
}

fn argument(name: &str) -> Option<u64> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1)?.parse().ok()
}

/// Only keeps the entry: the cost of the log without rows.
struct Nothing;

impl Schema for Nothing {
    const VERSION: u32 = 1;
    fn apply(&self, _: u64, _: &[u8], _: &mut Rows<'_>) -> Result<(), ApplyError> {
        Ok(())
    }
}

fn fresh<S: Schema>(dir: &Path, schema: S) -> Store<S> {
    fs::remove_dir_all(dir).ok();
    Store::open(Options::new(dir), schema).unwrap().0
}

/// Records a second when `batch` of them are one commit and each commit is awaited.
fn journal(dir: &Path, batch: u64, records: u64) -> f64 {
    let store = fresh(dir, Nothing);
    let begin = Instant::now();
    for first in (0..records).step_by(batch as usize) {
        let payloads: Vec<Vec<u8>> = (first..first + batch).map(|n| record(n).to_vec()).collect();
        let ((), ticket) = store
            .commit::<_, Infallible>(|_| Ok((payloads, ())))
            .unwrap();
        ticket.wait().unwrap();
    }
    records as f64 / begin.elapsed().as_secs_f64()
}

/// The same bytes by pwrite and fdatasync, into a file whose blocks are written in advance.
fn raw(dir: &Path, batch: u64, records: u64) -> f64 {
    fs::remove_dir_all(dir).ok();
    fs::create_dir_all(dir).unwrap();
    let file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .open(dir.join("raw"))
        .unwrap();
    let bytes = vec![7; batch as usize * (RECORD_BYTES + ENTRY_HEADER_BYTES)];
    let total = records / batch * bytes.len() as u64;
    let zeros = vec![0; 1 << 20];
    (0..=total >> 20).for_each(|n| file.write_all_at(&zeros, n << 20).unwrap());
    file.sync_all().unwrap();
    let begin = Instant::now();
    for n in 0..records / batch {
        file.write_all_at(&bytes, n * bytes.len() as u64).unwrap();
        file.sync_data().unwrap();
    }
    records as f64 / begin.elapsed().as_secs_f64()
}

/// 64 callers, each awaiting each of its commits.
fn grouped(dir: &Path) {
    const CALLERS: u64 = 64;
    const EACH: u64 = 500;
    let store = fresh(dir, Nothing);
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            let store = &store;
            scope.spawn(move || {
                for n in 0..EACH {
                    let payload = record(caller * EACH + n).to_vec();
                    let ((), ticket) = store
                        .commit::<_, Infallible>(|_| Ok((vec![payload], ())))
                        .unwrap();
                    ticket.wait().unwrap();
                }
            });
        }
    });
    let per_second = (CALLERS * EACH) as f64 / begin.elapsed().as_secs_f64();
    println!("{CALLERS} callers, one record each at a time: {per_second:.0}/s");
}

/// Settlements as the anchor takes them: 1,000 in one payload, five rows each, the index keeping up beside.
fn one_payload(dir: &Path) {
    const BATCHES: u64 = 300;
    let store = fresh(dir, Settlements);
    let begin = Instant::now();
    for batch in 0..BATCHES {
        let payload: Vec<u8> = (0..1_000).flat_map(|n| record(batch * 1_000 + n)).collect();
        let ((), ticket) = store
            .commit::<_, Infallible>(|_| Ok((vec![payload], ())))
            .unwrap();
        ticket.wait().unwrap();
    }
    let per_second = (BATCHES * 1_000) as f64 / begin.elapsed().as_secs_f64();
    let close = timed(|| store.close().unwrap());
    println!(
        "1,000 records in one payload, five rows each: {per_second:.0} records/s; close {close:.2?}"
    );
}

fn starts(dir: &Path, entries: u64) {
    let store = fresh(dir, Settlements);
    let begin = Instant::now();
    let mut last = None;
    for first in (0..entries).step_by(1_000) {
        let payloads: Vec<Vec<u8>> = (first..entries.min(first + 1_000))
            .map(|n| record(n).to_vec())
            .collect();
        last = Some(
            store
                .commit::<_, Infallible>(|_| Ok((payloads, ())))
                .unwrap()
                .1,
        );
    }
    last.inspect(|ticket| ticket.wait().unwrap());
    let written = begin.elapsed();
    let closed = timed(|| store.close().unwrap());
    println!(
        "{entries} entries written with their rows in {written:.2?}; close {closed:.2?}; index {} MB",
        megabytes(&dir.join("index"))
    );
    drop(store);
    let (sound, recovery) = start(dir);
    assert!(recovery.rebuilt.is_none());
    println!(
        "start with a sound index: {sound:.2?} ({} rows, {} entries applied)",
        recovery.rows, recovery.replayed
    );
    fs::remove_dir_all(dir.join("index")).unwrap();
    let (rebuilt, recovery) = start(dir);
    println!(
        "start with no index: {rebuilt:.2?} ({} rows, {} entries applied)",
        recovery.rows, recovery.replayed
    );
    let walk = timed(|| {
        madang_journal::verify(&Options::new(dir)).unwrap();
    });
    println!("walk of the whole journal: {walk:.2?}");
}

fn start(dir: &Path) -> (Duration, Recovery) {
    let begin = Instant::now();
    let (store, recovery) = Store::open(Options::new(dir), Settlements).unwrap();
    let elapsed = begin.elapsed();
    store.close().unwrap();
    (elapsed, recovery)
}

fn timed(f: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    f();
    begin.elapsed()
}

fn megabytes(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.metadata().map_or(0, |data| data.len()))
        .sum::<u64>()
        >> 20
}
