//! What a crash leaves on the disk.

use std::{fs, path::Path};

/// The files as they are at this moment.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The journal alone must do.
pub(crate) fn remove_index(dir: &Path) {
    fs::remove_dir_all(dir.join("index")).unwrap();
}
