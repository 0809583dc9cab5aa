//! Lists of URLs: one a line, a CloudFront standard log (gzip as well), or a sitemap. What it is, is seen from its beginning.

mod log;
mod sitemap;

pub(crate) use sitemap::character;

use std::collections::HashSet;
use std::io::Read as _;

use http::Uri;
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

/// Bytes of a list, unpacked.
const LARGEST: u64 = 256 << 20;

/// Why a list cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    #[error("it is no gzip file, or it is cut off")]
    Gzip,
    #[error("unpacked it is larger than 256 MiB")]
    TooLarge,
    #[error("it is not UTF-8")]
    NotText,
    #[error("line {0}: {1:?} is neither a path that begins with / nor an http(s) URL")]
    Line(usize, String),
    #[error("a log without a #Fields line that has cs-uri-stem")]
    Fields,
    #[error("it is XML, and no sitemap: {0}")]
    Sitemap(&'static str),
}

/// Paths with their queries, as they go over the wire; each once. Of a log: what was asked most comes first.
///
/// # Errors
/// [`ListError`]
pub fn read(bytes: &[u8]) -> Result<Vec<String>, ListError> {
    let unpacked = match bytes {
        [0x1f, 0x8b, ..] => Some(unpack(bytes)?),
        _ => None,
    };
    let bytes = unpacked.as_deref().unwrap_or(bytes);
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.starts_with(b"#Version") || bytes.starts_with(b"#Fields") {
        return log::read(bytes);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| ListError::NotText)?;
    if text.trim_start().starts_with('<') { Ok(once(sitemap::read(text)?)) } else { lines(text) }
}

/// Path and query of a URL, or of a path itself; `None`: it is neither.
#[must_use]
pub fn target(text: &str) -> Option<String> {
    let text = text.split('#').next().unwrap_or_default();
    let encoded = percent_encode(text.as_bytes(), UNWRITABLE).to_string();
    if encoded.starts_with('/') {
        return encoded.parse::<http::uri::PathAndQuery>().ok().map(|target| target.to_string());
    }
    let uri: Uri = encoded.parse().ok()?;
    let known = matches!(uri.scheme_str(), Some("http" | "https"));
    let target = uri.path_and_query()?;
    known.then(|| target.to_string())
}

/// What cannot stand in a request target as it is. `%` can: it is taken for an escape.
const UNWRITABLE: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

fn lines(text: &str) -> Result<Vec<String>, ListError> {
    let lines = text.lines().enumerate().map(|(number, line)| (number + 1, line.trim()));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let targets = lines.map(|(number, line)| {
        target(line).ok_or_else(|| ListError::Line(number, line.chars().take(80).collect()))
    });
    Ok(once(targets.collect::<Result<Vec<_>, _>>()?))
}

fn once(mut targets: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::new();
    targets.retain(|target| seen.insert(target.clone()));
    targets
}

fn unpack(bytes: &[u8]) -> Result<Vec<u8>, ListError> {
    let mut unpacked = Vec::new();
    // A file of several members is one, too: logs that were put together.
    let mut decoder = flate2::read::MultiGzDecoder::new(bytes).take(LARGEST + 1);
    decoder.read_to_end(&mut unpacked).map_err(|_| ListError::Gzip)?;
    if unpacked.len() as u64 > LARGEST { Err(ListError::TooLarge) } else { Ok(unpacked) }
}

#[cfg(test)]
mod tests;
