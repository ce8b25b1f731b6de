//! What may be said on the command line.

use std::{env, io, path::PathBuf};

use clap::Parser;

/// An anchor, a seller's node and a buyer's node on this machine, and a purchase between them
#[derive(Debug, Parser)]
#[command(name = "demo")]
pub(super) struct Options {
    /// End after the purchase instead of staying until Ctrl-C
    #[arg(long)]
    pub once: bool,
    /// Where everything is kept; a folder of an earlier run is gone on with [default: a new folder for temporary files]
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
}

impl Options {
    /// The folder to keep things in. It exists when this returns.
    pub(super) fn folder(&self) -> io::Result<PathBuf> {
        let folder = match &self.state {
            Some(folder) => folder.clone(),
            None => env::temp_dir().join(format!("madang-demo-{}", std::process::id())),
        };
        std::fs::create_dir_all(&folder)?;
        folder.canonicalize()
    }
}
