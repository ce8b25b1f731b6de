//! [`Target`]: a site and a path, however a person writes them.

use madang_protocol::{name::SiteName, rules::path::canonical};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::failure::Failure;

/// What a person types and no request line holds.
const TYPED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A site and a path in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) site: SiteName,
    /// Path and query, with `/` in front.
    pub(super) path: String,
}

impl Target {
    /// Reads `alice/x`, `http://alice.localhost:8420/x`, `http://alice.madang/x`. As in a browser's address line, what needs to be encoded may be
    /// typed as it is, escapes stay as they are, and empty segments, `.` and `..` are gone. An encoded `/` is for the site to read.
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = |reason: &dyn std::fmt::Display| {
            Failure::misuse(format!(
                "{text:?} is not the address of a site ({reason}); write it like alice/files/film.mp4"
            ))
        };
        let rest = match text.split_once("://") {
            Some(("http" | "madang", rest)) => rest,
            Some(_) => return Err(wrong(&"only http:// is possible")),
            None => text,
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (host, path) = rest.split_at(end);
        let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
        let label = host
            .strip_suffix(".localhost")
            .or_else(|| host.strip_suffix(".madang"))
            .unwrap_or(host);
        let site = label
            .parse()
            .map_err(|error| wrong(&error as &dyn std::fmt::Display))?;
        let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
        let typed = encoded(path);
        let typed = if typed.is_empty() { "/" } else { &typed };
        let path = address(typed).ok_or_else(|| {
            wrong(&"it leads above the site, or holds a backslash, a control character, what is not UTF-8, or an encoded / beside empty segments or dots")
        })?;
        let path = path + &encoded(query);
        if path.parse::<http::uri::PathAndQuery>().is_err() {
            return Err(wrong(&"it is too long"));
        }
        Ok(Self { site, path })
    }

    /// The same site's `path`, typed with or without `/` in front.
    pub(super) fn at(&self, path: &str) -> Result<Self, Failure> {
        Self::parse(&format!("{}/{}", self.site, path.trim_start_matches('/')))
    }

    /// The last segment of the path, decoded, where it can be a file's name.
    pub(super) fn file_name(&self) -> Option<String> {
        let path = self.path.split('?').next().unwrap_or_default();
        let last = path.rsplit('/').next().unwrap_or_default();
        let name = percent_encoding::percent_decode_str(last)
            .decode_utf8()
            .ok()?;
        let is_name = !matches!(name.as_ref(), "" | "." | "..")
            && !name
                .chars()
                .any(|c| c.is_control() || c == '/' || c == '\\');
        is_name.then(|| name.into_owned())
    }
}

/// The address of a path. Where a `/` is encoded it has to be the address already.
fn address(typed: &str) -> Option<String> {
    let is_own = || {
        let readable = typed.replace("%2f", "_").replace("%2F", "_");
        canonical(&readable) == Ok(None)
    };
    match canonical(typed) {
        Ok(address) => Some(address.unwrap_or_else(|| typed.to_owned())),
        Err(_) => is_own().then(|| typed.to_owned()),
    }
}

/// `typed` as a request line holds it; a `%` that begins no escape is one itself.
fn encoded(typed: &str) -> String {
    let mut whole = String::with_capacity(typed.len());
    for (index, part) in typed.split('%').enumerate() {
        if index > 0 {
            let is_escape = part
                .as_bytes()
                .get(..2)
                .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
            whole.push_str(if is_escape { "%" } else { "%25" });
        }
        whole.extend(utf8_percent_encode(part, TYPED));
    }
    whole
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

    use super::*;

    #[test]
    fn a_target_is_read_however_it_is_written() {
        for (text, site, path) in [
            ("alice", "alice", "/"),
            ("blog--alice/a/b.mp4?x=1", "blog--alice", "/a/b.mp4?x=1"),
            ("http://alice.localhost:8420/a#part", "alice", "/a"),
            ("http://alice.madang?q", "alice", "/?q"),
            ("http://xn--9p4bp6q.localhost:8420/", "철수", "/"),
            ("alice/a b", "alice", "/a%20b"),
            ("alice/a%20b?q=c d", "alice", "/a%20b?q=c%20d"),
            ("철수/우리 집", "철수", "/%EC%9A%B0%EB%A6%AC%20%EC%A7%91"),
            ("alice/100%", "alice", "/100%25"),
            ("alice/100% of%41", "alice", "/100%25%20of%41"),
            ("alice/%한", "alice", "/%25%ED%95%9C"),
            ("alice/a/./b/../c", "alice", "/a/c"),
            ("alice/a/%2e%2E", "alice", "/"),
            ("alice/a/b/..", "alice", "/a/"),
            ("alice//a/", "alice", "/a/"),
            ("alice/a//b/", "alice", "/a/b/"),
            (
                "alice/api/group%2Fproject/x",
                "alice",
                "/api/group%2Fproject/x",
            ),
        ] {
            let target = Target::parse(text).unwrap();
            assert_eq!(
                (target.site.to_string().as_str(), target.path.as_str()),
                (site, path)
            );
        }
        for text in [
            "",
            "/x",
            "https://alice.madang/",
            "http://a.b.c/",
            "alice/..",
            "alice/../x",
            "alice/a/%2e%2e/../x",
            "alice/a%2fb/../c",
            "alice/a%2f..%5cb",
            "alice/a\\b",
            "alice/a%00",
            "alice/%ff",
        ] {
            assert!(Target::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_a_plain_name_becomes_a_file() {
        for (text, name) in [
            ("alice/a/film%20one.mp4?x", Some("film one.mp4")),
            ("alice/", None),
            ("alice/a/..", None),
            ("alice/a/우리 집.txt", Some("우리 집.txt")),
            ("alice/100%", Some("100%")),
        ] {
            assert_eq!(
                Target::parse(text).unwrap().file_name().as_deref(),
                name,
                "{text}"
            );
        }
    }
}
