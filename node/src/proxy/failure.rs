//! Why a site could not be shown, as a page for people and as a problem document (RFC 9457) for programs.

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use madang_protocol::{
    broker::PROBLEM_PREFIX,
    name::SiteName,
    reject::{Fault, Reject},
};
use serde_json::json;

use super::{look, page, prices, reasons, rebuild::Unfit, words::Language};
use crate::{
    fetch::FetchError,
    web::{Body, Refusal},
};

/// Who will read an answer of the proxy's own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader {
    /// What the browser likes best.
    pub(super) language: Language,
    /// A person is looking; a program gets a problem document.
    pub(super) wants_page: bool,
}

impl Reader {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let accepts = headers
            .get(header::ACCEPT)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        Self {
            language: Language::of(headers),
            wants_page: accepts.contains("text/html"),
        }
    }
}

/// The answer for `error` on `site`.
pub(super) fn answer(error: &FetchError, site: &SiteName, reader: Reader) -> Response<Body> {
    let (status, slug) = class(error);
    let mut response = if reader.wants_page {
        let language = reader.language;
        let (title, happened, advice) = words(error, site, language);
        page::notice(status, language, title, &happened, advice)
    } else {
        let language = Language::English;
        let (title, happened, advice) = words(error, site, language);
        problem(
            status,
            slug,
            title,
            &format!("{happened} {advice}"),
            price(error).as_deref(),
        )
    };
    if matches!(
        error,
        FetchError::Stalled | FetchError::AnchorAway | FetchError::Offline { .. }
    ) {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
    }
    response
}

/// The page for a refusal of the other node's own, `response` being the answer that told it.
pub(super) fn answer_told(
    refusal: &Refusal,
    response: &Response<Body>,
    reader: Reader,
) -> Response<Body> {
    let (status, language) = (response.status(), reader.language);
    let (happened, advice) = reasons::told(refusal, language);
    let title = match status {
        StatusCode::NOT_FOUND => language.say("Not found", "찾을 수 없습니다"),
        StatusCode::FORBIDDEN => {
            language.say("This is not open to you", "이용할 수 없는 페이지입니다")
        }
        _ if status.is_server_error() => language.say(
            "The site cannot answer now",
            "지금은 사이트가 응답할 수 없습니다",
        ),
        _ => language.say("The site refuses this", "사이트가 요청을 거절했습니다"),
    };
    let mut page = page::notice(status, language, title, happened, advice);
    for name in [header::ALLOW, header::RETRY_AFTER] {
        if let Some(value) = response.headers().get(&name) {
            page.headers_mut().insert(name, value.clone());
        }
    }
    page
}

/// The answer where the host cannot be a site's name.
pub(super) fn answer_no_name(reader: Reader) -> Response<Body> {
    let language = reader.language;
    let title = language.say("Not a site's name", "사이트 이름이 아닙니다");
    let happened = language.say(
        "The address holds no possible name of a site.",
        "주소에 사이트 이름이 될 수 없는 글자가 있습니다.",
    );
    let advice = language.say("Check the spelling.", "철자를 확인해 주세요.");
    if reader.wants_page {
        page::notice(StatusCode::NOT_FOUND, language, title, happened, advice)
    } else {
        problem(
            StatusCode::NOT_FOUND,
            Reject::NAME_INVALID.slug(),
            title,
            happened,
            None,
        )
    }
}

/// The answer to a request that is not passed on.
pub(super) fn answer_unfit(unfit: Unfit, reader: Reader) -> Response<Body> {
    let language = reader.language;
    let title = language.say(
        "The request cannot be passed on",
        "요청을 전달할 수 없습니다",
    );
    let happened = match unfit {
        Unfit::TwoEnds => language.say(
            "Its body has two ends: both Content-Length and Transfer-Encoding say where it stops.",
            "본문의 끝이 Content-Length와 Transfer-Encoding 두 가지로 표시되어 있습니다.",
        ),
        Unfit::Host => language.say(
            "The site's name cannot stand in a Host header.",
            "사이트 이름을 Host 헤더에 쓸 수 없습니다.",
        ),
    };
    let status = StatusCode::BAD_REQUEST;
    if reader.wants_page {
        page::notice(status, language, title, happened, "")
    } else {
        problem(status, "request-invalid", title, happened, None)
    }
}

/// A refusal of the proxy's own.
pub(super) fn refused(
    status: StatusCode,
    slug: &str,
    title: &'static str,
    detail: &'static str,
    reader: Reader,
) -> Response<Body> {
    if reader.wants_page {
        page::notice(status, Language::English, title, detail, "")
    } else {
        problem(status, slug, title, detail, None)
    }
}

fn problem(
    status: StatusCode,
    slug: &str,
    title: &str,
    detail: &str,
    price: Option<&str>,
) -> Response<Body> {
    let mut document = json!({
        "type": format!("{PROBLEM_PREFIX}{slug}"), "title": title, "status": status.as_u16(), "detail": detail.trim(),
    });
    if let Some(price) = price {
        document["price"] = price.into();
    }
    let mut response = Response::new(look::full(document.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    look::keep_to_itself(response.headers_mut());
    response
}

fn price(error: &FetchError) -> Option<String> {
    match error {
        FetchError::NotAgreed(quote)
        | FetchError::OverBudget(quote)
        | FetchError::DayUsedUp(quote)
        | FetchError::NoCredit(quote)
        | FetchError::TariffChanged(quote) => {
            let rule = quote.tariff.rules.get(quote.rule)?;
            let terms = prices::Terms::of(quote, Language::English);
            Some(prices::lines(terms, rule).join("; "))
        }
        FetchError::UnknownSite
        | FetchError::Offline { .. }
        | FetchError::AnchorAway
        | FetchError::DiskFull
        | FetchError::NotAllowed(_)
        | FetchError::Refused(_)
        | FetchError::PeerFault(_)
        | FetchError::Stalled
        | FetchError::Closed => None,
    }
}

fn class(error: &FetchError) -> (StatusCode, &'static str) {
    match error {
        FetchError::UnknownSite => (StatusCode::NOT_FOUND, "site-unknown"),
        FetchError::Offline { .. } => (StatusCode::SERVICE_UNAVAILABLE, "owner-offline"),
        FetchError::NotAgreed(_) => (StatusCode::PAYMENT_REQUIRED, Reject::CONSENT_NEEDED.slug()),
        FetchError::OverBudget(_) => (StatusCode::PAYMENT_REQUIRED, Reject::BUDGET_EXCEEDED.slug()),
        FetchError::DayUsedUp(_) => (StatusCode::PAYMENT_REQUIRED, "day-budget-exceeded"),
        FetchError::NoCredit(_) => (
            StatusCode::PAYMENT_REQUIRED,
            Reject::CREDIT_INSUFFICIENT.slug(),
        ),
        FetchError::TariffChanged(_) => {
            (StatusCode::PAYMENT_REQUIRED, Reject::TARIFF_CHANGED.slug())
        }
        FetchError::AnchorAway => (
            StatusCode::SERVICE_UNAVAILABLE,
            Reject::ANCHOR_UNREACHABLE.slug(),
        ),
        FetchError::DiskFull => (StatusCode::SERVICE_UNAVAILABLE, Reject::STORE_FULL.slug()),
        FetchError::NotAllowed(reject) => (StatusCode::FORBIDDEN, reject.slug()),
        FetchError::Refused(reject @ (Reject::FIELD_OUT_OF_BOUNDS | Reject::PATH_UNREADABLE)) => {
            (StatusCode::BAD_REQUEST, reject.slug())
        }
        FetchError::Refused(reject) if reject.fault() == Fault::NotNow => {
            (StatusCode::SERVICE_UNAVAILABLE, reject.slug())
        }
        FetchError::Refused(reject) => (StatusCode::BAD_GATEWAY, reject.slug()),
        FetchError::PeerFault(reject) => (StatusCode::BAD_GATEWAY, reject.slug()),
        FetchError::Stalled => (StatusCode::GATEWAY_TIMEOUT, "stalled"),
        FetchError::Closed => (StatusCode::SERVICE_UNAVAILABLE, "closing"),
    }
}

/// Title, what happened, and what can be done.
fn words(
    error: &FetchError,
    site: &SiteName,
    language: Language,
) -> (&'static str, String, &'static str) {
    let say = |english, korean| language.say(english, korean);
    let plain = |title, happened: &str, advice| (title, happened.to_owned(), advice);
    match error {
        FetchError::UnknownSite => (
            say("No site has this name", "이런 이름의 사이트가 없습니다"),
            format!("{} {site}.", say("Nobody announces", "찾을 수 없는 이름:")),
            say(
                "Check the spelling. If the site is new, it may take a minute to be known.",
                "철자를 확인해 주세요. 새 사이트라면 알려지기까지 1분쯤 걸릴 수 있습니다.",
            ),
        ),
        FetchError::Offline { last_seen } => {
            let seen = last_seen.map_or_else(String::new, |time| {
                format!(
                    " {} {}.",
                    say("It was last seen", "마지막으로 보인 때:"),
                    page::when(time)
                )
            });
            (
                say("The owner is offline", "주인이 오프라인입니다"),
                format!(
                    "{site} {}{seen}",
                    say(
                        "is served from its owner's own computer, which cannot be reached now.",
                        "사이트는 주인의 컴퓨터에서 제공되며 지금은 연결할 수 없습니다."
                    )
                ),
                say("Try again later.", "나중에 다시 시도해 주세요."),
            )
        }
        FetchError::NotAgreed(_) => plain(
            say("This page has a price", "유료 페이지입니다"),
            say(
                "Nothing was paid, because you have not agreed to this site's prices.",
                "이 사이트의 요금에 동의하지 않아 결제되지 않았습니다.",
            ),
            say(
                "Open the page itself in the browser's window to see the price.",
                "브라우저 창에서 페이지를 직접 열면 가격이 표시됩니다.",
            ),
        ),
        FetchError::OverBudget(_) => plain(
            say(
                "Over your budget for this site",
                "이 사이트의 예산을 넘습니다",
            ),
            say(
                "This page costs more than what is left of your budget for this site.",
                "이 사이트의 예산에 남은 금액보다 비싼 페이지입니다.",
            ),
            say(
                "Open the page itself in the browser's window to agree again.",
                "브라우저 창에서 페이지를 직접 열어 다시 동의할 수 있습니다.",
            ),
        ),
        FetchError::DayUsedUp(_) => plain(
            say("Over your budget for today", "오늘의 예산을 넘습니다"),
            say(
                "This page costs more than what is left of what all sites together may cost in one day. Free pages go on.",
                "하루 동안 모든 사이트에 쓸 수 있는 금액 가운데 남은 금액보다 비싼 페이지입니다. 무료 페이지는 계속 볼 수 있습니다.",
            ),
            say(
                "It begins anew at midnight UTC. To raise it, set per_day under [budget] in madang.toml and start the program again.",
                "협정 세계시(UTC) 자정에 새로 시작됩니다. 늘리려면 madang.toml의 [budget]에서 per_day를 바꾸고 프로그램을 다시 시작해 주세요.",
            ),
        ),
        FetchError::NoCredit(_) => plain(
            say("Your wallet does not hold enough", "지갑 잔액이 부족합니다"),
            say(
                "This page costs more than your wallet holds.",
                "지갑의 잔액으로는 이 페이지를 이용할 수 없습니다.",
            ),
            say(
                "Top it up with your provider, then reload this page.",
                "사업자에게서 충전한 다음 새로 고쳐 주세요.",
            ),
        ),
        FetchError::TariffChanged(_) => plain(
            say("The prices have changed", "가격이 바뀌었습니다"),
            say(
                "They are not those that you agreed to. Nothing was paid.",
                "동의하신 가격과 다릅니다. 결제되지 않았습니다.",
            ),
            say(
                "Open the page itself in the browser's window to see the new prices.",
                "브라우저 창에서 페이지를 직접 열면 새 가격이 표시됩니다.",
            ),
        ),
        FetchError::AnchorAway => plain(
            say("No new credit now", "지금은 새 결제를 할 수 없습니다"),
            say(
                "The provider cannot be reached. What was granted before goes on; free pages do too.",
                "사업자에 연결할 수 없습니다. 이미 허가된 이용과 무료 페이지는 계속됩니다.",
            ),
            say("Try again in a minute.", "잠시 뒤 다시 시도해 주세요."),
        ),
        FetchError::DiskFull => plain(
            say(
                "This computer's disk is full",
                "이 컴퓨터의 디스크가 가득 찼습니다",
            ),
            say(
                "What is paid could not be kept here, so nothing new is bought. Free pages go on.",
                "결제 기록을 저장할 수 없어 새로 결제하지 않습니다. 무료 페이지는 계속 볼 수 있습니다.",
            ),
            say(
                "Free some space on it, then reload this page.",
                "디스크에 빈 공간을 만든 다음 새로 고쳐 주세요.",
            ),
        ),
        FetchError::NotAllowed(reject) => (
            say("This is not open to you", "이용할 수 없는 페이지입니다"),
            reasons::of(*reject, language).to_owned(),
            say("Ask the site's owner.", "사이트 주인에게 문의해 주세요."),
        ),
        FetchError::Refused(Reject::PATH_UNREADABLE) => plain(
            say("This address cannot be read", "읽을 수 없는 주소입니다"),
            say(
                Reject::PATH_UNREADABLE.text(),
                "주소에 잘못된 % 표기, 글자(UTF-8)가 아닌 % 표기, % 표기된 /, 역슬래시, 제어 문자 또는 사이트 위로 나가는 ..이 있습니다.",
            ),
            say("Check the address.", "주소를 확인해 주세요."),
        ),
        FetchError::Refused(reject) => (
            say("Refused", "거절되었습니다"),
            reasons::of(*reject, language).to_owned(),
            say(
                "Reload the page to try again.",
                "새로 고쳐 다시 시도해 주세요.",
            ),
        ),
        FetchError::PeerFault(reject) => (
            say(
                "The site's server is at fault",
                "사이트 서버에 문제가 있습니다",
            ),
            reasons::of(*reject, language).to_owned(),
            say(
                "Nothing more is paid to it until you agree again.",
                "다시 동의하실 때까지 더는 결제되지 않습니다.",
            ),
        ),
        FetchError::Stalled => plain(
            say("The site stopped answering", "사이트가 응답하지 않습니다"),
            say(
                "The connection is there, but no answer came.",
                "연결은 되었지만 응답이 없습니다.",
            ),
            say(
                "Reload the page to try again.",
                "새로 고쳐 다시 시도해 주세요.",
            ),
        ),
        FetchError::Closed => plain(
            say("Closing", "종료 중"),
            say(
                "This program is shutting down.",
                "프로그램을 종료하는 중입니다.",
            ),
            "",
        ),
    }
}
