//! The daemon: everything that one node does, put together, started and stopped.
//!
//! * [`App::build`] checks, binds and loads; nothing is said to anyone yet.
//! * [`App::spawn`] starts the tasks: the sign-in first, and after admission what depends on it.
//! * [`Running::shutdown`] ends them politely; dropping a [`Running`] ends them at once.

mod addresses;
mod alone;
mod build;
mod catalogue;
mod node;
mod presence;
mod publish;
mod reports;
mod running;
mod sign_in;
mod sites;
mod tasks;
mod yard;

pub use build::{App, BuildError, Overrides};
pub use catalogue::{Catalogue, CatalogueError, Published, PublishedSite};
pub use node::{Addresses, Node};
pub use running::Running;
pub use sign_in::Admission;
pub use sites::{SiteError, check_site};
