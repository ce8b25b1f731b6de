//! Which of this machine's addresses are told to others.

use std::net::IpAddr;

use madang_protocol::limits::{ADDRESS_BYTES_MAX, ADDRESSES_MAX};

use crate::mesh::Multiaddr;

/// The configured addresses, then those that the mesh listens on: of loopback only where there is nothing else, as in a test on one machine.
pub(super) fn announced(configured: &[Multiaddr], listening: &[Multiaddr]) -> Vec<String> {
    let is_far = |address: &&Multiaddr| !is_loopback(address);
    let mut chosen: Vec<_> = configured.iter().collect();
    chosen.extend(listening.iter().filter(is_far));
    if chosen.is_empty() {
        chosen.extend(listening);
    }
    let mut texts = Vec::new();
    for address in chosen {
        let text = address.to_string();
        if text.len() <= ADDRESS_BYTES_MAX && !texts.contains(&text) && texts.len() < ADDRESSES_MAX
        {
            texts.push(text);
        }
    }
    texts
}

/// Multiaddrs in text begin with `/ip4/…` or `/ip6/…` where they name a machine by number.
fn is_loopback(address: &Multiaddr) -> bool {
    let text = address.to_string();
    let mut parts = text.split('/').skip(1);
    let is_ip = matches!(parts.next(), Some("ip4" | "ip6"));
    let ip = parts.next().and_then(|part| part.parse::<IpAddr>().ok());
    is_ip && ip.is_some_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

    use super::*;

    fn parse(texts: &[&str]) -> Vec<Multiaddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn loopback_is_told_only_where_there_is_nothing_else() {
        let both = parse(&[
            "/ip4/127.0.0.1/tcp/1",
            "/ip4/192.168.0.2/tcp/1",
            "/ip6/::1/tcp/1",
        ]);
        assert_eq!(announced(&[], &both), ["/ip4/192.168.0.2/tcp/1"]);
        assert_eq!(announced(&[], &both[..1]), ["/ip4/127.0.0.1/tcp/1"]);
        let configured = parse(&["/dns4/home.example/tcp/1"]);
        assert_eq!(
            announced(&configured, &both[..1]),
            ["/dns4/home.example/tcp/1"]
        );
    }

    #[test]
    fn few_are_told_and_each_once() {
        let many: Vec<_> = (1..20)
            .map(|port| format!("/ip4/10.0.0.1/tcp/{}", port / 2))
            .collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert_eq!(announced(&[], &parse(&many)).len(), ADDRESSES_MAX);
    }
}
