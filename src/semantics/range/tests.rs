use proptest::prelude::*;

use super::*;

const PAST_U64: &str = "99999999999999999999999";

#[test]
fn reads_one_range_and_ignores_the_rest() {
    // behaviour §6, s3 §2.5
    let table = [
        ("bytes=0-8", Some(Spec::FromTo(0, 8))),
        ("bytes=1-1", Some(Spec::FromTo(1, 1))),
        ("bytes=1-", Some(Spec::From(1))),
        ("bytes=-2", Some(Spec::Suffix(2))),
        ("bytes=-0", Some(Spec::Suffix(0))),
        ("bytes=007-010", Some(Spec::FromTo(7, 10))),
        ("BYTES=0-0", Some(Spec::FromTo(0, 0))),
        ("bytes=1-0", None),
        ("bytes=-", None),
        ("bytes=", None),
        ("bytes", None),
        ("", None),
        ("0-1", None),
        ("items=0-1", None),
        ("bytes 0-1", None),
        ("bytes =0-1", None),
        ("bytes= 0-1", None),
        ("bytes=0 - 1", None),
        ("bytes=-1-", None),
        ("bytes=0--1", None),
        ("bytes=--1", None),
        ("bytes=0-1-2", None),
        ("bytes=+0-1", None),
        ("bytes=0-+1", None),
        ("bytes=0x0-1", None),
        ("bytes=a-b", None),
        ("bytes=0-1,3-4,7-9", None),
        ("bytes=0-1,", None),
        ("bytes=,0-1", None),
    ];
    for (text, expected) in table {
        assert_eq!(parse(HeaderValue::from_static(text)), expected, "{text}");
    }
    assert_eq!(parse(HeaderValue::from_bytes(b"bytes=0-\xff").unwrap()), None);
}

#[test]
fn clamps_numbers_past_64_bits() {
    let table = [
        (format!("bytes=0-{PAST_U64}"), Spec::FromTo(0, u64::MAX), Selection::Part { first: 0, last: 9 }),
        (format!("bytes={PAST_U64}-"), Spec::From(u64::MAX), Selection::Unsatisfiable),
        (format!("bytes={PAST_U64}-{PAST_U64}"), Spec::FromTo(u64::MAX, u64::MAX), Selection::Unsatisfiable),
        (format!("bytes=-{PAST_U64}"), Spec::Suffix(u64::MAX), Selection::Part { first: 0, last: 9 }),
    ];
    for (text, spec, selection) in table {
        assert_eq!(parse(HeaderValue::try_from(&text).unwrap()), Some(spec), "{text}");
        assert_eq!(spec.select(10), selection, "{text}");
    }
}

#[test]
fn selects_as_s3_does() {
    // s3 §2.5, an object of 10 bytes
    let part = |first, last| Selection::Part { first, last };
    let table = [
        (Spec::FromTo(0, 8), 10, part(0, 8)),
        (Spec::FromTo(1, 1), 10, part(1, 1)),
        (Spec::FromTo(0, 0), 10, part(0, 0)),
        (Spec::From(1), 10, part(1, 9)),
        (Spec::From(0), 10, part(0, 9)),
        (Spec::From(9), 10, part(9, 9)),
        (Spec::From(10), 10, Selection::Unsatisfiable),
        (Spec::FromTo(0, 100), 10, part(0, 9)),
        (Spec::FromTo(9, 10), 10, part(9, 9)),
        (Spec::FromTo(10, 10), 10, Selection::Unsatisfiable),
        (Spec::FromTo(100, 200), 10, Selection::Unsatisfiable),
        (Spec::Suffix(2), 10, part(8, 9)),
        (Spec::Suffix(9), 10, part(1, 9)),
        (Spec::Suffix(10), 10, part(0, 9)),
        (Spec::Suffix(15), 10, part(0, 9)),
        (Spec::Suffix(0), 10, Selection::Unsatisfiable),
        (Spec::From(0), 0, Selection::Unsatisfiable),
        (Spec::FromTo(0, 0), 0, Selection::Unsatisfiable),
        (Spec::Suffix(1), 0, Selection::Unsatisfiable),
        (Spec::FromTo(5, 4), 10, Selection::Unsatisfiable), // never made by `parse`
    ];
    for (spec, length, expected) in table {
        assert_eq!(spec.select(length), expected, "{spec:?} of {length}");
    }
}

#[test]
fn writes_content_range() {
    assert_eq!(content_range(0, 9, 10), "bytes 0-9/10");
    assert_eq!(content_range(0, u64::MAX - 1, u64::MAX), "bytes 0-18446744073709551614/18446744073709551615");
    assert_eq!(unsatisfied(10), "bytes */10");
}

#[test]
fn reads_content_range_strictly() {
    // RFC 9110 §14.4
    let table = [
        ("bytes 0-9/10", Some((0, 9, Some(10)))),
        ("bytes 3-3/10", Some((3, 3, Some(10)))),
        ("Bytes 3-4/*", Some((3, 4, None))),
        ("bytes 0-10/10", None),
        ("bytes 4-3/10", None),
        ("bytes 4-3/*", None),
        ("bytes */10", None),
        ("bytes 0-9", None),
        ("bytes=0-9/10", None),
        ("bytes  0-9/10", None),
        ("bytes 0-9/10 ", None),
        ("bytes 0-+9/10", None),
        ("bytes 0-9/99999999999999999999999", None),
        ("bytes -9/10", None),
        ("bytes 0-/10", None),
        ("items 0-9/10", None),
        ("", None),
    ];
    for (text, expected) in table {
        assert_eq!(parse_content_range(&HeaderValue::from_static(text)), expected, "{text}");
    }
}

proptest! {
    #[test]
    fn a_part_lies_within_the_body(a in any::<u64>(), b in any::<u64>(), length in any::<u64>()) {
        for spec in [Spec::From(a), Spec::FromTo(a.min(b), a.max(b)), Spec::Suffix(a)] {
            if let Selection::Part { first, last } = spec.select(length) {
                prop_assert!(first <= last && last < length, "{spec:?} of {length}");
                let value = content_range(first, last, length);
                prop_assert_eq!(parse_content_range(&value), Some((first, last, Some(length))));
            }
        }
    }

    #[test]
    fn never_panics(text in "(bytes)?[=0-9, */-]{0,30}") {
        let value = HeaderValue::try_from(text).unwrap();
        let _ = (parse(&value), parse_content_range(&value));
    }
}

#[test]
fn reads_several_ranges_in_order_and_apart() {
    // behaviour §6
    type Parts = &'static [(u64, u64)];
    let table: &[(&str, Option<Parts>)] = &[
        ("bytes=100-200,300-400", Some(&[(100, 200), (300, 400)])),
        ("bytes=0-0, 2-2,\t-10", Some(&[(0, 0), (2, 2), (990, 999)])),
        ("bytes=0-9,990-", Some(&[(0, 9), (990, 999)])),
        ("bytes=0-9,5000-", Some(&[(0, 9)])), // RFC 9110 §15.5.17: one of them is enough
        ("bytes=5000-,6000-", None),
        ("bytes=300-400,100-200", None),
        ("bytes=100-200,150-250", None),
        ("bytes=100-200,200-250", None),
        ("bytes=0-9,x", None),
        ("bytes=0-9,", None),
        ("bytes=0-9,9-1", None),
        ("lines=0-1,3-4", None),
        ("bytes=0-9", None), // one
        (
            "bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,26-26,28-28,30-30,32-32",
            None,
        ),
    ];
    for (value, expected) in table {
        let found = parse_several(HeaderValue::from_static(value), 1000);
        assert_eq!(found.as_deref(), *expected, "{value}");
    }
}
