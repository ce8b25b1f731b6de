//! Paying and being paid: the shells around `protocol::session`, and what stands behind them.
//!
//! * [`selling`]: the seller's end of every session. [`till`] holds them, [`responses`] says which response may go how far, [`settling`] hands
//!   their receipts in.
//! * [`buying`]: the buyer's end; [`granting`] asks the anchor for permission to spend, [`closing`] gives back what is left of it,
//!   [`leftover`] also where no session is left, which the seller takes in [`ended`].
//! * [`again`]: what was bought by the request, had again. [`passes`]: what was bought for days, found before anything is paid.
//! * [`wallet`]: what this node's owner agreed to, and how much of it is left.
//! * [`forgetting`]: what is of no more use to either end.
//! * [`outbox`]: what must not be forgotten on its way to disk. [`frames`]: the messages of a session on a stream.

mod again;
mod attending;
mod bought;
mod buy_error;
mod buying;
mod closing;
mod ended;
mod forgetting;
mod frames;
mod given_up;
mod granting;
mod leftover;
mod open_response;
mod outbox;
mod paid;
mod passes;
mod purchase;
mod responses;
mod selling;
mod settling;
#[cfg(test)]
mod testing;
mod till;
mod wallet;

pub use bought::{BoughtBody, BoughtStream, BoughtUpload};
pub use buy_error::BuyError;
pub use buying::{Buying, BuyingParts, Seller};
pub use given_up::GivenUp;
pub use open_response::OpenResponse;
pub use paid::Paid;
pub use selling::{Selling, SellingParts};
pub use settling::SettleFailed;
pub use wallet::Wallet;
