//! What a person sees when a site cannot be shown, and when it has a price.

use http::{Response, StatusCode};
use madang_protocol::{
    amount::Currency,
    name::SiteName,
    record::tariff::{Quota, Rule, Tariff},
    time::UnixMillis,
};
use maud::{Markup, html};

use super::{look, words::Language};
use crate::{
    fetch::{Quote, Standing},
    web::Body,
};

/// A page that says what happened and what can be done.
pub(super) fn notice(
    status: StatusCode,
    language: Language,
    title: &str,
    happened: &str,
    advice: &str,
) -> Response<Body> {
    let content = html! { div.card { h1 { (title) } p { (happened) } p.soft { (advice) } } };
    look::page(status, language, title, &content)
}

/// As [`notice`], with a button that asks for the same page again from the site's own origin.
pub(super) fn go_on(
    language: Language,
    site: &SiteName,
    target: &str,
    quote: &Quote,
) -> Response<Body> {
    let title = language.say("This page has a price", "유료 페이지입니다");
    let content = html! {
        div.card {
            h1 { (title) }
            p { (language.say("You followed a link from another site to ", "다른 사이트의 링크를 따라 들어오셨습니다: ")) strong { (site) } "." }
            (prices(language, &quote.tariff, Some(quote.rule)))
            p.soft { (language.say("You agreed to pay this site before. Nothing is paid until you go on.", "이 사이트의 요금에는 이미 동의하셨습니다. 계속하기 전에는 결제되지 않습니다.")) }
            div.row { a.button href=(target) { (language.say("Go on", "계속")) } }
        }
    };
    look::page(StatusCode::PAYMENT_REQUIRED, language, title, &content)
}

/// Leads on from the consent page: from here the request comes from the site's own origin.
pub(super) fn way_back(language: Language, target: &str) -> Response<Body> {
    let title = language.say("One moment", "잠시만요");
    let content = html! {
        meta http-equiv="refresh" content={ "0;url=" (target) };
        div.card { h1 { (title) } div.row { a.button href=(target) { (language.say("Go on", "계속")) } } }
    };
    look::page(StatusCode::OK, language, title, &content)
}

/// What the consent page shows beside the price.
pub(super) struct Asking<'a> {
    /// The price.
    pub quote: &'a Quote,
    /// Path and query that the visitor wants.
    pub target: &'a str,
    /// The site's origin, for the way out.
    pub origin: &'a str,
    /// The budget in the form.
    pub budget: &'a str,
    /// What was wrong with the answer before, if there was one.
    pub wrong: Option<&'static str>,
}

/// Asks for agreement to a site's prices.
pub(super) fn consent(language: Language, asking: &Asking<'_>) -> Response<Body> {
    let (quote, tariff) = (asking.quote, &*asking.quote.tariff);
    let title = language.say("Pay this site?", "이 사이트에 결제할까요?");
    let rule = tariff.rules.get(quote.rule);
    let pass = rule.and_then(|rule| rule.pass);
    let only_pass = rule.is_some_and(Rule::is_pass_only);
    let content = html! {
        div.card {
            h1 { (title) }
            p { strong { (quote.site) } " · " (language.say("served by", "제공자")) " " (quote.seller.handle) }
            p.soft { code { (asking.target) } }
            (prices(language, tariff, Some(quote.rule)))
            form method="post" {
                @if let Some(wrong) = asking.wrong { p.wrong role="alert" { (wrong) } }
                @if let Some(pass) = pass {
                    fieldset {
                        legend { (language.say("How do you want to pay?", "결제 방식을 고르세요")) }
                        @if !only_pass { label { input type="radio" name="how" value="use" checked; " " (language.say("For what I use", "사용한 만큼")) } }
                        label {
                            input type="radio" name="how" value="pass" checked[only_pass]; " "
                            (pass_text(language, pass.price.to_string(), pass.days, tariff.currency))
                        }
                    }
                } @else { input type="hidden" name="how" value="use"; }
                label {
                    (language.say("At most, for this site, in all: ", "이 사이트에 최대: "))
                    input type="text" name="budget" inputmode="decimal" required value=(asking.budget); " " (tariff.currency)
                }
                p.soft { (language.say("You are asked again when this is used up or when a price changes.", "한도를 다 쓰거나 가격이 바뀌면 다시 여쭤봅니다.")) }
                div.row {
                    button type="submit" { (language.say("Agree", "동의")) }
                    a.button.quiet href=(asking.origin) { (language.say("Not now", "다음에")) }
                }
            }
        }
    };
    look::page(StatusCode::OK, language, title, &content)
}

/// The agreements that stand, each with a button that takes it back.
pub(super) fn agreements(
    language: Language,
    standing: &[Standing],
    currency: &str,
) -> Response<Body> {
    let title = language.say("Sites you agreed to pay", "결제에 동의한 사이트");
    let content = html! {
        h1 { (title) }
        @if standing.is_empty() { p.soft { (language.say("None. The first paid page of a site asks you.", "없습니다. 유료 페이지를 처음 열 때 여쭤봅니다.")) } }
        @for one in standing {
            div.card {
                h2 { (one.agreement.site) }
                p { (one.spent) " / " (one.agreement.budget) " " (currency) }
                p.soft { (language.say("since", "동의한 때")) " " (one.since) }
                form method="post" action="/withdraw" {
                    input type="hidden" name="site" value=(one.agreement.site);
                    button.quiet type="submit" { (language.say("Take back", "동의 철회")) }
                }
            }
        }
    };
    look::page(StatusCode::OK, language, title, &content)
}

/// A time as a visitor reads it: to the minute, in UTC.
pub(super) fn when(time: UnixMillis) -> String {
    let text = time.to_string();
    text.get(..16).map_or(text.clone(), |minute| {
        format!("{} UTC", minute.replace('T', " "))
    })
}

fn prices(language: Language, tariff: &Tariff, here: Option<usize>) -> Markup {
    let priced = tariff
        .rules
        .iter()
        .enumerate()
        .filter(|(_, rule)| rule.has_price());
    html! {
        @if let Some(rule) = here.and_then(|at| tariff.rules.get(at)) {
            @for line in price_lines(language, rule, tariff.currency) { p.price { (line) } }
            @if let Some(free) = free_text(language, &rule.quota, rule.quota_period_days) { p.soft { (free) } }
        }
        table {
            thead { tr { th scope="col" { (language.say("Pages", "페이지")) } th scope="col" { (language.say("Price", "가격")) } } }
            tbody { @for (_, rule) in priced { tr {
                td { code { (rule.pattern) } }
                td { (price_lines(language, rule, tariff.currency).join(" + ")) }
            } } }
        }
    }
}

/// What a rule costs, a line for each unit.
pub(super) fn price_lines(language: Language, rule: &Rule, currency: Currency) -> Vec<String> {
    let units = [
        (rule.per_request, language.say("per request", "1회")),
        (rule.per_mib, "MiB"),
        (rule.per_minute, language.say("per minute", "1분")),
    ];
    let mut lines: Vec<String> = units
        .iter()
        .filter(|(price, _)| !price.is_zero())
        .map(|(price, unit)| format!("{price} {currency} / {unit}"))
        .collect();
    if let (true, Some(pass)) = (lines.is_empty(), rule.pass) {
        lines.push(pass_text(
            language,
            pass.price.to_string(),
            pass.days,
            currency,
        ));
    }
    lines
}

fn pass_text(language: Language, price: String, days: u16, currency: Currency) -> String {
    match language {
        Language::English => format!("a pass for {days} days: {price} {currency}"),
        Language::Korean => format!("{days}일 이용권: {price} {currency}"),
    }
}

fn free_text(language: Language, quota: &Quota, days: u16) -> Option<String> {
    let mut parts = Vec::new();
    if quota.requests > 0 {
        parts.push(format!(
            "{} {}",
            quota.requests,
            language.say("requests", "회")
        ));
    }
    if quota.bytes > 0 {
        parts.push(format!("{} MiB", quota.bytes >> 20));
    }
    if quota.milliseconds > 0 {
        parts.push(format!(
            "{} {}",
            quota.milliseconds / 60_000,
            language.say("minutes", "분")
        ));
    }
    let what = parts.join(", ");
    match language {
        Language::English => {
            (!parts.is_empty()).then(|| format!("{what} free in every {days} days"))
        }
        Language::Korean => (!parts.is_empty()).then(|| format!("{days}일마다 {what} 무료")),
    }
}
