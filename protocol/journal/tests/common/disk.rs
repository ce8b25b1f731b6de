//! A disk in memory that loses what was not synced, and fails at the operation it is told to fail at.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use madang_journal::{Disk, DiskFile};

use super::Seeded;

/// What happens at a chosen operation that changes the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It and all later ones fail with ENOSPC until `heal`; a write is cut short first.
    NoSpace,
    /// It fails with EIO. As on Linux, a sync that failed leaves pages that are not written and look clean.
    Once,
    /// It and all later ones fail: the process is gone. A write is cut short first.
    Crash,
}

/// What a crash leaves of writes that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survives {
    /// All of it: the process was killed, the machine went on.
    All,
    /// None of it.
    Nothing,
    /// Some writes, some of them in part, by seed.
    Some(u64),
}

#[derive(Debug, Clone)]
enum Pending {
    Write(u64, Vec<u8>),
    SetLen(u64),
}

#[derive(Debug, Default, Clone)]
struct File {
    current: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Pending>,
}

#[derive(Debug, Default)]
struct Inner {
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    files: Vec<File>,
    operations: u64,
    fault: Option<(u64, Fault)>,
}

#[derive(Debug, Default)]
pub struct SimDisk {
    inner: Mutex<Inner>,
    syncs: AtomicU64,
    gate: Mutex<()>,
}

impl SimDisk {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Fails at the operation that comes after `after` more.
    pub fn fail(&self, after: u64, fault: Fault) {
        let mut inner = self.inner.lock().unwrap();
        inner.fault = Some((inner.operations + after, fault));
    }

    pub fn heal(&self) {
        self.inner.lock().unwrap().fault = None;
    }

    pub fn operations(&self) -> u64 {
        self.inner.lock().unwrap().operations
    }

    pub fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::SeqCst)
    }

    /// No sync ends while this is held.
    pub fn hold_syncs(&self) -> MutexGuard<'_, ()> {
        self.gate.lock().unwrap()
    }

    /// Loses power, or the process, and comes back.
    pub fn crash(&self, survives: Survives) {
        let inner = &mut *self.inner.lock().unwrap();
        inner.fault = None;
        let mut random = Seeded(if let Survives::Some(seed) = survives {
            seed
        } else {
            0
        });
        let keep_names = match survives {
            Survives::All => true,
            Survives::Nothing => false,
            Survives::Some(_) => random.below(2) == 0,
        };
        for file in &mut inner.files {
            match survives {
                Survives::All => {}
                Survives::Nothing => file.current = file.durable.clone(),
                Survives::Some(_) => file.lose_some(&mut random),
            }
            file.durable = file.current.clone();
            file.pending.clear();
        }
        if keep_names {
            inner.durable_names = inner.names.clone();
        } else {
            inner.names = inner.durable_names.clone();
        }
    }

    pub fn names(&self) -> Vec<PathBuf> {
        self.inner.lock().unwrap().names.keys().cloned().collect()
    }

    pub fn read(&self, path: &Path) -> Vec<u8> {
        let inner = self.inner.lock().unwrap();
        inner.files[inner.names[path]].current.clone()
    }

    /// Replaces a file's contents behind everybody's back.
    pub fn replace(&self, path: &Path, bytes: Vec<u8>) {
        let mut inner = self.inner.lock().unwrap();
        let file = inner.names[path];
        inner.files[file] = File {
            current: bytes.clone(),
            durable: bytes,
            pending: Vec::new(),
        };
    }

    pub fn delete(&self, path: &Path) {
        let mut inner = self.inner.lock().unwrap();
        inner.names.remove(path);
        inner.durable_names.remove(path);
    }

    /// Moves all files of one folder to another.
    pub fn rename_all(&self, from: &Path, to: &Path) {
        let inner = &mut *self.inner.lock().unwrap();
        for names in [&mut inner.names, &mut inner.durable_names] {
            *names = std::mem::take(names)
                .into_iter()
                .map(|(path, file)| {
                    (
                        path.strip_prefix(from)
                            .map_or(path.clone(), |name| to.join(name)),
                        file,
                    )
                })
                .collect();
        }
    }

    /// A disk with the same contents.
    pub fn copy(&self) -> Arc<Self> {
        let inner = self.inner.lock().unwrap();
        let copy = Inner {
            names: inner.names.clone(),
            durable_names: inner.durable_names.clone(),
            files: inner.files.clone(),
            ..Inner::default()
        };
        Arc::new(Self {
            inner: Mutex::new(copy),
            syncs: AtomicU64::new(0),
            gate: Mutex::default(),
        })
    }
}

impl File {
    fn write(&mut self, offset: u64, bytes: &[u8]) {
        put(&mut self.current, offset, bytes);
        self.pending.push(Pending::Write(offset, bytes.to_vec()));
    }

    fn set_len(&mut self, len: u64) {
        self.current.resize(len as usize, 0);
        self.pending.push(Pending::SetLen(len));
    }

    fn lose_some(&mut self, random: &mut Seeded) {
        self.current = self.durable.clone();
        for pending in std::mem::take(&mut self.pending) {
            match pending {
                Pending::SetLen(len) => self.current.resize(len as usize, 0),
                Pending::Write(offset, bytes) => {
                    let kept = match random.below(3) {
                        0 => 0,
                        1 => random.below(bytes.len() as u64) as usize,
                        _ => bytes.len(),
                    };
                    put(&mut self.current, offset, &bytes[..kept]);
                }
            }
        }
    }
}

fn put(file: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let end = offset as usize + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[offset as usize..end].copy_from_slice(bytes);
}

impl Inner {
    /// Counts an operation that changes the disk; the fault that strikes it, if one does.
    fn strike(&mut self) -> Option<Fault> {
        let at = self.operations;
        self.operations += 1;
        match self.fault {
            Some((from, fault @ (Fault::NoSpace | Fault::Crash))) if at >= from => Some(fault),
            Some((from, Fault::Once)) if at == from => Some(Fault::Once),
            _ => None,
        }
    }
}

fn error(fault: Fault) -> io::Error {
    match fault {
        Fault::NoSpace => io::ErrorKind::StorageFull.into(),
        Fault::Once | Fault::Crash => io::Error::other("injected"),
    }
}

struct SimFile {
    disk: Arc<SimDisk>,
    file: usize,
}

/// The disk as a store sees it.
pub struct Mounted(pub Arc<SimDisk>);

impl Disk for Mounted {
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let inner = self.0.inner.lock().unwrap();
        let in_dir = inner.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(in_dir
            .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
            .collect())
    }

    fn open(&self, path: &Path, create: bool) -> io::Result<Box<dyn DiskFile>> {
        let mut inner = self.0.inner.lock().unwrap();
        let file = match inner.names.get(path) {
            Some(file) => *file,
            None if create => {
                if let Some(fault) = inner.strike() {
                    return Err(error(fault));
                }
                inner.files.push(File::default());
                let file = inner.files.len() - 1;
                inner.names.insert(path.to_path_buf(), file);
                file
            }
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(Box::new(SimFile {
            disk: self.0.clone(),
            file,
        }))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.0.inner.lock().unwrap();
        // Removing needs no space.
        match inner.strike() {
            Some(fault @ (Fault::Crash | Fault::Once)) => Err(error(fault)),
            Some(Fault::NoSpace) | None => inner
                .names
                .remove(path)
                .map(|_| ())
                .ok_or(io::ErrorKind::NotFound.into()),
        }
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        let mut inner = self.0.inner.lock().unwrap();
        match inner.strike() {
            Some(fault @ (Fault::Crash | Fault::Once)) => Err(error(fault)),
            Some(Fault::NoSpace) | None => {
                inner.durable_names = inner.names.clone();
                Ok(())
            }
        }
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let inner = self.disk.inner.lock().unwrap();
        let bytes = inner.files[self.file]
            .current
            .get(offset as usize..)
            .unwrap_or_default();
        let n = bytes.len().min(buf.len());
        buf[..n].copy_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let mut inner = self.disk.inner.lock().unwrap();
        let struck = inner.strike();
        let file = &mut inner.files[self.file];
        if let Some(fault) = struck {
            file.write(offset, &buf[..buf.len() / 2]);
            return Err(error(fault));
        }
        file.write(offset, buf);
        Ok(buf.len())
    }

    fn sync_data(&self) -> io::Result<()> {
        drop(self.disk.gate.lock().unwrap());
        let mut inner = self.disk.inner.lock().unwrap();
        let struck = inner.strike();
        let file = &mut inner.files[self.file];
        match struck {
            Some(Fault::Crash) => return Err(error(Fault::Crash)),
            Some(fault) => {
                file.pending.clear();
                return Err(error(fault));
            }
            None => {}
        }
        for pending in std::mem::take(&mut file.pending) {
            match pending {
                Pending::Write(offset, bytes) => put(&mut file.durable, offset, &bytes),
                Pending::SetLen(len) => file.durable.resize(len as usize, 0),
            }
        }
        self.disk.syncs.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut inner = self.disk.inner.lock().unwrap();
        match inner.strike() {
            Some(fault @ (Fault::Crash | Fault::Once)) => return Err(error(fault)),
            Some(Fault::NoSpace) | None => {}
        }
        inner.files[self.file].set_len(len);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.inner.lock().unwrap().files[self.file]
            .current
            .len() as u64)
    }
}
