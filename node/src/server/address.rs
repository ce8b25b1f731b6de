//! One address for each path, whatever the spelling: what is asked for under another is sent to it, so that price, count and file are one, and so are
//! the links on a page and the copies in caches. An application without a price list reads its paths as it likes.

use http::{HeaderValue, Response, StatusCode, Uri, header};
use madang_protocol::{reject::Reject, rules::path::canonical};

use super::{
    refusal::{document, refusal},
    site::{Origin, Site},
};
use crate::web::Body;

/// The answer to a request that is not for a canonical address; `None` where it may be answered as it is.
pub(super) fn elsewhere(asked: &Uri, site: &Site) -> Option<Response<Body>> {
    let is_its_own = site.published.tariff.is_none();
    match site.origin {
        Origin::Application(_) if is_its_own => None,
        Origin::Application(_) | Origin::Folder(_) => judged(asked),
    }
}

fn judged(asked: &Uri) -> Option<Response<Body>> {
    let address = match canonical(asked.path()) {
        Ok(address) => address?,
        Err(_) => return Some(refusal(StatusCode::BAD_REQUEST, Reject::PATH_UNREADABLE)),
    };
    let query = asked
        .query()
        .map_or_else(String::new, |query| format!("?{query}"));
    // Not every octet of a path can stand in a header.
    let Ok(location) = HeaderValue::try_from(address + &query) else {
        return Some(refusal(StatusCode::BAD_REQUEST, Reject::PATH_UNREADABLE));
    };
    let mut response = document(Vec::new(), "text/plain; charset=utf-8");
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, location);
    // What is folder and what is application may change.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Some(response)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn answer(uri: &str) -> Option<(u16, Option<String>)> {
        let response = judged(&uri.parse().unwrap())?;
        let location = response.headers().get(header::LOCATION);
        Some((
            response.status().as_u16(),
            location.map(|location| location.to_str().unwrap().to_owned()),
        ))
    }

    #[test]
    fn other_spellings_are_sent_to_the_address_with_their_query() {
        for (asked, location) in [
            ("//a?x=//y", "/a?x=//y"),
            ("//evil.example/..//x", "/x"),
            ("/./a/", "/a/"),
            ("/a/%2E%2e/b%20c?", "/b%20c?"),
        ] {
            assert_eq!(answer(asked), Some((308, Some(location.into()))), "{asked}");
        }
        assert_eq!(answer("/a/b?x=../y"), None);
    }

    #[test]
    fn what_has_no_reading_is_refused() {
        for asked in ["/%ff", "/a%00", "/a%2fb", "/../a", "*"] {
            assert_eq!(answer(asked), Some((400, None)), "{asked}");
        }
    }
}
