//! Whether a site can be served by this account in this network, found out before anything is changed.

use std::{io, path::PathBuf};

use madang_protocol::name::{NameError, SiteName};
use thiserror::Error;

use crate::{
    config::{ConfigError, SiteConfig, Source},
    standing::Standing,
};

/// Why a site cannot be served. Each message is one line.
#[derive(Debug, Error)]
pub enum SiteError {
    /// The configuration does not fit.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// Site part and handle do not fit a host label together.
    #[error("site {part:?}: {reason}")]
    Name {
        /// The site part.
        part: String,
        /// Why.
        reason: NameError,
    },
    /// The folder is not there, or is not one.
    #[error("cannot serve {path}: {source}")]
    Folder {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Checks `site` against the account and the network; gives its name.
///
/// # Errors
/// [`SiteError`]
pub fn check_site(site: &SiteConfig, standing: &Standing) -> Result<SiteName, SiteError> {
    let name = site
        .name(&standing.handle)
        .map_err(|reason| SiteError::Name {
            part: site.part.clone().unwrap_or_default(),
            reason,
        })?;
    site.rules(standing.descriptor.currency)?;
    if let Source::Folder(path) = &site.source {
        std::fs::read_dir(path).map_err(|source| SiteError::Folder {
            path: path.clone(),
            source,
        })?;
    }
    Ok(name)
}
