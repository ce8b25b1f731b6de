//! What is written to a node's journal.

use madang_protocol::{
    ids::{AccountId, GrantId, RequestId},
    name::SiteName,
    record::{
        grant::Grant,
        receipt::Receipt,
        request::GrantRequest,
        settlement::{SettleBatch, Verdict},
        tariff::Tariff,
    },
    rules::metering::RequestKey,
    sealed::Unverified,
    session::exposure::Debt,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

use super::row::{AgreementRow, PassRow};

/// One thing that happened. Variants are only ever added at the end: their order is their number in the journal.
///
/// Enclosed records were verified before they were written; the journal's own chain vouches for them since.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// Selling: a buyer showed a grant.
    GrantShown(Unverified<Grant>),
    /// Selling: a buyer's receipt, the highest of its grant so far.
    ReceiptHeld(Unverified<Receipt>),
    /// Selling: what a buyer's account has received and not receipted, in all its sessions.
    DebtNoted {
        /// The account.
        account: AccountId,
        /// What it owes, and has paid.
        debt: Debt,
    },
    /// Selling: a pass was bought from this node.
    PassSold(PassRow),
    /// Selling: a batch, written before it is first sent.
    BatchMade(Unverified<SettleBatch>),
    /// Selling: the anchor's answer to a batch.
    VerdictHeld(Unverified<Verdict>),
    /// Selling: a grant that nothing more comes of. Where more is remembered of it than one event may delete, only some of that is forgotten: the same
    /// event is written again until the grant is gone.
    SaleForgotten(GrantId),
    /// Buying: a request for a grant, written before it is first sent.
    GrantAsked(Unverified<GrantRequest>),
    /// Buying: the request was answered with a grant.
    GrantHeld {
        /// The request.
        request: RequestId,
        /// The grant.
        grant: Unverified<Grant>,
        /// The price list that it names, for checking bills.
        tariff: Unverified<Tariff>,
    },
    /// Buying: the request was refused, or is given up.
    GrantNotHeld(RequestId),
    /// Buying: this node signed a receipt, the highest of its grant so far.
    ReceiptSigned(Unverified<Receipt>),
    /// Buying: the anchor knows that this node is done with the grant.
    GrantClosed(GrantId),
    /// Buying: the visitor agreed to pay a site.
    Agreed(AgreementRow),
    /// Buying: the visitor took an agreement back.
    Withdrawn(SiteName),
    /// Buying: a site took payment and did not deliver; it is not paid until agreed again.
    Stopped {
        /// The site.
        site: SiteName,
        /// When.
        time: UnixMillis,
    },
    /// Buying: the issuer's own word for a pass is in hand, or the pass has ended: it is asked for no more.
    PassKnown(PassRow),
    /// Selling: a request whose price is receipted was served.
    RequestServed {
        /// Under this grant.
        grant: GrantId,
        /// The rule's index in the grant's price list.
        rule: u16,
        /// By what it is recognised when it is repeated.
        key: Option<RequestKey>,
    },
    /// Selling: one of those was not served after all.
    RequestReturned {
        /// Under this grant.
        grant: GrantId,
        /// The rule's index in the grant's price list.
        rule: u16,
    },
    /// Selling: a pass that was sold has ended long ago.
    SoldPassForgotten(PassRow),
    /// Buying: a grant that nobody asks about any more.
    PurchaseForgotten(GrantId),
    /// Buying: a pass that was bought has ended long ago.
    BoughtPassForgotten(PassRow),
    /// Buying: the seller holds the final receipt of the grant, or wants none: it is told no more.
    SellerTold(GrantId),
}
