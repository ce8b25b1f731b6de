//! [`ConfigError`]: a mistake in `madang.toml`, in one line.

use std::{io, path::PathBuf};

use thiserror::Error;

/// What is wrong with a configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read or written.
    #[error("cannot use {path}: {source}")]
    File {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Not TOML, a key that does not exist, or a value of another kind.
    #[error("{path}, line {line}: {message}")]
    Syntax {
        /// Where.
        path: PathBuf,
        /// On this line, from 1.
        line: usize,
        /// What.
        message: String,
    },
    /// A value that cannot be.
    #[error("{place}: {reason}")]
    Value {
        /// The key, as `section.key` or `site "name"`.
        place: String,
        /// What would be right.
        reason: String,
    },
}

impl ConfigError {
    /// Whether what is written is wrong, rather than that it cannot be read or written.
    pub fn is_mistake(&self) -> bool {
        match self {
            Self::File { .. } => false,
            Self::Syntax { .. } | Self::Value { .. } => true,
        }
    }

    pub(super) fn value(place: impl Into<String>, reason: impl ToString) -> Self {
        Self::Value {
            place: place.into(),
            reason: reason.to_string(),
        }
    }
}
