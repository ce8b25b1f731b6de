//! What is said over the control socket.

use madang_protocol::{
    amount::Currency,
    broker::{Bill, BillLine, Listing, Side, Wallet},
    record::{
        announcement::Announcement,
        network::Tax,
        tariff::{Audience, Rule},
    },
    rules::{price::Prices, used::Used},
};
use serde::{Deserialize, Serialize};

use crate::{app::Admission, config::Source};

/// `GET /v1/status`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Of the program.
    pub version: String,
    /// Of the daemon.
    pub process: u32,
    /// Since its start.
    pub uptime_s: u64,
    /// The account.
    pub handle: String,
    /// The device's public key.
    pub device: String,
    /// The device in the mesh.
    pub peer: String,
    /// The network's name.
    pub network: String,
    /// The network's currency.
    pub currency: String,
    /// The tax that comes on top of prices, such as `10 %`.
    pub tax_on_top: Option<String>,
    /// `trying`, `admitted`, `by-passport`, `waiting` or `refused`.
    pub admission: String,
    /// Why the anchor refuses this device, where it does.
    pub refusal: Option<String>,
    /// What today has cost, over all sites, and may cost at most; `None` where this node does not buy.
    pub today: Option<TodayStatus>,
    /// The anchor's address.
    pub anchor: String,
    /// When it last admitted this device.
    pub anchor_reached: Option<String>,
    /// When the passport in hand ends.
    pub passport_expires: Option<String>,
    /// This node's time.
    pub time: String,
    /// The anchor's time less this machine's, as seen last.
    pub clock_offset_ms: i64,
    /// Where the mesh listens.
    pub listen: Vec<String>,
    /// What is told to others.
    pub announced: Vec<String>,
    /// Peers that are connected.
    pub peers: usize,
    /// The local proxy's address.
    pub proxy: Option<String>,
    /// The console's and the consent page's address.
    pub console: Option<String>,
    /// What is served.
    pub sites: Vec<SiteStatus>,
}

/// One site that this node serves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SiteStatus {
    /// Its name.
    pub name: String,
    /// Where a browser on this machine opens it.
    pub url: Option<String>,
    /// What is behind it.
    pub source: String,
    /// For lists.
    pub title: String,
    /// Who may use it.
    pub audience: String,
    /// Its price list, rule by rule.
    pub prices: Vec<String>,
    /// Whether it is up: after admission.
    pub is_up: bool,
}

/// `POST /v1/unserve`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unserve {
    /// The part before `--`; `None` for the site of the handle itself.
    pub name: Option<String>,
}

/// `POST /v1/consents`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agree {
    /// The site.
    pub site: String,
    /// At most this leaves the wallet in all, with its currency.
    pub max: String,
    /// A path that has the price that is agreed to; `/` without it.
    pub path: Option<String>,
    /// Buy the pass of that price.
    pub pass: bool,
}

/// The budget of the day, tax included; it begins anew at midnight UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TodayStatus {
    /// What was signed for, and what was received and is not signed for yet.
    pub spent: String,
    /// The most that is spent in a day: `per_day` under `[budget]`.
    pub budget: String,
}

/// `GET /v1/consents`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsentStatus {
    /// The site.
    pub site: String,
    /// The price list that was agreed to.
    pub tariff: String,
    /// Of the amounts.
    pub currency: String,
    /// The tax that comes on top of the site's prices, such as `10 %`; it is within the amounts here.
    pub tax_on_top: Option<String>,
    /// At most this leaves the wallet in all.
    pub budget: String,
    /// What leaves it for what was signed for since.
    pub spent: String,
    /// What leaves it beside, for what was received and is not signed for yet.
    pub due: String,
    /// Whether a pass is bought.
    pub buys_pass: bool,
    /// When it was agreed, and counting began; the bill begins with the account.
    pub since: String,
}

/// `GET /v1/sites`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sites {
    /// `anchor`, or `mesh` when the anchor is away.
    pub source: String,
    /// In the order of their names.
    pub sites: Vec<SiteListed>,
}

/// One personal web server that is online.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SiteListed {
    /// Its name.
    pub name: String,
    /// Where a browser on this machine opens it.
    pub url: Option<String>,
    /// Its title.
    pub title: String,
    /// A sentence or two.
    pub description: String,
    /// By which it is found.
    pub keywords: Vec<String>,
    /// Who may use it.
    pub audience: String,
    /// Whether anything there has a price.
    pub has_prices: bool,
    /// When it was last heard of.
    pub seen: Option<String>,
}

/// `GET /v1/wallet`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalletView {
    /// The account.
    pub handle: String,
    /// Of all amounts.
    pub currency: String,
    /// The tax that comes on top of prices, such as `10 %`; it is within the amounts here.
    pub tax_on_top: Option<String>,
    /// What is in the wallet.
    pub posted: String,
    /// What a postpaid account owes.
    pub owed: String,
    /// What is held for open grants.
    pub held: String,
    /// How far the wallet may go below zero.
    pub credit_limit: String,
    /// What can be granted now.
    pub available: String,
    /// What was earned and is not paid out.
    pub earned: String,
}

/// `GET /v1/bill`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BillView {
    /// The newest first.
    pub lines: Vec<BillLineView>,
    /// Say this as `before` for the next page.
    pub more_before: Option<u64>,
}

/// What one grant came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BillLineView {
    /// Of the anchor's journal.
    pub entry: u64,
    /// When.
    pub time: String,
    /// `purchase` or `sale`.
    pub side: String,
    /// The site.
    pub site: String,
    /// The other party.
    pub partner: String,
    /// The grant.
    pub grant: String,
    /// What was bought, as people read it: what has a price, and what of it was free.
    pub used: String,
    /// Requests with a price, over all rules.
    pub requests: u64,
    /// Content octets with a price, over all rules.
    pub bytes: u64,
    /// Milliseconds with a price, over all rules.
    pub milliseconds: u64,
    /// Passes, over all rules.
    pub passes: u64,
    /// Of the requests, those free within a quota.
    pub requests_free: u64,
    /// Of the octets, those free within a quota.
    pub bytes_free: u64,
    /// Of the milliseconds, those free within a quota.
    pub milliseconds_free: u64,
    /// What the counters cost.
    pub amount: String,
    /// What of that was given back. What follows is what became of the rest.
    pub refunded: String,
    /// What the buyer paid.
    pub debit: String,
    /// What the seller earned.
    pub earned: String,
    /// What the provider took.
    pub commission: String,
    /// What goes to the state.
    pub tax: String,
}

impl WalletView {
    /// What stands on the account, in a network with this tax.
    pub(super) fn of(wallet: &Wallet, tax: Tax) -> Self {
        Self {
            tax_on_top: tax.on_top().map(|percent| percent.to_string()),
            handle: wallet.handle.to_string(),
            currency: wallet.currency.to_string(),
            posted: wallet.posted.to_string(),
            owed: wallet.owed.to_string(),
            held: wallet.held.to_string(),
            credit_limit: wallet.credit_limit.to_string(),
            available: wallet.available.to_string(),
            earned: wallet.earned.to_string(),
        }
    }
}

impl From<Bill> for BillView {
    fn from(bill: Bill) -> Self {
        Self {
            lines: bill.lines.into_iter().map(BillLineView::from).collect(),
            more_before: bill.more_before,
        }
    }
}

impl From<BillLine> for BillLineView {
    fn from(line: BillLine) -> Self {
        let used = Used::of(&line.priced, &line.free);
        let (counted, free) = (used.counted(), used.free());
        Self {
            entry: line.entry,
            time: line.time.to_string(),
            side: match line.side {
                Side::Purchase => "purchase",
                Side::Sale => "sale",
            }
            .into(),
            used: used.to_string(),
            requests: counted.requests,
            bytes: counted.bytes,
            milliseconds: counted.milliseconds,
            passes: counted.passes,
            requests_free: free.requests,
            bytes_free: free.bytes,
            milliseconds_free: free.milliseconds,
            site: line.site.to_string(),
            partner: line.partner.to_string(),
            grant: line.grant.to_string(),
            amount: line.amount.to_string(),
            refunded: line.refunded.to_string(),
            debit: line.debit.to_string(),
            earned: line.earned.to_string(),
            commission: line.commission.to_string(),
            tax: line.tax.to_string(),
        }
    }
}

impl SiteListed {
    /// A line of the anchor's list.
    pub(super) fn of(listing: &Listing, url: Option<String>) -> Self {
        Self {
            name: listing.site.to_string(),
            url,
            title: listing.title.clone(),
            description: listing.description.clone(),
            keywords: listing.keywords.clone(),
            audience: audience(listing.audience),
            has_prices: listing.tariff.is_some(),
            seen: Some(listing.seen.to_string()),
        }
    }
}

impl SiteListed {
    /// A line of what the mesh knows.
    pub(super) fn announced(announcement: &Announcement, url: Option<String>) -> Self {
        Self {
            name: announcement.site.to_string(),
            url,
            title: announcement.title.clone(),
            description: announcement.description.clone(),
            keywords: announcement.keywords.clone(),
            audience: audience(announcement.audience),
            has_prices: announcement.tariff.is_some(),
            seen: Some(announcement.issued.to_string()),
        }
    }
}

/// As in `madang.toml`.
pub(super) fn audience(audience: Audience) -> String {
    match audience {
        Audience::Anyone => "anyone".into(),
        Audience::Subscribers => "subscribers".into(),
        Audience::Members(group) => format!("group:{group}"),
    }
}

/// As people say it.
pub(super) fn source(source: &Source) -> String {
    match source {
        Source::Folder(path) => path.display().to_string(),
        Source::Port(port) => format!("port {port}"),
        Source::Url(url) => url.to_string(),
        Source::Unix(path) => format!("unix:{}", path.display()),
    }
}

/// A rule as in `madang.toml`, and the tax that comes on top of its prices.
pub(super) fn price(rule: &Rule, currency: Currency, tax: Tax) -> String {
    let prices = Prices::of(rule, currency);
    match tax.on_top().filter(|_| rule.has_price()) {
        Some(percent) => format!("{}={prices} + {percent} tax", rule.pattern),
        None => format!("{}={prices}", rule.pattern),
    }
}

/// The word and the reason.
pub(super) fn admission(admission: &Admission) -> (&'static str, Option<String>) {
    match admission {
        Admission::Trying => ("trying", None),
        Admission::Admitted => ("admitted", None),
        Admission::ByPassport => ("by-passport", None),
        Admission::Waiting => ("waiting", None),
        Admission::Refused(reject) => ("refused", Some(reject.to_string())),
    }
}
