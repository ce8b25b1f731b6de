//! What a person types, as a shell runs it: real processes in a folder of their own.

#![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

mod readme;
mod service;
mod tls;

use madang_tests::yard::{Programs, Yard};

fn yard() -> Yard {
    let programs = Programs {
        node: env!("CARGO_BIN_EXE_node_process"),
        anchor: env!("CARGO_BIN_EXE_anchor_process"),
    };
    Yard::empty(programs).unwrap()
}

/// Starts an anchor, and has mina's node join it with `home`.
fn join(yard: &Yard, home: &str) {
    let commands = format!(
        "url=$(madang-anchor --home $yard/anchor serve --listen 127.0.0.1:0 --bg | sed -n 's/^listening on \\([^ ]*\\) .*/\\1/p')
         echo 'a long password for mina' | madang-anchor --home $yard/anchor account add mina --password-stdin
         echo 'a long password for mina' | madang --home \"$yard/{home}\" join $url --handle mina --password-stdin --yes"
    );
    yard.shell(&commands).unwrap();
}
