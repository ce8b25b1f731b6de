//! What the `n`th operation is: the same whoever asks, and however often.

/// One operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Money comes in.
    TopUp { account: usize, won: u64 },
    /// Somebody buys of somebody else, and the receipt is settled.
    Buy {
        buyer: usize,
        seller: usize,
        won: u64,
    },
    /// All balances are read.
    Read,
}

/// People of the bank.
pub(crate) const PEOPLE: usize = 12;

impl Operation {
    /// The operation of this number under this seed.
    pub(crate) fn of(seed: u64, number: u64) -> Self {
        let chance = mixed(seed ^ mixed(number));
        let pick = |shift: u32, of: u64| (chance >> shift) % of;
        let buyer = pick(8, PEOPLE as u64) as usize;
        let won = 2 * (1 + pick(24, 40));
        match pick(0, 16) {
            0 => Self::Read,
            1..=5 => Self::TopUp {
                account: buyer,
                won,
            },
            _ => {
                let other = 1 + pick(16, PEOPLE as u64 - 1) as usize;
                let seller = (buyer + other) % PEOPLE;
                Self::Buy { buyer, seller, won }
            }
        }
    }
}

/// SplitMix64's output function (Steele, Lea and Flood, 2014).
fn mixed(number: u64) -> u64 {
    let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
