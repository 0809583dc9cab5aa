//! Does this failure send the request to the next origin?

use http::Method;

use crate::config::Behavior;
use crate::origin::error::OriginError;

/// The origin to ask after `failure` of the behaviour's first one, as an index into the distribution's origins. `None`:
/// the failure is the answer (behaviour §8.8).
#[must_use]
pub fn next(behavior: &Behavior, method: &Method, failure: &OriginError) -> Option<usize> {
    let failover = behavior.failover.as_ref()?;
    let covers = match *method {
        Method::GET | Method::HEAD => true,
        Method::OPTIONS => behavior.cache_options,
        _ => false,
    };
    let counts = |status: u16| failover.status_codes.contains(&status);
    let counts_as_told = || counts(failure.status().as_u16());
    let moves_on = match failure {
        // What the origin said; or what it comes to, where S3 says it in a way of its own.
        OriginError::Refused { status, .. } => counts(*status) || counts_as_told(),
        OriginError::Dns | OriginError::ConnectRefused | OriginError::Tls => counts(503),
        // It is both: no connection, and not in time.
        OriginError::ConnectTimeout => counts(503) || counts(504),
        OriginError::ReadTimeout => counts(504),
        // No answer that could be used, or not even a question: the viewer would be told 502.
        OriginError::ConnectionLost
        | OriginError::InvalidResponse(_)
        | OriginError::HeadTooLarge
        | OriginError::WrongRange
        | OriginError::NoCredentials
        | OriginError::Unsignable => counts_as_told(),
        // The answer had begun, or nobody was asked.
        OriginError::BodyCutShort | OriginError::BodyStalled | OriginError::Abandoned => false,
        // The viewer's fault.
        OriginError::UploadBroken | OriginError::UploadTooLarge => false,
    };
    (covers && moves_on).then_some(failover.origin)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::config::{Asks, CachePolicy, Failover, ViewerProtocolPolicy};
    use crate::origin::s3_error::Cause;

    fn behavior(status_codes: &[u16], cache_options: bool) -> Behavior {
        Behavior {
            encoding: crate::config::Encoding::default(),
            path_pattern: "*".into(),
            origin: 0,
            viewer_protocol_policy: ViewerProtocolPolicy::AllowAll,
            allow_writes: false,
            asks: Asks::default(),
            allow_options: true,
            cache_options,
            cache_policy: Arc::new(CachePolicy {
                name: "test".into(),
                min_ttl: Duration::ZERO,
                default_ttl: Duration::ZERO,
                max_ttl: Duration::ZERO,
                ..CachePolicy::default()
            }),
            response_headers_policy: None,
            origin_request_policy: None,
            failover: Some(Failover { origin: 1, status_codes: status_codes.into() }),
        }
    }

    fn refused(status: u16, cause: Cause) -> OriginError {
        OriginError::Refused { status, cause, code: None, fields: Arc::default(), answer: None }
    }

    #[test]
    fn the_configured_failures_move_on() {
        use OriginError::*;
        // behaviour §8.8
        let table: &[(OriginError, &[u16], bool)] = &[
            (refused(500, Cause::Other), &[500], true),
            (refused(500, Cause::Other), &[502, 503, 504], false),
            (refused(404, Cause::Other), &[403, 404], true),
            (refused(403, Cause::AccessDenied), &[404], false),
            (refused(429, Cause::Other), &[429], true),
            (refused(403, Cause::SignatureMismatch), &[403], true),
            (refused(403, Cause::SignatureMismatch), &[502], true), // that is what the viewer would be told
            (refused(403, Cause::SignatureMismatch), &[503], false),
            (ConnectRefused, &[503], true),
            (ConnectRefused, &[500, 502, 504], false),
            (Dns, &[503], true),
            (Dns, &[502], false),
            (Tls, &[503], true),
            (Tls, &[502], false),
            (ConnectTimeout, &[503], true),
            (ConnectTimeout, &[504], true),
            (ConnectTimeout, &[500, 502], false),
            (ReadTimeout, &[504], true),
            (ReadTimeout, &[500, 502, 503], false),
            (ConnectionLost, &[502], true),
            (ConnectionLost, &[503, 504], false),
            (InvalidResponse("x"), &[502], true),
            (NoCredentials, &[502], true),
            (BodyCutShort, &[502, 503, 504], false),
            (BodyStalled, &[502, 503, 504], false),
        ];
        for (failure, codes, expected) in table {
            let found = next(&behavior(codes, false), &Method::GET, failure);
            assert_eq!(found, expected.then_some(1), "{failure} {codes:?}");
        }
    }

    #[test]
    fn only_what_reads_moves_on() {
        // behaviour §8.8: OPTIONS only if it is a cached method
        let failure = refused(500, Cause::Other);
        let table = [
            (Method::GET, false, true),
            (Method::HEAD, false, true),
            (Method::OPTIONS, true, true),
            (Method::OPTIONS, false, false),
            (Method::POST, true, false),
        ];
        for (method, cache_options, expected) in table {
            let found = next(&behavior(&[500], cache_options), &method, &failure).is_some();
            assert_eq!(found, expected, "{method} {cache_options}");
        }
    }

    #[test]
    fn an_origin_alone_has_nobody_after_it() {
        let alone = Behavior { failover: None, ..behavior(&[500], false) };
        assert_eq!(next(&alone, &Method::GET, &refused(500, Cause::Other)), None);
    }
}
