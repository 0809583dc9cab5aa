//! CloudFront's path patterns (behaviour §1.3): `*` is any run of characters, `?` exactly one.

use crate::semantics::wildcard;

/// The longest pattern, in characters.
const LONGEST: usize = 255;

/// A path pattern. Case-sensitive; slashes are characters like any other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// ASCII, begins with `/` whether or not it was typed.
    text: Box<str>,
}

/// Why a text is no path pattern.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
pub enum InvalidPattern {
    #[error("a path pattern may not be empty")]
    Empty,
    #[error("a path pattern may not be longer than {LONGEST} characters")]
    TooLong,
    #[error("a path pattern may not contain {0:?}")]
    Character(char),
}

impl Pattern {
    /// Takes a pattern as it is typed: a leading `/` is optional (behaviour §1.3).
    ///
    /// # Errors
    /// An empty text, more than 255 characters, or one that is none of `A-Z a-z 0-9 _ - . * ? $ / ~ " ' @ : + &`.
    pub fn parse(text: &str) -> Result<Self, InvalidPattern> {
        if text.is_empty() {
            return Err(InvalidPattern::Empty);
        }
        if let Some(other) = text.chars().find(|&c| !is_allowed(c)) {
            return Err(InvalidPattern::Character(other));
        }
        if text.len() > LONGEST {
            return Err(InvalidPattern::TooLong);
        }
        let slash = if text.starts_with('/') { "" } else { "/" };
        Ok(Self { text: format!("{slash}{text}").into() })
    }

    /// Whether the whole of `path`, decoded and normalised, fits.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        wildcard::matches(&self.text, path)
    }
}

/// behaviour §1.3. In XML `&` is written `&amp;`; that is for whoever reads XML.
fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-.*?$/~\"'@:+&".contains(c)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn matches_as_documented() {
        // behaviour §1.3
        let table = [
            ("images/*.jpg", "/images/a.jpg", true),
            ("/images/*.jpg", "/images/a.jpg", true),
            ("/images/*.jpg", "/images/product1/a.jpg", true),
            ("/images/*.jpg", "/images/.jpg", true),
            ("/images/*.jpg", "/images/a.jpg2", false),
            ("/images/*.jpg", "/x/images/a.jpg", false),
            ("*product.jpg", "/product.jpg", true),
            ("*product.jpg", "/a/b/myproduct.jpg", true),
            ("/*product.jpg", "/product.jpg", true),
            ("*.jpg", "/LOGO.JPG", false),
            ("a*.jpg", "/apple.jpg", true),
            ("a*.jpg", "/abra/cadabra/magic.jpg", true),
            ("a*.jpg", "/b/a.jpg", false),
            ("a??.jpg", "/ant.jpg", true),
            ("a??.jpg", "/abe.jpg", true),
            ("a??.jpg", "/an.jpg", false),
            ("a??.jpg", "/ants.jpg", false),
            ("a??.jpg", "/a/b.jpg", true),
            ("*.doc*", "/a.doc", true),
            ("*.doc*", "/a.docx", true),
            ("*.doc?", "/a.docx", true),
            ("*.doc?", "/a.doc", false),
            ("*", "/", true),
            ("*", "/anything/at/all", true),
            ("/", "/", true),
            ("/", "/a", false),
            ("**", "/a", true),
            ("a*b*c", "/aXbXbXc", true),
            ("a*b*c", "/aXbXbXcX", false),
            ("a.b", "/axb", false), // `.` is itself
            ("a+", "/aa", false),
            ("a", "/a/", false),
        ];
        for (pattern, path, expected) in table {
            assert_eq!(Pattern::parse(pattern).unwrap().matches(path), expected, "{pattern} on {path}");
        }
    }

    #[test]
    fn a_question_mark_is_one_character_not_one_byte() {
        let table = [
            ("/?", "/é", true),
            ("/??", "/é", false),
            ("/?x", "/日x", true),
            ("/*?", "/日本", true),
            ("/*x?", "/éx😀", true),
        ];
        for (pattern, path, expected) in table {
            assert_eq!(Pattern::parse(pattern).unwrap().matches(path), expected, "{pattern} on {path}");
        }
    }

    #[test]
    fn refuses_what_is_no_pattern() {
        // behaviour §1.3
        let (longest, longer) = ("a".repeat(255), "a".repeat(256));
        let table = [
            ("", Some(InvalidPattern::Empty)),
            (longest.as_str(), None),
            (longer.as_str(), Some(InvalidPattern::TooLong)),
            ("azAZ09_-.*?$/~\"'@:+&", None),
            ("a b", Some(InvalidPattern::Character(' '))),
            ("a%20", Some(InvalidPattern::Character('%'))),
            ("a[b]", Some(InvalidPattern::Character('['))),
            ("a,b", Some(InvalidPattern::Character(','))),
            ("a\\b", Some(InvalidPattern::Character('\\'))),
            ("a#b", Some(InvalidPattern::Character('#'))),
            ("é", Some(InvalidPattern::Character('é'))),
        ];
        for (text, expected) in table {
            assert_eq!(Pattern::parse(text).err(), expected, "{text}");
        }
    }

    /// With backtracking into every star this would not end in our lifetime.
    #[test]
    fn many_stars_take_no_longer() {
        let path = format!("/{}", "a".repeat(100_000));
        let pattern = format!("{}b", "*a".repeat(100));
        assert!(!Pattern::parse(&pattern).unwrap().matches(&path));
        assert!(Pattern::parse(&"*a".repeat(100)).unwrap().matches(&path));
    }

    /// The definition itself, exponential and plain.
    fn oracle(pattern: &[char], path: &[char]) -> bool {
        match (pattern, path) {
            ([], []) => true,
            (['*', rest @ ..], _) => oracle(rest, path) || (!path.is_empty() && oracle(pattern, &path[1..])),
            (['?', rest @ ..], [_, tail @ ..]) => oracle(rest, tail),
            ([literal, rest @ ..], [first, tail @ ..]) => literal == first && oracle(rest, tail),
            _ => false,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn agrees_with_the_definition(pattern in "/[ab*?/]{0,8}", path in "/[abé/]{0,12}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            let expected = oracle(&chars(&pattern), &chars(&path));
            prop_assert_eq!(Pattern::parse(&pattern).unwrap().matches(&path), expected);
        }
    }
}
