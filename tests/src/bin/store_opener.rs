//! Opens the node's store in the folder that it is given, says what it found, closes it, and does so again: as often as the second argument says,
//! or until it is killed.

use std::{io::Write as _, path::PathBuf};

use anyhow::Context as _;
use madang::store::NodeStore;
use madang_tests::shop::{Found, Line};

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let dir = PathBuf::from(arguments.next().context("name the store's folder")?);
    let times = match arguments.next() {
        None => u64::MAX,
        Some(times) => times
            .to_str()
            .context("read the number of times")?
            .parse()?,
    };
    let mut out = std::io::stdout().lock();
    for _ in 0..times {
        let (store, recovery) = NodeStore::open(&dir).context("open the store")?;
        let found = Found {
            entry: recovery.head.seq,
            rows: recovery.rows,
            replayed: recovery.replayed,
            rebuilt: recovery.rebuilt.map(|why| why.to_string()),
        };
        writeln!(out, "{}", Line::Opened(found).to_text()?)?;
        out.flush()?;
        store.close();
    }
    Ok(())
}
