//! What does an invalidation name (behaviour §12.14)?

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// Characters of a path that is invalidated (behaviour §12.14).
const LONGEST_PATH: usize = 4000;
/// Characters of a tag, and tags of an object (behaviour §12.14).
const LONGEST_TAG: usize = 256;
const MOST_TAGS: usize = 50;

/// What no viewer writes as it is (RFC 1738 §2.2); what is encoded already stays so.
const UNSAFE: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Which objects of a distribution are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// Path, and query if one is in the key: all variants by headers and cookies.
    Exact(String),
    /// Path and query begin so.
    Prefix(String),
    /// Lower-case: tags know no case.
    Tag(String),
}

/// Why this cannot be invalidated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("must begin with / (or with #, for a cache tag)")]
    NoSlash,
    #[error("is longer than {LONGEST_PATH} characters")]
    TooLong,
    #[error("a cache tag has 1 to {LONGEST_TAG} printable ASCII characters, and no comma")]
    Tag,
}

/// Reads a path as `create-invalidation` takes it. `*` is a wildcard as the last character only, and stands for itself
/// anywhere else.
///
/// # Errors
/// [`Invalid`]
pub fn parse(path: &str) -> Result<Pattern, Invalid> {
    if let Some(tag) = path.strip_prefix('#') {
        return if is_tag(tag) { Ok(Pattern::Tag(tag.to_ascii_lowercase())) } else { Err(Invalid::Tag) };
    }
    if path.chars().count() > LONGEST_PATH {
        return Err(Invalid::TooLong);
    }
    if !path.starts_with('/') {
        return Err(Invalid::NoSlash);
    }
    let as_sent = |path| Cow::from(utf8_percent_encode(path, UNSAFE)).into_owned();
    Ok(match path.strip_suffix('*') {
        Some(prefix) => Pattern::Prefix(as_sent(prefix)),
        None => Pattern::Exact(as_sent(path)),
    })
}

/// The tags of an answer: of this field, separated by commas. Those that are no tags are passed over, and what is more
/// than may be (behaviour §12.14).
#[must_use]
pub fn tags(headers: &HeaderMap, field: &HeaderName) -> Box<[Box<str>]> {
    let lines = headers.get_all(field).iter().filter_map(|line| line.to_str().ok());
    let tags = lines.flat_map(|line| line.split(',')).map(str::trim).filter(|tag| is_tag(tag));
    tags.take(MOST_TAGS).map(|tag| tag.to_ascii_lowercase().into_boxed_str()).collect()
}

fn is_tag(tag: &str) -> bool {
    (1..=LONGEST_TAG).contains(&tag.len()) && tag.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn what_a_path_means() {
        let exact = |path: &str| Ok(Pattern::Exact(path.into()));
        let prefix = |path: &str| Ok(Pattern::Prefix(path.into()));
        let long = format!("/{}", "x".repeat(4000));
        // behaviour §12.14
        let table = [
            ("/index.html", exact("/index.html")),
            ("/a.jpg?x=1", exact("/a.jpg?x=1")),
            ("/*", prefix("/")),
            ("/dir/*", prefix("/dir/")),
            ("/dir*", prefix("/dir")),
            ("/a*b", exact("/a*b")), // a wildcard as the last character only
            ("/a**", prefix("/a*")),
            ("/a b/ü", exact("/a%20b/%C3%BC")), // as a viewer asks for it
            ("/a%20b", exact("/a%20b")),
            ("#Product-1", Ok(Pattern::Tag("product-1".into()))),
            ("#a*", Ok(Pattern::Tag("a*".into()))), // no wildcards in tags
            ("index.html", Err(Invalid::NoSlash)),
            ("", Err(Invalid::NoSlash)),
            ("*", Err(Invalid::NoSlash)),
            (&long, Err(Invalid::TooLong)),
            ("#", Err(Invalid::Tag)),
            ("#a,b", Err(Invalid::Tag)),
            ("#a b", Err(Invalid::Tag)),
        ];
        for (path, expected) in table {
            assert_eq!(parse(path), expected, "{path}");
        }
    }

    #[test]
    fn the_tags_of_an_answer() {
        let field = HeaderName::from_static("x-amz-meta-cache-tag");
        let of = |lines: &[&'static str]| -> Vec<String> {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(field.clone(), HeaderValue::from_static(line));
            }
            tags(&headers, &field).iter().map(ToString::to_string).collect()
        };
        assert_eq!(of(&[]), Vec::<String>::new());
        assert_eq!(of(&["a, B ,c d,,e", "f"]), ["a", "b", "e", "f"]); // a tag has no space in it
        let many = vec!["x"; 60].join(",").leak();
        assert_eq!(of(&[many]).len(), 50);
    }
}
