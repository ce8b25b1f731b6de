//! Checks of shape that several records share. A failed one is [`Reject::FIELD_OUT_OF_BOUNDS`].

use crate::{
    limits::{ADDRESS_BYTES_MAX, ADDRESSES_MAX},
    reject::Reject,
};

/// Refuses unless `holds`.
pub(super) fn require(holds: bool) -> Result<(), Reject> {
    if holds {
        Ok(())
    } else {
        Err(Reject::FIELD_OUT_OF_BOUNDS)
    }
}

/// Text of at most `octets_max` without control characters.
pub(super) fn text(text: &str, octets_max: usize) -> Result<(), Reject> {
    require(text.len() <= octets_max && !text.chars().any(char::is_control))
}

/// Addresses: few, short, printable, each once.
pub(super) fn addresses(addresses: &[String]) -> Result<(), Reject> {
    require(addresses.len() <= ADDRESSES_MAX)?;
    addresses.iter().try_for_each(|address| {
        require(!address.is_empty() && address.is_ascii()).and(text(address, ADDRESS_BYTES_MAX))
    })?;
    require(
        addresses
            .iter()
            .enumerate()
            .all(|(at, address)| !addresses[..at].contains(address)),
    )
}
