//! What the buyer's browser fetches, and whether it is what the seller's disk holds.

use std::{fmt, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use madang_protocol::rules::used::grouped;
use tokio::time::{Instant, sleep};

use super::{
    LIVE, SELLER,
    browser::{Browser, Visit},
    content::{self, FREE_FILE, Measure, PICTURE, RECORDING, REPORT},
    table::Table,
};

/// What is fetched, in this order. The report is the first page with a price.
const WANTED: &[&str] = &[
    "/",
    "/ko/",
    "/pictures/yard.svg",
    PICTURE,
    FREE_FILE,
    REPORT,
    RECORDING,
];
/// What a person types into the consent page: at most so much for this site.
const BUDGET: &str = "2000";
/// The mesh needs a moment after the start.
const FOUND_WITHIN: Duration = Duration::from_secs(30);
const ASK_EVERY: Duration = Duration::from_millis(100);

/// What was fetched.
pub(super) struct Errand {
    origin: String,
    visits: Vec<(&'static str, Visit)>,
    heard: String,
    clock: String,
}

/// Visits everything, pays what has a price, and compares each octet that arrived with the seller's disk.
pub(super) async fn run(browser: &mut Browser, site: &Path) -> Result<Errand> {
    find(browser).await?;
    let mut visits = Vec::new();
    for path in WANTED {
        let visit = browser.visit(SELLER, path, BUDGET).await?;
        let served = measure(site, path).await?;
        ensure!(
            visit.got == served,
            "{path} arrived as something else than was served"
        );
        visits.push((*path, visit));
    }
    let live = format!("{LIVE}--{SELLER}");
    Ok(Errand {
        origin: browser.origin(SELLER),
        visits,
        heard: browser
            .say(&live, "안녕하세요, hello from the yard")
            .await?,
        clock: browser.first_event(&live, "/clock").await?,
    })
}

/// Waits until the seller's site is found by its name.
async fn find(browser: &mut Browser) -> Result<()> {
    let deadline = Instant::now() + FOUND_WITHIN;
    loop {
        match browser.visit(SELLER, "/", BUDGET).await {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() >= deadline => {
                return Err(error.context("find the seller's site"));
            }
            Err(_) => sleep(ASK_EVERY).await,
        }
    }
}

async fn measure(site: &Path, path: &str) -> Result<Measure> {
    let index = if path.ends_with('/') {
        "index.html"
    } else {
        ""
    };
    let file = content::file(site, &format!("{path}{index}"));
    let measured = tokio::task::spawn_blocking(move || content::measure(&file)).await?;
    measured.with_context(|| format!("read the served {path}"))
}

impl Errand {
    /// Octets that arrived under a price for octets.
    pub(super) fn octets_priced(&self) -> u64 {
        let priced = self.visits.iter().filter(|(path, _)| *path == RECORDING);
        priced.map(|(_, visit)| visit.got.bytes).sum()
    }
}

impl fmt::Display for Errand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Fetched by joon's browser from {}", self.origin)?;
        let mut table = Table::new(&[
            "path",
            ">octets",
            "sha-256, as on mina's disk",
            "agreed to on the consent page",
        ]);
        for (path, visit) in &self.visits {
            let digest = visit.got.sha256[..8]
                .iter()
                .map(|octet| format!("{octet:02x}"));
            table.row([
                (*path).to_owned(),
                grouped(visit.got.bytes),
                digest.collect::<String>() + "…",
                visit.asked.clone().unwrap_or_default(),
            ]);
        }
        writeln!(f, "{table}")?;
        writeln!(
            f,
            "Live: the board says {:?} to everyone; the clock says {}",
            self.heard, self.clock
        )
    }
}
