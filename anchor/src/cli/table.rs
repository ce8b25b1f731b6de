//! Plain tables, aligned by how wide a terminal shows a text; and CSV (RFC 4180).

use std::io;

/// Rows of cells, the first row names the columns. Numbers stand to the right.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
    /// Columns of words, from the left.
    words: usize,
}

impl Table {
    /// A table whose first `words` columns are words, and the others numbers.
    pub(super) fn new(names: Vec<String>, words: usize) -> Self {
        Self {
            rows: vec![names],
            words,
        }
    }

    pub(super) fn add(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    /// The lines, without blanks at their ends.
    pub(super) fn lines(&self) -> Vec<String> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|at| {
                let cells = self.rows.iter().filter_map(|row| row.get(at));
                cells.map(|cell| width(cell)).max().unwrap_or(0)
            })
            .collect();
        let line = |row: &Vec<String>| {
            let mut line = String::new();
            for (at, (cell, wide)) in row.iter().zip(&widths).enumerate() {
                if at > 0 {
                    line.push_str("  ");
                }
                let blanks = " ".repeat(wide - width(cell));
                let (before, behind) = if at < self.words {
                    ("", blanks.as_str())
                } else {
                    (blanks.as_str(), "")
                };
                line.push_str(before);
                line.extend(cell.chars().map(shown));
                line.push_str(behind);
            }
            line.trim_end().to_owned()
        };
        self.rows.iter().map(line).collect()
    }
}

/// Writes one row of CSV. Words that a spreadsheet would take for a formula get an apostrophe before them; numbers never begin with one.
pub(super) fn csv_row(
    out: &mut impl io::Write,
    words: &[&str],
    numbers: &[&str],
) -> io::Result<()> {
    let words = words.iter().map(|word| harmless(word));
    let cells: Vec<String> = words
        .chain(numbers.iter().map(|number| (*number).to_owned()))
        .map(|cell| quoted(&cell))
        .collect();
    write!(out, "{}\r\n", cells.join(","))
}

fn harmless(word: &str) -> String {
    if word.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{word}")
    } else {
        word.to_owned()
    }
}

fn quoted(cell: &str) -> String {
    if cell.contains(['"', ',', '\r', '\n']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

/// A terminal obeys no text.
fn shown(letter: char) -> char {
    if letter.is_control() {
        '\u{fffd}'
    } else {
        letter
    }
}

/// Columns of a terminal that a text takes.
fn width(text: &str) -> usize {
    text.chars().map(|letter| width_of(shown(letter))).sum()
}

/// As Unicode's East Asian Width and general category say, by blocks: combining letters take none, ideographs, kana and Hangul syllables two.
fn width_of(letter: char) -> usize {
    let code = u32::from(letter);
    let within = |blocks: &[(u32, u32)]| {
        let mut blocks = blocks.iter();
        blocks.any(|(first, last)| (*first..=*last).contains(&code))
    };
    if within(&NO_WIDTH) {
        0
    } else if within(&WIDE) {
        2
    } else {
        1
    }
}

/// Combining marks, Hangul vowels and finals that join a syllable, invisible signs.
const NO_WIDTH: [(u32, u32); 7] = [
    (0x0300, 0x036f),
    (0x1160, 0x11ff),
    (0x200b, 0x200f),
    (0x20d0, 0x20ff),
    (0xd7b0, 0xd7ff),
    (0xfe00, 0xfe0f),
    (0xe0100, 0xe01ef),
];
/// Wide and full-width letters.
const WIDE: [(u32, u32); 11] = [
    (0x1100, 0x115f),
    (0x2e80, 0x303e),
    (0x3041, 0x4dbf),
    (0x4e00, 0xa4cf),
    (0xa960, 0xa97f),
    (0xac00, 0xd7a3),
    (0xf900, 0xfaff),
    (0xfe30, 0xfe6f),
    (0xff00, 0xff60),
    (0xffe0, 0xffe6),
    (0x1f300, 0x3fffd),
];

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_one_another_in_korean_too() {
        let mut table = Table::new(vec!["site".into(), "rule".into(), "debit KRW".into()], 2);
        table.add(vec!["마당--날씨".into(), "/보고/**".into(), "1500".into()]);
        table.add(vec!["alice".into(), "/a\u{1b}[2J".into(), "3.5".into()]);
        let expected = [
            "site        rule      debit KRW",
            "마당--날씨  /보고/**       1500",
            "alice       /a\u{fffd}[2J          3.5",
        ];
        assert_eq!(table.lines(), expected);
    }

    #[test]
    fn csv_is_quoted_and_never_a_formula() {
        let mut octets = Vec::new();
        csv_row(&mut octets, &["=1+1", "a \"b\", c", "마당"], &["-0.5", "7"]).unwrap();
        let text = String::from_utf8(octets).unwrap();
        assert_eq!(text, "'=1+1,\"a \"\"b\"\", c\",마당,-0.5,7\r\n");
    }
}
