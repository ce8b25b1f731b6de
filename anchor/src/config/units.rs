//! How people write rates and durations.

use std::time::Duration;

use madang_protocol::{limits::BASIS_POINTS, record::network::TaxMode};

/// Reads `10%`, `7.5%` or `0%`: a share in percent with at most two decimals, as basis points. Without its sign `0.1` could mean ten percent.
pub(super) fn percent(text: &str) -> Result<u16, &'static str> {
    let number = text.strip_suffix('%').ok_or(NOT_A_PERCENTAGE)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |part: &str| part.bytes().all(|octet| octet.is_ascii_digit());
    let is_number =
        !whole.is_empty() && digits(whole) && digits(fraction) && !number.ends_with('.');
    if !is_number || fraction.len() > 2 || whole.len() > 3 {
        return Err(NOT_A_PERCENTAGE);
    }
    let basis_points = format!("{whole}{fraction:0<2}")
        .parse()
        .map_err(|_| NOT_A_PERCENTAGE)?;
    if basis_points > BASIS_POINTS {
        return Err("a percentage of at most 100 % is expected");
    }
    Ok(basis_points)
}

/// Reads `250ms`, `10s`, `5m`, `24h` or `14d`.
pub(super) fn duration(text: &str) -> Result<Duration, &'static str> {
    let unit_at = text
        .find(|c: char| !c.is_ascii_digit())
        .ok_or(NOT_A_DURATION)?;
    let (number, unit) = text.split_at(unit_at);
    let number: u64 = number.parse().map_err(|_| NOT_A_DURATION)?;
    let millis_per_unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(NOT_A_DURATION),
    };
    let millis = number.checked_mul(millis_per_unit).ok_or(NOT_A_DURATION)?;
    Ok(Duration::from_millis(millis))
}

/// Reads `inclusive` or `exclusive`.
pub(super) fn tax_mode(text: &str) -> Result<TaxMode, &'static str> {
    match text {
        "inclusive" => Ok(TaxMode::Inclusive),
        "exclusive" => Ok(TaxMode::Exclusive),
        _ => Err("`inclusive` or `exclusive` is expected"),
    }
}

const NOT_A_PERCENTAGE: &str = "a percentage is expected, such as 10% or 7.5%";
const NOT_A_DURATION: &str = "a duration is expected, such as 500ms, 10s, 5m or 24h";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_read_strictly() {
        for (text, basis_points) in [
            ("10%", 1_000),
            ("7.5%", 750),
            ("0%", 0),
            ("0.01%", 1),
            ("100%", 10_000),
        ] {
            assert_eq!(percent(text), Ok(basis_points), "{text}");
        }
        for text in [
            "", "%", "-1%", "10.%", ".5%", "1.005%", "101%", "100.01%", "9999999%", "1e1%", "10 %",
            "0", "10", "7.5", "0.1",
        ] {
            assert!(percent(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_read_strictly() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("24h"), Ok(Duration::from_secs(86_400)));
        for text in [
            "",
            "10",
            "s",
            "-1s",
            "1.5s",
            "10 s",
            "10w",
            "99999999999999999999s",
            "18446744073709551615d",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
