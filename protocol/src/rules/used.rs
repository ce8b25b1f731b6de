//! What was used, as people read it: `1 pass`, `2 requests, 20,000,000 octets`, `1 min 30.5 s (60 s of it free)`.

use std::fmt;

use crate::record::{receipt::Counters, tariff::Quota};

/// What receipts count, over all rules of a tariff, and what of it was free within quotas. What was not counted has no word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    counted: Counters,
    free: Quota,
}

impl Used {
    /// The sums of what is counted and of what of it was free, rule by rule.
    pub fn of(counters: &[Counters], free: &[Quota]) -> Self {
        let counted =
            |count: fn(&Counters) -> u64| counters.iter().map(count).fold(0, u64::saturating_add);
        let free = |count: fn(&Quota) -> u64| free.iter().map(count).fold(0, u64::saturating_add);
        Self {
            counted: Counters {
                requests: counted(|one| one.requests),
                bytes: counted(|one| one.bytes),
                milliseconds: counted(|one| one.milliseconds),
                passes: counted(|one| one.passes),
            },
            free: Quota {
                requests: free(|one| one.requests),
                bytes: free(|one| one.bytes),
                milliseconds: free(|one| one.milliseconds),
            },
        }
    }

    /// What is counted.
    pub fn counted(&self) -> Counters {
        self.counted
    }

    /// What of it was free.
    pub fn free(&self) -> Quota {
        self.free
    }
}

impl fmt::Display for Used {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.counted == Counters::default() {
            return f.write_str("nothing");
        }
        f.write_str(&words(&self.counted))?;
        if self.free.is_empty() {
            return Ok(());
        }
        let free = Counters {
            requests: self.free.requests,
            bytes: self.free.bytes,
            milliseconds: self.free.milliseconds,
            passes: 0,
        };
        write!(f, " ({} of it free)", words(&free))
    }
}

/// A number with its thousands apart: `20,000,000`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn words(counted: &Counters) -> String {
    let mut parts: Vec<String> = [
        (counted.passes, "pass", "passes"),
        (counted.requests, "request", "requests"),
        (counted.bytes, "octet", "octets"),
    ]
    .into_iter()
    .filter(|(count, ..)| *count > 0)
    .map(|(count, one, more)| format!("{} {}", grouped(count), if count == 1 { one } else { more }))
    .collect();
    if counted.milliseconds > 0 {
        parts.push(time(counted.milliseconds));
    }
    parts.join(", ")
}

/// Minutes and seconds, to the millisecond: minutes are what has a price.
fn time(milliseconds: u64) -> String {
    let (minutes, rest) = (milliseconds / 60_000, milliseconds % 60_000);
    let mut parts = Vec::new();
    if minutes > 0 {
        parts.push(format!("{} min", grouped(minutes)));
    }
    if rest > 0 {
        let seconds = format!("{}.{:03}", rest / 1_000, rest % 1_000);
        let seconds = seconds.trim_end_matches('0').trim_end_matches('.');
        parts.push(format!("{seconds} s"));
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(counters: &[Counters], free: &[Quota]) -> String {
        Used::of(counters, free).to_string()
    }

    #[test]
    fn only_what_was_counted_has_a_word() {
        let none = Counters::default();
        for (counters, words) in [
            (Counters { passes: 1, ..none }, "1 pass"),
            (
                Counters {
                    requests: 1,
                    ..none
                },
                "1 request",
            ),
            (
                Counters {
                    bytes: 20_000_000,
                    ..none
                },
                "20,000,000 octets",
            ),
            (
                Counters {
                    milliseconds: 90_500,
                    ..none
                },
                "1 min 30.5 s",
            ),
            (
                Counters {
                    milliseconds: 7,
                    ..none
                },
                "0.007 s",
            ),
            (
                Counters {
                    milliseconds: 60_000_000,
                    ..none
                },
                "1,000 min",
            ),
            (
                Counters {
                    requests: 2,
                    bytes: 1,
                    milliseconds: 10_000,
                    passes: 2,
                },
                "2 passes, 2 requests, 1 octet, 10 s",
            ),
            (none, "nothing"),
        ] {
            assert_eq!(read(&[counters], &[]), words);
        }
    }

    #[test]
    fn rules_are_added_up_and_what_was_free_is_said_beside() {
        let requests = |requests| Counters {
            requests,
            ..Counters::default()
        };
        let free = Quota {
            requests: 3,
            ..Quota::default()
        };
        assert_eq!(
            read(&[requests(12), requests(0), requests(1)], &[free]),
            "13 requests (3 requests of it free)"
        );
        assert_eq!(
            read(&[requests(u64::MAX), requests(1)], &[]),
            "18,446,744,073,709,551,615 requests"
        );
    }

    #[test]
    fn thousands_stand_apart() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(grouped),
            ["0", "999", "1,000", "1,234,567"]
        );
    }
}
