//! HTTP dates (RFC 9110 §5.6.7).

use http::HeaderValue;

use crate::clock::{self, Timestamp};

/// Reads any of the three forms of RFC 9110 §5.6.7. `None`: it is no date, or none since 1970. A weekday that
/// belongs to another date makes it no date. Two-digit years mean 1970 to 2069.
#[must_use]
pub fn parse(value: impl AsRef<[u8]>) -> Option<Timestamp> {
    let text = std::str::from_utf8(value.as_ref()).ok()?;
    httpdate::parse_http_date(text).ok().map(Timestamp::from_system_time)
}

/// As [`parse`], but neither capital letters nor the weekday make a difference: for freshness only (RFC 9111 §4.2).
#[must_use]
pub fn parse_loosely(value: &HeaderValue) -> Option<Timestamp> {
    parse_in_any_case(value).or_else(|| {
        const DAYS: [&str; 7] =
            ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
        let (day, rest) = value.to_str().ok()?.split_at_checked(3)?;
        let known = DAYS.iter().any(|known| known[..3].eq_ignore_ascii_case(day));
        let tries = DAYS.iter().filter(|_| known).map(|other| format!("{}{rest}", &other[..3]));
        tries.filter_map(|text| HeaderValue::try_from(text).ok()).find_map(|text| parse_in_any_case(&text))
    })
}

fn parse_in_any_case(value: &HeaderValue) -> Option<Timestamp> {
    parse(value).or_else(|| {
        let mut after_a_letter = false;
        let text = value.to_str().ok()?.strip_suffix(|c: char| c.eq_ignore_ascii_case(&'t'))?;
        let (text, zone) = match text.len().checked_sub(2).and_then(|at| text.split_at_checked(at)) {
            Some((text, zone)) if zone.eq_ignore_ascii_case("gm") => (text, "GMT"),
            _ => return None,
        };
        let names = text.chars().map(|c| {
            let cased = if after_a_letter { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() };
            after_a_letter = c.is_ascii_alphabetic();
            cased
        });
        let text: String = names.chain(zone.chars()).collect();
        parse(&HeaderValue::try_from(text).ok()?)
    })
}

/// Writes the preferred form, IMF-fixdate; parts of a second are dropped. Times after the year 9999 become its end.
#[must_use]
pub fn format(at: Timestamp) -> HeaderValue {
    clock::date_value(at)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::clock::END_OF_9999;

    #[test]
    fn reads_all_three_forms() {
        // RFC 9110 §5.6.7
        let table = [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
            ("Sun Nov  6 08:49:37 1994", Some(784_111_777)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(END_OF_9999)),
            ("Mon, 06 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08:49:37 CET", None),
            ("Sun, 31 Feb 1999 08:49:37 GMT", None),
            ("Wed, 31 Dec 1969 23:59:59 GMT", None),
            ("1994-11-06T08:49:37Z", None),
            ("784111777", None),
            ("0", None),
            ("-1", None),
            ("", None),
        ];
        for (text, expected) in table {
            let value = HeaderValue::from_static(text);
            assert_eq!(parse(&value), expected.map(Timestamp::from_secs), "{text}");
        }
    }

    #[test]
    fn a_wrong_weekday_is_passed_over_where_freshness_is_at_stake() {
        for (text, expected) in [
            ("Mon, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Sat Nov  6 08:49:37 1994", Some(784_111_777)),
            ("Foo, 06 Nov 1994 08:49:37 GMT", None),
            ("Sun, 31 Feb 1999 08:49:37 GMT", None),
            ("0", None),
            ("é", None),
        ] {
            let found = parse_loosely(&HeaderValue::from_str(text).unwrap());
            assert_eq!(found, expected.map(Timestamp::from_secs), "{text}");
        }
    }

    #[test]
    fn letters_may_be_of_any_case_where_freshness_is_at_stake() {
        // RFC 9111 §4.2
        let table = [
            ("Sun, 06 Nov 1994 08:49:37 GMT", true),
            ("SUN, 06 Nov 1994 08:49:37 GMT", true),
            ("sun, 06 nOV 1994 08:49:37 gMt", true),
            ("Sunday, 06-NOV-94 08:49:37 GMT", true),
            ("Sun, 06 Nov 1994 08:49:37 UTC", false),
            ("Sun, 06 Nov 1994 8:49:37 GMT", false),
            ("Sun, 06  Nov  1994 08:49:37 GMT", false),
            ("Sun 06 Nov 1994 08:49:37 GMT", false),
            ("Sun, 06-Nov-1994 08:49:37 GMT", false),
            ("Sun, 06 Nov 1994 08.49.37 GMT", false),
            ("Sun, 06 Nov 94 08:49:37 GMT", false),
            ("T", false),
            ("0", false),
        ];
        for (text, expected) in table {
            let found = parse_in_any_case(&HeaderValue::from_static(text));
            assert_eq!(found, expected.then_some(Timestamp::from_secs(784_111_777)), "{text}");
        }
    }

    #[test]
    fn writes_imf_fixdate() {
        let at = Timestamp::from_secs(784_111_777).after(Duration::from_millis(999));
        assert_eq!(format(at), "Sun, 06 Nov 1994 08:49:37 GMT");
        let last = Timestamp::default().after(Duration::MAX);
        assert_eq!(format(last), "Fri, 31 Dec 9999 23:59:59 GMT");
    }

    proptest! {
        #[test]
        fn reads_what_it_writes(secs in 0..=END_OF_9999) {
            let at = Timestamp::from_secs(secs);
            prop_assert_eq!(parse(format(at)), Some(at));
        }

        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let _ = parse(&value);
            }
        }

        #[test]
        fn never_panics_near_a_date(text in "[A-Z][a-z]{2,7},? [0-9]{1,2}[ -][A-Z][a-z]{2}[ -][0-9]{2,4} [0-9:]{1,8} GMT") {
            let _ = parse(HeaderValue::try_from(text).unwrap());
        }
    }
}
