//! Bytes → text → [`Node`].

use std::sync::Arc;

use super::super::raw::At;
use super::super::{Finding, Place, Severity};
use super::File;
use super::json::{self, Node};
use super::object::Findings;

/// Without a byte order mark. `None`, with a finding: it is not text.
pub(super) fn decode(file: &File, source: &Arc<str>, findings: &Findings<'_>) -> Option<String> {
    let bytes = file.bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&file.bytes);
    let refuse = |message: &str, fix: &str| findings.error(&whole(source), message, fix);
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        refuse("is UTF-16", "write it as UTF-8: in PowerShell, `| Out-File -Encoding utf8`");
        return None;
    }
    if bytes.trim_ascii().is_empty() {
        refuse("is empty", "give what the AWS CLI prints");
        return None;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text.to_owned()),
        Err(_) => {
            refuse("is not UTF-8", "write it as UTF-8");
            None
        }
    }
}

/// `None`, with a finding that does not quote the line: it may hold what is nobody's business.
pub(super) fn parse<'t>(text: &'t str, source: &Arc<str>, findings: &Findings<'_>) -> Option<Node<'t>> {
    match json::parse(text) {
        Ok(node) => Some(node),
        Err(malformed) => {
            findings.push(Finding {
                severity: Severity::Error,
                place: Place { source: Arc::clone(source), line: Some(malformed.line) },
                key: String::new(),
                message: format!("not JSON: {}", malformed.reason),
                fix: Some("give what the AWS CLI prints, with --output json".to_owned()),
            });
            None
        }
    }
}

pub(super) fn whole(source: &Arc<str>) -> At {
    At { place: Place { source: Arc::clone(source), line: None }, key: String::new() }
}
