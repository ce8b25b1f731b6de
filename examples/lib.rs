//! One idea per file. What an example needs beyond a page has a folder of its own.

#[path = "demo/mod.rs"]
pub mod demo;
