//! Every word of a document, in each of its languages.

use std::fmt::Write as _;

use madang_protocol::amount::Amount;

use crate::operator::invoice_answer::{
    KindAnswer, TaxAnswer, TaxModeAnswer, UnitAnswer, UseAnswer,
};

/// A language that documents are written in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Language {
    /// English
    #[default]
    En,
    /// Korean
    Ko,
}

impl Language {
    /// The tag for `lang` (BCP 47).
    pub fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Ko => "ko",
        }
    }

    /// Either word.
    pub fn say(self, english: &'static str, korean: &'static str) -> &'static str {
        match self {
            Self::En => english,
            Self::Ko => korean,
        }
    }

    /// What a kind of document is called.
    pub fn kind(self, kind: KindAnswer) -> &'static str {
        match kind {
            KindAnswer::Invoice => self.say("Invoice", "청구서"),
            KindAnswer::CreditNote => self.say("Credit note", "감액 청구서"),
            KindAnswer::Statement => self.say("Sales statement", "판매 명세서"),
            KindAnswer::StatementCorrection => {
                self.say("Correction of sales statements", "판매 정정 명세서")
            }
        }
    }

    /// A tax.
    pub fn tax(self, tax: TaxAnswer) -> String {
        let rate = percent(tax.rate_bp);
        match tax.mode {
            _ if tax.rate_bp == 0 => self.say("no tax", "세금 없음").to_owned(),
            TaxModeAnswer::Inclusive => format!("{rate} {}", self.say("included", "포함")),
            TaxModeAnswer::Exclusive => format!("{rate} {}", self.say("added", "별도")),
            TaxModeAnswer::Reverse => format!(
                "{rate} {}",
                self.say("reverse charge: the buyer owes the tax", "매입자 납부")
            ),
        }
    }

    /// How much was used, of what, and at which price.
    pub fn used(self, used: &UseAnswer, currency: &str) -> String {
        let (quantity, free, unit) = match used.unit {
            UnitAnswer::Requests => (
                grouped(used.quantity),
                grouped(used.free),
                self.say("requests", "회"),
            ),
            UnitAnswer::Octets => (
                parts_of(used.quantity, OCTETS_PER_MIB),
                parts_of(used.free, OCTETS_PER_MIB),
                "MiB",
            ),
            UnitAnswer::Milliseconds => (
                parts_of(used.quantity, MILLIS_PER_MINUTE),
                parts_of(used.free, MILLIS_PER_MINUTE),
                self.say("min", "분"),
            ),
            UnitAnswer::Passes => (
                grouped(used.quantity),
                grouped(used.free),
                self.say("passes", "이용권"),
            ),
        };
        let price = money(used.unit_price);
        let mut text = format!("{quantity} {unit} × {price} {currency}");
        if used.free > 0 {
            let _ = write!(text, ", {free} {}", self.say("of them free", "무료 포함"));
        }
        text
    }
}

/// An amount with commas between thousands.
pub fn money(amount: Amount) -> String {
    let text = amount.to_string();
    match text.split_once('.') {
        Some((units, fraction)) => format!("{}.{fraction}", with_commas(units)),
        None => with_commas(&text),
    }
}

fn grouped(count: u64) -> String {
    with_commas(&count.to_string())
}

fn with_commas(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count in larger units, to three decimals, rounded down.
fn parts_of(count: u64, unit: u64) -> String {
    let thousandths = count % unit * 1_000 / unit;
    if thousandths == 0 && count.is_multiple_of(unit) {
        return grouped(count / unit);
    }
    format!("{}.{thousandths:03}", grouped(count / unit))
}

fn percent(basis_points: u16) -> String {
    match basis_points % 100 {
        0 => format!("{}%", basis_points / 100),
        rest => format!("{}.{rest:02}%", basis_points / 100),
    }
}

const OCTETS_PER_MIB: u64 = 1 << 20;
const MILLIS_PER_MINUTE: u64 = 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_as_people_write_them() {
        assert_eq!(money(Amount::from_micros(1_234_567_500_000)), "1,234,567.5");
        assert_eq!(money(Amount::from_micros(999_000_000)), "999");
        assert_eq!(money(Amount::ZERO), "0");
        assert_eq!(parts_of(3 << 19, OCTETS_PER_MIB), "1.500");
        assert_eq!(parts_of(1, OCTETS_PER_MIB), "0.000");
        assert_eq!(parts_of(2_048 << 20, OCTETS_PER_MIB), "2,048");
        assert_eq!(
            (percent(1_000), percent(750)),
            ("10%".into(), "7.50%".into())
        );
    }
}
