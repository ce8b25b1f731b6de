//! The layout of every record and frame, pinned as commented hex in `pins/`. A change here is a change of the protocol.

use std::path::PathBuf;

use data_encoding::HEXLOWER;

use super::{frames, samples};

fn pin(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/records/pins")
        .join(format!("{name}.hex"))
}

/// Comments and hex in lines of 32 octets.
fn show(title: &str, parts: &[(String, Vec<u8>)]) -> String {
    let mut text = format!("# {title}\n");
    for (name, octets) in parts {
        text.push_str(&format!("\n# {name}\n"));
        for line in octets.chunks(32) {
            text.push_str(&HEXLOWER.encode(line));
            text.push('\n');
        }
    }
    text
}

fn octets(text: &str) -> Vec<u8> {
    let hex: String = text.lines().filter(|line| !line.starts_with('#')).collect();
    HEXLOWER.decode(hex.as_bytes()).unwrap()
}

fn check(name: &str, title: &str, parts: &[(String, Vec<u8>)], whole: &[u8]) {
    let shown = show(title, parts);
    let pinned = std::fs::read_to_string(pin(name)).unwrap_or_default();
    assert_eq!(pinned, shown, "{name} is laid out differently from its pin");
    assert_eq!(octets(&pinned), whole, "{name} is not what its parts are");
}

#[test]
fn every_record_is_laid_out_as_pinned() {
    for sample in samples::all() {
        let whole = &sample.octets;
        let payload = sample.payload();
        let at = 2 + 16 + 8;
        assert_eq!(whole.len(), at + payload.len() + 64);
        let mut parts = vec![
            ("version".to_owned(), whole[..2].to_vec()),
            ("network".to_owned(), whole[2..18].to_vec()),
            ("length of the payload".to_owned(), whole[18..at].to_vec()),
        ];
        let fields = sample.fields.iter();
        parts.extend(fields.map(|(name, octets)| (format!("payload: {name}"), octets.clone())));
        parts.push(("signature".to_owned(), whole[at + payload.len()..].to_vec()));
        let title = format!("{}, signed for the domain `{}`", sample.name, sample.domain);
        check(sample.name, &title, &parts, whole);
        assert_eq!((sample.read)(whole), Ok(()), "{}", sample.name);
    }
}

#[test]
fn every_frame_is_laid_out_as_pinned() {
    for (name, whole) in frames::all() {
        let parts = [
            ("length of kind and body".to_owned(), whole[..4].to_vec()),
            ("kind".to_owned(), whole[4..6].to_vec()),
            ("body".to_owned(), whole[6..].to_vec()),
        ];
        check(
            &format!("frame-{name}"),
            &format!("the frame {name}"),
            &parts,
            &whole,
        );
    }
}
