//! A node and an anchor that speak TLS to each other, with a certificate that this machine's system does not know.

use std::path::Path;

use crate::yard::Yard;

#[test]
fn a_node_joins_and_comes_up_over_tls_and_refuses_a_certificate_that_it_does_not_know() {
    let yard = Yard::new();
    let tls = Path::new(env!("CARGO_MANIFEST_DIR")).join("../anchor/tests/daemon/tls");
    let tls = tls.canonicalize().unwrap();
    let said = yard.run(&format!(
        "madang-anchor --home $yard/anchor serve --listen 127.0.0.1:0 --bg --tls-cert {0}/cert.pem --tls-key {0}/key.pem
         echo 'a long password for mina' | madang-anchor --home $yard/anchor account add mina --password-stdin",
        tls.display()
    ));
    let url = said
        .split_whitespace()
        .find(|word| word.starts_with("https://127.0.0.1:"))
        .unwrap();
    let join = format!(
        "echo 'a long password for mina' | madang --home $yard/mina join {url} --handle mina --password-stdin --yes"
    );
    let (status, said) = yard.try_run(&join);
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("certificate"), "{said}");
    assert!(!yard.path().join("mina/passport").exists());

    yard.run(&format!("{join} --ca-file {}/cert.pem", tls.display()));
    yard.run("printf '[proxy]\\nenabled = false\\n' >> $yard/mina/madang.toml");
    let status =
        yard.run("madang --home $yard/mina up --bg; madang --home $yard/mina status --json");
    assert!(status.contains("\"admission\": \"admitted\""), "{status}");
    assert!(status.contains(url), "{status}");
    let doctor = yard.run("madang --home $yard/mina doctor || true");
    assert!(doctor.contains("ok   anchor    https://"), "{doctor}");
}
