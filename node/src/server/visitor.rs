//! Who is behind a connection: known from the connection and the passport, never from a header.

use http::HeaderMap;
use std::time::Duration;

use libp2p::PeerId;
use madang_protocol::{
    ids::PublicKey,
    name::SiteName,
    record::{passport::Passport, tariff::Audience, usage},
    reject::Reject,
    sealed::Sealed,
};

use super::upstream::Forwarded;
use crate::{
    host,
    mesh::{directory::Directory, public_key_of},
};

/// A visitor whose passport is still on its way is waited for this long where a passport is needed.
const PASSPORT_WITHIN: Duration = Duration::from_secs(3);

/// The other end of one stream.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    /// Who it is in the mesh.
    pub(super) peer: PeerId,
    /// The device's key, as the connection authenticated it.
    pub(super) device: PublicKey,
    is_subscriber: bool,
    /// The owner, on this very node.
    pub(super) is_owner: bool,
    /// The owner's own passport: no peer of his shows it here.
    own: Option<Sealed<Passport>>,
}

impl Visitor {
    /// This node's owner, who looks at what it serves: everything is open, costs nothing and counts as no use.
    pub(super) fn owner(peer: PeerId, passport: Option<Sealed<Passport>>) -> Option<Self> {
        Some(Self {
            peer,
            device: PublicKey(public_key_of(&peer).ok()?),
            is_subscriber: true,
            is_owner: true,
            own: passport,
        })
    }

    /// Whoever is at `peer`; `None` where its key is of a kind that this network does not use.
    pub(super) fn of(peer: PeerId, directory: &Directory) -> Option<Self> {
        let device = PublicKey(public_key_of(&peer).ok()?);
        Some(Self {
            peer,
            device,
            is_subscriber: directory.passport_of(&peer).is_some(),
            is_owner: false,
            own: None,
        })
    }

    /// Whether `audience` holds this visitor.
    ///
    /// # Errors
    /// Who is missing in it.
    pub(super) fn belongs_to(
        &self,
        audience: Audience,
        directory: &Directory,
    ) -> Result<(), Reject> {
        match audience {
            Audience::Anyone => Ok(()),
            Audience::Subscribers if directory.passport_of(&self.peer).is_some() => Ok(()),
            Audience::Subscribers => Err(Reject::NOT_A_SUBSCRIBER),
            Audience::Members(_) => Err(Reject::NOT_A_MEMBER),
        }
    }

    /// [`Visitor::belongs_to`], waiting for a passport that is still on its way.
    ///
    /// # Errors
    /// Who is missing in it.
    pub(super) async fn belongs_in_time_to(
        &self,
        audience: Audience,
        directory: &Directory,
    ) -> Result<(), Reject> {
        match self.belongs_to(audience, directory) {
            Err(Reject::NOT_A_SUBSCRIBER) => {
                let shown =
                    tokio::time::timeout(PASSPORT_WITHIN, directory.await_passport(&self.peer));
                let is_shown = shown.await.ok().flatten().is_some();
                is_shown.then_some(()).ok_or(Reject::NOT_A_SUBSCRIBER)
            }
            other => other,
        }
    }

    /// The kind under which statistics count it.
    pub(super) fn kind(&self) -> usage::Visitor {
        if self.is_subscriber {
            usage::Visitor::Subscriber
        } else {
            usage::Visitor::Stranger
        }
    }

    /// What an application is told.
    pub(super) fn forwarded(
        &self,
        headers: &HeaderMap,
        site: &SiteName,
        directory: &Directory,
    ) -> Forwarded {
        let passport = match &self.own {
            Some(own) => Some(own.clone()),
            None => directory.passport_of(&self.peer),
        };
        Forwarded {
            account: passport
                .as_ref()
                .map(|passport| passport.account.to_string()),
            handle: passport
                .as_ref()
                .map(|passport| passport.handle.to_string()),
            groups: Vec::new(),
            host: asked_host(headers, site),
            proto: "http".into(),
            address: None,
        }
    }
}

/// What reverse proxies put into `X-Forwarded-Host`: the host that the browser asked for, port and all, as far as the visitor's node passed it on and
/// it means this site; else the site's label.
fn asked_host(headers: &HeaderMap, site: &SiteName) -> String {
    let host = host::asked(headers, site);
    host.and_then(|host| host.to_str().map(str::to_owned).ok())
        .unwrap_or_else(|| site.to_label())
}
