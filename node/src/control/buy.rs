//! Commands that fetch and pay.

use std::sync::Arc;

use axum::{
    Json,
    body::Body as Answer,
    extract::{Path, Query, State},
    response::Response,
};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use madang_protocol::{
    amount::{Amount, Currency},
    name::SiteName,
    record::network::Tax,
    reject::Reject,
};
use serde::Deserialize;

use super::{
    Problem, Shop,
    due::Due,
    model::{self, Agree, ConsentStatus},
    told::{LENGTH, TOLD, Told},
};
use crate::{
    app::Node,
    config::Money,
    fetch::{Agreement, ConsentError, FetchError, Paying, Quote, check_budget},
    web::Body,
};

/// Set on answers that come from the site, and on none of our own.
pub(crate) const ANSWERED_BY: &str = "madang-answered-by";
/// What a download says, and passes on.
const PASSED_ON: [&str; 4] = ["range", "if-range", "want-repr-digest", "accept-encoding"];
/// What belongs to the stream that the answer came over.
const HOP_BY_HOP: [header::HeaderName; 4] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::TE,
];

/// `?site=SITE&path=PATH&pay=AMOUNT`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    site: String,
    path: String,
    pay: Option<String>,
}

/// Fetches, and streams the answer on. With `pay`, its amount is agreed to where it is needed; without, what was agreed to before holds.
pub(super) async fn fetch(
    State(node): State<Arc<Node>>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let shop = shop(&node)?;
    let site = site_name(&wanted.site)?;
    let Some(most) = wanted.pay.as_deref() else {
        let request = request(&wanted.path, &headers)?;
        return paid(&node, &shop, site, request).await;
    };
    let budget = money(&node, &site, most)?;
    let free = shop.fetch(
        site.clone(),
        request(&wanted.path, &headers)?,
        Paying::FreeOnly,
    );
    let quote = match free.await {
        Ok(response) => return answer(&node, &shop, site, response),
        Err(
            FetchError::NotAgreed(quote)
            | FetchError::TariffChanged(quote)
            | FetchError::OverBudget(quote),
        ) => quote,
        Err(error) => return Err(error.into()),
    };
    enough(&quote, budget, false)?;
    shop.agree(agreement(&*shop, &quote, budget, false)).await?;
    let due = Due::to(&*shop, &site, quote.tariff.currency);
    let request = request(&wanted.path, &headers)?;
    let outcome = paid(&node, &shop, site, request).await;
    match due {
        Some(due) => due.beside(outcome),
        None => outcome,
    }
}

async fn paid(
    node: &Node,
    shop: &Arc<dyn Shop>,
    site: SiteName,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let fetched = shop.fetch(site.clone(), request, Paying::AsAgreed).await;
    let response = fetched.map_err(|error| {
        if let FetchError::DayUsedUp(quote) = &error {
            return over_day(&**shop, quote.tariff.currency, Some(&costs(quote)));
        }
        error.into()
    })?;
    answer(node, shop, site, response)
}

/// Looks at the prices of a path, and agrees to them.
pub(super) async fn agree(
    State(node): State<Arc<Node>>,
    Json(command): Json<Agree>,
) -> Result<Json<ConsentStatus>, Problem> {
    let shop = shop(&node)?;
    let site = site_name(&command.site)?;
    let budget = money(&node, &site, &command.max)?;
    let path = command.path.as_deref().unwrap_or("/");
    let looked = shop.fetch(
        site.clone(),
        request(path, &HeaderMap::new())?,
        Paying::FreeOnly,
    );
    let quote = match looked.await {
        Err(
            FetchError::NotAgreed(quote)
            | FetchError::TariffChanged(quote)
            | FetchError::OverBudget(quote),
        ) => quote,
        Ok(response) if response.status() == StatusCode::NOT_FOUND => {
            let title = format!(
                "{site} has nothing at {path}; name a page of it with a price, as in {site}/PATH"
            );
            return Err(Problem::new(StatusCode::NOT_FOUND, "not-found", title));
        }
        Ok(_) => {
            let title = format!(
                "{site}{path} is free; name a page of it with a price, as in {site}/PATH: the agreement is then for the whole site"
            );
            return Err(Problem::new(StatusCode::CONFLICT, "free", title));
        }
        Err(error) => return Err(error.into()),
    };
    let rule = quote.tariff.rules.get(quote.rule);
    if command.pass && rule.is_some_and(|rule| rule.pass.is_none()) {
        let title = format!(
            "no pass is sold for {site}{path} (its price: {}); agree without --pass",
            costs(&quote)
        );
        return Err(Problem::new(StatusCode::CONFLICT, "no-pass", title));
    }
    enough(&quote, budget, command.pass)?;
    shop.agree(agreement(&*shop, &quote, budget, command.pass))
        .await?;
    let mine = shop
        .standing()
        .into_iter()
        .find(|one| one.agreement.site == site);
    mine.map(|one| Json(consent(&node, &one))).ok_or_else(|| {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "not-stored",
            "the agreement was not kept",
        )
    })
}

/// What was agreed to.
pub(super) async fn consents(
    State(node): State<Arc<Node>>,
) -> Result<Json<Vec<ConsentStatus>>, Problem> {
    let standing = shop(&node)?.standing();
    Ok(Json(
        standing.iter().map(|one| consent(&node, one)).collect(),
    ))
}

/// Takes an agreement back.
pub(super) async fn withdraw(
    State(node): State<Arc<Node>>,
    Path(site): Path<String>,
) -> Result<StatusCode, Problem> {
    let (shop, site) = (shop(&node)?, site_name(&site)?);
    if shop.standing().iter().all(|one| one.agreement.site != site) {
        let title = format!("you have not agreed to pay {site}; `madang consent list` shows whom");
        return Err(Problem::new(StatusCode::NOT_FOUND, "not-agreed", title));
    }
    shop.withdraw(site).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn shop(node: &Node) -> Result<Arc<dyn Shop>, Problem> {
    node.shop.get().cloned().ok_or_else(|| {
        let title = "this node does not buy";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-a-buyer", title)
    })
}

fn site_name(text: &str) -> Result<SiteName, Problem> {
    let wrong = |error| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "name-wrong",
            format!("{text:?}: {error}"),
        )
    };
    text.parse().map_err(wrong)
}

/// What `site` may be paid, in the network's currency.
fn money(node: &Node, site: &SiteName, text: &str) -> Result<Amount, Problem> {
    let wrong = |reason: String| Problem::new(StatusCode::BAD_REQUEST, "amount-wrong", reason);
    let money: Money = text
        .parse()
        .map_err(|error: crate::config::UnitError| wrong(error.to_string()))?;
    let currency = node.standing.borrow().descriptor.currency;
    if money.currency != currency {
        return Err(wrong(format!(
            "{money} is not in this network's currency, {currency}"
        )));
    }
    check_budget(site, money.amount)?;
    Ok(money.amount)
}

/// Whether `budget` is as much as the path costs at least.
fn enough(quote: &Quote, budget: Amount, by_pass: bool) -> Result<(), Problem> {
    let least = quote.least(by_pass);
    if budget >= least {
        return Ok(());
    }
    let title = format!(
        "{budget} {currency} is less than {}{} costs ({}); agree to {least} {currency} at least{}",
        quote.site,
        quote.path,
        costs(quote),
        included(quote.tax),
        currency = quote.tariff.currency,
    );
    Err(Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "amount-wrong",
        title,
    ))
}

/// What today's budget says, of something at this price or of what has begun.
fn over_day(shop: &dyn Shop, currency: Currency, price: Option<&str>) -> Problem {
    let today = shop.today();
    let budget = format!(
        "your budget of {} {currency} for today, over all sites",
        today.budget
    );
    let happened = match price {
        Some(price) => format!(
            "this costs more ({price}) than what is left of {budget}: {} {currency}",
            today.left()
        ),
        None => format!("{budget}, is used up"),
    };
    let title = format!(
        "{happened}; it begins anew at midnight UTC, and per_day under [budget] in madang.toml raises it"
    );
    Problem::new(StatusCode::PAYMENT_REQUIRED, "day-budget-exceeded", title)
}

/// A pass is bought when that is asked for, or when nothing else opens the path.
fn agreement(shop: &dyn Shop, quote: &Quote, budget: Amount, buy_pass: bool) -> Agreement {
    let rule = quote.tariff.rules.get(quote.rule);
    let is_pass = rule.is_some_and(|rule| rule.is_pass_only() || buy_pass && rule.pass.is_some());
    Agreement::to(quote, budget, is_pass, &shop.standing())
}

fn request(path: &str, headers: &HeaderMap) -> Result<Request<Body>, Problem> {
    let mut builder = Request::builder().method(Method::GET).uri(path);
    for name in PASSED_ON {
        if let Some(value) = headers.get(name) {
            builder = builder.header(name, value);
        }
    }
    let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
    builder.body(body).map_err(|error| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "path-wrong",
            format!("{path:?}: {error}"),
        )
    })
}

fn answer(
    node: &Node,
    shop: &Arc<dyn Shop>,
    site: SiteName,
    response: http::Response<Body>,
) -> Result<Response, Problem> {
    let (mut parts, body) = response.into_parts();
    if let Some(length) = parts.headers.remove(header::CONTENT_LENGTH) {
        parts.headers.insert(LENGTH, length);
    }
    let trailer = HeaderValue::from_static(TOLD);
    parts.headers.insert(header::TRAILER, trailer);
    for name in HOP_BY_HOP {
        parts.headers.remove(name);
    }
    parts
        .headers
        .insert(ANSWERED_BY, HeaderValue::from_static("site"));
    let descriptor = &node.standing.borrow().descriptor;
    let (currency, tax) = (descriptor.currency, descriptor.tax);
    let shop = Arc::clone(shop);
    let words = move |reject| ended(&*shop, &site, (currency, tax), reject);
    Ok(Response::from_parts(
        parts,
        Answer::new(Told::new(body, words)),
    ))
}

/// Why this node ended an answer of `site` early.
fn ended(
    shop: &dyn Shop,
    site: &SiteName,
    (currency, tax): (Currency, Tax),
    reject: Reject,
) -> Problem {
    let standing = shop.standing();
    let mine = standing.iter().find(|one| one.agreement.site == *site);
    match (reject, mine) {
        (Reject::BUDGET_EXCEEDED, Some(mine)) if shop.today().left() < mine.left() => {
            over_day(shop, currency, None)
        }
        (Reject::BUDGET_EXCEEDED, Some(mine)) => Problem::new(
            StatusCode::PAYMENT_REQUIRED,
            reject.slug(),
            // What was spent is known a second later, when the last receipt is signed.
            format!(
                "the budget of {} {currency}{} for {site} is used up; the same command with --pay AMOUNT goes on",
                mine.agreement.budget,
                included(tax)
            ),
        ),
        (Reject::ANCHOR_UNREACHABLE, _) => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            reject.slug(),
            "the anchor cannot be reached, and this needs new credit to go on; the same command goes on when it is back",
        ),
        (Reject::CREDIT_INSUFFICIENT, _) => Problem::new(
            StatusCode::PAYMENT_REQUIRED,
            reject.slug(),
            "the wallet holds nothing more for this; `madang wallet` shows it, your provider tops it up, and the same command goes on",
        ),
        _ => reject.into(),
    }
}

fn consent(node: &Node, standing: &crate::fetch::Standing) -> ConsentStatus {
    let descriptor = node.standing.borrow().descriptor.clone();
    let agreement = &standing.agreement;
    ConsentStatus {
        site: agreement.site.to_string(),
        tariff: agreement.tariff.to_string(),
        currency: descriptor.currency.to_string(),
        tax_on_top: descriptor.tax.on_top().map(|tax| tax.to_string()),
        budget: agreement.budget.to_string(),
        spent: standing.spent.to_string(),
        due: standing.due.to_string(),
        buys_pass: !agreement.passes.is_empty(),
        since: standing.since.to_string(),
    }
}

/// What a path costs, in words.
fn costs(quote: &Quote) -> String {
    let rule = quote.tariff.rules.get(quote.rule);
    rule.map_or("something".to_owned(), |rule| {
        model::price(rule, quote.tariff.currency, quote.tax)
    })
}

/// What a budget is, where prices do not contain the tax.
fn included(tax: Tax) -> &'static str {
    tax.on_top().map_or("", |_| ", tax included")
}

impl From<FetchError> for Problem {
    fn from(error: FetchError) -> Self {
        let new = |status, slug, title: String| Self::new(status, slug, title);
        match error {
            FetchError::UnknownSite => new(
                StatusCode::NOT_FOUND,
                "site-unknown",
                "nobody announces a site of this name; `madang list` shows who is online".into(),
            ),
            FetchError::Offline { last_seen } => {
                let seen = last_seen.map_or(String::new(), |time| format!(", last seen {time}"));
                new(
                    StatusCode::BAD_GATEWAY,
                    "owner-offline",
                    format!("the site's owner is offline{seen}; try again later"),
                )
            }
            FetchError::NotAgreed(quote) => new(
                StatusCode::PAYMENT_REQUIRED,
                "consent-needed",
                format!(
                    "this has a price ({}); agree with --pay AMOUNT{}",
                    costs(&quote),
                    included(quote.tax)
                ),
            ),
            FetchError::OverBudget(quote) => new(
                StatusCode::PAYMENT_REQUIRED,
                "budget-exceeded",
                format!(
                    "this costs more ({}) than what is left of your budget for {}; agree to more with --pay AMOUNT{}",
                    costs(&quote),
                    quote.site,
                    included(quote.tax)
                ),
            ),
            FetchError::DayUsedUp(quote) => new(
                StatusCode::PAYMENT_REQUIRED,
                "day-budget-exceeded",
                format!(
                    "this costs more ({}) than what is left of your budget for today, over all sites; it begins anew at midnight UTC, and per_day under [budget] in madang.toml raises it",
                    costs(&quote)
                ),
            ),
            FetchError::NoCredit(quote) => new(
                StatusCode::PAYMENT_REQUIRED,
                "credit-insufficient",
                format!(
                    "the wallet does not hold enough for this ({}); `madang wallet` shows it, your provider tops it up",
                    costs(&quote)
                ),
            ),
            FetchError::TariffChanged(quote) => new(
                StatusCode::PAYMENT_REQUIRED,
                "tariff-changed",
                format!(
                    "the prices have changed since you agreed (now {}); agree again with --pay AMOUNT{}",
                    costs(&quote),
                    included(quote.tax)
                ),
            ),
            FetchError::AnchorAway => new(
                StatusCode::SERVICE_UNAVAILABLE,
                "anchor-unreachable",
                "the anchor cannot be reached, and new credit is needed; try again later".into(),
            ),
            FetchError::DiskFull => new(
                StatusCode::SERVICE_UNAVAILABLE,
                Reject::STORE_FULL.slug(),
                "this computer's disk is full: what is paid could not be kept, so nothing new is bought; free some space, then try again".into(),
            ),
            FetchError::NotAllowed(reject) => Self {
                status: StatusCode::FORBIDDEN.as_u16(),
                ..reject.into()
            },
            FetchError::Refused(reject) => reject.into(),
            FetchError::PeerFault(reject) => Self {
                status: StatusCode::BAD_GATEWAY.as_u16(),
                ..reject.into()
            },
            FetchError::Stalled => new(
                StatusCode::GATEWAY_TIMEOUT,
                "stalled",
                "the site's server stopped answering; try again".into(),
            ),
            FetchError::Closed => new(
                StatusCode::SERVICE_UNAVAILABLE,
                "closed",
                "this node is shutting down".into(),
            ),
        }
    }
}

impl From<ConsentError> for Problem {
    fn from(error: ConsentError) -> Self {
        match error {
            ConsentError::Refused(reject) => reject.into(),
            ConsentError::BudgetTooLarge | ConsentError::BudgetZero(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "amount-wrong", error)
            }
            ConsentError::NotStored => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "not-stored", error)
            }
        }
    }
}
