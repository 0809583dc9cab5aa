//! A JSON object that is asked for its fields, and afterwards tells which it was not asked for.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::nearest::nearest;
use super::super::raw::{Amount, At, Decimal, Field, List, Typed, join};
use super::super::{Finding, Place, Severity};
use super::json::{Entry, Node, Value};

/// What all objects of one import share.
#[derive(Debug)]
pub(super) struct Findings<'a> {
    /// Fields that the owner accepts as not supported.
    accepted: &'a BTreeSet<String>,
    found: RefCell<Vec<Finding>>,
}

impl<'a> Findings<'a> {
    pub(super) fn new(accepted: &'a BTreeSet<String>) -> Self {
        Self { accepted, found: RefCell::default() }
    }

    pub(super) fn error(&self, at: &At, message: impl Into<String>, fix: impl Into<String>) {
        self.found.borrow_mut().push(at.finding(Severity::Error, message, fix));
    }

    pub(super) fn warn(&self, at: &At, message: impl Into<String>, fix: impl Into<String>) {
        self.found.borrow_mut().push(at.finding(Severity::Warning, message, fix));
    }

    pub(super) fn has_errors(&self) -> bool {
        self.found.borrow().iter().any(|finding| finding.severity == Severity::Error)
    }

    pub(super) fn push(&self, finding: Finding) {
        self.found.borrow_mut().push(finding);
    }

    pub(super) fn into_found(self) -> Vec<Finding> {
        self.found.into_inner()
    }

    /// `name` says who may read, and is not built. Nobody can accept that: private content would be open to the world.
    pub(super) fn refuse(&self, at: &At, name: &str, consequence: &str) {
        let message = format!("{name} is not supported yet: {consequence}");
        self.error(at, message, "leave private content to CloudFront for now");
    }

    /// `name` decides who may read what, or what is answered, and is not built: an error, unless it is accepted.
    pub(super) fn unsupported(&self, at: &At, name: &str, consequence: &str) {
        if self.accepted.contains(name) {
            let message = format!("{name} is not supported, and accepted as such: {consequence}");
            self.warn(at, message, "nothing need be done");
        } else {
            let message = format!("{name} is not supported yet: {consequence}");
            self.error(at, message, format!("take it out, or start without it: --accept-unsupported {name}"));
        }
    }
}

/// A file and what is found in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Document<'d> {
    pub source: &'d Arc<str>,
    pub findings: &'d Findings<'d>,
}

impl Document<'_> {
    pub(super) fn at(&self, key: &str, line: usize) -> At {
        At { place: Place { source: Arc::clone(self.source), line: Some(line) }, key: key.to_owned() }
    }
}

#[derive(Debug)]
pub(super) struct Object<'d> {
    pub document: Document<'d>,
    pub at: At,
    entries: &'d [Entry<'d>],
    asked: Vec<&'static str>,
    /// What it was not asked for is of no interest.
    is_open: bool,
}

/// A value of one kind.
pub(super) trait Read: Sized {
    /// With its article: "a string".
    const KIND: &'static str;
    fn read(value: &Value<'_>) -> Option<Self>;
}

impl<'d> Object<'d> {
    /// Lets `read` ask, then reports what it did not ask for, and what was given twice. `None`, with a finding: `node`
    /// is no object.
    pub(super) fn read<T>(
        document: Document<'d>,
        node: &'d Node<'d>,
        key: &str,
        read: impl FnOnce(&mut Self) -> T,
    ) -> Option<T> {
        let at = document.at(key, node.line);
        let entries = match &node.value {
            Value::Object(entries) => entries,
            Value::Array(items) => {
                plain_list(document, &at, items.len());
                return None;
            }
            value => {
                wrong_kind::<T>(document, &at, "an object", value);
                return None;
            }
        };
        let mut object = Self { document, at, entries, asked: Vec::new(), is_open: false };
        object.refuse_repeated();
        let value = read(&mut object);
        object.report_unknown();
        Some(value)
    }

    pub(super) fn findings(&self) -> &'d Findings<'d> {
        self.document.findings
    }

    /// These say nothing that matters here.
    pub(super) fn ignore(&mut self, names: &[&'static str]) {
        self.asked.extend(names);
    }

    /// Whatever else there is.
    pub(super) fn ignore_rest(&mut self) {
        self.is_open = true;
    }

    pub(super) fn node(&mut self, name: &'static str) -> Option<&'d Node<'d>> {
        self.take(name).map(|(_, node)| node)
    }

    pub(super) fn field<T: Read>(&mut self, name: &'static str) -> Field<T> {
        let Some((at, node)) = self.take(name) else { return Field::Absent };
        match T::read(&node.value) {
            Some(value) => Field::new(value, at),
            None => wrong_kind(self.document, &at, T::KIND, &node.value),
        }
    }

    /// Text; an empty one is none (behaviour §1.6).
    pub(super) fn text(&mut self, name: &'static str) -> Field<String> {
        match self.field::<String>(name) {
            Field::Given(typed) if typed.value.is_empty() => Field::Absent,
            field => field,
        }
    }

    /// It cannot stay away. That it did is told here, and nowhere else.
    pub(super) fn require<T>(&self, name: &str, field: Field<T>) -> Field<T> {
        if !field.is_absent() {
            return field;
        }
        let at = self.at.child(name);
        self.findings().error(&at, "InvalidArgument: is missing", format!("say what {name} is"));
        Field::Unreadable
    }

    pub(super) fn object<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Object<'d>) -> T,
    ) -> Field<T> {
        let Some((at, node)) = self.take(name) else { return Field::Absent };
        match Object::read(self.document, node, &at.key, read) {
            Some(value) => Field::new(value, at),
            None => Field::Unreadable,
        }
    }

    /// `{"Quantity": N, "Items": […]}` of values. An empty list is none.
    pub(super) fn items<T: Read>(&mut self, name: &'static str) -> List<T> {
        flat(self.object(name, Object::items_here))
    }

    /// The same of objects.
    pub(super) fn each<T>(&mut self, name: &'static str, read: impl Fn(&mut Object<'d>) -> T) -> List<T> {
        flat(self.object(name, |object| object.each_here(read)))
    }

    /// `Quantity` and `Items` of this object itself.
    pub(super) fn items_here<T: Read>(&mut self) -> List<T> {
        let document = self.document;
        self.array(|at, node| match T::read(&node.value) {
            Some(value) => Some(Typed { value, at: at.clone() }),
            None => {
                wrong_kind::<T>(document, at, T::KIND, &node.value);
                None
            }
        })
    }

    pub(super) fn each_here<T>(&mut self, read: impl Fn(&mut Object<'d>) -> T) -> List<T> {
        let document = self.document;
        self.array(|at, node| {
            let value = Object::read(document, node, &at.key, &read)?;
            Some(Typed { value, at: at.clone() })
        })
    }

    /// `Items`, which must be as many as `Quantity` says.
    fn array<T>(&mut self, read: impl Fn(&At, &'d Node<'d>) -> Option<Typed<T>>) -> List<T> {
        let quantity = self.field::<i64>("Quantity");
        let items = self.take("Items");
        let found: &[Node<'_>] = match &items {
            None => &[],
            Some((_, Node { value: Value::Array(items), .. })) => items,
            Some((at, node)) => return wrong_kind(self.document, at, "an array", &node.value),
        };
        if let Some(quantity) = quantity.given()
            && usize::try_from(quantity.value) != Ok(found.len())
        {
            let message = format!(
                "InconsistentQuantities: Quantity is {}, and there are {} Items",
                quantity.value,
                found.len()
            );
            self.findings().error(&quantity.at, message, format!("write \"Quantity\": {}", found.len()));
        }
        let Some((at, _)) = items.filter(|_| !found.is_empty()) else { return Field::Absent };
        let read = |(index, node): (usize, &'d Node<'d>)| {
            read(&self.document.at(&format!("{}[{index}]", at.key), node.line), node)
        };
        let values: Option<Vec<_>> = {
            // All of them are read, so that each has its finding.
            let values: Vec<_> = found.iter().enumerate().map(read).collect();
            values.into_iter().collect()
        };
        values.map_or(Field::Unreadable, |values| Field::new(values, at))
    }

    /// `null` is as good as absent, and worth a word.
    fn take(&mut self, name: &'static str) -> Option<(At, &'d Node<'d>)> {
        self.asked.push(name);
        let entry = self.entries.iter().find(|entry| entry.name == name)?;
        let at = self.document.at(&join(&self.at.key, name), entry.line);
        if entry.value.value == Value::Null {
            self.findings().warn(&at, "is null, and taken as absent", "leave it out");
            return None;
        }
        Some((at, &entry.value))
    }

    fn refuse_repeated(&self) {
        let mut seen = BTreeSet::new();
        for entry in self.entries.iter().filter(|entry| !seen.insert(&entry.name)) {
            let at = self.document.at(&join(&self.at.key, &shown(&entry.name)), entry.line);
            self.findings().error(&at, "is given twice", "leave one of the two out");
        }
    }

    fn report_unknown(&self) {
        if self.is_open {
            return;
        }
        for entry in self.entries.iter().filter(|entry| !self.asked.contains(&&*entry.name)) {
            let at = self.document.at(&join(&self.at.key, &shown(&entry.name)), entry.line);
            let fix = match nearest(&entry.name, self.asked.iter().copied()) {
                Some(near) => format!("did you mean {near:?}?"),
                None => "it is ignored; nothing need be done if it does not matter".to_owned(),
            };
            self.findings().warn(&at, "unknown field", fix);
        }
    }
}

/// The list stands where its object does.
fn flat<T>(field: Field<List<T>>) -> List<T> {
    match field {
        Field::Given(Typed { value: Field::Given(list), at }) => Field::new(list.value, at),
        Field::Given(Typed { value, .. }) => value,
        Field::Absent => Field::Absent,
        Field::Unreadable => Field::Unreadable,
    }
}

/// Without control characters.
fn shown(name: &str) -> String {
    name.escape_debug().to_string()
}

fn wrong_kind<T>(document: Document<'_>, at: &At, expected: &str, found: &Value<'_>) -> Field<T> {
    let message = format!("InvalidArgument: expected {expected}, found {}", kind(found));
    document.findings.error(at, message, format!("write {expected}"));
    Field::Unreadable
}

fn plain_list(document: Document<'_>, at: &At, items: usize) {
    let message =
        "InvalidArgument: expected an object, found an array, as CloudFormation's templates have it";
    let fix = format!(
        "write {{\"Quantity\": {items}, \"Items\": [...]}}, as `aws cloudfront get-distribution-config` prints it"
    );
    document.findings.error(at, message, fix);
}

pub(super) fn kind(value: &Value<'_>) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

impl Read for String {
    const KIND: &'static str = "a string";
    fn read(value: &Value<'_>) -> Option<Self> {
        match value {
            Value::String(text) => Some(text.to_string()),
            _ => None,
        }
    }
}

impl Read for bool {
    const KIND: &'static str = "true or false";
    fn read(value: &Value<'_>) -> Option<Self> {
        match value {
            Value::Bool(value) => Some(*value),
            // So do tools print it that pass the settings on.
            Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
            Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        }
    }
}

impl Read for i64 {
    const KIND: &'static str = "a whole number";
    fn read(value: &Value<'_>) -> Option<Self> {
        match value {
            Value::Number(text) => text.parse().ok(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        }
    }
}

/// CloudFront's durations are seconds.
impl Read for Amount {
    const KIND: &'static str = "a whole number of seconds";
    fn read(value: &Value<'_>) -> Option<Self> {
        i64::read(value).map(Self::Number)
    }
}

impl Read for Decimal {
    const KIND: &'static str = "a number";
    fn read(value: &Value<'_>) -> Option<Self> {
        match value {
            Value::Number(text) => Some(Self((*text).to_owned())),
            _ => None,
        }
    }
}

/// A status that CloudFront prints as a number here and as a string there (behaviour §1.6).
#[derive(Debug)]
pub(super) struct Code(pub Option<i64>);

impl Read for Code {
    const KIND: &'static str = "a status code";
    fn read(value: &Value<'_>) -> Option<Self> {
        match value {
            Value::String(text) if text.is_empty() => Some(Self(None)),
            _ => i64::read(value).map(|code| Self(Some(code))),
        }
    }
}
