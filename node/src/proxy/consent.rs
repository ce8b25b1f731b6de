//! The consent page: prices are shown and agreed to on an origin that no site shares. It cannot be framed, read or submitted by a site: a page of
//! it is given to a whole window only, and an answer counts once, under a token that nobody can guess, and from this origin alone.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use madang_protocol::amount::{Amount, Currency};

use super::{
    failure::{self, Reader},
    local::{WAY_BACK, redirect},
    page::{self, Asking},
    pending::{Pending, Question, WayBack},
    words::Language,
};
use crate::{
    fetch::{Agreement, BUDGET_MAX, ConsentError, Consents},
    web::Body,
};

/// Octets of an answer's form.
const FORM_BYTES_MAX: usize = 4_096;

/// What the consent pages share.
pub(super) struct Desk<C> {
    pub(super) consents: C,
    pub(super) pending: Arc<Pending>,
    /// The port that browsers reach this listener at.
    pub(super) port: u16,
    pub(super) currency: Currency,
}

impl<C: Consents> Desk<C> {
    /// Answers one request.
    pub(super) async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let headers = request.headers();
        if !self.is_own_host(headers) {
            return failure::refused(
                StatusCode::MISDIRECTED_REQUEST,
                "host-foreign",
                "Not here",
                "This address is not served here.",
                Reader::of(headers),
            );
        }
        let language = Language::of(headers);
        let path = request.uri().path().to_owned();
        match (request.method(), path.strip_prefix("/consent/")) {
            (&Method::GET, Some(token)) if is_window(headers) => self.show(token, language),
            (&Method::POST, Some(token)) if self.is_own_form(headers) => {
                self.take(token, request, language).await
            }
            (&Method::GET, None) if path == "/" && is_window(headers) => {
                let (standing, today) = (self.consents.standing(), self.consents.today());
                page::agreements(language, &standing, today, self.currency)
            }
            (&Method::POST, None) if path == "/withdraw" && self.is_own_form(headers) => {
                self.withdraw(request).await
            }
            (&Method::GET | &Method::POST, Some(_)) => foreign(headers),
            (&Method::GET | &Method::POST, None) if path == "/" || path == "/withdraw" => {
                foreign(headers)
            }
            _ => failure::refused(
                StatusCode::NOT_FOUND,
                "not-found",
                "Nothing is here",
                "There is no such page.",
                Reader::of(headers),
            ),
        }
    }

    fn show(&self, token: &str, language: Language) -> Response<Body> {
        let Some(question) = self.pending.question(token, Instant::now()) else {
            return gone(language);
        };
        let budget = self.consents.budget_proposed().to_string();
        self.ask(&question, &budget, None, language)
    }

    fn ask(
        &self,
        question: &Question,
        budget: &str,
        wrong: Option<&'static str>,
        language: Language,
    ) -> Response<Body> {
        let asking = Asking {
            quote: &question.quote,
            target: &question.target,
            origin: &question.origin,
            budget,
            today: self.consents.today(),
            wrong,
        };
        page::consent(language, &asking)
    }

    async fn take(
        &self,
        token: &str,
        request: Request<Incoming>,
        language: Language,
    ) -> Response<Body> {
        let Some(question) = self.pending.question(token, Instant::now()) else {
            return gone(language);
        };
        let Some(form) = form(request).await else {
            return gone(language);
        };
        let typed = field(&form, "budget").unwrap_or_default();
        let again = |wrong| self.ask(&question, &typed, Some(wrong), language);
        let wants_pass = field(&form, "how").as_deref() == Some("pass");
        let budget: Amount = match typed.trim().parse() {
            Ok(budget) => budget,
            Err(_) => {
                return again(language.say(
                    "The amount is not a number such as 1000, 1,000 or 0.5.",
                    "금액은 1000, 1,000 또는 0.5와 같은 숫자로 적어 주세요.",
                ));
            }
        };
        if budget < question.quote.least(wants_pass) {
            return again(language.say(
                "That is less than this page costs, tax included.",
                "세금을 포함한 이 페이지의 가격보다 적은 금액입니다.",
            ));
        }
        if budget > BUDGET_MAX {
            return again(language.say(
                "That is more than a budget can be: at most 1000000000.",
                "예산은 1000000000까지 적을 수 있습니다.",
            ));
        }
        if !self.pending.answered(token, Instant::now()) {
            return gone(language);
        }
        let site = question.quote.site.clone();
        let standing = self.consents.standing();
        let agreement = Agreement::to(&question.quote, budget, wants_pass, &standing);
        if let Err(error) = self.consents.agree(agreement).await {
            return not_stored(&error, language);
        }
        let Ok(ticket) = super::server::token() else {
            return redirect(&question.origin);
        };
        self.pending.send_back(
            ticket.clone(),
            WayBack {
                site,
                target: question.target,
            },
            Instant::now(),
        );
        redirect(&format!("{}{WAY_BACK}{ticket}", question.origin))
    }

    async fn withdraw(&self, request: Request<Incoming>) -> Response<Body> {
        let language = Language::of(request.headers());
        let site = form(request)
            .await
            .and_then(|form| field(&form, "site"))
            .and_then(|site| site.parse().ok());
        let Some(site) = site else {
            return redirect("/");
        };
        match self.consents.withdraw(&site).await {
            Ok(()) => redirect("/"),
            Err(error) => not_stored(&error, language),
        }
    }

    fn is_own_host(&self, headers: &HeaderMap) -> bool {
        let own = format!("localhost:{}", self.port);
        let mut hosts = headers.get_all(header::HOST).iter();
        hosts
            .next()
            .is_some_and(|host| host.as_bytes().eq_ignore_ascii_case(own.as_bytes()))
            && hosts.next().is_none()
    }

    /// Whether a form was sent from this origin.
    fn is_own_form(&self, headers: &HeaderMap) -> bool {
        let own = format!("http://localhost:{}", self.port);
        let origin_fits = headers
            .get(header::ORIGIN)
            .is_some_and(|origin| origin.as_bytes() == own.as_bytes());
        let site_fits = headers
            .get("sec-fetch-site")
            .is_none_or(|site| site.as_bytes() == b"same-origin");
        origin_fits && site_fits
    }
}

/// Whether a page would fill the visitor's window, as far as the browser says.
fn is_window(headers: &HeaderMap) -> bool {
    headers
        .get("sec-fetch-dest")
        .is_none_or(|dest| dest.as_bytes() == b"document")
}

fn gone(language: Language) -> Response<Body> {
    page::notice(
        StatusCode::GONE,
        language,
        language.say(
            "This question has been answered",
            "이미 답하셨거나 오래된 질문입니다",
        ),
        language.say(
            "It was answered already, or it is too old.",
            "이미 답하셨거나 시간이 지났습니다.",
        ),
        language.say(
            "Open the site's page again.",
            "사이트의 페이지를 다시 열어 주세요.",
        ),
    )
}

fn not_stored(error: &ConsentError, language: Language) -> Response<Body> {
    let advice = language.say(
        "Free some disk space, then try again.",
        "디스크 공간을 확보한 뒤 다시 시도해 주세요.",
    );
    let title = language.say("Not done", "처리하지 못했습니다");
    page::notice(
        StatusCode::SERVICE_UNAVAILABLE,
        language,
        title,
        &error.to_string(),
        advice,
    )
}

fn foreign(headers: &HeaderMap) -> Response<Body> {
    failure::refused(
        StatusCode::FORBIDDEN,
        "origin-foreign",
        "Not from here",
        "This page is opened in a window of its own, and answered from itself.",
        Reader::of(headers),
    )
}

async fn form(request: Request<Incoming>) -> Option<Bytes> {
    let body = Limited::new(request.into_body(), FORM_BYTES_MAX)
        .collect()
        .await
        .ok()?;
    Some(body.to_bytes())
}

/// The value of `name` in a form (application/x-www-form-urlencoded).
fn field(form: &[u8], name: &str) -> Option<String> {
    let text = std::str::from_utf8(form).ok()?;
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    let value = pairs
        .filter(|(own, _)| *own == name)
        .map(|(_, value)| value.replace('+', " "))
        .next()?;
    Some(
        percent_encoding::percent_decode_str(&value)
            .decode_utf8()
            .ok()?
            .into_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forms_fields_are_read() {
        let form = "how=pass&site=%EC%B2%A0%EC%88%98&budget=1+000";
        assert_eq!(field(form.as_bytes(), "site").as_deref(), Some("철수"));
        assert_eq!(field(form.as_bytes(), "budget").as_deref(), Some("1 000"));
        assert_eq!(field(form.as_bytes(), "none"), None);
        assert_eq!(field(b"a=%ff", "a"), None);
    }
}
