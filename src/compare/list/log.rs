//! A standard log: its columns are found by its `#Fields` line (behaviour §12.8).

use std::collections::HashMap;

use percent_encoding::percent_decode;

use super::{ListError, target};

/// What viewers have got, the most wanted first; those as often wanted in the order of the log.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<String>, ListError> {
    let mut columns = None;
    let mut asked: HashMap<String, (usize, usize)> = HashMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let Some(names) = line.strip_prefix(b"#Fields:") {
            columns = Columns::find(&String::from_utf8_lossy(names));
        } else if !line.starts_with(b"#") && !line.is_empty() {
            let columns = columns.as_ref().ok_or(ListError::Fields)?;
            let order = asked.len();
            if let Some(target) = columns.target(line) {
                asked.entry(target).or_insert((0, order)).0 += 1;
            }
        }
    }
    columns.ok_or(ListError::Fields)?;
    let mut asked: Vec<_> = asked.into_iter().collect();
    asked.sort_by_key(|(_, (times, order))| (std::cmp::Reverse(*times), *order));
    Ok(asked.into_iter().map(|(target, _)| target).collect())
}

struct Columns {
    stem: usize,
    query: Option<usize>,
    method: Option<usize>,
    status: Option<usize>,
}

impl Columns {
    fn find(names: &str) -> Option<Self> {
        let names: Vec<&str> = names.split_ascii_whitespace().collect();
        let at = |name| names.iter().position(|of| *of == name);
        Some(Self {
            stem: at("cs-uri-stem")?,
            query: at("cs-uri-query"),
            method: at("cs-method"),
            status: at("sc-status"),
        })
    }

    /// Path and query of a GET or HEAD that was answered with something.
    fn target(&self, line: &[u8]) -> Option<String> {
        let values: Vec<&[u8]> = line.split(|byte| *byte == b'\t').collect();
        let value = |column: Option<usize>| values.get(column?).copied();
        let method = value(self.method).unwrap_or(b"GET");
        let status = value(self.status).unwrap_or(b"200");
        if !matches!(method, b"GET" | b"HEAD") || !matches!(status, b"200" | b"206" | b"304") {
            return None;
        }
        // A log encodes what it finds, `%` as well: decoded once it is what the viewer wrote.
        let decoded = |value: &[u8]| String::from_utf8(percent_decode(value).collect()).ok();
        let mut text = decoded(value(Some(self.stem))?)?;
        if let Some(query) = value(self.query).filter(|query| *query != b"-") {
            text.push('?');
            text.push_str(&decoded(query)?);
        }
        target(&text).filter(|_| text.starts_with('/'))
    }
}
