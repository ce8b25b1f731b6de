//! Keywords: any text, Korean included, in the one form in which two people's keywords are compared.

use unicode_normalization::UnicodeNormalization;

use crate::limits::KEYWORD_BYTES_MAX;

/// The form in which keywords are compared: white space folded, compatibility-composed (NFKC), in lower case.
/// `None` when nothing is left, when it is longer than [`KEYWORD_BYTES_MAX`], or when it holds control characters.
pub fn normalise(text: &str) -> Option<String> {
    let folded = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let normal: String = folded
        .nfkc()
        .collect::<String>()
        .to_lowercase()
        .nfkc()
        .collect();
    let fits = !normal.is_empty()
        && normal.len() <= KEYWORD_BYTES_MAX
        && !normal.chars().any(char::is_control);
    fits.then_some(normal)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_same_word_typed_differently_is_one_keyword() {
        // Composed and decomposed Hangul, full-width Latin, odd spaces.
        assert_eq!(
            normalise("\u{1102}\u{1161}\u{11af}\u{110a}\u{1175}"),
            normalise("날씨")
        );
        assert_eq!(
            normalise("  Ｗｅａｔｈｅｒ\u{3000}NOW "),
            Some("weather now".into())
        );
        assert_eq!(normalise(" \t"), None);
        assert_eq!(normalise(&"가".repeat(22)), None);
    }

    proptest! {
        #[test]
        fn a_normal_form_is_its_own(text in ".{0,40}") {
            if let Some(normal) = normalise(&text) {
                prop_assert_eq!(normalise(&normal), Some(normal));
            }
        }
    }
}
