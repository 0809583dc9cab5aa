//! `CDN-Cache-Control`: a targeted `Cache-Control` (RFC 9213), a Dictionary of Structured Fields (RFC 9651 §3.2).

use std::time::Duration;

use http::{HeaderMap, HeaderName};

use super::cache_control::{CacheControl, field_names};

pub const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");

/// The directives for caches like this one. `None`: the field is absent, empty or not a Dictionary, or a directive that
/// we know has a value of another type; then it is as if it were not there (RFC 9213 §2.1).
#[must_use]
pub fn parse(headers: &HeaderMap) -> Option<CacheControl> {
    let lines: Vec<_> = headers.get_all(CDN_CACHE_CONTROL).iter().map(|line| line.to_str().ok()).collect();
    let text = lines.into_iter().collect::<Option<Vec<_>>>()?.join(",");
    let members = Text(text.trim_matches(' ')).dictionary()?;
    let mut control = CacheControl::default();
    // Of several members of one name the last counts (RFC 9651 §3.2).
    for (at, (name, value)) in members.iter().enumerate() {
        if members[at + 1..].iter().all(|(later, _)| later != name) {
            add(&mut control, name, value)?;
        }
    }
    (!members.is_empty()).then_some(control)
}

/// What a member's value can be, as far as a directive could mean it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Flag(bool),
    Integer(i64),
    Text(String),
    Else,
}

fn add(control: &mut CacheControl, name: &str, value: &Value) -> Option<()> {
    let seconds = || match value {
        Value::Integer(secs) => Some(Some(Duration::from_secs(u64::try_from(*secs).unwrap_or(0)))),
        _ => None,
    };
    let flag = || match value {
        Value::Flag(on) => Some(*on),
        _ => None,
    };
    let mut qualified = |value: &Value| match value {
        Value::Flag(on) => Some(*on),
        Value::Text(names) => {
            let names = field_names(Some(names.as_bytes()));
            let all = names.is_none();
            control.withheld.extend(names.unwrap_or_default());
            Some(all)
        }
        _ => None,
    };
    match name {
        "no-cache" => control.no_cache = qualified(value)?,
        "private" => control.private = qualified(value)?,
        "no-store" => control.no_store = flag()?,
        "must-understand" => control.must_understand = flag()?,
        "public" => control.public = flag()?,
        "must-revalidate" => control.must_revalidate = flag()?,
        "proxy-revalidate" => control.proxy_revalidate = flag()?,
        "max-age" => control.max_age = seconds()?,
        "s-maxage" => control.s_maxage = seconds()?,
        "stale-while-revalidate" => control.stale_while_revalidate = seconds()?,
        "stale-if-error" => control.stale_if_error = seconds()?,
        _ => {} // RFC 9111 §5.2.3: unknown directives are ignored
    }
    Some(())
}

/// What is left to read.
struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    /// RFC 9651 §4.2.2
    fn dictionary(mut self) -> Option<Vec<(&'a str, Value)>> {
        let mut members = Vec::new();
        while !self.0.is_empty() {
            let name = self.key()?;
            let value = if self.eats('=') { self.member()? } else { Value::Flag(true) };
            self.parameters()?;
            members.push((name, value));
            self.0 = self.0.trim_start_matches([' ', '\t']);
            if self.0.is_empty() {
                break;
            }
            if !self.eats(',') {
                return None;
            }
            self.0 = self.0.trim_start_matches([' ', '\t']);
            if self.0.is_empty() {
                return None; // a comma with nothing behind it
            }
        }
        Some(members)
    }

    fn member(&mut self) -> Option<Value> {
        if !self.eats('(') {
            return self.bare();
        }
        loop {
            self.0 = self.0.trim_start_matches(' ');
            if self.eats(')') {
                return Some(Value::Else);
            }
            self.bare()?;
            self.parameters()?;
            if !self.0.starts_with([' ', ')']) {
                return None;
            }
        }
    }

    fn parameters(&mut self) -> Option<()> {
        while self.eats(';') {
            self.0 = self.0.trim_start_matches(' ');
            self.key()?;
            if self.eats('=') {
                self.bare()?;
            }
        }
        Some(())
    }

    fn key(&mut self) -> Option<&'a str> {
        if !self.0.starts_with(|c: char| c.is_ascii_lowercase() || c == '*') {
            return None;
        }
        Some(self.take(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-.*".contains(c)))
    }

    /// RFC 9651 §4.2.3.1
    fn bare(&mut self) -> Option<Value> {
        match self.0.chars().next()? {
            '"' => self.string().map(Value::Text),
            '?' => {
                let flag = match self.0.get(..2)? {
                    "?1" => true,
                    "?0" => false,
                    _ => return None,
                };
                self.0 = &self.0[2..];
                Some(Value::Flag(flag))
            }
            ':' => {
                self.eats(':');
                self.take(|c| c.is_ascii_alphanumeric() || "+/=".contains(c));
                self.eats(':').then_some(Value::Else)
            }
            '@' => {
                self.eats('@');
                match self.number()? {
                    Value::Integer(_) => Some(Value::Else),
                    _ => None,
                }
            }
            '-' | '0'..='9' => self.number(),
            c if c.is_ascii_alphabetic() || c == '*' => {
                self.take(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~:/".contains(c));
                Some(Value::Else)
            }
            _ => None,
        }
    }

    /// RFC 9651 §4.2.4: at most 15 digits, or 12 before a point and 3 behind it.
    fn number(&mut self) -> Option<Value> {
        let negative = self.eats('-');
        let digits = self.take(|c| c.is_ascii_digit());
        if self.eats('.') {
            let fraction = self.take(|c| c.is_ascii_digit());
            let fits = (1..=12).contains(&digits.len()) && (1..=3).contains(&fraction.len());
            return fits.then_some(Value::Else);
        }
        let number: i64 = digits.parse().ok().filter(|_| digits.len() <= 15)?;
        Some(Value::Integer(if negative { -number } else { number }))
    }

    fn string(&mut self) -> Option<String> {
        let mut content = String::new();
        let mut chars = self.0.char_indices().skip(1);
        loop {
            match chars.next()? {
                (at, '"') => {
                    self.0 = &self.0[at + 1..];
                    return Some(content);
                }
                (_, '\\') => content.push(chars.next().map(|(_, c)| c).filter(|c| "\"\\".contains(*c))?),
                (_, c) if (' '..='~').contains(&c) => content.push(c),
                _ => return None,
            }
        }
    }

    fn take(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let end = self.0.find(|c| !wanted(c)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }

    fn eats(&mut self, c: char) -> bool {
        let rest = self.0.strip_prefix(c);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn of(lines: &[&str]) -> Option<CacheControl> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(CDN_CACHE_CONTROL, HeaderValue::from_str(line).unwrap());
        }
        parse(&headers)
    }

    #[test]
    fn directives_are_members_of_a_dictionary() {
        let none = CacheControl::default;
        let age = |secs| CacheControl { max_age: Some(Duration::from_secs(secs)), ..none() };
        // RFC 9213 §2.1, RFC 9651 §3.2
        let table: &[(&[&str], Option<CacheControl>)] = &[
            (&[], None),
            (&[""], None),
            (&["max-age=60"], Some(age(60))),
            (&["max-age=60;x=1;y, foobar, more=(1 \"2\";z :YQ==:)"], Some(age(60))),
            (&["max-age=1", "max-age=60"], Some(age(60))),
            (&["max-age=999999999999999"], Some(age(999_999_999_999_999))),
            (&["max-age=-5"], Some(age(0))),
            (&["no-store"], Some(CacheControl { no_store: true, ..none() })),
            (&["no-store=?0"], Some(none())),
            (&["private, no-cache"], Some(CacheControl { private: true, no_cache: true, ..none() })),
            (
                &["no-cache=\"x-a\""],
                Some(CacheControl { withheld: vec![HeaderName::from_static("x-a")], ..none() }),
            ),
            (&["foo"], Some(none())),
            // Not a Dictionary, so nothing of it counts.
            (&["max-age=60, &&&"], None),
            (&["max-age=60,"], None),
            (&["max-age =60"], None),
            (&["max-age= 60"], None),
            (&["MaX-aGe=60"], None),
            (&["max-age=1234567890123456"], None),
            // The wrong type.
            (&["max-age=\"60\""], None),
            (&["max-age=60.5"], None),
            (&["max-age"], None),
            (&["no-store=1"], None),
        ];
        for (lines, expected) in table {
            assert_eq!(&of(lines), expected, "{lines:?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[ -~]{0,40}") {
            let _ = of(&[&text]);
        }

        #[test]
        fn never_panics_near_a_dictionary(text in "(max-age|no-cache|a)(=[0-9\"\\\\?@:().;-]{0,6})?(, ?[a-z*]{0,3}=?[\"a(:)?1;]{0,5}){0,3}") {
            let _ = of(&[&text]);
        }
    }
}
