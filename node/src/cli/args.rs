//! What may be said on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// A yard that neighbours share: serve pages, files and applications from your own PC, and be paid for it.
#[derive(Debug, Parser)]
#[command(name = "madang", version, about, subcommand_required = true)]
pub struct Cli {
    /// Where this node keeps everything
    #[arg(long, global = true, env = "MADANG_HOME", value_name = "FOLDER")]
    pub home: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Join the network of an anchor, once, with your password
    Join(Join),
    /// Run the node: sign in, then serve
    Up(Up),
    /// Stop the running node
    Down,
    /// Serve a folder or a local application
    Serve(Serve),
    /// Stop serving a site
    Unserve(Unserve),
    /// Open a site in the browser
    Open(Open),
    /// Download a file; goes on where it stopped, and checks what it got
    Get(Get),
    /// List the personal web servers that are online
    List(Json),
    /// Show your wallet
    Wallet(Json),
    /// Show what you bought and sold
    Bill(Bill),
    /// Agree to pay sites, look at it, take it back
    #[command(subcommand)]
    Consent(Consent),
    /// Show what the running node does
    Status(Json),
    /// Find out what is wrong with the connection, and what to do
    Doctor(Json),
    /// Start the node with the PC
    #[command(subcommand)]
    Service(Service),
}

/// `madang join`
#[derive(Debug, Args)]
pub struct Join {
    /// The anchor, such as https://anchor.example
    pub url: String,
    /// Your user name
    #[arg(long, value_name = "NAME")]
    pub handle: Option<String>,
    /// What you call this PC
    #[arg(long, value_name = "TEXT")]
    pub label: Option<String>,
    /// Read the password from standard input: one line
    #[arg(long)]
    pub password_stdin: bool,
    /// Trust the anchor only if it has this fingerprint
    #[arg(long, value_name = "HEX")]
    pub fingerprint: Option<String>,
    /// Trust the anchor as it is, without asking
    #[arg(long)]
    pub yes: bool,
    /// PEM file of certificates to trust in place of the system's
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Allow a connection without encryption to another machine
    #[arg(long)]
    pub insecure_http: bool,
}

/// `madang up`
#[derive(Debug, Args)]
pub struct Up {
    /// Run in the background, with a log file in the home folder
    #[arg(long)]
    pub bg: bool,
}

/// `madang serve`
#[derive(Debug, Args)]
pub struct Serve {
    /// A folder, a port, http://HOST:PORT or unix:PATH
    pub what: String,
    /// The part before your handle: `blog` makes `blog--you`. Without it, the site is your handle's own
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// A title for lists
    #[arg(long, value_name = "TEXT")]
    pub title: Option<String>,
    /// A sentence or two for lists
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// By which it is found; may be said several times
    #[arg(long = "keyword", value_name = "WORD")]
    pub keywords: Vec<String>,
    /// Who may use it: anyone, subscribers or group:ID
    #[arg(long, value_name = "WHO")]
    pub audience: Option<String>,
    /// A price such as '/reports/**=500 KRW'; may be said several times, the first that fits holds.
    /// Without it, a site that is served already keeps its prices
    #[arg(long = "price", value_name = "PATTERN=PRICE")]
    pub prices: Vec<String>,
    /// Take all prices away
    #[arg(long, conflicts_with = "prices")]
    pub free: bool,
    /// If the node is not running, start it in the background
    #[arg(long)]
    pub bg: bool,
}

/// `madang unserve`
#[derive(Debug, Args)]
pub struct Unserve {
    /// The site's part before your handle; without it, your handle's own site
    pub name: Option<String>,
}

/// `madang open`
#[derive(Debug, Args)]
pub struct Open {
    /// A site, such as alice or blog--alice/today
    pub site: String,
    /// Only print the address
    #[arg(long)]
    pub print: bool,
}

/// `madang get`
#[derive(Debug, Args)]
pub struct Get {
    /// What to download, such as alice/files/film.mp4
    pub url: String,
    /// Where to put it: a file, or a folder that is there; without it, its own name in this folder
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Put it in the place of a file that is there
    #[arg(long)]
    pub force: bool,
    /// Agree to pay the site at most this, tax included, such as '500 KRW'
    #[arg(long, value_name = "AMOUNT")]
    pub pay: Option<String>,
    /// No progress bar
    #[arg(long)]
    pub quiet: bool,
}

/// Commands that only show something.
#[derive(Debug, Args)]
pub struct Json {
    /// For scripts
    #[arg(long)]
    pub json: bool,
}

/// `madang bill`
#[derive(Debug, Args)]
pub struct Bill {
    /// For scripts
    #[arg(long)]
    pub json: bool,
    /// Lines to show
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=500))]
    pub limit: u16,
    /// Only what stands before this entry
    #[arg(long, value_name = "ENTRY")]
    pub before: Option<u64>,
}

/// `madang consent`
#[derive(Debug, Subcommand)]
pub enum Consent {
    /// Agree to pay a site, at its prices of now
    Agree {
        /// A page of the site with a price, such as alice/reports/1: its whole price list is agreed to
        site: String,
        /// At most this in all, tax included, such as '2000 KRW'
        #[arg(long, value_name = "AMOUNT")]
        max: String,
        /// Buy the pass that opens this path, where there is one
        #[arg(long, value_name = "PATH")]
        pass: Option<String>,
    },
    /// Show what you agreed to, and what it has cost since
    List(Json),
    /// Take it back
    Withdraw {
        /// The site
        site: String,
    },
}

/// `madang service`
#[derive(Debug, Subcommand)]
pub enum Service {
    /// Write a systemd user unit, and enable it
    Install,
    /// Disable the unit, and remove it
    Uninstall,
}
