//! `madang serve` and `madang unserve`

use std::path::{Path, PathBuf};

use super::{
    args::{Serve, Unserve},
    background,
    failure::Failure,
    out, up,
};
use crate::{
    app::check_site,
    config::{self, Config, RawSite, SiteConfig, parse_part},
    control::{Client, model},
    home::Home,
    standing::Keeper,
};

/// Adds a site. The running daemon serves it at once; without one, it is started.
pub(super) fn serve(home: &Home, args: Serve) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::failed)?;
    let site = raw(&args)?;
    let client = Client::new(home);
    if runtime.block_on(client.is_running())? {
        let status: model::SiteStatus = runtime.block_on(client.post("/v1/serve", &site))?;
        say(&status.name, status.url.as_deref());
        say_prices(&status.prices, &args);
        return Ok(());
    }
    let site = config::as_added(home, site)?;
    let checked = SiteConfig::check(&site, home.path())?;
    let keeper = Keeper::open(home).map_err(Failure::failed)?;
    let keeper = keeper.ok_or_else(|| {
        Failure::failed("this node has not joined a network yet; run `madang join URL`")
    })?;
    let name = check_site(home, &checked, &keeper.subscribe().borrow()).map_err(Failure::misuse)?;
    Config::load(home)?;
    let prices = site.prices.clone().unwrap_or_default();
    config::add_site(home, site)?;
    if args.bg {
        runtime.block_on(background::start(home))?;
        say(&name.to_string(), None);
        say_prices(&prices, &args);
        return Ok(());
    }
    say_prices(&prices, &args);
    drop(runtime);
    up::up(home, false)
}

fn say(name: &str, url: Option<&str>) {
    let at = url.map_or(String::new(), |url| format!(" at {url}"));
    out::line(format!("serving {name}{at}"));
}

/// What holds from now on, whoever said it.
fn say_prices(prices: &[String], args: &Serve) {
    let are_kept = args.prices.is_empty();
    match prices {
        [] => out::line("prices: none, all of it is free"),
        prices if are_kept => out::line(format!(
            "prices, as before (--free takes them away): {}",
            prices.join(", ")
        )),
        prices => out::line(format!("prices: {}", prices.join(", "))),
    }
}

/// Removes a site, from the running daemon or from its configuration.
pub(super) async fn unserve(home: &Home, args: Unserve) -> Result<(), Failure> {
    let name = args.name.as_deref().map(parse_part).transpose()?;
    let client = Client::new(home);
    if client.is_running().await? {
        let command = model::Unserve { name };
        let _: model::Unserve = client.post("/v1/unserve", &command).await?;
    } else if !config::remove_site(home, name.as_deref())? {
        let text = "no such site is served; see the sites in madang.toml";
        return Err(Failure::failed(text));
    }
    out::line("no longer served");
    Ok(())
}

fn raw(args: &Serve) -> Result<RawSite, Failure> {
    let some = |list: &Vec<String>| (!list.is_empty()).then(|| list.clone());
    let mut site = RawSite {
        name: args.name.clone(),
        title: args.title.clone(),
        description: args.description.clone(),
        keywords: some(&args.keywords),
        audience: args.audience.clone(),
        prices: some(&args.prices).or_else(|| args.free.then(Vec::new)),
        ..RawSite::default()
    };
    let what = args.what.as_str();
    if let Some(path) = what.strip_prefix("unix:") {
        if path.is_empty() {
            let text = "unix: is followed by the path of a socket, such as unix:/run/app.sock";
            return Err(Failure::misuse(text));
        }
        site.unix = Some(absolute(Path::new(path))?);
    } else if what.contains("://") {
        site.url = Some(what.to_owned());
    } else if what.bytes().all(|octet| octet.is_ascii_digit()) && !what.is_empty() {
        let port = what.parse().map_err(|_| {
            Failure::misuse(format!("{what} is not a port: 1 to 65535 is expected; for a folder of that name, write ./{what}"))
        })?;
        site.port = Some(port);
    } else {
        let path = absolute(Path::new(what))?;
        if !path.is_dir() {
            return Err(Failure::misuse(format!(
                "{what} is not a folder, a port, a URL or unix:PATH"
            )));
        }
        site.folder = Some(path);
    }
    Ok(site)
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path)
        .map_err(|error| Failure::misuse(format!("{}: {error}", path.display())))
}
