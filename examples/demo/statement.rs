//! What is printed when the errand is over: receipts and the anchor's word on them, balances, the bill, addresses.

use std::{fmt, net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result, bail};
use madang_anchor::operator::answer::Money;
use madang_protocol::{
    broker::{BillLine, Side},
    record::receipt::Receipt,
    rules::used::Used,
};
use tokio::time::{Instant, sleep};

use super::{
    BUYER, LIVE, SELLER,
    browser::Browser,
    cast::{Anchor, COMMISSION_BP, Pc, TAX_RATE},
    content,
    table::Table,
};

/// The seller hands its receipts in every second.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);
const ASK_EVERY: Duration = Duration::from_millis(100);
/// Grants that are shown: far more than a demo makes.
const GRANTS_MAX: usize = 1_000;
/// The rule of the price list under which octets have a price.
const PER_MIB: usize = 1;

/// A receipt, and what the anchor made of it.
struct Judged {
    receipt: Receipt,
    settled: String,
    earned: String,
    judged: u64,
}

/// All receipts that the seller holds, the highest of each grant.
pub(super) struct Receipts {
    rows: Vec<Judged>,
    currency: String,
}

/// Octets under the rule that has a price for them, as the buyer has signed for.
pub(super) fn octets_signed(buyer: &Pc) -> Result<u64> {
    let bytes = |receipt: &Receipt| receipt.counters.get(PER_MIB).map_or(0, |one| one.bytes);
    Ok(signed(buyer)?.iter().map(bytes).sum())
}

/// Waits until the buyer has signed for `octets`, and until the anchor has judged each receipt that the buyer has signed.
pub(super) async fn settled(seller: &Pc, buyer: &Pc, octets: u64) -> Result<Receipts> {
    let deadline = Instant::now() + SETTLED_WITHIN;
    loop {
        let receipts = receipts(seller)?;
        let is_judged = |signed: &Receipt| {
            let mut of_grant = receipts.rows.iter();
            of_grant.any(|row| row.receipt.grant == signed.grant && row.judged >= signed.sequence)
        };
        if octets_signed(buyer)? >= octets && signed(buyer)?.iter().all(is_judged) {
            return Ok(receipts);
        }
        if Instant::now() >= deadline {
            bail!("the anchor has not judged the receipts in time:\n{receipts}");
        }
        sleep(ASK_EVERY).await;
    }
}

fn signed(buyer: &Pc) -> Result<Vec<Receipt>> {
    let store = buyer.store();
    let mut receipts = Vec::new();
    for row in store
        .grants(GRANTS_MAX)
        .context("read the buyer's grants")?
    {
        let grant = row.grant.claims().id;
        let signed = store.signed(grant).context("read the buyer's receipts")?;
        receipts.extend(signed.map(|receipt| receipt.claims().clone()));
    }
    Ok(receipts)
}

fn receipts(seller: &Pc) -> Result<Receipts> {
    let sales = seller
        .store()
        .sales(GRANTS_MAX)
        .context("read the seller's receipts")?;
    let rows = sales.into_iter().map(|row| Judged {
        receipt: row.receipt.claims().clone(),
        settled: row.settled.to_string(),
        earned: row.earned.to_string(),
        judged: row.judged,
    });
    Ok(Receipts {
        rows: rows.collect(),
        currency: seller.currency(),
    })
}

impl fmt::Display for Receipts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Receipts signed by {BUYER}'s node, held by {SELLER}'s, the last of each grant (amounts in {})",
            self.currency
        )?;
        let mut table = Table::new(&["grant", ">receipt", "for", ">amount"]);
        for row in &self.rows {
            let receipt = &row.receipt;
            table.row([
                receipt.grant.short(),
                format!("#{}", receipt.sequence),
                Used::of(&receipt.counters, &[]).to_string(),
                receipt.amount.to_string(),
            ]);
        }
        writeln!(f, "{table}")?;
        writeln!(f, "Verdicts of the anchor")?;
        let mut table = Table::new(&["grant", ">judged", ">settled", ">the seller's"]);
        for row in &self.rows {
            table.row([
                row.receipt.grant.short(),
                format!("#{}", row.judged),
                row.settled.clone(),
                row.earned.clone(),
            ]);
        }
        write!(f, "{table}")
    }
}

/// Both sides' money at one moment.
pub(super) struct Balances {
    buyer: Money,
    seller: Money,
}

impl Balances {
    /// As the anchor's books have it now.
    pub(super) async fn of(anchor: &Anchor) -> Result<Self> {
        Ok(Self {
            buyer: anchor.money(BUYER).await?,
            seller: anchor.money(SELLER).await?,
        })
    }
}

/// Both sides' money before and after.
pub(super) fn balances(before: &Balances, after: &Balances) -> String {
    let currency = &after.buyer.currency;
    let mut table = Table::new(&["", ">before", ">after"]);
    let mut row = |name: String, before: &dyn fmt::Display, after: &dyn fmt::Display| {
        table.row([
            name,
            format!("{before} {currency}"),
            format!("{after} {currency}"),
        ]);
    };
    row(
        format!("{BUYER}'s wallet"),
        &before.buyer.posted,
        &after.buyer.posted,
    );
    row(
        "  held for open grants".into(),
        &before.buyer.held,
        &after.buyer.held,
    );
    row(
        format!("{SELLER}'s earnings"),
        &before.seller.earned,
        &after.seller.earned,
    );
    format!("Balances\n{table}")
}

/// What the anchor bills the buyer.
pub(super) async fn bill(buyer: &Pc) -> Result<String> {
    let bill = buyer
        .node()
        .client
        .bill(None, 100)
        .await
        .context("ask for the bill")?;
    let head = [
        "entry",
        "site",
        "seller",
        "bought",
        ">amount",
        ">paid",
        ">seller",
        ">commission",
        ">tax",
    ];
    let mut table = Table::new(&head);
    let purchases = bill.lines.iter().filter(|line| line.side == Side::Purchase);
    purchases.for_each(|line| table.row(billed(line)));
    let prices = content::PRICES.join(", ");
    Ok(format!(
        "Bill of {BUYER}, in {} (prices {prices}; commission {}.{:02}%, tax {TAX_RATE} within the price)\n{table}",
        buyer.currency(),
        COMMISSION_BP / 100,
        COMMISSION_BP % 100,
    ))
}

fn billed(line: &BillLine) -> [String; 9] {
    [
        line.entry.to_string(),
        line.site.to_string(),
        line.partner.to_string(),
        Used::of(&line.priced, &line.free).to_string(),
        line.amount.to_string(),
        line.debit.to_string(),
        line.earned.to_string(),
        line.commission.to_string(),
        line.tax.to_string(),
    ]
}

/// What to open in a browser.
pub(super) fn addresses(browser: &Browser, console: SocketAddr) -> String {
    let mut table = Table::new(&["open in a browser", ""]);
    let live = format!("{LIVE}--{SELLER}");
    for (address, what) in [
        (
            browser.origin(SELLER),
            "the seller's pages, in English and Korean",
        ),
        (browser.origin(&live), "the board and the clock, live"),
        (
            format!("http://localhost:{}", console.port()),
            "what the buyer agreed to pay",
        ),
    ] {
        table.row([format!("{address}/"), what.to_owned()]);
    }
    format!("{table}\nCtrl-C ends it.")
}
