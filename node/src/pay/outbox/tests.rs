//! A disk that is full: found out slowly, and lost nothing by.
#![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

use std::{
    io,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use madang_journal::{Disk, DiskFile, Options, RealDisk};
use madang_protocol::ids::RequestId;
use tempfile::TempDir;
use tokio::{sync::watch, time::Instant};

use super::*;

/// Tries that a test waits for.
const TRIES: u32 = 5;

/// A disk that takes nothing while it is full, and counts how often that was tried.
struct FullDisk(Arc<Fill>);

struct Fill {
    is_full: AtomicBool,
    tries: watch::Sender<u32>,
}

struct FullFile {
    inner: Box<dyn DiskFile>,
    fill: Arc<Fill>,
}

impl Disk for FullDisk {
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(dir)
    }

    fn open(&self, path: &Path, create: bool) -> io::Result<Box<dyn DiskFile>> {
        let inner = RealDisk.open(path, create)?;
        let fill = Arc::clone(&self.0);
        Ok(Box::new(FullFile { inner, fill }))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.sync_dir(dir)
    }
}

impl DiskFile for FullFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        if self.fill.is_full.load(Ordering::SeqCst) {
            self.fill.tries.send_modify(|tries| *tries += 1);
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.inner.write_at(buf, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_is_tried_once_a_second_and_gets_what_waits_when_there_is_room() {
    let folder = TempDir::new().unwrap();
    let fill = Arc::new(Fill {
        is_full: AtomicBool::new(false),
        tries: watch::Sender::new(0),
    });
    let options = Options {
        disk: Arc::new(FullDisk(Arc::clone(&fill))),
        ..Options::small(folder.path())
    };
    let (store, _) = NodeStore::open_with(options).unwrap();
    let store = Arc::new(store);
    let outbox = Outbox::new(Arc::clone(&store));

    fill.is_full.store(true, Ordering::SeqCst);
    let since = Instant::now();
    outbox.put(vec![Event::GrantNotHeld(RequestId([1; 16]))]);
    let mut tries = fill.tries.subscribe();
    // Nothing else waits for the clock here: it goes on by the outbox's own pauses only.
    tokio::select! {
        () = outbox.run() => {}
        tried = tries.wait_for(|tries| *tries >= TRIES) => drop(tried.unwrap()),
    }
    assert!(since.elapsed() >= (TRIES - 1) * RETRY_AFTER);

    fill.is_full.store(false, Ordering::SeqCst);
    tokio::select! {
        () = outbox.run() => {}
        () = outbox.flushed() => {}
    }
    assert!(outbox.keeps_up());
    store.close();
    drop((outbox, store));
    let (store, recovery) = NodeStore::open(folder.path()).unwrap();
    assert_eq!(recovery.head.seq, 1);
    store.close();
}
