//! The personal web server: where what a node serves comes from, and where it is counted.

pub mod folder;
pub mod meter;
#[cfg(test)]
mod testing;
pub mod upstream;
