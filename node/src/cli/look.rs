//! Commands that ask the running daemon and show its answer.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use madang_protocol::name::SiteName;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    args::{Bill, Open},
    budget::budget,
    failure::Failure,
    out,
    target::Target,
};
use crate::{
    config::Config,
    control::{
        CallError, Client,
        model::{Agree, BillView, ConsentStatus, Sites, Status, WalletView},
    },
    home::Home,
};

/// A daemon that says goodbye to everyone takes a few seconds.
const DOWN_WITHIN: Duration = Duration::from_secs(15);
/// How often it is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Stops the daemon, and comes back when it is gone.
pub(super) async fn down(home: &Home) -> Result<(), Failure> {
    let client = Client::new(home);
    client.tell("/v1/shutdown").await?;
    let gone = async {
        while home.lock().is_err() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    if tokio::time::timeout(DOWN_WITHIN, gone).await.is_err() {
        return Err(Failure::failed("madang was told to stop and still runs"));
    }
    out::line("madang has stopped");
    Ok(())
}

/// Prints the address of a site, and opens it where there is a desktop.
pub(super) async fn open(home: &Home, args: Open) -> Result<(), Failure> {
    let target = Target::parse(&args.site)?;
    let client = Client::new(home);
    let is_running = client.is_running().await?;
    let proxy = if is_running {
        let status: Status = client.get("/v1/status").await?;
        status.proxy.and_then(|proxy| proxy.parse().ok())
    } else {
        Config::load(home)?.proxy.map(|proxy| proxy.listen)
    };
    let proxy: std::net::SocketAddr = proxy.ok_or_else(|| {
        Failure::failed("this node has no local proxy; set proxy.enabled in madang.toml")
    })?;
    let url = format!(
        "http://{}.localhost:{}{}",
        target.site.to_label(),
        proxy.port(),
        target.path
    );
    out::line(&url);
    if !is_running {
        out::note(CallError::NotRunning.to_string());
        return Ok(());
    }
    let has_desktop = ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some());
    if has_desktop && !args.print {
        let opener = Command::new("xdg-open")
            .arg(&url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !opener.is_ok_and(|status| status.success()) {
            out::note("open this address in a browser");
        }
    }
    Ok(())
}

/// The personal web servers that are online.
pub(super) async fn list(home: &Home, json: bool) -> Result<(), Failure> {
    let sites: Sites = Client::new(home).get("/v1/sites").await?;
    if json {
        return out::json(&sites);
    }
    if sites.source == "mesh" {
        out::note("the anchor is away; this is what the mesh knows");
    }
    if sites.sites.is_empty() {
        out::note("nobody is online");
    }
    let row = |site: &crate::control::model::SiteListed| {
        let price = if site.has_prices {
            "has prices"
        } else {
            "free"
        };
        vec![
            site.name.clone(),
            price.to_owned(),
            site.audience.clone(),
            site.title.clone(),
        ]
    };
    out::table(&sites.sites.iter().map(row).collect::<Vec<_>>());
    Ok(())
}

/// The wallet.
pub(super) async fn wallet(home: &Home, json: bool) -> Result<(), Failure> {
    let wallet: WalletView = Client::new(home).get("/v1/wallet").await?;
    if json {
        return out::json(&wallet);
    }
    let row =
        |name: &str, amount: &str| vec![name.to_owned(), format!("{amount} {}", wallet.currency)];
    out::table(&[
        vec!["account".into(), wallet.handle.clone()],
        row("in the wallet", &wallet.posted),
        row("owed", &wallet.owed),
        row("held for open grants", &wallet.held),
        row("credit limit", &wallet.credit_limit),
        row("can be spent now", &wallet.available),
        row("earned, not paid out", &wallet.earned),
    ]);
    note_today(&Client::new(home)).await;
    if let Some(tax) = &wallet.tax_on_top {
        out::note(format!(
            "prices are without the tax of {tax} that comes on top of them; what is held and what can be spent are with it"
        ));
    }
    Ok(())
}

/// What was bought and sold.
pub(super) async fn bill(home: &Home, args: Bill) -> Result<(), Failure> {
    let mut path = format!("/v1/bill?limit={}", args.limit);
    if let Some(before) = args.before {
        path.push_str(&format!("&before={before}"));
    }
    let client = Client::new(home);
    let bill: BillView = client.get(&path).await?;
    if args.json {
        return out::json(&bill);
    }
    let mut rows = vec![
        [
            "time",
            "side",
            "site",
            "with",
            "what",
            "amount",
            "paid",
            "earned",
            "commission",
            "tax",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    rows.extend(bill.lines.into_iter().map(|line| {
        vec![
            line.time,
            line.side,
            line.site,
            line.partner,
            if line.refunded == "0" {
                line.used
            } else {
                format!("{}; {} given back", line.used, line.refunded)
            },
            line.amount,
            line.debit,
            line.earned,
            line.commission,
            line.tax,
        ]
    }));
    out::table(&rows);
    if let Some(before) = bill.more_before {
        out::note(format!("there is more: madang bill --before {before}"));
    }
    if args.before.is_none() {
        let wallet: WalletView = client.get("/v1/wallet").await?;
        if wallet.held != "0" {
            out::note(format!(
                "{} {} are held for what is not settled yet; sellers hand in their receipts about every half minute",
                wallet.held, wallet.currency
            ));
        }
    }
    Ok(())
}

/// What was agreed to.
pub(super) async fn consents(home: &Home, json: bool) -> Result<(), Failure> {
    let consents: Vec<ConsentStatus> = Client::new(home).get("/v1/consents").await?;
    if json {
        return out::json(&consents);
    }
    if consents.is_empty() {
        out::note("you have agreed to pay nobody");
    }
    let row = |one: &ConsentStatus| {
        let due = match one.due.as_str() {
            "0" => String::new(),
            due => format!(" (and {due} for what is not signed for yet)"),
        };
        let spent = format!(
            "{} of {} {}{}{due}",
            one.spent,
            one.budget,
            one.currency,
            included(one)
        );
        vec![one.site.clone(), spent, format!("since {}", one.since)]
    };
    out::table(&consents.iter().map(row).collect::<Vec<_>>());
    note_today(&Client::new(home)).await;
    if !consents.is_empty() {
        out::note("each new agreement counts from zero; `madang bill` shows all that was paid");
    }
    Ok(())
}

/// Agrees to pay a site.
pub(super) async fn agree(
    home: &Home,
    site: &str,
    max: &str,
    pass: Option<String>,
) -> Result<(), Failure> {
    let mut target = Target::parse(site)?;
    let buys_pass = pass.is_some();
    if let Some(path) = pass {
        target = target.at(&path)?;
    }
    budget("--max", max, &target.site)?;
    let command = Agree {
        site: target.site.to_string(),
        max: max.to_owned(),
        path: Some(target.path.clone()),
        pass: buys_pass,
    };
    let agreed: ConsentStatus = Client::new(home).post("/v1/consents", &command).await?;
    let pass = if buys_pass {
        format!(", with the pass for {}", target.path)
    } else {
        String::new()
    };
    out::line(format!(
        "agreed to pay {} up to {} {}{}{pass}",
        agreed.site,
        agreed.budget,
        agreed.currency,
        included(&agreed)
    ));
    if agreed.due != "0" {
        out::note(format!(
            "{} {} of it are for what was received before and is not signed for yet",
            agreed.due, agreed.currency
        ));
    }
    Ok(())
}

/// Says what today has cost; a daemon that does not say so is none that buys.
async fn note_today(client: &Client) {
    let Ok(status) = client.get::<Status>("/v1/status").await else {
        return;
    };
    if let Some(today) = status.today {
        out::note(format!(
            "today {} of {} {} are spent, over all sites; per_day under [budget] in madang.toml sets it",
            today.spent, today.budget, status.currency
        ));
    }
}

/// What the amounts are, where prices do not contain the tax.
fn included(consent: &ConsentStatus) -> &'static str {
    match consent.tax_on_top {
        Some(_) => ", tax included",
        None => "",
    }
}

/// Takes an agreement back.
pub(super) async fn withdraw(home: &Home, site: &str) -> Result<(), Failure> {
    let site: SiteName = site
        .parse()
        .map_err(|error| Failure::misuse(format!("{site:?} is not a site: {error}")))?;
    let encoded = utf8_percent_encode(&site.to_string(), NON_ALPHANUMERIC).to_string();
    Client::new(home)
        .delete(&format!("/v1/consents/{encoded}"))
        .await?;
    out::line(format!("{site} is not paid any more"));
    Ok(())
}

/// What the daemon does.
pub(super) async fn status(home: &Home, json: bool) -> Result<(), Failure> {
    let status: Status = Client::new(home).get("/v1/status").await?;
    if json {
        return out::json(&status);
    }
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let unknown = || "never".to_owned();
    let refusal = status
        .refusal
        .map_or(String::new(), |why| format!(": {why}"));
    let today = status.today.map(|today| {
        format!(
            "{} of {} {} spent, over all sites",
            today.spent, today.budget, status.currency
        )
    });
    out::table(&[
        row("today", today.unwrap_or_else(|| "nothing is bought".into())),
        row(
            "account",
            format!(
                "{} in {} ({})",
                status.handle, status.network, status.currency
            ),
        ),
        row(
            "anchor",
            format!("{} {}{refusal}", status.anchor, status.admission),
        ),
        row(
            "admitted last",
            status.anchor_reached.unwrap_or_else(unknown),
        ),
        row(
            "passport until",
            status
                .passport_expires
                .unwrap_or_else(|| "none in hand".into()),
        ),
        row("peer", status.peer),
        row("peers connected", status.peers.to_string()),
        row("listening on", status.listen.join(" ")),
        row("local proxy", status.proxy.unwrap_or_else(|| "off".into())),
        row("up for", format!("{} s", status.uptime_s)),
    ]);
    for site in &status.sites {
        let state = if site.is_up {
            "up"
        } else {
            "waiting for admission"
        };
        let url = site.url.as_deref().unwrap_or("");
        out::line(
            format!(
                "site {} ({}) {state} {url} {}",
                site.name,
                site.source,
                site.prices.join(", ")
            )
            .trim_end(),
        );
    }
    Ok(())
}
