//! Changes of `madang.toml` by commands. The file is read, changed, checked and replaced under a lock; comments in it are not kept.

use std::{fs::OpenOptions, path::PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::{Config, ConfigError, Raw, RawSite, SiteConfig};
use crate::home::Home;

/// `site` as [`add_site`] would add it: what it does not say about audience, prices and words stays as the site of the same name has it, so that
/// nobody who serves a folder once more gives away what had a price. What is said to be empty is taken away.
///
/// # Errors
/// [`ConfigError`]
pub fn as_added(home: &Home, site: RawSite) -> Result<RawSite, ConfigError> {
    Ok(completed(&Raw::read(&home.config())?, site))
}

/// Adds `site`, completed as by [`as_added`], in the place of one of the same name. Gives the site checked, and whether it replaced another.
///
/// # Errors
/// [`ConfigError`]; the file is as it was then.
pub fn add_site(home: &Home, site: RawSite) -> Result<(SiteConfig, bool), ConfigError> {
    let (site, replaced) = change(home, |raw| {
        let mut site = completed(raw, site);
        site.prices = site.prices.filter(|list| !list.is_empty());
        let before = raw.site.len();
        raw.site.retain(|other| !are_one(other, &site));
        let replaced = raw.site.len() < before;
        raw.site.push(site.clone());
        (site, replaced)
    })?;
    Ok((SiteConfig::check(&site, home.path())?, replaced))
}

fn completed(raw: &Raw, mut site: RawSite) -> RawSite {
    if let Some(before) = raw.site.iter().find(|other| are_one(other, &site)) {
        site.title = site.title.or_else(|| before.title.clone());
        site.description = site.description.or_else(|| before.description.clone());
        site.keywords = site.keywords.or_else(|| before.keywords.clone());
        site.audience = site.audience.or_else(|| before.audience.clone());
        site.prices = site.prices.or_else(|| before.prices.clone());
    }
    site
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

fn is_named(site: &RawSite, part: Option<&str>) -> bool {
    canonical(site).is_some_and(|own| own.as_deref() == part)
}

fn are_one(site: &RawSite, other: &RawSite) -> bool {
    canonical(site).is_some_and(|own| canonical(other) == Some(own))
}

/// Names are compared in this form; one that has none equals nothing, and the check refuses it.
fn canonical(site: &RawSite) -> Option<Option<String>> {
    let bare = RawSite {
        name: site.name.clone(),
        port: Some(1),
        ..RawSite::default()
    };
    let checked = SiteConfig::check(&bare, std::path::Path::new("/"));
    checked.ok().map(|checked| checked.part)
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn site(prices: Option<&[&str]>) -> RawSite {
        RawSite {
            name: Some("Blog".into()),
            port: Some(3000),
            prices: prices.map(|list| list.iter().map(ToString::to_string).collect()),
            ..RawSite::default()
        }
    }

    #[test]
    fn what_is_not_said_again_stays_and_what_is_said_holds() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        let first = RawSite {
            audience: Some("subscribers".into()),
            title: Some("Notes".into()),
            ..site(Some(&["/a=5 KRW"]))
        };
        assert!(!add_site(&home, first).unwrap().1);
        let (kept, replaced) = add_site(&home, site(None)).unwrap();
        assert_eq!(
            (replaced, kept.prices.len(), kept.title.as_str()),
            (true, 1, "Notes")
        );
        let (other, _) = add_site(&home, site(Some(&["/b=1 KRW", "/c=2 KRW"]))).unwrap();
        assert_eq!(other.prices.len(), 2);
        let (free, _) = add_site(&home, site(Some(&[]))).unwrap();
        assert_eq!(
            (free.prices.len(), free.audience),
            (0, kept.audience),
            "only the prices are taken away"
        );
        assert_eq!(Raw::read(&home.config()).unwrap().site.len(), 1);
        assert!(remove_site(&home, Some("blog")).unwrap());
        let (anew, _) = add_site(&home, site(None)).unwrap();
        assert!(anew.title.is_empty());
    }
}
