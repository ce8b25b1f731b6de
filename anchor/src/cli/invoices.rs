//! Billing periods and their documents, as they are said and shown.

use std::{
    fs,
    io::{self, IsTerminal as _, Write},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::{Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use madang_protocol::name::Handle;

use super::{
    args::Output,
    operate::{Session, unexpected},
    print,
    run::Failure,
};
use crate::{
    billing::{Lines, html, pdf, text, words::Language, words::money},
    home::Home,
    ledger::{
        document::{Number, lines::Place},
        month::Month,
    },
    operator::{
        answer::Answer,
        command::Command,
        invoice_answer::{DocumentAnswer, LinesAnswer, PeriodAnswer, StageAnswer},
    },
};

#[derive(Debug, Subcommand)]
pub(super) enum PeriodSub {
    /// List billing periods, the latest first
    List(Output),
    /// Close a month that is over: make its invoices, statements and credit notes; anchors do it by themselves after its grace
    Close {
        /// Which, such as 2026-10
        period: Month,
        /// Do not wait for the end of its grace: what is settled late goes to the next one
        #[arg(long)]
        early: bool,
        #[command(flatten)]
        output: Output,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum InvoiceSub {
    /// List a subscriber's documents, the latest first
    List {
        /// The subscriber
        handle: Handle,
        #[command(flatten)]
        output: Output,
    },
    /// Show a document with its lines
    Show {
        /// Its number, such as 2026-INV-000001
        number: Number,
        /// Refuse it where it is not of this subscriber
        #[arg(long, value_name = "HANDLE")]
        of: Option<Handle>,
        /// As what
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
        /// In which language
        #[arg(long, value_enum, default_value = "en")]
        lang: Language,
        /// Into this file
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// What a document is shown as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Plain text
    Text,
    /// A page for browsers and printers
    Html,
    /// A4
    Pdf,
    /// For programs: all lines
    Json,
}

pub(super) fn period(home: &Home, sub: PeriodSub) -> Result<(), Failure> {
    let session = Session::open(home)?;
    let done = match sub {
        PeriodSub::List(output) => list_periods(&session, output),
        PeriodSub::Close {
            period,
            early,
            output,
        } => close(&session, period, early, output),
    };
    session.close()?;
    done
}

pub(super) fn invoice(home: &Home, sub: InvoiceSub) -> Result<(), Failure> {
    let session = Session::open(home)?;
    let done = match sub {
        InvoiceSub::List { handle, output } => list(&session, &handle, output),
        InvoiceSub::Show {
            number,
            of,
            format,
            lang,
            output,
        } => show(&session, &Wanted { number, of }, format, lang, output),
    };
    session.close()?;
    done
}

fn list_periods(session: &Session, output: Output) -> Result<(), Failure> {
    let (mut all, mut before) = (Vec::new(), None);
    loop {
        let Answer::Periods {
            periods,
            more_before,
        } = session.ask(&Command::PeriodList { before })?
        else {
            return Err(unexpected());
        };
        all.extend(periods);
        before = more_before;
        if before.is_none() {
            break;
        }
    }
    if output.json {
        return Ok(print::json(&all)?);
    }
    for period in &all {
        show_period(period)?;
    }
    Ok(())
}

/// Freezes a period and makes its documents, until it is closed, whoever closes it.
fn close(session: &Session, period: Month, early: bool, output: Output) -> Result<(), Failure> {
    let mut present = period_of(session.ask(&Command::PeriodClose { period, early })?)?;
    let bar = ProgressBar::new(present.accounts_total.unwrap_or(0)).with_style(bar_style());
    while present.stage == StageAnswer::Closing {
        bar.set_position(present.accounts);
        bar.set_message(format!("{} documents", present.documents));
        present = period_of(session.ask(&Command::PeriodGoOn { period })?)?;
    }
    bar.finish_and_clear();
    if output.json {
        return Ok(print::json(&present)?);
    }
    Ok(show_period(&present)?)
}

fn period_of(answer: Answer) -> Result<PeriodAnswer, Failure> {
    let Answer::Period(period) = answer else {
        return Err(unexpected());
    };
    Ok(period)
}

fn show_period(period: &PeriodAnswer) -> io::Result<()> {
    let stage = match (period.stage, period.grace_until, period.since) {
        (StageAnswer::Open, ..) => "open".to_owned(),
        (StageAnswer::InGrace, Some(until), _) => format!("in grace until {until}"),
        (StageAnswer::InGrace, None, _) => "in grace".to_owned(),
        (StageAnswer::Closing, ..) => format!("closing, {} accounts done", period.accounts),
        (StageAnswer::Closed, _, Some(time)) => format!("closed {time}"),
        (StageAnswer::Closed, _, None) => "closed".to_owned(),
    };
    print::line(&format!(
        "{} {stage}, {} documents",
        period.period, period.documents
    ))
}

fn list(session: &Session, handle: &Handle, output: Output) -> Result<(), Failure> {
    let (mut all, mut before) = (Vec::new(), None);
    loop {
        let command = Command::DocumentList {
            handle: handle.clone(),
            before,
        };
        let Answer::Documents {
            documents,
            more_before,
        } = session.ask(&command)?
        else {
            return Err(unexpected());
        };
        all.extend(documents);
        before = more_before;
        if before.is_none() {
            break;
        }
    }
    if output.json {
        return Ok(print::json(&all)?);
    }
    for document in &all {
        print::line(&format!(
            "{} {} {} lines, {} {}",
            document.number,
            document.period,
            document.lines,
            money(document.total.gross),
            document.currency
        ))?;
    }
    Ok(())
}

/// Which document.
struct Wanted {
    number: Number,
    of: Option<Handle>,
}

fn show(
    session: &Session,
    wanted: &Wanted,
    format: Format,
    language: Language,
    output: Option<PathBuf>,
) -> Result<(), Failure> {
    if format == Format::Pdf && output.is_none() && io::stdout().is_terminal() {
        let words = "a PDF is nothing for a terminal: name a file with --output";
        return Err(Failure::Mistake(words.to_owned()));
    }
    let command = Command::DocumentShow {
        number: wanted.number,
        handle: wanted.of.clone(),
    };
    let Answer::Document(document) = session.ask(&command)? else {
        return Err(unexpected());
    };
    if format == Format::Json {
        return into(output.as_deref(), |file| {
            write_json(file, session, wanted, &document)
        });
    }
    let lines = shown_lines(session, wanted, &document)?;
    let octets = match format {
        Format::Text => text::render(&document, &lines, language).into_bytes(),
        Format::Html => html::render(&document, &lines, language).into_bytes(),
        Format::Pdf => pdf::render(&document, &lines, language)?,
        Format::Json => Vec::new(),
    };
    into(output.as_deref(), |file| Ok(file.write_all(&octets)?))
}

/// As many lines as people are shown.
fn shown_lines(
    session: &Session,
    wanted: &Wanted,
    document: &DocumentAnswer,
) -> Result<Lines, Failure> {
    let (mut lines, mut after) = (Vec::new(), None);
    loop {
        let page = page(session, wanted, after)?;
        lines.extend(page.lines);
        after = page.more_after;
        if after.is_none() || lines.len() >= Lines::SHOWN_MAX {
            break;
        }
    }
    lines.truncate(Lines::SHOWN_MAX);
    Ok(Lines {
        left_out: document.lines.saturating_sub(lines.len() as u64),
        lines,
    })
}

/// The document and all its lines as one JSON object, a page in memory at a time.
fn write_json(
    file: &mut dyn Write,
    session: &Session,
    wanted: &Wanted,
    document: &DocumentAnswer,
) -> Result<(), Failure> {
    write!(file, "{{\"document\":")?;
    serde_json::to_writer(&mut *file, document)?;
    write!(file, ",\"lines\":[")?;
    let (mut after, mut is_first) = (None, true);
    loop {
        let page = page(session, wanted, after)?;
        for line in &page.lines {
            if !std::mem::take(&mut is_first) {
                write!(file, ",")?;
            }
            serde_json::to_writer(&mut *file, line)?;
        }
        after = page.more_after;
        if after.is_none() {
            return Ok(writeln!(file, "]}}")?);
        }
    }
}

fn page(session: &Session, wanted: &Wanted, after: Option<Place>) -> Result<LinesAnswer, Failure> {
    let command = Command::DocumentLines {
        number: wanted.number,
        handle: wanted.of.clone(),
        after,
    };
    let Answer::DocumentLines(page) = session.ask(&command)? else {
        return Err(unexpected());
    };
    Ok(page)
}

/// Writes to standard output, or to a file that is there whole or not at all.
fn into(
    path: Option<&Path>,
    write: impl FnOnce(&mut dyn Write) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let Some(path) = path else {
        let mut out = io::BufWriter::new(io::stdout().lock());
        write(&mut out)?;
        return Ok(out.flush()?);
    };
    let named = || format!("write {}", path.display());
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let file = fs::File::create(&part).with_context(named)?;
    let mut file = io::BufWriter::new(file);
    let written = write(&mut file).and_then(|()| {
        file.flush().with_context(named)?;
        file.get_ref().sync_all().with_context(named)?;
        Ok(fs::rename(&part, path).with_context(named)?)
    });
    if written.is_err() {
        // What is left of it is of no use; that it stays is worth no other error.
        let _ = fs::remove_file(&part);
    }
    written
}

fn bar_style() -> ProgressStyle {
    ProgressStyle::with_template("{bar:40} {pos}/{len} accounts, {msg}, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}
