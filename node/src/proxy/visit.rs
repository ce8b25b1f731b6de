//! Whether a request may spend its visitor's money.
//!
//! A page must not be able to spend by embedding another site. So a request pays only when the browser says that it comes from the site itself
//! (`Sec-Fetch-Site: same-origin`) or from the visitor's own hand (`none`, on a navigation). Browsers leave these headers out on plain HTTP other
//! than loopback; there a cookie that is never sent across sites stands in, which only the way back from the consent page sets.

use http::{HeaderMap, Method, header};

use super::rebuild::{COOKIE_AGREED, cookie};
use crate::fetch::Paying;

/// Where a request comes from, as far as money goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The site's own pages, or the visitor's own hand.
    Own,
    /// A link on another site, followed by the visitor in the whole window: may pay once the visitor says so on a page of the site.
    Link,
    /// Anything else: an embedded image, frame, form or script of another site, or a client that does not say.
    Other,
}

impl Origin {
    pub(super) fn paying(self) -> Paying {
        match self {
            Self::Own => Paying::AsAgreed,
            Self::Link | Self::Other => Paying::FreeOnly,
        }
    }
}

/// Where the request with these headers comes from. `seal` is this proxy's secret for the site, which the cookie must show.
pub(super) fn origin(method: &Method, headers: &HeaderMap, seal: impl Fn() -> String) -> Origin {
    let one = |name: &str| {
        let mut values = headers.get_all(name).iter();
        let first = values.next().and_then(|value| value.to_str().ok());
        if values.next().is_some() {
            Some("")
        } else {
            first
        }
    };
    let in_window =
        one("sec-fetch-mode") == Some("navigate") && one("sec-fetch-dest") == Some("document");
    match one("sec-fetch-site") {
        Some("same-origin") => Origin::Own,
        Some("none") if in_window => Origin::Own,
        Some(_) if in_window && *method == Method::GET => Origin::Link,
        Some(_) => Origin::Other,
        None if cookie(headers, COOKIE_AGREED).is_some_and(|value| value == seal())
            && !is_foreign(headers) =>
        {
            Origin::Own
        }
        None => Origin::Other,
    }
}

/// Whether an `Origin` header names something that is not the request's own host.
fn is_foreign(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return false;
    };
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    origin
        .to_str()
        .ok()
        .and_then(|origin| origin.strip_prefix("http://"))
        != Some(host)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

    use super::*;

    fn judged(method: Method, headers: &[(&str, &str)]) -> Origin {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                http::HeaderName::from_bytes(name.as_bytes()).unwrap(),
                value.parse().unwrap(),
            );
        }
        origin(&method, &map, || "s3cret".to_owned())
    }

    #[test]
    fn only_the_site_itself_and_the_visitors_hand_may_spend() {
        let navigation = [
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ];
        let with = |site| [("sec-fetch-site", site), navigation[0], navigation[1]];
        assert_eq!(
            judged(
                Method::GET,
                &[
                    ("sec-fetch-site", "same-origin"),
                    ("sec-fetch-mode", "cors")
                ]
            ),
            Origin::Own
        );
        assert_eq!(judged(Method::GET, &with("none")), Origin::Own);
        assert_eq!(judged(Method::GET, &with("cross-site")), Origin::Link);
        assert_eq!(judged(Method::GET, &with("same-site")), Origin::Link);
        assert_eq!(judged(Method::POST, &with("cross-site")), Origin::Other);
    }

    #[test]
    fn embedding_never_spends() {
        for (site, mode, dest) in [
            ("cross-site", "no-cors", "image"),
            ("cross-site", "navigate", "iframe"),
            ("same-site", "navigate", "iframe"),
            ("cross-site", "cors", "empty"),
            ("cross-site", "websocket", "websocket"),
            ("none", "no-cors", "image"),
        ] {
            let headers = [
                ("sec-fetch-site", site),
                ("sec-fetch-mode", mode),
                ("sec-fetch-dest", dest),
                ("cookie", "madang-agreed=s3cret"),
            ];
            assert_eq!(
                judged(Method::GET, &headers),
                Origin::Other,
                "{site} {mode} {dest}"
            );
        }
    }

    #[test]
    fn without_fetch_metadata_the_cookie_decides() {
        assert_eq!(judged(Method::GET, &[]), Origin::Other);
        assert_eq!(
            judged(Method::GET, &[("cookie", "a=b; madang-agreed=s3cret")]),
            Origin::Own
        );
        assert_eq!(
            judged(Method::GET, &[("cookie", "madang-agreed=other")]),
            Origin::Other
        );
        let foreign = [
            ("cookie", "madang-agreed=s3cret"),
            ("host", "alice.madang"),
            ("origin", "http://evil.example"),
        ];
        assert_eq!(judged(Method::POST, &foreign), Origin::Other);
        let own = [
            ("cookie", "madang-agreed=s3cret"),
            ("host", "alice.madang"),
            ("origin", "http://alice.madang"),
        ];
        assert_eq!(judged(Method::POST, &own), Origin::Own);
    }

    #[test]
    fn contradictory_headers_never_spend() {
        let both = [
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-site", "cross-site"),
            ("cookie", "madang-agreed=s3cret"),
        ];
        assert_eq!(judged(Method::GET, &both), Origin::Other);
    }
}
