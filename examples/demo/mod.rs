//! The demo: an anchor, a seller's node and a buyer's node on this machine; the buyer's browser visits the seller's site and pays for what it
//! gets there; then everything is shown that was counted, signed, settled and billed. Nothing here is make-believe but the people.
//!
//! * [`cast`]: the anchor and the two nodes. [`content`] and [`live`]: what the seller serves.
//! * [`browser`]: the buyer's browser. [`errand`]: what it fetches, and how that is checked.
//! * [`statement`]: what is printed, as [`table`]s.

mod browser;
mod cast;
mod content;
mod errand;
mod live;
mod options;
mod statement;
mod table;

use std::{
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use clap::Parser as _;
use madang::config::{Raw, RawMesh, RawProxy, RawSelling, RawSite};
use madang_protocol::amount::Amount;
use tracing_subscriber::EnvFilter;

use self::{
    browser::Browser,
    cast::{Anchor, Pc, prefer},
    live::Live,
    options::Options,
};

/// Who sells.
const SELLER: &str = "mina";
/// Who buys.
const BUYER: &str = "joon";
/// The part of the seller's second site.
const LIVE: &str = "live";
/// What the buyer has paid in: 20,000 KRW.
const PAID_IN: Amount = Amount::from_micros(20_000_000_000);

/// Runs the demo as its command line says.
pub fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where even this cannot be written, the exit code says it.
            let _ = writeln!(io::stderr(), "demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let filter = EnvFilter::try_from_env("MADANG_LOG")
        .unwrap_or_else(|_| EnvFilter::new("warn,libp2p_kad=error,libp2p_gossipsub=error"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    log.try_init()
        .map_err(anyhow::Error::from_boxed)
        .context("set up the log")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(play(options))
}

async fn play(options: &Options) -> Result<()> {
    let folder = options.folder().context("make the folder for the state")?;
    say(&format!(
        "Madang demo. State is kept in {}\n",
        folder.display()
    ))?;
    let live = Live::start().await.context("start the live application")?;
    let proxies = (prefer(8420)?, prefer(8421)?);
    let site = folder.join("site");
    let live_url = format!("http://{LIVE}--{SELLER}.localhost:{}/", proxies.0.port());
    let written = site.clone();
    tokio::task::spawn_blocking(move || content::write(&written, &live_url))
        .await?
        .context("write the site")?;

    let anchor = Anchor::start(&folder.join("anchor"), SELLER).await?;
    let [sells, buys] = [
        anchor.subscribe(SELLER).await?,
        anchor.subscribe(BUYER).await?,
    ];
    anchor.top_up(BUYER, PAID_IN, 1).await?;
    let who = (SELLER, sells);
    let seller = Pc::start(
        folder.join(SELLER),
        &anchor.url(),
        who,
        selling(&site, &live),
    )
    .await?;
    anchor.has_hub().await?;
    let who = (BUYER, buys);
    let buyer = Pc::start(folder.join(BUYER), &anchor.url(), who, buying(proxies)).await?;

    let (proxy, console) = buyer.proxy()?;
    let mut browser = Browser::new(proxy, console);
    let before = statement::Balances::of(&anchor).await?;
    let signed_before = statement::octets_signed(&buyer)?;
    let errand = errand::run(&mut browser, &site).await?;
    say(&errand.to_string())?;
    let octets = signed_before + errand.octets_priced();
    let settled = statement::settled(&seller, &buyer, octets).await?;
    say(&settled.to_string())?;
    let after = statement::Balances::of(&anchor).await?;
    say(&statement::balances(&before, &after))?;
    say(&statement::bill(&buyer).await?)?;
    say(&format!("Books     {}\n", anchor.check().await?))?;
    if !options.once {
        say(&statement::addresses(&browser, console))?;
        tokio::signal::ctrl_c().await.context("wait for Ctrl-C")?;
    }
    buyer.stop().await;
    seller.stop().await;
    anchor.stop().await
}

/// The seller's `madang.toml`.
fn selling(site: &Path, live: &Live) -> Raw {
    let pages = RawSite {
        folder: Some(site.to_owned()),
        title: Some("Mina's yard".into()),
        description: Some("Pages with pictures, a report on the tides, the sound of waves".into()),
        keywords: Some(vec!["tides".into(), "물때".into()]),
        prices: Some(content::PRICES.iter().map(ToString::to_string).collect()),
        ..RawSite::default()
    };
    let board = RawSite {
        name: Some(LIVE.into()),
        port: Some(live.port()),
        title: Some("The board".into()),
        description: Some("A board that everyone reads as it is written".into()),
        ..RawSite::default()
    };
    Raw {
        mesh: on_this_machine(),
        proxy: RawProxy {
            enabled: Some(false),
            ..RawProxy::default()
        },
        selling: RawSelling {
            settle_every: Some("1 s".into()),
            ..RawSelling::default()
        },
        site: vec![pages, board],
        ..Raw::default()
    }
}

/// The buyer's `madang.toml`.
fn buying((proxy, console): (std::net::SocketAddr, std::net::SocketAddr)) -> Raw {
    Raw {
        mesh: on_this_machine(),
        proxy: RawProxy {
            listen: Some(proxy.to_string()),
            console: Some(console.to_string()),
            ..RawProxy::default()
        },
        ..Raw::default()
    }
}

/// The demo speaks to nobody else.
fn on_this_machine() -> RawMesh {
    let listen = ["/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0"];
    RawMesh {
        listen: Some(listen.map(str::to_owned).to_vec()),
        ..RawMesh::default()
    }
}

fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}
