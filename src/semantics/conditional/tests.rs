use http::HeaderMap;
use proptest::prelude::*;

use super::Verdict::{NotModified, PreconditionFailed, Proceed};
use super::*;

const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

const OBJECT: Validators<'_> =
    Validators { etag: Some("\"abc\""), last_modified: Some(Timestamp::from_secs(784_111_777)), date: None };
const WEAK: Validators<'_> = Validators { etag: Some("W/\"abc\""), ..OBJECT };
const BARE: Validators<'_> = Validators { etag: None, last_modified: None, date: None };

type Fields<'a> = &'a [(&'static str, &'a str)];

fn request(fields: Fields<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

#[track_caller]
fn check(object: Validators<'_>, table: &[(Fields<'_>, Verdict)]) {
    for (fields, expected) in table {
        assert_eq!(evaluate(&request(fields), object), *expected, "{fields:?} on {object:?}");
    }
}

#[test]
fn if_match_compares_strongly() {
    // RFC 9110 §13.1.1, s3 §2.4
    check(
        OBJECT,
        &[
            (&[], Proceed),
            (&[("if-match", "\"abc\"")], Proceed),
            (&[("if-match", "abc")], Proceed),
            (&[("if-match", "*")], Proceed),
            (&[("if-match", " * ")], Proceed),
            (&[("if-match", "\"x\", \"abc\"")], Proceed),
            (&[("if-match", "\"x\",,abc , \"y\"")], Proceed),
            (&[("if-match", "\"x\""), ("if-match", "\"abc\"")], Proceed),
            (&[("if-match", "\"x\"")], PreconditionFailed),
            (&[("if-match", "\"ABC\"")], PreconditionFailed),
            (&[("if-match", "\"abcd\"")], PreconditionFailed),
            (&[("if-match", "\"x,abc\"")], PreconditionFailed),
            (&[("if-match", "\"x\"abc")], PreconditionFailed),
            (&[("if-match", "W/\"abc\"")], PreconditionFailed),
            (&[("if-match", "\"abc")], PreconditionFailed),
            (&[("if-match", "")], PreconditionFailed),
        ],
    );
    check(WEAK, &[(&[("if-match", "W/\"abc\"")], PreconditionFailed), (&[("if-match", "*")], Proceed)]);
    check(BARE, &[(&[("if-match", "\"abc\"")], PreconditionFailed), (&[("if-match", "*")], Proceed)]);
}

#[test]
fn if_none_match_compares_weakly() {
    // RFC 9110 §13.1.2, s3 §2.4
    check(
        OBJECT,
        &[
            (&[("if-none-match", "\"abc\"")], NotModified),
            (&[("if-none-match", "W/\"abc\"")], NotModified),
            (&[("if-none-match", "abc")], NotModified),
            (&[("if-none-match", "*")], NotModified),
            (&[("if-none-match", "\"x\", W/\"y\",\t\"abc\"")], NotModified),
            (&[("if-none-match", "\"x\""), ("if-none-match", "\"abc\"")], NotModified),
            (&[("if-none-match", "\"x\"")], Proceed),
            (&[("if-none-match", "w/\"abc\"")], Proceed),
            (&[("if-none-match", "\"x,abc\"")], Proceed),
            (&[("if-none-match", "")], Proceed),
        ],
    );
    check(WEAK, &[(&[("if-none-match", "\"abc\"")], NotModified)]);
    check(BARE, &[(&[("if-none-match", "\"abc\"")], Proceed), (&[("if-none-match", "*")], NotModified)]);
}

#[test]
fn a_comma_belongs_to_the_tag_within_quotes() {
    let object = Validators { etag: Some("\"a,b\""), ..OBJECT };
    check(
        object,
        &[(&[("if-none-match", "\"x\", \"a,b\"")], NotModified), (&[("if-none-match", "a,b")], Proceed)],
    );
}

#[test]
fn dates_compare_in_whole_seconds() {
    // RFC 9110 §13.1.3, §13.1.4
    check(
        OBJECT,
        &[
            (&[("if-modified-since", BEFORE)], Proceed),
            (&[("if-modified-since", MODIFIED)], NotModified),
            (&[("if-modified-since", AFTER)], NotModified),
            (&[("if-modified-since", "Sunday, 06-Nov-94 08:49:37 GMT")], NotModified),
            (&[("if-modified-since", "yesterday")], Proceed),
            (&[("if-modified-since", AFTER), ("if-modified-since", AFTER)], Proceed),
            (&[("if-unmodified-since", BEFORE)], PreconditionFailed),
            (&[("if-unmodified-since", MODIFIED)], Proceed),
            (&[("if-unmodified-since", AFTER)], Proceed),
            (&[("if-unmodified-since", "yesterday")], Proceed),
        ],
    );
    check(BARE, &[(&[("if-modified-since", AFTER)], Proceed), (&[("if-unmodified-since", BEFORE)], Proceed)]);
    let within = OBJECT.last_modified.map(|at| at.after(std::time::Duration::from_millis(500)));
    let object = Validators { last_modified: within, ..OBJECT };
    check(
        object,
        &[(&[("if-modified-since", MODIFIED)], NotModified), (&[("if-unmodified-since", MODIFIED)], Proceed)],
    );
}

#[test]
fn precedence() {
    // RFC 9110 §13.2.2, s3 §2.4
    check(
        OBJECT,
        &[
            (&[("if-match", "\"abc\""), ("if-unmodified-since", BEFORE)], Proceed),
            (&[("if-match", "\"x\""), ("if-unmodified-since", AFTER)], PreconditionFailed),
            (&[("if-none-match", "\"abc\""), ("if-modified-since", BEFORE)], NotModified),
            (&[("if-none-match", "\"x\""), ("if-modified-since", AFTER)], Proceed),
            (&[("if-match", "\"x\""), ("if-none-match", "\"abc\"")], PreconditionFailed),
            (&[("if-match", "\"abc\""), ("if-none-match", "\"abc\"")], NotModified),
            (&[("if-match", "\"abc\""), ("if-modified-since", AFTER)], NotModified),
            (&[("if-unmodified-since", BEFORE), ("if-none-match", "\"abc\"")], PreconditionFailed),
            (&[("if-unmodified-since", AFTER), ("if-modified-since", AFTER)], NotModified),
        ],
    );
}

#[test]
fn if_range_names_this_very_version() {
    // RFC 9110 §13.1.5
    let table: &[(Fields<'_>, Validators<'_>, bool)] = &[
        (&[], OBJECT, true),
        (&[], BARE, true),
        (&[("if-range", "\"abc\"")], OBJECT, true),
        (&[("if-range", "abc")], OBJECT, true),
        (&[("if-range", "\"x\"")], OBJECT, false),
        (&[("if-range", "W/\"abc\"")], OBJECT, false),
        (&[("if-range", "W/\"abc\"")], WEAK, false),
        (&[("if-range", "\"abc\"")], WEAK, false),
        (&[("if-range", "\"abc\"")], BARE, false),
        (&[("if-range", "*")], OBJECT, false),
        (&[("if-range", "\"abc\", \"x\"")], OBJECT, false),
        (&[("if-range", "\"abc\""), ("if-range", "\"abc\"")], OBJECT, false),
        (&[("if-range", "")], OBJECT, false),
        (&[("if-range", BEFORE)], OBJECT, false),
        (&[("if-range", MODIFIED)], OBJECT, true),
        (&[("if-range", AFTER)], OBJECT, false),
        (&[("if-range", MODIFIED)], BARE, false),
    ];
    for (fields, object, expected) in table {
        assert_eq!(range_applies(&request(fields), *object), *expected, "{fields:?} on {object:?}");
    }
}

proptest! {
    #[test]
    fn never_panics(value in proptest::collection::vec(any::<u8>(), 0..32), etag in any::<String>()) {
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            let object = Validators { etag: Some(&etag), ..OBJECT };
            for name in [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE] {
                let headers = HeaderMap::from_iter([(name, value.clone())]);
                let _ = (evaluate(&headers, object), range_applies(&headers, object));
            }
        }
    }

    #[test]
    fn a_quoted_tag_is_found_in_any_list(before in "(\"[a-z,]{0,3}\" ?,[, ]{0,2}){0,4}") {
        let headers = request(&[("if-none-match", &format!("{before}\"abc\""))]);
        prop_assert_eq!(evaluate(&headers, OBJECT), NotModified);
    }
}

/// RFC 9111 §4.3.2
#[test]
fn without_last_modified_the_date_stands_in_for_if_modified_since_alone() {
    let sent = Validators { date: Some(Timestamp::from_secs(784_111_777)), ..BARE };
    let of = |name: &'static str, value: &'static str| {
        let mut request = HeaderMap::new();
        request.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        evaluate(&request, sent)
    };
    assert_eq!(of("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT"), Verdict::NotModified);
    assert_eq!(of("if-modified-since", "Sun, 06 Nov 1994 08:49:36 GMT"), Verdict::Proceed);
    assert_eq!(of("if-unmodified-since", "Sun, 06 Nov 1994 08:49:36 GMT"), Verdict::Proceed);
}
