//! What goes back over the wire: an [`Answer`], or a [`Refusal`] that becomes one in S3's XML.

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, StatusCode};
use quick_xml::escape::escape;

use super::vault::hex;

/// An answer before the headers that every answer carries.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: bytes::Bytes,
}

/// An S3 error (s3 §2.10): status, code, message and the extra elements of this code.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub status: StatusCode,
    pub code: String,
    pub message: String,
    pub extra: Vec<(&'static str, String)>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into(), extra: Vec::new() }
    }

    pub(super) fn with(mut self, element: &'static str, value: impl Into<String>) -> Self {
        self.extra.push((element, value.into()));
        self
    }

    /// The bare form, as S3 gives it to callers it owes no explanation.
    pub(super) fn access_denied() -> Self {
        Self::new(StatusCode::FORBIDDEN, "AccessDenied", "Access Denied")
    }

    pub(super) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalError",
            "We encountered an internal error. Please try again.",
        )
    }

    pub(super) fn into_answer(self, ids: &RequestIds) -> Answer {
        let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>");
        element(&mut xml, "Code", &self.code);
        element(&mut xml, "Message", &self.message);
        for (name, value) in &self.extra {
            element(&mut xml, name, value);
        }
        element(&mut xml, "RequestId", &ids.request);
        element(&mut xml, "HostId", &ids.host);
        xml.push_str("</Error>");
        Answer::xml(self.status, xml)
    }
}

impl Answer {
    pub(super) fn xml(status: StatusCode, xml: String) -> Self {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/xml"))]);
        Self { status, headers, body: xml.into() }
    }
}

/// `x-amz-request-id` and `x-amz-id-2`: on every answer, and in every error body (s3 §2.2).
#[derive(Debug)]
pub(super) struct RequestIds {
    pub request: String,
    pub host: String,
}

impl RequestIds {
    /// Told apart in a log, not secret: from `entropy` alone.
    pub(super) fn new(entropy: u128) -> Self {
        use base64::Engine as _;
        let bytes = entropy.to_be_bytes();
        Self {
            request: hex(&bytes[..8]).to_uppercase(),
            host: base64::engine::general_purpose::STANDARD.encode(bytes),
        }
    }
}

/// Appends `<name>value</name>`, escaped.
pub(super) fn element(xml: &mut String, name: &str, value: &str) {
    xml.push_str(&format!("<{name}>{}</{name}>", escape(value)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_look_like_s3s() {
        let ids = RequestIds { request: "R".into(), host: "H".into() };
        let answer =
            Refusal::new(StatusCode::NOT_FOUND, "NoSuchKey", "no").with("Key", "a<b&c").into_answer(&ids);
        assert_eq!(
            answer.body,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code><Message>no</Message>\
             <Key>a&lt;b&amp;c</Key><RequestId>R</RequestId><HostId>H</HostId></Error>"
        );
    }
}
