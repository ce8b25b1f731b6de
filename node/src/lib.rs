//! node

pub mod server;
pub mod web;
