//! What the daemon does when it is told to.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Query, State},
    routing::{delete, get, post},
};
use http::StatusCode;
use madang_protocol::limits::BILL_PAGE_MAX;
use serde::Deserialize;

use super::{
    Problem, buy,
    model::{
        self, BillView, SiteListed, SiteStatus, Sites, Status, TodayStatus, Unserve, WalletView,
    },
};
use crate::{
    app::{Admission, Node, check_site},
    broker::BrokerError,
    config::{self, RawSite, SiteConfig},
    mesh::directory::Directory,
};

/// Octets of a command.
const COMMAND_BYTES_MAX: usize = 64 * 1_024;
/// Sites in one answer.
const SITES_MAX: usize = 10_000;
/// Sites in one page of the anchor's.
const SITES_PAGE: u16 = 500;

/// The first sign-in takes no longer, one way or the other.
const ADMISSION_WITHIN: Duration = Duration::from_secs(30);
/// A signature and a small file.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(5);

/// All commands.
pub(super) fn router(node: Arc<Node>) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/ready", get(ready))
        .route("/v1/serve", post(serve))
        .route("/v1/unserve", post(unserve))
        .route("/v1/sites", get(sites))
        .route("/v1/wallet", get(wallet))
        .route("/v1/bill", get(bill))
        .route("/v1/consents", get(buy::consents).post(buy::agree))
        .route("/v1/consents/{site}", delete(buy::withdraw))
        .route("/v1/fetch", get(buy::fetch))
        .route("/v1/shutdown", post(shutdown))
        .fallback(unknown)
        .layer(DefaultBodyLimit::max(COMMAND_BYTES_MAX))
        .with_state(node)
}

async fn unknown() -> Problem {
    let title = "the running daemon does not know this command; restart it after an update";
    Problem::new(StatusCode::NOT_FOUND, "command-unknown", title)
}

async fn status(State(node): State<Arc<Node>>) -> Json<Status> {
    let addresses = node.addresses();
    let peers = node
        .mesh
        .connected_peers()
        .await
        .map_or(0, |peers| peers.len());
    let (admission, refusal) = model::admission(&node.admission.borrow());
    let standing = node.standing.borrow().clone();
    Json(Status {
        version: env!("CARGO_PKG_VERSION").into(),
        process: std::process::id(),
        uptime_s: node.started.elapsed().as_secs(),
        handle: standing.handle.to_string(),
        device: node.key.public().to_string(),
        peer: addresses.peer.to_string(),
        network: standing.descriptor.name.clone(),
        currency: standing.descriptor.currency.to_string(),
        tax_on_top: standing.descriptor.tax.on_top().map(|tax| tax.to_string()),
        admission: admission.into(),
        refusal,
        today: node.shop.get().map(|shop| {
            let today = shop.today();
            TodayStatus {
                spent: today.spent.to_string(),
                budget: today.budget.to_string(),
            }
        }),
        anchor: node.client.endpoint().address().to_string(),
        anchor_reached: standing.anchor_reached.map(|time| time.to_string()),
        passport_expires: standing
            .passport
            .map(|passport| passport.expires.to_string()),
        time: node.clock.now().to_string(),
        clock_offset_ms: node.clock.offset_ms(),
        listen: addresses.listen.iter().map(ToString::to_string).collect(),
        announced: node.published.borrow().addresses.clone(),
        peers,
        proxy: addresses.proxy.map(|address| address.to_string()),
        console: addresses.console.map(|address| address.to_string()),
        sites: site_statuses(&node),
    })
}

/// Answers once the first sign-in has come to something, and what may be served is up.
async fn ready(State(node): State<Arc<Node>>) -> StatusCode {
    let mut admission = node.admission.clone();
    let settled = admission.wait_for(|state| *state != Admission::Trying);
    // What did not come about in time is for the status to tell.
    let _ = tokio::time::timeout(ADMISSION_WITHIN, settled).await;
    let sites = node.sites.borrow().clone();
    for site in sites {
        up(&node, &site).await;
    }
    StatusCode::NO_CONTENT
}

/// Waits until `site` is up, where anything may be.
async fn up(node: &Node, site: &SiteConfig) {
    let may_serve = node.admission.borrow().may_serve();
    if !may_serve {
        return;
    }
    let mut published = node.published.clone();
    let is_up = published.wait_for(|published| published.sites.iter().any(|up| up.config == *site));
    let _ = tokio::time::timeout(PUBLISHED_WITHIN, is_up).await;
}

fn site_statuses(node: &Node) -> Vec<SiteStatus> {
    let configured = node.sites.borrow().clone();
    configured
        .iter()
        .filter_map(|site| site_status(node, site))
        .collect()
}

/// `None` only for a name that does not fit, which is refused before it gets here.
fn site_status(node: &Node, site: &SiteConfig) -> Option<SiteStatus> {
    let standing = node.standing.borrow();
    let name = site.name(&standing.handle).ok()?;
    let (currency, tax) = (standing.descriptor.currency, standing.descriptor.tax);
    let prices = site.prices.iter();
    Some(SiteStatus {
        url: node.url(&name),
        source: model::source(&site.source),
        title: site.title.clone(),
        audience: model::audience(site.audience),
        prices: prices
            .map(|price| model::price(&price.rule, currency, tax))
            .collect(),
        is_up: node
            .published
            .borrow()
            .sites
            .iter()
            .any(|up| up.name == name),
        name: name.to_string(),
    })
}

/// Checks first, then writes `madang.toml`, then serves.
async fn serve(
    State(node): State<Arc<Node>>,
    Json(site): Json<RawSite>,
) -> Result<Json<SiteStatus>, Problem> {
    let site = config::as_added(&node.home, site)?;
    let checked = SiteConfig::check(&site, node.home.path())?;
    check_site(&node.home, &checked, &node.standing.borrow())?;
    config::add_site(&node.home, site)?;
    node.sites.send_modify(|sites| {
        sites.retain(|other| other.part != checked.part);
        sites.push(checked.clone());
    });
    up(&node, &checked).await;
    site_status(&node, &checked).map(Json).ok_or_else(|| {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "site-wrong",
            "the site has no name",
        )
    })
}

async fn unserve(
    State(node): State<Arc<Node>>,
    Json(command): Json<Unserve>,
) -> Result<Json<Unserve>, Problem> {
    let is_removed = config::remove_site(&node.home, command.name.as_deref())?;
    if !is_removed {
        let title = "no such site is served; `madang status` shows which are";
        return Err(Problem::new(StatusCode::NOT_FOUND, "site-unknown", title));
    }
    node.sites
        .send_modify(|sites| sites.retain(|site| site.part != command.name));
    Ok(Json(command))
}

/// The anchor's list; with the anchor away, what the mesh knows.
async fn sites(State(node): State<Arc<Node>>) -> Result<Json<Sites>, Problem> {
    let (source, mut sites) = match sites_of_anchor(&node).await {
        Ok(sites) => ("anchor", sites),
        Err(BrokerError::Unreachable(_)) => ("mesh", sites_of_mesh(&node)),
        Err(error) => return Err(error.into()),
    };
    sites.truncate(SITES_MAX);
    Ok(Json(Sites {
        source: source.into(),
        sites,
    }))
}

/// Page by page.
async fn sites_of_anchor(node: &Node) -> Result<Vec<SiteListed>, BrokerError> {
    let mut sites = Vec::new();
    let mut after = None;
    loop {
        let page = node.client.sites(after, SITES_PAGE).await?;
        let listed = page.sites.iter();
        sites.extend(listed.map(|one| SiteListed::of(one, node.url(&one.site))));
        after = page.more_after;
        if after.is_none() || page.sites.is_empty() || sites.len() >= SITES_MAX {
            return Ok(sites);
        }
    }
}

/// Each site once, by the newest word of its devices.
fn sites_of_mesh(node: &Node) -> Vec<SiteListed> {
    let mut known = node
        .directory
        .get()
        .map(Directory::known_sites)
        .unwrap_or_default();
    known.sort_by(|a, b| {
        let (a, b) = (&a.announcement, &b.announcement);
        a.site.cmp(&b.site).then(b.issued.cmp(&a.issued))
    });
    known.dedup_by(|later, earlier| later.announcement.site == earlier.announcement.site);
    let listed = known
        .iter()
        .map(|one| SiteListed::announced(&one.announcement, node.url(&one.announcement.site)));
    listed.collect()
}

async fn wallet(State(node): State<Arc<Node>>) -> Result<Json<WalletView>, Problem> {
    let wallet = node.client.wallet().await?;
    let tax = node.standing.borrow().descriptor.tax;
    Ok(Json(WalletView::of(&wallet, tax)))
}

/// `?before=ENTRY&limit=LINES`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BillPage {
    before: Option<u64>,
    limit: Option<u16>,
}

async fn bill(
    State(node): State<Arc<Node>>,
    Query(page): Query<BillPage>,
) -> Result<Json<BillView>, Problem> {
    let limit = usize::from(page.limit.unwrap_or(50)).clamp(1, BILL_PAGE_MAX);
    // The limit fits, by the clamp.
    let limit = u16::try_from(limit).unwrap_or(u16::MAX);
    Ok(Json(node.client.bill(page.before, limit).await?.into()))
}

async fn shutdown(State(node): State<Arc<Node>>) -> StatusCode {
    tracing::info!("asked to stop over the control socket");
    node.stop_asked.cancel();
    StatusCode::ACCEPTED
}
