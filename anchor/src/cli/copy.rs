//! `madang-anchor store copy`.

use std::io::{IsTerminal as _, Write as _};

use super::{operate, print, run::Failure};
use crate::{config, home::Home};

/// A running count is written so often, in entries.
const TELL_EVERY: u64 = 10_000;

pub(super) fn copy(home: &Home, database: String, instance: Option<String>) -> Result<(), Failure> {
    let database = config::database(Some(database), instance);
    let database = database.map_err(|error| Failure::of_config(&error))?;
    let Some(database) = database else {
        return Err(Failure::Mistake("name a database".to_owned()));
    };
    let opened = operate::opened(home)?;
    let is_watched = std::io::stderr().is_terminal();
    let tell = |entries: u64| {
        if is_watched && entries.is_multiple_of(TELL_EVERY) {
            // A count that cannot be shown is left out.
            let _ = write!(std::io::stderr(), "\r{entries} entries");
        }
    };
    let copied = opened.store.copy_into(&database, tell);
    let closed = opened.store.close();
    let copied = copied?;
    closed?;
    Ok(print::line(&format!(
        "copied {} entries; both hold the same {} rows and {} balances. Write the database into anchor.toml, as store = \"postgres://…\", and start the anchor",
        copied.entries, copied.audit.rows, copied.audit.balances
    ))?)
}
