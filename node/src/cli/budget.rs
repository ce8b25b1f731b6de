//! What may be agreed to, as far as it can be told before anybody is asked.

use madang_protocol::name::SiteName;

use super::failure::Failure;
use crate::{config::Money, fetch::check_budget};

/// Reads the amount after `flag`, that `site` is to be paid at most.
pub(super) fn budget(flag: &str, text: &str, site: &SiteName) -> Result<Money, Failure> {
    let money: Money = text
        .parse()
        .map_err(|error| Failure::misuse(format!("{flag}: {error}")))?;
    check_budget(site, money.amount)
        .map_err(|error| Failure::misuse(format!("{flag}: {error}")))?;
    Ok(money)
}
