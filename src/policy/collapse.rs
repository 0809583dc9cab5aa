//! May viewers who want the same key share one fetch?

use crate::config::Behavior;

/// Not where any policy takes cookies (behaviour §5.7): the answer may then be about one viewer, and is only known to
/// be everybody's when it is stored.
#[must_use]
pub fn may_share(behavior: &Behavior) -> bool {
    let request = behavior.origin_request_policy.as_ref();
    behavior.cache_policy.cookies.is_none() && request.is_none_or(|policy| policy.cookies.is_none())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::{Asks, CachePolicy, OriginRequestPolicy, Selection, ViewerProtocolPolicy};

    /// behaviour §5.7
    #[test]
    fn cookies_end_sharing() {
        let some = || Selection::Whitelist(vec![Arc::from("a")]);
        for (cache, request, expected) in [
            (Selection::None, None, true),
            (Selection::None, Some(Selection::None), true),
            (some(), None, false),
            (Selection::All, Some(Selection::None), false),
            (Selection::None, Some(some()), false),
        ] {
            let behavior = Behavior {
                encoding: crate::config::Encoding::default(),
                path_pattern: "*".into(),
                origin: 0,
                viewer_protocol_policy: ViewerProtocolPolicy::AllowAll,
                allow_writes: false,
                asks: Asks::default(),
                allow_options: false,
                cache_options: false,
                cache_policy: Arc::new(CachePolicy { cookies: cache, ..CachePolicy::default() }),
                response_headers_policy: None,
                failover: None,
                origin_request_policy: request.map(|cookies| {
                    Arc::new(OriginRequestPolicy { cookies, ..OriginRequestPolicy::default() })
                }),
            };
            assert_eq!(may_share(&behavior), expected, "{behavior:?}");
        }
    }
}
