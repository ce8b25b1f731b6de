//! The personal web server: where what a node serves comes from.

pub mod folder;
