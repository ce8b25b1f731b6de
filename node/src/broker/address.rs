//! [`AnchorAddress`]: where an anchor is, and whether a password may go there.

use std::{fmt, net::IpAddr};

use http::Uri;
use thiserror::Error;

/// Why a text is not an anchor's address. Each message is one line that says what to write.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AnchorAddressError {
    /// Not a URL with a host.
    #[error("not the address of an anchor: {0:?}; write it like https://anchor.example")]
    NotAnAddress(String),
    /// Something after the host.
    #[error(
        "the address of an anchor is https://HOST or https://HOST:PORT, without anything behind it: {0:?}"
    )]
    TooMuch(String),
    /// Plain HTTP to another machine.
    #[error("{0} is not encrypted: use https://, or say --insecure-http if you know why")]
    NotEncrypted(String),
}

/// Scheme, host and port of an anchor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnchorAddress {
    base: String,
    is_encrypted: bool,
}

impl AnchorAddress {
    /// Reads `https://HOST[:PORT]`, or `http://` for this very machine, or for any when `insecure_http`.
    ///
    /// # Errors
    /// [`AnchorAddressError`]
    pub fn parse(text: &str, insecure_http: bool) -> Result<Self, AnchorAddressError> {
        let wrong = || AnchorAddressError::NotAnAddress(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(wrong());
        };
        let host = authority.host();
        if host.is_empty() || authority.as_str().contains('@') {
            return Err(wrong());
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(AnchorAddressError::TooMuch(text.to_owned()));
        }
        let is_encrypted = match scheme {
            "https" => true,
            "http" => false,
            _ => return Err(wrong()),
        };
        if !is_encrypted && !insecure_http && !is_this_machine(host) {
            return Err(AnchorAddressError::NotEncrypted(text.to_owned()));
        }
        Ok(Self {
            base: format!("{scheme}://{authority}"),
            is_encrypted,
        })
    }

    /// Whether TLS protects what is sent there.
    pub fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }

    /// The URL of a path.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

impl fmt::Display for AnchorAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_encrypted_or_on_this_machine() {
        for (text, base) in [
            ("https://anchor.example", "https://anchor.example"),
            (
                "https://anchor.example:8443/",
                "https://anchor.example:8443",
            ),
            ("http://localhost:8400", "http://localhost:8400"),
            ("http://127.0.0.1:8400/", "http://127.0.0.1:8400"),
            ("http://[::1]:8400", "http://[::1]:8400"),
        ] {
            let address = AnchorAddress::parse(text, false);
            assert_eq!(address.map(|it| it.to_string()).as_deref(), Ok(base));
        }
        let far = "http://anchor.example";
        assert_eq!(
            AnchorAddress::parse(far, false),
            Err(AnchorAddressError::NotEncrypted(far.into()))
        );
        assert!(AnchorAddress::parse(far, true).is_ok_and(|it| !it.is_encrypted()));
    }

    #[test]
    fn what_is_not_an_address_says_so() {
        for text in [
            "",
            "anchor.example",
            "ftp://a.example",
            "https://",
            "https://me@a.example",
            "/x",
        ] {
            assert_eq!(
                AnchorAddress::parse(text, false),
                Err(AnchorAddressError::NotAnAddress(text.into())),
                "{text}"
            );
        }
        for text in ["https://a.example/x", "https://a.example/?q"] {
            assert_eq!(
                AnchorAddress::parse(text, false),
                Err(AnchorAddressError::TooMuch(text.into())),
                "{text}"
            );
        }
    }
}
