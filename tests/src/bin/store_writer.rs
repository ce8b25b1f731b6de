//! A node's store under load: writes receipts, batches and verdicts into the folder that it is given as fast as it can, saying before each what
//! it is about to write and after each that it is durable, until it is killed.

use std::{io::Write as _, path::PathBuf, thread};

use anyhow::Context as _;
use madang::store::{Event, NodeStore};
use madang_protocol::{ids::BatchId, record::settlement::SettleBatch, sealed::Unverified};
use madang_tests::shop::{self, Deed, Found, GRANTS, Line};

fn main() -> anyhow::Result<()> {
    let dir = std::env::args_os()
        .nth(1)
        .context("name the store's folder")?;
    let (store, recovery) = NodeStore::open(&PathBuf::from(dir)).context("open the store")?;
    say(&Line::Opened(Found {
        entry: recovery.head.seq,
        rows: recovery.rows,
        replayed: recovery.replayed,
        rebuilt: recovery.rebuilt.map(|why| why.to_string()),
    }))?;
    // Each loop ends with an error only; the first one ends the process.
    let failed = thread::scope(|scope| {
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let (store, half) = (&store, GRANTS / 2);
        let loops: [Box<dyn FnOnce() -> anyhow::Error + Send + '_>; 4] = [
            Box::new(move || hold(store, 0..half)),
            Box::new(move || hold(store, half..GRANTS)),
            Box::new(move || sign(store)),
            Box::new(move || settle(store)),
        ];
        for one in loops {
            let tell = tell.clone();
            scope.spawn(move || {
                // Where another has failed before, nobody listens any more.
                let _ = tell.try_send(one());
                std::process::exit(1)
            });
        }
        told.recv()
    });
    Err(failed?)
}

/// One line, whole, and at once.
fn say(line: &Line) -> anyhow::Result<()> {
    let text = line.to_text()?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

/// Writes `event`, and says so before and after.
fn write(store: &NodeStore, deed: Deed, event: Event) -> anyhow::Result<()> {
    say(&Line::Writing(deed.clone()))?;
    store.record(&[event])?.wait()?;
    say(&Line::Durable(deed))
}

/// Receipts of buyers come in for these grants, each higher than the one before.
fn hold(store: &NodeStore, grants: std::ops::Range<u8>) -> anyhow::Error {
    let hold = |number: u8| {
        let held = store.held(shop::grant(number))?;
        let sequence = held.map_or(1, |held| held.receipt.claims().sequence + 1);
        let receipt = shop::receipt(number, sequence)?.into_unverified();
        write(
            store,
            Deed::Held {
                grant: number,
                sequence,
            },
            Event::ReceiptHeld(receipt),
        )
    };
    for_ever(|| grants.clone().try_for_each(hold))
}

/// This node signs receipts of its own.
fn sign(store: &NodeStore) -> anyhow::Error {
    let sign = |number: u8| {
        let signed = store.signed(shop::grant(number))?;
        let sequence = signed.map_or(1, |signed| signed.claims().sequence + 1);
        let receipt = shop::receipt(number, sequence)?.into_unverified();
        write(
            store,
            Deed::Signed {
                grant: number,
                sequence,
            },
            Event::ReceiptSigned(receipt),
        )
    };
    for_ever(|| (0..GRANTS).try_for_each(sign))
}

/// Receipts are handed in as a node does it: a batch that waits is judged before another is made.
fn settle(store: &NodeStore) -> anyhow::Error {
    let settle = || {
        let batch = match store.batch_waiting()? {
            Some(batch) => batch,
            None => make_batch(store)?,
        };
        let verdict = shop::verdict(batch.claims())?.into_unverified();
        let deed = Deed::Verdict {
            batch: batch.claims().id,
        };
        write(store, deed, Event::VerdictHeld(verdict))
    };
    for_ever(settle)
}

fn make_batch(store: &NodeStore) -> anyhow::Result<Unverified<SettleBatch>> {
    let receipts = store.to_settle()?;
    let batch = shop::batch(BatchId(rand::random()), receipts)?;
    let deed = Deed::Batch {
        batch: batch.id,
        receipts: shop::contents(&batch),
    };
    write(store, deed, Event::BatchMade(batch.to_unverified()))?;
    Ok(batch.into_unverified())
}

fn for_ever(mut once: impl FnMut() -> anyhow::Result<()>) -> anyhow::Error {
    loop {
        if let Err(error) = once() {
            return error;
        }
    }
}
