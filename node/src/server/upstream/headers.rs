//! Rebuilds the heads of requests and answers, so that nothing reaches the other side that it was not meant to.
//!
//! Pure. Never copies blindly: framing, connection options and identity are removed, and ours are set.

use http::header::{
    ALT_SVC, CONNECTION, CONTENT_LENGTH, EXPECT, FORWARDED, HOST, LOCATION, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::Forwarded;
use super::problem::Problem;
use super::target::{Target, is_dots};

/// What concerns one connection only, beside what `Connection` names.
const HOP_BY_HOP: [HeaderName; 10] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];
/// Headers by which some applications would believe a visitor to be somebody.
const IDENTITY: [&str; 9] = [
    "forwarded",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "remote-user",
    "x-remote-user",
    "x-original-url",
    "x-rewrite-url",
];
const IDENTITY_PREFIXES: [&str; 4] = [
    "madang-",
    "x-forwarded-",
    "x-auth-request-",
    "x-authenticated-",
];
/// What is encoded in our own values: they are one token each.
const VALUE: &AsciiSet = &CONTROLS.add(b'%').add(b',').add(b' ').add(b'"').add(b';');

/// Builds the head that the application gets. With `upgrade`, it asks for a WebSocket.
pub(super) fn rebuild(
    parts: &Parts,
    target: &Target,
    forwarded: &Forwarded,
    upgrade: bool,
) -> Result<Request<()>, Problem> {
    if parts.method == Method::CONNECT || parts.method == Method::TRACE {
        return Err(Problem::Method);
    }
    if parts.headers.contains_key(TRANSFER_ENCODING) && parts.headers.contains_key(CONTENT_LENGTH) {
        return Err(Problem::Framing);
    }
    let mut headers = parts.headers.clone();
    strip_hop_by_hop(&mut headers);
    for name in [CONTENT_LENGTH, EXPECT, HOST, FORWARDED] {
        headers.remove(name);
    }
    strip(&mut headers, is_untrusted);
    let set = [
        ("x-forwarded-host", Some(forwarded.host.clone())),
        ("x-forwarded-proto", Some(forwarded.proto.clone())),
        // Present in any case: an application must not take a visitor for somebody at this machine.
        (
            "x-forwarded-for",
            Some(
                forwarded
                    .address
                    .map_or_else(|| "unknown".to_owned(), |address| address.to_string()),
            ),
        ),
        ("madang-account", forwarded.account.as_deref().map(encoded)),
        ("madang-handle", forwarded.handle.as_deref().map(encoded)),
        (
            "madang-groups",
            (!forwarded.groups.is_empty()).then(|| {
                forwarded
                    .groups
                    .iter()
                    .map(|group| encoded(group))
                    .collect::<Vec<_>>()
                    .join(", ")
            }),
        ),
    ];
    for (name, value) in set {
        if let Some(value) = value {
            headers.insert(
                HeaderName::from_static(name),
                HeaderValue::try_from(value).map_err(|_| Problem::Head)?,
            );
        }
    }
    headers.insert(
        HOST,
        HeaderValue::try_from(target.authority()).map_err(|_| Problem::Head)?,
    );
    if upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
    let mut request = Request::new(());
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = address(&parts.uri, target)?;
    *request.headers_mut() = headers;
    Ok(request)
}

/// Whether a request asks for a WebSocket. Other upgrades are not offered: `h2c` would leave our sight.
pub(super) fn wants_websocket(parts: &Parts) -> bool {
    parts.method == Method::GET
        && has_token(&parts.headers, &CONNECTION, "upgrade")
        && is_websocket(&parts.headers)
}

/// Whether `Upgrade` names WebSocket and nothing else.
pub(super) fn is_websocket(headers: &HeaderMap) -> bool {
    headers
        .get(UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Cleans the head of an answer. `bodiless`: its length describes a body that is not there (HEAD, 304).
pub(super) fn clean_answer(
    headers: &mut HeaderMap,
    target: &Target,
    length: Option<u64>,
    bodiless: bool,
) {
    strip_hop_by_hop(headers);
    headers.remove(ALT_SVC);
    strip(headers, |name| name.starts_with("madang-"));
    if !bodiless {
        headers.remove(CONTENT_LENGTH);
        if let Some(length) = length {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
    }
    if let Some(location) = headers
        .get(LOCATION)
        .and_then(|value| public_location(value.to_str().ok()?, target))
    {
        headers.insert(LOCATION, location);
    }
}

/// A redirect to the application's own address, as its visitors can follow it; nothing if it leads elsewhere.
fn public_location(location: &str, target: &Target) -> Option<HeaderValue> {
    let own = format!("http://{}", target.authority());
    let after = match location.strip_prefix(&own) {
        Some(after) if after.is_empty() || after.starts_with(['/', '?', '#']) => after,
        Some(_) => return None,
        None if location.starts_with('/') && !location.starts_with("//") => location,
        None => return None,
    };
    let inside = after
        .strip_prefix(target.base())
        .filter(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']))
        .unwrap_or(after);
    // Two slashes would name another host.
    HeaderValue::try_from(format!("/{}", inside.trim_start_matches(['/', '\\']))).ok()
}

/// The address at the application: only path and query of what was asked count.
fn address(uri: &Uri, target: &Target) -> Result<Uri, Problem> {
    let path = uri.path();
    if !target.base().is_empty() && path.split('/').any(is_dots_or_hides_them) {
        return Err(Problem::Path);
    }
    let path = if path.starts_with('/') { path } else { "/" };
    let query = uri
        .query()
        .map_or_else(String::new, |query| format!("?{query}"));
    format!(
        "http://{}{}{path}{query}",
        target.authority(),
        target.base()
    )
    .parse()
    .map_err(|_| Problem::Path)
}

/// Whether some application would read a segment as a way up from the base.
fn is_dots_or_hides_them(segment: &str) -> bool {
    let lower = segment
        .to_ascii_lowercase()
        .replace("%2f", "/")
        .replace("%5c", "/")
        .replace('\\', "/");
    lower.split('/').any(is_dots)
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

fn strip(headers: &mut HeaderMap, unwanted: impl Fn(&str) -> bool) {
    let names: Vec<HeaderName> = headers
        .keys()
        .filter(|name| unwanted(name.as_str()))
        .cloned()
        .collect();
    for name in names {
        headers.remove(name);
    }
}

/// What a visitor may not say. A name with `_` reaches many applications as the same variable as the one with `-`.
fn is_untrusted(name: &str) -> bool {
    name.contains('_')
        || IDENTITY.contains(&name)
        || IDENTITY_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|item| item.trim().eq_ignore_ascii_case(token))
}

/// A value of ours: visible ASCII, the rest percent-encoded.
fn encoded(text: &str) -> String {
    utf8_percent_encode(text, VALUE).to_string()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "the values are literals")]
mod tests {
    use super::*;

    fn forwarded() -> Forwarded {
        Forwarded {
            account: Some("a1".to_owned()),
            handle: Some("김, 철수".to_owned()),
            groups: vec!["g1".to_owned(), "g2".to_owned()],
            host: "blog--alice.localhost:8420".to_owned(),
            proto: "http".to_owned(),
            address: None,
        }
    }

    fn rebuilt(uri: &str, target: &str, headers: &[(&str, &str)]) -> Result<Request<()>, Problem> {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        rebuild(
            &request.body(()).unwrap().into_parts().0,
            &target.parse().unwrap(),
            &forwarded(),
            false,
        )
    }

    #[test]
    fn what_a_visitor_must_not_say_is_removed_and_ours_is_set() {
        let request = rebuilt(
            "/x?y=1",
            "3000",
            &[
                ("host", "evil"),
                ("connection", "keep-alive, X-Hop, cookie2"),
                ("x-hop", "1"),
                ("keep-alive", "5"),
                ("te", "trailers"),
                ("upgrade", "h2c"),
                ("http2-settings", "x"),
                ("expect", "100-continue"),
                ("proxy-authorization", "x"),
                ("madang-account", "root"),
                ("madang-session", "x"),
                ("Madang_Account", "root"),
                ("x_forwarded_for", "127.0.0.1"),
                ("x-forwarded-for", "127.0.0.1"),
                ("x-forwarded-user", "root"),
                ("x-real-ip", "127.0.0.1"),
                ("forwarded", "for=127.0.0.1"),
                ("remote-user", "root"),
                ("accept", "text/html"),
                ("cookie", "a=b"),
            ],
        )
        .unwrap();
        assert_eq!(request.uri(), "http://localhost:3000/x?y=1");
        let mut found: Vec<_> = request
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        found.sort_unstable();
        let expected = [
            ("accept", "text/html"),
            ("cookie", "a=b"),
            ("host", "localhost:3000"),
            ("madang-account", "a1"),
            ("madang-groups", "g1, g2"),
            ("madang-handle", "%EA%B9%80%2C%20%EC%B2%A0%EC%88%98"),
            ("x-forwarded-for", "unknown"),
            ("x-forwarded-host", "blog--alice.localhost:8420"),
            ("x-forwarded-proto", "http"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn two_framings_and_methods_that_are_not_ours_are_refused() {
        let both = [("transfer-encoding", "chunked"), ("content-length", "5")];
        assert_eq!(rebuilt("/", "3000", &both).unwrap_err(), Problem::Framing);
        for method in [Method::CONNECT, Method::TRACE] {
            let parts = Request::builder()
                .method(method)
                .uri("/")
                .body(())
                .unwrap()
                .into_parts()
                .0;
            assert_eq!(
                rebuild(&parts, &"3000".parse().unwrap(), &forwarded(), false).unwrap_err(),
                Problem::Method
            );
        }
    }

    #[test]
    fn a_path_stays_below_the_base() {
        let target = "http://127.0.0.1:3000/base";
        assert_eq!(
            rebuilt("/a?b", target, &[]).unwrap().uri(),
            "http://127.0.0.1:3000/base/a?b"
        );
        assert_eq!(
            rebuilt("http://evil/a", target, &[]).unwrap().uri(),
            "http://127.0.0.1:3000/base/a"
        );
        assert_eq!(
            rebuilt("//evil/a", target, &[]).unwrap().uri(),
            "http://127.0.0.1:3000/base//evil/a"
        );
        for path in [
            "/../x",
            "/%2e%2E/x",
            "/a/..",
            "/a%2f..%2f..%2fx",
            "/..%5cx",
            "/.",
        ] {
            assert_eq!(
                rebuilt(path, target, &[]).unwrap_err(),
                Problem::Path,
                "{path}"
            );
        }
        assert_eq!(
            rebuilt("/a/../b", "3000", &[]).unwrap().uri().path(),
            "/a/../b"
        );
    }

    #[test]
    fn redirects_to_the_application_itself_stay_on_the_site() {
        let target: Target = "http://127.0.0.1:3000/base".parse().unwrap();
        for (location, expected) in [
            ("http://127.0.0.1:3000/base/login?x", "/login?x"),
            ("http://127.0.0.1:3000", "/"),
            ("http://127.0.0.1:3000/base", "/"),
            ("http://127.0.0.1:3000/base//evil", "/evil"),
            ("/base/login", "/login"),
            ("/baseball", "/baseball"),
            ("/other", "/other"),
            ("http://127.0.0.1:30001/x", "http://127.0.0.1:30001/x"),
            ("https://example.org/", "https://example.org/"),
            ("//example.org/", "//example.org/"),
            ("login", "login"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(LOCATION, HeaderValue::from_str(location).unwrap());
            clean_answer(&mut headers, &target, None, false);
            assert_eq!(headers[LOCATION], expected, "{location}");
        }
    }

    #[test]
    fn an_answer_loses_what_concerns_its_connection_or_speaks_for_us() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, x-hop"),
            ("x-hop", "1"),
            ("transfer-encoding", "chunked"),
            ("trailer", "x"),
            ("alt-svc", "h3=\":443\""),
            ("madang-session", "x"),
            ("content-length", "7"),
            ("set-cookie", "a=b"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let target = "3000".parse().unwrap();
        let mut head = headers.clone();
        clean_answer(&mut head, &target, Some(0), true);
        assert_eq!(
            (head.len(), &head["content-length"]),
            (2, &HeaderValue::from_static("7"))
        );
        clean_answer(&mut headers, &target, Some(5), false);
        assert_eq!(
            (headers.len(), &headers["content-length"]),
            (2, &HeaderValue::from_static("5"))
        );
    }
}
