//! The client of the anchor.
//!
//! [`Endpoint`] speaks HTTP with one anchor and knows nothing of keys or trust; [`Client`] signs this node's requests, and gives out nothing
//! that the pinned issuer did not sign and that does not answer the question. Neither repeats a call: whoever calls has stored the request's id
//! before and decides when to send it again.

mod address;
mod client;
mod endpoint;
mod error;

pub use address::{AnchorAddress, AnchorAddressError};
pub use client::{Admission, Client};
pub use endpoint::{Described, Endpoint, EndpointOptions};
pub use error::{BrokerError, Lie, TlsError, Unreachable};
