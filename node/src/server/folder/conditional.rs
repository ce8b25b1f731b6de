//! Entity tags, dates and preconditions (RFC 9110 sections 8.8 and 13). Pure: the time of day is an argument.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE};
use http::{HeaderMap, HeaderName, HeaderValue};

/// 9999-12-31T23:59:59Z: the last second that an HTTP date can say.
const DATE_SECONDS_MAX: u64 = 253_402_300_799;

/// An entity tag. The opaque part is ours: lower-case letters, digits and `-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EntityTag {
    /// Same meaning rather than same octets.
    pub(super) weak: bool,
    /// Without the quotes.
    pub(super) opaque: String,
}

impl EntityTag {
    /// The value of `ETag`.
    pub(super) fn header(&self) -> HeaderValue {
        let text = format!("{}\"{}\"", if self.weak { "W/" } else { "" }, self.opaque);
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("W/\"\""))
    }
}

/// What a representation can be compared by.
#[derive(Debug, Clone)]
pub(super) struct Validators {
    /// Its tag.
    pub(super) tag: EntityTag,
    /// When it last changed, in whole seconds, if that can be said in HTTP; never in the future.
    pub(super) modified: Option<SystemTime>,
}

/// What the preconditions of a request come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Answer as if there were none.
    Proceed,
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

/// Cuts a file's time to what `Last-Modified` can say at `now`.
pub(super) fn last_modified(modified: SystemTime, now: SystemTime) -> Option<SystemTime> {
    let seconds = modified.min(now).duration_since(UNIX_EPOCH).ok()?.as_secs();
    (seconds <= DATE_SECONDS_MAX).then(|| UNIX_EPOCH + Duration::from_secs(seconds))
}

/// Weighs the preconditions of a GET or HEAD, in the order of section 13.2.2.
pub(super) fn weigh(headers: &HeaderMap, validators: &Validators) -> Verdict {
    if headers.contains_key(IF_MATCH) {
        if !any_matches(headers, &IF_MATCH, |weak, opaque| {
            !weak && !validators.tag.weak && opaque == validators.tag.opaque
        }) {
            return Verdict::Failed;
        }
    } else if let (Some(since), Some(modified)) =
        (date(headers, &IF_UNMODIFIED_SINCE), validators.modified)
        && modified > since
    {
        return Verdict::Failed;
    }
    if headers.contains_key(IF_NONE_MATCH) {
        if any_matches(headers, &IF_NONE_MATCH, |_, opaque| {
            opaque == validators.tag.opaque
        }) {
            return Verdict::NotModified;
        }
    } else if let (Some(since), Some(modified)) =
        (date(headers, &IF_MODIFIED_SINCE), validators.modified)
        && modified <= since
    {
        return Verdict::NotModified;
    }
    Verdict::Proceed
}

/// Whether `Range` may be obeyed: there is no `If-Range`, or it names exactly this representation (section 13.1.5).
pub(super) fn range_holds(headers: &HeaderMap, validators: &Validators, now: SystemTime) -> bool {
    let Some(value) = headers.get(IF_RANGE) else {
        return true;
    };
    let Ok(value) = value.to_str() else {
        return false;
    };
    if value.trim_start().starts_with(['"', 'W'])
        && httpdate::parse_http_date(value.trim()).is_err()
    {
        return tags(value).is_some_and(|found| matches!(found[..], [(false, opaque)] if !validators.tag.weak && opaque == validators.tag.opaque));
    }
    let (Ok(since), Some(modified)) =
        (httpdate::parse_http_date(value.trim()), validators.modified)
    else {
        return false;
    };
    // A date is a strong validator only when a second change within the same second would be seen.
    since == modified && modified + Duration::from_secs(1) <= now
}

/// Whether a list of tags is `*` or holds one that `same` accepts (given weakness and opaque part).
fn any_matches(headers: &HeaderMap, name: &HeaderName, same: impl Fn(bool, &str) -> bool) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| {
            value.trim() == "*"
                || tags(value)
                    .is_some_and(|found| found.iter().any(|(weak, opaque)| same(*weak, opaque)))
        })
}

/// Reads a list of entity tags; nothing if it is malformed.
fn tags(value: &str) -> Option<Vec<(bool, &str)>> {
    let mut found = Vec::new();
    let mut rest = value.trim_matches([' ', '\t', ',']);
    while !rest.is_empty() {
        let weak = rest.starts_with("W/");
        let quoted = rest.strip_prefix("W/").unwrap_or(rest).strip_prefix('"')?;
        let (opaque, after) = quoted.split_once('"')?;
        found.push((weak, opaque));
        let after = after.trim_start();
        rest = if after.is_empty() {
            after
        } else {
            after
                .strip_prefix(',')?
                .trim_start_matches([' ', '\t', ','])
        };
    }
    Some(found)
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?.trim()).ok()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "the values are literals")]
mod tests {
    use super::*;

    const BEFORE: &str = "Sun, 01 Nov 2026 00:00:00 GMT";
    const CHANGED: &str = "Mon, 02 Nov 2026 00:00:00 GMT";
    const AFTER: &str = "Tue, 03 Nov 2026 00:00:00 GMT";

    fn validators(weak: bool) -> Validators {
        Validators {
            tag: EntityTag {
                weak,
                opaque: "x".to_owned(),
            },
            modified: Some(httpdate::parse_http_date(CHANGED).unwrap()),
        }
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn preconditions_are_weighed_in_the_order_of_the_standard() {
        use Verdict::{Failed, NotModified, Proceed};
        let table: &[(&[(&str, &str)], Verdict)] = &[
            (&[], Proceed),
            (&[("if-none-match", "\"x\"")], NotModified),
            (&[("if-none-match", "W/\"x\"")], NotModified),
            (&[("if-none-match", "\"a,b\", \"x\"")], NotModified),
            (
                &[("if-none-match", "\"a\""), ("if-none-match", "\"x\"")],
                NotModified,
            ),
            (&[("if-none-match", "*")], NotModified),
            (&[("if-none-match", "\"y\"")], Proceed),
            (&[("if-none-match", "x")], Proceed),
            (
                &[("if-none-match", "\"y\""), ("if-modified-since", AFTER)],
                Proceed,
            ),
            (&[("if-modified-since", CHANGED)], NotModified),
            (&[("if-modified-since", AFTER)], NotModified),
            (&[("if-modified-since", BEFORE)], Proceed),
            (&[("if-modified-since", "yesterday")], Proceed),
            (&[("if-match", "\"x\"")], Proceed),
            (&[("if-match", "*")], Proceed),
            (&[("if-match", "W/\"x\"")], Failed),
            (&[("if-match", "\"y\", \"z\"")], Failed),
            (
                &[("if-match", "\"y\""), ("if-unmodified-since", AFTER)],
                Failed,
            ),
            (
                &[("if-match", "\"x\""), ("if-unmodified-since", BEFORE)],
                Proceed,
            ),
            (
                &[("if-match", "\"x\""), ("if-none-match", "\"x\"")],
                NotModified,
            ),
            (&[("if-match", "\"y\""), ("if-none-match", "\"x\"")], Failed),
            (&[("if-unmodified-since", CHANGED)], Proceed),
            (&[("if-unmodified-since", BEFORE)], Failed),
            (&[("if-unmodified-since", "never")], Proceed),
        ];
        for (pairs, expected) in table {
            assert_eq!(
                weigh(&headers(pairs), &validators(false)),
                *expected,
                "{pairs:?}"
            );
        }
        assert_eq!(
            weigh(&headers(&[("if-match", "\"x\"")]), &validators(true)),
            Failed
        );
        assert_eq!(
            weigh(&headers(&[("if-none-match", "\"x\"")]), &validators(true)),
            NotModified
        );
    }

    #[test]
    fn if_range_compares_strongly() {
        let now = httpdate::parse_http_date(AFTER).unwrap();
        for (value, expected) in [
            ("\"x\"", true),
            ("W/\"x\"", false),
            ("\"y\"", false),
            ("\"x\", \"y\"", false),
            (CHANGED, true),
            (AFTER, false),
            (BEFORE, false),
            ("Wed, 02 Nov 2026 00:00:00 GMT", false),
            ("nonsense", false),
        ] {
            assert_eq!(
                range_holds(&headers(&[("if-range", value)]), &validators(false), now),
                expected,
                "{value}"
            );
        }
        assert!(!range_holds(
            &headers(&[("if-range", "\"x\"")]),
            &validators(true),
            now
        ));
        let same_second = httpdate::parse_http_date(CHANGED).unwrap() + Duration::from_millis(500);
        assert!(!range_holds(
            &headers(&[("if-range", CHANGED)]),
            &validators(false),
            same_second
        ));
    }

    #[test]
    fn times_that_http_cannot_say_are_left_out() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000);
        assert_eq!(
            last_modified(UNIX_EPOCH - Duration::from_secs(1), now),
            None
        );
        assert_eq!(
            last_modified(UNIX_EPOCH + Duration::from_secs(2_000), now),
            Some(now)
        );
        assert_eq!(
            last_modified(UNIX_EPOCH + Duration::from_millis(1_999), now),
            Some(UNIX_EPOCH + Duration::from_secs(1))
        );
    }
}
