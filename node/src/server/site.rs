//! The sites that this node serves, each with where its answers come from. They follow what the node publishes.

use std::{collections::BTreeMap, sync::Arc};

use madang_protocol::name::SiteName;
use parking_lot::RwLock;
use tokio::sync::watch;

use super::{
    folder::{Folder, FolderError, FolderOptions},
    upstream::{Target, Upstream},
};
use crate::{
    app::{Published, PublishedSite},
    config::Source,
};

/// Where a site's answers come from.
pub(super) enum Origin {
    /// Files.
    Folder(Box<Folder>),
    /// An application of the owner's.
    Application(Box<Upstream>),
}

/// One site.
pub(super) struct Site {
    /// As peers see it.
    pub(super) published: PublishedSite,
    /// Where its answers come from.
    pub(super) origin: Origin,
}

/// All sites of this node.
pub(super) struct Sites {
    published: watch::Receiver<Arc<Published>>,
    current: RwLock<Current>,
}

struct Current {
    of: Arc<Published>,
    sites: BTreeMap<SiteName, Arc<Site>>,
}

impl Sites {
    pub(super) fn follow(published: watch::Receiver<Arc<Published>>) -> Self {
        let of = Arc::clone(&published.borrow());
        let sites = built(&of, &BTreeMap::new());
        Self {
            published,
            current: RwLock::new(Current { of, sites }),
        }
    }

    /// The site of this name.
    pub(super) fn get(&self, name: &SiteName) -> Option<Arc<Site>> {
        self.with(|sites| sites.get(name).cloned())
    }

    /// What a request without a site's name means: the handle's own site, or the only one.
    pub(super) fn default_site(&self) -> Option<Arc<Site>> {
        self.with(|sites| {
            let own = sites
                .values()
                .find(|site| site.published.name.part().is_none());
            let only = if sites.len() == 1 {
                sites.values().next()
            } else {
                None
            };
            own.or(only).cloned()
        })
    }

    fn with<R>(&self, read: impl FnOnce(&BTreeMap<SiteName, Arc<Site>>) -> R) -> R {
        let newest = Arc::clone(&self.published.borrow());
        {
            let current = self.current.read();
            if Arc::ptr_eq(&current.of, &newest) {
                return read(&current.sites);
            }
        }
        let mut current = self.current.write();
        if !Arc::ptr_eq(&current.of, &newest) {
            let sites = built(&newest, &current.sites);
            *current = Current { of: newest, sites };
        }
        read(&current.sites)
    }
}

/// The sites of `published`; an origin that has not changed goes on, with its connections and caches.
fn built(
    published: &Published,
    before: &BTreeMap<SiteName, Arc<Site>>,
) -> BTreeMap<SiteName, Arc<Site>> {
    let mut sites = BTreeMap::new();
    for site in &published.sites {
        let same = before
            .get(&site.name)
            .filter(|known| known.published.config.source == site.config.source);
        let origin = match same.map(|known| &known.origin) {
            Some(Origin::Folder(folder)) => Ok(Origin::Folder(folder.clone())),
            Some(Origin::Application(application)) => Ok(Origin::Application(application.clone())),
            None => open(&site.config.source),
        };
        match origin {
            Ok(origin) => {
                sites.insert(
                    site.name.clone(),
                    Arc::new(Site {
                        published: site.clone(),
                        origin,
                    }),
                );
            }
            Err(error) => tracing::warn!(site = %site.name, %error, "a site cannot be served"),
        }
    }
    sites
}

fn open(source: &Source) -> Result<Origin, FolderError> {
    Ok(match source {
        Source::Folder(path) => {
            Origin::Folder(Box::new(Folder::open(path, FolderOptions::default())?))
        }
        Source::Port(port) => application(Target::Tcp {
            host: "localhost".into(),
            port: *port,
            base: String::new(),
        }),
        Source::Url(url) => match url.to_string().parse() {
            Ok(target) => application(target),
            // The configuration has checked it: what it takes and this does not is nowhere to be reached.
            Err(_) => application(Target::Tcp {
                host: "localhost".into(),
                port: 0,
                base: String::new(),
            }),
        },
        Source::Unix(path) => application(Target::Unix { path: path.clone() }),
    })
}

fn application(target: Target) -> Origin {
    Origin::Application(Box::new(Upstream::new(target)))
}
