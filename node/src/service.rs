//! `madang service`: a systemd user unit that starts the node with the PC.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    process::Command,
};

use thiserror::Error;

use crate::{
    cli::Service,
    files,
    home::Home,
    standing::{Keeper, StandingError},
};

/// The unit's name.
const UNIT: &str = "madang.service";

/// Why the unit was not installed or removed. Each message is one line.
#[derive(Debug, Error)]
pub enum ServiceError {
    /// Nobody says where units are.
    #[error("neither XDG_CONFIG_HOME nor HOME is set")]
    NoHome,
    /// The file system's.
    #[error("cannot write {path}: {source}")]
    File {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// This machine has no systemd for users.
    #[error("{} is written, but systemd does not run for this user here ({reason}); start `madang up` with your desktop, or by cron: @reboot madang up --bg", .unit.display())]
    NoSystemd {
        /// Where the unit is.
        unit: PathBuf,
        /// What `systemctl` said.
        reason: String,
    },
    /// A path that a unit file cannot hold.
    #[error("the path {0} cannot stand in a unit file; choose one without control characters")]
    Path(PathBuf),
    /// There is nothing to start yet.
    #[error("this node has not joined a network yet; run `madang join URL` first")]
    NotJoined,
    /// What was joined cannot be read.
    #[error(transparent)]
    Standing(#[from] StandingError),
    /// There is no unit to remove.
    #[error("the service is not installed")]
    NotInstalled,
}

/// Installs or removes; gives lines for the person in front.
///
/// # Errors
/// [`ServiceError`]
pub fn run(home: &Home, command: &Service) -> Result<Vec<String>, ServiceError> {
    let unit = unit_path()?;
    match command {
        Service::Install => install(home, &unit),
        Service::Uninstall => uninstall(&unit),
    }
}

fn install(home: &Home, unit: &Path) -> Result<Vec<String>, ServiceError> {
    if Keeper::open(home)?.is_none() {
        return Err(ServiceError::NotJoined);
    }
    let failed = |source| ServiceError::File {
        path: unit.to_owned(),
        source,
    };
    let program = std::env::current_exe().map_err(failed)?;
    let home = std::path::absolute(home.path()).map_err(failed)?;
    let text = text(&program, &home)?;
    if let Some(folder) = unit.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    files::replace(unit, text.as_bytes()).map_err(failed)?;
    systemctl(&["daemon-reload"])
        .and_then(|()| systemctl(&["enable", "--now", UNIT]))
        .map_err(|reason| ServiceError::NoSystemd {
            unit: unit.to_owned(),
            reason,
        })?;
    Ok(vec![
        format!(
            "{} is written and enabled; madang runs now, and whenever you sign in.",
            unit.display()
        ),
        "To have it run from the start of the PC on: loginctl enable-linger".into(),
    ])
}

fn uninstall(unit: &Path) -> Result<Vec<String>, ServiceError> {
    if !unit.exists() {
        return Err(ServiceError::NotInstalled);
    }
    let disabled = systemctl(&["disable", "--now", UNIT]);
    std::fs::remove_file(unit).map_err(|source| ServiceError::File {
        path: unit.to_owned(),
        source,
    })?;
    let mut said = vec![format!("{} is removed.", unit.display())];
    if let Err(reason) = disabled.and_then(|()| systemctl(&["daemon-reload"])) {
        said.push(format!("systemd could not be told: {reason}"));
    }
    Ok(said)
}

fn unit_path() -> Result<PathBuf, ServiceError> {
    let absolute = |name: &str| {
        let path = std::env::var_os(name).map(PathBuf::from);
        path.filter(|path| path.is_absolute())
    };
    absolute("XDG_CONFIG_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".config")))
        .map(|config| config.join("systemd/user").join(UNIT))
        .ok_or(ServiceError::NoHome)
}

fn text(program: &Path, home: &Path) -> Result<String, ServiceError> {
    let (program, home) = (Quoted::new(program)?, Quoted::new(home)?);
    Ok(format!(
        "[Unit]\n\
         Description=Madang: your personal web server\n\
         Documentation=man:madang(1)\n\
         After=network-online.target\n\
         Wants=network-online.target\n\
         StartLimitIntervalSec=0\n\
         \n\
         [Service]\n\
         ExecStart={program} --home {home} up\n\
         Restart=on-failure\n\
         RestartPreventExitStatus=2\n\
         RestartSec=5\n\
         TimeoutStopSec=15\n\
         NoNewPrivileges=yes\n\
         \n\
         [Install]\n\
         WantedBy=default.target\n"
    ))
}

/// A path as systemd reads it: quoted, with its own marks escaped.
struct Quoted(String);

impl Quoted {
    fn new(path: &Path) -> Result<Self, ServiceError> {
        let wrong = || ServiceError::Path(path.to_owned());
        let text = path.to_str().ok_or_else(wrong)?;
        if text.chars().any(char::is_control) {
            return Err(wrong());
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escaped = self
            .0
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('%', "%%")
            .replace('$', "$$");
        write!(f, "\"{escaped}\"")
    }
}

fn systemctl(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("systemctl")
        .arg("--user")
        .args(arguments)
        .output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(said
                .lines()
                .next()
                .unwrap_or("systemctl failed")
                .trim()
                .to_owned())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err("there is no systemctl".into())
        }
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

    use super::*;

    #[test]
    fn paths_stand_in_the_unit_as_systemd_reads_them() {
        let text = text(
            Path::new("/opt/my \"app\"/madang"),
            Path::new("/home/a%b/$x"),
        )
        .unwrap();
        assert!(
            text.contains(
                "ExecStart=\"/opt/my \\\"app\\\"/madang\" --home \"/home/a%%b/$$x\" up\n"
            )
        );
        assert!(matches!(
            Quoted::new(Path::new("/a\nExecStart=/bin/evil")),
            Err(ServiceError::Path(_))
        ));
    }
}
