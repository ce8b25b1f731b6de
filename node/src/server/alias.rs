//! Other ways to a file that has a price. What is asked for must be what is rated: a folder holds compressed copies of its files, links, and perhaps
//! names that its file system reads in more than one way.

use http::{Response, request::Parts};
use madang_protocol::{
    record::tariff::{Rule, Tariff},
    rules::{
        path::{CleanPath, fits},
        rating::rule_for,
    },
};

use super::folder::{Folder, Ways};
use crate::web::Body;

/// What precompressed siblings of a file end in.
const SIBLINGS: [&str; 3] = [".br", ".gz", ".zst"];

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

/// A folder's answer where `tariff` holds: no other way to a file goes around its price.
pub(super) async fn respond(
    folder: &Folder,
    request: &Parts,
    tariff: Option<&Tariff>,
) -> Response<Body> {
    let path = CleanPath::parse(request.uri.path());
    let (Some(tariff), Ok(path)) = (tariff, path) else {
        return folder.respond(request, &Ways::ALL).await;
    };
    let ways = Ways {
        exact: must_be_exact(tariff, &path),
        leads: &|real| may_lead(tariff, &path, real),
    };
    folder.respond(request, &ways).await
}

/// Whether a link at `path` may lead to `real`, relative to the folder: only to what has the same price, so that none is gone around.
fn may_lead(tariff: &Tariff, path: &CleanPath, real: &str) -> bool {
    path_of(&format!("/{real}")).is_some_and(|real| {
        rule_for(tariff, &real) == rule_for(tariff, path)
            && !is_priced_sibling(tariff, &real)
            && !must_be_exact(tariff, &real)
    })
}

/// Whether some file system could find under `path` what has another price: in other letters, with dots or spaces at the end of a name, or under a
/// short name such as `REPORT~1`.
fn must_be_exact(tariff: &Tariff, path: &CleanPath) -> bool {
    let is_short = |name: &str| {
        let mut parts = name.split('~').skip(1);
        parts.any(|after| after.starts_with(|first: char| first.is_ascii_digit()))
    };
    if path.segments().any(is_short) {
        return true;
    }
    let Some(loose) = path_of(&loosened(path.as_str())) else {
        return true;
    };
    let index = loose.index();
    let holds = |rule: &Rule| {
        let pattern = loosened(&rule.pattern);
        fits(&pattern, &loose) || index.as_ref().is_some_and(|index| fits(&pattern, index))
    };
    tariff.rules.iter().position(holds) != rule_for(tariff, path)
}

/// A path or a pattern without what some file systems do not look at.
fn loosened(path: &str) -> String {
    let folded = path.to_uppercase().to_lowercase();
    let names = folded
        .split('/')
        .map(|name| name.trim_end_matches(['.', ' ']));
    names.collect::<Vec<_>>().join("/")
}

/// A decoded path, read again.
fn path_of(decoded: &str) -> Option<CleanPath> {
    CleanPath::parse(&decoded.replace('%', "%25")).ok()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use madang_protocol::{
        amount::Currency, ids::PublicKey, record::tariff::Audience, rules::price::parse_rule,
        time::UnixMillis,
    };

    use super::*;

    fn tariff(prices: &[&str]) -> Tariff {
        let rule = |price: &&str| parse_rule(price, Audience::Anyone).unwrap().0;
        Tariff {
            device: PublicKey([1; 32]),
            site: "alice".parse().unwrap(),
            currency: Currency::KRW,
            rules: prices.iter().map(rule).collect(),
            valid_from: UnixMillis(0),
            valid_until: UnixMillis(1),
            sequence: 1,
        }
    }

    fn path(raw: &str) -> CleanPath {
        CleanPath::parse(raw).unwrap()
    }

    #[test]
    fn a_name_that_some_file_system_reads_as_a_priced_one_is_looked_up_exactly() {
        let tariff = tariff(&[
            "/Reports/**=500 KRW",
            "/*.pdf=5 KRW",
            "/straße/*=1 KRW",
            "/보고서/index.html=1 KRW",
        ]);
        for raw in [
            "/reports/1",
            "/REPORTS/1",
            "/Reports./1",
            "/Reports%20/1",
            "/a.PDF",
            "/a.pdf.",
            "/STRASSE/x",
            "/REPOR~1/1",
            "/보고서/INDEX.html",
            "/보고서./",
        ] {
            assert!(must_be_exact(&tariff, &path(raw)), "{raw}");
        }
        for raw in [
            "/Reports/1",
            "/Reports/1.",
            "/a.pdf",
            "/other/a.PDF",
            "/straße/x",
            "/보고서/",
            "/~alice/",
            "/",
        ] {
            assert!(!must_be_exact(&tariff, &path(raw)), "{raw}");
        }
    }

    #[test]
    fn a_link_leads_only_to_what_has_the_same_price() {
        let tariff = tariff(&["/paid/**=500 KRW", "/cheap/**=1 KRW"]);
        for (raw, real, may) in [
            ("/free", "other", true),
            ("/free", "paid/film", false),
            ("/free", "paid.", false),
            ("/free", "PAID/film", false),
            ("/free/", "paid/", false),
            ("/free.gz", "cheap/x.gz", false),
            ("/cheap/film", "paid/film", false),
            ("/paid/film", "cheap/film", false),
            ("/paid/film", "paid/2026/film", true),
            ("/paid/100%25", "paid/100%", true),
        ] {
            assert_eq!(may_lead(&tariff, &path(raw), real), may, "{raw} {real}");
        }
    }
}
