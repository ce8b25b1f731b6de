//! The Madang node: a personal web server, its mesh, its wallet and its local proxy.

pub mod server;
pub mod web;
