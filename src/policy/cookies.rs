//! Which cookies are part of the key, and which go to a custom origin?

use http::HeaderValue;
use http::header::COOKIE;

use super::forward;
use crate::config::Selection;
use crate::semantics::fields::Fields;

/// The cookies that `selection` takes, `name=value` each, in the order of their names (behaviour §4.2); equal names
/// stay in the viewer's order.
///
/// None at all when the header is not of the form `name=value; name=value`. Names that begin with `$` are not
/// cookies, and those that sign a request never split the cache (behaviour §4.2, §11.7).
#[must_use]
pub fn keyed<'h>(headers: &'h impl Fields, selection: &Selection) -> Vec<&'h [u8]> {
    if selection.is_none() { Vec::new() } else { chosen(headers, |name| selection.takes(name)) }
}

/// The `Cookie` that goes to an origin by both policies (behaviour §4.4); `None`: none of them is left.
#[must_use]
pub fn forwarded(headers: &impl Fields, cache: &Selection, request: &Selection) -> Option<HeaderValue> {
    if cache.is_none() && request.is_none() {
        return None;
    }
    let chosen = chosen(headers, |name| forward::takes(cache, request, name));
    let mut value =
        HeaderValue::from_bytes(&chosen.join(&b"; "[..])).ok().filter(|value| !value.is_empty())?;
    value.set_sensitive(true);
    Some(value)
}

fn chosen(headers: &impl Fields, takes: impl Fn(&str) -> bool) -> Vec<&[u8]> {
    // HTTP/2 may divide the header into several (RFC 9113 §8.2.3).
    let parts =
        headers.all(&COOKIE).flat_map(|line| line.split(|&byte| byte == b';')).map(<[u8]>::trim_ascii);
    let cookies: Option<Vec<_>> = parts.filter(|part| !part.is_empty()).map(parse).collect();
    let mut cookies = cookies.unwrap_or_default();
    cookies.retain(|cookie| !is_reserved(cookie.name) && takes(cookie.name));
    cookies.sort_by_key(|cookie| cookie.name);
    cookies.into_iter().map(|cookie| cookie.whole).collect()
}

struct Cookie<'h> {
    name: &'h str,
    whole: &'h [u8],
}

fn parse(whole: &[u8]) -> Option<Cookie<'_>> {
    let end = whole.iter().position(|&byte| byte == b'=')?;
    let name = std::str::from_utf8(whole.get(..end)?).ok()?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
    is_name.then_some(Cookie { name, whole })
}

fn is_reserved(name: &str) -> bool {
    const SIGNING: [&str; 5] = [
        "CloudFront-Expires",
        "CloudFront-Hash-Algorithm",
        "CloudFront-Key-Pair-Id",
        "CloudFront-Policy",
        "CloudFront-Signature",
    ];
    name.starts_with('$') || SIGNING.contains(&name)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::HeaderMap;

    use super::*;

    fn list(names: &[&str]) -> Vec<Arc<str>> {
        names.iter().copied().map(Arc::from).collect()
    }

    /// behaviour §4.2
    #[test]
    fn which_cookies_are_keyed_on() {
        let (b, not_b) = (Selection::Whitelist(list(&["b"])), Selection::AllExcept(list(&["b"])));
        let matching = Selection::Matching(list(&["s-?", "l*"]));
        let table: [(&[&str], &Selection, &[&str]); 16] = [
            (&["s-1=a; s-12=b; lang=c; S-1=d"], &matching, &["lang=c", "s-1=a"]), // behaviour §1.6
            (&["a=1; b=2"], &Selection::None, &[]),
            (&["b=2; a=1"], &Selection::All, &["a=1", "b=2"]), // sorted by name
            (&["a=1; b=2"], &b, &["b=2"]),
            (&["a=1; b=2"], &not_b, &["a=1"]),
            (&["B=2"], &b, &[]), // case-sensitive
            (&["b=2; b=1"], &b, &["b=2", "b=1"]),
            (&["b=1", "a=2"], &Selection::All, &["a=2", "b=1"]),
            (&["b"], &b, &[]),
            (&["b=1; junk"], &b, &[]), // not well-formed, so none of it
            (&["=1; b=2"], &b, &[]),
            (&["b="], &b, &["b="]),
            (&["b=x=y"], &b, &["b=x=y"]),
            (&["b=1;a=2;"], &Selection::All, &["a=2", "b=1"]),
            (&["$Version=1; a=1"], &Selection::All, &["a=1"]),
            (&["CloudFront-Policy=p; a=1"], &Selection::All, &["a=1"]), // behaviour §11.7
        ];
        for (lines, selection, expected) in table {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(COOKIE, HeaderValue::from_str(line).unwrap());
            }
            let expected: Vec<_> = expected.iter().map(|cookie| cookie.as_bytes()).collect();
            assert_eq!(keyed(&headers, selection), expected, "{lines:?} by {selection:?}");
        }
    }

    /// behaviour §4.4
    #[test]
    fn which_cookies_a_custom_origin_gets() {
        let b = || Selection::Whitelist(list(&["b"]));
        let not_b = || Selection::AllExcept(list(&["b"]));
        for (cache, request, expected) in [
            (Selection::None, Selection::None, None),
            (b(), Selection::None, Some("b=2")),
            (Selection::None, Selection::All, Some("a=1; b=2; c=3")), // sorted
            (Selection::Whitelist(list(&["c"])), b(), Some("b=2; c=3")),
            (not_b(), b(), Some("a=1; b=2; c=3")),
            (Selection::Whitelist(list(&["x"])), Selection::None, None),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(COOKIE, HeaderValue::from_static("c=3; b=2; a=1; $x=1"));
            let found = forwarded(&headers, &cache, &request);
            assert_eq!(
                found.as_ref().map(|value| value.to_str().unwrap()),
                expected,
                "{cache:?} {request:?}"
            );
        }
    }
}
