//! Which site a `Host` names: by its label alone, as nodes say it to each other, or as a browser reached it, at `*.localhost` or `*.madang`.

use http::{HeaderMap, HeaderValue, header};
use madang_protocol::name::SiteName;

/// The `Host` that `site` is asked for by: the one in `headers`, where it names the site, so that whatever is behind it learns what the browser
/// shows; else the site's label. `None` for no name that is known.
pub(crate) fn asked(headers: &HeaderMap, site: &SiteName) -> Option<HeaderValue> {
    let said = headers.get(header::HOST);
    let names_site =
        |host: &&HeaderValue| host.to_str().ok().and_then(site_of).as_ref() == Some(site);
    match said.filter(names_site) {
        Some(host) => Some(host.clone()),
        None => HeaderValue::from_str(&site.to_label()).ok(),
    }
}

/// The site that `host` names, with or without a port; `None` where it is no site's.
pub(crate) fn site_of(host: &str) -> Option<SiteName> {
    let host = match host.rsplit_once(':') {
        None => host,
        Some((host, port)) if port.parse::<u16>().is_ok() => host,
        Some(_) => return None,
    };
    let label = host
        .strip_suffix(".madang")
        .or(host.strip_suffix(".localhost"))
        .unwrap_or(host);
    // A dot of another script's becomes one in the canonical form.
    label.parse().ok().filter(|_| !label.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_named_by_its_label_or_as_a_browser_reaches_it() {
        for host in [
            "blog--alice",
            "blog--alice:80",
            "blog--alice.localhost:8420",
            "blog--alice.madang",
        ] {
            assert_eq!(
                site_of(host).map(|site| site.to_string()).as_deref(),
                Some("blog--alice"),
                "{host}"
            );
        }
        for host in [
            "",
            "127.0.0.1:80",
            "[::1]:80",
            "alice.example",
            "a.alice.madang",
            "alice:",
            "alice:80x",
            "alice:99999",
        ] {
            assert_eq!(site_of(host), None, "{host}");
        }
    }
}
