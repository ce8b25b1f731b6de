//! What is kept on persons, as it is said, shown and written to a file.

use std::{
    fs,
    io::{self, BufWriter, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use clap::Args;
use madang_protocol::name::Handle;

use super::{
    args::Output,
    operate::{ask, unexpected},
    print,
    run::Failure,
};
use crate::{
    home::Home,
    operator::{
        answer::Answer,
        command::{Command, ExportPart},
    },
    vault::{
        bank::{AccountNumber, BankCode, Bic, Iban},
        profile::{Bank, BankAccount, Country, Email, Field, Line, Profile, ProfileChange},
    },
};

#[derive(Debug, Args)]
pub(super) struct ProfileArgs {
    /// The subscriber
    pub(super) handle: Handle,
    /// The name on invoices
    #[arg(long)]
    name: Option<Line>,
    /// A line of the postal address, without the country; may be repeated, and replaces all lines
    #[arg(long, value_name = "LINE")]
    address: Vec<Line>,
    /// The address's country, by two letters
    #[arg(long, value_name = "CC")]
    country: Option<Country>,
    /// Where mail goes
    #[arg(long)]
    email: Option<Email>,
    /// Where earnings are paid to, by its international number
    #[arg(long, conflicts_with_all = ["account_number", "bank"])]
    iban: Option<Iban>,
    /// The bank of the international number, where it has to be said
    #[arg(long, requires = "iban")]
    bic: Option<Bic>,
    /// Where earnings are paid to, by its domestic number
    #[arg(long, value_name = "NUMBER", requires = "bank")]
    account_number: Option<AccountNumber>,
    /// The code of the domestic number's bank
    #[arg(long, value_name = "CODE", requires = "account_number")]
    bank: Option<BankCode>,
    /// In whose name the bank account is, where it is another than --name
    #[arg(long, value_name = "NAME")]
    holder: Option<Line>,
    /// Take a field away; may be repeated
    #[arg(long, value_enum, value_name = "FIELD")]
    without: Vec<Field>,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// The subscriber
    pub(super) handle: Handle,
    /// The file, which must not be there yet
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct LeaveArgs {
    /// The subscriber
    pub(super) handle: Handle,
    /// Give up promotional credit that is left
    #[arg(long)]
    forfeit_credit: bool,
}

pub(super) fn profile(home: &Home, asked: ProfileArgs) -> Result<(), Failure> {
    let account = match (asked.iban, asked.account_number, asked.bank) {
        (Some(iban), _, _) => Some(BankAccount::Iban {
            iban,
            bic: asked.bic,
        }),
        (None, Some(number), Some(bank)) => Some(BankAccount::Domestic { number, bank }),
        (None, _, _) => None,
    };
    if account.is_none() && asked.holder.is_some() {
        let line = "--holder names the owner of a bank account: give --iban, or --account-number and --bank";
        return Err(Failure::Mistake(line.to_owned()));
    }
    let change = ProfileChange {
        name: asked.name,
        address: asked.address,
        country: asked.country,
        email: asked.email,
        bank: account.map(|account| Bank {
            account,
            holder: asked.holder,
        }),
        without: asked.without,
    };
    let command = Command::AccountProfile {
        handle: asked.handle,
        change: Box::new(change),
    };
    let Answer::Profile(profile) = ask(home, &command)? else {
        return Err(unexpected());
    };
    if asked.output.json {
        return Ok(print::json(&profile)?);
    }
    Ok(show(&profile)?)
}

fn show(profile: &Profile) -> io::Result<()> {
    if profile.is_empty() {
        return print::line("nothing is kept on the person");
    }
    if let Some(name) = &profile.name {
        print::line(&format!("name {name}"))?;
    }
    for line in &profile.address {
        print::line(&format!("address {line}"))?;
    }
    if let Some(country) = &profile.country {
        print::line(&format!("country {country}"))?;
    }
    if let Some(email) = &profile.email {
        print::line(&format!("email {email}"))?;
    }
    let Some(bank) = &profile.bank else {
        return Ok(());
    };
    match &bank.account {
        BankAccount::Iban { iban, bic } => {
            let bic = bic
                .as_ref()
                .map_or_else(String::new, |bic| format!(" at {bic}"));
            print::line(&format!("bank account {iban}{bic}"))?;
        }
        BankAccount::Domestic { number, bank } => {
            print::line(&format!("bank account {number} at {bank}"))?;
        }
    }
    match &bank.holder {
        Some(holder) => print::line(&format!("holder {holder}")),
        None => Ok(()),
    }
}

pub(super) fn leave(home: &Home, asked: &LeaveArgs) -> Result<(), Failure> {
    let handle = &asked.handle;
    let command = Command::AccountLeave {
        handle: handle.clone(),
        forfeit_credit: asked.forfeit_credit,
    };
    let answer = ask(home, &command)?;
    if let Answer::CannotLeave { reasons } = &answer {
        return Err(anyhow!("{handle} cannot leave yet: {}", reasons.join("; ")).into());
    }
    let Answer::Left { pseudonym, entry } = answer else {
        return Err(unexpected());
    };
    Ok(print::line(&format!(
        "{handle} has left, as entry {entry}; its entries stay under {pseudonym}"
    ))?)
}

/// Writes everything that is kept on an account, a page at a time, so that it may be much.
pub(super) fn export(home: &Home, asked: &ExportArgs) -> Result<(), Failure> {
    let path = &asked.output;
    if path.exists() {
        return Err(Failure::Mistake(format!(
            "{} is there already",
            path.display()
        )));
    }
    let mut temporary = path.clone().into_os_string();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let written = write_pages(home, &asked.handle, &temporary);
    let done = written.and_then(|rows| {
        fs::rename(&temporary, path).with_context(|| format!("write {}", path.display()))?;
        Ok(rows)
    });
    match done {
        Ok(rows) => Ok(print::line(&format!("{rows} rows in {}", path.display()))?),
        Err(failure) => {
            // A part of it is of no use.
            let _ = fs::remove_file(&temporary);
            Err(failure)
        }
    }
}

fn write_pages(home: &Home, handle: &Handle, path: &Path) -> Result<u64, Failure> {
    let in_file = || format!("write {}", path.display());
    let mut options = fs::OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    let file = options.open(path).with_context(in_file)?;
    let mut out = BufWriter::new(file);
    let (mut rows_in_all, mut rows_in_part) = (0, 0);
    let (mut at, mut last) = (None, None);
    loop {
        let command = Command::AccountExport {
            handle: handle.clone(),
            at,
        };
        let Answer::Exported {
            part,
            rows,
            more_at,
        } = ask(home, &command)?
        else {
            return Err(unexpected());
        };
        let mut text = String::new();
        if last != Some(part) {
            let before = if last.is_none() {
                "{\"form\":\"madang-export-1\""
            } else {
                "]"
            };
            text.push_str(&format!("{before},\n\"{}\":[", name(part)));
            (last, rows_in_part) = (Some(part), 0);
        }
        for row in &rows {
            text.push_str(if rows_in_part == 0 { "\n" } else { ",\n" });
            text.push_str(&row.to_string());
            (rows_in_all, rows_in_part) = (rows_in_all + 1, rows_in_part + 1);
        }
        out.write_all(text.as_bytes()).with_context(in_file)?;
        at = more_at;
        if at.is_none() {
            break;
        }
    }
    out.write_all(b"]}\n").with_context(in_file)?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error);
    file.and_then(|file| file.sync_all())
        .with_context(in_file)?;
    Ok(rows_in_all)
}

fn name(part: ExportPart) -> &'static str {
    match part {
        ExportPart::Account => "account",
        ExportPart::Profile => "profile",
        ExportPart::Credit => "credit",
        ExportPart::Bookings => "bookings",
        ExportPart::Grants => "grants",
        ExportPart::Passes => "passes",
        ExportPart::Disputes => "disputes",
        ExportPart::Usage => "usage",
    }
}
