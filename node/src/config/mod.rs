//! `madang.toml`: raw as it is written, checked once, and written back whole when a command changes it.
//!
//! Every mistake is one line that names the file, the place and what would be right.

mod checked;
mod edit;
mod error;
mod raw;
mod site;
mod units;

pub use checked::{AnchorConfig, Budgets, Config, MeshConfig, ProxyConfig, Selling};
pub use edit::{add_site, as_added, remove_site, set_anchor, set_listen};
pub use error::ConfigError;
pub use raw::{Raw, RawAnchor, RawBudget, RawMesh, RawProxy, RawSelling, RawSite};
#[cfg(test)]
pub(crate) use site::WORDS_BYTES_MAX;
pub use site::{Price, SiteConfig, Source, parse_part};
pub use units::{Money, UnitError, parse_duration, parse_size};
