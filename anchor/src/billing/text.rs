//! Documents as plain text, for a terminal.

use std::fmt::Write as _;

use super::{Lines, sheet::Sheet, words::Language};
use crate::operator::invoice_answer::DocumentAnswer;

/// The document in lines of text.
pub fn render(document: &DocumentAnswer, lines: &Lines, language: Language) -> String {
    let sheet = Sheet::new(document, lines, language);
    let mut text = format!("{}\n\n", sheet.title);
    // Writing into a text never fails.
    for (label, value) in &sheet.facts {
        let _ = writeln!(text, "{label}: {value}");
    }
    for row in &sheet.rows {
        let _ = writeln!(text, "\n{} {} {}", row.date, row.partner, row.site);
        for (pattern, used) in &row.uses {
            let _ = writeln!(text, "  {pattern}  {used}");
        }
        for remark in &row.remarks {
            let _ = writeln!(text, "  {remark}");
        }
        let _ = writeln!(text, "  {}", labelled(&sheet.heads, &row.amounts));
        let receipt = language.say("receipt", "영수증");
        let _ = writeln!(text, "  {receipt} {}", row.receipt);
    }
    text.push('\n');
    for (label, amounts) in &sheet.totals {
        let _ = writeln!(text, "{label}: {}", labelled(&sheet.heads, amounts));
    }
    for note in &sheet.notes {
        let _ = writeln!(text, "{note}");
    }
    text
}

fn labelled(heads: &[&str], amounts: &[String]) -> String {
    let pairs = heads.iter().zip(amounts);
    let pairs: Vec<String> = pairs
        .map(|(head, amount)| format!("{head} {amount}"))
        .collect();
    pairs.join(", ")
}
