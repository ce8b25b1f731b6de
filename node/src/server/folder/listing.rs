//! The page that lists a directory without an index, in Korean or English.

use cap_std::fs::Dir;
use http::HeaderMap;
use http::header::ACCEPT_LANGUAGE;
use maud::{DOCTYPE, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::path::is_key;
use super::refusal::Refusal;

/// Entries shown; a directory may hold millions.
const ENTRIES_MAX: usize = 5_000;
/// What stays as it is in a link.
const LINK: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
const STYLE: &str = "body{font:1.05rem/1.6 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}\
h1{font-size:1.4rem;overflow-wrap:anywhere}table{border-collapse:collapse;width:100%}th,td{text-align:start;padding:.35rem .5rem;border-bottom:1px solid #8884}\
td:first-child{overflow-wrap:anywhere}td+td,th+th{text-align:end;white-space:nowrap}";

/// The language of the page's own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    Korean,
    English,
}

impl Language {
    /// Korean if the reader names it before English.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let value = headers
            .get(ACCEPT_LANGUAGE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let first = value
            .split(',')
            .map(|tag| tag.trim().get(..2).unwrap_or_default().to_ascii_lowercase())
            .find(|tag| tag == "ko" || tag == "en");
        if first.as_deref() == Some("ko") {
            Self::Korean
        } else {
            Self::English
        }
    }

    fn code(self) -> &'static str {
        match self {
            Self::Korean => "ko",
            Self::English => "en",
        }
    }

    fn pick(self, korean: &'static str, english: &'static str) -> &'static str {
        match self {
            Self::Korean => korean,
            Self::English => english,
        }
    }
}

/// One line of a listing. Directories come first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    is_file: bool,
    name: String,
    octets: u64,
}

/// Reads the directory `relative` below `dir` and writes its page. `shown` is its path as people read it. Blocks.
pub(super) fn page(
    dir: &Dir,
    relative: &str,
    shown: &str,
    dotfiles: bool,
    language: Language,
) -> Result<String, Refusal> {
    let (lines, cut) = lines(dir, relative, dotfiles).map_err(|error| Refusal::from_io(&error))?;
    let title = format!("{} {shown}", language.pick("목록:", "Index of"));
    let page = html! {
        (DOCTYPE)
        html lang=(language.code()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (STYLE) }
            }
            body {
                main {
                    h1 { (title) }
                    @if relative != "." {
                        p { a href="../" { (language.pick("위로", "Up")) } }
                    }
                    @if lines.is_empty() {
                        p { (language.pick("비어 있습니다.", "This folder is empty.")) }
                    } @else {
                        table {
                            thead { tr { th scope="col" { (language.pick("이름", "Name")) } th scope="col" { (language.pick("크기", "Size")) } } }
                            tbody {
                                @for line in &lines {
                                    tr {
                                        td { a href=(link(line)) { (line.name) @if !line.is_file { "/" } } }
                                        td { @if line.is_file { (size(line.octets)) } }
                                    }
                                }
                            }
                        }
                    }
                    @if cut {
                        p { (language.pick("너무 많아서 일부만 보입니다.", "There are more than are shown.")) }
                    }
                }
            }
        }
    };
    Ok(page.into_string())
}

fn lines(dir: &Dir, relative: &str, dotfiles: bool) -> std::io::Result<(Vec<Line>, bool)> {
    let mut lines = Vec::new();
    for entry in dir.open_dir(relative)?.entries()? {
        let entry = entry?;
        // A name that is not UTF-8 has no address.
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if name.starts_with('.') && !dotfiles
            || is_key(&name)
            || name.contains(|c: char| c.is_control() || c == '\\')
        {
            continue;
        }
        // Through links, so that what leads out of the folder is not shown. A broken entry is no reason to fail.
        let Ok(metadata) = dir.metadata(format!("{relative}/{name}")) else {
            continue;
        };
        if metadata.is_dir() || metadata.is_file() {
            if lines.len() == ENTRIES_MAX {
                return Ok((sorted(lines), true));
            }
            lines.push(Line {
                is_file: metadata.is_file(),
                name,
                octets: metadata.len(),
            });
        }
    }
    Ok((sorted(lines), false))
}

fn sorted(mut lines: Vec<Line>) -> Vec<Line> {
    lines.sort();
    lines
}

/// Relative, and never taken for a scheme.
fn link(line: &Line) -> String {
    format!(
        "{}{}",
        utf8_percent_encode(&line.name, LINK),
        if line.is_file { "" } else { "/" }
    )
}

/// Octets as people read them.
fn size(octets: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if octets < 1024 {
        return format!("{octets} B");
    }
    let mut tenths = u128::from(octets) * 10 / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_links_are_readable() {
        for (octets, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1 << 30, "1.0 GiB"),
            (u64::MAX, "16383.9 PiB"),
        ] {
            assert_eq!(size(octets), expected);
        }
        let line = |name: &str, is_file| Line {
            is_file,
            name: name.to_owned(),
            octets: 0,
        };
        assert_eq!(
            link(&line("javascript:alert(1)", true)),
            "javascript%3Aalert%281%29"
        );
        assert_eq!(link(&line("한 글", false)), "%ED%95%9C%20%EA%B8%80/");
    }
}
