//! `madang-anchor ledger`: the journal and the books, looked at whole.

use std::{
    io::{IsTerminal as _, Write as _},
    path::Path,
};

use anyhow::{Context as _, anyhow};
use indicatif::{ProgressBar, ProgressStyle};
use madang_protocol::{ids::RecordHash, time::Day};

use super::{
    args::{LedgerSub, Output},
    operate::{Session, unexpected},
    print,
    run::Failure,
};
use crate::{
    home::{self, Home},
    operator::{
        answer::Answer,
        command::Command,
        ledger::{Chain, LedgerAnswer, LedgerCommand, StatementAnswer},
    },
};

pub(super) fn ledger(home: &Home, sub: LedgerSub) -> Result<(), Failure> {
    let session = Session::open(home)?;
    let done = match sub {
        LedgerSub::Verify { statement } => verify(&session, statement.as_deref()),
        LedgerSub::Head { day, output } => head(&session, day, output),
    };
    session.close()?;
    done
}

/// Asks something of the journal and the books. What does not hold is the failure that ends the program.
pub(super) fn asked(session: &Session, command: LedgerCommand) -> Result<LedgerAnswer, Failure> {
    let Answer::Ledger(answer) = session.ask(&Command::Ledger(command))? else {
        return Err(unexpected());
    };
    match answer {
        LedgerAnswer::Broken { what } => Err(anyhow!(what).into()),
        LedgerAnswer::Chains { .. }
        | LedgerAnswer::Holds { .. }
        | LedgerAnswer::Stated { .. }
        | LedgerAnswer::Statement { .. }
        | LedgerAnswer::Used { .. }
        | LedgerAnswer::Entries { .. } => Ok(answer),
    }
}

fn verify(session: &Session, statement: Option<&Path>) -> Result<(), Failure> {
    // A file that cannot be read is said before the long way.
    let statement = statement.map(read_statement).transpose()?;
    let LedgerAnswer::Chains { chains } = asked(session, LedgerCommand::Chains)? else {
        return Err(unexpected());
    };
    let mut links = 0;
    for end in &chains {
        walk(session, end)?;
        links += end.link;
    }
    print::line(&format!(
        "the journal holds: {links} entries in {} {}",
        chains.len(),
        if chains.len() == 1 { "chain" } else { "chains" }
    ))?;
    tell("looking at the books");
    let summary = holds(asked(session, LedgerCommand::Audit)?)?;
    print::line(&format!("the books balance: {summary}"))?;
    tell("making the rows anew");
    let remade = holds(asked(session, LedgerCommand::Remake)?)?;
    if !remade.is_empty() {
        print::line(&format!("the rows follow from the journal: {remade}"))?;
    }
    let stated = statements(session)?;
    print::line(&format!("{stated} daily statements agree"))?;
    if let Some(sealed) = statement {
        stated_count(asked(session, LedgerCommand::CheckStatement { sealed })?)?;
        print::line("the statement of the file agrees")?;
    }
    Ok(())
}

/// Follows a chain to where it ended when it was asked for.
fn walk(session: &Session, end: &Chain) -> Result<(), Failure> {
    let bar = bar(end);
    let mut at = Chain {
        link: 0,
        entry: 0,
        hash: RecordHash([0; 32]),
        ..end.clone()
    };
    while at.link < end.link {
        let answer = asked(session, LedgerCommand::Walk { from: at.clone() })?;
        let LedgerAnswer::Chains { chains } = answer else {
            return Err(unexpected());
        };
        let [next] = <[Chain; 1]>::try_from(chains).map_err(|_| unexpected())?;
        if next.link <= at.link {
            let entry = at.entry;
            return Err(
                anyhow!("entry {entry} is the last that is there, and others followed").into(),
            );
        }
        at = next;
        bar.set_position(at.link.min(end.link));
    }
    bar.finish_and_clear();
    Ok(())
}

/// On a terminal only.
fn bar(end: &Chain) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(end.link);
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} entries, {eta} left");
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn tell(what: &str) {
    if std::io::stderr().is_terminal() {
        // What cannot be shown is left out.
        let _ = writeln!(std::io::stderr(), "{what} …");
    }
}

fn holds(answer: LedgerAnswer) -> Result<String, Failure> {
    let LedgerAnswer::Holds { summary } = answer else {
        return Err(unexpected());
    };
    Ok(summary)
}

fn statements(session: &Session) -> Result<u64, Failure> {
    let (mut all, mut after) = (0, None);
    loop {
        let answer = asked(session, LedgerCommand::CheckStatements { after })?;
        let (count, more_after) = stated_count(answer)?;
        all += count;
        after = more_after;
        if after.is_none() {
            return Ok(all);
        }
    }
}

fn stated_count(answer: LedgerAnswer) -> Result<(u64, Option<u32>), Failure> {
    let LedgerAnswer::Stated { count, more_after } = answer else {
        return Err(unexpected());
    };
    Ok((count, more_after))
}

/// The sealed octets of a statement that `ledger head --json` has printed.
fn read_statement(path: &Path) -> Result<String, Failure> {
    let shown = path.display();
    let octets = home::read_bounded(path, STATEMENT_FILE_BYTES_MAX)
        .with_context(|| format!("read {shown}"))?
        .ok_or_else(|| Failure::Mistake(format!("there is no file {shown}")))?;
    let statement: StatementAnswer = serde_json::from_slice(&octets).map_err(|_| {
        Failure::Mistake(format!("{shown} is not what `ledger head --json` prints"))
    })?;
    Ok(statement.sealed)
}

fn head(session: &Session, day: Option<Day>, output: Output) -> Result<(), Failure> {
    let answer = asked(
        session,
        LedgerCommand::Statement {
            day: day.map(|day| day.0),
        },
    )?;
    let LedgerAnswer::Statement { statement } = answer else {
        return Err(unexpected());
    };
    let Some(statement) = statement else {
        let of = day.map_or_else(|| "yet".to_owned(), |day| format!("for {day}"));
        return Err(
            anyhow!("there is no statement {of}; a running anchor makes one each day").into(),
        );
    };
    if output.json {
        return Ok(print::json(&statement)?);
    }
    print::line(&format!("{}, signed {}", statement.day, statement.time))?;
    for head in &statement.heads {
        let of = if head.instance.is_empty() {
            String::new()
        } else {
            format!(" of {}", head.instance)
        };
        print::line(&format!("  entry {}{of}: {}", head.entry, head.hash))?;
    }
    Ok(())
}

const STATEMENT_FILE_BYTES_MAX: u64 = 1 << 20;
