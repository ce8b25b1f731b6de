//! A node's own refusal in an answer, told from what an application or a file says by its `type`. Whatever is not one is given back as it came.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, stream};
use http::{Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, BodyStream, StreamBody};
use madang_protocol::{broker::PROBLEM_PREFIX, reject::Reject};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Body;

/// The media type of problem documents (RFC 9457).
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";
/// Octets of a problem document that is read. Ours have some hundred.
const PROBLEM_BYTES_MAX: usize = 16 * 1_024;
/// A problem document is there within this time, or it is not ours.
const READ_WITHIN: Duration = Duration::from_secs(5);
/// Characters that are shown of what a peer says.
const WORDS_MAX: usize = 300;

/// A refusal of another node's own, as it says. Its words are a peer's: bounded, and without control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The end of `type`, behind [`PROBLEM_PREFIX`].
    pub slug: String,
    /// The document's title and detail, one sentence each; what the status says already is left out.
    pub words: String,
    /// The refusal's number, where it has one.
    pub code: Option<Reject>,
}

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    detail: String,
    code: Option<u16>,
}

impl Refusal {
    /// The refusal that `response` is, if it is one, and the response, whole again: only as much was read as a document of ours may have.
    pub async fn of(response: Response<Body>) -> (Option<Self>, Response<Body>) {
        let status = response.status();
        if !(status.is_client_error() || status.is_server_error()) || !is_problem(&response) {
            return (None, response);
        }
        let (parts, mut body) = response.into_parts();
        let mut held = BytesMut::new();
        let (refusal, ended) =
            match tokio::time::timeout(READ_WITHIN, collect(&mut body, &mut held)).await {
                Ok(Ok(None)) => (read_document(status, &held), None),
                // What ended the reading belongs to the body as well.
                Ok(Ok(Some(frame))) => (None, Some(Ok(frame))),
                Ok(Err(error)) => (None, Some(Err(error))),
                Err(_) => (None, None),
            };
        let before = stream::iter([Ok(Frame::data(held.freeze()))]).chain(stream::iter(ended));
        let body = StreamBody::new(before.chain(BodyStream::new(body)));
        let response = Response::from_parts(parts, BodyExt::boxed_unsync(body));
        (refusal, response)
    }
}

/// Whether `response` says that it is a problem document.
fn is_problem<B>(response: &Response<B>) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(PROBLEM_MEDIA_TYPE.as_bytes()))
        && !response.headers().contains_key(header::CONTENT_ENCODING)
}

/// Reads into `held` to the body's end; gives the frame that does not belong to a document of ours.
async fn collect(
    body: &mut Body,
    held: &mut BytesMut,
) -> Result<Option<Frame<Bytes>>, std::io::Error> {
    while let Some(frame) = body.frame().await {
        let frame = frame?;
        match frame.data_ref() {
            Some(data) if held.len() + data.len() <= PROBLEM_BYTES_MAX => {
                held.extend_from_slice(data);
            }
            Some(_) | None => return Ok(Some(frame)),
        }
    }
    Ok(None)
}

fn read_document(status: StatusCode, octets: &[u8]) -> Option<Refusal> {
    let document: Document = serde_json::from_slice(octets).ok()?;
    let slug = document.kind.strip_prefix(PROBLEM_PREFIX)?.to_owned();
    let is_news =
        |words: &&String| !words.is_empty() && Some(words.as_str()) != status.canonical_reason();
    let words: Vec<&str> = [&document.title, &document.detail]
        .into_iter()
        .filter(is_news)
        .map(String::as_str)
        .collect();
    let words = words.join(" ");
    Some(Refusal {
        slug,
        words: words
            .chars()
            .filter(|c| !c.is_control())
            .take(WORDS_MAX)
            .collect(),
        code: document.code.map(Reject),
    })
}

/// The document of a refusal of ours, `more` beside its words.
pub fn problem(status: StatusCode, slug: &str, words: &str, more: Value) -> Response<Body> {
    let mut document = json!({
        "type": format!("{PROBLEM_PREFIX}{slug}"),
        "title": words,
        "status": status.as_u16(),
    });
    if let (Value::Object(document), Value::Object(more)) = (&mut document, more) {
        document.extend(more);
    }
    let body = http_body_util::Full::new(Bytes::from(document.to_string()));
    let mut response = Response::new(body.map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        http::HeaderValue::from_static(PROBLEM_MEDIA_TYPE),
    );
    response
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

    use http_body_util::Full;

    use super::*;

    fn answer(text: String) -> Response<Body> {
        let body = Full::new(Bytes::from(text)).map_err(|never| match never {});
        let mut response = Response::new(body.boxed_unsync());
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        let kind = http::HeaderValue::from_static(PROBLEM_MEDIA_TYPE);
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }

    #[tokio::test]
    async fn a_refusal_of_ours_is_read_in_words_that_fit_a_terminal() {
        let (refusal, _) = Refusal::of(answer(
            json!({
                "type": "urn:madang:problem:store-full",
                "title": "Bad Gateway",
                "detail": format!("\u{1b}[2J{}", "가".repeat(1_000)),
                "code": 902,
            })
            .to_string(),
        ))
        .await;
        let refusal = refusal.unwrap();
        assert_eq!(
            (refusal.slug.as_str(), refusal.code),
            ("store-full", Some(Reject::STORE_FULL))
        );
        assert!(refusal.words.starts_with("[2J가"), "{}", refusal.words);
        assert_eq!(refusal.words.chars().count(), WORDS_MAX);
    }

    #[tokio::test]
    async fn what_is_not_ours_is_given_back_whole() {
        for text in [
            r#"{"type":"https://app.example/out-of-stock","title":"None left"}"#.to_owned(),
            "no document at all".to_owned(),
            format!(
                r#"{{"type":"urn:madang:problem:busy","title":"{}"}}"#,
                "x".repeat(PROBLEM_BYTES_MAX)
            ),
        ] {
            let (refusal, response) = Refusal::of(answer(text.clone())).await;
            assert_eq!(refusal, None, "{text}");
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, text.as_bytes());
        }
    }
}
