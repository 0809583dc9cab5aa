//! What of a viewer's request an S3 origin is never told, whatever a policy says.
//!
//! A signed request carries the edge's rights, so nothing in it may turn a read into something else. And what S3
//! refuses would be remembered for everybody, so nothing may go along that only makes S3 refuse.

/// May this header of a viewer's go to S3 because a policy takes it? `name` in lower case. `Authorization` is another
/// matter: a cache policy may send it.
///
/// No: it names the bucket or carries somebody's identity; it belongs to the signature (s3 §2.1), to one connection, to
/// ranges and conditions that the edge answers itself, or to a body that is not there; CloudFront removes it
/// (behaviour §4.5); or only the edge may make it (behaviour §4.7).
#[must_use]
pub fn takes_header(name: &str) -> bool {
    const WITHHELD: [&str; 18] = [
        "accept-encoding",
        "authorization",
        "connection",
        "cookie",
        "date",
        "expect",
        "forwarded",
        "host",
        "keep-alive",
        "max-forwards",
        "range",
        "request-range",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "x-real-ip",
    ];
    const PREFIXES: [&str; 9] = [
        "cloudfront-",
        "content-",
        "if-",
        "proxy-",
        "x-amz-",
        "x-edge-",
        "x-forwarded-",
        "x-goog-",
        "x-minio-",
    ];
    !WITHHELD.contains(&name) && !PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// What a parameter of the query means to S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parameter {
    /// Nothing.
    Idle,
    /// Another version, or other response headers: forwarded where a policy says so by name (s3 §2.6).
    Selects,
    /// Another operation, a part, or a signature: never forwarded (s3 §2.1).
    Operates,
}

/// `name` as S3 reads it, decoded. Capital letters make no difference to what is withheld.
#[must_use]
pub fn parameter(name: &str) -> Parameter {
    const SELECTS: [&str; 7] = [
        "versionId",
        "response-cache-control",
        "response-content-disposition",
        "response-content-encoding",
        "response-content-language",
        "response-content-type",
        "response-expires",
    ];
    const OPERATES: [&str; 42] = [
        "accelerate",
        "acl",
        "analytics",
        "append",
        "attributes",
        "awsaccesskeyid",
        "cors",
        "delete",
        "encryption",
        "intelligent-tiering",
        "inventory",
        "lambdaarn",
        "legal-hold",
        "lifecycle",
        "list-type",
        "location",
        "logging",
        "metrics",
        "notification",
        "object-lock",
        "ownershipcontrols",
        "partnumber",
        "policy",
        "policystatus",
        "publicaccessblock",
        "renameobject",
        "replication",
        "requestpayment",
        "restore",
        "retention",
        "select",
        "select-type",
        "session",
        "signature",
        "tagging",
        "torrent",
        "uploadid",
        "uploads",
        "versionid",
        "versioning",
        "versions",
        "website",
    ];
    const PREFIXES: [&str; 4] = ["annotation", "metadata", "response-", "x-amz-"];
    if SELECTS.contains(&name) {
        return Parameter::Selects;
    }
    let name = name.to_ascii_lowercase();
    let operates =
        OPERATES.contains(&name.as_str()) || PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    if operates { Parameter::Operates } else { Parameter::Idle }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_s3_is_never_told() {
        for (name, expected) in [
            ("origin", true),
            ("access-control-request-method", true),
            ("user-agent", true),
            ("x-http-method-override", true),
            ("host", false),          // behaviour §4.5
            ("authorization", false), // behaviour §4.5
            ("cookie", false),        // s3 §2.1
            ("x-amz-date", false),    // s3 §2.1
            ("x-amz-server-side-encryption-customer-key", false),
            ("x-edge-location", false), // behaviour §4.5
            ("if-none-match", false),
            ("range", false),
            ("content-md5", false),
            ("x-forwarded-for", false),
            ("cloudfront-viewer-country", false), // behaviour §4.7
        ] {
            assert_eq!(takes_header(name), expected, "{name}");
        }
    }

    /// s3 §2.1, §2.6
    #[test]
    fn parameters_by_what_they_mean_to_s3() {
        use Parameter::*;
        for (name, expected) in [
            ("v", Idle),
            ("aws.manifestfilter", Idle),
            ("prefix", Idle), // of a listing, which needs list-type or an empty key
            ("versionId", Selects),
            ("response-content-type", Selects),
            ("VersionId", Operates),
            ("Response-Content-Type", Operates),
            ("response-else", Operates),
            ("acl", Operates),
            ("ACL", Operates),
            ("list-type", Operates),
            ("partNumber", Operates),
            ("uploadId", Operates),
            ("annotationName", Operates),
            ("X-Amz-Signature", Operates),
            ("x-amz-anything", Operates),
            ("AWSAccessKeyId", Operates),
            ("Policy", Operates),
        ] {
            assert_eq!(parameter(name), expected, "{name}");
        }
    }
}
