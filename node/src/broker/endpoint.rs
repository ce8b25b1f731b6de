//! [`Endpoint`]: bounded HTTP with one anchor.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use data_encoding::BASE64;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client as HttpClient, connect::HttpConnector},
    rt::TokioExecutor,
};
use madang_protocol::{
    broker::{ENROL, MEDIA_TYPE, WELL_KNOWN},
    ids::KeyId,
    ids::PublicKey,
    limits::RECORD_BYTES_MAX,
    record::{network::NetworkDescriptor, passport::Passport, request::Enrol},
    reject::Reject,
    sealed::{Record, Sealed, Trust, Unverified},
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use serde::Deserialize;

use super::{AnchorAddress, BrokerError, Lie, TlsError, Unreachable};

/// Octets of a problem document.
const PROBLEM_BYTES_MAX: usize = 16 * 1_024;
/// Octets of the description: the descriptor in base64, and what is said for people.
const DESCRIPTION_BYTES_MAX: usize = 4 * RECORD_BYTES_MAX;

/// How to speak with an anchor.
#[derive(Debug, Clone)]
pub struct EndpointOptions {
    /// Trusted in place of the system's certificates: one file of PEM.
    pub ca_file: Option<PathBuf>,
    /// For a connection to stand.
    pub connect_timeout: Duration,
    /// For a whole answer, connection included.
    pub answer_timeout: Duration,
}

impl Default for EndpointOptions {
    fn default() -> Self {
        Self {
            ca_file: None,
            connect_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(20),
        }
    }
}

/// One anchor, over HTTP. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Endpoint {
    address: AnchorAddress,
    http: HttpClient<HttpsConnector<HttpConnector>, Full<Bytes>>,
    answer_timeout: Duration,
}

/// What an anchor says of itself to anyone, consistent in itself and not yet trusted.
#[derive(Debug, Clone)]
pub struct Described {
    /// The network.
    pub descriptor: Sealed<NetworkDescriptor>,
    /// The key that signed it.
    pub issuer: PublicKey,
}

/// The readable part of `/.well-known/madang` that matters; the rest is for people.
#[derive(Deserialize)]
struct WellKnown {
    descriptor: String,
}

/// RFC 9457, with our number.
#[derive(Deserialize)]
struct Problem {
    code: u16,
}

impl Endpoint {
    /// The anchor at `address`. Nothing is sent yet.
    ///
    /// # Errors
    /// [`TlsError`]
    pub fn new(address: AnchorAddress, options: &EndpointOptions) -> Result<Self, TlsError> {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(options.connect_timeout));
        connector.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(&address, options.ca_file.as_deref())?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let http = HttpClient::builder(TokioExecutor::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(4)
            .pool_timer(hyper_util::rt::TokioTimer::new())
            .build(connector);
        Ok(Self {
            address,
            http,
            answer_timeout: options.answer_timeout,
        })
    }

    /// Where the anchor is.
    pub fn address(&self) -> &AnchorAddress {
        &self.address
    }

    /// Asks for the network's description, and checks that it is signed by one of the keys that it names.
    ///
    /// # Errors
    /// [`BrokerError`]
    pub async fn describe(&self) -> Result<Described, BrokerError> {
        let request = Request::builder()
            .uri(self.address.url(WELL_KNOWN))
            .header(header::ACCEPT, "application/json");
        let octets = self
            .exchange(
                request,
                Bytes::new(),
                DESCRIPTION_BYTES_MAX,
                "application/json",
            )
            .await?;
        let unreadable = || BrokerError::from(Lie::Record(Reject::RECORD_MALFORMED));
        let known: WellKnown = serde_json::from_slice(&octets).map_err(|_| unreadable())?;
        let sealed = BASE64
            .decode(known.descriptor.as_bytes())
            .map_err(|_| unreadable())?;
        let unverified = record::<NetworkDescriptor>(&sealed)?;
        let claims = unverified.claims();
        let trust = Trust::new(claims.network, &claims.issuers);
        let descriptor = unverified.verify(&trust).map_err(Lie::Record)?;
        let issuer = descriptor
            .issuers
            .iter()
            .find(|key| KeyId::of(key) == descriptor.issuer)
            .copied()
            .ok_or(Lie::Record(Reject::SIGNER_UNKNOWN))?;
        Ok(Described { descriptor, issuer })
    }

    /// Makes a device one of an account's.
    ///
    /// # Errors
    /// [`BrokerError`]
    pub async fn enrol(
        &self,
        request: &Sealed<Enrol>,
        trust: &Trust,
    ) -> Result<Sealed<Passport>, BrokerError> {
        let octets = self
            .post(ENROL, request.to_bytes(), Passport::BYTES_MAX)
            .await?;
        let passport = record::<Passport>(&octets)?
            .verify(trust)
            .map_err(Lie::Record)?;
        if passport.device != request.device {
            return Err(Lie::Mismatch("the device").into());
        }
        if passport.handle != request.handle {
            return Err(Lie::Mismatch("the handle").into());
        }
        Ok(passport)
    }

    /// Posts a sealed request and gives the octets of the answer, `octets_max` at most.
    pub(super) async fn post(
        &self,
        path: &str,
        body: Vec<u8>,
        octets_max: usize,
    ) -> Result<Bytes, BrokerError> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.address.url(path))
            .header(header::CONTENT_TYPE, MEDIA_TYPE)
            .header(header::ACCEPT, MEDIA_TYPE);
        self.exchange(request, body.into(), octets_max, MEDIA_TYPE)
            .await
    }

    async fn exchange(
        &self,
        request: http::request::Builder,
        body: Bytes,
        octets_max: usize,
        media_type: &str,
    ) -> Result<Bytes, BrokerError> {
        // The parts are ours: constants, and an address that was parsed as a URI.
        let request = request
            .body(Full::new(body))
            .map_err(|error| Unreachable::Connection(Arc::new(error)))?;
        let whole = async {
            let response = self
                .http
                .request(request)
                .await
                .map_err(|error| Unreachable::Connection(Arc::new(error)))?;
            judge(response, octets_max, media_type).await
        };
        tokio::time::timeout(self.answer_timeout, whole)
            .await
            .unwrap_or(Err(Unreachable::TimedOut.into()))
    }
}

/// Reads a record of an answer.
pub(super) fn record<T: Record>(octets: &[u8]) -> Result<Unverified<T>, BrokerError> {
    Ok(Unverified::from_bytes(octets).map_err(Lie::Record)?)
}

/// An answer's octets, or what its status means.
async fn judge(
    response: Response<Incoming>,
    octets_max: usize,
    media_type: &str,
) -> Result<Bytes, BrokerError> {
    let status = response.status();
    if status == StatusCode::OK {
        return if has_type(&response, media_type) {
            collect(response, octets_max).await
        } else {
            Err(Lie::MediaType.into())
        };
    }
    if has_type(&response, "application/problem+json") {
        let octets = collect(response, PROBLEM_BYTES_MAX).await?;
        let problem: Problem = serde_json::from_slice(&octets).map_err(|_| Lie::Problem)?;
        return Err(BrokerError::Refused(Reject(problem.code)));
    }
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Err(Unreachable::Status(status.as_u16()).into());
    }
    Err(Lie::Status(status.as_u16()).into())
}

fn has_type(response: &Response<Incoming>, media_type: &str) -> bool {
    let essence = response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(media_type))
}

async fn collect(response: Response<Incoming>, octets_max: usize) -> Result<Bytes, BrokerError> {
    let body = Limited::new(response.into_body(), octets_max)
        .collect()
        .await;
    body.map(http_body_util::Collected::to_bytes)
        .map_err(|error| {
            if error.is::<LengthLimitError>() {
                Lie::TooLarge.into()
            } else {
                Unreachable::Connection(error.into()).into()
            }
        })
}

fn tls(address: &AnchorAddress, ca_file: Option<&Path>) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Setup)?;
    let builder = match ca_file {
        Some(path) => builder.with_root_certificates(roots_of(path)?),
        // A machine without certificates can still reach an anchor of its own.
        None if !address.is_encrypted() => builder.with_root_certificates(RootCertStore::empty()),
        None => builder.with_native_roots().map_err(TlsError::SystemRoots)?,
    };
    Ok(builder.with_no_client_auth())
}

fn roots_of(path: &Path) -> Result<RootCertStore, TlsError> {
    let failed = |reason: String| TlsError::File {
        path: path.to_owned(),
        reason,
    };
    let mut roots = RootCertStore::empty();
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| failed(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| failed(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(failed("it holds no certificate".into()));
    }
    Ok(roots)
}
