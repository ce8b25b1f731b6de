//! Other ways to say a path that has a price. What is asked for must be what is rated: an application may read a path otherwise than the price list does,
//! and a folder holds compressed copies of its files.

use madang_protocol::{
    record::tariff::{Rule, Tariff},
    rules::{path::CleanPath, rating::rule_for},
};

/// What precompressed siblings of a file end in.
const SIBLINGS: [&str; 3] = [".br", ".gz", ".zst"];

/// Whether a request's raw path says what it means, segment by segment: without empty ones and without dots, escaped or not.
pub(super) fn is_plain(raw: &str) -> bool {
    let inner = raw.strip_prefix('/').unwrap_or(raw);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    let is_plain = |segment: &str| {
        let dots = segment.to_ascii_lowercase().replace("%2e", ".");
        !matches!(dots.as_str(), "" | "." | "..")
    };
    inner.is_empty() || inner.split('/').all(is_plain)
}

/// Whether a path without a price is a compressed copy of one that has a price.
pub(super) fn is_priced_sibling(tariff: &Tariff, path: &CleanPath) -> bool {
    let plain = SIBLINGS
        .iter()
        .find_map(|ending| path.as_str().strip_suffix(ending));
    let rule = plain
        .and_then(path_of)
        .and_then(|plain| rule_for(tariff, &plain));
    rule.is_some_and(|at| tariff.rules.get(at).is_some_and(Rule::has_price))
}

/// A decoded path, read again.
fn path_of(decoded: &str) -> Option<CleanPath> {
    CleanPath::parse(&decoded.replace('%', "%25")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_say_two_things_are_told_from_plain_ones() {
        for plain in [
            "/",
            "/a",
            "/a/",
            "/a/b.c",
            "/a/...",
            "/%EC%B2%A0/x",
            "/.a",
            "/a;b",
        ] {
            assert!(is_plain(plain), "{plain}");
        }
        for other in [
            "//a",
            "/a//b",
            "/a//",
            "/./a",
            "/a/../b",
            "/a/..",
            "/%2e%2E/a",
            "/a/%2e",
            "/.%2e/a",
        ] {
            assert!(!is_plain(other), "{other}");
        }
    }
}
