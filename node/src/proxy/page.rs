//! What a person sees when a site cannot be shown, and when it has a price.

use http::{Response, StatusCode};
use madang_protocol::{amount::Currency, name::SiteName, record::tariff::Rule, time::UnixMillis};
use maud::{Markup, html};

use super::{look, prices, words::Language};
use crate::{
    fetch::{Quote, Standing, Today},
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
            (prices::table(language, quote))
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
    /// The day's budget, over all sites.
    pub today: Today,
    /// What was wrong with the answer before, if there was one.
    pub wrong: Option<&'static str>,
}

/// Asks for agreement to a site's prices.
pub(super) fn consent(language: Language, asking: &Asking<'_>) -> Response<Body> {
    let (quote, tariff) = (asking.quote, &*asking.quote.tariff);
    let title = language.say("Pay this site?", "이 사이트를 유료로 이용할까요?");
    let rule = tariff.rules.get(quote.rule);
    let pass = rule.and_then(|rule| rule.pass);
    let only_pass = rule.is_some_and(Rule::is_pass_only);
    let content = html! {
        div.card {
            h1 { (title) }
            p {
                @if quote.title.is_empty() { strong { (quote.site) } } @else { strong { (quote.title) } " · " (quote.site) }
                br; (language.say("Served by", "제공자:")) " " (quote.seller.handle)
            }
            (prices::table(language, quote))
            p.soft { (language.say("You asked for", "요청한 페이지:")) " " code { (asking.target) } }
            form method="post" {
                @if let Some(wrong) = asking.wrong { p.wrong role="alert" { (wrong) } }
                @if let Some(pass) = pass {
                    fieldset {
                        legend { (language.say("How do you want to pay?", "결제 방식을 고르세요")) }
                        @if !only_pass { label { input type="radio" name="how" value="use" checked; " " (language.say("For what I use", "사용한 만큼")) } }
                        label {
                            input type="radio" name="how" value="pass" checked[only_pass]; " "
                            (prices::pass(prices::Terms::of(quote, language), &pass))
                        }
                    }
                } @else { input type="hidden" name="how" value="use"; }
                label for="budget" { (language.say("Pay this site at most", "이 사이트에 쓸 최대 금액")) }
                p.amount { input #budget type="text" name="budget" inputmode="decimal" autocomplete="off" required value=(asking.budget); " " (tariff.currency) " " (prices::included(language, quote.tax)) }
                p.soft { (language.say("In all, not each time. You are asked again when it is used up or a price changes.", "한 번이 아니라 모두 합한 금액입니다. 다 쓰거나 가격이 바뀌면 다시 여쭤봅니다.")) }
                (day(language, asking.today, tariff.currency))
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
    today: Today,
    currency: Currency,
) -> Response<Body> {
    let title = language.say("Sites you agreed to pay", "결제에 동의한 사이트");
    let content = html! {
        h1 { (title) }
        (day(language, today, currency))
        @if standing.is_empty() { p.soft { (language.say("None. The first paid page of a site asks you.", "없습니다. 유료 페이지를 처음 열 때 여쭤봅니다.")) } }
        @if !standing.is_empty() { p.soft { (language.say(
            "What left your wallet, tax included, of what you agreed to. Each new agreement counts from zero; the bill has all of it.",
            "동의한 금액 가운데 지갑에서 나간 금액입니다(세금 포함). 새로 동의하면 0부터 다시 집계하며, 전체 내역은 청구서에 있습니다.",
        )) } }
        @for one in standing {
            div.card {
                h2 { (one.agreement.site) }
                p { (one.spent) " / " (one.agreement.budget) " " (currency) }
                p.soft { (language.say("counted since", "집계 시작:")) " " (when(one.since)) }
                form method="post" action="/withdraw" {
                    input type="hidden" name="site" value=(one.agreement.site);
                    button.quiet type="submit" { (language.say("Take back", "동의 철회")) }
                }
            }
        }
    };
    look::page(StatusCode::OK, language, title, &content)
}

/// How much of the day's budget is spent, and left.
fn day(language: Language, today: Today, currency: Currency) -> Markup {
    let money = |amount| prices::money(amount, currency);
    let (spent, budget, left) = (money(today.spent), money(today.budget), money(today.left()));
    let words = match language {
        Language::English => format!(
            "Today, over all sites: {spent} of {budget} spent, {left} left. It begins anew at midnight UTC."
        ),
        Language::Korean => format!(
            "오늘 모든 사이트에서 쓴 금액: {spent} (예산 {budget}, 남은 금액 {left}). 협정 세계시(UTC) 자정에 새로 시작됩니다."
        ),
    };
    html! { p.soft { (words) } }
}

/// A time as a visitor reads it: to the minute, in UTC.
pub(super) fn when(time: UnixMillis) -> String {
    let text = time.to_string();
    text.get(..16).map_or(text.clone(), |minute| {
        format!("{} UTC", minute.replace('T', " "))
    })
}
