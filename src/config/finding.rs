//! What is wrong with a configuration: where, how bad, what, and what to try.

use std::fmt;
use std::sync::Arc;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

/// Where something was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// A file's name, or the flag or variable that said it (`--http`, `AWS_ENDPOINT_URL_S3`).
    pub source: Arc<str>,
    /// From 1; `None` for what has no lines.
    pub line: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It starts all the same.
    Warning,
    /// It does not start.
    Error,
}

/// One thing that is wrong, or worth saying.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    pub place: Place,
    /// The dotted key, such as `distribution.origin.bucket`; empty when it is about the whole file.
    pub key: String,
    pub message: String,
    /// What to do about it.
    pub fix: Option<String>,
}

impl Finding {
    /// CloudFront's name for the error, such as `InvalidTTLOrder` (behaviour §1.6): where it has one, the message
    /// begins with it.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        const FAMILIES: [&str; 6] = ["CNAME", "Illegal", "Inconsistent", "Invalid", "NoSuch", "TooMany"];
        let (code, _) = self.message.split_once(": ")?;
        let is_code = code.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && FAMILIES.iter().any(|family| code.len() > family.len() && code.starts_with(family));
        is_code.then_some(code)
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Finding", 7)?;
        fields.serialize_field("severity", &self.severity)?;
        fields.serialize_field("source", &*self.place.source)?;
        fields.serialize_field("line", &self.place.line)?;
        fields.serialize_field("key", &self.key)?;
        fields.serialize_field("code", &self.code())?;
        fields.serialize_field("message", &self.message)?;
        fields.serialize_field("fix", &self.fix)?;
        fields.end()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.source),
            None => f.write_str(&self.source),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(f, "{}: {severity}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)?;
        match &self.fix {
            Some(fix) => write!(f, "; {fix}"),
            None => Ok(()),
        }
    }
}
