//! A device's peer id in the mesh, in its text form: what a multiaddr ends in. See the libp2p specification, "Peer Ids and Keys".

use madang_protocol::ids::PublicKey;

/// The peer id of the device `key`: base58 of the identity multihash of the key's protobuf.
pub(super) fn peer_id(key: &PublicKey) -> String {
    let mut octets = MULTIHASH_PREFIX.to_vec();
    octets.extend_from_slice(key.as_bytes());
    base58(&octets)
}

/// The device whose peer id `text` is; `None` for any other text.
pub(super) fn device_of(text: &str) -> Option<PublicKey> {
    let octets = octets_of_base58(text)?;
    let key = octets.strip_prefix(&MULTIHASH_PREFIX)?;
    Some(PublicKey(key.try_into().ok()?))
}

/// The octets that [`base58`] writes as `text`, which is at most as long as a peer id.
fn octets_of_base58(text: &str) -> Option<Vec<u8>> {
    let mut octets: Vec<u8> = Vec::new();
    if text.len() > PEER_ID_CHARACTERS_MAX {
        return None;
    }
    for character in text.bytes() {
        let digit = ALPHABET.iter().position(|known| *known == character)?;
        let mut carry = u32::try_from(digit).ok()?;
        for octet in &mut octets {
            carry += u32::from(*octet) * 58;
            *octet = (carry & 0xff) as u8;
            carry >>= 8;
        }
        if carry > 0 {
            octets.push(u8::try_from(carry).ok()?);
        }
    }
    let zeros = text.bytes().take_while(|character| *character == b'1');
    octets.extend(zeros.map(|_| 0));
    octets.reverse();
    Some(octets)
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
/// Base 58 writes 38 octets in 52 characters at most.
const PEER_ID_CHARACTERS_MAX: usize = 52;
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

    #[test]
    fn a_peer_id_is_read_back_and_nothing_else_is_one() {
        for octet in [0, 7, 255] {
            let key = PublicKey([octet; 32]);
            assert_eq!(device_of(&peer_id(&key)), Some(key));
        }
        for other in [
            "",
            "1",
            "2NEpo7TZRRrLZSi2U",
            "12D3KooWfixed",
            "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
            "12D3KooW\u{ac00}",
            "00000000000000000000000000000000000000000000000000000",
        ] {
            assert_eq!(device_of(other), None, "{other}");
        }
    }
}
