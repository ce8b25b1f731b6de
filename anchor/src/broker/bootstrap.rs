//! Where nodes enter the mesh: what the configuration says first, then the hubs that are online, or who stands in for them.

use madang_protocol::{ids::PublicKey, limits::ADDRESS_BYTES_MAX};

use super::peer_id::{device_of, peer_id};

/// At most `addresses_max` addresses, each once: `fixed` first, then one or two of each hub.
pub(super) fn addresses<'a>(
    fixed: &[String],
    hubs: impl Iterator<Item = (&'a PublicKey, &'a [String])>,
    addresses_max: usize,
) -> Vec<String> {
    let mut addresses = fixed.to_vec();
    for (device, reported) in hubs {
        let suffix = format!("/p2p/{}", peer_id(device));
        let complete = reported
            .iter()
            .take(ADDRESSES_PER_HUB)
            .map(|address| format!("{address}{suffix}"));
        for address in complete {
            let fits = address.len() <= ADDRESS_BYTES_MAX
                && address.starts_with('/')
                && !addresses.contains(&address);
            if fits && addresses.len() < addresses_max {
                addresses.push(address);
            }
        }
    }
    addresses.truncate(addresses_max);
    addresses
}

/// The devices that a list of addresses names, in its order, each with its addresses as it reported them.
pub(super) fn devices(list: &[String]) -> Vec<(PublicKey, Vec<String>)> {
    let mut devices: Vec<(PublicKey, Vec<String>)> = Vec::new();
    for address in list {
        let Some((reported, peer)) = address.rsplit_once("/p2p/") else {
            continue;
        };
        let Some(device) = device_of(peer) else {
            continue;
        };
        let known = devices.iter_mut().find(|(known, _)| *known == device);
        match known {
            Some((_, addresses)) => addresses.push(reported.to_owned()),
            None => devices.push((device, vec![reported.to_owned()])),
        }
    }
    devices
}

/// So that few hubs do not fill the list: one address for each of two transports.
const ADDRESSES_PER_HUB: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_comes_first_and_hubs_fill_the_rest() {
        let fixed = vec!["/ip4/192.0.2.1/tcp/1/p2p/a".to_owned()];
        let reported = [
            "/ip4/192.0.2.2/tcp/2",
            "/ip4/192.0.2.2/udp/2/quic-v1",
            "/ip4/10.0.0.1/tcp/2",
        ];
        let reported: Vec<String> = reported.map(str::to_owned).to_vec();
        let (one, two) = (PublicKey([1; 32]), PublicKey([2; 32]));
        let hubs = [(&one, reported.as_slice()), (&two, reported.as_slice())];
        let all = addresses(&fixed, hubs.into_iter(), 4);
        assert_eq!(all.len(), 4);
        assert_eq!(all[0], fixed[0]);
        assert_eq!(
            all[1],
            format!("/ip4/192.0.2.2/tcp/2/p2p/{}", peer_id(&one))
        );
        assert!(all[3].ends_with(&peer_id(&two)));

        let named = devices(&all);
        let of = |device: &PublicKey, addresses: &[String]| (*device, addresses.to_vec());
        assert_eq!(named, [of(&one, &reported[..2]), of(&two, &reported[..1])]);
    }
}
