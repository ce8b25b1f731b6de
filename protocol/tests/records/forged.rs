//! Altered, foreign and forged records: each is refused, by its number.

use ed25519_dalek::{Signer as _, SigningKey};
use madang_protocol::{ids::NetworkId, reject::Reject};

use super::samples::{NETWORK, Sample, all};

/// A sealed record made without the library: what is signed is domain, version, network and payload, each with its length before it.
fn forge(
    domain: &str,
    version: u16,
    network: NetworkId,
    payload: &[u8],
    key: &SigningKey,
) -> Vec<u8> {
    let version = version.to_le_bytes();
    let mut signed = Vec::new();
    for part in [domain.as_bytes(), &version, network.as_bytes(), payload] {
        signed.extend_from_slice(&(part.len() as u64).to_le_bytes());
        signed.extend_from_slice(part);
    }
    let length = (payload.len() as u64).to_le_bytes();
    let signature = key.sign(&signed).to_bytes();
    [
        &version[..],
        network.as_bytes(),
        &length,
        payload,
        &signature,
    ]
    .concat()
}

fn refused(sample: &Sample, octets: &[u8]) -> Reject {
    (sample.read)(octets).unwrap_err()
}

#[test]
fn the_signed_octets_are_as_documented() {
    for sample in all() {
        let made = forge(sample.domain, 1, NETWORK, &sample.payload(), &sample.key);
        assert_eq!(made, sample.octets, "{}", sample.name);
    }
}

#[test]
fn every_flipped_bit_is_refused() {
    for sample in all() {
        let mut octets = sample.octets.clone();
        for bit in 0..octets.len() * 8 {
            octets[bit / 8] ^= 1 << (bit % 8);
            assert!(
                (sample.read)(&octets).is_err(),
                "{}: bit {bit}",
                sample.name
            );
            octets[bit / 8] ^= 1 << (bit % 8);
        }
        assert_eq!(octets, sample.octets);
    }
}

#[test]
fn a_signature_for_one_kind_is_none_for_another() {
    let samples = all();
    for sample in &samples {
        for other in samples.iter().filter(|other| other.domain != sample.domain) {
            let octets = forge(other.domain, 1, NETWORK, &sample.payload(), &sample.key);
            let name = (sample.name, other.name);
            assert_eq!(
                refused(sample, &octets),
                Reject::SIGNATURE_WRONG,
                "{name:?}"
            );
        }
    }
}

#[test]
fn no_two_kinds_share_a_domain() {
    let mut domains: Vec<_> = all().iter().map(|sample| sample.domain).collect();
    domains.sort_unstable();
    domains.dedup();
    assert_eq!(domains.len(), all().len());
}

#[test]
fn forgeries_are_refused_by_number() {
    let foreign = NetworkId([9; 16]);
    for sample in all() {
        let payload = sample.payload();
        let stranger = SigningKey::from_bytes(&[99; 32]);
        let whole = &sample.octets;
        let longer = [&payload[..], &[0]].concat();
        let shorter = &payload[..payload.len() - 1];
        for (what, octets, number) in [
            (
                "foreign network",
                forge(sample.domain, 1, foreign, &payload, &sample.key),
                Reject::NETWORK_FOREIGN,
            ),
            (
                "unknown version",
                forge(sample.domain, 2, NETWORK, &payload, &sample.key),
                Reject::VERSION_UNKNOWN,
            ),
            (
                "wrong signer",
                forge(sample.domain, 1, NETWORK, &payload, &stranger),
                Reject::SIGNATURE_WRONG,
            ),
            (
                "payload with an octet behind",
                forge(sample.domain, 1, NETWORK, &longer, &sample.key),
                Reject::RECORD_MALFORMED,
            ),
            (
                "payload cut short",
                forge(sample.domain, 1, NETWORK, shorter, &sample.key),
                Reject::RECORD_MALFORMED,
            ),
            (
                "empty payload",
                forge(sample.domain, 1, NETWORK, &[], &sample.key),
                Reject::RECORD_MALFORMED,
            ),
            (
                "trailing octet",
                [&whole[..], &[0]].concat(),
                Reject::RECORD_MALFORMED,
            ),
            (
                "cut short",
                whole[..whole.len() - 1].to_vec(),
                Reject::RECORD_MALFORMED,
            ),
            ("nothing", vec![], Reject::RECORD_MALFORMED),
            (
                "oversized",
                vec![0; sample.octets_max + 1],
                Reject::RECORD_TOO_LARGE,
            ),
        ] {
            assert_eq!(refused(&sample, &octets), number, "{}: {what}", sample.name);
        }
        // The length of the payload claims more than there is.
        let mut claiming = whole.clone();
        claiming[18..26].copy_from_slice(&u64::MAX.to_le_bytes());
        assert_eq!(
            refused(&sample, &claiming),
            Reject::RECORD_MALFORMED,
            "{}",
            sample.name
        );
    }
}
