//! `madang-anchor export`: the books for other programs.

use std::{
    fs,
    io::{self, BufWriter, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use super::{
    args::ExportSub,
    ledger::asked,
    operate::{Session, unexpected},
    run::Failure,
};
use crate::{
    billing::export::{BookEntry, Days, Form, Journal},
    home::Home,
    operator::ledger::{LedgerAnswer, LedgerCommand},
};

pub(super) fn export(home: &Home, sub: ExportSub) -> Result<(), Failure> {
    let (form, export) = match sub {
        ExportSub::Hledger(export) => (Form::Hledger, export),
        ExportSub::Beancount(export) => (Form::Beancount, export),
        ExportSub::Cloudevents { file } => {
            let session = Session::open(home)?;
            let done = into_file(&file, |out| events(&session, out));
            session.close()?;
            return done;
        }
    };
    let days = Days {
        from: export.from,
        until: export.until,
    };
    if days.is_empty() {
        return Err(Failure::Mistake("--until is before --from".to_owned()));
    }
    let session = Session::open(home)?;
    let done = into_file(&export.file, |out| books(&session, form, days, out));
    session.close()?;
    done
}

fn books(session: &Session, form: Form, days: Days, out: &mut dyn Write) -> Result<(), Failure> {
    let mut journal = Journal::new(form, days, out);
    if days.from.is_some() {
        each(session, |entry| {
            journal.before(entry);
            Ok(())
        })?;
    }
    journal.begin().context("write")?;
    each(session, |entry| journal.entry(entry))?;
    Ok(journal.finish().context("write")?)
}

/// A JSON array, an event a line.
fn events(session: &Session, out: &mut dyn Write) -> Result<(), Failure> {
    let mut after = None;
    let mut before = "[\n";
    loop {
        let answer = asked(session, LedgerCommand::Usage { after })?;
        let LedgerAnswer::Used { events, more_after } = answer else {
            return Err(unexpected());
        };
        for event in &events {
            out.write_all(before.as_bytes()).context("write")?;
            serde_json::to_writer(&mut *out, event).context("write")?;
            before = ",\n";
        }
        after = more_after;
        if after.is_none() {
            let end = if before == "[\n" { "[]\n" } else { "\n]\n" };
            return Ok(out.write_all(end.as_bytes()).context("write")?);
        }
    }
}

/// Every entry, a page at a time.
fn each(
    session: &Session,
    mut take: impl FnMut(&BookEntry) -> io::Result<()>,
) -> Result<(), Failure> {
    let mut after = 0;
    loop {
        let answer = asked(session, LedgerCommand::Entries { after })?;
        let LedgerAnswer::Entries { entries, more } = answer else {
            return Err(unexpected());
        };
        for entry in &entries {
            take(entry).context("write")?;
            after = entry.entry;
        }
        if !more {
            return Ok(());
        }
    }
}

/// Writes a file whole or not at all, for its owner's eyes only; `-` is standard output.
fn into_file(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), Failure>,
) -> Result<(), Failure> {
    if path.as_os_str() == "-" {
        let mut out = BufWriter::new(io::stdout().lock());
        write(&mut out)?;
        return Ok(out.flush().context("write")?);
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let unfinished = Unfinished(PathBuf::from(name));
    let shown = || format!("write {}", path.display());
    let file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished.0)
        .with_context(shown)?;
    let mut out = BufWriter::new(file);
    write(&mut out)?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error);
    file.and_then(|file| file.sync_all()).with_context(shown)?;
    Ok(fs::rename(&unfinished.0, path).with_context(shown)?)
}

/// A file that is removed where it was not renamed.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // It is gone where all went well.
        let _ = fs::remove_file(&self.0);
    }
}
