//! [`MeshNode`]: a node as far as the mesh and the directory, with a home of its own.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use ed25519_dalek::SigningKey;
use madang::clock::Clock;
use madang::home::Home;
use madang::mesh::directory::{Directory, DirectoryConfig, Prepared, Running};
use madang::mesh::{Handle as MeshHandle, Limits, Mesh, MeshConfig, Multiaddr, PeerId, Transport};
use madang::standing::Keeper;
use madang_protocol::{
    ids::PublicKey,
    limits::ANNOUNCEMENT_LIFE,
    name::{Handle, SiteName},
    record::{announcement::Announcement, tariff::Audience},
    sealed::Sealed,
    time::UnixMillis,
};
use tempfile::TempDir;

use super::Issuer;

/// What a node is made of; it can be stopped and started from this again.
pub struct NodeConfig {
    /// Its key, which is its identity.
    pub key: SigningKey,
    /// Whose it is.
    pub handle: Handle,
    /// Where it keeps its standing and its peers.
    pub home: TempDir,
    /// How it is connected.
    pub transport: Transport,
    /// Its limits.
    pub limits: Limits,
}

impl NodeConfig {
    /// Device number `device` of the account that has `handle`, on memory transport.
    ///
    /// # Errors
    /// A handle that is none; no room for a home.
    pub fn new(handle: &str, device: u16) -> Result<Self> {
        let mut secret = [0x5a; 32];
        secret[..2].copy_from_slice(&device.to_le_bytes());
        for (at, octet) in handle.bytes().take(28).enumerate() {
            secret[2 + at] = octet;
        }
        Ok(Self {
            key: SigningKey::from_bytes(&secret),
            handle: handle.parse().context("read the handle")?,
            home: TempDir::new().context("make a home")?,
            transport: Transport::Memory,
            limits: Limits::default(),
        })
    }

    /// The file of its remembered peers.
    pub fn peers_file(&self) -> PathBuf {
        self.home.path().join("peers")
    }
}

/// A running node.
pub struct MeshNode {
    config: NodeConfig,
    issuer: Issuer,
    mesh: Mesh,
    running: Running,
    keeper: Arc<Keeper>,
    clock: Clock,
}

impl MeshNode {
    /// Starts a node in `issuer`'s network; `bootstrap` stands in its network descriptor.
    ///
    /// # Errors
    /// What kept it from starting.
    pub async fn start(config: NodeConfig, issuer: &Issuer, bootstrap: &[String]) -> Result<Self> {
        let clock = Clock::machine();
        let now = clock.now();
        let device = PublicKey::of(&config.key);
        let home = Home::at(config.home.path());
        let passport = issuer.passport(&config.handle, device, now);
        let keeper = Keeper::create(
            &home,
            "http://anchor.invalid",
            issuer.descriptor(bootstrap, now),
            passport,
        )
        .context("keep the standing")?;
        let keeper = Arc::new(keeper);
        let prepared = Prepared::new(DirectoryConfig {
            keeper: Arc::clone(&keeper),
            clock: clock.clone(),
            peers_file: Some(config.peers_file()),
        });
        let mut mesh = MeshConfig::new(config.key.to_bytes(), &issuer.network().to_string());
        mesh.transports = vec![config.transport];
        mesh.limits = config.limits.clone();
        mesh.listen.push(any_address(config.transport)?);
        mesh.policy = prepared.policy();
        let mesh = Mesh::build(mesh).context("build the mesh")?;
        let mut listening = mesh.handle().listen_addresses();
        listening
            .wait_for(|addresses| !addresses.is_empty())
            .await
            .context("listen")?;
        let running = prepared
            .start(mesh.handle())
            .await
            .context("start the directory")?;
        Ok(Self {
            config,
            issuer: issuer.clone(),
            mesh,
            running,
            keeper,
            clock,
        })
    }

    /// Stops it politely; it can be started again, at another address.
    pub async fn stop(self) -> NodeConfig {
        self.running.shutdown().await;
        self.mesh.shutdown().await;
        self.config
    }

    /// Stops it as a power cut does.
    pub fn kill(self) -> NodeConfig {
        self.config
    }

    /// Its directory.
    pub fn directory(&self) -> Directory {
        self.running.directory()
    }

    /// Its mesh.
    pub fn mesh(&self) -> MeshHandle {
        self.mesh.handle()
    }

    /// Its identity in the mesh.
    pub fn peer(&self) -> PeerId {
        self.mesh.handle().peer_id()
    }

    /// Its key.
    pub fn key(&self) -> &SigningKey {
        &self.config.key
    }

    /// Its standing.
    pub fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    /// The time that it signs with.
    pub fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// Where it listens.
    pub fn addresses(&self) -> Vec<Multiaddr> {
        self.mesh.handle().listen_addresses().borrow().clone()
    }

    /// Where others enter the mesh by it: an address that ends in its peer id.
    pub fn entrance(&self) -> String {
        let address = self
            .addresses()
            .first()
            .map(ToString::to_string)
            .unwrap_or_default();
        format!("{address}/p2p/{}", self.peer())
    }

    /// An announcement of `site` at the addresses of now, signed by this node; `edit` may change it before.
    ///
    /// # Panics
    /// When `edit` makes it one that nobody would sign.
    pub fn announcement(
        &self,
        site: &SiteName,
        edit: impl FnOnce(&mut Announcement),
    ) -> Sealed<Announcement> {
        let now = self.now();
        let device = PublicKey::of(&self.config.key);
        let mut announcement = Announcement {
            device,
            site: site.clone(),
            title: format!("The site {site}"),
            description: String::new(),
            keywords: Vec::new(),
            tariff: None,
            audience: Audience::Anyone,
            addresses: self.addresses().iter().map(ToString::to_string).collect(),
            sequence: now.0,
            issued: now,
            expires: now.plus(ANNOUNCEMENT_LIFE),
            passport: self
                .issuer
                .passport(&self.config.handle, device, now)
                .into_unverified(),
        };
        edit(&mut announcement);
        Sealed::sign(announcement, self.issuer.network(), &self.config.key)
            .expect("an announcement within its bounds")
    }

    /// Announces `site` and nothing else.
    ///
    /// # Errors
    /// The directory has ended.
    pub async fn announce(
        &self,
        site: &SiteName,
        keywords: &[&str],
    ) -> Result<Sealed<Announcement>> {
        let announcement = self.announcement(site, |announcement| {
            announcement.keywords = keywords.iter().map(ToString::to_string).collect();
        });
        self.directory()
            .announce(vec![announcement.clone()])
            .await
            .context("announce the site")?;
        Ok(announcement)
    }
}

fn any_address(transport: Transport) -> Result<Multiaddr> {
    let text = match transport {
        Transport::Quic => "/ip4/127.0.0.1/udp/0/quic-v1",
        Transport::TcpTls | Transport::TcpNoise => "/ip4/127.0.0.1/tcp/0",
        Transport::Memory => "/memory/0",
    };
    text.parse().context("read an address")
}
