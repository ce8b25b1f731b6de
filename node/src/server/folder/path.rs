//! Turns the path of a request into the name of a file below the served folder, or refuses it.
//!
//! Decides on text alone and never touches the disk. What it lets through has no `..`, no hidden name and nothing that
//! one system would read differently from another; symbolic links are the opener's business.

use std::path::{Component, Path};

use percent_encoding::percent_decode;
use unicode_normalization::{UnicodeNormalization, is_nfc, is_nfd};

use super::refusal::Refusal;

/// Longest path that is looked at, in octets as sent. File systems stop at 4,096 after decoding.
const PATH_OCTETS_MAX: usize = 12 * 1024;
/// Most segments in a path: the kernel resolves each one.
const SEGMENTS_MAX: usize = 128;

/// Where a node's home and an anchor's keep their secret keys.
const KEYS: [&str; 2] = ["device.key", "issuer.key"];

/// A decoded path, relative to the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RequestPath {
    segments: Vec<String>,
    directory: bool,
}

impl RequestPath {
    /// Decodes a path in origin form, such as `/a%20b/`. With `dotfiles`, names that begin with a dot are let through.
    pub(super) fn parse(raw: &str, dotfiles: bool) -> Result<Self, Refusal> {
        let Some(rest) = raw.strip_prefix('/') else {
            return Err(Refusal::BadPath);
        };
        if raw.len() > PATH_OCTETS_MAX {
            return Err(Refusal::PathTooLong);
        }
        let directory = rest.is_empty() || rest.ends_with('/');
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let mut segments = Vec::new();
        if !rest.is_empty() || raw.len() > 1 {
            for (index, part) in rest.split('/').enumerate() {
                if index == SEGMENTS_MAX {
                    return Err(Refusal::PathTooLong);
                }
                let segment = decode(part)?;
                if segment.is_empty() || (!dotfiles && is_hidden(index, &segment)) {
                    return Err(Refusal::NotFound);
                }
                segments.push(segment);
            }
        }
        Ok(Self {
            segments,
            directory,
        })
    }

    /// Whether the path ends with a slash, and so names a directory.
    pub(super) fn is_directory(&self) -> bool {
        self.directory
    }

    /// The decoded names, from the folder downwards.
    pub(super) fn segments(&self) -> &[String] {
        &self.segments
    }

    /// The path below the folder; `.` is the folder itself.
    pub(super) fn relative(&self) -> String {
        if self.segments.is_empty() {
            ".".to_owned()
        } else {
            self.segments.join("/")
        }
    }
}

/// Whether a name is kept from visitors: it begins with a dot, and is not the top's `.well-known`.
fn is_hidden(index: usize, segment: &str) -> bool {
    segment.starts_with('.') && !(index == 0 && segment == ".well-known")
}

/// Whether a visitor has a path to `below`, which is relative to the folder: no name on it is kept from visitors.
pub(super) fn is_open(below: &Path, dotfiles: bool) -> bool {
    let names = below.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_string_lossy()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => {
            None
        }
    });
    dotfiles
        || !names
            .enumerate()
            .any(|(index, name)| is_hidden(index, &name))
}

/// Whether the last name of a path is that of a key: a node's own, or a provider's. Whoever has its content is them, so no option opens it.
/// Also in capitals or with dots at the end, by which some file systems find the same file.
pub(super) fn is_key(relative: &str) -> bool {
    let name = relative.rsplit('/').next().unwrap_or(relative);
    let name = name.trim_end_matches(['.', ' ']);
    KEYS.iter().any(|key| {
        // Both ways: some letters have a capital and are not its small letter.
        let folded = name.chars().flat_map(char::to_uppercase);
        folded.flat_map(char::to_lowercase).eq(key.chars())
    })
}

/// Percent-decodes one segment strictly.
fn decode(part: &str) -> Result<String, Refusal> {
    let octets = part.as_bytes();
    let mut at = 0;
    while at < octets.len() {
        if octets[at] == b'%' {
            match octets.get(at + 1..at + 3) {
                Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => at += 3,
                _ => return Err(Refusal::BadPath),
            }
        } else {
            at += 1;
        }
    }
    let segment = percent_decode(octets)
        .decode_utf8()
        .map_err(|_| Refusal::BadPath)?
        .into_owned();
    let refused = |c: char| c == '/' || c == '\\' || c.is_control();
    if segment == "." || segment == ".." || segment.contains(refused) {
        return Err(Refusal::BadPath);
    }
    Ok(segment)
}

/// The other spellings under which a file system may keep a name: composed (NFC, what most systems and keyboards
/// write) and decomposed (NFD, what macOS wrote).
pub(super) fn other_spellings(name: &str) -> Vec<String> {
    let mut spellings = Vec::new();
    if !name.is_ascii() {
        if !is_nfc(name) {
            spellings.push(name.nfc().collect());
        }
        if !is_nfd(name) {
            spellings.push(name.nfd().collect());
        }
    }
    spellings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(raw: &str) -> Result<String, Refusal> {
        RequestPath::parse(raw, false).map(|path| {
            format!(
                "{}{}",
                path.relative(),
                if path.is_directory() { "/" } else { "" }
            )
        })
    }

    #[test]
    fn a_decoded_path_names_a_file_below_the_folder() {
        for (raw, expected) in [
            ("/", "./"),
            ("/a", "a"),
            ("/a/", "a/"),
            ("/a/b.txt", "a/b.txt"),
            ("/a%20b", "a b"),
            ("/100%25", "100%"),
            ("/%ED%95%9C%EA%B8%80.txt", "한글.txt"),
            ("/한글.txt", "한글.txt"),
            ("/.well-known/x", ".well-known/x"),
            ("/a..b", "a..b"),
            ("/...", "..."),
        ] {
            if raw == "/..." {
                assert_eq!(parsed(raw), Err(Refusal::NotFound), "{raw}");
            } else {
                assert_eq!(parsed(raw).as_deref(), Ok(expected), "{raw}");
            }
        }
    }

    #[test]
    fn what_could_leave_the_folder_or_be_read_in_two_ways_is_refused() {
        for raw in [
            "",
            "a",
            "*",
            "/..",
            "/../x",
            "/a/../b",
            "/a/..",
            "/./a",
            "/%2e%2e/x",
            "/%2E%2E",
            "/.%2e/",
            "/a%2fb",
            "/a%2Fb",
            "/a\\b",
            "/a%5cb",
            "/a%00",
            "/%",
            "/%4",
            "/%zz",
            "/%+1",
            "/%ff",
            "/%ed%a0%80",
            "/a%0d%0ab",
            "/%7f",
            "/%c2%85",
        ] {
            assert_eq!(parsed(raw), Err(Refusal::BadPath), "{raw}");
        }
        for raw in [
            "/.git/config",
            "/a/.env",
            "/.well-known/.secret",
            "/a/.well-known/x",
            "//",
            "//etc/passwd",
            "/a//b",
            "/%2egit/",
        ] {
            assert_eq!(parsed(raw), Err(Refusal::NotFound), "{raw}");
        }
        assert_eq!(
            parsed(&format!("/{}", "a".repeat(PATH_OCTETS_MAX))),
            Err(Refusal::PathTooLong)
        );
        assert_eq!(
            parsed(&"/a".repeat(SEGMENTS_MAX + 1)),
            Err(Refusal::PathTooLong)
        );
    }

    #[test]
    fn dotfiles_pass_when_the_owner_says_so_but_never_dot_segments() {
        assert!(RequestPath::parse("/.git/config", true).is_ok());
        assert_eq!(
            RequestPath::parse("/.git/../x", true),
            Err(Refusal::BadPath)
        );
    }

    #[test]
    fn the_name_of_a_key_is_known_in_each_spelling_that_a_file_system_may_take_for_it() {
        for name in [
            "device.key",
            "issuer.key",
            "a/b/device.key",
            "Device.KEY",
            "device.key.",
            "device.key ",
            "device.\u{212a}ey",
            "i\u{17f}\u{17f}uer.key",
        ] {
            assert!(is_key(name), "{name}");
        }
        for name in [
            "",
            ".",
            "key",
            "device.keys",
            "my-device.key",
            "device.key.txt",
            "device.key/x",
        ] {
            assert!(!is_key(name), "{name}");
        }
    }

    #[test]
    fn a_korean_name_has_its_other_spelling() {
        let composed = "한글";
        let decomposed: String = composed.nfd().collect();
        assert_ne!(composed, decomposed);
        assert_eq!(other_spellings(composed), std::slice::from_ref(&decomposed));
        assert_eq!(other_spellings(&decomposed), [composed]);
        assert!(other_spellings("plain").is_empty());
    }
}
