//! Durations (`250ms`, `10s`, `5m`, `1h`, `1d`) and sizes (`64KiB`, `10MB`), both ways.
//!
//! One whole number and one unit: what can be written in one way is read in one way.

use std::time::Duration;

use super::raw::Amount;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    #[error("{0:?} does not begin with a number")]
    NoNumber(String),
    #[error("{0} is negative")]
    Negative(i64),
    #[error("{0:?} has a fraction; only whole numbers are read")]
    Fraction(String),
    #[error("{0:?} is not a unit of time (ms, s, m, h, d)")]
    NotTime(String),
    #[error("{0:?} is not a unit of size (B, KiB, MiB, GiB, TiB, KB, MB, GB, TB)")]
    NotSize(String),
    #[error("{0:?} is too large to be counted")]
    TooLarge(String),
}

/// Milliseconds.
const TIME: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Bytes.
const SIZE: [(&str, u64); 9] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

/// A bare number is seconds.
pub fn duration(amount: &Amount) -> Result<Duration, UnitError> {
    let text = match amount {
        Amount::Text(text) => text,
        Amount::Number(seconds) => {
            return u64::try_from(*seconds)
                .map(Duration::from_secs)
                .map_err(|_| UnitError::Negative(*seconds));
        }
    };
    let (number, unit) = split(text)?;
    let unit = if unit.is_empty() { "s" } else { unit };
    let scale = scale(&TIME, unit).ok_or_else(|| UnitError::NotTime(unit.to_owned()))?;
    let millis = number.checked_mul(scale).ok_or_else(|| UnitError::TooLarge(text.clone()))?;
    Ok(Duration::from_millis(millis))
}

/// Bytes. A bare number is bytes.
pub fn size(amount: &Amount) -> Result<u64, UnitError> {
    let text = match amount {
        Amount::Text(text) => text,
        Amount::Number(bytes) => return u64::try_from(*bytes).map_err(|_| UnitError::Negative(*bytes)),
    };
    let (number, unit) = split(text)?;
    let unit = if unit.is_empty() { "B" } else { unit };
    let scale = scale(&SIZE, unit).ok_or_else(|| UnitError::NotSize(unit.to_owned()))?;
    number.checked_mul(scale).ok_or_else(|| UnitError::TooLarge(text.clone()))
}

/// The form that [`duration`] reads, in the largest unit that is exact. Parts of a millisecond are lost.
#[must_use]
pub fn show_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    match millis {
        0 => "0s".to_owned(),
        _ => show(&TIME, millis),
    }
}

/// The form that [`size`] reads, in the largest binary unit that is exact.
#[must_use]
pub fn show_size(bytes: u64) -> String {
    show(&SIZE[..5], bytes)
}

/// The number, and what follows it.
fn split(text: &str) -> Result<(u64, &str), UnitError> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    if digits.is_empty() {
        return Err(UnitError::NoNumber(text.to_owned()));
    }
    if rest.starts_with(['.', ',']) {
        return Err(UnitError::Fraction(text.to_owned()));
    }
    let number = digits.parse().map_err(|_| UnitError::TooLarge(text.to_owned()))?;
    Ok((number, rest.trim_start()))
}

fn scale(units: &[(&str, u64)], unit: &str) -> Option<u64> {
    units.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale)
}

/// `units` in rising order, the first of scale 1.
fn show(units: &[(&str, u64)], count: u64) -> String {
    let exact = units.iter().rev().find(|(_, scale)| count >= *scale && count.is_multiple_of(*scale));
    match exact {
        Some((name, scale)) => format!("{}{name}", count / scale),
        None => format!("{count}{}", units[0].0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, millis) in [
            ("250ms", 250),
            ("10s", 10_000),
            ("10", 10_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("365d", 31_536_000_000),
            ("0s", 0),
            (" 10 s ", 10_000),
        ] {
            let read = duration(&Amount::Text(text.to_owned()));
            assert_eq!(read, Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(duration(&Amount::Number(90)), Ok(Duration::from_secs(90)));
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("512MiB", 536_870_912),
            ("64KiB", 65_536),
            ("1GiB", 1_073_741_824),
            ("10MB", 10_000_000),
            ("1TB", 1_000_000_000_000),
            ("7B", 7),
            ("7", 7),
        ] {
            assert_eq!(size(&Amount::Text(text.to_owned())), Ok(bytes), "{text}");
        }
        assert_eq!(size(&Amount::Number(7)), Ok(7));
    }

    #[test]
    fn errors_name_what_was_wrong() {
        let text = |text: &str| Amount::Text(text.to_owned());
        for (amount, expected) in [
            (text(""), UnitError::NoNumber(String::new())),
            (text("-1s"), UnitError::NoNumber("-1s".to_owned())),
            (text("+1s"), UnitError::NoNumber("+1s".to_owned())),
            (text("ten"), UnitError::NoNumber("ten".to_owned())),
            (text("1.5h"), UnitError::Fraction("1.5h".to_owned())),
            (text("1h30m"), UnitError::NotTime("h30m".to_owned())),
            (text("10min"), UnitError::NotTime("min".to_owned())),
            (text("99999999999999999999s"), UnitError::TooLarge("99999999999999999999s".to_owned())),
            (text("18446744073709551615d"), UnitError::TooLarge("18446744073709551615d".to_owned())),
            (Amount::Number(-1), UnitError::Negative(-1)),
        ] {
            assert_eq!(duration(&amount), Err(expected), "{amount:?}");
        }
        for (amount, expected) in [
            (text("512M"), UnitError::NotSize("M".to_owned())),
            (text("0.5GiB"), UnitError::Fraction("0.5GiB".to_owned())),
            (text("99999999999TiB"), UnitError::TooLarge("99999999999TiB".to_owned())),
            (Amount::Number(-5), UnitError::Negative(-5)),
        ] {
            assert_eq!(size(&amount), Err(expected), "{amount:?}");
        }
    }

    #[test]
    fn what_is_shown_reads_back() {
        for text in ["0s", "1ms", "1500ms", "90s", "5m", "25h", "365d"] {
            let read = duration(&Amount::Text(text.to_owned())).unwrap();
            assert_eq!(show_duration(read), text);
        }
        for text in ["0B", "1B", "1025B", "64KiB", "512MiB", "3TiB"] {
            assert_eq!(show_size(size(&Amount::Text(text.to_owned())).unwrap()), text);
        }
    }
}
