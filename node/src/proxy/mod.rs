//! The local proxy: sites of the mesh in a plain browser on the same PC, and the consent page.
//!
//! * [`server`]: listens, on loopback only; one owner for every connection.
//! * [`target`]: which site a request means, and which hosts are refused.
//! * [`visit`]: whether a request may spend its visitor's money.
//! * [`rebuild`]: what passes between browser and site, header by header.
//! * [`local`]: one request, from browser to site and back.
//! * [`consent`]: prices are shown and agreed to, on an origin of its own.
//! * [`page`], [`prices`], [`reasons`], [`words`], [`look`]: what a person sees, in Korean and English.

mod consent;
mod failure;
mod local;
mod look;
mod page;
mod pending;
mod prices;
mod reasons;
mod rebuild;
mod server;
mod target;
mod visit;
mod words;

#[cfg(test)]
mod tests;

pub use server::{BoundAddresses, Listeners, Proxy};
