//! The form of one entry.
//!
//! | offset | bytes | what |
//! | --- | --- | --- |
//! | 0 | 4 | length of the whole entry |
//! | 4 | 4 | CRC-32 of everything but this field |
//! | 8 | 8 | sequence up to which the log was durable when this was written |
//! | 16 | 4 | version, 1 |
//! | 20 | 4 | zero |
//! | 24 | 8 | sequence, from 1 |
//! | 32 | 32 | hash of the previous entry, zero before the first |
//! | 64 | | payload |
//!
//! All integers are little-endian. The entry's hash is BLAKE3 of the bytes from 16, so that it does not depend on how entries shared an fsync.
//! The durable field turns an old question into a decidable one: an entry that cannot be read was acknowledged if any later entry
//! says so; otherwise it is a write that a crash cut short.

use crate::limits::PAYLOAD_BYTES_MAX;

/// Bytes of an entry before its payload.
pub(crate) const HEADER_BYTES: usize = 64;
/// Longest entry.
pub(crate) const ENTRY_BYTES_MAX: usize = HEADER_BYTES + PAYLOAD_BYTES_MAX;

const VERSION: u32 = 1;
const HASHED_FROM: usize = 16;

/// The last entry of a chain: its sequence (0 for none) and its hash (zero for none).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// Sequence, from 1; 0 when there is no entry.
    pub seq: u64,
    /// BLAKE3 hash of the entry.
    pub hash: [u8; 32],
}

impl Head {
    /// The head after one more entry: how a chain is followed where its entries are kept elsewhere.
    pub fn then(&self, payload: &[u8]) -> Self {
        let seq = self.seq + 1;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&VERSION.to_le_bytes());
        hasher.update(&[0; 4]);
        hasher.update(&seq.to_le_bytes());
        hasher.update(&self.hash);
        hasher.update(payload);
        Self {
            seq,
            hash: *hasher.finalize().as_bytes(),
        }
    }
}

/// Where an entry ends in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Position {
    /// Number of the segment, from 1.
    pub(crate) segment: u64,
    /// Offset in its file, in bytes.
    pub(crate) offset: u64,
}

/// One entry whose checksum and place in the chain were verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its sequence, from 1.
    pub seq: u64,
    /// Its hash, which the next entry names.
    pub hash: [u8; 32],
    /// What was committed.
    pub payload: Vec<u8>,
}

/// An entry's fields. Its payload follows the header.
pub(crate) struct Decoded {
    pub(crate) length: usize,
    pub(crate) durable: u64,
    pub(crate) seq: u64,
    pub(crate) prev: [u8; 32],
    pub(crate) hash: [u8; 32],
}

/// Appends an entry to `out` and returns its hash. The caller has bounded the payload.
pub(crate) fn encode(out: &mut Vec<u8>, prev: &Head, durable: u64, payload: &[u8]) -> Head {
    let start = out.len();
    let length = (HEADER_BYTES + payload.len()) as u32;
    let seq = prev.seq + 1;
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&durable.to_le_bytes());
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&seq.to_le_bytes());
    out.extend_from_slice(&prev.hash);
    out.extend_from_slice(payload);
    let bytes = out.get_mut(start..).unwrap_or_default();
    let crc = checksum(bytes);
    if let Some(field) = bytes.get_mut(4..8) {
        field.copy_from_slice(&crc.to_le_bytes());
    }
    Head {
        seq,
        hash: hash(bytes),
    }
}

/// The length that an entry claims, when it is one that an entry can have. 0 means that no entry begins here.
pub(crate) fn claimed_length(bytes: &[u8]) -> Option<usize> {
    let length = u32_at(bytes, 0)? as usize;
    (length == 0 || (HEADER_BYTES..=ENTRY_BYTES_MAX).contains(&length)).then_some(length)
}

/// Whether a header could begin an entry after `seq`: a cheap test before the checksum, for searching damaged bytes.
pub(crate) fn looks_like_entry_after(bytes: &[u8], seq: u64) -> bool {
    claimed_length(bytes).is_some_and(|length| length != 0)
        && u32_at(bytes, 16) == Some(VERSION)
        && u32_at(bytes, 20) == Some(0)
        && u64_at(bytes, 24).is_some_and(|found| found > seq)
}

/// Decodes the entry at the start of `bytes`; `None` when it is incomplete, altered or of another version.
pub(crate) fn decode(bytes: &[u8]) -> Option<Decoded> {
    let length = claimed_length(bytes).filter(|length| *length != 0)?;
    let bytes = bytes.get(..length)?;
    if u32_at(bytes, 4)? != checksum(bytes)
        || u32_at(bytes, 16)? != VERSION
        || u32_at(bytes, 20)? != 0
    {
        return None;
    }
    Some(Decoded {
        length,
        durable: u64_at(bytes, 8)?,
        seq: u64_at(bytes, 24)?,
        prev: bytes.get(32..64)?.try_into().ok()?,
        hash: hash(bytes),
    })
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(bytes.get(..4).unwrap_or_default());
    crc.update(bytes.get(8..).unwrap_or_default());
    crc.finalize()
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    *blake3::hash(bytes.get(HASHED_FROM..).unwrap_or_default()).as_bytes()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn an_entry_is_pinned_byte_by_byte() {
        let mut out = Vec::new();
        let prev = Head {
            seq: 6,
            hash: [0xab; 32],
        };
        let head = encode(&mut out, &prev, 5, b"madang");
        let expected = [
            "46000000",                                                         // length 70
            "bd376786",                                                         // CRC-32
            "0500000000000000",                                                 // durable up to 5
            "01000000",                                                         // version
            "00000000",                                                         // zero
            "0700000000000000",                                                 // sequence 7
            "abababababababababababababababababababababababababababababababab", // hash of entry 6
            "6d6164616e67",                                                     // payload
        ]
        .concat();
        assert_eq!(
            out.iter().map(|b| format!("{b:02x}")).collect::<String>(),
            expected
        );
        assert_eq!(head.seq, 7);
        assert_eq!(prev.then(b"madang"), head);
        let decoded = decode(&out).unwrap();
        assert_eq!((decoded.seq, decoded.durable, decoded.length), (7, 5, 70));
        assert_eq!((decoded.prev, decoded.hash), (prev.hash, head.hash));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_refused() {
        let mut out = Vec::new();
        encode(&mut out, &Head::default(), 0, b"payload");
        for bit in 0..out.len() * 8 {
            let mut bad = out.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&bad).is_none(), "bit {bit}");
        }
        for cut in 0..out.len() {
            assert!(decode(&out[..cut]).is_none(), "cut {cut}");
        }
    }

    #[test]
    fn the_hash_does_not_depend_on_how_entries_shared_an_fsync() {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        assert_eq!(
            encode(&mut a, &Head::default(), 0, b"x"),
            encode(&mut b, &Head::default(), 9, b"x")
        );
        assert_ne!(a, b);
    }
}
