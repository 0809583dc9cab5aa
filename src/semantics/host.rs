//! `Host` and `:authority`: a name in one spelling, and a port.

use std::borrow::Cow;
use std::net::Ipv6Addr;

/// RFC 3986 §3.2.2. A registered name is no longer; so looking one up has a bounded cost.
const LONGEST_NAME: usize = 255;

/// Who was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host<'a> {
    /// Lower-case, without the root's dot; an IPv6 literal keeps its brackets.
    pub name: Cow<'a, str>,
    /// `None` when it was not said, or said to be empty (`host:`).
    pub port: Option<u16>,
}

/// Why an authority names no host. Answered with 400 (RFC 9112 §3.2).
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
pub enum InvalidHost {
    #[error("the host name is empty")]
    Empty,
    #[error("the host name is longer than {LONGEST_NAME} bytes")]
    TooLong,
    #[error("the authority holds user information")]
    UserInfo,
    #[error("the host name holds a character that it may not")]
    Character,
    #[error("the address in brackets is not an IPv6 address")]
    Literal,
    #[error("the port is not a number from 0 to 65535")]
    Port,
}

/// Reads `host [ ":" port ]` (RFC 9110 §4.2.1, RFC 3986 §3.2).
///
/// # Errors
/// User information (RFC 9110 §4.2.4), an empty or over-long name, bytes that neither a registered name nor an
/// IPv6 literal may hold, a port that is none.
pub fn parse(authority: &str) -> Result<Host<'_>, InvalidHost> {
    if authority.contains('@') {
        return Err(InvalidHost::UserInfo);
    }
    let (name, port) =
        if authority.starts_with('[') { split_literal(authority)? } else { split_name(authority)? };
    Ok(Host { name: lower_case(name), port: parse_port(port)? })
}

fn split_literal(authority: &str) -> Result<(&str, Option<&str>), InvalidHost> {
    let end = authority.find(']').ok_or(InvalidHost::Literal)?;
    let (literal, rest) = authority.split_at(end + 1);
    let address = &literal[1..end];
    address.parse::<Ipv6Addr>().map_err(|_| InvalidHost::Literal)?;
    match rest.strip_prefix(':') {
        Some(port) => Ok((literal, Some(port))),
        None if rest.is_empty() => Ok((literal, None)),
        None => Err(InvalidHost::Character),
    }
}

fn split_name(authority: &str) -> Result<(&str, Option<&str>), InvalidHost> {
    let (name, port) = match authority.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (authority, None),
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() {
        return Err(InvalidHost::Empty);
    }
    if name.len() > LONGEST_NAME {
        return Err(InvalidHost::TooLong);
    }
    if is_registered_name(name) { Ok((name, port)) } else { Err(InvalidHost::Character) }
}

/// RFC 3986 §3.2.2: unreserved characters, sub-delimiters and whole escapes.
fn is_registered_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    while let Some(byte) = bytes.next() {
        let allowed = match byte {
            b'%' => (0..2).all(|_| bytes.next().is_some_and(|digit| digit.is_ascii_hexdigit())),
            _ => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte),
        };
        if !allowed {
            return false;
        }
    }
    true
}

fn parse_port(port: Option<&str>) -> Result<Option<u16>, InvalidHost> {
    match port {
        None | Some("") => Ok(None),
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse().map(Some).map_err(|_| InvalidHost::Port)
        }
        Some(_) => Err(InvalidHost::Port),
    }
}

fn lower_case(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_name_and_port() {
        // RFC 3986 §3.2.2, §3.2.3
        let table = [
            ("example.com", "example.com", None),
            ("EXAMPLE.Com", "example.com", None),
            ("example.com.", "example.com", None),
            ("example.com.:443", "example.com", Some(443)),
            ("example.com..", "example.com.", None),
            ("example.com:", "example.com", None),
            ("example.com:8443", "example.com", Some(8443)),
            ("example.com:00080", "example.com", Some(80)),
            ("example.com:65535", "example.com", Some(65535)),
            ("127.0.0.1:8080", "127.0.0.1", Some(8080)),
            ("[::1]", "[::1]", None),
            ("[::1]:443", "[::1]", Some(443)),
            ("[::1]:", "[::1]", None),
            ("[2001:DB8::A]", "[2001:db8::a]", None),
            ("[::ffff:192.0.2.1]", "[::ffff:192.0.2.1]", None),
            ("a_b~c!$&'()*+,;=-d", "a_b~c!$&'()*+,;=-d", None),
            ("%7Ehost", "%7ehost", None),
        ];
        for (authority, name, port) in table {
            assert_eq!(parse(authority), Ok(Host { name: name.into(), port }), "{authority}");
        }
    }

    #[test]
    fn refuses_what_names_no_host() {
        let long = "a".repeat(256);
        let table = [
            ("", InvalidHost::Empty),
            (".", InvalidHost::Empty),
            (":80", InvalidHost::Empty),
            (".:80", InvalidHost::Empty),
            (long.as_str(), InvalidHost::TooLong),
            ("user@example.com", InvalidHost::UserInfo),
            ("@", InvalidHost::UserInfo),
            ("example.com:80@evil.example", InvalidHost::UserInfo),
            ("exa mple.com", InvalidHost::Character),
            ("example.com/path", InvalidHost::Character),
            ("example.com?q", InvalidHost::Character),
            ("example.com#f", InvalidHost::Character),
            ("exam\\ple.com", InvalidHost::Character),
            ("bücher.example", InvalidHost::Character),
            ("a%2", InvalidHost::Character),
            ("a%zz", InvalidHost::Character),
            ("a[::1]", InvalidHost::Character),
            ("[::1]x", InvalidHost::Character),
            ("[::1", InvalidHost::Literal),
            ("[]", InvalidHost::Literal),
            ("[example.com]", InvalidHost::Literal),
            ("[127.0.0.1]", InvalidHost::Literal),
            ("[fe80::1%25eth0]", InvalidHost::Literal),
            ("example.com:65536", InvalidHost::Port),
            ("example.com:+80", InvalidHost::Port),
            ("example.com:-1", InvalidHost::Port),
            ("example.com:80:80", InvalidHost::Port),
            ("example.com:http", InvalidHost::Port),
            ("::1", InvalidHost::Empty),
        ];
        for (authority, expected) in table {
            assert_eq!(parse(authority), Err(expected), "{authority}");
        }
    }

    #[test]
    fn the_longest_name_is_accepted() {
        assert!(parse(&"a".repeat(255)).is_ok());
    }

    #[test]
    fn a_lower_case_name_is_not_copied() {
        assert!(matches!(parse("example.com:80"), Ok(Host { name: Cow::Borrowed(_), .. })));
    }

    proptest! {
        #[test]
        fn never_panics_and_is_stable(authority in "[\\[\\]a-zA-Z0-9:.%@é ]{0,20}") {
            if let Ok(host) = parse(&authority) {
                prop_assert_eq!(host.name.to_ascii_lowercase(), host.name.as_ref());
                if !host.name.ends_with('.') {
                    let again = parse(&host.name).unwrap();
                    prop_assert_eq!(&again.name, &host.name);
                }
            }
        }
    }
}
