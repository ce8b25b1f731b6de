//! Whether a site can be served by this account in this network, found out before anything is changed.

use std::{
    io,
    path::{Path, PathBuf},
};

use madang_protocol::name::{NameError, SiteName};
use thiserror::Error;

use crate::{
    config::{ConfigError, SiteConfig, Source},
    home::Home,
    server::folder::{FolderOptions, home_around},
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
    /// Visitors would find this node's key and its journal there.
    #[error(
        "cannot serve {path}: this node's home {home} would be open to visitors; choose another folder"
    )]
    Home {
        /// The folder.
        path: PathBuf,
        /// Where this node keeps everything.
        home: PathBuf,
    },
    /// The same of another node's home, or an anchor's.
    #[error(
        "cannot serve {path}: it lies in the home {home} of a node or an anchor; choose another folder"
    )]
    OtherHome {
        /// The folder.
        path: PathBuf,
        /// Where the other program keeps everything.
        home: PathBuf,
    },
}

/// Checks `site` against this node's home, the account and the network; gives its name.
///
/// # Errors
/// [`SiteError`]
pub fn check_site(
    home: &Home,
    site: &SiteConfig,
    standing: &Standing,
) -> Result<SiteName, SiteError> {
    let name = site
        .name(&standing.handle)
        .map_err(|reason| SiteError::Name {
            part: site.part.clone().unwrap_or_default(),
            reason,
        })?;
    site.rules(standing.descriptor.currency)?;
    if let Source::Folder(path) = &site.source {
        check_folder(home.path(), path)?;
    }
    Ok(name)
}

/// Refuses a folder that is not there, and one whose visitors would see into `home`. Whatever links lead to either, the places are compared.
fn check_folder(home: &Path, path: &Path) -> Result<(), SiteError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        |source| SiteError::Folder { path, source }
    };
    std::fs::read_dir(path).map_err(failed(path))?;
    let real = path.canonicalize().map_err(failed(path))?;
    let real_home = home.canonicalize().map_err(failed(home))?;
    let lies_within = real.starts_with(&real_home);
    let shows = real_home
        .strip_prefix(&real)
        .is_ok_and(|below| FolderOptions::default().shows(below));
    if lies_within || shows {
        return Err(SiteError::Home {
            path: path.to_owned(),
            home: home.to_owned(),
        });
    }
    match home_around(&real) {
        Some(home) => Err(SiteError::OtherHome {
            path: path.to_owned(),
            home,
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn a_folder_whose_visitors_would_see_the_home_is_refused() {
        let yard = tempfile::tempdir().unwrap();
        let at = |name: &str| yard.path().join(name);
        for folder in ["seen/node/journal", "hidden/.data/node", "nodes", "public"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        symlink(at("seen/node"), at("link")).unwrap();
        symlink(at("seen"), at("above")).unwrap();
        for (home, folder, is_refused) in [
            ("seen/node", "seen/node", true),
            ("seen/node", "seen/node/journal", true),
            ("seen/node", "seen/../seen/node/.", true),
            ("seen/node", "seen", true),
            ("seen/node", "", true),
            ("seen/node", "link", true),
            ("seen/node", "above", true),
            ("link", "seen", true),
            ("hidden/.data/node", "hidden/.data", true),
            ("hidden/.data/node", "hidden", false),
            ("hidden/.data/node", "", false),
            ("seen/node", "public", false),
            ("seen/node", "nodes", false),
        ] {
            let answer = check_folder(&at(home), &at(folder));
            let refused = matches!(&answer, Err(SiteError::Home { .. }));
            assert_eq!(refused, is_refused, "{home} {folder}: {answer:?}");
            assert_eq!(answer.is_ok(), !is_refused, "{home} {folder}");
        }
        fs::create_dir_all(at("anchor/store")).unwrap();
        for name in ["issuer.key", "network.toml"] {
            fs::write(at("anchor").join(name), "").unwrap();
        }
        for folder in ["anchor", "anchor/store"] {
            let refused = check_folder(&at("link"), &at(folder)).unwrap_err();
            assert!(matches!(refused, SiteError::OtherHome { .. }), "{refused}");
        }
        let missing = check_folder(&at("link"), &at("missing")).unwrap_err();
        assert!(matches!(missing, SiteError::Folder { .. }), "{missing}");
    }
}
