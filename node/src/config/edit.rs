//! Changes of `madang.toml` by commands. The file is read, changed, checked and replaced under a lock; comments in it are not kept.

use std::{fs::OpenOptions, path::PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::{Config, ConfigError, Raw, RawSite, SiteConfig};
use crate::home::Home;

/// Adds `site`, in the place of one of the same name. Gives the site checked, and whether it replaced another.
///
/// # Errors
/// [`ConfigError`]; the file is as it was then.
pub fn add_site(home: &Home, site: RawSite) -> Result<(SiteConfig, bool), ConfigError> {
    let checked = SiteConfig::check(&site, home.path())?;
    let replaced = change(home, |raw| {
        let before = raw.site.len();
        raw.site
            .retain(|other| !is_named(other, checked.part.as_deref()));
        let replaced = raw.site.len() < before;
        raw.site.push(site);
        replaced
    })?;
    Ok((checked, replaced))
}

/// Removes the site of this name; whether there was one.
///
/// # Errors
/// [`ConfigError`]; the file is as it was then.
pub fn remove_site(home: &Home, part: Option<&str>) -> Result<bool, ConfigError> {
    change(home, |raw| {
        let before = raw.site.len();
        raw.site.retain(|other| !is_named(other, part));
        raw.site.len() < before
    })
}

/// Makes the node listen on `addresses` from its next start on.
///
/// # Errors
/// [`ConfigError`]; the file is as it was then.
pub fn set_listen(home: &Home, addresses: Vec<String>) -> Result<(), ConfigError> {
    change(home, |raw| raw.mesh.listen = Some(addresses))
}

/// Keeps what a connection to the anchor needs.
///
/// # Errors
/// [`ConfigError`]; the file is as it was then.
pub fn set_anchor(
    home: &Home,
    ca_file: Option<PathBuf>,
    insecure_http: bool,
) -> Result<(), ConfigError> {
    change(home, |raw| {
        raw.anchor.ca_file = ca_file;
        raw.anchor.insecure_http = insecure_http.then_some(true);
    })
}

/// Names are compared in canonical form; one that has none equals nothing, and the check refuses it.
fn is_named(site: &RawSite, part: Option<&str>) -> bool {
    let bare = RawSite {
        name: site.name.clone(),
        port: Some(1),
        ..RawSite::default()
    };
    SiteConfig::check(&bare, std::path::Path::new("/"))
        .is_ok_and(|checked| checked.part.as_deref() == part)
}

fn change<T>(home: &Home, change: impl FnOnce(&mut Raw) -> T) -> Result<T, ConfigError> {
    let path = home.config();
    let failed = |source| ConfigError::File {
        path: path.clone(),
        source,
    };
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(home.join("madang.toml.lock"))
        .map_err(failed)?;
    flock(&lock, FlockOperation::LockExclusive).map_err(|error| failed(error.into()))?;
    let mut raw = Raw::read(&path)?;
    let outcome = change(&mut raw);
    Config::check(&raw, home.path())?;
    raw.write(&path)?;
    Ok(outcome)
}
