//! What passes between browser and site. Both directions are rebuilt, never copied: hop-by-hop headers end here, headers that speak of identity or
//! payment are the node's own to set, and this proxy's cookies are invisible to sites.

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri, header, uri::PathAndQuery};
use madang_protocol::name::SiteName;

use crate::{fetch::Priced, host};

/// Set on the way back from the consent page; stands in for fetch metadata where browsers do not send it.
pub(super) const COOKIE_AGREED: &str = "madang-agreed";
/// Cookies whose names begin like this are the proxy's own.
const COOKIE_PREFIX: &str = "madang-";

/// Never forwarded in either direction (RFC 9110, 7.6.1), beside those that `Connection` names.
const HOP_BY_HOP: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// What a browser could set to be taken for someone else.
const IDENTITY: &[&str] = &[
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "authorization-info",
];
/// Of the node's own headers.
const OWN_PREFIX: &str = "madang-";

/// Why a request is not passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unfit {
    /// Its body has two ends: whoever stands in front may have read the other (RFC 9112, 6.3).
    TwoEnds,
    /// The site's name cannot stand in a header.
    Host,
}

/// The request as the site gets it.
///
/// # Errors
/// [`Unfit`]
pub(super) fn request<B>(request: Request<B>, site: &SiteName) -> Result<Request<B>, Unfit> {
    let (parts, body) = request.into_parts();
    let framings = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING];
    if framings.iter().all(|name| parts.headers.contains_key(name)) {
        return Err(Unfit::TwoEnds);
    }
    let upgrade = upgrade(&parts.headers);
    let mut headers = passed(&parts.headers);
    headers.insert(
        header::HOST,
        host::asked(&parts.headers, site).ok_or(Unfit::Host)?,
    );
    hide_cookies(&mut headers);
    if let Some(protocol) = upgrade {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, protocol);
    }
    let mut rebuilt = Request::new(body);
    *rebuilt.method_mut() = parts.method;
    *rebuilt.uri_mut() = origin_form(&parts.uri);
    *rebuilt.headers_mut() = headers;
    *rebuilt.extensions_mut() = parts.extensions;
    Ok(rebuilt)
}

/// The answer as the browser gets it.
pub(super) fn response<B>(response: Response<B>) -> Response<B> {
    let (parts, body) = response.into_parts();
    let upgrade = upgrade(&parts.headers);
    let mut headers = passed(&parts.headers);
    drop_own_cookies(&mut headers);
    if let Some(protocol) = upgrade {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, protocol);
    }
    if parts.extensions.get::<Priced>().is_some() {
        forbid_frames(&mut headers);
    }
    let mut rebuilt = Response::new(body);
    *rebuilt.status_mut() = parts.status;
    *rebuilt.headers_mut() = headers;
    *rebuilt.extensions_mut() = parts.extensions;
    rebuilt
}

/// Inside another site's frame a page's own requests look like the visitor's: a site with prices is framed by itself alone.
fn forbid_frames(headers: &mut HeaderMap) {
    // Beside a policy of the site's own: of several, each holds (CSP Level 3, section 8.1).
    let policy = HeaderValue::from_static("frame-ancestors 'self'");
    headers.append(header::CONTENT_SECURITY_POLICY, policy);
    let old = HeaderValue::from_static("SAMEORIGIN");
    headers.insert(header::X_FRAME_OPTIONS, old);
}

/// The value of the cookie `name`, when exactly one of that name was sent.
pub(super) fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut found = cookies(headers)
        .filter(|(own, _)| *own == name)
        .map(|(_, value)| value.to_owned());
    let first = found.next();
    if found.next().is_some() { None } else { first }
}

/// The one protocol that the headers ask to change to.
fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let asks = connection_names(headers).any(|name| name == "upgrade");
    if asks {
        headers.get(header::UPGRADE).cloned()
    } else {
        None
    }
}

fn connection_names(headers: &HeaderMap) -> impl Iterator<Item = String> {
    let values = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
}

fn passed(headers: &HeaderMap) -> HeaderMap {
    let named: Vec<String> = connection_names(headers).collect();
    let passes = |name: &HeaderName| {
        let name = name.as_str();
        let own = name.starts_with(OWN_PREFIX);
        !own && !HOP_BY_HOP.contains(&name)
            && !IDENTITY.contains(&name)
            && !named.iter().any(|other| other == name)
    };
    let mut passed = HeaderMap::with_capacity(headers.len());
    let those = headers.iter().filter(|(name, _)| passes(name));
    passed.extend(those.map(|(name, value)| (name.clone(), value.clone())));
    passed
}

fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let lines = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok());
    lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
}

fn hide_cookies(headers: &mut HeaderMap) {
    let is_own =
        |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).contains(COOKIE_PREFIX);
    if !headers.get_all(header::COOKIE).iter().any(is_own) {
        return;
    }
    let kept: Vec<String> = cookies(headers)
        .filter(|(name, _)| !name.starts_with(COOKIE_PREFIX))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    headers.remove(header::COOKIE);
    if let Ok(line) = HeaderValue::from_str(&kept.join("; "))
        && !kept.is_empty()
    {
        headers.insert(header::COOKIE, line);
    }
}

fn drop_own_cookies(headers: &mut HeaderMap) {
    let is_own = |value: &HeaderValue| {
        value
            .as_bytes()
            .trim_ascii_start()
            .to_ascii_lowercase()
            .starts_with(COOKIE_PREFIX.as_bytes())
    };
    if !headers.get_all(header::SET_COOKIE).iter().any(is_own) {
        return;
    }
    let kept: Vec<HeaderValue> = headers
        .get_all(header::SET_COOKIE)
        .iter()
        .filter(|value| !is_own(value))
        .cloned()
        .collect();
    headers.remove(header::SET_COOKIE);
    for value in kept {
        headers.append(header::SET_COOKIE, value);
    }
}

fn origin_form(uri: &Uri) -> Uri {
    uri.path_and_query()
        .cloned()
        .map_or_else(Uri::default, |target: PathAndQuery| Uri::from(target))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

    use super::*;

    fn site() -> SiteName {
        "blog--alice".parse().unwrap()
    }

    #[test]
    fn identity_and_hops_end_at_the_proxy() {
        let sent = Request::builder()
            .uri("http://blog--alice.madang/a?b=c")
            .header("host", "blog--alice.madang")
            .header("connection", "close, X-Secret")
            .header("x-secret", "1")
            .header("transfer-encoding", "chunked")
            .header("madang-session", "7")
            .header("madang-account", "bob")
            .header("x-forwarded-for", "1.2.3.4")
            .header("accept", "text/html")
            .header("cookie", "a=b; madang-agreed=x; c=d")
            .body(())
            .unwrap();
        let rebuilt = request(sent, &site()).unwrap();
        assert_eq!(rebuilt.uri(), "/a?b=c");
        let mut names: Vec<_> = rebuilt.headers().keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "cookie", "host"]);
        assert_eq!(rebuilt.headers()["host"], "blog--alice.madang");
        assert_eq!(rebuilt.headers()["cookie"], "a=b; c=d");
    }

    #[test]
    fn a_host_passes_as_the_browser_said_it_and_no_other() {
        for (said, passed) in [
            ("blog--alice.localhost:8420", "blog--alice.localhost:8420"),
            ("alice.localhost:8420", "blog--alice"),
            ("localhost", "blog--alice"),
        ] {
            let sent = Request::builder().header("host", said).body(()).unwrap();
            assert_eq!(request(sent, &site()).unwrap().headers()["host"], passed);
        }
    }

    #[test]
    fn a_body_with_two_ends_is_refused() {
        let sent = Request::builder()
            .header("content-length", "5")
            .header("transfer-encoding", "chunked")
            .body(())
            .unwrap();
        assert_eq!(request(sent, &site()).err(), Some(Unfit::TwoEnds));
    }

    #[test]
    fn an_upgrade_passes_and_nothing_rides_with_it() {
        let sent = Request::builder()
            .header("connection", "Upgrade, X-A")
            .header("upgrade", "websocket")
            .header("x-a", "1")
            .body(())
            .unwrap();
        let rebuilt = request(sent, &site()).unwrap();
        assert_eq!(
            (
                &rebuilt.headers()["connection"],
                &rebuilt.headers()["upgrade"]
            ),
            (
                &HeaderValue::from_static("upgrade"),
                &HeaderValue::from_static("websocket")
            )
        );
        assert!(!rebuilt.headers().contains_key("x-a"));
    }

    #[test]
    fn a_site_with_prices_is_framed_by_itself_alone_whatever_it_says() {
        let policies = |priced: bool| {
            let answered = Response::builder()
                .header("content-security-policy", "frame-ancestors *")
                .header("x-frame-options", "ALLOWALL");
            let mut answered = answered.body(()).unwrap();
            if priced {
                answered.extensions_mut().insert(Priced);
            }
            let headers = response(answered).headers().clone();
            let policies = headers.get_all("content-security-policy").iter();
            let policies: Vec<_> = policies
                .map(|one| one.to_str().unwrap().to_owned())
                .collect();
            (
                policies,
                headers["x-frame-options"].to_str().unwrap().to_owned(),
            )
        };
        let all = "frame-ancestors *".to_owned();
        let own = "frame-ancestors 'self'".to_owned();
        assert_eq!(
            policies(true),
            (vec![all.clone(), own], "SAMEORIGIN".to_owned())
        );
        assert_eq!(policies(false), (vec![all], "ALLOWALL".to_owned()));
    }

    #[test]
    fn a_site_cannot_set_the_proxys_cookies() {
        let answered = Response::builder()
            .header("set-cookie", "Madang-Agreed=stolen")
            .header("set-cookie", "own=1")
            .body(())
            .unwrap();
        let cookies: Vec<_> = response(answered)
            .headers()
            .get_all("set-cookie")
            .iter()
            .cloned()
            .collect();
        assert_eq!(cookies, ["own=1"]);
    }

    #[test]
    fn a_doubled_cookie_counts_as_none() {
        let request = Request::builder()
            .header("cookie", "madang-agreed=a; madang-agreed=b")
            .body(())
            .unwrap();
        assert_eq!(cookie(request.headers(), COOKIE_AGREED), None);
    }
}
