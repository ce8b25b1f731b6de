//! A reader that stops in the middle: what lies between it and its node was received, and is paid; it is to be little.

#![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

use std::{
    fs,
    sync::Mutex,
    time::{Duration, Instant},
};

use madang::config::Raw;
use madang_tests::harness::{PAID_IN, Pc, Street, World, eventually, folder, serving, won};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

const MIB: u64 = 1 << 20;
/// What the system receives for the browser before it reads, which is for the browser to choose: left alone it grows to megabytes with the speed.
const BROWSER_BUFFER_BYTES: u32 = 256 * 1_024;
/// What was signed stays the same for so long.
const QUIET: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_stops_pays_for_little_more_than_it_has_read() {
    let site = TempDir::new().unwrap();
    fs::write(site.path().join("free.txt"), "free").unwrap();
    fs::write(site.path().join("film.bin"), vec![7; 64 << 20]).unwrap();
    let world = World::start().await.unwrap();
    let seller = serving(folder(site.path(), &["/film.bin=2 KRW/MiB"]));
    let street = Street::open(world, site, seller, Raw::default(), "/free.txt");
    let street = street.await.unwrap();
    street.agreed("/film.bin", won(PAID_IN)).await.unwrap();
    let bob = street.bob();

    let mut browser = browse(bob, "/film.bin").await;
    let mut first = vec![0; MIB as usize];
    browser.read_exact(&mut first).await.unwrap();
    let last = Mutex::new((0, Instant::now()));
    let is_quiet = || async {
        let signed = octets_signed(bob);
        let mut last = last.lock().unwrap();
        if last.0 != signed {
            *last = (signed, Instant::now());
        }
        signed > 0 && last.1.elapsed() >= QUIET
    };
    eventually("nothing more is signed", is_quiet)
        .await
        .unwrap();
    let signed = octets_signed(bob);
    assert!(
        (MIB..=3 * MIB).contains(&signed),
        "signed for {signed} octets"
    );

    // It goes on where it stopped, and the rest is paid too.
    let mut rest = Vec::new();
    browser.read_to_end(&mut rest).await.unwrap();
    assert!(rest.ends_with(&[7; 1_000]) && rest.len() as u64 > 63 * MIB - 1_000);
    let is_paid = || async { octets_signed(bob) == 64 * MIB };
    eventually("the whole file is signed for", is_paid)
        .await
        .unwrap();
}

/// A browser's connection on which it has asked for `path` by its owner's hand.
async fn browse(pc: &Pc, path: &str) -> TcpStream {
    let proxy = pc.node().addresses().proxy.unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(BROWSER_BUFFER_BYTES).unwrap();
    let mut browser = socket.connect(proxy).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: alice.localhost:{}\r\nSec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nConnection: close\r\n\r\n",
        proxy.port()
    );
    browser.write_all(request.as_bytes()).await.unwrap();
    browser
}

fn octets_signed(pc: &Pc) -> u64 {
    let receipts = pc.signed().unwrap();
    let counters = receipts.iter().flat_map(|receipt| &receipt.counters);
    counters.map(|one| one.bytes).sum()
}
