//! A PostgreSQL server of the tests' own, in a folder that goes away with it.

use std::{
    fs,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use super::programs::missing;
use madang_anchor::store::PostgresOptions;
use tempfile::TempDir;

/// A server that listens on a socket in its folder, for nobody else.
pub(crate) struct Server {
    dir: TempDir,
    programs: PathBuf,
    /// Whom it runs as: it refuses to run as root.
    user: Option<(u32, u32)>,
    databases: AtomicU32,
}

impl Server {
    /// Starts one.
    ///
    /// # Errors
    /// Why there is none: its programs are not installed, as Debian's `postgresql` has them, or they do not run.
    pub(crate) fn start() -> Result<Self, String> {
        let programs = programs().ok_or_else(|| missing("PostgreSQL's server"))?;
        let dir = tempfile::Builder::new().prefix("madang-pg").tempdir();
        let dir = dir.map_err(|error| error.to_string())?;
        let user = unprivileged()?;
        if let Some((user, group)) = user {
            chown(dir.path(), Some(user), Some(group)).map_err(|error| error.to_string())?;
        }
        let server = Self {
            dir,
            programs,
            user,
            databases: AtomicU32::new(0),
        };
        let data = server.data();
        server.run(
            "initdb",
            &[
                "-D",
                &data,
                "-U",
                "madang",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C",
                "--no-sync",
            ],
        )?;
        server.up()?;
        Ok(server)
    }

    /// A new database in it.
    pub(crate) fn database(&self) -> PostgresOptions {
        self.new_database().parse().unwrap()
    }

    /// A new database in it: the words that connect to it.
    pub(crate) fn new_database(&self) -> String {
        let name = format!("d{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let socket = self.socket();
        self.run("createdb", &["-h", &socket, "-U", "madang", &name])
            .unwrap();
        format!("host={socket} user=madang dbname={name}")
    }

    /// Changes a database behind the back of whoever uses it.
    pub(crate) fn tamper(words: &str, sql: &str) -> u64 {
        let mut client = postgres::Client::connect(words, postgres::NoTls).unwrap();
        client.execute(sql, &[]).unwrap()
    }

    /// Ends it as a power failure would, and starts it again.
    pub(crate) fn restart_immediately(&self) {
        self.run(
            "pg_ctl",
            &["-D", &self.data(), "-m", "immediate", "-w", "stop"],
        )
        .unwrap();
        self.up().unwrap();
    }

    fn up(&self) -> Result<(), String> {
        // What the operating system has is not lost with a process, so that the disk need not be waited for.
        let options = format!(
            "-k {} -h '' -c fsync=off -c max_connections=200",
            self.socket()
        );
        let log = format!("{}/log", self.socket());
        self.run(
            "pg_ctl",
            &[
                "-D",
                &self.data(),
                "-w",
                "-l",
                &log,
                "-o",
                &options,
                "start",
            ],
        )
    }

    fn socket(&self) -> String {
        self.dir.path().display().to_string()
    }

    fn data(&self) -> String {
        self.dir.path().join("data").display().to_string()
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<(), String> {
        let mut command = Command::new(self.programs.join(program));
        command.args(arguments).current_dir(self.dir.path());
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        let log =
            fs::File::create(self.dir.path().join("said")).map_err(|error| error.to_string())?;
        let errors = log.try_clone().map_err(|error| error.to_string())?;
        let done = command
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .status();
        match done {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => {
                let said = fs::read_to_string(self.dir.path().join("said")).unwrap_or_default();
                Err(format!("{program} failed ({status}): {said}"))
            }
            Err(error) => Err(format!("{program} cannot be run: {error}")),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its folder goes away whether it ends well or not.
        let _ = self.run("pg_ctl", &["-D", &self.data(), "-m", "immediate", "stop"]);
    }
}

/// Where the newest server's programs are.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let paths = versions.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    let usable = paths.filter(|path| Path::new(&path.join("initdb")).exists());
    usable.max()
}

/// Root lends itself the server's own user.
fn unprivileged() -> Result<Option<(u32, u32)>, String> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").map_err(|error| error.to_string())?;
    let line = users.lines().find(|line| line.starts_with("postgres:"));
    let fields: Vec<&str> = line
        .ok_or("there is no user named postgres")?
        .split(':')
        .collect();
    let number = |at: usize| fields.get(at).and_then(|field| field.parse().ok());
    let both = number(2).zip(number(3));
    Ok(Some(both.ok_or("the user named postgres has no numbers")?))
}
