//! [`Target`]: a site and a path, however a person writes them.

use madang_protocol::name::SiteName;

use super::failure::Failure;

/// A site and a path in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) site: SiteName,
    /// Path and query, with `/` in front.
    pub(super) path: String,
}

impl Target {
    /// Reads `alice/x`, `http://alice.localhost:8420/x`, `http://alice.madang/x`.
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
        let path = match path {
            "" => "/".to_owned(),
            query if query.starts_with('?') => format!("/{query}"),
            path => path.to_owned(),
        };
        if path.parse::<http::uri::PathAndQuery>().is_err() {
            return Err(wrong(&"write special characters as %XX"));
        }
        Ok(Self { site, path })
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
            "alice/a b",
        ] {
            assert!(Target::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_a_plain_name_becomes_a_file() {
        for (text, name) in [
            ("alice/a/film%20one.mp4?x", Some("film one.mp4")),
            ("alice/", None),
            ("alice/..", None),
            ("alice/%2e%2e", None),
            ("alice/a%2Fb", None),
            ("alice/a%00b", None),
        ] {
            assert_eq!(
                Target::parse(text).unwrap().file_name().as_deref(),
                name,
                "{text}"
            );
        }
    }
}
