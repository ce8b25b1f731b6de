//! [`Month`]: a billing period, a calendar month in the provider's own time.

use std::{fmt, str::FromStr};

use madang_protocol::time::{Day, MILLIS_PER_DAY, UnixMillis};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// How far the provider's clock is from UTC, in minutes; east is ahead.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UtcOffset(i16);

/// A calendar month: the number of months since January of the year 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month(u32);

impl UtcOffset {
    /// UTC.
    pub const UTC: Self = Self(0);

    /// An offset of whole minutes; `None` beyond 14 hours, where nobody lives.
    pub fn of_minutes(minutes: i16) -> Option<Self> {
        (-MINUTES_MAX..=MINUTES_MAX)
            .contains(&minutes)
            .then_some(Self(minutes))
    }

    /// What a clock with this offset shows at `time`, as if it were UTC.
    pub fn local(self, time: UnixMillis) -> UnixMillis {
        UnixMillis(time.0.saturating_add_signed(self.millis()))
    }

    fn utc(self, local: UnixMillis) -> UnixMillis {
        UnixMillis(local.0.saturating_add_signed(-self.millis()))
    }

    fn millis(self) -> i64 {
        i64::from(self.0) * 60_000
    }
}

impl Month {
    /// The month in which `time` is.
    pub fn of(time: UnixMillis, offset: UtcOffset) -> Self {
        // A day is shown as year, month, day: the one place that knows the calendar.
        let text = offset.local(time).day().to_string();
        let mut parts = text.split('-').map(|part| part.parse().unwrap_or(0_u32));
        let (year, month) = (parts.next().unwrap_or(0), parts.next().unwrap_or(1));
        Self(year * 12 + month.saturating_sub(1))
    }

    /// The month after this one.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The year.
    pub fn year(self) -> u16 {
        u16::try_from(self.0 / 12).unwrap_or(u16::MAX)
    }

    /// Its first moment.
    pub fn begin(self, offset: UtcOffset) -> UnixMillis {
        let first: Result<Day, _> = format!("{self}-01").parse();
        first.map_or(UnixMillis(u64::MAX), |day| {
            offset.utc(UnixMillis(u64::from(day.0) * MILLIS_PER_DAY))
        })
    }

    /// Its last day, as that clock shows it.
    pub fn last_day(self) -> Day {
        Day((self.next().begin(UtcOffset::UTC).0 / MILLIS_PER_DAY).saturating_sub(1) as u32)
    }

    pub(super) fn to_bytes(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }

    pub(super) fn of_bytes(octets: [u8; 4]) -> Self {
        Self(u32::from_be_bytes(octets))
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.0 / 12, self.0 % 12 + 1)
    }
}

impl fmt::Display for UtcOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { '-' } else { '+' };
        let minutes = self.0.unsigned_abs();
        write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

/// The text is no month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseMonthError;

impl fmt::Display for ParseMonthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a month such as 2026-10 is expected")
    }
}

impl std::error::Error for ParseMonthError {}

impl FromStr for Month {
    type Err = ParseMonthError;

    /// A month from 1970-01 to 9999-12, as it is shown.
    fn from_str(text: &str) -> Result<Self, ParseMonthError> {
        let day: Day = format!("{text}-01").parse().map_err(|_| ParseMonthError)?;
        Ok(Self::of(
            UnixMillis(u64::from(day.0) * MILLIS_PER_DAY),
            UtcOffset::UTC,
        ))
    }
}

/// The text is no offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseOffsetError;

impl fmt::Display for ParseOffsetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an offset from UTC such as +09:00 or -05:30 is expected, 14 hours at most")
    }
}

impl std::error::Error for ParseOffsetError {}

impl FromStr for UtcOffset {
    type Err = ParseOffsetError;

    fn from_str(text: &str) -> Result<Self, ParseOffsetError> {
        let (sign, rest) = match text.split_at_checked(1) {
            Some(("+", rest)) => (1, rest),
            Some(("-", rest)) => (-1, rest),
            _ => return Err(ParseOffsetError),
        };
        let (hours, minutes) = rest.split_once(':').ok_or(ParseOffsetError)?;
        let two = |part: &str| {
            let is_number = part.len() == 2 && part.bytes().all(|octet| octet.is_ascii_digit());
            let number: Option<i16> = part.parse().ok();
            number.filter(|_| is_number).ok_or(ParseOffsetError)
        };
        let (hours, minutes) = (two(hours)?, two(minutes)?);
        if minutes > 59 {
            return Err(ParseOffsetError);
        }
        Self::of_minutes(sign * (hours * 60 + minutes)).ok_or(ParseOffsetError)
    }
}

impl Serialize for Month {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_u32(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Month {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            text.parse().map_err(D::Error::custom)
        } else {
            u32::deserialize(deserializer).map(Self)
        }
    }
}

/// The furthest offsets in use are +14:00 and -12:00.
const MINUTES_MAX: i16 = 14 * 60;

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_month_begins_at_the_providers_midnight() {
        let seoul: UtcOffset = "+09:00".parse().unwrap();
        let october: Month = "2026-10".parse().unwrap();
        // 2026-09-30T15:00:00Z is midnight in Seoul.
        let begin = october.begin(seoul);
        assert_eq!(begin.to_string(), "2026-09-30T15:00:00.000Z");
        assert_eq!(Month::of(begin, seoul), october);
        let before = UnixMillis(begin.0 - 1);
        assert_eq!(Month::of(before, seoul).to_string(), "2026-09");
        assert_eq!(Month::of(begin, UtcOffset::UTC).to_string(), "2026-09");
        assert_eq!(october.last_day().to_string(), "2026-10-31");
        let december: Month = "2026-12".parse().unwrap();
        assert_eq!(
            (
                december.next().to_string().as_str(),
                december.next().year(),
                december.year()
            ),
            ("2027-01", 2_027, 2_026)
        );
        assert_eq!(december.last_day().to_string(), "2026-12-31");
    }

    #[test]
    fn the_ends_of_time_are_months_too() {
        for offset in ["-14:00", "+14:00"] {
            let offset = offset.parse().unwrap();
            assert_eq!(Month::of(UnixMillis(0), offset).to_string(), "1970-01");
            let last = Month::of(UnixMillis(u64::MAX), offset);
            assert!(last.begin(offset) <= UnixMillis(u64::MAX) && last.next() > last);
        }
    }

    #[test]
    fn months_and_offsets_are_read_strictly() {
        for text in [
            "",
            "2026",
            "2026-13",
            "2026-00",
            "2026-1",
            "1969-12",
            "2026-10-01",
            "-1-01",
        ] {
            assert_eq!(text.parse::<Month>(), Err(ParseMonthError), "{text}");
        }
        for text in [
            "", "09:00", "+9:00", "+0900", "+14:01", "-14:01", "+01:60", "+-1:00", "Z",
        ] {
            assert_eq!(text.parse::<UtcOffset>(), Err(ParseOffsetError), "{text}");
        }
        assert_eq!("-05:30".parse::<UtcOffset>().unwrap().to_string(), "-05:30");
    }
}
