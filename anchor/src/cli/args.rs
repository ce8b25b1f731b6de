//! What may be written on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use madang_protocol::{
    amount::Amount,
    ids::{PublicKey, RequestId},
    name::Handle,
};

use crate::{config::raw::RawConfig, home::HOME_VARIABLE, operator::command::Class};

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
    /// Subscribers' devices
    #[command(subcommand)]
    Device(DeviceSub),
    /// The books
    #[command(subcommand)]
    Ledger(LedgerSub),
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
    /// List all subscribers
    List(Output),
    /// Show one subscriber with its money and devices
    Show {
        /// The subscriber
        handle: Handle,
        #[command(flatten)]
        output: Output,
    },
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
    /// Check that the books balance and every hold is covered
    Check,
}

#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Output {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}
