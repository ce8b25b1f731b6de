//! What is counted. Buyer and seller each count by these rules; where they still differ, the buyer's count is what is signed.
//!
//! * R-34 Only a successful answer (2xx) and a switch of protocols (101) are counted; no other answer costs anything, its octets neither.
//! * R-35 An answer to HEAD is never counted.
//! * R-36 A request counts once per grant (and the grant that it succeeds), path and entity tag: fetching the rest, or the same again, is not another
//!   request. Only GET can be repeated so, and only what has an entity tag. The query belongs to the path, unless the answer names the path alone as its
//!   content's location, as a folder's does (RFC 9110, 8.7). A folder's path and its index page's are one.
//! * R-37 Octets are content octets as carried: after transfer decoding, before content decoding; payload of WebSockets in both directions; those of
//!   a request's body too, as they go and whatever the answer: they are carried before anyone knows it.
//! * R-38 Milliseconds are time with at least one counted response open under a rule that has a price for minutes. The seller announces them; the buyer
//!   accepts them up to its own count and [`METERED_TIME_AHEAD`](crate::limits::METERED_TIME_AHEAD).
//! * R-39 What a pass covers is not counted at all.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{limits::GRANT_REQUESTS_MAX, rules::path::CleanPath};

/// whether an answer with `status` to a request by `method` is counted.
pub fn is_counted(method: &str, status: u16) -> bool {
    method != "HEAD" && (status == 101 || (200..300).contains(&status))
}

/// What a repeated request is recognised by: 16 octets of BLAKE3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RequestKey(pub [u8; 16]);

impl RequestKey {
    /// The key of a request, or `None` where each answer counts by itself. `location` is the answer's `Content-Location`; tags are compared weakly.
    pub fn of(
        method: &str,
        rule: usize,
        path: &CleanPath,
        query: Option<&str>,
        etag: Option<&str>,
        location: Option<&str>,
    ) -> Option<Self> {
        let is_path = |location: &str| CleanPath::parse(location).is_ok_and(|it| it == *path);
        let query = query.filter(|_| !location.is_some_and(is_path));
        let index = path.index();
        let path = index.as_ref().unwrap_or(path);
        let etag = etag.filter(|_| method == "GET")?;
        let etag = etag.strip_prefix("W/").unwrap_or(etag);
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(rule as u64).to_le_bytes());
        for part in [Some(path.as_str()), query, Some(etag)] {
            // The length tells an absent part from an empty one.
            let length = part.map_or(u64::MAX, |part| part.len() as u64);
            hasher.update(&length.to_le_bytes());
            hasher.update(part.unwrap_or_default().as_bytes());
        }
        let mut key = [0; 16];
        key.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Some(Self(key))
    }
}

/// The requests that one grant has counted, with what each end notes about them. Bounded by [`GRANT_REQUESTS_MAX`].
#[derive(Debug, Clone)]
pub struct Requests<T> {
    counted: BTreeMap<RequestKey, T>,
}

impl<T> Default for Requests<T> {
    fn default() -> Self {
        Self {
            counted: BTreeMap::new(),
        }
    }
}

impl<T> Requests<T> {
    /// What is noted about a counted request.
    pub fn get(&self, key: &RequestKey) -> Option<&T> {
        self.counted.get(key)
    }

    /// Notes a counted request; false when there is no room for another one, and nothing is noted.
    pub fn note(&mut self, key: RequestKey, note: T) -> bool {
        if self.is_full() && !self.counted.contains_key(&key) {
            return false;
        }
        self.counted.insert(key, note);
        true
    }

    /// Whether another request needs a successor of the grant.
    pub fn is_full(&self) -> bool {
        self.counted.len() >= GRANT_REQUESTS_MAX
    }

    /// How many are noted.
    pub fn len(&self) -> usize {
        self.counted.len()
    }

    /// Whether none is noted.
    pub fn is_empty(&self) -> bool {
        self.counted.is_empty()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn r_34_and_r_35_only_success_counts() {
        for (method, status, counted) in [
            ("GET", 200, true),
            ("GET", 206, true),
            ("POST", 201, true),
            ("GET", 101, true),
            ("HEAD", 200, false),
            ("GET", 304, false),
            ("GET", 302, false),
            ("GET", 404, false),
            ("GET", 402, false),
            ("POST", 500, false),
            ("GET", 100, false),
        ] {
            assert_eq!(is_counted(method, status), counted, "{method} {status}");
        }
    }

    #[test]
    fn r_36_a_key_tells_everything_apart_that_differs() {
        let path = |text: &str| CleanPath::parse(text).unwrap();
        let key = |rule, text: &str, query, etag| {
            RequestKey::of("GET", rule, &path(text), query, Some(etag), None)
        };
        let first = key(0, "/a", None, "\"1\"");
        assert_eq!(first, key(0, "/%61", None, "W/\"1\""));
        for other in [
            key(1, "/a", None, "\"1\""),
            key(0, "/b", None, "\"1\""),
            key(0, "/a", Some(""), "\"1\""),
            key(0, "/a", Some("x"), "\"1\""),
            key(0, "/a", None, "\"2\""),
        ] {
            assert_ne!(first, other);
        }
        assert_eq!(
            key(0, "/a/", None, "\"1\""),
            key(0, "/a/index.html", None, "\"1\"")
        );
        let none = |method, etag| RequestKey::of(method, 0, &path("/a"), None, etag, None);
        assert_eq!(none("GET", None), None);
        assert_eq!(none("POST", Some("\"1\"")), None);
    }

    #[test]
    fn r_36_a_query_that_the_answer_does_not_look_at_is_no_other_request() {
        let path = CleanPath::parse("/a").unwrap();
        let key = |query, location| RequestKey::of("GET", 0, &path, query, Some("\"1\""), location);
        let plain = key(None, None);
        assert_eq!(key(Some("x=1"), Some("/a")), plain);
        assert_eq!(key(Some("x=1"), Some("/%61")), plain);
        for other in ["/b", "/a?x=1", "/a?", "a", "http://a/a", ""] {
            assert_ne!(key(Some("x=1"), Some(other)), plain, "{other}");
        }
    }

    #[test]
    fn r_36_what_is_remembered_is_bounded() {
        let mut requests = Requests::default();
        for at in 0..GRANT_REQUESTS_MAX as u128 {
            assert!(requests.note(RequestKey(at.to_le_bytes()), ()));
        }
        assert!(!requests.note(RequestKey([0xff; 16]), ()));
        assert!(
            requests.note(RequestKey([0; 16]), ()),
            "what is known is noted again"
        );
        assert_eq!(requests.len(), GRANT_REQUESTS_MAX);
    }
}
