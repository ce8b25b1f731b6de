//! A device's peer id in the mesh, in its text form: what a multiaddr ends in. See the libp2p specification, "Peer Ids and Keys".

use madang_protocol::ids::PublicKey;

/// The peer id of the device `key`: base58 of the identity multihash of the key's protobuf.
pub(super) fn peer_id(key: &PublicKey) -> String {
    let mut octets = MULTIHASH_PREFIX.to_vec();
    octets.extend_from_slice(key.as_bytes());
    base58(&octets)
}

/// Octets as a number in base 58, a `1` for each leading zero (Bitcoin's alphabet).
fn base58(octets: &[u8]) -> String {
    let mut digits: Vec<u8> = Vec::new();
    for &octet in octets {
        let mut carry = u32::from(octet);
        for digit in &mut digits {
            carry += u32::from(*digit) << 8;
            *digit = (carry % 58) as u8;
            carry /= 58;
        }
        while carry > 0 {
            digits.push((carry % 58) as u8);
            carry /= 58;
        }
    }
    let zeros = octets.iter().take_while(|octet| **octet == 0).count();
    let ones = std::iter::repeat_n('1', zeros);
    let rest = digits.iter().rev();
    ones.chain(rest.map(|digit| char::from(ALPHABET[usize::from(*digit)])))
        .collect()
}

/// Identity hash, 36 octets: a protobuf with field 1 = 1 (Ed25519) and field 2 = 32 octets.
const MULTIHASH_PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];
const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base58_agrees_with_its_published_vectors() {
        // draft-msporny-base58-03, section 5.
        assert_eq!(base58(b"Hello World!"), "2NEpo7TZRRrLZSi2U");
        assert_eq!(base58(&[0x00, 0x00, 0x28, 0x7f, 0xb4, 0xcd]), "11233QC4");
    }

    #[test]
    fn an_ed25519_peer_id_looks_like_one() {
        let id = peer_id(&PublicKey([7; 32]));
        assert!(id.starts_with("12D3KooW") && id.len() == 52, "{id}");
    }
}
