//! Our way, as people have it: a folder behind the seller's daemon, and the local proxy of the buyer's daemon, with an anchor beside them.

use std::{path::Path, thread, time::Duration};

use anyhow::{Context as _, Result};
use madang_tests::yard::{Daemon, Programs, Yard};

use crate::Wire;

/// A new node's admission and its way into the mesh take less than a second; this many looks are a minute.
const LOOKS: usize = 600;
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Two nodes that run.
pub(crate) struct Ours {
    /// The proxy's address.
    pub(crate) base: String,
    /// What a browser says of the site.
    pub(crate) host: String,
    seller: Daemon,
    buyer: Daemon,
    _yard: Yard,
}

impl Ours {
    /// Serves `folder` over `wire`. Below `/paid` each MiB has a price, and the buyer has agreed to it.
    pub(crate) fn start(wire: Wire, folder: &Path) -> Result<Self> {
        let programs = Programs {
            node: env!("CARGO_BIN_EXE_node_process"),
            anchor: env!("CARGO_BIN_EXE_anchor_process"),
        };
        let yard = Yard::open(programs, &["mina", "joon"])?;
        yard.operate(&["account", "topup", "joon", "100000000"])?;
        let mesh = format!(
            "[mesh]\nlisten = [{:?}]\ntransports = [{:?}]\n",
            wire.listen_address(),
            wire.setting()
        );
        yard.configure("mina", &format!("{mesh}[proxy]\nenabled = false\n"))?;
        let proxy = "[proxy]\nlisten = \"127.0.0.1:0\"\nconsole = \"127.0.0.1:0\"\n";
        let budget = "[budget]\nper_day = \"10000000 KRW\"\n";
        yard.configure("joon", &format!("{mesh}{proxy}{budget}"))?;
        let seller = yard.start("mina")?;
        let folder = folder.to_str().context("the folder's name")?;
        yard.command("mina", &["serve", folder, "--price", "/paid/**=2 KRW/MiB"])?;
        let buyer = yard.start("joon")?;
        let mut agreed = Ok(String::new());
        for _ in 0..LOOKS {
            agreed = yard.command(
                "joon",
                &["consent", "agree", "mina/paid/big", "--max", "10000000 KRW"],
            );
            if agreed.is_ok() {
                break;
            }
            thread::sleep(LOOK_EVERY);
        }
        agreed.context("agree to the price")?;
        let proxy = yard.proxy("joon")?;
        Ok(Self {
            base: format!("http://{proxy}"),
            host: format!("mina.localhost:{}", proxy.port()),
            seller,
            buyer,
            _yard: yard,
        })
    }

    /// Both daemons.
    pub(crate) fn processes(&self) -> Vec<u32> {
        vec![self.seller.id(), self.buyer.id()]
    }
}
