//! The one quiet design of the proxy's pages, and the headers that keep a page to itself.

use data_encoding::BASE64;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::words::Language;
use crate::web::Body;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1d2329;--soft:#5b6670;--paper:#fbfaf7;--card:#fff;--line:#dcd8cf;--leaf:#1f6b4a;--leaf-ink:#fff}\
@media(prefers-color-scheme:dark){:root{--ink:#e8e6e1;--soft:#a3abb2;--paper:#16191c;--card:#1f2327;--line:#363c42;--leaf:#7fd0a8;--leaf-ink:#0f1a15}}\
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:1rem/1.6 system-ui,'Noto Sans KR',sans-serif}\
main{max-width:38rem;margin:0 auto;padding:2.5rem 1.25rem}.card{background:var(--card);border:1px solid var(--line);border-radius:.75rem;padding:1.5rem;margin:1rem 0}\
h1{font-size:1.45rem;line-height:1.3;margin:0 0 .75rem}h2{font-size:1.05rem;margin:1.25rem 0 .5rem}p{margin:.5rem 0}.soft{color:var(--soft);font-size:.92rem}\
.brand{font-weight:600;color:var(--leaf);letter-spacing:.02em;text-decoration:none}.price{font-size:1.7rem;line-height:1.3;font-weight:650;margin:.75rem 0 .25rem}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.4rem .75rem .4rem 0;border-bottom:1px solid var(--line);vertical-align:top}\
th{font-weight:600;color:var(--soft);font-size:.88rem}code{overflow-wrap:anywhere}:lang(ko){word-break:keep-all}.free{color:var(--leaf);font-weight:600;margin:0 0 1rem}.amount{margin:.25rem 0}td.number,th.number{text-align:right;padding-right:0}\
a{color:var(--leaf)}button,.button{font:inherit;display:inline-block;border:1px solid var(--leaf);border-radius:.5rem;padding:.55rem 1.1rem;cursor:pointer;\
background:var(--leaf);color:var(--leaf-ink);text-decoration:none;font-weight:600}.quiet{background:transparent;color:var(--leaf)}\
:focus-visible{outline:3px solid var(--leaf);outline-offset:2px}label{display:block;margin:.5rem 0}input[type=text]{font:inherit;width:9rem;padding:.4rem .6rem;\
border:1px solid var(--soft);border-radius:.4rem;background:var(--paper);color:var(--ink)}input[type=radio]{accent-color:var(--leaf)}fieldset{border:0;padding:0;margin:1rem 0}.row{display:flex;gap:.75rem;\
flex-wrap:wrap;margin-top:1.25rem}.wrong{border-left:4px solid #b3261e;padding-left:.75rem}";

/// A page with `status`, titled `title`. It cannot be framed, runs no script, loads nothing, and is not stored.
pub(super) fn page(
    status: StatusCode,
    language: Language,
    title: &str,
    content: &Markup,
) -> Response<Body> {
    let markup = html! {
        (DOCTYPE)
        html lang=(language.tag()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · Madang" }
                style { (PreEscaped(STYLE)) }
            }
            body { main { a.brand href="/" { (language.say("Madang", "마당")) } (content) } }
        }
    };
    let mut response = Response::new(full(markup.into_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    headers.insert(
        header::CONTENT_LANGUAGE,
        HeaderValue::from_static(language.tag()),
    );
    headers.insert(
        header::VARY,
        HeaderValue::from_static("accept, accept-language"),
    );
    keep_to_itself(headers);
    response
}

/// The headers of everything that the proxy itself says.
pub(super) fn keep_to_itself(headers: &mut http::HeaderMap) {
    let hash = BASE64.encode(&Sha256::digest(STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; frame-ancestors 'none'; form-action 'self' http://*.localhost:* http://*.madang"
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(
        "cross-origin-opener-policy",
        HeaderValue::from_static("same-origin"),
    );
    headers.insert(
        "cross-origin-resource-policy",
        HeaderValue::from_static("same-origin"),
    );
}

/// A body of one piece.
pub(super) fn full(text: impl Into<bytes::Bytes>) -> Body {
    Full::new(text.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}
