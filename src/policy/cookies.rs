//! Which cookies are part of the key?

use http::HeaderMap;
use http::header::COOKIE;

use crate::config::Selection;

/// The cookies that `selection` takes, `name=value` each, in the order of their names (behaviour §4.2); equal names
/// stay in the viewer's order.
///
/// None at all when the header is not of the form `name=value; name=value`. Names that begin with `$` are not
/// cookies, and those that sign a request never split the cache (behaviour §4.2, §11.7).
#[must_use]
pub fn keyed<'h>(headers: &'h HeaderMap, selection: &Selection) -> Vec<&'h [u8]> {
    if selection.is_none() {
        return Vec::new();
    }
    // HTTP/2 may divide the header into several (RFC 9113 §8.2.3).
    let lines = headers.get_all(COOKIE).iter().map(http::HeaderValue::as_bytes);
    let parts = lines.flat_map(|line| line.split(|&byte| byte == b';')).map(<[u8]>::trim_ascii);
    let cookies: Option<Vec<_>> = parts.filter(|part| !part.is_empty()).map(parse).collect();
    let mut cookies = cookies.unwrap_or_default();
    cookies.retain(|cookie| !is_reserved(cookie.name) && selection.takes(cookie.name));
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

    use http::HeaderValue;

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
}
