//! Who gets what of an amount: the seller, the provider's commission and the tax. Cumulative like receipts: what one settlement moves is the
//! difference of two splits.
//!
//! * R-24 `debit = seller + commission + tax`, always.
//! * R-25 Tax and commission are rounded down; the commission is a share of the amount without tax; the seller gains what rounding leaves.
//! * R-26 No part falls when the amount grows, so that no settlement ever takes anything back.
//! * R-28 Where the charge is reversed nothing goes to the state by way of the provider: the buyer pays the price without its tax, and seller and
//!   commission get exactly what they get from any other buyer. So nobody is ever debited more than the network's tax says.
//! * R-27 A budget is money that leaves the wallet: what may be signed for within it is the most whose debit does not exceed it.

use crate::{
    amount::Amount,
    limits::{BASIS_POINTS, GRANT_AMOUNT_MAX},
    record::network::{Tax, TaxMode},
    reject::Reject,
};

/// What becomes of one cumulative amount.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Split {
    /// What the buyer pays.
    pub debit: Amount,
    /// What the seller earns.
    pub seller: Amount,
    /// What the provider takes.
    pub commission: Amount,
    /// What goes to the state.
    pub tax: Amount,
}

impl Split {
    /// What leads from `earlier` to this one; `None` unless every part is at least `earlier`'s.
    pub fn since(&self, earlier: &Self) -> Option<Self> {
        Some(Self {
            debit: self.debit.checked_sub(earlier.debit)?,
            seller: self.seller.checked_sub(earlier.seller)?,
            commission: self.commission.checked_sub(earlier.commission)?,
            tax: self.tax.checked_sub(earlier.tax)?,
        })
    }
}

/// Splits `amount`, a receipt's cumulative amount.
///
/// # Errors
/// [`Reject::AMOUNT_TOO_LARGE`] above [`GRANT_AMOUNT_MAX`], [`Reject::FIELD_OUT_OF_BOUNDS`] for rates above one whole: neither passes a grant's own checks.
pub fn split(amount: Amount, tax: Tax, commission_bp: u16) -> Result<Split, Reject> {
    if amount > GRANT_AMOUNT_MAX {
        return Err(Reject::AMOUNT_TOO_LARGE);
    }
    if tax.rate_bp > BASIS_POINTS || commission_bp > BASIS_POINTS {
        return Err(Reject::FIELD_OUT_OF_BOUNDS);
    }
    let micros = amount.micros();
    let (rate, whole) = (u64::from(tax.rate_bp), u64::from(BASIS_POINTS));
    // each part below is a whole-number floor of a line no steeper than its base, so the part and what it leaves both never fall.
    let (net, tax) = match tax.mode {
        TaxMode::Inclusive => {
            let tax = share(micros, rate, whole + rate);
            (micros - tax, tax)
        }
        TaxMode::Exclusive => (micros, tax_on_top(amount, tax).micros()),
        TaxMode::Reverse => (micros - share(micros, rate, whole + rate), 0),
    };
    let commission = share(net, u64::from(commission_bp), whole);
    Ok(Split {
        debit: Amount::from_micros(net + tax),
        seller: Amount::from_micros(net - commission),
        commission: Amount::from_micros(commission),
        tax: Amount::from_micros(tax),
    })
}

/// What leaves the wallet for `amount`, rounded as [`split`] rounds: the amount and a tax that comes on top, or less a tax that the buyer owes
/// itself; at most [`Amount::MAX`].
pub fn debit_of(amount: Amount, tax: Tax) -> Amount {
    match tax.mode {
        TaxMode::Inclusive | TaxMode::Exclusive => amount.saturating_add(tax_on_top(amount, tax)),
        TaxMode::Reverse => {
            let (rate, whole) = (u64::from(tax.rate_bp), u64::from(BASIS_POINTS));
            let own = share(amount.micros(), rate, whole + rate);
            amount.saturating_sub(Amount::from_micros(own))
        }
    }
}

/// the most that may be signed for while no more than `debit_max` leaves the wallet: one base unit more would take more.
pub fn amount_within(debit_max: Amount, tax: Tax) -> Amount {
    match tax.mode {
        TaxMode::Inclusive => debit_max,
        TaxMode::Reverse => {
            // `n − floor(n × rate ÷ (whole + rate))` is `n × whole ÷ (whole + rate)` rounded up.
            let (rate, whole) = (u128::from(tax.rate_bp), u128::from(BASIS_POINTS));
            let within = u128::from(debit_max.micros()) * (whole + rate) / whole;
            u64::try_from(within).map_or(Amount::MAX, Amount::from_micros)
        }
        TaxMode::Exclusive => {
            // The largest `n` with `floor(n × (whole + rate) ÷ whole) ≤ debit_max`.
            let (rate, whole) = (u128::from(tax.rate_bp), u128::from(BASIS_POINTS));
            let within = ((u128::from(debit_max.micros()) + 1) * whole - 1) / (whole + rate);
            u64::try_from(within).map_or(debit_max, Amount::from_micros)
        }
    }
}

fn tax_on_top(amount: Amount, tax: Tax) -> Amount {
    let rate = u64::from(tax.on_top_bp());
    Amount::from_micros(share(amount.micros(), rate, u64::from(BASIS_POINTS)))
}

/// What is held on the buyer's wallet for a grant of at most `amount_max`: what it would pay for all of it.
pub fn hold_for(amount_max: Amount, tax: Tax) -> Result<Amount, Reject> {
    split(amount_max, tax, 0).map(|whole| whole.debit)
}

/// `base × numerator ÷ denominator`, rounded down: at most `base`, since no rate is above one whole.
fn share(base: u64, numerator: u64, denominator: u64) -> u64 {
    let exact = u128::from(base) * u128::from(numerator) / u128::from(denominator);
    u64::try_from(exact).unwrap_or(base)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_mode() -> impl Strategy<Value = TaxMode> {
        prop_oneof![
            Just(TaxMode::Inclusive),
            Just(TaxMode::Exclusive),
            Just(TaxMode::Reverse)
        ]
    }

    fn tax(rate_bp: u16, exclusive: bool) -> Tax {
        let mode = if exclusive {
            TaxMode::Exclusive
        } else {
            TaxMode::Inclusive
        };
        Tax { rate_bp, mode }
    }

    fn parts(amount: u64, rate_bp: u16, exclusive: bool, commission_bp: u16) -> [u64; 4] {
        let split = split(
            Amount::from_micros(amount),
            tax(rate_bp, exclusive),
            commission_bp,
        )
        .unwrap();
        [split.debit, split.seller, split.commission, split.tax].map(Amount::micros)
    }

    #[test]
    fn r_25_examples_by_hand() {
        // 1,100 with 10 % inside: 100 tax, 1,000 net, 5 % of it 50.
        assert_eq!(parts(1_100, 1_000, false, 500), [1_100, 950, 50, 100]);
        assert_eq!(parts(1_000, 1_000, true, 500), [1_100, 950, 50, 100]);
        // Roundings are the seller's.
        assert_eq!(parts(19, 1_000, false, 500), [19, 18, 0, 1]);
        assert_eq!(parts(0, 1_000, true, 500), [0, 0, 0, 0]);
        assert_eq!(parts(7, 10_000, true, 10_000), [14, 0, 7, 7]);
    }

    #[test]
    fn what_no_grant_allows_is_refused() {
        let too_large = Amount::from_micros(GRANT_AMOUNT_MAX.micros() + 1);
        assert_eq!(
            split(too_large, Tax::NONE, 0),
            Err(Reject::AMOUNT_TOO_LARGE)
        );
        assert_eq!(
            split(Amount::ZERO, Tax::NONE, 10_001),
            Err(Reject::FIELD_OUT_OF_BOUNDS)
        );
        assert_eq!(
            split(Amount::ZERO, tax(10_001, true), 0),
            Err(Reject::FIELD_OUT_OF_BOUNDS)
        );
    }

    #[test]
    fn r_27_examples_by_hand() {
        let within = |most, rate_bp, exclusive| {
            amount_within(Amount::from_micros(most), tax(rate_bp, exclusive)).micros()
        };
        assert_eq!(within(1_100, 1_000, true), 1_000);
        assert_eq!(within(1_100, 1_000, false), 1_100);
        // 10 would take 11; 9 takes 9.
        assert_eq!(within(10, 1_000, true), 9);
        assert_eq!(within(1, 10_000, true), 0);
        assert_eq!(within(u64::MAX, 0, true), u64::MAX);
        let reversed =
            |most| amount_within(Amount::from_micros(most), tax(1_000, false).reversed());
        // 1,100 with 10 % inside costs an organisation 1,000.
        assert_eq!(reversed(1_000).micros(), 1_100);
        assert_eq!(reversed(u64::MAX), Amount::MAX);
    }

    proptest! {
        #[test]
        fn r_27_what_is_within_a_budget_is_all_that_is(
            most in prop_oneof![0..10_000_u64, 0..GRANT_AMOUNT_MAX.micros()],
            rate_bp in 0..=BASIS_POINTS,
            commission_bp in 0..=BASIS_POINTS,
            mode in any_mode(),
        ) {
            let (most, rate) = (Amount::from_micros(most), Tax { rate_bp, mode });
            // No grant allows more, whatever the budget is.
            let within = amount_within(most, rate).min(GRANT_AMOUNT_MAX);
            let split_of = |amount| split(amount, rate, commission_bp).unwrap().debit;
            prop_assert_eq!(debit_of(within, rate), split_of(within));
            prop_assert!(split_of(within) <= most);
            if within < GRANT_AMOUNT_MAX {
                prop_assert!(split_of(within.saturating_add(Amount::from_micros(1))) > most);
            }
        }

        #[test]
        fn r_24_and_r_26_nothing_is_lost_and_nothing_falls(
            amount in prop_oneof![0..10_000_u64, 0..GRANT_AMOUNT_MAX.micros()],
            step in prop_oneof![0..4_u64, 0..1_000_000_u64],
            rate_bp in 0..=BASIS_POINTS,
            commission_bp in 0..=BASIS_POINTS,
            mode in any_mode(),
        ) {
            let after = (amount + step).min(GRANT_AMOUNT_MAX.micros());
            let rate = Tax { rate_bp, mode };
            let before = split(Amount::from_micros(amount), rate, commission_bp).unwrap();
            let after = split(Amount::from_micros(after), rate, commission_bp).unwrap();
            for split in [before, after] {
                let sum = split.seller.micros() + split.commission.micros() + split.tax.micros();
                prop_assert_eq!(split.debit.micros(), sum);
            }
            prop_assert!(after.since(&before).is_some());
            prop_assert!(hold_for(Amount::from_micros(amount), rate).unwrap() >= before.debit);
        }

        #[test]
        fn r_28_a_reversed_charge_costs_the_buyer_the_tax_less_and_nobody_else_anything(
            amount in prop_oneof![0..10_000_u64, 0..GRANT_AMOUNT_MAX.micros()],
            rate_bp in 0..=BASIS_POINTS,
            commission_bp in 0..=BASIS_POINTS,
            exclusive: bool,
        ) {
            let (amount, taxed) = (Amount::from_micros(amount), tax(rate_bp, exclusive));
            let whole = split(amount, taxed, commission_bp).unwrap();
            let reversed = split(amount, taxed.reversed(), commission_bp).unwrap();
            prop_assert_eq!((reversed.seller, reversed.commission), (whole.seller, whole.commission));
            prop_assert_eq!(reversed.tax, Amount::ZERO);
            prop_assert_eq!(reversed.debit.checked_add(whole.tax), Some(whole.debit));
            prop_assert_eq!(debit_of(amount, taxed.reversed()), reversed.debit);
            prop_assert!(debit_of(amount, taxed.reversed()) <= debit_of(amount, taxed));
            prop_assert_eq!(taxed.reversed().reversed(), taxed.reversed());
        }
    }
}
