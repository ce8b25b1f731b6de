//! A document as words and rows: the same for every form in which it is shown.

use std::fmt::Write as _;

use super::{
    clean::clean,
    party::Party,
    words::{Language, money},
};
use crate::operator::invoice_answer::{DocumentAnswer, KindAnswer, LineAnswer, SumAnswer};

/// A document's lines, as many as are shown.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    /// The first ones.
    pub lines: Vec<LineAnswer>,
    /// How many are left out: the JSON form has them.
    pub left_out: u64,
}

impl Lines {
    /// Lines that people are shown of one document.
    pub const SHOWN_MAX: usize = 10_000;
}

/// A document as words and rows.
pub(super) struct Sheet {
    pub(super) language: Language,
    pub(super) title: String,
    pub(super) facts: Vec<(&'static str, String)>,
    /// The heads of a row's amounts.
    pub(super) heads: Vec<&'static str>,
    pub(super) rows: Vec<SheetRow>,
    /// By tax, and at the end all together.
    pub(super) totals: Vec<(String, Vec<String>)>,
    pub(super) notes: Vec<String>,
}

/// A line of a document.
pub(super) struct SheetRow {
    pub(super) date: String,
    pub(super) partner: String,
    pub(super) site: String,
    /// Pattern and what was used of it.
    pub(super) uses: Vec<(String, String)>,
    /// What else is to be said.
    pub(super) remarks: Vec<String>,
    pub(super) receipt: String,
    pub(super) amounts: Vec<String>,
}

impl Sheet {
    pub(super) fn new(document: &DocumentAnswer, lines: &Lines, language: Language) -> Self {
        let columns = columns(document.kind, language);
        let rows = lines.lines.iter();
        let mut totals: Vec<(String, Vec<String>)> = document
            .totals
            .iter()
            .map(|one| {
                let label = format!("{}: {}", language.say("Tax", "세금"), language.tax(one.tax));
                (label, amounts(&columns, document.kind, &one.sum))
            })
            .collect();
        totals.push((
            format!("{} ({})", language.say("Total", "합계"), document.currency),
            amounts(&columns, document.kind, &document.total),
        ));
        Self {
            language,
            title: format!("{} {}", language.kind(document.kind), document.number),
            facts: facts(document, language),
            heads: columns.iter().map(|(head, _)| *head).collect(),
            rows: rows
                .map(|line| row(document, line, &columns, language))
                .collect(),
            totals,
            notes: notes(document, lines, language),
        }
    }
}

type Column = (&'static str, fn(&SumAnswer) -> String);

fn columns(kind: KindAnswer, language: Language) -> Vec<Column> {
    let tax: Column = (language.say("Tax", "세액"), |sum| money(sum.tax));
    match kind {
        KindAnswer::Invoice | KindAnswer::CreditNote => vec![
            (language.say("Net", "공급가액"), |sum| money(sum.net)),
            tax,
            (language.say("Amount", "금액"), |sum| money(sum.gross)),
        ],
        KindAnswer::Statement | KindAnswer::StatementCorrection => vec![
            (language.say("Gross", "판매액"), |sum| money(sum.gross)),
            tax,
            (language.say("Commission", "수수료"), |sum| {
                money(sum.commission)
            }),
            (language.say("Earned", "수익"), |sum| money(sum.earned)),
        ],
    }
}

/// What is taken back stands below zero.
fn amounts(columns: &[Column], kind: KindAnswer, sum: &SumAnswer) -> Vec<String> {
    let sign = match kind {
        KindAnswer::CreditNote | KindAnswer::StatementCorrection => "-",
        KindAnswer::Invoice | KindAnswer::Statement => "",
    };
    let shown = columns.iter().map(|(_, show)| show(sum));
    shown
        .map(|text| {
            if text == "0" {
                text
            } else {
                format!("{sign}{text}")
            }
        })
        .collect()
}

fn facts(document: &DocumentAnswer, language: Language) -> Vec<(&'static str, String)> {
    let party = match document.kind {
        KindAnswer::Invoice | KindAnswer::CreditNote => language.say("Buyer", "구매자"),
        KindAnswer::Statement | KindAnswer::StatementCorrection => language.say("Seller", "판매자"),
    };
    let mut facts = vec![
        (language.say("Number", "번호"), document.number.to_string()),
        (language.say("Issued by", "발행자"), clean(&document.issuer)),
        (party, named(&document.party)),
        (
            language.say("Period", "기간"),
            format!("{} – {}", document.from, document.to),
        ),
        (
            language.say("Issued", "발행일"),
            document.issued.day().to_string(),
        ),
        (language.say("Lines", "항목 수"), document.lines.to_string()),
    ];
    if let Some(owed) = document.owed {
        let owed = format!("{} {}", money(owed), document.currency);
        facts.push((language.say("Owed when issued", "발행 시 미납액"), owed));
    }
    facts
}

fn notes(document: &DocumentAnswer, lines: &Lines, language: Language) -> Vec<String> {
    let hash = language.say("Hash over all lines (BLAKE3)", "모든 항목의 해시 (BLAKE3)");
    let mut notes = vec![format!("{hash}: {}", document.hash)];
    if lines.left_out > 0 {
        let words = language.say(
            "more lines are not shown here; the JSON form has all of them.",
            "개 항목은 여기에 표시되지 않았습니다. JSON 형식에 모두 있습니다.",
        );
        notes.push(format!("{} {words}", lines.left_out));
    }
    notes
}

fn row(
    document: &DocumentAnswer,
    line: &LineAnswer,
    columns: &[Column],
    language: Language,
) -> SheetRow {
    let uses = line.uses.iter().map(|used| {
        (
            clean(&used.pattern),
            language.used(used, &document.currency),
        )
    });
    let mut remarks = Vec::new();
    if let Some(number) = line.follows {
        let words = match document.kind {
            KindAnswer::Invoice | KindAnswer::Statement => {
                language.say("goes on from", "이전 문서")
            }
            KindAnswer::CreditNote | KindAnswer::StatementCorrection => {
                language.say("corrects", "정정 대상")
            }
        };
        remarks.push(format!("{words} {number}"));
    }
    if !line.taken_back.is_zero() {
        let words = language.say("taken back", "환불");
        remarks.push(format!("{words} {}", money(line.taken_back)));
    }
    SheetRow {
        date: line.granted.day().to_string(),
        partner: named(&line.partner),
        site: clean(&line.site),
        uses: uses.collect(),
        remarks,
        receipt: line
            .receipt
            .map_or_else(String::new, |receipt| receipt.to_string()),
        amounts: amounts(columns, document.kind, &line.sum),
    }
}

fn named(party: &Party) -> String {
    let mut name = clean(&party.handle.to_string());
    if let Some(tax_id) = &party.tax_id {
        let _ = write!(name, " ({})", clean(tax_id));
    }
    name
}
