//! [`Failure`]: what a command ends with, in one line and with its exit code.

use std::process::ExitCode;

use crate::{
    app::BuildError,
    broker::{AnchorAddressError, TlsError},
    config::ConfigError,
    control::CallError,
    home::HomeError,
    join::JoinError,
};

/// Why a command did not do what it was told.
#[derive(Debug)]
pub(super) struct Failure {
    /// One line.
    pub(super) text: String,
    is_misuse: bool,
}

impl Failure {
    /// Wrong flags or configuration: exit code 2.
    pub(super) fn misuse(text: impl ToString) -> Self {
        Self {
            text: one_line(&text.to_string()),
            is_misuse: true,
        }
    }

    /// Anything else: exit code 1.
    pub(super) fn failed(text: impl ToString) -> Self {
        Self {
            text: one_line(&text.to_string()),
            is_misuse: false,
        }
    }

    pub(super) fn code(&self) -> ExitCode {
        ExitCode::from(if self.is_misuse { 2 } else { 1 })
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self {
            is_misuse: error.is_mistake(),
            ..Self::failed(error)
        }
    }
}

impl From<AnchorAddressError> for Failure {
    fn from(error: AnchorAddressError) -> Self {
        Self::misuse(error)
    }
}

impl From<HomeError> for Failure {
    fn from(error: HomeError) -> Self {
        Self::failed(error)
    }
}

impl From<JoinError> for Failure {
    fn from(error: JoinError) -> Self {
        Self {
            is_misuse: matches!(error, JoinError::Tls(TlsError::File { .. })),
            ..Self::failed(error)
        }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let is_misuse = matches!(
            &error,
            CallError::Refused(problem) if problem.is_mistake()
        );
        Self {
            is_misuse,
            ..Self::failed(error)
        }
    }
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        Self {
            is_misuse: error.is_configuration(),
            ..Self::failed(error)
        }
    }
}
