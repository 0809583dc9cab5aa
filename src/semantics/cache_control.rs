//! `Cache-Control` of a response (RFC 9111 §5.2.2, RFC 5861).

use std::borrow::Cow;
use std::time::Duration;

use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderName};

/// What a number too large to matter becomes (RFC 9111 §1.2.2): 136 years. Sums with it do not overflow.
const LONGEST: u64 = u32::MAX as u64;

/// What the origin asks of caches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheControl {
    pub no_store: bool,
    /// The form without field names only: `no-cache="Set-Cookie"` does not count (behaviour §5.1).
    pub no_cache: bool,
    /// The form without field names only.
    pub private: bool,
    /// What `no-cache="…"` and `private="…"` name: not for later viewers (RFC 9111 §5.2.2.4, §5.2.2.7).
    pub withheld: Vec<HeaderName>,
    /// `no-store` is only for caches that do not know the status (RFC 9111 §5.2.2.3).
    pub must_understand: bool,
    /// Also what was got with a credential is everybody's (RFC 9111 §3.5).
    pub public: bool,
    pub must_revalidate: bool,
    pub proxy_revalidate: bool,
    pub no_transform: bool,
    pub max_age: Option<Duration>,
    pub s_maxage: Option<Duration>,
    pub stale_while_revalidate: Option<Duration>,
    pub stale_if_error: Option<Duration>,
}

/// Reads all `Cache-Control` fields as one list. Nothing is an error; in doubt the reading is the one that caches
/// less: a time that is no number is zero, `private=""` names no field and so counts as `private`.
///
/// Of several times for one directive the first counts (RFC 9111 §4.2.1 offers this, or treating all as stale).
#[must_use]
pub fn parse(headers: &HeaderMap) -> CacheControl {
    let mut control = CacheControl::default();
    for field in headers.get_all(CACHE_CONTROL) {
        for (name, argument) in (Directives { rest: field.as_bytes() }) {
            control.add(name, argument.as_deref());
        }
    }
    control
}

/// A non-negative number of seconds, too large ones clamped (RFC 9111 §1.2.2). `None`: something else stands there.
pub(crate) fn delta_seconds(digits: &[u8]) -> Option<Duration> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let secs = digits.iter().fold(0_u64, |n, d| n.saturating_mul(10).saturating_add(u64::from(d - b'0')));
    Some(Duration::from_secs(secs.min(LONGEST)))
}

impl CacheControl {
    fn add(&mut self, name: &[u8], argument: Option<&[u8]>) {
        match name.to_ascii_lowercase().as_slice() {
            b"no-store" => self.no_store = true,
            b"no-cache" => match field_names(argument) {
                Some(names) => self.withheld.extend(names),
                None => self.no_cache = true,
            },
            b"private" => match field_names(argument) {
                Some(names) => self.withheld.extend(names),
                None => self.private = true,
            },
            b"must-understand" => self.must_understand = true,
            b"public" => self.public = true,
            b"must-revalidate" => self.must_revalidate = true,
            b"proxy-revalidate" => self.proxy_revalidate = true,
            b"no-transform" => self.no_transform = true,
            b"max-age" => keep_first(&mut self.max_age, argument),
            b"s-maxage" => keep_first(&mut self.s_maxage, argument),
            b"stale-while-revalidate" => keep_first(&mut self.stale_while_revalidate, argument),
            b"stale-if-error" => keep_first(&mut self.stale_if_error, argument),
            _ => {} // RFC 9111 §5.2.3: unknown directives are ignored
        }
    }
}

fn keep_first(slot: &mut Option<Duration>, argument: Option<&[u8]>) {
    slot.get_or_insert_with(|| argument.and_then(delta_seconds).unwrap_or_default());
}

/// The fields that the argument limits its directive to (RFC 9111 §5.2.2.4, §5.2.2.7). `None`: it does not.
pub(super) fn field_names(argument: Option<&[u8]>) -> Option<Vec<HeaderName>> {
    let names = argument.unwrap_or_default().split(|&b| b == b',').map(<[u8]>::trim_ascii);
    let names: Result<Vec<_>, _> =
        names.filter(|name| !name.is_empty()).map(HeaderName::from_bytes).collect();
    names.ok().filter(|names| !names.is_empty())
}

/// `name [ "=" ( token / quoted-string ) ]`, separated by commas; what is left of one field.
struct Directives<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Directives<'a> {
    type Item = (&'a [u8], Option<Cow<'a, [u8]>>);

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let name = self.take_until(b"=,").trim_ascii();
            let argument = self.rest.strip_prefix(b"=").map(|after| {
                self.rest = after.trim_ascii_start();
                self.take_argument()
            });
            self.take_until(b",");
            self.rest = self.rest.get(1..).unwrap_or_default();
            if !name.is_empty() {
                return Some((name, argument));
            }
        }
        None
    }
}

impl<'a> Directives<'a> {
    fn take_argument(&mut self) -> Cow<'a, [u8]> {
        // A quote that is never closed is no quote; it must not hide the directives behind it.
        match unquote(self.rest) {
            Some((content, after)) => {
                self.rest = after;
                Cow::Owned(content)
            }
            None => Cow::Borrowed(self.take_until(b",").trim_ascii_end()),
        }
    }

    fn take_until(&mut self, stops: &[u8]) -> &'a [u8] {
        let end = self.rest.iter().position(|b| stops.contains(b)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }
}

/// The content of the quoted string that `text` begins with, and what follows it.
fn unquote(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut bytes = text.strip_prefix(b"\"")?.iter();
    let mut content = Vec::new();
    loop {
        match *bytes.next()? {
            b'"' => return Some((content, bytes.as_slice())),
            b'\\' => content.push(*bytes.next()?),
            byte => content.push(byte),
        }
    }
}

#[cfg(test)]
mod tests;
