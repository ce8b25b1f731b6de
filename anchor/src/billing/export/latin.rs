//! The letters that banks take.
//!
//! The restricted Latin set of the European Payments Council (EPC217-08): `a-z A-Z 0-9 / - ? : ( ) . , ' +` and space. Where another set was agreed
//! with the bank, text stays as it is.

use unicode_normalization::char::decompose_canonical;

/// Which letters a bank takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Letters {
    /// The restricted Latin set: marks are left out, what has no Latin letter becomes a full stop.
    #[default]
    Latin,
    /// All that XML can say.
    Unicode,
}

impl Letters {
    /// `text` in these letters.
    pub fn write(self, text: &str) -> String {
        match self {
            Self::Latin => latin(text),
            Self::Unicode => text.chars().map(sayable).collect(),
        }
    }
}

fn latin(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            'Ä' => written.push_str("Ae"),
            'Ö' => written.push_str("Oe"),
            'Ü' => written.push_str("Ue"),
            'ä' => written.push_str("ae"),
            'ö' => written.push_str("oe"),
            'ü' => written.push_str("ue"),
            'ß' => written.push_str("ss"),
            'Æ' => written.push_str("AE"),
            'æ' => written.push_str("ae"),
            'Ø' => written.push('O'),
            'ø' => written.push('o'),
            'Ł' => written.push('L'),
            'ł' => written.push('l'),
            letter => written.push(base(letter)),
        }
    }
    // Two slashes together, or one at either end, mean something to a bank.
    while written.contains("//") {
        written = written.replace("//", "/");
    }
    written.trim_matches('/').to_owned()
}

/// The Latin letter below the marks.
fn base(letter: char) -> char {
    let mut first = None;
    decompose_canonical(letter, |part| {
        first.get_or_insert(part);
    });
    first.filter(|letter| is_latin(*letter)).unwrap_or('.')
}

fn is_latin(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "/-?:().,'+ ".contains(letter)
}

/// XML has no words for a few code points.
fn sayable(letter: char) -> char {
    if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') {
        '.'
    } else {
        letter
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn marks_are_left_out_and_other_scripts_are_said_to_be_missing() {
        for (text, written) in [
            ("Müller & Søn", "Mueller . Son"),
            ("José Łukasz Çelik", "Jose Lukasz Celik"),
            ("김미나", "..."),
            ("//a//b/", "a/b"),
            ("<b>\"x\"", ".b..x."),
        ] {
            assert_eq!(Letters::Latin.write(text), written);
        }
        assert_eq!(Letters::Unicode.write("김\u{ffff}"), "김.");
    }

    proptest! {
        #[test]
        fn nothing_else_is_ever_written(text: String) {
            let written = Letters::Latin.write(&text);
            prop_assert!(written.chars().all(is_latin) && !written.contains("//"));
        }
    }
}
