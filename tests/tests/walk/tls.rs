//! A node and an anchor that speak TLS to each other, with a certificate that this machine's system does not know.

use std::path::Path;

use crate::yard;

#[test]
fn a_node_joins_and_comes_up_over_tls_and_refuses_a_certificate_that_it_does_not_know() {
    let yard = yard();
    let tls = Path::new(env!("CARGO_MANIFEST_DIR")).join("../anchor/tests/daemon/tls");
    let tls = tls.canonicalize().unwrap();
    let said = yard.shell(&format!(
        "madang-anchor --home $yard/anchor serve --listen 127.0.0.1:0 --bg --tls-cert {0}/cert.pem --tls-key {0}/key.pem
         echo 'a long password for mina' | madang-anchor --home $yard/anchor account add mina --password-stdin",
        tls.display()
    )).unwrap();
    let url = said
        .split_whitespace()
        .find(|word| word.starts_with("https://127.0.0.1:"))
        .unwrap();
    let join = format!(
        "echo 'a long password for mina' | madang --home $yard/mina join {url} --handle mina --password-stdin --yes"
    );
    let (status, said) = yard.try_shell(&join).unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("certificate"), "{said}");
    assert!(!yard.path("mina/passport").exists());

    yard.shell(&format!("{join} --ca-file {}/cert.pem", tls.display()))
        .unwrap();
    yard.shell("printf '[proxy]\\nenabled = false\\n' >> $yard/mina/madang.toml")
        .unwrap();
    let status = yard
        .shell("madang --home $yard/mina up --bg; madang --home $yard/mina status --json")
        .unwrap();
    assert!(status.contains("\"admission\": \"admitted\""), "{status}");
    assert!(status.contains(url), "{status}");
    let doctor = yard
        .shell("madang --home $yard/mina doctor || true")
        .unwrap();
    assert!(doctor.contains("ok   anchor    https://"), "{doctor}");
}
