//! A TOML table that is asked for its keys, and afterwards tells which it was not asked for.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::super::nearest::nearest;
use super::super::raw::{Amount, At, Decimal, Field, List, Typed, join};
use super::super::{Finding, Place, Severity};

/// What all tables of one text share.
#[derive(Debug)]
pub(super) struct Document {
    source: Arc<str>,
    /// Offsets of the line feeds.
    line_feeds: Vec<usize>,
    findings: RefCell<Vec<Finding>>,
    /// Every dotted key that was asked for.
    known: RefCell<BTreeSet<String>>,
}

impl Document {
    pub(super) fn new(source_name: &str, text: &str) -> Self {
        Self {
            source: Arc::from(source_name),
            line_feeds: text
                .bytes()
                .enumerate()
                .filter(|(_, byte)| *byte == b'\n')
                .map(|(at, _)| at)
                .collect(),
            findings: RefCell::default(),
            known: RefCell::default(),
        }
    }

    pub(super) fn place(&self, offset: usize) -> Place {
        let line = self.line_feeds.partition_point(|feed| *feed < offset) + 1;
        Place { source: Arc::clone(&self.source), line: Some(line) }
    }

    pub(super) fn source(&self) -> Arc<str> {
        Arc::clone(&self.source)
    }

    pub(super) fn into_findings(self) -> Vec<Finding> {
        self.findings.into_inner()
    }

    #[cfg(test)]
    pub(super) fn known(&self) -> BTreeSet<String> {
        self.known.borrow().clone()
    }

    fn error(&self, at: &At, message: String, fix: impl Into<String>) {
        self.findings.borrow_mut().push(at.finding(Severity::Error, message, fix));
    }
}

pub(super) struct Table<'d> {
    document: &'d Document,
    /// The dotted key of the table itself; empty for the root.
    key: String,
    entries: Vec<Entry<'d>>,
    asked: Vec<&'static str>,
}

struct Entry<'d> {
    name: &'d Spanned<DeString<'d>>,
    value: &'d Spanned<DeValue<'d>>,
    taken: bool,
}

/// A value of one kind.
pub(super) trait Read: Sized {
    /// With its article: "a string".
    const KIND: &'static str;
    fn read(value: &DeValue<'_>) -> Option<Self>;
}

impl<'d> Table<'d> {
    pub(super) fn root(document: &'d Document, table: &'d DeTable<'d>) -> Self {
        Self::new(document, String::new(), table)
    }

    fn new(document: &'d Document, key: String, table: &'d DeTable<'d>) -> Self {
        let entries = table.iter().map(|(name, value)| Entry { name, value, taken: false }).collect();
        Self { document, key, entries, asked: Vec::new() }
    }

    /// Lets `read` ask, then reports what it did not ask for.
    pub(super) fn read<T>(mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let value = read(&mut self);
        self.report_unknown();
        value
    }

    pub(super) fn field<T: Read>(&mut self, name: &'static str) -> Field<T> {
        let Some((at, value)) = self.take(name) else {
            return Field::Absent;
        };
        match T::read(value.get_ref()) {
            Some(value) => Field::new(value, at),
            None => self.wrong_kind(&at, T::KIND, value.get_ref()),
        }
    }

    /// An array of values of one kind.
    pub(super) fn list<T: Read>(&mut self, name: &'static str) -> List<T> {
        let Some((at, value)) = self.take(name) else {
            return Field::Absent;
        };
        let Some(array) = value.get_ref().as_array() else {
            return self.wrong_kind(&at, "an array", value.get_ref());
        };
        let mut items = Vec::new();
        let mut readable = true;
        for item in array.iter() {
            let at = self.at(&at.key, item.span().start);
            match T::read(item.get_ref()) {
                Some(value) => items.push(Typed { value, at }),
                None => {
                    self.wrong_kind::<T>(&at, T::KIND, item.get_ref());
                    readable = false;
                }
            }
        }
        if readable { Field::new(items, at) } else { Field::Unreadable }
    }

    /// A table that may stay away.
    pub(super) fn table<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Table<'d>) -> T,
    ) -> Field<T> {
        let Some((at, value)) = self.take(name) else {
            return Field::Absent;
        };
        match value.get_ref().as_table() {
            Some(table) => Field::new(Table::new(self.document, at.key.clone(), table).read(read), at),
            None => self.wrong_kind(&at, "a table", value.get_ref()),
        }
    }

    /// A table whose absence is the same as its being empty.
    pub(super) fn section<T: Default>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Table<'d>) -> T,
    ) -> T {
        match self.table(name, read) {
            Field::Given(typed) => typed.value,
            Field::Absent | Field::Unreadable => T::default(),
        }
    }

    /// An array of tables.
    pub(super) fn tables<T>(&mut self, name: &'static str, read: impl Fn(&mut Table<'d>) -> T) -> List<T> {
        let Some((at, value)) = self.take(name) else {
            return Field::Absent;
        };
        let Some(array) = value.get_ref().as_array() else {
            return self.wrong_kind(&at, "an array of tables", value.get_ref());
        };
        let mut items = Vec::new();
        let mut readable = true;
        for item in array.iter() {
            let at = self.at(&at.key, item.span().start);
            match item.get_ref().as_table() {
                Some(table) => {
                    let value = Table::new(self.document, at.key.clone(), table).read(&read);
                    items.push(Typed { value, at });
                }
                None => {
                    self.wrong_kind::<T>(&at, "a table", item.get_ref());
                    readable = false;
                }
            }
        }
        if readable { Field::new(items, at) } else { Field::Unreadable }
    }

    fn take(&mut self, name: &'static str) -> Option<(At, &'d Spanned<DeValue<'d>>)> {
        self.asked.push(name);
        self.document.known.borrow_mut().insert(join(&self.key, name));
        let entry = self.entries.iter_mut().find(|entry| entry.name.get_ref() == name)?;
        entry.taken = true;
        let (start, value) = (entry.name.span().start, entry.value);
        Some((self.at(&join(&self.key, name), start), value))
    }

    fn at(&self, key: &str, offset: usize) -> At {
        At { place: self.document.place(offset), key: key.to_owned() }
    }

    fn wrong_kind<T>(&self, at: &At, expected: &str, found: &DeValue<'_>) -> Field<T> {
        let fix = match expected {
            "an array of tables" => format!("write [[{}]]", at.key),
            _ => format!("write {expected}"),
        };
        self.document.error(at, format!("expected {expected}, found {}", kind(found)), fix);
        Field::Unreadable
    }

    fn report_unknown(&self) {
        for entry in self.entries.iter().filter(|entry| !entry.taken) {
            let name = entry.name.get_ref();
            let key = join(&self.key, &name.escape_debug().to_string());
            let at = self.at(&key, entry.name.span().start);
            let fix = match nearest(name, self.asked.iter().copied()) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("known here: {}", self.asked.join(", ")),
            };
            self.document.error(&at, "unknown key".to_owned(), fix);
        }
    }
}

impl Read for String {
    const KIND: &'static str = "a string";
    fn read(value: &DeValue<'_>) -> Option<Self> {
        value.as_str().map(str::to_owned)
    }
}

impl Read for PathBuf {
    const KIND: &'static str = "a string";
    fn read(value: &DeValue<'_>) -> Option<Self> {
        value.as_str().map(Self::from)
    }
}

impl Read for bool {
    const KIND: &'static str = "true or false";
    fn read(value: &DeValue<'_>) -> Option<Self> {
        value.as_bool()
    }
}

impl Read for i64 {
    const KIND: &'static str = "a whole number";
    fn read(value: &DeValue<'_>) -> Option<Self> {
        let integer = value.as_integer()?;
        Self::from_str_radix(integer.as_str(), integer.radix()).ok()
    }
}

impl Read for Amount {
    const KIND: &'static str = "a whole number, or a string with a number and a unit";
    fn read(value: &DeValue<'_>) -> Option<Self> {
        match value.as_str() {
            Some(text) => Some(Self::Text(text.to_owned())),
            None => i64::read(value).map(Self::Number),
        }
    }
}

impl Read for Decimal {
    const KIND: &'static str = "a number";
    fn read(value: &DeValue<'_>) -> Option<Self> {
        match value {
            DeValue::Float(float) => Some(Self(float.as_str().to_owned())),
            _ => i64::read(value).map(|number| Self(number.to_string())),
        }
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(integer) if i64::from_str_radix(integer.as_str(), integer.radix()).is_err() => {
            "a number that is too large"
        }
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
