//! Price lists as a visitor reads them. A tax that comes on top of a price is said beside it.

use madang_protocol::{
    amount::{Amount, Currency, MICROS_PER_UNIT},
    record::{
        network::Tax,
        tariff::{PassOffer, Quota, Rule},
    },
    rules::used::grouped,
};
use maud::{Markup, html};

use super::words::Language;
use crate::fetch::Quote;

/// In what prices are said.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) language: Language,
    pub(super) currency: Currency,
    pub(super) tax: Tax,
}

impl Terms {
    pub(super) fn of(quote: &Quote, language: Language) -> Self {
        Self {
            language,
            currency: quote.tariff.currency,
            tax: quote.tax,
        }
    }
}

/// The price of the quote's rule in large letters, and the whole list where there is more of it.
pub(super) fn table(language: Language, quote: &Quote) -> Markup {
    let (tariff, terms) = (&quote.tariff, Terms::of(quote, language));
    let priced: Vec<&Rule> = tariff
        .rules
        .iter()
        .filter(|rule| rule.has_price())
        .collect();
    html! {
        @if let Some(rule) = tariff.rules.get(quote.rule) {
            @for line in lines(terms, rule) { p.price { (line) } }
            @if let Some(free) = free(language, rule) { p.free { (free) } }
        }
        @if priced.len() > 1 {
            h2 { (language.say("All prices of this site", "이 사이트의 모든 가격")) }
            table {
                thead { tr { th scope="col" { (language.say("Pages", "페이지")) } th scope="col" { (language.say("Price", "가격")) } } }
                tbody { @for rule in priced { tr {
                    td { code { (rule.pattern) } }
                    td {
                        (lines(terms, rule).join("; "))
                        @if let Some(free) = free(language, rule) { br; span.soft { (free) } }
                    }
                } } }
            }
        }
    }
}

/// What a rule costs, a line for each unit.
pub(super) fn lines(terms: Terms, rule: &Rule) -> Vec<String> {
    let units = [
        (rule.per_request, "per request", "1회당"),
        (rule.per_mib, "per MiB", "1 MiB당"),
        (rule.per_minute, "per minute", "1분당"),
    ];
    let mut lines: Vec<String> = units
        .iter()
        .filter(|(price, ..)| !price.is_zero())
        .map(|(price, english, korean)| {
            let price = taxed(terms, *price);
            match terms.language {
                Language::English => format!("{price} {english}"),
                Language::Korean => format!("{korean} {price}"),
            }
        })
        .collect();
    if let (true, Some(offer)) = (lines.is_empty(), rule.pass) {
        lines.push(pass(terms, &offer));
    }
    lines
}

/// A pass and its price.
pub(super) fn pass(terms: Terms, offer: &PassOffer) -> String {
    let (days, price) = (offer.days, taxed(terms, offer.price));
    match (terms.language, days) {
        (Language::English, 1) => format!("{price} for a day"),
        (Language::English, _) => format!("{price} for {days} days"),
        (Language::Korean, _) => format!("{days}일 이용권 {price}"),
    }
}

/// That an amount is what leaves the wallet, where that is not the price alone.
pub(super) fn included(language: Language, tax: Tax) -> &'static str {
    match tax.on_top() {
        Some(_) => language.say("tax included", "세금 포함"),
        None => "",
    }
}

/// A price, and the tax that comes on top of it.
fn taxed(terms: Terms, price: Amount) -> String {
    let price = money(price, terms.currency);
    match (terms.tax.on_top(), terms.language) {
        (None, _) => price,
        (Some(percent), Language::English) => format!("{price} + {percent} tax"),
        (Some(percent), Language::Korean) => format!("{price} + 세금 {percent}"),
    }
}

/// What is free under a rule, if anything is.
fn free(language: Language, rule: &Rule) -> Option<String> {
    let Quota {
        requests,
        bytes,
        milliseconds,
    } = rule.quota;
    let mut parts = Vec::new();
    match (language, requests) {
        (_, 0) => {}
        (Language::English, 1) => parts.push("1 request".to_owned()),
        (Language::English, _) => parts.push(format!("{requests} requests")),
        (Language::Korean, _) => parts.push(format!("{requests}회")),
    }
    if bytes > 0 {
        let units = [
            (1 << 30, " GiB"),
            (1 << 20, " MiB"),
            (1 << 10, " KiB"),
            (1, " B"),
        ];
        parts.push(counted(bytes, &units));
    }
    if milliseconds > 0 {
        let units = match language {
            Language::English => [
                (3_600_000, " h"),
                (60_000, " min"),
                (1_000, " s"),
                (1, " ms"),
            ],
            Language::Korean => [
                (3_600_000, "시간"),
                (60_000, "분"),
                (1_000, "초"),
                (1, "밀리초"),
            ],
        };
        parts.push(counted(milliseconds, &units));
    }
    let what = parts.join(", ");
    let text = match (language, rule.quota_period_days) {
        (Language::English, 1) => format!("{what} free every day"),
        (Language::English, days) => format!("{what} free every {days} days"),
        (Language::Korean, 1) => format!("매일 {what} 무료"),
        (Language::Korean, days) => format!("{days}일마다 {what} 무료"),
    };
    (!parts.is_empty()).then_some(text)
}

/// `count` in the largest unit that leaves it whole.
fn counted(count: u64, units: &[(u64, &str)]) -> String {
    let fits = units.iter().find(|(size, _)| count.is_multiple_of(*size));
    fits.map_or_else(
        || count.to_string(),
        |(size, unit)| format!("{}{unit}", count / size),
    )
}

/// An amount with its thousands set apart.
pub(super) fn money(amount: Amount, currency: Currency) -> String {
    let text = amount.to_string();
    let fraction = text.find('.').map_or("", |point| &text[point..]);
    format!(
        "{}{fraction} {currency}",
        grouped(amount.micros() / MICROS_PER_UNIT)
    )
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use madang_protocol::{
        record::{network::TaxMode, tariff::Audience},
        rules::price::parse_rule,
    };

    use super::*;

    fn read(text: &str, tax: Tax) -> [String; 2] {
        let (rule, _) = parse_rule(&format!("/**={text}"), Audience::Anyone).unwrap();
        [Language::English, Language::Korean].map(|language| {
            let terms = Terms {
                language,
                currency: Currency::KRW,
                tax,
            };
            let mut words = lines(terms, &rule);
            words.extend(free(language, &rule));
            words.join("; ")
        })
    }

    #[test]
    fn prices_read_as_people_say_them() {
        for (written, english, korean) in [
            ("500 KRW", "500 KRW per request", "1회당 500 KRW"),
            ("12000 KRW/MiB", "12,000 KRW per MiB", "1 MiB당 12,000 KRW"),
            ("0.5 KRW/min", "0.5 KRW per minute", "1분당 0.5 KRW"),
            (
                "9000 KRW/30d",
                "9,000 KRW for 30 days",
                "30일 이용권 9,000 KRW",
            ),
            (
                "500 KRW + free 1 request/1d",
                "500 KRW per request; 1 request free every day",
                "1회당 500 KRW; 매일 1회 무료",
            ),
            (
                "2 KRW/MiB + free 1536 KiB/30d + free 90 min/30d",
                "2 KRW per MiB; 1536 KiB, 90 min free every 30 days",
                "1 MiB당 2 KRW; 30일마다 1536 KiB, 90분 무료",
            ),
        ] {
            assert_eq!(read(written, Tax::NONE), [english, korean], "{written}");
        }
    }

    #[test]
    fn a_tax_on_top_is_said_beside_each_price_and_one_within_it_is_not() {
        let tax = |mode| Tax {
            rate_bp: 1_000,
            mode,
        };
        for (written, english, korean) in [
            (
                "500 KRW",
                "500 KRW + 10 % tax per request",
                "1회당 500 KRW + 세금 10 %",
            ),
            (
                "9000 KRW/30d",
                "9,000 KRW + 10 % tax for 30 days",
                "30일 이용권 9,000 KRW + 세금 10 %",
            ),
        ] {
            assert_eq!(read(written, tax(TaxMode::Exclusive)), [english, korean]);
            assert_eq!(
                read(written, tax(TaxMode::Inclusive)),
                read(written, Tax::NONE)
            );
        }
    }
}
