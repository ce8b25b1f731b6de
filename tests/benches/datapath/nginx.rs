//! nginx as the origin, plain and with TLS, in a folder of its own.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// A running nginx with one worker per core.
pub(crate) struct Nginx {
    child: Child,
    pub(crate) plain: SocketAddr,
    pub(crate) tls: SocketAddr,
}

impl Nginx {
    /// Serves `root` with its files below `state`.
    pub(crate) fn start(state: &Path, root: &Path) -> Result<Self> {
        let (plain, tls) = (free_address()?, free_address()?);
        certificate(state)?;
        let configuration = configuration(state, root, plain, tls);
        let path = state.join("nginx.conf");
        std::fs::write(&path, configuration)?;
        let child = Command::new("nginx")
            .arg("-c")
            .arg(&path)
            .arg("-p")
            .arg(state)
            .stderr(Stdio::null())
            .spawn()
            .context("start nginx (Debian package nginx-light)")?;
        let nginx = Self { child, plain, tls };
        let start = Instant::now();
        // It listens before its workers exist, and their time is to be counted.
        while TcpStream::connect(tls).is_err() || nginx.workers()?.is_empty() {
            ensure!(
                start.elapsed() < Duration::from_secs(10),
                "nginx does not listen"
            );
            std::thread::yield_now();
        }
        Ok(nginx)
    }

    /// The processes that do the work.
    pub(crate) fn workers(&self) -> Result<Vec<u32>> {
        let id = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
        children
            .split_whitespace()
            .map(|id| Ok(id.parse()?))
            .collect()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let stopped = rustix::process::Pid::from_child(&self.child);
        if rustix::process::kill_process(stopped, rustix::process::Signal::TERM).is_ok() {
            // Nothing is left to do if it cannot be waited for.
            let _ = self.child.wait();
        }
    }
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn certificate(state: &Path) -> Result<()> {
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
        ])
        .args([
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-keyout",
            "key.pem",
            "-out",
            "cert.pem",
        ])
        .current_dir(state)
        .stderr(Stdio::null())
        .status()
        .context("run openssl")?;
    ensure!(made.success(), "openssl made no certificate");
    Ok(())
}

fn configuration(state: &Path, root: &Path, plain: SocketAddr, tls: SocketAddr) -> String {
    let (state, root) = (state.display(), root.display());
    format!(
        "daemon off; worker_processes auto; pid {state}/nginx.pid; error_log {state}/error.log;
user root;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; open_file_cache max=100;
  client_body_temp_path {state}/t1; proxy_temp_path {state}/t2; fastcgi_temp_path {state}/t3;
  uwsgi_temp_path {state}/t4; scgi_temp_path {state}/t5;
  server {{
    listen {plain}; listen {tls} ssl; root {root};
    ssl_certificate {state}/cert.pem; ssl_certificate_key {state}/key.pem;
    ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
  }}
}}
"
    )
}
