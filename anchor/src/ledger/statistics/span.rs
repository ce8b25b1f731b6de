//! Days, months and years, and how few of them a range is.

use madang_protocol::time::Day;
use serde::{Deserialize, Serialize};

/// A length of time over which figures are summed, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum Span {
    /// A day.
    Day = 0,
    /// A month.
    Month = 1,
    /// A year.
    Year = 2,
}

/// One day, month or year.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Period {
    /// Which of them.
    pub span: Span,
    /// Its first day.
    pub first: Day,
}

impl Span {
    /// All lengths.
    pub const ALL: [Self; 3] = [Self::Day, Self::Month, Self::Year];

    /// The period of this length that a day is in.
    pub fn of(self, day: Day) -> Period {
        let (year, month, _) = day.civil();
        let first = match self {
            Self::Day => Some(day),
            Self::Month => Day::of_civil(year, month, 1),
            Self::Year => Day::of_civil(year, 1, 1),
        };
        Period {
            span: self,
            // Only days that no clock shows have no date.
            first: first.unwrap_or(day),
        }
    }
}

impl Period {
    /// Its last day.
    pub fn last(self) -> Day {
        let (year, month, _) = self.first.civil();
        let next = match self.span {
            Span::Day => None,
            Span::Month if month < 12 => Day::of_civil(year, month + 1, 1),
            Span::Month | Span::Year => Day::of_civil(year + 1, 1, 1),
        };
        next.map_or(self.first, |next| Day(next.0 - 1))
    }

    /// The period of the same length after it.
    pub fn next(self) -> Self {
        Self {
            first: Day(self.last().0.saturating_add(1)),
            ..self
        }
    }

    /// The key of its rows, in the order of time.
    pub(super) fn to_bytes(self) -> [u8; 5] {
        let first = self.first.0.to_be_bytes();
        [self.span as u8, first[0], first[1], first[2], first[3]]
    }
}

/// The years, months and days that `from` to `until` are made of, in their order: at most 30 days and 11 months at each end, and the years between.
pub fn cover(from: Day, until: Day) -> Vec<Period> {
    let mut periods = Vec::new();
    let mut day = from;
    while day <= until {
        let longest = [Span::Year, Span::Month].into_iter().find_map(|span| {
            let period = span.of(day);
            (period.first == day && period.last() <= until).then_some(period)
        });
        let period = longest.unwrap_or_else(|| Span::Day.of(day));
        periods.push(period);
        day = period.next().first;
    }
    periods
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    #[test]
    fn a_year_to_date_is_its_months_and_the_days_since() {
        let periods = cover(day("2024-01-01"), day("2026-03-02"));
        let expected = [
            (Span::Year, "2024-01-01"),
            (Span::Year, "2025-01-01"),
            (Span::Month, "2026-01-01"),
            (Span::Month, "2026-02-01"),
            (Span::Day, "2026-03-01"),
            (Span::Day, "2026-03-02"),
        ];
        let expected = expected.map(|(span, first)| Period {
            span,
            first: day(first),
        });
        assert_eq!(periods, expected);
    }

    proptest! {
        #[test]
        fn a_range_is_covered_without_gap_or_overlap_by_few(from in 0_u32..2_000_000, days in 0_u32..40_000) {
            let (from, until) = (Day(from), Day(from + days));
            let periods = cover(from, until);
            let mut next = from;
            for period in &periods {
                prop_assert_eq!(period.first, next);
                prop_assert_eq!(period.span.of(period.last()), *period);
                next = period.next().first;
            }
            prop_assert_eq!(next, Day(until.0 + 1));
            prop_assert!(periods.len() <= 2 * (30 + 11) + days as usize / 365);
        }
    }
}
