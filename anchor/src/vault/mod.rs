//! Personal data, sealed: the journal is append-only and its hash chain holds every event, so that what must be erasable stands there as
//! ciphertext only.
//!
//! Each account has a data key of its own. Data keys are wrapped under the key in `personal.key` and kept in a [`room`] apart from journal and
//! rows, from which they can be deleted: what an account had sealed cannot be read by anybody afterwards, wherever copies of the journal are.
//!
//! * [`profile`], [`bank`]: what a person says about itself, and what is refused of it.
//! * [`key`]: the key under which data keys are wrapped; [`seal`]: the one way to encrypt; [`room`]: where wrapped keys are; [`keep`]: all of it.

pub mod bank;
pub mod keep;
pub mod key;
pub mod profile;
pub mod room;
mod seal;
