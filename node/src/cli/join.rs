//! `madang join`

use std::{
    io::{self, BufRead as _, IsTerminal as _, Read as _},
    net::{Ipv4Addr, TcpListener, UdpSocket},
};

use madang_protocol::{limits::PASSWORD_BYTES_MAX, name::Handle, record::request::Secret};

use super::{args::Join, failure::Failure, out};
use crate::{
    broker::{AnchorAddress, EndpointOptions},
    config::{self, Config, Raw},
    home::Home,
    join::Joining,
};

/// Free port pairs that are tried.
const PORT_TRIES: usize = 16;

/// Joins, once.
pub(super) async fn join(home: Home, args: Join) -> Result<(), Failure> {
    let address = AnchorAddress::parse(&args.url, args.insecure_http)?;
    let options = EndpointOptions {
        ca_file: args.ca_file.clone(),
        ..EndpointOptions::default()
    };
    // Mistakes in what was said come first, before anything is sent.
    let handle = args.handle.as_deref().map(read_handle).transpose()?;
    Config::load(&home)?;
    let joining = Joining::describe(home.clone(), address, &options).await?;
    out::note(format!("Network:     {}", joining.network()));
    out::note(format!("Fingerprint: {}", joining.fingerprint()));
    trust(&joining, &args)?;
    let handle = match handle {
        Some(handle) => handle,
        None => read_handle(&ask("User name: ", "--handle NAME")?)?,
    };
    let password = password(args.password_stdin)?;
    let label = args.label.clone().unwrap_or_else(machine_name);
    let network = joining.network().to_owned();
    let passport = joining.enrol(handle, password, label).await?;
    remember(&home, &args)?;
    out::line(format!(
        "Joined {network} as {}; the passport in hand is good until {}.",
        passport.handle, passport.expires
    ));
    out::line("Start the node with `madang up`, or serve something: `madang serve FOLDER`.");
    Ok(())
}

/// A person, a fingerprint or `--yes` says that this anchor is the right one.
fn trust(joining: &Joining, args: &Join) -> Result<(), Failure> {
    if let Some(expected) = &args.fingerprint {
        return Ok(joining.expect(expected)?);
    }
    if args.yes {
        return Ok(());
    }
    let answer = ask(
        "Is this the fingerprint that the provider has told you? [y/N] ",
        "--fingerprint HEX or --yes",
    )?;
    if matches!(answer.as_str(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(Failure::failed(
            "not joined; nothing was sent to the anchor",
        ))
    }
}

fn read_handle(text: &str) -> Result<Handle, Failure> {
    text.parse()
        .map_err(|error| Failure::misuse(format!("{text:?} is not a user name: {error}")))
}

fn ask(question: &str, instead: &str) -> Result<String, Failure> {
    if !io::stdin().is_terminal() {
        let text = format!("there is no terminal to ask at; say {instead}");
        return Err(Failure::misuse(text));
    }
    out::note(question);
    let mut line = String::new();
    let read = io::stdin().lock().take(1_024).read_line(&mut line);
    read.map_err(Failure::failed)?;
    Ok(line.trim().to_owned())
}

fn password(from_stdin: bool) -> Result<Secret, Failure> {
    if !from_stdin {
        let password = rpassword::prompt_password("Password: ").map_err(|_| {
            Failure::misuse("there is no terminal to ask for the password at; say --password-stdin")
        })?;
        return Ok(Secret(password));
    }
    let mut line = String::new();
    let limit = PASSWORD_BYTES_MAX as u64 + 2;
    io::stdin()
        .lock()
        .take(limit)
        .read_line(&mut line)
        .map_err(|error| Failure::failed(format!("read the password: {error}")))?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() || password.len() > PASSWORD_BYTES_MAX {
        let text =
            format!("a password of 1 to {PASSWORD_BYTES_MAX} octets is expected on standard input");
        return Err(Failure::misuse(text));
    }
    Ok(Secret(password.to_owned()))
}

fn machine_name() -> String {
    let name = rustix::system::uname();
    let name = name.nodename().to_string_lossy();
    name.chars().filter(|c| !c.is_control()).take(32).collect()
}

/// Flags that later connections need, and a port that stays the same, so that peers find this node again where it was.
fn remember(home: &Home, args: &Join) -> Result<(), Failure> {
    if args.ca_file.is_some() || args.insecure_http {
        let ca_file = args.ca_file.as_ref().map(std::path::absolute);
        let ca_file = ca_file.transpose().map_err(Failure::failed)?;
        config::set_anchor(home, ca_file, args.insecure_http)?;
    }
    let is_chosen = Raw::read(&home.config())?.mesh.listen.is_some();
    if let (false, Some(port)) = (is_chosen, free_port()) {
        let addresses = [
            format!("/ip4/0.0.0.0/udp/{port}/quic-v1"),
            format!("/ip4/0.0.0.0/tcp/{port}"),
        ];
        config::set_listen(home, addresses.into())?;
    }
    Ok(())
}

/// A port that is free for UDP and for TCP right now.
fn free_port() -> Option<u16> {
    let any = (Ipv4Addr::UNSPECIFIED, 0);
    (0..PORT_TRIES).find_map(|_| {
        let port = UdpSocket::bind(any).ok()?.local_addr().ok()?.port();
        TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
            .ok()
            .map(|_| port)
    })
}
