//! Passwords: argon2id, off the asynchronous threads, a bounded number at once. An unknown handle costs what a wrong password costs.

use std::sync::Arc;

use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use madang_protocol::{limits::PASSWORD_BYTES_MAX, record::request::Secret, reject::Reject};
use tokio::sync::Semaphore;

/// Hashes and checks passwords.
#[derive(Debug)]
pub struct Passwords {
    /// Who may hash now.
    turns: Arc<Semaphore>,
    /// Who may hash or wait for it.
    places: Arc<Semaphore>,
    /// What the password of an unknown handle is compared with.
    nobody: Arc<str>,
}

/// Why a password was not hashed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Fewer than 8 characters, or more octets than anybody types.
    #[error("a password of 8 characters to 1024 octets is expected")]
    Length,
    /// The hash function failed: no memory, or no random numbers.
    #[error("cannot hash the password: {0}")]
    Hash(argon2::password_hash::Error),
}

impl Passwords {
    /// Checks at most `hashes_max` passwords at once; a few times as many wait.
    pub fn new(hashes_max: usize) -> Result<Self, PasswordError> {
        let nobody = hash_unchecked("nobody has this password")?;
        Ok(Self {
            turns: Arc::new(Semaphore::new(hashes_max)),
            places: Arc::new(Semaphore::new(hashes_max.saturating_mul(WAITING_PER_TURN))),
            nobody: nobody.0.into(),
        })
    }

    /// Whether `password` is the one behind `hash`, in PHC form; `None` stands for a handle that nobody has. [`Reject::BUSY`] where too
    /// many wait already.
    pub async fn verify(&self, password: Secret, hash: Option<Secret>) -> Result<bool, Reject> {
        let place = self
            .places
            .clone()
            .try_acquire_owned()
            .map_err(|_| Reject::BUSY)?;
        let turn = self
            .turns
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| Reject::BUSY)?;
        let (is_known, hash) = match hash {
            Some(hash) => (true, Arc::from(hash.0)),
            None => (false, self.nobody.clone()),
        };
        // The permits move along: a caller that goes away frees neither before the work is done.
        let work = move || {
            let is_right = verify(&password, &hash);
            drop((place, turn));
            is_right && is_known
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|_| Reject::BUSY)
    }
}

/// The hash of a new `password`, in PHC form.
pub fn hash(password: &Secret) -> Result<Secret, PasswordError> {
    check(password)?;
    hash_unchecked(&password.0)
}

/// Whether somebody may choose this password: [`PasswordError::Length`] where not.
pub fn check(password: &Secret) -> Result<(), PasswordError> {
    let text = &password.0;
    if text.chars().count() < PASSWORD_CHARS_MIN || text.len() > PASSWORD_BYTES_MAX {
        return Err(PasswordError::Length);
    }
    Ok(())
}

fn hash_unchecked(text: &str) -> Result<Secret, PasswordError> {
    let hash: PasswordHash = Argon2::default()
        .hash_password(text.as_bytes())
        .map_err(PasswordError::Hash)?;
    Ok(Secret(hash.to_string()))
}

fn verify(password: &Secret, hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| {
        Argon2::default()
            .verify_password(password.0.as_bytes(), &hash)
            .is_ok()
    })
}

/// Characters of a password that an operator chooses.
const PASSWORD_CHARS_MIN: usize = 8;
/// Those who may wait for each that hashes: at 50 ms a hash they wait less than a second.
const WAITING_PER_TURN: usize = 16;

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

    use super::*;

    fn secret(text: &str) -> Secret {
        Secret(text.to_owned())
    }

    #[tokio::test]
    async fn only_the_right_password_of_a_known_handle_passes() {
        let passwords = Passwords::new(1).unwrap();
        let hash = hash(&secret("correct horse")).unwrap();
        assert_eq!(
            passwords
                .verify(secret("correct horse"), Some(hash.clone()))
                .await,
            Ok(true)
        );
        assert_eq!(
            passwords.verify(secret("battery staple"), Some(hash)).await,
            Ok(false)
        );
        assert_eq!(
            passwords
                .verify(secret("nobody has this password"), None)
                .await,
            Ok(false)
        );
        assert_eq!(
            passwords
                .verify(secret("correct horse"), Some(secret("no hash")))
                .await,
            Ok(false)
        );
    }

    #[tokio::test]
    async fn those_who_find_no_place_to_wait_are_sent_away() {
        let passwords = Passwords::new(1).unwrap();
        let places = passwords
            .places
            .clone()
            .acquire_many_owned(WAITING_PER_TURN as u32);
        let _all = places.await.unwrap();
        assert_eq!(passwords.verify(secret("x"), None).await, Err(Reject::BUSY));
    }

    #[test]
    fn new_passwords_have_a_sane_length() {
        assert_eq!(hash(&secret("seven77")), Err(PasswordError::Length));
        assert_eq!(
            hash(&secret(&"x".repeat(1_025))),
            Err(PasswordError::Length)
        );
        assert!(hash(&secret("비밀번호는여덟자")).is_ok());
    }
}
