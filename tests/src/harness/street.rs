//! [`Street`]: where most tests happen. `alice` has a site, and `bob` money to spend on it.

use anyhow::{Context as _, Result};
use madang::config::Raw;
use madang_protocol::{
    amount::{Amount, MICROS_PER_UNIT},
    broker::BillLine,
};

use super::{HUB, Pc, World};

/// What `bob` has paid in, in won.
pub const PAID_IN: u64 = 10_000;
const BUYER: &str = "bob";

/// A site of `alice`'s, and `bob`, who has found it and has paid in [`PAID_IN`] won.
pub struct Street<S> {
    /// Where both of them are.
    pub world: World,
    /// What the site is made of: a folder, or an application.
    pub site: S,
}

impl<S> Street<S> {
    /// `alice` serves `site` as `seller` says, `bob` buys as `buyer` says. `free` is a page that costs nothing.
    ///
    /// # Errors
    /// Somebody does not start, or `bob` does not find the page.
    pub async fn open(
        mut world: World,
        site: S,
        seller: Raw,
        buyer: Raw,
        free: &str,
    ) -> Result<Self> {
        world.join(HUB, seller).await?;
        world.join(BUYER, buyer).await?;
        world.top_up(BUYER, won(PAID_IN)).await?;
        let street = Self { world, site };
        street.bob().find(HUB, free).await?;
        Ok(street)
    }

    /// The seller's PC.
    ///
    /// # Panics
    /// Never: a node that is stopped stays in the world.
    pub fn alice(&self) -> &Pc {
        self.world.pc(HUB).expect("the seller's node")
    }

    /// The buyer's PC.
    ///
    /// # Panics
    /// Never: a node that is stopped stays in the world.
    pub fn bob(&self) -> &Pc {
        self.world.pc(BUYER).expect("the buyer's node")
    }

    /// `bob` agrees to what `path` costs, without a pass.
    ///
    /// # Errors
    /// See [`Pc::agree`].
    pub async fn agreed(&self, path: &str, budget: Amount) -> Result<()> {
        self.bob().agree(HUB, path, budget, false).await?;
        Ok(())
    }

    /// Waits until what was signed is settled as `amount`, which the counters must cost, and checks the books.
    ///
    /// # Errors
    /// It does not come to that.
    pub async fn settled(&self, amount: Amount) -> Result<Vec<BillLine>> {
        let is_settled = |lines: &[BillLine]| total(lines) == amount;
        let lines = self.world.settled(BUYER, is_settled).await?;
        self.world.check_money().context("check the books")?;
        Ok(lines)
    }
}

/// An amount of whole won.
pub const fn won(units: u64) -> Amount {
    Amount::from_micros(units * MICROS_PER_UNIT)
}

/// `octets` at `price` won for each MiB, rounded up once.
///
/// # Panics
/// When it is more than an amount holds.
pub fn by_the_mib(price: u64, octets: u64) -> Amount {
    let micros = u128::from(octets) * u128::from(won(price).micros());
    let micros = micros.div_ceil(1 << 20);
    Amount::from_micros(u64::try_from(micros).expect("an amount"))
}

/// What the lines' counters cost, before a tax that comes on top.
pub fn total(lines: &[BillLine]) -> Amount {
    sum(lines.iter().map(|line| line.amount))
}

/// All of them together.
pub fn sum(amounts: impl Iterator<Item = Amount>) -> Amount {
    amounts.fold(Amount::ZERO, Amount::saturating_add)
}
