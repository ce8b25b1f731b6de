//! Keywords: any text, Korean included, in the one form in which two people's keywords are compared.

use unicode_normalization::UnicodeNormalization;

use crate::limits::KEYWORD_BYTES_MAX;

/// A text whose form still changes after this many rounds is no keyword; two have been enough for every character alone.
const ROUNDS_MAX: usize = 4;

/// The form in which keywords are compared: compatibility-composed (NFKC), in lower case, white space folded.
/// `None` when nothing is left, when it is longer than [`KEYWORD_BYTES_MAX`], or when it holds control characters.
pub fn normalise(text: &str) -> Option<String> {
    let mut normal = folded(text);
    // One round can make what the next one changes: a spacing macron composes to a space and a combining one.
    for _ in 0..ROUNDS_MAX {
        let again = folded(&normal);
        if again == normal {
            let fits = !normal.is_empty()
                && normal.len() <= KEYWORD_BYTES_MAX
                && !normal.chars().any(char::is_control);
            return fits.then_some(normal);
        }
        normal = again;
    }
    None
}

fn folded(text: &str) -> String {
    let composed: String = text
        .nfkc()
        .collect::<String>()
        .to_lowercase()
        .nfkc()
        .collect();
    composed.split_whitespace().collect::<Vec<_>>().join(" ")
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

    #[test]
    fn every_character_has_a_form_that_is_its_own() {
        // All but unassigned ones, and the ideographs and syllables that are alike: a few of those stand for the rest.
        let letters = ('\0'..='\u{3500}').chain('\u{abf0}'..='\u{ac40}');
        let forms = ('\u{f900}'..='\u{11000}').chain('\u{1d000}'..='\u{1fb00}');
        for character in letters.chain(forms) {
            let text = format!("a{character}{character}b {character}");
            if let Some(normal) = normalise(&text) {
                assert_eq!(normalise(&normal), Some(normal), "{character:?}");
            }
            let alone = normalise(&character.to_string());
            let visible = !character.is_control() && !character.is_whitespace();
            assert_eq!(alone.is_some(), visible, "{character:?}");
        }
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
