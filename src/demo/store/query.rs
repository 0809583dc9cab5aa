//! What a request line asks for: bucket and key, and the parameters that change a read.

use std::borrow::Cow;

use http::{HeaderMap, StatusCode, header};
use percent_encoding::percent_decode_str;

use super::answer::Refusal;
use super::objects::header_value;

/// Bucket and key of a path-style request, each decoded once and never normalised (s3 §1.2).
pub(super) struct Target {
    pub bucket: String,
    pub key: String,
}

impl Target {
    pub(super) fn parse(path: &str) -> Result<Self, Refusal> {
        let path = path.strip_prefix('/').unwrap_or(path);
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let decode = |text| percent_decode_str(text).decode_utf8().map(Cow::into_owned);
        match (decode(bucket), decode(key)) {
            (Ok(bucket), Ok(key)) => Ok(Self { bucket, key }),
            _ => {
                Err(Refusal::new(StatusCode::BAD_REQUEST, "InvalidURI", "Couldn't parse the specified URI."))
            }
        }
    }
}

/// Query parameters, decoded.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(query: Option<&str>) -> Self {
        let decode =
            |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
        let pairs =
            query.unwrap_or_default().split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        Self(pairs.map(|(name, value)| (decode(name), decode(value))).collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// A sub-resource turns a read into an operation (`?acl` is GetObjectAcl) that no identity here may call.
    pub(super) fn names_another_operation(&self) -> bool {
        const NAMES: [&str; 14] = [
            "acl",
            "attributes",
            "encryption",
            "legal-hold",
            "location",
            "partNumber",
            "policy",
            "retention",
            "tagging",
            "torrent",
            "uploadId",
            "uploads",
            "versionId",
            "versions",
        ];
        NAMES.iter().any(|name| self.get(name).is_some())
    }

    /// `response-…` parameters replace stored headers (s3 §2.6).
    pub(super) fn override_headers(&self, headers: &mut HeaderMap) -> Result<(), Refusal> {
        for name in [
            header::CACHE_CONTROL,
            header::CONTENT_DISPOSITION,
            header::CONTENT_ENCODING,
            header::CONTENT_LANGUAGE,
            header::CONTENT_TYPE,
            header::EXPIRES,
        ] {
            let Some(value) = self.get(&format!("response-{name}")) else {
                continue;
            };
            let invalid = |_| {
                let message = "Header value cannot be represented using ISO-8859-1.";
                Refusal::new(StatusCode::BAD_REQUEST, "InvalidArgument", message)
            };
            headers.insert(name, header_value(value).map_err(invalid)?);
        }
        Ok(())
    }
}
