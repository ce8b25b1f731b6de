//! Frames as octets: a length, a kind and a body, each frame at most [`FRAME_BYTES_MAX`].
//!
//! | octets | what |
//! | --- | --- |
//! | 4 | length of kind and body, little-endian |
//! | 2 | kind, little-endian |
//! | rest | the body's canonical encoding |
//!
//! A reader holds what has come, never what a length claims.

use std::marker::PhantomData;

use super::frame::{BuyerFrame, SellerFrame};
use crate::{
    codec,
    limits::{FRAME_BYTES_MAX, HELLO_PASSES_MAX, TARIFF_RULES_MAX},
    reject::Reject,
};

const LENGTH_OCTETS: usize = 4;
const KIND_OCTETS: usize = 2;

const HELLO: u16 = 1;
const GRANT: u16 = 2;
const RECEIPT: u16 = 3;
const BUYER_CLOSE: u16 = 4;
const END: u16 = 5;
const WELCOME: u16 = 17;
const WINDOW: u16 = 18;
const NEED_RECEIPT: u16 = 19;
const ELAPSED: u16 = 20;
const REFUSED: u16 = 21;
const SELLER_CLOSE: u16 = 22;
const LATEST: u16 = 23;
const HELD: u16 = 24;

/// One direction's frames.
pub trait Frame: Sized {
    /// The frame's kind and body.
    fn encode(&self) -> (u16, Vec<u8>);

    /// Reads a body of `kind`.
    ///
    /// # Errors
    /// [`Reject::FRAME_UNKNOWN`] for a kind of no direction, [`Reject::FRAME_UNEXPECTED`] for one of the other.
    fn decode(kind: u16, body: &[u8]) -> Result<Self, Reject>;
}

impl Frame for BuyerFrame {
    fn encode(&self) -> (u16, Vec<u8>) {
        match self {
            Self::Hello(hello) => (HELLO, codec::encode(hello)),
            Self::Grant(grant) => (GRANT, codec::encode(grant)),
            Self::Receipt(signed) => (RECEIPT, codec::encode(signed)),
            Self::Close => (BUYER_CLOSE, Vec::new()),
            Self::End(ending) => (END, codec::encode(ending)),
        }
    }

    fn decode(kind: u16, body: &[u8]) -> Result<Self, Reject> {
        match kind {
            HELLO => {
                let hello: super::frame::Hello = codec::decode(body, FRAME_BYTES_MAX)?;
                bounded(hello.passes.len(), HELLO_PASSES_MAX)?;
                Ok(Self::Hello(Box::new(hello)))
            }
            GRANT => Ok(Self::Grant(Box::new(codec::decode(body, FRAME_BYTES_MAX)?))),
            RECEIPT => Ok(Self::Receipt(Box::new(codec::decode(
                body,
                FRAME_BYTES_MAX,
            )?))),
            BUYER_CLOSE => empty(body).map(|()| Self::Close),
            END => Ok(Self::End(Box::new(codec::decode(body, FRAME_BYTES_MAX)?))),
            WELCOME..=HELD => Err(Reject::FRAME_UNEXPECTED),
            _ => Err(Reject::FRAME_UNKNOWN),
        }
    }
}

impl Frame for SellerFrame {
    fn encode(&self) -> (u16, Vec<u8>) {
        match self {
            Self::Welcome(welcome) => (WELCOME, codec::encode(welcome)),
            Self::Window(window) => (WINDOW, codec::encode(window)),
            Self::NeedReceipt(need) => (NEED_RECEIPT, codec::encode(need)),
            Self::Elapsed(elapsed) => (ELAPSED, codec::encode(elapsed)),
            Self::Refused(refused) => (REFUSED, codec::encode(refused)),
            Self::Close => (SELLER_CLOSE, Vec::new()),
            Self::Latest(receipt) => (LATEST, codec::encode(receipt)),
            Self::Held(held) => (HELD, codec::encode(held)),
        }
    }

    fn decode(kind: u16, body: &[u8]) -> Result<Self, Reject> {
        match kind {
            WELCOME => Ok(Self::Welcome(Box::new(codec::decode(
                body,
                FRAME_BYTES_MAX,
            )?))),
            WINDOW => Ok(Self::Window(codec::decode(body, FRAME_BYTES_MAX)?)),
            NEED_RECEIPT => {
                let need: super::frame::NeedReceipt = codec::decode(body, FRAME_BYTES_MAX)?;
                bounded(need.counters.len(), TARIFF_RULES_MAX)?;
                Ok(Self::NeedReceipt(need))
            }
            ELAPSED => {
                let elapsed: super::frame::Elapsed = codec::decode(body, FRAME_BYTES_MAX)?;
                bounded(elapsed.rules.len(), TARIFF_RULES_MAX)?;
                Ok(Self::Elapsed(elapsed))
            }
            REFUSED => Ok(Self::Refused(codec::decode(body, FRAME_BYTES_MAX)?)),
            SELLER_CLOSE => empty(body).map(|()| Self::Close),
            LATEST => Ok(Self::Latest(Box::new(codec::decode(
                body,
                FRAME_BYTES_MAX,
            )?))),
            HELD => Ok(Self::Held(Box::new(codec::decode(body, FRAME_BYTES_MAX)?))),
            HELLO..=END => Err(Reject::FRAME_UNEXPECTED),
            _ => Err(Reject::FRAME_UNKNOWN),
        }
    }
}

/// The octets of `frame`.
pub fn to_bytes<F: Frame>(frame: &F) -> Vec<u8> {
    let (kind, body) = frame.encode();
    let length = u32::try_from(KIND_OCTETS + body.len()).unwrap_or(u32::MAX);
    let mut octets = Vec::with_capacity(LENGTH_OCTETS + KIND_OCTETS + body.len());
    octets.extend_from_slice(&length.to_le_bytes());
    octets.extend_from_slice(&kind.to_le_bytes());
    octets.extend_from_slice(&body);
    octets
}

/// Reads frames from octets that come in any pieces.
#[derive(Debug)]
pub struct Reader<F> {
    held: Vec<u8>,
    frames: PhantomData<fn() -> F>,
}

impl<F> Default for Reader<F> {
    fn default() -> Self {
        Self {
            held: Vec::new(),
            frames: PhantomData,
        }
    }
}

impl<F: Frame> Reader<F> {
    /// Takes from the front of `octets` what belongs to the next frame, and gives it when it is whole. `None`: everything is taken, and more is needed.
    ///
    /// # Errors
    /// The peer's fault; nothing after it can be read.
    pub fn read(&mut self, octets: &mut &[u8]) -> Result<Option<F>, Reject> {
        self.fill(octets, LENGTH_OCTETS);
        let Some(length) = self.held.first_chunk::<LENGTH_OCTETS>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        if length > FRAME_BYTES_MAX {
            return Err(Reject::RECORD_TOO_LARGE);
        }
        if length < KIND_OCTETS {
            return Err(Reject::RECORD_MALFORMED);
        }
        self.fill(octets, LENGTH_OCTETS + length);
        let Some(frame) = self.held.get(LENGTH_OCTETS..LENGTH_OCTETS + length) else {
            return Ok(None);
        };
        let (kind, body) = frame.split_at(KIND_OCTETS);
        let kind = kind
            .iter()
            .rev()
            .fold(0, |kind, octet| kind << 8 | u16::from(*octet));
        let frame = F::decode(kind, body)?;
        self.held.clear();
        Ok(Some(frame))
    }

    /// Whether the stream may end here.
    pub fn is_between_frames(&self) -> bool {
        self.held.is_empty()
    }

    fn fill(&mut self, octets: &mut &[u8], wanted: usize) {
        let missing = wanted.saturating_sub(self.held.len()).min(octets.len());
        let (taken, rest) = octets.split_at(missing);
        self.held.extend_from_slice(taken);
        *octets = rest;
    }
}

fn empty(body: &[u8]) -> Result<(), Reject> {
    if body.is_empty() {
        Ok(())
    } else {
        Err(Reject::RECORD_MALFORMED)
    }
}

fn bounded(count: usize, max: usize) -> Result<(), Reject> {
    if count <= max {
        Ok(())
    } else {
        Err(Reject::FIELD_OUT_OF_BOUNDS)
    }
}
