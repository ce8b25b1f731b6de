//! The index's own row: how far it has come in the journal, and the digest of its rows. Written in the same atomic batch as they are.

use super::digest::Digest;
use crate::log::{Head, Position};

const FORM: u32 = 1;
const BYTES: usize = 4 + 4 + 8 + 32 + 8 + 8 + 8 + 16 + 4;

/// The journal's entry up to which the rows are the fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Applied {
    pub(crate) head: Head,
    pub(crate) end: Position,
}

/// All of the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Meta {
    /// The schema that made the rows.
    pub(crate) schema: u32,
    pub(crate) applied: Applied,
    pub(crate) digest: Digest,
}

impl Meta {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(BYTES);
        out.extend_from_slice(&FORM.to_le_bytes());
        out.extend_from_slice(&self.schema.to_le_bytes());
        out.extend_from_slice(&self.applied.head.seq.to_le_bytes());
        out.extend_from_slice(&self.applied.head.hash);
        out.extend_from_slice(&self.applied.end.segment.to_le_bytes());
        out.extend_from_slice(&self.applied.end.offset.to_le_bytes());
        out.extend_from_slice(&self.digest.rows.to_le_bytes());
        out.extend_from_slice(&self.digest.sum.to_le_bytes());
        out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
        out
    }

    /// `None` when the row is altered or of another form.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != BYTES {
            return None;
        }
        let (body, crc) = bytes.split_at(BYTES - 4);
        let mut fields = Fields(body);
        if fields.u32()? != FORM || crc != crc32fast::hash(body).to_le_bytes() {
            return None;
        }
        Some(Self {
            schema: fields.u32()?,
            applied: Applied {
                head: Head {
                    seq: fields.u64()?,
                    hash: fields.take()?,
                },
                end: Position {
                    segment: fields.u64()?,
                    offset: fields.u64()?,
                },
            },
            digest: Digest {
                rows: fields.u64()?,
                sum: u128::from_le_bytes(fields.take()?),
            },
        })
    }
}

struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}
