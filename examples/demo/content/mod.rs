//! What the seller serves: pages with pictures, a large free file, a report and a recording. Made at the first start, and kept.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

mod crossing;
mod night;
mod noise;
mod png;
mod yard;

/// The price list, as in `madang.toml`.
pub(super) const PRICES: &[&str] = &["/reports/**=500 KRW", "/recordings/**=2 KRW/MiB"];
/// Free of charge.
pub(super) const FREE_FILE: &str = "/files/stars.bin";
/// Priced by the request.
pub(super) const REPORT: &str = "/reports/tides.html";
/// Priced by the MiB.
pub(super) const RECORDING: &str = "/recordings/waves.bin";
/// A picture on the free pages.
pub(super) const PICTURE: &str = "/pictures/night.png";

/// Octets of the free file.
const FREE_FILE_BYTES: u64 = 100_000_000;
/// Octets of the recording: no whole number of MiB, so that a rounding shows.
const RECORDING_BYTES: u64 = (48 << 20) + 123_457;

/// Page, and what it is made of; `{live}` stands for the address of the live application.
const PAGES: &[(&str, &str)] = &[
    ("index.html", include_str!("pages/index.html")),
    ("ko/index.html", include_str!("pages/ko.html")),
    ("reports/tides.html", include_str!("pages/tides.html")),
    ("style.css", include_str!("pages/style.css")),
];

/// What stands in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Measure {
    /// Its length.
    pub bytes: u64,
    /// Its digest.
    pub sha256: [u8; 32],
}

/// Writes the site into `folder`. What is there already and has the right content keeps its time of change, and so its entity tag.
pub(super) fn write(folder: &Path, live: &str) -> io::Result<()> {
    for (name, text) in PAGES {
        put(folder, name, text.replace("{live}", live).as_bytes())?;
    }
    put(folder, "pictures/yard.svg", yard::draw().as_bytes())?;
    put(folder, "pictures/crossing.svg", crossing::draw().as_bytes())?;
    put(folder, "pictures/night.png", &night::draw())?;
    noise::write(&file(folder, FREE_FILE), 1, FREE_FILE_BYTES)?;
    noise::write(&file(folder, RECORDING), 2, RECORDING_BYTES)
}

/// Where `path` of the site is kept.
pub(super) fn file(folder: &Path, path: &str) -> PathBuf {
    folder.join(path.trim_start_matches('/'))
}

/// Length and digest of a file, which is never whole in memory.
pub(super) fn measure(path: &Path) -> io::Result<Measure> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut piece = vec![0; 256 << 10];
    let mut bytes = 0;
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            return Ok(Measure {
                bytes,
                sha256: hasher.finalize().into(),
            });
        }
        hasher.update(&piece[..read]);
        bytes += read as u64;
    }
}

/// Puts `octets` there unless they are there; a reader sees the old file or the new one.
fn put(folder: &Path, name: &str, octets: &[u8]) -> io::Result<()> {
    let path = folder.join(name);
    if fs::read(&path).is_ok_and(|before| before == octets) {
        return Ok(());
    }
    replace(&path, |file| file.write_all(octets))
}

fn replace(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    write(&mut File::create(&temporary)?)?;
    fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

    use super::*;

    #[test]
    fn what_is_there_already_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "a/b", b"one").unwrap();
        let before = fs::metadata(folder.path().join("a/b")).unwrap();
        put(folder.path(), "a/b", b"one").unwrap();
        let after = fs::metadata(folder.path().join("a/b")).unwrap();
        assert_eq!(before.modified().unwrap(), after.modified().unwrap());
        put(folder.path(), "a/b", b"two").unwrap();
        let measured = measure(&folder.path().join("a/b")).unwrap();
        assert_eq!(measured.bytes, 3);
        assert_eq!(measured.sha256[..], Sha256::digest(b"two")[..]);
    }

    #[test]
    fn every_price_names_a_page_that_is_there() {
        for (path, price) in [REPORT, RECORDING].iter().zip(PRICES) {
            let pattern = price.split_once("**").unwrap().0;
            assert!(path.starts_with(pattern), "{path} {price}");
        }
    }
}
