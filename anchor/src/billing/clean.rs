//! What becomes of text that came from others before it stands on a document.

/// `text` in one line, shortened: control characters, those that turn the direction of writing, and those that are not seen become a box. So
/// nobody's name hides, breaks or turns around what stands beside it.
pub(super) fn clean(text: &str) -> String {
    let mut clean: String = text
        .chars()
        .take(CHARS_MAX)
        .map(|c| if is_hidden(c) { BOX } else { c })
        .collect();
    if text.chars().nth(CHARS_MAX).is_some() {
        clean.push('…');
    }
    clean
}

/// What stands in place of what cannot be shown.
pub(super) const BOX: char = '□';
/// Characters of one text: more than a name that is not hostile has.
const CHARS_MAX: usize = 120;

fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{ffff}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_one_short_line_that_reads_from_left_to_right() {
        assert_eq!(clean("a\u{202e}b\u{0}c\nd\u{2066}\u{200b}"), "a□b□c□d□□");
        assert_eq!(clean("날씨 — café"), "날씨 — café");
        let long = clean(&"가".repeat(10_000));
        assert_eq!((long.chars().count(), long.ends_with('…')), (121, true));
        assert_eq!(clean(&"x".repeat(120)).len(), 120);
    }
}
