//! Which site a request means. Anything that is neither a site nor this proxy itself is foreign, and is refused: so no name that an attacker
//! points at loopback (DNS rebinding) reaches a site, and the proxy opens nothing but sites.

use http::{Method, Request, Uri, header};
use madang_protocol::name::SiteName;

/// What a request is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// A site of the mesh.
    Site {
        /// Which one.
        site: SiteName,
        /// The site's own origin, as the browser sees it.
        origin: String,
    },
    /// The proxy itself: its configuration script, the way to the console.
    Own,
    /// Something that this proxy does not serve.
    Foreign,
    /// A host in the proxy's name space that is no possible site name.
    NoName,
}

/// Of sites under `*.localhost`, which browsers resolve to loopback by themselves.
const LOCAL_SUFFIX: &str = ".localhost";
/// Of sites when the browser uses this as its HTTP proxy.
const PROXY_SUFFIX: &str = ".madang";

/// What `request` is for, when it came to a listener on `port`.
pub(super) fn of<B>(request: &Request<B>, port: u16) -> Target {
    let Some(authority) = authority(request) else {
        return Target::Foreign;
    };
    let (host, given_port) = match split_port(&authority) {
        Some(parts) => parts,
        None => return Target::Foreign,
    };
    let host = host.to_ascii_lowercase();
    // A tunnel is opened to what the target names, and to sites in proxy mode only.
    let is_tunnel = *request.method() == Method::CONNECT;
    if is_tunnel && request.uri().authority().is_none() {
        return Target::Foreign;
    }
    if let Some(label) = host.strip_suffix(LOCAL_SUFFIX) {
        if given_port != Some(port) || is_tunnel {
            return Target::Foreign;
        }
        return site(label, format!("http://{host}:{port}"));
    }
    if let Some(label) = host.strip_suffix(PROXY_SUFFIX) {
        let is_port = given_port == Some(80) || (given_port.is_none() && !is_tunnel);
        if !is_port {
            return Target::Foreign;
        }
        return site(label, format!("http://{host}"));
    }
    let own =
        matches!(host.as_str(), "localhost" | "127.0.0.1" | "[::1]") && given_port == Some(port);
    if own && !is_tunnel {
        Target::Own
    } else {
        Target::Foreign
    }
}

fn site(label: &str, origin: String) -> Target {
    match label.parse() {
        Ok(site) if !label.contains('.') => Target::Site { site, origin },
        Ok(_) | Err(_) => Target::NoName,
    }
}

/// The authority of a proxy request's target, which must agree with `Host`; else `Host` alone, which must stand there once.
fn authority<B>(request: &Request<B>) -> Option<String> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = hosts.next().map(|host| host.to_str()).transpose().ok()?;
    if hosts.next().is_some() {
        return None;
    }
    match in_target(request.uri()) {
        Some(authority) if host.is_none_or(|host| host.eq_ignore_ascii_case(&authority)) => {
            Some(authority)
        }
        Some(_) => None,
        None => host.map(str::to_owned),
    }
}

fn in_target(uri: &Uri) -> Option<String> {
    let authority = uri.authority()?.as_str();
    // User information in an address is a way to deceive people, and nothing else here.
    if authority.contains('@') {
        Some(String::new())
    } else {
        Some(authority.to_owned())
    }
}

fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port.parse().ok()?)),
        Some(_) | None => (authority, None),
    };
    (!host.is_empty() && !host.contains('@')).then_some((host, port))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

    use super::*;

    fn target(method: &str, uri: &str, host: Option<&str>) -> Target {
        let mut request = Request::builder().method(method).uri(uri);
        if let Some(host) = host {
            request = request.header("host", host);
        }
        of(&request.body(()).unwrap(), 8420)
    }

    fn found(site: &str, origin: &str) -> Target {
        Target::Site {
            site: site.parse().unwrap(),
            origin: origin.into(),
        }
    }

    #[test]
    fn sites_are_found_by_host_in_each_mode() {
        let local = found("blog--alice", "http://blog--alice.localhost:8420");
        assert_eq!(
            target("GET", "/a?b", Some("blog--alice.localhost:8420")),
            local
        );
        assert_eq!(
            target("GET", "/", Some("Blog--Alice.LOCALHOST:8420")),
            local
        );
        assert_eq!(
            target("GET", "http://alice.madang/", Some("alice.madang")),
            found("alice", "http://alice.madang")
        );
        assert_eq!(
            target("GET", "http://alice.madang/", None),
            found("alice", "http://alice.madang")
        );
        assert_eq!(
            target("CONNECT", "alice.madang:80", Some("alice.madang:80")),
            found("alice", "http://alice.madang")
        );
        assert_eq!(
            target("GET", "/", Some("xn--9p4bp6q.localhost:8420")),
            found("철수", "http://xn--9p4bp6q.localhost:8420")
        );
        assert_eq!(
            target("GET", "/proxy.pac", Some("127.0.0.1:8420")),
            Target::Own
        );
    }

    #[test]
    fn everything_else_is_foreign() {
        for (method, uri, host) in [
            ("GET", "/", None),
            ("GET", "/", Some("evil.example:8420")),
            ("GET", "/", Some("alice.localhost")),
            ("GET", "/", Some("alice.localhost:80")),
            ("GET", "/", Some("alice.localhost:8421")),
            ("GET", "/", Some("alice.localhost:port")),
            ("GET", "http://evil.example/", Some("alice.localhost:8420")),
            ("GET", "http://alice@evil.example/", None),
            ("CONNECT", "alice.madang:443", None),
            ("CONNECT", "alice.madang", None),
            ("CONNECT", "/", Some("alice.madang:80")),
            ("CONNECT", "alice.localhost:8420", None),
            ("CONNECT", "/", Some("alice.localhost:8420")),
            ("CONNECT", "localhost:22", None),
            ("CONNECT", "127.0.0.1:8420", None),
            ("GET", "/", Some("192.168.0.1:8420")),
            ("GET", "/", Some("")),
        ] {
            assert_eq!(
                target(method, uri, host),
                Target::Foreign,
                "{method} {uri} {host:?}"
            );
        }
        for host in [
            "www.localhost:8420",
            "a.b.localhost:8420",
            "-x.localhost:8420",
        ] {
            assert_eq!(target("GET", "/", Some(host)), Target::NoName, "{host}");
        }
    }

    #[test]
    fn two_hosts_are_refused() {
        let request = Request::builder()
            .header("host", "alice.localhost:8420")
            .header("host", "bob.localhost:8420")
            .body(())
            .unwrap();
        assert_eq!(of(&request, 8420), Target::Foreign);
    }
}
