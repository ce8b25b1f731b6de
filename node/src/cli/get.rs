//! `madang get`: downloads through the running daemon, goes on where it stopped, and checks what it got.

use std::{
    cell::Cell,
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use data_encoding::BASE64;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use indicatif::{ProgressBar, ProgressStyle};
use madang_protocol::reject::Reject;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{args::Get, budget::budget, cost::Cost, failure::Failure, out, part, target::Target};
use crate::{
    control::{self, CallError, Client, Problem, Streamed},
    files,
    home::Home,
    web::Refusal,
};

/// Attempts in a row that bring nothing.
const FRUITLESS_MAX: u32 = 3;
/// Between two attempts.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Silence that ends an attempt.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Octets of the note beside a part.
const NOTE_BYTES_MAX: usize = 16 * 1_024;

/// A download under way.
struct Download<'a> {
    client: Client,
    target: &'a Target,
    /// Said once: to agree again at each attempt would spend it at each attempt.
    pay: Cell<Option<&'a str>>,
    part: PathBuf,
    /// Locked while this command runs.
    file: File,
    note: PathBuf,
    bar: ProgressBar,
}

/// What is remembered beside a part: of what it is a part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    site: String,
    path: String,
    etag: String,
}

/// How an attempt ended.
enum Attempt {
    /// All is there; this is what the site says that it hashes to.
    Whole { sha256: Option<Vec<u8>> },
    /// The stream broke; more can be had.
    Broken(String),
}

/// Downloads one file.
pub(super) async fn get(home: &Home, args: Get) -> Result<(), Failure> {
    let target = Target::parse(&args.url)?;
    if let Some(pay) = &args.pay {
        budget("--pay", pay, &target.site)?;
    }
    let output = output(&target, args.output.as_deref(), args.force)?;
    let beside = |suffix: &str| {
        let mut name = output.clone().into_os_string();
        name.push(suffix);
        PathBuf::from(name)
    };
    let part = beside(".part");
    // Whether it can be written at all is known before anything is asked for.
    let file = part::open(&part).map_err(|error| {
        let is_full = matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        );
        if is_full {
            cannot_write(&part, &error)
        } else {
            Failure::misuse(format!("cannot write {}: {error}", part.display()))
        }
    })?;
    let file = file.ok_or_else(|| {
        Failure::failed(format!(
            "another `madang get` is writing {}; wait until it is done, or say another -o FILE",
            output.display()
        ))
    })?;
    let download = Download {
        client: Client::new(home),
        target: &target,
        pay: Cell::new(args.pay.as_deref()),
        part,
        file,
        note: beside(".part.json"),
        bar: bar(args.quiet),
    };
    let cost = Cost::begin(&download.client, &target.site).await;
    let done = download.to(&output).await;
    let paid = cost.end(&download.client).await;
    let held = download.held();
    if done.is_err() && held == 0 {
        // Nothing to go on from: what cannot be removed does no harm.
        let _ = remove(&download.part);
        let _ = remove(&download.note);
    }
    let is_checked = done.inspect_err(|_| {
        if let Some(paid) = &paid {
            out::note(format!("{paid} for what came"));
        }
        if held > 0 {
            out::note(format!(
                "{held} octets came and are kept: the download goes on from there"
            ));
        }
    })?;
    let size = std::fs::metadata(&output).map_or(0, |file| file.len());
    let checked = if is_checked {
        "checked by its digest"
    } else {
        "the site gives no digest to check it by"
    };
    let paid = paid.map_or(String::new(), |paid| format!("; {paid}"));
    out::line(format!(
        "{}: {size} octets, {checked}{paid}",
        output.display()
    ));
    Ok(())
}

/// The file to be: in a folder that is there, and in nothing's place unless that was said.
fn output(target: &Target, chosen: Option<&Path>, force: bool) -> Result<PathBuf, Failure> {
    let named = || {
        target.file_name().ok_or_else(|| {
            Failure::misuse("the address does not end in a file's name; say -o FILE")
        })
    };
    let path = match chosen {
        None => PathBuf::from(named()?),
        Some(folder) if folder.is_dir() => folder.join(named()?),
        Some(path) if path.as_os_str().as_encoded_bytes().ends_with(b"/") => {
            let text = format!("there is no folder {}", path.display());
            return Err(Failure::misuse(text));
        }
        Some(path) => path.to_owned(),
    };
    let shown = path.display();
    let refused = match std::fs::symlink_metadata(&path) {
        Ok(there) if there.is_dir() => format!("{shown} is a folder; say -o FILE"),
        Ok(there) if !there.is_file() && !there.is_symlink() => {
            format!("{shown} is no file; say another -o FILE")
        }
        Ok(_) if force => return Ok(path),
        Ok(_) => format!("{shown} is there already; say --force to replace it, or -o FILE"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().filter(|one| !one.as_os_str().is_empty());
            match folder {
                Some(folder) if !folder.is_dir() => {
                    format!("there is no folder {}", folder.display())
                }
                Some(_) | None => return Ok(path),
            }
        }
        Err(error) => format!("cannot write {shown}: {error}"),
    };
    Err(Failure::misuse(refused))
}

fn bar(quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let template = "{wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}";
    let style = ProgressStyle::with_template(template);
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

impl Download<'_> {
    /// Downloads to `output`; gives whether a digest was there to check it by.
    async fn to(&self, output: &Path) -> Result<bool, Failure> {
        let sha256 = self.run().await?;
        self.bar.finish_and_clear();
        let is_checked = sha256.is_some();
        self.finish(sha256, output)?;
        Ok(is_checked)
    }

    /// Attempts until all is there; gives up when nothing comes any more.
    async fn run(&self) -> Result<Option<Vec<u8>>, Failure> {
        let mut fruitless = 0;
        loop {
            let before = self.held();
            match self.attempt().await? {
                Attempt::Whole { sha256 } => return Ok(sha256),
                Attempt::Broken(reason) => {
                    fruitless = if self.held() > before {
                        0
                    } else {
                        fruitless + 1
                    };
                    if fruitless >= FRUITLESS_MAX {
                        self.bar.abandon();
                        return Err(Failure::failed(format!("the download stopped: {reason}")));
                    }
                    tokio::time::sleep(RETRY_AFTER).await;
                }
            }
        }
    }

    async fn attempt(&self) -> Result<Attempt, Failure> {
        let (from, etag) = self.resumable();
        let mut streamed = self.ask(from, etag.as_deref()).await?;
        let response = &mut streamed.response;
        let (status, headers) = (response.status(), response.headers().clone());
        if !headers.contains_key(control::ANSWERED_BY) {
            return Err(Failure::failed(format!(
                "the running daemon answers with HTTP status {status}"
            )));
        }
        let start = match status {
            StatusCode::OK => 0,
            StatusCode::PARTIAL_CONTENT if range_start(&headers) == Some(from) => from,
            // What is held is all there is, or something else by now.
            StatusCode::RANGE_NOT_SATISFIABLE if from > 0 => {
                return if range_total(&headers) == Some(from) {
                    Ok(Attempt::Whole {
                        sha256: sha256_of(&headers),
                    })
                } else {
                    self.forget();
                    Ok(Attempt::Broken("the file has changed".into()))
                };
            }
            _ => return Err(answered(streamed.response).await),
        };
        let mut file = &self.file;
        file.set_len(start)
            .and_then(|()| file.seek(SeekFrom::Start(start)))
            .map_err(|error| self.cannot_write(&error))?;
        self.remember(&headers)
            .map_err(|error| self.cannot_write(&error))?;
        if let Some(rest) = length(&headers) {
            self.bar.set_length(start + rest);
        }
        self.bar.set_position(start);
        let body = response.body_mut();
        loop {
            let frame = match tokio::time::timeout(SILENCE_MAX, body.frame()).await {
                Err(_) => return Ok(Attempt::Broken("nothing came for a minute".into())),
                Ok(None) => break,
                Ok(Some(Err(error))) => return Ok(Attempt::Broken(error.to_string())),
                Ok(Some(Ok(frame))) => frame,
            };
            match frame.into_data() {
                Ok(data) => {
                    file.write_all(&data)
                        .map_err(|error| self.cannot_write(&error))?;
                    self.bar.inc(data.len() as u64);
                }
                Err(frame) => {
                    if let Some(problem) = frame.into_trailers().ok().and_then(told) {
                        return self.ended(problem);
                    }
                }
            }
        }
        file.sync_all().map_err(|error| self.cannot_write(&error))?;
        Ok(Attempt::Whole {
            sha256: sha256_of(&headers),
        })
    }

    /// The daemon ended the answer. What time alone does not heal ends the download.
    fn ended(&self, problem: Problem) -> Result<Attempt, Failure> {
        if problem.slug() != Reject::BUDGET_EXCEEDED.slug() {
            return Ok(Attempt::Broken(problem.title));
        }
        self.bar.abandon();
        Err(CallError::Refused(problem).into())
    }

    /// The answer of the site; a refusal of the daemon is an error, and one that time may heal is not told apart from others.
    async fn ask(&self, from: u64, etag: Option<&str>) -> Result<Streamed, Failure> {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let mut uri = format!(
            "/v1/fetch?site={}&path={}",
            encode(&self.target.site.to_string()),
            encode(&self.target.path)
        );
        if let Some(pay) = self.pay.get() {
            uri.push_str(&format!("&pay={}", encode(pay)));
        }
        let mut request = Request::builder()
            .uri(uri)
            .header(header::HOST, "localhost")
            .header(header::ACCEPT_ENCODING, "identity")
            .header(header::TE, "trailers")
            .header("want-repr-digest", "sha-256=10");
        if let Some(etag) = etag {
            request = request
                .header(header::RANGE, format!("bytes={from}-"))
                .header(header::IF_RANGE, etag);
        }
        let request = request
            .body(Full::new(Bytes::new()))
            .map_err(Failure::failed)?;
        let streamed = self.client.stream(request).await?;
        let headers = streamed.response.headers();
        if headers.contains_key(control::ANSWERED_BY) {
            self.pay.set(None);
            let due = headers.get(control::DUE_BEFORE);
            if let Some(due) = due.and_then(|due| due.to_str().ok()) {
                let said = format!(
                    "{due} of the budget are for what was received before and is not signed for yet"
                );
                self.bar.suspend(|| out::note(said));
            }
            return Ok(streamed);
        }
        let status = streamed.response.status();
        let octets = control::collect(streamed.response).await?;
        control::judge(status, octets)?;
        Err(Failure::failed(
            "the running daemon answers in the site's place",
        ))
    }

    /// How much of this very thing is held, and the ETag that says so.
    fn resumable(&self) -> (u64, Option<String>) {
        let known = files::read_bounded(&self.note, NOTE_BYTES_MAX)
            .ok()
            .flatten();
        let known: Option<Note> = known.and_then(|octets| serde_json::from_slice(&octets).ok());
        let known = known.filter(|note| {
            note.site == self.target.site.to_string() && note.path == self.target.path
        });
        match (self.held(), known) {
            (held, Some(note)) if held > 0 => (held, Some(note.etag)),
            _ => (0, None),
        }
    }

    fn held(&self) -> u64 {
        std::fs::metadata(&self.part).map_or(0, |part| part.len())
    }

    /// Only a strong ETag says that two parts are of one thing.
    fn remember(&self, headers: &HeaderMap) -> io::Result<()> {
        let etag = headers
            .get(header::ETAG)
            .and_then(|etag| etag.to_str().ok());
        match etag.filter(|etag| etag.starts_with('"')) {
            Some(etag) => {
                let note = Note {
                    site: self.target.site.to_string(),
                    path: self.target.path.clone(),
                    etag: etag.to_owned(),
                };
                files::replace(&self.note, &serde_json::to_vec(&note)?)
            }
            None => remove(&self.note),
        }
    }

    fn forget(&self) {
        // What cannot be emptied is overwritten by the next attempt. The file stays, since its lock does.
        let _ = self.file.set_len(0);
        let _ = remove(&self.note);
    }

    /// Checks the part, and gives it its name.
    fn finish(&self, sha256: Option<Vec<u8>>, output: &Path) -> Result<(), Failure> {
        if let Some(expected) = sha256 {
            let found = hash(&self.part).map_err(|error| self.cannot_write(&error))?;
            if found != expected {
                self.forget();
                return Err(Failure::failed(
                    "what came is not what the site's digest says; it was thrown away, try again",
                ));
            }
        }
        std::fs::rename(&self.part, output).map_err(|error| self.cannot_write(&error))?;
        remove(&self.note).map_err(|error| self.cannot_write(&error))
    }

    fn cannot_write(&self, error: &io::Error) -> Failure {
        cannot_write(&self.part, error)
    }
}

fn cannot_write(part: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!("cannot write {}: {error}", part.display()))
}

/// The site's answer other than success, with its reason where the site's own server says one.
async fn answered(response: Response<Incoming>) -> Failure {
    let status = response.status();
    let response = response.map(|body| body.map_err(io::Error::other).boxed_unsync());
    let words = match Refusal::of(response).await {
        (Some(refusal), _) if !refusal.words.is_empty() => format!(": {}", refusal.words),
        (Some(_) | None, _) => String::new(),
    };
    Failure::failed(format!("the site answers {status}{words}"))
}

/// Why the daemon ended an answer, where it did.
fn told(trailers: HeaderMap) -> Option<Problem> {
    serde_json::from_slice(trailers.get(control::TOLD)?.as_bytes()).ok()
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn hash(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 * 1_024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().to_vec()),
            read => hasher.update(&buffer[..read]),
        }
    }
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(control::LENGTH)?.to_str().ok()?.parse().ok()
}

/// `bytes 5-9/10` starts at 5.
fn range_start(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    range
        .strip_prefix("bytes ")?
        .split('-')
        .next()?
        .parse()
        .ok()
}

/// `bytes */10` has 10 in all.
fn range_total(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.rsplit('/').next()?.parse().ok()
}

/// RFC 9530: `Repr-Digest: sha-256=:BASE64:`, perhaps among others.
fn sha256_of(headers: &HeaderMap) -> Option<Vec<u8>> {
    let text = headers.get("repr-digest")?.to_str().ok()?;
    let member = text
        .split(',')
        .find_map(|one| one.trim().strip_prefix("sha-256=:"))?;
    BASE64.decode(member.split(':').next()?.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(
            header::HeaderName::from_static(name),
            header::HeaderValue::from_static(value),
        )])
    }

    #[test]
    fn ranges_and_digests_are_read_and_nonsense_is_nothing() {
        assert_eq!(
            range_start(&headers("content-range", "bytes 5-9/10")),
            Some(5)
        );
        assert_eq!(range_start(&headers("content-range", "bytes */10")), None);
        assert_eq!(
            range_total(&headers("content-range", "bytes */10")),
            Some(10)
        );
        assert_eq!(range_total(&headers("content-range", "bytes 5-9/*")), None);
        let digest = headers("repr-digest", "sha-512=:AA==:, sha-256=:AQID:");
        assert_eq!(sha256_of(&digest), Some(vec![1, 2, 3]));
        assert_eq!(sha256_of(&headers("repr-digest", "sha-256=AQID")), None);
    }
}
