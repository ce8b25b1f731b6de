//! What may be written on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use madang_protocol::{
    amount::Amount,
    ids::{GrantId, GroupId, PublicKey, RequestId},
    name::{Handle, SiteName},
    time::Day,
};

use super::invoices::{InvoiceSub, PeriodSub};
use super::persons::{ExportArgs, LeaveArgs, ProfileArgs};
use crate::{
    config::raw::RawConfig,
    home::HOME_VARIABLE,
    ledger::organisation::TaxId,
    operator::{
        command::{Class, Role},
        statistics::By,
    },
};

/// The anchor of a Madang network
#[derive(Debug, Parser)]
#[command(name = "madang-anchor", version, propagate_version = true)]
pub(super) struct Cli {
    /// Folder with everything the anchor keeps [default: ~/.local/share/madang-anchor]
    #[arg(long, global = true, value_name = "DIR", env = HOME_VARIABLE)]
    pub(super) home: Option<PathBuf>,
    #[command(subcommand)]
    pub(super) command: Sub,
}

#[derive(Debug, Subcommand)]
pub(super) enum Sub {
    /// Run the anchor; the first start makes a new network. Flags win over anchor.toml in the home folder
    Serve(Box<Serve>),
    /// Stop the anchor that runs in the home folder
    Down,
    /// Subscribers
    #[command(subcommand)]
    Account(AccountSub),
    /// What buyers contest
    #[command(subcommand)]
    Dispute(DisputeSub),
    /// Subscribers' devices
    #[command(subcommand)]
    Device(DeviceSub),
    /// The books
    #[command(subcommand)]
    Ledger(LedgerSub),
    /// The books for other programs
    #[command(subcommand)]
    Export(ExportSub),
    /// Billing periods: calendar months
    #[command(subcommand)]
    Period(PeriodSub),
    /// Invoices, sellers' statements, and what corrects them
    #[command(subcommand)]
    Invoice(InvoiceSub),
    /// Where accounts and money are kept
    #[command(subcommand)]
    Store(StoreSub),
    /// Figures on all use: by time, site, rule, account, group, sign-in or refusal
    Stats(Box<Stats>),
    /// How it goes
    Status(Output),
}

#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    pub(super) config: RawConfig,
    /// Run in the background, with a log file in the home folder
    #[arg(long)]
    pub(super) bg: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum AccountSub {
    /// Add a subscriber; without a password flag, a password is made and shown once
    Add(Add),
    /// Book money that came in
    Topup(Topup),
    /// Give promotional credit: spent before what was paid in, never paid out
    Credit(Credit),
    /// Pay a top-up back, or give a buyer back what a grant was settled for
    Refund(Refund),
    /// Correct a top-up or a credit that was booked too low or too high
    Correct(Correct),
    /// Set how far the wallet may go below zero; above 0 makes it postpaid
    CreditLimit {
        /// The subscriber
        handle: Handle,
        /// In the network's currency; never less than what is owed and held
        amount: Amount,
        #[command(flatten)]
        output: Output,
    },
    /// Set the provider's share of what it sells from now on
    Commission {
        /// The subscriber
        handle: Handle,
        /// In basis points (100 = 1 %)
        #[arg(value_parser = clap::value_parser!(u16).range(0..=10_000))]
        bp: u16,
        #[command(flatten)]
        output: Output,
    },
    /// Set what an organisation's tax depends on; what is left out is taken away
    Tax {
        /// The organisation
        handle: Handle,
        /// What an authority calls it, such as 123-45-67890 or DE123456789
        #[arg(long, value_name = "ID")]
        id: Option<TaxId>,
        /// It owes the tax on what it buys to the state itself, so that it is not debited
        #[arg(long, requires = "id")]
        reverse_charge: bool,
        #[command(flatten)]
        output: Output,
    },
    /// Let a person act for an organisation
    Member {
        /// The organisation
        handle: Handle,
        /// The person
        person: Handle,
        /// What the person may do
        #[arg(value_enum, required_unless_present = "remove")]
        role: Option<Role>,
        /// Nothing any more
        #[arg(long, conflicts_with = "role")]
        remove: bool,
        #[command(flatten)]
        output: Output,
    },
    /// List all subscribers
    List(Output),
    /// Show one subscriber with its money and devices
    Show {
        /// The subscriber
        handle: Handle,
        #[command(flatten)]
        output: Output,
    },
    /// Show what is kept on the person behind an account, or change it; what is not mentioned stays
    Profile(Box<ProfileArgs>),
    /// Write everything that is kept on an account into a file, as JSON
    Export(ExportArgs),
    /// Forget a subscriber: with its money settled, close the account and erase who was behind it
    Leave(LeaveArgs),
    /// End a subscription; money and bills stay
    Close {
        /// The subscriber
        handle: Handle,
    },
}

#[derive(Debug, Args)]
pub(super) struct Add {
    /// The subscriber's name
    pub(super) handle: Handle,
    /// What kind of subscriber
    #[arg(long, value_enum, default_value = "person")]
    pub(super) class: Class,
    /// The provider's share of what it sells, in basis points (100 = 1 %)
    #[arg(long, value_name = "BP", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=10_000))]
    pub(super) commission_bp: u16,
    /// How far its wallet may go below zero; above 0 makes it postpaid
    #[arg(long, value_name = "AMOUNT", default_value = "0")]
    pub(super) credit_limit: Amount,
    /// Ask for the password
    #[arg(long, conflicts_with = "password_stdin")]
    pub(super) password_prompt: bool,
    /// Read the password from the first line of standard input
    #[arg(long)]
    pub(super) password_stdin: bool,
    #[command(flatten)]
    pub(super) output: Output,
}

#[derive(Debug, Args)]
pub(super) struct Topup {
    /// The subscriber
    pub(super) handle: Handle,
    /// How much, in the network's currency
    pub(super) amount: Amount,
    /// 32 hexadecimal digits: the same request never moves money twice; drawn where it is left out
    #[arg(long, value_name = "ID")]
    pub(super) request: Option<RequestId>,
    #[command(flatten)]
    pub(super) output: Output,
}

/// Of everything that an operator books by hand.
#[derive(Debug, Args)]
pub(super) struct Booked {
    /// Why, in one line
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: String,
    /// 32 hexadecimal digits: the same request never moves money twice; drawn where it is left out
    #[arg(long, value_name = "ID")]
    pub(super) request: Option<RequestId>,
    #[command(flatten)]
    pub(super) output: Output,
}

#[derive(Debug, Args)]
pub(super) struct Credit {
    /// The subscriber
    pub(super) handle: Handle,
    /// How much, in the network's currency
    pub(super) amount: Amount,
    /// Its last day, in UTC, such as 2026-12-31; without it, it never ends
    #[arg(long, value_name = "DATE")]
    pub(super) until: Option<Day>,
    #[command(flatten)]
    pub(super) booked: Booked,
}

#[derive(Debug, Args)]
pub(super) struct Refund {
    /// The subscriber
    pub(super) handle: Handle,
    /// How much; of a grant, what of its receipt's amount, to which its tax comes
    pub(super) amount: Amount,
    /// The entry of the top-up that is paid back
    #[arg(long, value_name = "ENTRY", required_unless_present = "grant")]
    pub(super) entry: Option<u64>,
    /// The grant of which something is given back
    #[arg(long, value_name = "GRANT", conflicts_with = "entry")]
    pub(super) grant: Option<GrantId>,
    #[command(flatten)]
    pub(super) booked: Booked,
}

#[derive(Debug, Args)]
pub(super) struct Correct {
    /// The subscriber
    pub(super) handle: Handle,
    /// The entry of the top-up or the credit
    pub(super) entry: u64,
    /// It was too low: book so much more
    #[arg(long, value_name = "AMOUNT", required_unless_present = "down")]
    pub(super) up: Option<Amount>,
    /// It was too high: take so much back
    #[arg(long, value_name = "AMOUNT", conflicts_with = "up")]
    pub(super) down: Option<Amount>,
    #[command(flatten)]
    pub(super) booked: Booked,
}

#[derive(Debug, Subcommand)]
pub(super) enum DisputeSub {
    /// A buyer contests what was settled under a grant
    Open {
        /// The buyer
        handle: Handle,
        /// The grant
        grant: GrantId,
        /// How much of its receipt's amount
        amount: Amount,
        /// Why, in one line
        #[arg(long)]
        text: String,
        #[command(flatten)]
        output: Output,
    },
    /// Its seller answers
    Answer {
        /// The seller
        handle: Handle,
        /// The grant
        grant: GrantId,
        /// What it says, in one line
        #[arg(long)]
        text: String,
        #[command(flatten)]
        output: Output,
    },
    /// Decide: give the buyer something back, or nothing
    Decide {
        /// The grant
        grant: GrantId,
        /// Give back so much of the receipt's amount, with its tax
        #[arg(long, value_name = "AMOUNT", required_unless_present = "reject")]
        uphold: Option<Amount>,
        /// Give back nothing
        #[arg(long, conflicts_with = "uphold")]
        reject: bool,
        /// Why, in one line
        #[arg(long)]
        text: String,
        #[command(flatten)]
        output: Output,
    },
    /// List what is not decided, or all of one subscriber
    List {
        /// The subscriber, buyer or seller
        handle: Option<Handle>,
        #[command(flatten)]
        output: Output,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum DeviceSub {
    /// Revoke a device for good
    Revoke {
        /// Whose
        handle: Handle,
        /// Its key, as `account show` prints it
        device: PublicKey,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum LedgerSub {
    /// Walk the whole journal and every invariant of the books; of a home folder also make its rows anew and compare them
    Verify {
        /// A statement of where the journal ended, as `ledger head --json` has printed it, to hold against the journal beside those that are kept
        #[arg(long, value_name = "FILE")]
        statement: Option<PathBuf>,
    },
    /// Show the signed statement of where the journal ended, the last one or a day's
    Head {
        /// The day, in UTC, such as 2026-12-31
        #[arg(long, value_name = "DATE")]
        day: Option<Day>,
        #[command(flatten)]
        output: Output,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum ExportSub {
    /// The books as a journal for hledger
    Hledger(Export),
    /// The books as a journal for beancount
    Beancount(Export),
    /// What was used, as a batch of CloudEvents: one for each settled receipt and rule
    Cloudevents {
        /// Where to; - is standard output
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(super) struct Export {
    /// Where to; - is standard output
    pub(super) file: PathBuf,
    /// From this day on, in UTC, such as 2026-12-01; what was before stands in one opening transaction
    #[arg(long, value_name = "DATE")]
    pub(super) from: Option<Day>,
    /// Up to and with this day
    #[arg(long, value_name = "DATE")]
    pub(super) until: Option<Day>,
}

#[derive(Debug, Subcommand)]
pub(super) enum StoreSub {
    /// Copy everything from the home folder into an empty PostgreSQL database and prove that it is the same; the anchor is stopped meanwhile
    Copy {
        /// postgres://USER:PASSWORD@HOST/NAME
        database: String,
        /// The anchor's name among those that will share the database
        #[arg(long, value_name = "NAME")]
        instance: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(super) struct Stats {
    /// The first day, in UTC, such as 2026-01-01 [default: 30 days]
    #[arg(long, value_name = "DAY")]
    pub(super) from: Option<Day>,
    /// The last day [default: today]
    #[arg(long, value_name = "DAY")]
    pub(super) until: Option<Day>,
    /// What the lines are
    #[arg(long, value_enum, default_value = "day")]
    pub(super) by: By,
    /// Only this site
    #[arg(long, value_name = "SITE", group = "whose")]
    pub(super) site: Option<SiteName>,
    /// Only what this subscriber paid for
    #[arg(long, value_name = "HANDLE", group = "whose")]
    pub(super) buyer: Option<Handle>,
    /// Only what this subscriber served
    #[arg(long, value_name = "HANDLE", group = "whose")]
    pub(super) seller: Option<Handle>,
    /// Only what members of this group used as such
    #[arg(long, value_name = "GROUP", group = "whose")]
    pub(super) group: Option<GroupId>,
    /// Only so many lines, the largest first [default: all by time, otherwise 50]
    #[arg(long, value_name = "N")]
    pub(super) top: Option<usize>,
    /// How they are shown
    #[arg(long, value_enum, default_value = "table")]
    pub(super) format: Format,
    /// Count first what is not counted yet
    #[arg(long)]
    pub(super) catch_up: bool,
}

/// How figures are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people
    Table,
    /// For spreadsheets (RFC 4180)
    Csv,
    /// For scripts
    Json,
}

#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Output {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}
