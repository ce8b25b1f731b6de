//! TLS 1.3 as libp2p has it, with the cipher that this machine computes fastest offered first.
//!
//! libp2p's own configuration prefers ChaCha20, which takes one and a half times as long as AES where the processor
//! has instructions for AES (`openssl speed`; all PCs of the last ten years have them). Certificates and their rules are libp2p's.

use std::net::Ipv4Addr;
use std::sync::Arc;

use libp2p::identity::Keypair;
use libp2p::tls::certificate;
use libp2p::{PeerId, tls};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::version::TLS13;
use rustls::{
    CertificateError, CipherSuite, ClientConfig, CommonState, DigitallySignedStruct,
    DistinguishedName, Error, PeerIncompatible, ServerConfig, SignatureScheme,
};

use super::config::BuildError;

const ALPN: &[u8] = b"libp2p";

/// What a node's two roles in a handshake are configured with.
#[derive(Clone)]
pub(super) struct Configs {
    pub(super) client: Arc<ClientConfig>,
    pub(super) server: Arc<ServerConfig>,
}

impl Configs {
    /// Makes a certificate for `keypair`, and configurations that use it.
    pub(super) fn new(keypair: &Keypair) -> Result<Self, BuildError> {
        let theirs =
            tls::make_client_config(keypair, None).map_err(|error| wrong(&error.to_string()))?;
        let served = tls::make_server_config(keypair).map_err(|error| wrong(&error.to_string()))?;
        let mut provider = CryptoProvider::clone(theirs.crypto_provider());
        provider
            .cipher_suites
            .sort_by_key(|suite| rank(suite.suite()));
        let provider = Arc::new(provider);
        let rules = Arc::new(Rules(theirs.crypto_provider().clone()));
        let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| wrong(&error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(rules.clone())
            .with_client_cert_resolver(theirs.client_auth_cert_resolver);
        client.alpn_protocols = vec![ALPN.to_vec()];
        // All peers have the same name here, so that a session kept for one would be offered to another.
        client.resumption = Resumption::disabled();
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| wrong(&error.to_string()))?
            .with_client_cert_verifier(rules)
            .with_cert_resolver(served.cert_resolver);
        server.alpn_protocols = vec![ALPN.to_vec()];
        server.send_tls13_tickets = 0;
        Ok(Self {
            client: Arc::new(client),
            server: Arc::new(server),
        })
    }
}

/// The name that clients connect to: none, so that none is sent.
pub(super) fn no_name() -> ServerName<'static> {
    ServerName::IpAddress(Ipv4Addr::UNSPECIFIED.into())
}

/// The peer at the other end of a completed handshake.
///
/// # Errors
/// If it showed no certificate of libp2p's kind, which the handshake does not let pass.
pub(super) fn peer(state: &CommonState) -> Result<PeerId, Error> {
    match state.peer_certificates() {
        Some([certificate]) => peer_of(certificate, &[]),
        Some(_) | None => Err(Error::NoCertificatesPresented),
    }
}

fn wrong(reason: &str) -> BuildError {
    BuildError::Protocol {
        protocol: "TLS",
        reason: reason.to_owned(),
    }
}

/// The order in which ciphers are offered.
fn rank(suite: CipherSuite) -> u8 {
    let position = if suite == CipherSuite::TLS13_AES_128_GCM_SHA256 {
        0
    } else if suite == CipherSuite::TLS13_AES_256_GCM_SHA384 {
        1
    } else {
        2
    };
    if has_aes() { position } else { 2 - position }
}

#[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
fn has_aes() -> bool {
    std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq")
}

#[cfg(target_arch = "aarch64")]
fn has_aes() -> bool {
    std::arch::is_aarch64_feature_detected!("aes")
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64")))]
fn has_aes() -> bool {
    false
}

/// libp2p's rules for certificates: exactly one, signed by itself, that carries a signature of its key by the peer's.
#[derive(Debug)]
struct Rules(Arc<CryptoProvider>);

impl Rules {
    fn verify_signature(
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        certificate::parse(certificate)?.verify_signature(
            signature.scheme,
            message,
            signature.signature(),
        )?;
        Ok(HandshakeSignatureValid::assertion())
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

fn peer_of(
    certificate: &CertificateDer<'_>,
    others: &[CertificateDer<'_>],
) -> Result<PeerId, Error> {
    if !others.is_empty() {
        return Err(CertificateError::ApplicationVerificationFailure.into());
    }
    Ok(certificate::parse(certificate)?.peer_id())
}

fn only_tls13() -> Error {
    PeerIncompatible::ServerDoesNotSupportTls12Or13.into()
}

impl ServerCertVerifier for Rules {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // Whether it is the peer that was meant, the swarm decides.
        peer_of(certificate, others).map(|_| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(only_tls13())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::verify_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

impl ClientCertVerifier for Rules {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        peer_of(certificate, others).map(|_| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(only_tls13())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::verify_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}
