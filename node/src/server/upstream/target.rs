//! Where a local application listens: `3000`, `localhost:3000`, `http://127.0.0.1:3000/base`, `unix:/run/app.sock`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use http::Uri;

/// The address of a local application.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// HTTP/1.1 over TCP.
    Tcp {
        /// A name or an address, IPv6 without brackets.
        host: String,
        /// 1 to 65,535.
        port: u16,
        /// What is put before each path: empty, or beginning and not ending with a slash.
        base: String,
    },
    /// HTTP/1.1 over a Unix socket.
    Unix {
        /// Absolute.
        path: PathBuf,
    },
}

/// Why a text is no target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Neither a port, nor an address, nor `unix:`.
    #[error("expected a port, http://host:port/base or unix:/path")]
    Unknown,
    /// Port 0.
    #[error("a port is 1 to 65535")]
    Port,
    /// `https:` or something else.
    #[error("only http:// is spoken to a local application")]
    Scheme,
    /// An address with a user name, a query or dots in its path.
    #[error("an address of a local application has no user name, query or dot segments")]
    Extra,
    /// A relative socket path would depend on where the daemon was started.
    #[error("the path of a Unix socket is absolute")]
    Relative,
}

impl Target {
    /// The value of `Host` that the application sees.
    pub fn authority(&self) -> String {
        match self {
            Self::Tcp { host, port, .. } if host.contains(':') => format!("[{host}]:{port}"),
            Self::Tcp { host, port: 80, .. } => host.clone(),
            Self::Tcp { host, port, .. } => format!("{host}:{port}"),
            Self::Unix { .. } => "localhost".to_owned(),
        }
    }

    /// What is put before each path.
    pub fn base(&self) -> &str {
        match self {
            Self::Tcp { base, .. } => base,
            Self::Unix { .. } => "",
        }
    }

    fn tcp(uri: &Uri) -> Result<Self, TargetError> {
        let authority = uri.authority().ok_or(TargetError::Unknown)?;
        let path = uri.path();
        let dots = path.split('/').any(is_dots);
        if authority.as_str().contains('@') || uri.query().is_some() || dots {
            return Err(TargetError::Extra);
        }
        let host = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        if host.is_empty() {
            return Err(TargetError::Unknown);
        }
        let port = match authority.port_u16() {
            Some(0) => return Err(TargetError::Port),
            Some(port) => port,
            None => 80,
        };
        Ok(Self::Tcp {
            host,
            port,
            base: path.trim_end_matches('/').to_owned(),
        })
    }
}

/// Whether a segment is `.` or `..`, percent-encoded or not.
pub(super) fn is_dots(segment: &str) -> bool {
    let plain = segment.to_ascii_lowercase().replace("%2e", ".");
    plain == "." || plain == ".."
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = PathBuf::from(path);
            return if path.is_absolute() {
                Ok(Self::Unix { path })
            } else {
                Err(TargetError::Relative)
            };
        }
        if !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit()) {
            return match text.parse() {
                Ok(port @ 1..) => Ok(Self::Tcp {
                    host: "localhost".to_owned(),
                    port,
                    base: String::new(),
                }),
                Ok(0) | Err(_) => Err(TargetError::Port),
            };
        }
        match text.split_once("://") {
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("http") => {
                Self::tcp(&text.parse().map_err(|_| TargetError::Unknown)?)
            }
            Some(_) => Err(TargetError::Scheme),
            // A bare host may be a folder's name; with a port it is not.
            None => match text.rsplit_once(':') {
                Some((_, port)) if port.parse::<u16>().is_ok() => Self::tcp(
                    &format!("http://{text}")
                        .parse()
                        .map_err(|_| TargetError::Unknown)?,
                ),
                Some(_) | None => Err(TargetError::Unknown),
            },
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { base, .. } => write!(formatter, "http://{}{base}", self.authority()),
            Self::Unix { path } => write!(formatter, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_read_and_written_back() {
        for (text, expected) in [
            ("3000", "http://localhost:3000"),
            ("localhost:3000", "http://localhost:3000"),
            ("127.0.0.1:1", "http://127.0.0.1:1"),
            ("[::1]:3000", "http://[::1]:3000"),
            ("http://127.0.0.1:3000/base/", "http://127.0.0.1:3000/base"),
            ("HTTP://nas.local/", "http://nas.local"),
            ("unix:/run/app.sock", "unix:/run/app.sock"),
        ] {
            let target: Result<Target, _> = text.parse();
            assert_eq!(
                target.as_ref().map(ToString::to_string),
                Ok(expected.to_owned()),
                "{text}"
            );
            assert_eq!(expected.parse(), target, "{text}");
        }
    }

    #[test]
    fn what_is_no_target_says_why() {
        for (text, expected) in [
            ("", TargetError::Unknown),
            ("./folder", TargetError::Unknown),
            ("localhost", TargetError::Unknown),
            ("a:b", TargetError::Unknown),
            ("0", TargetError::Port),
            ("65536", TargetError::Port),
            ("localhost:0", TargetError::Port),
            ("https://localhost:3000", TargetError::Scheme),
            ("http://user@localhost:3000", TargetError::Extra),
            ("http://localhost:3000/?x", TargetError::Extra),
            ("http://localhost:3000/a/../b", TargetError::Extra),
            ("http://localhost:3000/%2E%2e", TargetError::Extra),
            ("unix:app.sock", TargetError::Relative),
        ] {
            assert_eq!(text.parse::<Target>(), Err(expected), "{text}");
        }
    }
}
