//! Reads a `Range` header (RFC 9110 section 14) against a length.
//!
//! Pure. A header that is not understood is ignored, as the standard asks; one that asks for too many pieces is refused.

use std::ops::Range;

/// Most pieces in one request. A hundred tiny pieces cost far more than they are worth (CVE-2011-3192).
const RANGES_MAX: usize = 16;
/// Pieces nearer than this are sent as one: what separates two parts of a multipart body is longer.
const GAP_OCTETS_MAX: u64 = 80;

/// What a `Range` header asks of a representation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// Nothing that is understood: send the whole.
    Whole,
    /// These octets, ascending, not overlapping, each half-open and not empty; one or more.
    Pieces(Vec<Range<u64>>),
    /// None of it exists, or it is excessive: 416.
    Unsatisfiable,
}

/// Reads the value of a `Range` header against a representation of `length` octets.
pub(super) fn asked(value: &str, length: u64) -> Asked {
    let Some((unit, set)) = value.split_once('=') else {
        return Asked::Whole;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Asked::Whole;
    }
    let mut pieces = Vec::new();
    let mut specs = 0;
    for spec in set
        .split(',')
        .map(str::trim)
        .filter(|spec| !spec.is_empty())
    {
        specs += 1;
        if specs > RANGES_MAX {
            return Asked::Unsatisfiable;
        }
        match piece(spec, length) {
            Ok(Some(range)) => pieces.push(range),
            Ok(None) => {}
            Err(Malformed) => return Asked::Whole,
        }
    }
    if specs == 0 {
        return Asked::Whole;
    }
    if pieces.is_empty() {
        return Asked::Unsatisfiable;
    }
    Asked::Pieces(coalesced(pieces))
}

struct Malformed;

/// One `first-last`, `first-` or `-suffix`; `None` if it lies outside of the representation.
fn piece(spec: &str, length: u64) -> Result<Option<Range<u64>>, Malformed> {
    let (first, last) = spec.split_once('-').ok_or(Malformed)?;
    if first.is_empty() {
        let suffix = number(last)?;
        let start = length.saturating_sub(suffix);
        return Ok((start < length).then_some(start..length));
    }
    let first = number(first)?;
    let end = if last.is_empty() {
        length
    } else {
        let last = number(last)?;
        if last < first {
            return Err(Malformed);
        }
        last.saturating_add(1).min(length)
    };
    Ok((first < end).then_some(first..end))
}

/// Decimal digits only; what does not fit is as good as infinite.
fn number(text: &str) -> Result<u64, Malformed> {
    if text.is_empty() || !text.bytes().all(|octet| octet.is_ascii_digit()) {
        return Err(Malformed);
    }
    Ok(text.parse().unwrap_or(u64::MAX))
}

/// Sorts, and joins what overlaps or nearly touches.
fn coalesced(mut pieces: Vec<Range<u64>>) -> Vec<Range<u64>> {
    pieces.sort_by_key(|piece| piece.start);
    let mut joined: Vec<Range<u64>> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        match joined.last_mut() {
            Some(last) if piece.start <= last.end.saturating_add(GAP_OCTETS_MAX) => {
                last.end = last.end.max(piece.end)
            }
            _ => joined.push(piece),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    #[expect(
        clippy::single_range_in_vec_init,
        reason = "one piece is a list of one range"
    )]
    fn each_form_of_the_header_is_read() {
        use Asked::{Pieces, Unsatisfiable, Whole};
        for (value, expected) in [
            ("bytes=0-0", Pieces(vec![0..1])),
            ("bytes=0-499", Pieces(vec![0..500])),
            ("bytes=500-", Pieces(vec![500..1000])),
            ("bytes=-1", Pieces(vec![999..1000])),
            ("bytes=-5000", Pieces(vec![0..1000])),
            ("bytes=990-99999999999999999999999", Pieces(vec![990..1000])),
            ("Bytes = 1-2", Pieces(vec![1..3])),
            ("bytes=0-1,500-501", Pieces(vec![0..2, 500..502])),
            ("bytes=500-501, 0-1", Pieces(vec![0..2, 500..502])),
            ("bytes=0-10,5-20,21-30", Pieces(vec![0..31])),
            ("bytes=0-10,,2000-", Pieces(vec![0..11])),
            ("bytes=1000-", Unsatisfiable),
            ("bytes=-0", Unsatisfiable),
            ("bytes=99999999999999999999999-", Unsatisfiable),
            ("bytes=5-4", Whole),
            ("bytes=a-b", Whole),
            ("bytes=+1-2", Whole),
            ("bytes=1", Whole),
            ("bytes=", Whole),
            ("bytes=--1", Whole),
            ("lines=1-2", Whole),
            ("0-5", Whole),
        ] {
            assert_eq!(asked(value, 1000), expected, "{value}");
        }
        assert_eq!(asked("bytes=0-", 0), Unsatisfiable);
    }

    #[test]
    fn seventeen_pieces_are_refused_and_sixteen_are_not() {
        let set = |count: u64| {
            (0..count)
                .map(|n| format!("{}-{}", n * 1000, n * 1000))
                .collect::<Vec<_>>()
                .join(",")
        };
        assert!(
            matches!(asked(&format!("bytes={}", set(16)), 100_000), Asked::Pieces(pieces) if pieces.len() == 16)
        );
        assert_eq!(
            asked(&format!("bytes={}", set(17)), 100_000),
            Asked::Unsatisfiable
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn pieces_lie_inside_ascend_and_cover_what_was_asked(
            length in 0..2_000u64,
            specs in prop::collection::vec((0..2_500u64, 0..2_500u64), 1..16),
        ) {
            let value = specs.iter().map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))).collect::<Vec<_>>().join(",");
            let wanted = |octet: u64| specs.iter().any(|(a, b)| (*a.min(b)..=*a.max(b)).contains(&octet));
            match asked(&format!("bytes={value}"), length) {
                Asked::Pieces(pieces) => {
                    prop_assert!(pieces.iter().all(|piece| piece.start < piece.end && piece.end <= length));
                    prop_assert!(pieces.windows(2).all(|pair| pair[0].end < pair[1].start));
                    for octet in 0..length {
                        prop_assert!(!wanted(octet) || pieces.iter().any(|piece| piece.contains(&octet)));
                    }
                }
                Asked::Unsatisfiable => prop_assert!((0..length).all(|octet| !wanted(octet))),
                Asked::Whole => prop_assert!(false, "a well-formed header was ignored"),
            }
        }

        #[test]
        fn any_text_is_answered(value in "(bytes=)?[-0-9, a-z=]{0,40}", length: u64) {
            if let Asked::Pieces(pieces) = asked(&value, length) {
                prop_assert!(!pieces.is_empty());
            }
        }
    }
}
