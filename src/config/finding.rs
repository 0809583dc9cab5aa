//! What is wrong with a configuration: where, how bad, what, and what to try.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// Where something was typed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// A file's name, or the flag or variable that said it (`--http`, `AWS_ENDPOINT_URL_S3`).
    #[serde(serialize_with = "text")]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub severity: Severity,
    #[serde(flatten)]
    pub place: Place,
    /// The dotted key, such as `distribution.origin.bucket`; empty when it is about the whole file.
    pub key: String,
    pub message: String,
    /// What to do about it.
    pub fix: Option<String>,
}

/// serde reads `Arc<str>` only with its `rc` feature.
fn text<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
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
