//! The Madang node: a personal web server, its mesh, its wallet and its local proxy.
//!
//! * [`home`], [`files`]: where everything is kept, and how it survives a power cut.
//! * [`identity`], [`clock`], [`standing`]: who this node is, what time it is, and what the issuer has said of it.
//! * [`config`] checks and changes `madang.toml`.
//! * [`broker`] is the client of the anchor.
//! * [`mesh`] joins nodes; it alone knows the swarm. [`web`] is HTTP over its streams, [`server`] the personal web server.
//! * [`fetch`] gets something from a site by name; [`proxy`] does so for a plain browser on this PC.
//! * [`pay`] buys and sells; [`store`] is what must not be forgotten of it.
//! * [`app`] puts the daemon together.
//! * [`control`] takes the owner's commands over a Unix socket.
//! * [`usage`] counts how much the sites are used, for statistics.

pub mod app;
pub mod broker;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod doctor;
pub mod fetch;
pub mod files;
pub mod home;
mod host;
pub mod identity;
pub mod join;
pub mod mesh;
pub mod pay;
pub mod proxy;
pub mod server;
pub mod service;
pub mod standing;
pub mod store;
pub mod usage;
pub mod web;
