//! Paths and the patterns of price lists. A path is brought into one form before any pattern is asked, so that no other spelling of a path has
//! another price; what has no such form is refused.
//!
//! * R-30 Percent-encoded octets are decoded once, and the result is UTF-8 in composed form (NFC).
//! * R-31 Empty segments and `.` vanish, `..` takes the segment before it away. Who asks for a path with any of them is sent to [`canonical`].
//! * R-32 No form: an encoded `/`, a backslash, a control character, a broken escape, `..` above the root, no leading `/`.
//! * R-33 A trailing `/` does not matter to a pattern.

use std::fmt;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use crate::limits::PATTERN_BYTES_MAX;

/// A path has no form that a pattern could be compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathError;

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the path is ambiguous: it holds a broken escape, an encoded separator or a way above the root")
    }
}

impl std::error::Error for PathError {}

/// A decoded path: `/` and segments, none of them empty, `.` or `..`; a trailing `/` where the request had one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CleanPath(String);

impl CleanPath {
    /// Brings the path of a request target, without its query, into its one form.
    pub fn parse(raw: &str) -> Result<Self, PathError> {
        let decoded = decode(raw.strip_prefix('/').ok_or(PathError)?)?;
        let composed = match is_nfc_quick(decoded.chars()) {
            IsNormalized::Yes => decoded,
            IsNormalized::No | IsNormalized::Maybe => decoded.nfc().collect(),
        };
        if composed.chars().any(|c| c.is_control() || c == '\\') {
            return Err(PathError);
        }
        let mut segments: Vec<&str> = Vec::new();
        let mut is_folder = true;
        for segment in composed.split('/') {
            is_folder = matches!(segment, "" | "." | "..");
            match segment {
                "" | "." => {}
                ".." => {
                    segments.pop().ok_or(PathError)?;
                }
                name => segments.push(name),
            }
        }
        let mut clean = String::with_capacity(composed.len() + 2);
        for segment in &segments {
            clean.push('/');
            clean.push_str(segment);
        }
        if is_folder {
            clean.push('/');
        }
        Ok(Self(clean))
    }

    /// The path, decoded: never to be sent as a request target without encoding it again.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where a folder's path leads by itself, if this is a folder's: to its `index.html`.
    pub fn index(&self) -> Option<Self> {
        self.0
            .ends_with('/')
            .then(|| Self(format!("{}index.html", self.0)))
    }

    /// The segments, decoded.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        segments(&self.0)
    }
}

impl fmt::Display for CleanPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// the one address of the path of a request target, without its query (RFC 3986, 6.2.2.3): without empty segments and without dots, with every
/// escape as it was. `None` where `raw` is that address itself.
///
/// # Errors
/// The path has no form that a pattern could be compared with.
pub fn canonical(raw: &str) -> Result<Option<String>, PathError> {
    CleanPath::parse(raw)?;
    let mut segments: Vec<&str> = Vec::new();
    let mut is_folder = true;
    for segment in raw.split('/').skip(1) {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        is_folder = matches!(plain.as_str(), "" | "." | "..");
        match plain.as_str() {
            "" | "." => {}
            ".." => {
                segments.pop().ok_or(PathError)?;
            }
            _ => segments.push(segment),
        }
    }
    if is_folder {
        segments.push("");
    }
    let canonical = format!("/{}", segments.join("/"));
    Ok((canonical != raw).then_some(canonical))
}

/// Whether `pattern` is one: `/` and segments in the form of [`CleanPath`]; `*` stands for any run of characters within a segment, and a last
/// segment `**` for any rest, also none.
pub fn is_pattern(pattern: &str) -> bool {
    let Some(inner) = pattern.strip_prefix('/') else {
        return false;
    };
    let clean = |segment: &str| {
        !matches!(segment, "" | "." | ".." | "**")
            && !segment.chars().any(|c| c.is_control() || c == '\\')
            && segment.nfc().eq(segment.chars())
    };
    let stem = match inner.rsplit_once('/') {
        None if matches!(inner, "" | "**") => return true,
        Some((stem, "**")) => stem,
        None | Some(_) => inner,
    };
    pattern.len() <= PATTERN_BYTES_MAX && stem.split('/').all(clean)
}

/// Whether `path` falls under `pattern`.
pub fn fits(pattern: &str, path: &CleanPath) -> bool {
    let mut parts = segments(pattern);
    let mut names = path.segments();
    loop {
        match (parts.next(), names.next()) {
            (Some("**"), _) => return true,
            (Some(part), Some(name)) if segment_fits(part, name) => {}
            (None, None) => return true,
            (Some(_) | None, Some(_)) | (Some(_), None) => return false,
        }
    }
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

/// Matches octets: `*` is ASCII, and what lies between stars is whole characters, so octets and characters agree.
fn segment_fits(part: &str, name: &str) -> bool {
    let (part, name) = (part.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    // Where the last star stands, and up to where it reaches.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if p < part.len() && part[p] == b'*' {
            star = Some((p, n));
            p += 1;
        } else if p < part.len() && part[p] == name[n] {
            p += 1;
            n += 1;
        } else if let Some((at, reach)) = star {
            star = Some((at, reach + 1));
            p = at + 1;
            n = reach + 1;
        } else {
            return false;
        }
    }
    part[p..].iter().all(|octet| *octet == b'*')
}

fn decode(raw: &str) -> Result<String, PathError> {
    let mut octets = Vec::with_capacity(raw.len());
    let mut rest = raw.bytes();
    while let Some(octet) = rest.next() {
        if octet != b'%' {
            octets.push(octet);
            continue;
        }
        let high = rest.next().and_then(hex_digit).ok_or(PathError)?;
        let low = rest.next().and_then(hex_digit).ok_or(PathError)?;
        match high << 4 | low {
            b'/' => return Err(PathError),
            octet => octets.push(octet),
        }
    }
    String::from_utf8(octets).map_err(|_| PathError)
}

fn hex_digit(octet: u8) -> Option<u8> {
    char::from(octet)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn clean(raw: &str) -> Result<String, PathError> {
        CleanPath::parse(raw).map(|path| path.as_str().to_owned())
    }

    #[test]
    fn r_30_and_r_31_every_spelling_has_one_form() {
        for raw in [
            "/reports/a",
            "/%72eports/a",
            "//reports///a",
            "/./reports/./a",
            "/x/../reports/a",
            "/reports/b/%2e%2e/a",
            "/reports/.%2E/reports/a",
        ] {
            assert_eq!(clean(raw), Ok("/reports/a".into()), "{raw}");
        }
        assert_eq!(clean("/"), Ok("/".into()));
        assert_eq!(clean("/a/"), Ok("/a/".into()));
        assert_eq!(clean("/a/b/.."), Ok("/a/".into()));
        assert_eq!(clean("/%2572"), Ok("/%72".into()));
        // Decomposed Hangul.
        assert_eq!(clean("/%E1%84%82%E1%85%A1"), Ok("/나".into()));
    }

    #[test]
    fn r_32_what_has_no_form_is_refused() {
        for raw in [
            "", "a", "*", "/..", "/a/../..", "/a%2fb", "/a%2Fb", "/a%5cb", "/a\\b", "/%00", "/%0a",
            "/%", "/%7", "/%zz", "/%+1", "/%ff", "/\u{7f}",
        ] {
            assert_eq!(clean(raw), Err(PathError), "{raw:?}");
        }
    }

    #[test]
    fn r_33_patterns_fit_as_they_say() {
        for (pattern, fitting, other) in [
            ("/", &["/"][..], &["/a", "/a/"][..]),
            ("/**", &["/", "/a", "/a/b/c"], &[]),
            (
                "/reports/**",
                &["/reports", "/reports/", "/reports/a/b"],
                &["/", "/report", "/reports2/a", "/Reports/a"],
            ),
            ("/*/b", &["/a/b", "/xyz/b/"], &["/b", "/a/b/c", "/a/a/b"]),
            (
                "/a*c*.pdf",
                &["/ac.pdf", "/abcd.pdf", "/a한c글.pdf"],
                &["/a.pdf", "/ac.pdfx", "/xac.pdf"],
            ),
            (
                "/보고서/*",
                &["/%EB%B3%B4%EA%B3%A0%EC%84%9C/x"],
                &["/보고서"],
            ),
        ] {
            assert!(is_pattern(pattern), "{pattern}");
            for path in fitting {
                assert!(
                    fits(pattern, &CleanPath::parse(path).unwrap()),
                    "{pattern} {path}"
                );
            }
            for path in other {
                assert!(
                    !fits(pattern, &CleanPath::parse(path).unwrap()),
                    "{pattern} {path}"
                );
            }
        }
    }

    #[test]
    fn what_is_not_a_pattern_is_told_apart() {
        for bad in [
            "",
            "a",
            "//",
            "/a/",
            "/a//b",
            "/./a",
            "/../a",
            "/**/a",
            "/a\\b",
            "/a\n",
            "/\u{1102}\u{1161}",
        ] {
            assert!(!is_pattern(bad), "{bad:?}");
        }
        assert!(!is_pattern(&format!("/{}", "a".repeat(PATTERN_BYTES_MAX))));
    }

    #[test]
    fn r_31_every_spelling_has_one_address() {
        for canonical_already in [
            "/",
            "/a",
            "/a/",
            "/a/b.c",
            "/a/...",
            "/%EC%B2%A0/x",
            "/.a",
            "/a;b",
            "/%61",
        ] {
            assert_eq!(
                canonical(canonical_already),
                Ok(None),
                "{canonical_already}"
            );
        }
        for (raw, address) in [
            ("//a", "/a"),
            ("//", "/"),
            ("/a//b", "/a/b"),
            ("/a//", "/a/"),
            ("/./a", "/a"),
            ("/a/../b", "/b"),
            ("/a/..", "/"),
            ("/x/%2e%2E/a", "/a"),
            ("/a/%2e", "/a/"),
            ("/b/.%2e/%61%20", "/%61%20"),
        ] {
            assert_eq!(canonical(raw), Ok(Some(address.to_owned())), "{raw}");
        }
        for raw in ["", "*", "/..", "/a/../..", "/%ff", "/a%2fb", "/%00"] {
            assert_eq!(canonical(raw), Err(PathError), "{raw:?}");
        }
    }

    proptest! {
        #[test]
        fn r_31_an_address_is_the_same_path_and_its_own_address(raw in "/[a./%가2eE]{0,24}") {
            if let Ok(Some(address)) = canonical(&raw) {
                prop_assert_eq!(CleanPath::parse(&address), CleanPath::parse(&raw));
                prop_assert_eq!(canonical(&address), Ok(None));
                prop_assert!(!address.starts_with("//"));
            }
        }

        #[test]
        fn a_clean_path_is_its_own_form(raw in "/[a./%가\u{1161}é26eEfF-]{0,24}") {
            if let Ok(path) = CleanPath::parse(&raw) {
                let encoded: String = path.as_str().bytes().map(|octet| match octet {
                    b'/' => "/".to_owned(),
                    other => format!("%{other:02x}"),
                }).collect();
                prop_assert_eq!(CleanPath::parse(&encoded), Ok(path));
            }
        }

        #[test]
        fn a_star_finds_what_a_plain_search_finds(part in "[ab*]{0,6}", name in "[ab]{1,8}") {
            fn slow(part: &[u8], name: &[u8]) -> bool {
                match (part.split_first(), name.split_first()) {
                    (None, rest) => rest.is_none(),
                    (Some((b'*', rest)), _) => (0..=name.len()).any(|at| slow(rest, &name[at..])),
                    (Some((p, parts)), Some((n, names))) => p == n && slow(parts, names),
                    (Some(_), None) => false,
                }
            }
            prop_assert_eq!(segment_fits(&part, &name), slow(part.as_bytes(), name.as_bytes()));
        }
    }
}
