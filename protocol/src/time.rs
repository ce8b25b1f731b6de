//! Time as it is signed: milliseconds since 1970-01-01T00:00:00Z. What must be waited for is an `Instant` and stays inside one process.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::limits::CLOCK_DIFFERENCE_TOLERATED;

/// Milliseconds since the Unix epoch, UTC, without leap seconds.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// This time and `duration` later, at most the last one that can be said.
    pub const fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(whole_millis(duration)))
    }

    /// This time and `duration` earlier, at least the epoch.
    pub const fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(whole_millis(duration)))
    }

    /// How long ago `earlier` was; zero when it lies ahead.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Whether two honest clocks could show these times at one moment (within [`CLOCK_DIFFERENCE_TOLERATED`]).
    pub fn is_close_to(self, other: Self) -> bool {
        Duration::from_millis(self.0.abs_diff(other.0)) <= CLOCK_DIFFERENCE_TOLERATED
    }

    /// The day of this time.
    pub const fn day(self) -> Day {
        Day((self.0 / MILLIS_PER_DAY) as u32)
    }
}

/// How long from `now` until a peer's `deadline`, at most `longest`: the one place where a peer's timestamp becomes a time to wait.
pub fn time_until(now: UnixMillis, deadline: UnixMillis, longest: Duration) -> Duration {
    deadline.since(now).min(longest)
}

const fn whole_millis(duration: Duration) -> u64 {
    let millis = duration.as_millis();
    if millis > u64::MAX as u128 {
        u64::MAX
    } else {
        millis as u64
    }
}

/// A day in UTC, counted from 1970-01-01.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Day(pub u32);

impl Day {
    /// Year, month and day of the month in the proleptic Gregorian calendar; months and days from 1.
    pub fn civil(self) -> (u32, u32, u32) {
        // Days are counted from 0000-03-01, so that a leap day is the last of its year.
        let days = u64::from(self.0) + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 {
            shifted_month + 3
        } else {
            shifted_month - 9
        };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        // 2^32 days are fewer than twelve million years.
        (year as u32, month as u32, day as u32)
    }

    /// The day of a date from 1970 to 9999; `None` where there is no such date.
    pub fn of_civil(year: u32, month: u32, day: u32) -> Option<Self> {
        if !(1_970..=9_999).contains(&year) || !(1..=12).contains(&month) || day > 31 {
            return None;
        }
        // As in `civil`: the year begins in March.
        let (shifted_year, shifted_month) = if month > 2 {
            (year, month - 3)
        } else {
            (year - 1, month + 9)
        };
        let (era, year_of_era) = (shifted_year / 400, shifted_year % 400);
        let day_of_year = (153 * shifted_month + 2) / 5 + day;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let days = Self((era * 146_097 + day_of_era).checked_sub(1 + 719_468)?);
        // Not the 30th of February.
        (days.civil() == (year, month, day)).then_some(days)
    }
}

/// Milliseconds in a day.
pub const MILLIS_PER_DAY: u64 = 86_400_000;

impl fmt::Display for UnixMillis {
    /// RFC 3339 with milliseconds, in UTC.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0 % MILLIS_PER_DAY;
        let (hour, minute, second) = (
            millis / 3_600_000,
            millis / 60_000 % 60,
            millis / 1_000 % 60,
        );
        write!(
            f,
            "{}T{hour:02}:{minute:02}:{second:02}.{:03}Z",
            self.day(),
            millis % 1_000
        )
    }
}

impl fmt::Display for Day {
    /// The date in the proleptic Gregorian calendar, `2026-11-22`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.civil();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// The text is no date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseDayError;

impl fmt::Display for ParseDayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a date such as 2026-11-22 is expected")
    }
}

impl std::error::Error for ParseDayError {}

impl FromStr for Day {
    type Err = ParseDayError;

    /// A date from 1970 to 9999 as [`Day`] is shown.
    fn from_str(text: &str) -> Result<Self, ParseDayError> {
        let mut parts = text.splitn(3, '-').map(|part| part.parse::<u32>().ok());
        let mut part = || parts.next().flatten().ok_or(ParseDayError);
        let (year, month, day) = (part()?, part()?, part()?);
        let days = Self::of_civil(year, month, day).ok_or(ParseDayError)?;
        // No other spelling.
        if days.to_string() == text {
            Ok(days)
        } else {
            Err(ParseDayError)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_read_as_it_is_shown_and_nothing_else_is() {
        for days in (0..2_932_897).step_by(13) {
            let day = Day(days);
            assert_eq!(day.to_string().parse(), Ok(day));
        }
        for text in [
            "",
            "2026-11",
            "2026-11-22-1",
            "2026-11-31",
            "2026-02-29",
            "2026-00-10",
            "2026-1-1",
            "1969-12-31",
            "1970-01-00",
            "4294967295-01-01",
            "+2026-11-22",
        ] {
            assert_eq!(text.parse::<Day>(), Err(ParseDayError), "{text}");
        }
    }

    #[test]
    fn times_are_shown_as_people_write_them() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_359_599_999, "2026-11-22T14:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(UnixMillis(millis).to_string(), text);
        }
    }

    #[test]
    fn a_lie_about_a_deadline_is_clamped() {
        let hour = Duration::from_secs(3_600);
        assert_eq!(time_until(UnixMillis(5), UnixMillis(u64::MAX), hour), hour);
        assert_eq!(
            time_until(UnixMillis(5), UnixMillis(0), hour),
            Duration::ZERO
        );
    }

    #[test]
    fn nothing_overflows_at_the_ends() {
        assert_eq!(
            UnixMillis(u64::MAX).plus(Duration::MAX),
            UnixMillis(u64::MAX)
        );
        assert_eq!(UnixMillis(0).minus(Duration::MAX), UnixMillis(0));
        assert!(!UnixMillis(u64::MAX).to_string().is_empty());
    }
}
