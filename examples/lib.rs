//! Examples: see the files of this folder.
