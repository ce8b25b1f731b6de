//! Closing a billing period: how long it takes, in how much memory, and whether an interruption changes a document.
//!
//! The history is made without cryptography: the events that grants and settlements are, of which a store makes its rows by the ledger's own `apply`. Then child processes of
//! this benchmark close the period: one on a copy of the store from the beginning to the end; another that is killed (SIGKILL) in the middle, and one
//! that goes on after it. Both must end with the same documents. At the end pages of bills and of documents are read at random.
//!
//! `cargo bench -p madang-anchor --bench period -- --lines 1000000 --accounts 10000`

#![expect(clippy::print_stdout, reason = "a benchmark's result")]
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::{
    convert::Infallible,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use madang_anchor::{
    ledger::{
        document::{Document, Kind},
        event::Event,
        grant::{Ask, Granted},
        month::Month,
        period::Stage,
        progress::Best,
        settled::{Move, Settled, Source},
        terms::Terms,
    },
    store::{Options, Store},
};
use madang_journal::{ApplyError, Rows, Schema, Store as Journal};
use madang_protocol::{
    amount::{Amount, Currency},
    ids::{AccountId, BatchId, GrantId, KeyId, PublicKey, RecordHash, RequestId},
    record::{
        grant::Funding,
        network::{Tax, TaxMode},
        receipt::Counters,
    },
    rules::settlement::{hold_for, split},
    time::UnixMillis,
};
use support::{DAY, HOUR, NETWORK, Person, START, issuer, later, won};

/// What is asked for on the command line.
struct Asked {
    lines: u64,
    accounts: u64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(at) = arguments.iter().position(|one| one == "--close") {
        return close(Path::new(&arguments[at + 1]));
    }
    let number = |name: &str, default: u64| {
        let at = arguments.iter().position(|one| one == name);
        at.map_or(default, |at| arguments[at + 1].parse().unwrap())
    };
    let asked = Asked {
        lines: number("--lines", 100_000),
        accounts: number("--accounts", 1_000),
    };
    let dir = tempfile::TempDir::new().unwrap();
    let whole = dir.path().join("whole");
    let begin = Instant::now();
    make(&whole, &asked);
    println!(
        "{} lines over {} accounts, made in {:.1} s",
        asked.lines,
        asked.accounts,
        begin.elapsed().as_secs_f64()
    );
    let cut = dir.path().join("cut");
    copy(&whole, &cut);

    let closed = run(&whole, None);
    println!(
        "closed in {:.1} s (the store opened in {:.1} s), {:.0} MiB of memory at most, {} documents",
        closed.seconds, closed.opened, closed.mebibytes, closed.documents
    );
    let half = run(&cut, Some(closed.steps / 2));
    let rest = run(&cut, None);
    println!(
        "killed after {} of {} steps, gone on with in {:.1} s",
        half.steps, closed.steps, rest.seconds
    );
    let same = (closed.documents, &closed.digest) == (rest.documents, &rest.digest);
    assert!(same && half.steps < closed.steps, "other documents");
    println!("the same documents: {}", rest.digest);
    pages(&whole, &asked);
}

/// The period of [`START`], and when it is over.
fn period() -> (Month, UnixMillis) {
    let month: Month = "2026-11".parse().unwrap();
    (month, later(START, 12 * DAY))
}

fn open(dir: &Path) -> Store {
    let mut options = Options::new(dir, NETWORK, issuer());
    options.policy.period_grace = Duration::ZERO;
    Store::open(options).unwrap().0
}

/// A store with the history: half of the accounts buy, the other half sell.
fn make(dir: &Path, asked: &Asked) {
    let store = open(dir);
    let seller = Person::settle_in(&store, 1, 0, 500);
    let accounts: Vec<AccountId> = (0..asked.accounts)
        .map(|number| Person::create(&store, 10 + number))
        .collect();
    store.turn_periods(START).unwrap();
    store.close().unwrap();
    drop(store);
    let (journal, _) = Journal::open(madang_journal::Options::new(dir), Bulk).unwrap();
    let (buyers, sellers) = accounts.split_at(accounts.len().div_ceil(2));
    let tariff = seller.tariff();
    let (hash, sealed) = (tariff.tariff_hash(), tariff.to_bytes());
    let bar = bar("made", asked.lines);
    let mut events = Vec::new();
    for batch in 0..asked.lines.div_ceil(BATCH) {
        let range = batch * BATCH..(batch * BATCH + BATCH).min(asked.lines);
        let mut moves = Vec::new();
        for number in range {
            let buyer = buyers[chance(number) as usize % buyers.len()];
            let seller = sellers[chance(number + asked.lines) as usize % sellers.len()];
            let grant = grant_id(number);
            let terms = terms(number, buyer, seller, hash);
            let ask = Ask {
                seller_key: terms.seller_key,
                tariff: hash,
                amount_max: terms.amount_max,
                predecessor: None,
            };
            let tariff = (number == 0).then(|| sealed.clone());
            moves.push(settled(grant, &terms, number));
            let granted = Granted {
                grant,
                ask,
                terms,
                tariff,
            };
            events.push(Event::Granted(Box::new(granted)).to_payload());
        }
        let mut id = [4; 16];
        id[..8].copy_from_slice(&batch.to_le_bytes());
        let settled = Settled {
            source: Source::Batch {
                device: seller.device(),
                id: BatchId(id),
                hash: RecordHash([5; 32]),
            },
            time: START,
            outcomes: Vec::new(),
            moves,
            seller_closed: Vec::new(),
            ended: Vec::new(),
        };
        events.push(settled.to_payload());
        bar.inc(BATCH);
        let payloads = std::mem::take(&mut events);
        let written = journal.commit(|_| Ok::<_, Infallible>((payloads, ())));
        written.unwrap().1.wait().unwrap();
    }
    bar.finish_and_clear();
    journal.close().unwrap();
    drop(journal);
    // The rows are made of the events, by the ledger's own `apply`.
    open(dir).close().unwrap();
}

/// Writes events without rows: a store that opens the journal finds that its index is another schema's, and makes its own.
struct Bulk;

impl Schema for Bulk {
    const VERSION: u32 = 0;

    fn apply(&self, _: u64, _: &[u8], _: &mut Rows<'_>) -> Result<(), ApplyError> {
        Ok(())
    }
}

/// Grants of one settlement.
const BATCH: u64 = 1_000;

fn grant_id(number: u64) -> GrantId {
    let mut id = [0; 16];
    let time = (START.0 + number).to_be_bytes();
    id[..6].copy_from_slice(&time[2..]);
    id[6..14].copy_from_slice(&chance(number ^ 0x5eed).to_le_bytes());
    GrantId(id)
}

fn terms(
    number: u64,
    buyer: AccountId,
    seller: AccountId,
    tariff: madang_protocol::ids::TariffHash,
) -> Terms {
    let tax = Tax {
        rate_bp: 1_000,
        mode: TaxMode::Inclusive,
    };
    let mut request = [6; 16];
    request[..8].copy_from_slice(&number.to_le_bytes());
    Terms {
        issuer: KeyId([2; 8]),
        buyer,
        buyer_key: PublicKey([7; 32]),
        seller,
        seller_key: PublicKey([8; 32]),
        site: "person1".into(),
        tariff,
        currency: Currency::KRW,
        amount_max: won(10_000),
        hold: hold_for(won(10_000), tax).unwrap(),
        tax,
        commission_bp: 500,
        funding: Funding::Prepaid,
        predecessor: None,
        request: RequestId(request),
        issued: START,
        spend_until: later(START, HOUR),
        settle_until: later(START, 14 * DAY),
        quotas: Vec::new(),
        quota_keys: Vec::new(),
        entry: 0,
        lots: Vec::new(),
    }
}

fn settled(grant: GrantId, terms: &Terms, number: u64) -> Move {
    let requests = 1 + chance(number) % 10;
    let amount = Amount::from_micros(requests * 500_000_000);
    let mut receipt = [9; 32];
    receipt[..8].copy_from_slice(&number.to_le_bytes());
    Move {
        grant,
        since: None,
        best: Best {
            sequence: 1,
            amount,
            split: split(amount, terms.tax, terms.commission_bp).unwrap(),
            receipt: RecordHash(receipt),
            is_final: true,
            counters: vec![Counters {
                requests,
                ..Counters::default()
            }],
        },
        closes_seller: true,
        ends_hold: true,
        passes: Vec::new(),
        // As long as a sealed receipt.
        sealed: vec![3; 256],
    }
}

/// The same number for the same number, and any for another.
fn chance(number: u64) -> u64 {
    let mut x = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// What a child says: closes the period, a line for each step, and at the end what came of it.
fn close(dir: &Path) {
    let begin = Instant::now();
    let store = open(dir);
    let opened = begin.elapsed().as_secs_f64();
    let (month, now) = period();
    let mut out = std::io::stdout().lock();
    let begin = Instant::now();
    store.turn_periods(now).unwrap();
    if let Stage::InGrace(_) = store.period(month).unwrap().stage {
        store.freeze_period(month, true, now).unwrap();
    }
    loop {
        let period = store.close_period_step(month, now).unwrap();
        writeln!(out, "step {}", period.accounts).unwrap();
        if let Stage::Closed(_) = period.stage {
            break;
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    let mebibytes = peak_mebibytes();
    let (documents, digest) = digest(&store);
    writeln!(
        out,
        "closed {opened} {seconds} {mebibytes} {documents} {digest}"
    )
    .unwrap();
    store.close().unwrap();
}

fn peak_mebibytes() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    kibibytes.unwrap_or(f64::NAN) / 1_024.0
}

/// How many documents there are, and a hash over all of them.
fn digest(store: &Store) -> (u64, RecordHash) {
    let (mut count, mut hasher) = (0, blake3::Hasher::new());
    for kind in Kind::ALL {
        for serial in 1.. {
            let number = madang_anchor::ledger::document::Number {
                kind,
                year: period().0.year(),
                serial,
            };
            let Ok(document) = store.document(number, None) else {
                break;
            };
            count += 1;
            hasher.update(format!("{document:?}").as_bytes());
        }
    }
    (count, RecordHash(*hasher.finalize().as_bytes()))
}

/// What a child that closed the period said.
#[derive(Default)]
struct Closed {
    steps: usize,
    opened: f64,
    seconds: f64,
    mebibytes: f64,
    documents: u64,
    digest: String,
}

/// Closes the period of the store in `dir` in a process of its own, and kills that after so many steps.
fn run(dir: &Path, kill_after: Option<usize>) -> Closed {
    let mut child: Child = Command::new(std::env::current_exe().unwrap())
        .args(["--close".as_ref(), dir.as_os_str()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut closed = Closed::default();
    let bar = bar("closed", 0);
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["step", accounts] => {
                closed.steps += 1;
                bar.set_position(accounts.parse().unwrap());
            }
            ["closed", opened, seconds, mebibytes, documents, digest] => {
                closed.opened = opened.parse().unwrap();
                closed.seconds = seconds.parse().unwrap();
                closed.mebibytes = mebibytes.parse().unwrap();
                closed.documents = documents.parse().unwrap();
                closed.digest = (*digest).to_owned();
            }
            _ => panic!("{line}"),
        }
        if kill_after.is_some_and(|after| closed.steps >= after.max(1)) {
            child.kill().unwrap();
            break;
        }
    }
    bar.finish_and_clear();
    child.wait().unwrap();
    closed
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target: PathBuf = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// How long pages take at random places, at the 99th of 100.
fn pages(dir: &Path, asked: &Asked) {
    let store = Arc::new(open(dir));
    let (month, _) = period();
    let accounts = store
        .accounts(None, usize::try_from(asked.accounts).unwrap())
        .unwrap();
    let last = store.head().unwrap().seq;
    let bills = p99(|at| {
        let account = accounts[at as usize % accounts.len()].id;
        store.bill(account, Some(at % last), 100).unwrap();
    });
    let documents: Vec<Document> = accounts
        .iter()
        .filter_map(|account| store.documents(account.id, None, 1).unwrap().pop())
        .collect();
    let lines = p99(|at| {
        let document = &documents[at as usize % documents.len()];
        let after = madang_anchor::ledger::document::lines::Place {
            late: false,
            entry: at % last,
        };
        store.document_lines(document, Some(after), 100).unwrap();
    });
    let lists = p99(|at| {
        let account = accounts[at as usize % accounts.len()].id;
        store.documents(account, None, 100).unwrap();
        store
            .document_number(account, month, Kind::Invoice)
            .unwrap();
    });
    println!(
        "99th percentile: a bill's page {bills:.1} ms, a document's page {lines:.1} ms, a list of documents {lists:.1} ms"
    );
    store.close().unwrap();
}

fn p99(mut read: impl FnMut(u64)) -> f64 {
    let mut times: Vec<f64> = (0..PAGES)
        .map(|number| {
            let begin = Instant::now();
            read(chance(number));
            begin.elapsed().as_secs_f64() * 1_000.0
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() * 99 / 100]
}

const PAGES: u64 = 2_000;

fn bar(what: &'static str, count: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {bar:40} {pos}/{len}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(count).with_style(style).with_message(what)
}
