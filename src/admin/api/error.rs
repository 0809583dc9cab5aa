//! What the API refuses with: CloudFront's codes, statuses and bodies (behaviour §1.11, §12.14).

use http::StatusCode;

use super::xml::Writer;

/// A code, its status, and what to tell the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::admin) struct Refusal {
    pub status: StatusCode,
    pub code: &'static str,
    pub message: String,
    /// The methods that there are, with 405.
    pub allow: Option<&'static str>,
}

impl Refusal {
    pub(in crate::admin) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), allow: None }
    }

    /// Something that was sent is wrong: 400.
    pub(in crate::admin) fn bad(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(in crate::admin) fn forbidden(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    pub(in crate::admin) fn body(&self, request_id: &str) -> String {
        Writer::document("ErrorResponse", |writer| {
            writer.element("Error", |writer| {
                writer.text("Type", if self.status.is_server_error() { "Receiver" } else { "Sender" });
                writer.text("Code", self.code);
                writer.text("Message", &self.message);
            });
            writer.text("RequestId", request_id);
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_cloudfronts() {
        // behaviour §1.11
        let body = Refusal::bad("InvalidArgument", "a < b").body("r-1");
        let expected = "<?xml version=\"1.0\"?>\n\
            <ErrorResponse xmlns=\"http://cloudfront.amazonaws.com/doc/2020-05-31/\"><Error><Type>Sender</Type>\
            <Code>InvalidArgument</Code><Message>a &lt; b</Message></Error><RequestId>r-1</RequestId></ErrorResponse>";
        assert_eq!(body, expected);
    }
}
