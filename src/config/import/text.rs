//! Bytes → text → [`Node`].

use std::sync::Arc;

use super::super::raw::At;
use super::super::{Finding, Place, Severity};
use super::File;
use super::json::{self, Node};
use super::object::Findings;

/// Without a byte order mark. `None`, with a finding: it is not text.
pub(super) fn decode(file: &File, source: &Arc<str>, findings: &Findings<'_>) -> Option<String> {
    let refuse = |message: &str, fix: &str| findings.error(&whole(source), message, fix);
    let Some(text) = unicode(&file.bytes) else {
        refuse("is not UTF-8", "write it as UTF-8");
        return None;
    };
    if text.trim_ascii().is_empty() {
        refuse("is empty", "give what the AWS CLI prints");
        return None;
    }
    Some(text)
}

/// UTF-8, or the UTF-16 that `>` writes in Windows PowerShell.
fn unicode(bytes: &[u8]) -> Option<String> {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, rest) = bytes.as_chunks::<2>();
        let units: Vec<u16> = pairs.iter().copied().map(unit).collect();
        if rest.is_empty() { String::from_utf16(&units).ok() } else { None }
    };
    match bytes {
        [0xff, 0xfe, text @ ..] => utf16(text, u16::from_le_bytes),
        [0xfe, 0xff, text @ ..] => utf16(text, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, text @ ..] | text => std::str::from_utf8(text).ok().map(str::to_owned),
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
