//! TOML as it grows.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::super::raw::{Amount, Decimal, Field, List};

#[derive(Debug, Default)]
pub(super) struct Text {
    written: String,
}

impl Text {
    pub(super) fn into_string(self) -> String {
        self.written
    }

    pub(super) fn field<T: Show>(&mut self, name: &str, field: &Field<T>) {
        if let Some(value) = field.value() {
            self.line(&format!("{name} = {}", value.show()));
        }
    }

    pub(super) fn list<T: Show>(&mut self, name: &str, list: &List<T>) {
        if let Some(items) = list.value() {
            let items: Vec<_> = items.iter().map(|typed| typed.value.show()).collect();
            self.line(&format!("{name} = [{}]", items.join(", ")));
        }
    }

    /// A table whose absence is the same as its being empty.
    pub(super) fn section(&mut self, key: &str, write: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        write(&mut inner);
        if !inner.written.is_empty() {
            self.head(&format!("[{key}]"));
            self.written.push_str(&inner.written);
        }
    }

    pub(super) fn table<T>(&mut self, key: &str, field: &Field<T>, write: impl FnOnce(&mut Self, &T)) {
        if let Some(value) = field.value() {
            self.head(&format!("[{key}]"));
            write(self, value);
        }
    }

    pub(super) fn tables<T>(&mut self, key: &str, list: &List<T>, write: impl Fn(&mut Self, &T)) {
        for item in list.items() {
            self.head(&format!("[[{key}]]"));
            write(self, &item.value);
        }
    }

    fn head(&mut self, head: &str) {
        if !self.written.is_empty() {
            self.written.push('\n');
        }
        self.line(head);
    }

    fn line(&mut self, line: &str) {
        self.written.push_str(line);
        self.written.push('\n');
    }
}

/// A value as TOML writes it.
pub(super) trait Show {
    fn show(&self) -> String;
}

impl Show for String {
    /// In one line, whatever it holds.
    fn show(&self) -> String {
        let mut quoted = String::with_capacity(self.len() + 2);
        quoted.push('"');
        for c in self.chars() {
            match c {
                '"' => quoted.push_str("\\\""),
                '\\' => quoted.push_str("\\\\"),
                c if c.is_control() => {
                    // Writing to a string cannot fail.
                    let _ = write!(quoted, "\\u{:04X}", u32::from(c));
                }
                c => quoted.push(c),
            }
        }
        quoted.push('"');
        quoted
    }
}

impl Show for PathBuf {
    fn show(&self) -> String {
        self.to_string_lossy().into_owned().show()
    }
}

impl Show for bool {
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Show for i64 {
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Show for Amount {
    fn show(&self) -> String {
        match self {
            Self::Text(text) => text.show(),
            Self::Number(number) => number.show(),
        }
    }
}

impl Show for Decimal {
    fn show(&self) -> String {
        self.0.clone()
    }
}
