//! [`BrokerError`]: the three ways in which asking the anchor fails.

use std::{io, path::PathBuf, sync::Arc};

use madang_protocol::reject::Reject;
use thiserror::Error;

/// Why the anchor gave nothing.
#[derive(Debug, Clone, Error)]
pub enum BrokerError {
    /// It answered, and refuses.
    #[error("{0}")]
    Refused(Reject),
    /// No answer came. Whether the anchor did what was asked is unknown.
    #[error("the anchor cannot be reached: {0}")]
    Unreachable(Unreachable),
    /// Something answered that is not this network's anchor, or is broken.
    #[error("the anchor's answer is not to be trusted: {0}")]
    Invalid(Lie),
}

impl BrokerError {
    /// Whether the same request may well succeed a little later.
    pub fn may_pass(&self) -> bool {
        use madang_protocol::reject::Fault;
        match self {
            Self::Refused(reject) => reject.fault() == Fault::NotNow,
            Self::Unreachable(_) => true,
            Self::Invalid(_) => false,
        }
    }
}

/// Why no answer came.
#[derive(Debug, Clone, Error)]
pub enum Unreachable {
    /// No connection, or it broke.
    #[error("{}", root(.0.as_ref()))]
    Connection(Arc<dyn std::error::Error + Send + Sync>),
    /// The time for an answer passed.
    #[error("no answer in time")]
    TimedOut,
    /// The question could not be made.
    #[error("the system gives no random numbers")]
    NoRandomness,
    /// A server in front of the anchor answered in its place.
    #[error("HTTP status {0}")]
    Status(u16),
}

/// The innermost cause, which is what a person can do something about: "client error" is not.
fn root<'a>(error: &'a (dyn std::error::Error + 'static)) -> &'a (dyn std::error::Error + 'static) {
    std::iter::successors(Some(error), |error| error.source())
        .last()
        .unwrap_or(error)
}

/// What is wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Lie {
    /// A status that says neither success nor refusal.
    #[error("unexpected HTTP status {0}")]
    Status(u16),
    /// Another media type than ours.
    #[error("it is not in this protocol's media type")]
    MediaType,
    /// More octets than this answer may have.
    #[error("it is larger than it may be")]
    TooLarge,
    /// A record that does not decode or verify.
    #[error("{0}")]
    Record(Reject),
    /// A refusal that cannot be read.
    #[error("its refusal cannot be read")]
    Problem,
    /// A true record that does not answer this question.
    #[error("it answers another question: {0} differs")]
    Mismatch(&'static str),
}

impl From<Lie> for BrokerError {
    fn from(lie: Lie) -> Self {
        Self::Invalid(lie)
    }
}

impl From<Unreachable> for BrokerError {
    fn from(unreachable: Unreachable) -> Self {
        Self::Unreachable(unreachable)
    }
}

/// Why no encrypted connection can be made at all.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The system's certificates cannot be read.
    #[error("the system's certificates cannot be read: {0}")]
    SystemRoots(io::Error),
    /// The file that was named cannot be read, or holds no certificate.
    #[error("cannot use the certificates in {path}: {reason}")]
    File {
        /// Where.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The TLS library refuses its configuration.
    #[error("TLS cannot be set up: {0}")]
    Setup(rustls::Error),
}
