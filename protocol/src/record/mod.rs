//! The signed records: who signs what, its fields and its bounds. Meaning across several records is in [`crate::rules`].

pub mod announcement;
mod bounds;
pub mod grant;
pub mod head;
pub mod network;
pub mod pass;
pub mod passport;
pub mod presence;
pub mod receipt;
pub mod request;
pub mod revocation;
pub mod settlement;
pub mod tariff;
pub mod usage;
