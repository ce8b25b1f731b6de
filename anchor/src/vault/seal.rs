//! The one way to encrypt: XChaCha20-Poly1305 with a nonce that is drawn each time, 24 octets long so that chance never repeats it.
//!
//! `[form 1] [nonce 24] [ciphertext and tag]`. What the ciphertext belongs to is authenticated beside it.

use chacha20poly1305::{
    Key, KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use zeroize::Zeroizing;

/// A key that encrypts.
pub(super) type Secret = Zeroizing<[u8; 32]>;

const FORM: u8 = 1;
const NONCE_BYTES: usize = 24;

/// Encrypts `plain`, which belongs to `of`; `None` where no random numbers can be had.
pub(super) fn seal(key: &Secret, of: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce).ok()?;
    let cipher = XChaCha20Poly1305::new(Key::from_slice(key.as_ref()));
    let payload = Payload {
        msg: plain,
        aad: of,
    };
    let sealed = cipher.encrypt(XNonce::from_slice(&nonce), payload).ok()?;
    let mut octets = Vec::with_capacity(1 + NONCE_BYTES + sealed.len());
    octets.push(FORM);
    octets.extend_from_slice(&nonce);
    octets.extend_from_slice(&sealed);
    Some(octets)
}

/// Decrypts what [`seal`] made; `None` for anything else, under another key, or of something else.
pub(super) fn open(key: &Secret, of: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (&FORM, rest) = sealed.split_first()? else {
        return None;
    };
    let (nonce, rest) = rest.split_at_checked(NONCE_BYTES)?;
    let cipher = XChaCha20Poly1305::new(Key::from_slice(key.as_ref()));
    let payload = Payload { msg: rest, aad: of };
    let plain = cipher.decrypt(XNonce::from_slice(nonce), payload).ok()?;
    Some(Zeroizing::new(plain))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn only_the_same_key_and_belonging_open_it(plain: Vec<u8>, of: Vec<u8>, key: [u8; 32], at: usize, bit in 0_u32..8) {
            let key = Zeroizing::new(key);
            let sealed = seal(&key, &of, &plain).unwrap();
            let opened = open(&key, &of, &sealed).unwrap();
            prop_assert_eq!(&*opened, &plain);
            let mut spoiled = sealed.clone();
            let at = at % spoiled.len();
            spoiled[at] ^= 1 << bit;
            prop_assert!(open(&key, &of, &spoiled).is_none());
            prop_assert!(open(&key, &[&of[..], &[0]].concat(), &sealed).is_none());
            let mut other = key.clone();
            other[0] ^= 1;
            prop_assert!(open(&other, &of, &sealed).is_none());
            prop_assert!(open(&key, &of, &sealed[..sealed.len() - 1]).is_none());
        }
    }
}
