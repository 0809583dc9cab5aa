//! `*` is any run of characters, `?` exactly one; all else stands for itself.

/// Whether the whole of `text` fits. Takes at most |pattern| × |text| steps: when a run of literals fails, only the
/// latest `*` takes one character more, since an earlier one cannot help.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let pattern = pattern.as_bytes();
    let (mut p, mut s) = (0, 0);
    // Behind the latest `*`: where the pattern goes on, and where the text would.
    let mut resume: Option<(usize, usize)> = None;
    while s < text.len() {
        // Wherever the pattern is at the start of a character, `s` is too: both are UTF-8.
        match pattern.get(p) {
            Some(b'*') => {
                p += 1;
                resume = Some((p, s));
            }
            Some(b'?') => {
                p += 1;
                s += width(text, s);
            }
            Some(&literal) if literal == text.as_bytes()[s] => {
                p += 1;
                s += 1;
            }
            _ => {
                let Some((after_star, taken)) = resume else {
                    return false;
                };
                p = after_star;
                s = taken + width(text, taken);
                resume = Some((p, s));
            }
        }
    }
    pattern[p..].iter().all(|&b| b == b'*')
}

/// Bytes of the character that begins at `at`.
fn width(text: &str, at: usize) -> usize {
    text[at..].chars().next().map_or(1, char::len_utf8)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn texts_and_patterns() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("*", "", true),
            ("?", "", false),
            ("session*", "session_id", true),
            ("session?", "session", false),
            ("*a*b", "xaybxb", true),
            ("*a*b", "xaybx", false),
            ("é?", "éü", true),
            ("*ü", "éüü", true),
            ("a.c", "abc", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} and {text}");
        }
    }
}
