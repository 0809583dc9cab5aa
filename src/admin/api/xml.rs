//! XML as CloudFront speaks it: elements with text in them, in one namespace, and nothing else. What a peer sends has no
//! document type, no entities of its own, and limits.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::escape::escape;
use quick_xml::events::{BytesRef, BytesStart, Event};

/// behaviour §1.6
pub(crate) const NAMESPACE: &str = "http://cloudfront.amazonaws.com/doc/2020-05-31/";

/// An element that was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Element {
    /// Without a prefix.
    pub name: String,
    /// Its own, in one.
    pub text: String,
    pub children: Vec<Element>,
}

/// How much of it there may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Elements within each other.
    pub depth: usize,
    /// In all.
    pub elements: usize,
}

/// Why it is not read. For a person.
pub(crate) type Malformed = &'static str;

impl Element {
    /// Reads a whole document.
    ///
    /// # Errors
    /// [`Malformed`]: it is no XML, not UTF-8, in another namespace, or goes beyond what may be or the limits.
    pub(crate) fn read(document: &[u8], limits: Limits) -> Result<Self, Malformed> {
        let document = document.strip_prefix(b"\xef\xbb\xbf").unwrap_or(document);
        let text = std::str::from_utf8(document).map_err(|_| "it is not UTF-8")?;
        let mut reader = Reader::from_str(text);
        let mut tree = Tree { limits, open: Vec::new(), root: None, elements: 0 };
        loop {
            match reader.read_event().map_err(|_| "it is not well-formed")? {
                Event::Start(tag) => tree.enter(&tag)?,
                Event::Empty(tag) => {
                    tree.enter(&tag)?;
                    tree.leave();
                }
                Event::End(_) => tree.leave(),
                Event::Text(text) => tree.add(&text.decode().map_err(|_| "it is not UTF-8")?)?,
                Event::CData(text) => tree.add(&text.decode().map_err(|_| "it is not UTF-8")?)?,
                Event::GeneralRef(reference) => tree.add(resolve(&reference)?.encode_utf8(&mut [0; 4]))?,
                Event::DocType(_) => return Err("a document type may not be there"),
                Event::PI(_) => return Err("a processing instruction may not be there"),
                Event::Decl(declaration) => match declaration.encoding() {
                    Some(Ok(name)) if !name.eq_ignore_ascii_case(b"utf-8") => return Err("it is not UTF-8"),
                    Some(Err(_)) => return Err("it is not well-formed"),
                    _ => {}
                },
                Event::Comment(_) => {}
                Event::Eof => return tree.root.filter(|_| tree.open.is_empty()).ok_or("it is cut off"),
            }
        }
    }

    /// The first child of this name.
    #[must_use]
    pub(crate) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of the element that these names lead to.
    #[must_use]
    pub(crate) fn text_of(&self, path: &[&str]) -> Option<&str> {
        let found = path.iter().try_fold(self, |element, name| element.child(name))?;
        Some(&found.text)
    }
}

struct Tree {
    limits: Limits,
    open: Vec<Element>,
    root: Option<Element>,
    elements: usize,
}

impl Tree {
    fn enter(&mut self, tag: &BytesStart<'_>) -> Result<(), Malformed> {
        if self.root.is_some() {
            return Err("something follows its end");
        }
        self.elements += 1;
        if self.open.len() >= self.limits.depth || self.elements > self.limits.elements {
            return Err("there are too many elements, or too many within each other");
        }
        for attribute in tag.attributes() {
            let attribute = attribute.map_err(|_| "it is not well-formed")?;
            if attribute.key.as_ref() == b"xmlns" && *attribute.value != *NAMESPACE.as_bytes() {
                return Err("it is not in CloudFront's namespace");
            }
        }
        let name =
            std::str::from_utf8(tag.local_name().into_inner()).map_err(|_| "it is not UTF-8")?.to_owned();
        self.open.push(Element { name, ..Element::default() });
        Ok(())
    }

    /// The reader has compared the names.
    fn leave(&mut self) {
        let Some(element) = self.open.pop() else { return };
        match self.open.last_mut() {
            Some(parent) => parent.children.push(element),
            None => self.root = Some(element),
        }
    }

    fn add(&mut self, text: &str) -> Result<(), Malformed> {
        if !text.chars().all(is_char) {
            return Err("it has characters that may not be there");
        }
        match self.open.last_mut() {
            Some(element) => element.text.push_str(text),
            None if text.trim_ascii().is_empty() => {}
            None => return Err("text stands outside of it"),
        }
        Ok(())
    }
}

/// XML's five entities, and characters by number. Any other would need a document type.
fn resolve(reference: &BytesRef<'_>) -> Result<char, Malformed> {
    const UNKNOWN: Malformed = "an entity may not be there";
    match reference.resolve_char_ref() {
        Ok(Some(c)) => return Ok(c),
        Ok(None) => {}
        Err(_) => return Err(UNKNOWN),
    }
    match &**reference {
        b"amp" => Ok('&'),
        b"lt" => Ok('<'),
        b"gt" => Ok('>'),
        b"apos" => Ok('\''),
        b"quot" => Ok('"'),
        _ => Err(UNKNOWN),
    }
}

/// XML 1.0 §2.2
fn is_char(c: char) -> bool {
    !matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

/// A document as it grows.
#[derive(Debug)]
pub(crate) struct Writer {
    text: String,
}

impl Writer {
    /// `write` fills the root.
    #[must_use]
    pub(crate) fn document(root: &str, write: impl FnOnce(&mut Self)) -> String {
        let mut writer = Self { text: String::with_capacity(1024) };
        for part in ["<?xml version=\"1.0\"?>\n<", root, " xmlns=\"", NAMESPACE, "\">"] {
            writer.text.push_str(part);
        }
        write(&mut writer);
        writer.tag("</", root);
        writer.text
    }

    pub(crate) fn element(&mut self, name: &str, write: impl FnOnce(&mut Self)) {
        self.tag("<", name);
        write(self);
        self.tag("</", name);
    }

    /// What no XML can hold becomes U+FFFD.
    pub(crate) fn text(&mut self, name: &str, text: &str) {
        let text: Cow<'_, str> = if text.chars().all(is_char) {
            text.into()
        } else {
            text.chars().map(|c| if is_char(c) { c } else { '\u{fffd}' }).collect::<String>().into()
        };
        self.element(name, |writer| writer.text.push_str(&escape(text)));
    }

    fn tag(&mut self, open: &str, name: &str) {
        for part in [open, name, ">"] {
            self.text.push_str(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { depth: 4, elements: 10 };

    fn read(text: &str) -> Result<Element, Malformed> {
        Element::read(text.as_bytes(), LIMITS)
    }

    #[test]
    fn elements_and_their_text() {
        let text = format!(
            "\u{feff}<?xml version=\"1.0\" encoding=\"UTF-8\"?><!-- a --><B xmlns=\"{NAMESPACE}\"> \
             <P>/a&amp;b&#x3c;<![CDATA[<&]]></P><E/></B>\n"
        );
        let root = read(&text).unwrap();
        assert_eq!((root.name.as_str(), root.children.len()), ("B", 2));
        assert_eq!(root.text_of(&["P"]), Some("/a&b<<&"));
        assert_eq!(root.text_of(&["E"]), Some(""));
        assert_eq!(root.text_of(&["P", "Q"]), None);
        let prefixed = format!("<c:B xmlns:c=\"{NAMESPACE}\"><c:P>x</c:P></c:B>");
        assert_eq!(read(&prefixed).unwrap().text_of(&["P"]), Some("x"));
    }

    #[test]
    fn what_is_hostile_is_refused() {
        let deep = "<a>".repeat(100_000);
        let many = format!("<a>{}</a>", "<b/>".repeat(10));
        for (text, why) in [
            ("", "cut off"),
            ("<a>", "cut off"),
            ("<a><b></a>", "well-formed"),
            ("<a/><b/>", "follows"),
            ("<a/>b", "outside"),
            ("<a b=1/>", "well-formed"),
            ("<a b=\"1\" b=\"2\"/>", "well-formed"),
            ("<!DOCTYPE a><a/>", "document type"),
            ("<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><a>&b;</a>", "document type"),
            ("<a>&b;</a>", "entity"),
            ("<a>&#0;</a>", "entity"),
            ("<a>&#1;</a>", "characters"),
            ("<a>&#x110000;</a>", "entity"),
            ("<a>\u{1}</a>", "characters"),
            ("<?php a?><a/>", "processing instruction"),
            ("<?xml version=\"1.0\" encoding=\"UTF-16\"?><a/>", "UTF-8"),
            ("<a xmlns=\"http://evil.example\"/>", "namespace"),
            (&deep, "too many"),
            (&many, "too many"),
        ] {
            let found = read(text).unwrap_err();
            assert!(found.contains(why), "{}: {found}", &text[..text.len().min(60)]);
        }
        assert_eq!(Element::read(b"<a>\xff</a>", LIMITS), Err("it is not UTF-8"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(text in "\\PC{0,40}") {
            let written = Writer::document("A", |writer| writer.text("B", &text));
            let root = read(&written).unwrap();
            prop_assert_eq!(root.text_of(&["B"]), Some(text.as_str()));
        }

        #[test]
        fn nothing_that_is_sent_panics(bytes in proptest::collection::vec(any::<u8>(), 0..60), text in "[<>&;/a!\\[\\]CDAT\"'= x#-]{0,40}") {
            let _ = Element::read(&bytes, LIMITS);
            let _ = read(&text);
        }
    }

    #[test]
    fn what_no_xml_can_hold_is_replaced() {
        let written = Writer::document("A", |writer| writer.text("B", "a\u{0}<b>"));
        assert!(written.ends_with("<B>a\u{fffd}&lt;b&gt;</B></A>"), "{written}");
    }
}
