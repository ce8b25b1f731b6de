//! Turns a chosen representation and a request's headers into an answer: 200, 206, 304, 412 or 416.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    ETAG, LAST_MODIFIED, RANGE, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};

use super::body::{FileBody, Pool, Segment};
use super::conditional::{Validators, Verdict, range_holds, weigh};
use super::digest::{self, REPR_DIGEST, Sum};
use super::negotiate::Coding;
use super::open::OpenFile;
use super::range::{Asked, asked};
use super::refusal::Refusal;
use crate::web::Body;

/// Where the octets are.
#[derive(Debug)]
pub(super) enum Content {
    /// In memory.
    Octets(Bytes),
    /// In a file.
    File(Arc<OpenFile>),
}

/// One form of one resource, ready to be sent.
#[derive(Debug)]
pub(super) struct Representation {
    pub(super) content: Content,
    /// Octets.
    pub(super) length: u64,
    pub(super) validators: Validators,
    pub(super) content_type: HeaderValue,
    pub(super) coding: Option<Coding>,
    /// The request header that another form may be chosen by.
    pub(super) vary: Option<HeaderName>,
    pub(super) cache_control: HeaderValue,
    pub(super) digest: Option<Sum>,
}

impl Representation {
    /// The answer to a GET or HEAD at the time `now`.
    pub(super) fn answer(
        self,
        request: &Parts,
        now: SystemTime,
        pool: &Arc<Pool>,
    ) -> Result<Response<Body>, Refusal> {
        match weigh(&request.headers, &self.validators) {
            Verdict::NotModified => {
                return Ok(empty(StatusCode::NOT_MODIFIED, self.lasting_headers()));
            }
            Verdict::Failed => return Ok(empty(StatusCode::PRECONDITION_FAILED, HeaderMap::new())),
            Verdict::Proceed => {}
        }
        let mut headers = self.lasting_headers();
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        let pieces = match self.asked(request, now) {
            Asked::Unsatisfiable => return Ok(self.unsatisfiable(headers)),
            Asked::Pieces(pieces) => pieces,
            Asked::Whole => Vec::new(),
        };
        headers.insert(CONTENT_TYPE, self.content_type.clone());
        if let Some(coding) = self.coding {
            headers.insert(CONTENT_ENCODING, coding.header());
        }
        if let Some(sum) = &self.digest {
            headers.insert(REPR_DIGEST, digest::header(sum));
        }
        let status = if pieces.is_empty() {
            StatusCode::OK
        } else {
            StatusCode::PARTIAL_CONTENT
        };
        let segments = match &pieces[..] {
            [] if self.length == 0 => VecDeque::new(),
            [] => VecDeque::from([self.segment(0..self.length)]),
            [piece] => {
                headers.insert(
                    CONTENT_RANGE,
                    number_value(&content_range(piece, self.length)),
                );
                VecDeque::from([self.segment(piece.clone())])
            }
            _ => self.multipart(&pieces, &mut headers)?,
        };
        Ok(self.sent(request, status, headers, segments, pool))
    }

    /// What the request's `Range` asks for, if its `If-Range` allows.
    fn asked(&self, request: &Parts, now: SystemTime) -> Asked {
        let range = request
            .headers
            .get(RANGE)
            .and_then(|value| value.to_str().ok());
        match range {
            Some(range)
                if request.method == Method::GET
                    && range_holds(&request.headers, &self.validators, now) =>
            {
                asked(range, self.length)
            }
            Some(_) | None => Asked::Whole,
        }
    }

    /// What a 304 repeats.
    fn lasting_headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(12);
        headers.insert(ETAG, self.validators.tag.header());
        headers.insert(CACHE_CONTROL, self.cache_control.clone());
        if let Some(modified) = self.validators.modified {
            headers.insert(
                LAST_MODIFIED,
                number_value(&httpdate::fmt_http_date(modified)),
            );
        }
        if let Some(name) = &self.vary {
            headers.insert(VARY, HeaderValue::from(name.clone()));
        }
        headers
    }

    fn unsatisfiable(&self, mut headers: HeaderMap) -> Response<Body> {
        headers.insert(
            CONTENT_RANGE,
            number_value(&format!("bytes */{}", self.length)),
        );
        empty(StatusCode::RANGE_NOT_SATISFIABLE, headers)
    }

    fn segment(&self, range: Range<u64>) -> Segment {
        match &self.content {
            Content::File(file) => Segment::Piece(Arc::clone(file), range),
            Content::Octets(octets) => {
                let at = |offset: u64| {
                    usize::try_from(offset)
                        .unwrap_or(usize::MAX)
                        .min(octets.len())
                };
                Segment::Octets(octets.slice(at(range.start)..at(range.end)))
            }
        }
    }

    /// Several pieces as `multipart/byteranges` (RFC 9110 section 14.6).
    fn multipart(
        &self,
        pieces: &[Range<u64>],
        headers: &mut HeaderMap,
    ) -> Result<VecDeque<Segment>, Refusal> {
        let mut random = [0; 18];
        getrandom::fill(&mut random).map_err(|_| Refusal::Failed)?;
        let boundary = data_encoding::HEXLOWER.encode(&random);
        let mut segments = VecDeque::with_capacity(2 * pieces.len() + 1);
        let media = self
            .content_type
            .to_str()
            .unwrap_or("application/octet-stream");
        let mut lead = String::new();
        for piece in pieces {
            let _ = write!(
                lead,
                "--{boundary}\r\nContent-Type: {media}\r\nContent-Range: {}\r\n\r\n",
                content_range(piece, self.length)
            );
            segments.push_back(Segment::Octets(std::mem::take(&mut lead).into()));
            segments.push_back(self.segment(piece.clone()));
            lead.push_str("\r\n");
        }
        segments.push_back(Segment::Octets(format!("\r\n--{boundary}--\r\n").into()));
        headers.insert(
            CONTENT_TYPE,
            number_value(&format!("multipart/byteranges; boundary={boundary}")),
        );
        Ok(segments)
    }

    fn sent(
        &self,
        request: &Parts,
        status: StatusCode,
        headers: HeaderMap,
        mut segments: VecDeque<Segment>,
        pool: &Arc<Pool>,
    ) -> Response<Body> {
        use http_body::Body as _;
        let only = if segments.len() == 1 {
            segments.pop_front()
        } else {
            None
        };
        let (length, body) = match only {
            Some(Segment::Octets(octets)) => (
                octets.len() as u64,
                Full::new(octets)
                    .map_err(|never| match never {})
                    .boxed_unsync(),
            ),
            other => {
                segments.extend(other);
                let body = FileBody::new(segments, Arc::clone(pool), !self.validators.tag.weak);
                (body.size_hint().lower(), body.boxed_unsync())
            }
        };
        let mut response = empty(status, headers);
        response
            .headers_mut()
            .insert(CONTENT_LENGTH, HeaderValue::from(length));
        if request.method == Method::GET {
            *response.body_mut() = body;
        }
        response
    }
}

fn empty(status: StatusCode, headers: HeaderMap) -> Response<Body> {
    let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn content_range(piece: &Range<u64>, length: u64) -> String {
    format!("bytes {}-{}/{length}", piece.start, piece.end - 1)
}

/// A value that we have written ourselves, of digits and plain letters.
fn number_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}
