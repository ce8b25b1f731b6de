//! Every word of the proxy's pages, in each of its languages.

use http::{HeaderMap, header};

/// A language that pages are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    /// English.
    English,
    /// Korean.
    Korean,
}

impl Language {
    /// What the browser likes best among ours; English where it does not say.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let wanted = headers
            .get(header::ACCEPT_LANGUAGE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let weigh = |language: &str| {
            let tags = wanted
                .split(',')
                .map(|tag| tag.split_once(';').unwrap_or((tag, "")));
            let own = tags.filter(|(tag, _)| {
                tag.trim().to_ascii_lowercase().split('-').next() == Some(language)
            });
            own.map(|(_, weight)| thousandths(weight))
                .max()
                .unwrap_or(0)
        };
        if weigh("ko") > weigh("en") {
            Self::Korean
        } else {
            Self::English
        }
    }

    /// The tag for `lang` (BCP 47).
    pub(super) fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Korean => "ko",
        }
    }

    /// The text in this language.
    pub(super) fn say(self, english: &'static str, korean: &'static str) -> &'static str {
        match self {
            Self::English => english,
            Self::Korean => korean,
        }
    }
}

/// A quality value (RFC 9110, 12.4.2) in thousandths; 1 where none is given.
fn thousandths(weight: &str) -> u32 {
    let Some(value) = weight.trim().strip_prefix("q=") else {
        return 1_000;
    };
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    if whole == "1" {
        1_000
    } else {
        digits.parse().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

    use super::*;

    #[test]
    fn the_browser_chooses_the_language() {
        for (wanted, language) in [
            ("ko-KR,ko;q=0.9,en-US;q=0.8", Language::Korean),
            ("en-US,en;q=0.9,ko;q=0.8", Language::English),
            ("fr, ko;q=0.5", Language::Korean),
            ("fr", Language::English),
            ("ko;q=0", Language::English),
            (";;;,,q=ko", Language::English),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_LANGUAGE, wanted.parse().unwrap());
            assert_eq!(Language::of(&headers), language, "{wanted}");
        }
    }
}
