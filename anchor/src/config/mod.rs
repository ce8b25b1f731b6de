//! Configuration: what was written ([`raw`]) becomes what is meant ([`Config`]), once.

mod checked;
mod limits;
pub mod raw;
mod units;

pub(crate) use checked::database;
pub use checked::{Config, ConfigError, Exposure, NetworkWish, TlsFiles};
pub use limits::Limits;
