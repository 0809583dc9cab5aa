//! How does `Cache-Status` tell what became of a request (RFC 9211)?

use std::fmt::Write as _;

use http::HeaderValue;

use super::admission::NotStored;

/// What became of a request, as far as the cache had a part in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Story {
    pub how: How,
    /// Seconds that the answer is fresh yet; negative: since when it is not.
    pub ttl: Option<i64>,
    pub detail: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    Hit,
    Forwarded {
        why: Forward,
        /// The origin's, where it is not the answer's own.
        status: Option<u16>,
        /// The answer is kept.
        stored: bool,
        /// Another viewer's fetch.
        collapsed: bool,
    },
}

/// RFC 9211 §2.2
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forward {
    /// The behaviour does not cache.
    Bypass,
    /// It does not cache this method.
    Method,
    UriMiss,
    VaryMiss,
    Stale,
    /// It is known not to be kept.
    Miss,
}

impl Story {
    /// It was in the cache; `ttl` may be negative.
    #[must_use]
    pub fn hit(ttl: i64) -> Self {
        Self { how: How::Hit, ttl: Some(ttl), detail: None }
    }

    /// A refusal that was remembered (behaviour §8.1).
    #[must_use]
    pub fn remembered() -> Self {
        Self { how: How::Hit, ttl: None, detail: Some("error") }
    }

    #[must_use]
    pub fn forwarded(why: Forward) -> Self {
        let how = How::Forwarded { why, status: None, stored: false, collapsed: false };
        Self { how, ttl: None, detail: None }
    }

    /// The cache was passed by.
    #[must_use]
    pub fn passed(why: NotStored) -> Self {
        let forward = match why {
            NotStored::CachingDisabled => Forward::Bypass,
            NotStored::Method => Forward::Method,
            _ => Forward::Miss,
        };
        Self { detail: Some(why.as_str()), ..Self::forwarded(forward) }
    }

    #[must_use]
    pub fn with_status(mut self, answered: u16) -> Self {
        if let How::Forwarded { status, .. } = &mut self.how {
            *status = Some(answered);
        }
        self
    }

    #[must_use]
    pub fn stored(mut self) -> Self {
        if let How::Forwarded { stored, .. } = &mut self.how {
            *stored = true;
        }
        self
    }

    #[must_use]
    pub fn collapsed(mut self, joined: bool) -> Self {
        if let How::Forwarded { collapsed, .. } = &mut self.how {
            *collapsed = joined;
        }
        self
    }

    #[must_use]
    pub fn with_ttl(self, ttl: i64) -> Self {
        Self { ttl: Some(ttl), ..self }
    }

    #[must_use]
    pub fn because(self, detail: &'static str) -> Self {
        Self { detail: Some(detail), ..self }
    }
}

/// The member of the list that this cache adds behind those of caches nearer to the origin (RFC 9211 §2).
#[must_use]
pub fn member(cache: &str, story: &Story) -> Option<HeaderValue> {
    let is_token = cache.starts_with(|c: char| c.is_ascii_alphabetic());
    let mut text = if is_token { cache.to_owned() } else { format!("\"{cache}\"") };
    match story.how {
        How::Hit => text.push_str("; hit"),
        How::Forwarded { why, status, stored, collapsed } => {
            let why = match why {
                Forward::Bypass => "bypass",
                Forward::Method => "method",
                Forward::UriMiss => "uri-miss",
                Forward::VaryMiss => "vary-miss",
                Forward::Stale => "stale",
                Forward::Miss => "miss",
            };
            let _ = write!(text, "; fwd={why}");
            if let Some(status) = status {
                let _ = write!(text, "; fwd-status={status}");
            }
            for (holds, name) in [(stored, "; stored"), (collapsed, "; collapsed")] {
                text.push_str(if holds { name } else { "" });
            }
        }
    }
    if let Some(ttl) = story.ttl {
        let _ = write!(text, "; ttl={ttl}");
    }
    if let Some(detail) = story.detail {
        let _ = write!(text, "; detail={detail}");
    }
    HeaderValue::try_from(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_member_says_it_all() {
        let miss = Story::forwarded(Forward::UriMiss);
        // RFC 9211 §2, §4
        let table = [
            (Story::hit(376), "edgeseal; hit; ttl=376"),
            (Story::hit(-5).because("revalidating"), "edgeseal; hit; ttl=-5; detail=revalidating"),
            (Story::remembered(), "edgeseal; hit; detail=error"),
            (
                miss.with_status(200).stored().with_ttl(60),
                "edgeseal; fwd=uri-miss; fwd-status=200; stored; ttl=60",
            ),
            (miss.collapsed(true), "edgeseal; fwd=uri-miss; collapsed"),
            (miss.collapsed(false), "edgeseal; fwd=uri-miss"),
            (Story::forwarded(Forward::VaryMiss), "edgeseal; fwd=vary-miss"),
            (Story::forwarded(Forward::Stale).with_status(304), "edgeseal; fwd=stale; fwd-status=304"),
            (Story::passed(NotStored::CachingDisabled), "edgeseal; fwd=bypass; detail=caching-disabled"),
            (Story::passed(NotStored::Method), "edgeseal; fwd=method; detail=method"),
            (Story::passed(NotStored::TooLarge), "edgeseal; fwd=miss; detail=too-large"),
        ];
        for (story, expected) in table {
            assert_eq!(member("edgeseal", &story).unwrap(), expected);
        }
        assert_eq!(member("1.edge", &Story::hit(1)).unwrap(), "\"1.edge\"; hit; ttl=1"); // RFC 9651 §3.3.4
    }
}
