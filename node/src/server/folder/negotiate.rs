//! Chooses how a file is coded for transfer, from `Accept-Encoding` (RFC 9110 section 12.5.3). Pure.

use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderValue};

/// A content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Coding {
    /// Brotli, RFC 7932: smallest for text.
    Brotli,
    /// Zstandard, RFC 8878.
    Zstd,
    /// gzip, RFC 1952: understood everywhere.
    Gzip,
}

impl Coding {
    /// Every coding, in the order we prefer where the client has no preference.
    pub(super) const ALL: [Self; 3] = [Self::Brotli, Self::Zstd, Self::Gzip];

    /// The token in HTTP.
    pub(super) fn token(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// The value of `Content-Encoding`.
    pub(super) fn header(self) -> HeaderValue {
        HeaderValue::from_static(self.token())
    }

    /// What a precompressed sibling's name ends with.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Zstd => ".zst",
            Self::Gzip => ".gz",
        }
    }
}

/// A weight in thousandths, 0 to 1,000.
type Weight = u16;

/// The codings that a client takes rather than the plain file, best first. Empty: send it plain.
pub(super) fn acceptable(headers: &HeaderMap) -> Vec<Coding> {
    let mut weights: [Option<Weight>; 3] = [None; 3];
    let (mut plain, mut others) = (None, None);
    for item in headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
    {
        let (token, parameters) = item.split_once(';').unwrap_or((item, ""));
        let Some(weight) = weight(parameters) else {
            continue;
        };
        let token = token.trim();
        if token == "*" {
            others = Some(weight);
        } else if token.eq_ignore_ascii_case("identity") {
            plain = Some(weight);
        } else if let Some(index) = Coding::ALL
            .iter()
            .position(|coding| token.eq_ignore_ascii_case(coding.token()))
        {
            weights[index] = Some(weight);
        } else if token.eq_ignore_ascii_case("x-gzip") {
            weights[2] = Some(weight);
        }
    }
    // Plain is always acceptable unless refused, but anything that is named goes before it.
    let plain = plain.or(others).unwrap_or(1);
    let mut taken: Vec<(Weight, Coding)> = Coding::ALL
        .iter()
        .zip(weights)
        .map(|(coding, weight)| (weight.or(others).unwrap_or(0), *coding))
        .filter(|(weight, _)| *weight > 0 && *weight >= plain)
        .collect();
    taken.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    taken.into_iter().map(|(_, coding)| coding).collect()
}

/// Reads `q=0.5` out of an item's parameters; 1 if it is not there, nothing if it is malformed.
fn weight(parameters: &str) -> Option<Weight> {
    let Some(value) = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("q")
            .then_some(value.trim())
    }) else {
        return Some(1000);
    };
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    let thousandths: Weight = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

/// The media type of a file by its name, without parameters.
pub(super) fn media_type(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    // What the table of mime_guess lacks, or says in an older way.
    for (known, media) in [
        ("mjs", "text/javascript"),
        ("hwp", "application/x-hwp"),
        ("hwpx", "application/hwp+zip"),
        ("zst", "application/zstd"),
    ] {
        if extension.eq_ignore_ascii_case(known) {
            return media;
        }
    }
    mime_guess::from_ext(extension)
        .first_raw()
        .unwrap_or("application/octet-stream")
}

/// How much of a text `content_type` wants to see: where HTML asks for its charset to be declared.
pub(super) const BEGINNING_OCTETS: usize = 1024;

/// The value of `Content-Type`, given the first octets of a text. UTF-8 is named only where it is true and the page does not say
/// otherwise: many Korean pages and notes are still in EUC-KR, and a header would overrule them.
pub(super) fn content_type(media: &'static str, beginning: Option<&[u8]>) -> HeaderValue {
    let named = beginning.is_some_and(|octets| {
        let octets = &octets[..octets.len().min(BEGINNING_OCTETS)];
        let declares = media == "text/html"
            && octets
                .windows(7)
                .any(|window| window.eq_ignore_ascii_case(b"charset"));
        !declares
            && std::str::from_utf8(octets)
                .err()
                .is_none_or(|error| error.error_len().is_none())
    });
    if named && let Ok(value) = HeaderValue::try_from(format!("{media}; charset=utf-8")) {
        return value;
    }
    HeaderValue::from_static(media)
}

/// Whether files of this type shrink when they are compressed.
pub(super) fn is_compressible(media: &str) -> bool {
    media.starts_with("text/")
        || media.ends_with("+xml")
        || media.ends_with("+json")
        || matches!(
            media,
            "application/json"
                | "application/javascript"
                | "application/xml"
                | "application/wasm"
                | "application/rtf"
                | "application/x-ndjson"
                | "application/x-sh"
                | "application/vnd.ms-fontobject"
                | "font/ttf"
                | "font/otf"
                | "image/bmp"
                | "image/x-icon"
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use Coding::{Brotli, Gzip, Zstd};

    #[test]
    #[expect(clippy::unwrap_used, reason = "the values are literals")]
    fn weights_are_obeyed() {
        for (value, expected) in [
            ("gzip", vec![Gzip]),
            ("GZIP", vec![Gzip]),
            ("x-gzip", vec![Gzip]),
            ("gzip, deflate, br, zstd", vec![Brotli, Zstd, Gzip]),
            ("gzip;q=1.0, br;q=0.5", vec![Gzip, Brotli]),
            ("br;q=0.1, gzip ; Q=0.001", vec![Brotli, Gzip]),
            ("br;q=0, gzip", vec![Gzip]),
            ("gzip;q=0", vec![]),
            ("*", vec![Brotli, Zstd, Gzip]),
            ("*;q=0", vec![]),
            ("*, br;q=0", vec![Zstd, Gzip]),
            ("identity, gzip;q=0.5", vec![]),
            ("identity;q=0.5, gzip", vec![Gzip]),
            ("identity;q=0, gzip;q=0.1", vec![Gzip]),
            ("", vec![]),
            ("gzip;q=2", vec![]),
            ("gzip;q=-1", vec![]),
            ("gzip;q=0.1234", vec![]),
            ("gzip;q=1.001", vec![]),
            ("deflate", vec![]),
            ("brotli, ;;;", vec![]),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_str(value).unwrap());
            assert_eq!(acceptable(&headers), expected, "{value}");
        }
        assert_eq!(acceptable(&HeaderMap::new()), []);
    }

    #[test]
    fn media_types_are_known_and_only_loose_ones_are_compressed() {
        for (name, media, compressible) in [
            ("index.html", "text/html", true),
            ("a.JS", "text/javascript", true),
            ("a.json", "application/json", true),
            ("a.svg", "image/svg+xml", true),
            ("a.wasm", "application/wasm", true),
            ("a.png", "image/png", false),
            ("a.mp4", "video/mp4", false),
            ("a.zip", "application/zip", false),
            ("a.html.br", "application/octet-stream", false),
            ("보고서.hwp", "application/x-hwp", false),
            ("README", "application/octet-stream", false),
        ] {
            let found = media_type(name);
            assert_eq!(
                (found, is_compressible(found)),
                (media, compressible),
                "{name}"
            );
        }
    }

    #[test]
    fn utf_8_is_named_where_it_is_true_and_nothing_else_is_said() {
        let korean = "가".repeat(400);
        let euc_kr = [0xb0, 0xa1, b'\n'];
        for (media, beginning, expected) in [
            (
                "text/html",
                Some("<p>한글".as_bytes()),
                "text/html; charset=utf-8",
            ),
            (
                "text/html",
                Some(b"<!doctype html><META CHARSET=euc-kr>".as_slice()),
                "text/html",
            ),
            (
                "text/plain",
                Some(b"charset".as_slice()),
                "text/plain; charset=utf-8",
            ),
            (
                "text/plain",
                Some(korean.as_bytes()),
                "text/plain; charset=utf-8",
            ),
            ("text/plain", Some(euc_kr.as_slice()), "text/plain"),
            ("image/png", None, "image/png"),
        ] {
            assert_eq!(content_type(media, beginning), expected);
        }
    }
}
