//! What an answer says about the cache that it comes from (behaviour §8.5).

use http::HeaderMap;
use serde::Serialize;

/// The first word of `X-Cache`. Other CDNs say it in their own way; the words are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum ResultType {
    Hit,
    RefreshHit,
    Miss,
    Error,
    Redirect,
    /// A function's answer, a limit, or something that only another CDN says.
    Other,
    /// There is no `X-Cache`.
    Unsaid,
}

impl ResultType {
    pub const ALL: [Self; 7] =
        [Self::Hit, Self::RefreshHit, Self::Miss, Self::Error, Self::Redirect, Self::Other, Self::Unsaid];

    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let said = headers.get_all("x-cache").iter().next_back().and_then(|value| value.to_str().ok());
        // Of a list the last is the nearest.
        let Some(said) = said.and_then(|said| said.rsplit(',').next()) else { return Self::Unsaid };
        let word = said.trim().split(' ').next().unwrap_or_default().to_ascii_lowercase();
        match word.strip_prefix("tcp_").unwrap_or(&word) {
            "" => Self::Unsaid,
            "hit" | "mem_hit" => Self::Hit,
            "refreshhit" | "refresh_hit" | "revalidated" => Self::RefreshHit,
            "miss" => Self::Miss,
            "error" => Self::Error,
            "redirect" => Self::Redirect,
            _ => Self::Other,
        }
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "Hit",
            Self::RefreshHit => "RefreshHit",
            Self::Miss => "Miss",
            Self::Error => "Error",
            Self::Redirect => "Redirect",
            Self::Other => "other",
            Self::Unsaid => "(no X-Cache)",
        }
    }

    /// It came out of the cache.
    #[must_use]
    pub fn is_hit(self) -> bool {
        matches!(self, Self::Hit | Self::RefreshHit)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_nearest_cache_counts() {
        let table = [
            (Some("Hit from cloudfront"), ResultType::Hit),
            (Some("RefreshHit from edgeseal"), ResultType::RefreshHit),
            (Some("Miss from cloudfront"), ResultType::Miss),
            (Some("Error from cloudfront"), ResultType::Error),
            (Some("Redirect from cloudfront"), ResultType::Redirect),
            (Some("FunctionGeneratedResponse from cloudfront"), ResultType::Other),
            (Some("MISS, HIT"), ResultType::Hit),
            (Some("HIT"), ResultType::Hit),
            (Some("TCP_MISS from a.example"), ResultType::Miss),
            (Some(""), ResultType::Unsaid),
            (None, ResultType::Unsaid),
        ];
        for (value, expected) in table {
            let headers: HeaderMap = value
                .map(|value| (http::HeaderName::from_static("x-cache"), HeaderValue::from_static(value)))
                .into_iter()
                .collect();
            assert_eq!(ResultType::of(&headers), expected, "{value:?}");
        }
    }
}
