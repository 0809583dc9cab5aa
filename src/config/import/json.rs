//! JSON text → [`Node`]s that know their lines. RFC 8259 and no more; `serde_json` keeps no places.

use std::borrow::Cow;

/// Deeper nesting than this is refused, as `serde_json` does: a distribution needs about ten levels.
const DEEPEST: usize = 127;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node<'t> {
    /// From 1.
    pub line: usize,
    pub value: Value<'t>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value<'t> {
    Null,
    Bool(bool),
    /// As it was typed.
    Number(&'t str),
    String(Cow<'t, str>),
    Array(Vec<Node<'t>>),
    /// In the order of the text; names may repeat.
    Object(Vec<Entry<'t>>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry<'t> {
    pub name: Cow<'t, str>,
    /// Of the name, from 1.
    pub line: usize,
    pub value: Node<'t>,
}

impl Node<'_> {
    /// Without its lines. Of a name that stands there twice the last counts.
    pub(super) fn plain(&self) -> serde_json::Value {
        use serde_json::Value as Plain;
        match &self.value {
            Value::Null => Plain::Null,
            Value::Bool(value) => Plain::Bool(*value),
            // What nobody can hold stays as it was typed.
            Value::Number(text) => {
                serde_json::from_str(text).unwrap_or_else(|_| Plain::String((*text).to_owned()))
            }
            Value::String(text) => Plain::String(text.to_string()),
            Value::Array(items) => items.iter().map(Self::plain).collect(),
            Value::Object(entries) => {
                entries.iter().map(|entry| (entry.name.to_string(), entry.value.plain())).collect()
            }
        }
    }
}

/// What is wrong first, and in which line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Malformed {
    pub line: usize,
    pub reason: &'static str,
}

pub(super) fn parse(text: &str) -> Result<Node<'_>, Malformed> {
    let mut parser = Parser { text, at: 0, line: 1 };
    parser.skip_blanks();
    let node = parser.node(0)?;
    parser.skip_blanks();
    if parser.at < text.len() { Err(parser.malformed("something follows the value")) } else { Ok(node) }
}

struct Parser<'t> {
    text: &'t str,
    /// Offset in bytes, always between two characters.
    at: usize,
    line: usize,
}

type Parsed<T> = Result<T, Malformed>;

impl<'t> Parser<'t> {
    fn node(&mut self, depth: usize) -> Parsed<Node<'t>> {
        if depth > DEEPEST {
            return Err(self.malformed("it is nested too deeply"));
        }
        let line = self.line;
        let value = match self.peek() {
            Some(b'{') => Value::Object(self.object(depth)?),
            Some(b'[') => Value::Array(self.array(depth)?),
            Some(b'"') => Value::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => Value::Number(self.number()?),
            Some(b't') => self.word("true", Value::Bool(true))?,
            Some(b'f') => self.word("false", Value::Bool(false))?,
            Some(b'n') => self.word("null", Value::Null)?,
            Some(_) => return Err(self.malformed("a value was expected")),
            None => return Err(self.malformed("it ends where a value was expected")),
        };
        Ok(Node { line, value })
    }

    fn object(&mut self, depth: usize) -> Parsed<Vec<Entry<'t>>> {
        self.at += 1;
        let mut entries = Vec::new();
        self.skip_blanks();
        if self.takes(b'}') {
            return Ok(entries);
        }
        loop {
            self.skip_blanks();
            if self.peek() != Some(b'"') {
                return Err(self.malformed("a name in quotes was expected"));
            }
            let line = self.line;
            let name = self.string()?;
            self.skip_blanks();
            if !self.takes(b':') {
                return Err(self.malformed("a colon was expected"));
            }
            self.skip_blanks();
            entries.push(Entry { name, line, value: self.node(depth + 1)? });
            self.skip_blanks();
            if self.takes(b'}') {
                return Ok(entries);
            }
            if !self.takes(b',') {
                return Err(self.malformed("a comma or } was expected"));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Parsed<Vec<Node<'t>>> {
        self.at += 1;
        let mut items = Vec::new();
        self.skip_blanks();
        if self.takes(b']') {
            return Ok(items);
        }
        loop {
            self.skip_blanks();
            items.push(self.node(depth + 1)?);
            self.skip_blanks();
            if self.takes(b']') {
                return Ok(items);
            }
            if !self.takes(b',') {
                return Err(self.malformed("a comma or ] was expected"));
            }
        }
    }

    /// Borrowed when it has no escapes.
    fn string(&mut self) -> Parsed<Cow<'t, str>> {
        self.at += 1;
        let mut owned: Option<String> = None;
        let mut from = self.at;
        loop {
            match self.peek() {
                Some(b'"') => {
                    let rest = &self.text[from..self.at];
                    self.at += 1;
                    return Ok(match owned {
                        Some(text) => Cow::Owned(text + rest),
                        None => Cow::Borrowed(rest),
                    });
                }
                Some(b'\\') => {
                    let text = owned.get_or_insert_default();
                    text.push_str(&self.text[from..self.at]);
                    self.at += 1;
                    let c = self.escape()?;
                    owned.get_or_insert_default().push(c);
                    from = self.at;
                }
                Some(0..=0x1f) => return Err(self.malformed("a control character stands in a string")),
                Some(_) => self.at += 1,
                None => return Err(self.malformed("a string does not end")),
            }
        }
    }

    fn escape(&mut self) -> Parsed<char> {
        let kind = self.peek();
        self.at += usize::from(kind.is_some_and(|byte| byte.is_ascii()));
        Ok(match kind {
            Some(c @ (b'"' | b'\\' | b'/')) => char::from(c),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => return Err(self.malformed("an escape is not one of JSON's")),
        })
    }

    /// After `\u`; a pair of surrogates is one character.
    fn unicode(&mut self) -> Parsed<char> {
        let first = self.hex()?;
        let code = match first {
            0xd800..=0xdbff if self.text.as_bytes()[self.at..].starts_with(b"\\u") => {
                self.at += 2;
                match self.hex()? {
                    second @ 0xdc00..=0xdfff => 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00),
                    _ => first,
                }
            }
            _ => first,
        };
        char::from_u32(code).ok_or_else(|| self.malformed("half of a surrogate pair"))
    }

    fn hex(&mut self) -> Parsed<u32> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4);
        let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let code = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let code = code.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        self.at += if code.is_some() { 4 } else { 0 };
        code.ok_or_else(|| self.malformed("\\u without four hexadecimal digits"))
    }

    fn number(&mut self) -> Parsed<&'t str> {
        let from = self.at;
        self.takes(b'-');
        if !self.takes(b'0') {
            self.digits()?;
        }
        if self.takes(b'.') {
            self.digits()?;
        }
        if self.takes(b'e') || self.takes(b'E') {
            let _ = self.takes(b'+') || self.takes(b'-');
            self.digits()?;
        }
        Ok(&self.text[from..self.at])
    }

    fn digits(&mut self) -> Parsed<()> {
        let from = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == from { Err(self.malformed("a digit was expected")) } else { Ok(()) }
    }

    fn word(&mut self, word: &str, value: Value<'t>) -> Parsed<Value<'t>> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.malformed("a value was expected"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn skip_blanks(&mut self) {
        while let Some(byte @ (b' ' | b'\t' | b'\r' | b'\n')) = self.peek() {
            self.line += usize::from(byte == b'\n');
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn takes(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn malformed(&self, reason: &'static str) -> Malformed {
        Malformed { line: self.line, reason }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_value_has_its_line() {
        let node = parse("{\n \"a\": [1,\n  {\"b\":\n   \"c\\u00e9\\ud83d\\ude00\"}]}").unwrap();
        let Value::Object(entries) = &node.value else { panic!("{node:?}") };
        assert_eq!((node.line, entries[0].line), (1, 2));
        let Value::Array(items) = &entries[0].value.value else { panic!("{node:?}") };
        assert_eq!((items[0].line, items[1].line), (2, 3));
        let Value::Object(inner) = &items[1].value else { panic!("{node:?}") };
        assert_eq!((inner[0].line, inner[0].value.line), (3, 4));
        assert_eq!(inner[0].value.value, Value::String("cé😀".into()));
    }

    #[test]
    fn the_first_fault_has_its_line() {
        for (text, line, reason) in [
            ("", 1, "it ends where a value was expected"),
            ("\n{\"a\" 1}", 2, "a colon was expected"),
            ("{\"a\":1,}", 1, "a name in quotes was expected"),
            ("[1\n2]", 2, "a comma or ] was expected"),
            ("{} x", 1, "something follows the value"),
            ("\"a\nb\"", 1, "a control character stands in a string"),
            ("\"\\ud800\"", 1, "half of a surrogate pair"),
            ("01", 1, "something follows the value"),
        ] {
            assert_eq!(parse(text), Err(Malformed { line, reason }), "{text:?}");
        }
        let deep = "[".repeat(100_000);
        assert_eq!(parse(&deep).unwrap_err().reason, "it is nested too deeply");
    }

    #[test]
    fn a_number_that_nobody_can_hold_is_kept_as_it_was_typed() {
        assert_eq!(parse("0.1e310").unwrap().value, Value::Number("0.1e310"));
    }

    /// Pieces of JSON, so that chance makes whole texts often enough.
    fn text() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("{".to_owned()),
            Just("}".to_owned()),
            Just("[".to_owned()),
            Just("]".to_owned()),
            Just("\"a\":".to_owned()),
            Just("\"\\u00e9\\n\"".to_owned()),
            Just("\\ud83d\\ude00".to_owned()),
            Just("true,null".to_owned()),
            "-?[0-9]{1,3}(\\.[0-9]{0,2})?(e[+-]?[0-9]?)?",
            "[\",: \\\\\n]",
            any::<char>().prop_map(String::from),
        ];
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        /// The same texts are JSON, and mean the same, as for `serde_json`.
        #[test]
        fn as_serde_json_reads_it(text in text()) {
            let ours = parse(&text);
            match serde_json::from_str::<serde_json::Value>(&text) {
                Ok(expected) => prop_assert_eq!(ours.unwrap().plain(), expected),
                // A number is kept as it was typed: whoever wants it says whether it is one.
                Err(error) if error.to_string().starts_with("number out of range") => {}
                Err(_) => prop_assert!(ours.is_err(), "{}", text),
            }
        }

        #[test]
        fn what_serde_json_writes_is_read_back(text in "\\PC{0,20}", number in any::<i64>()) {
            let value = serde_json::json!({ "a": [text, number, null, true], "b": { &text: [] } });
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            prop_assert_eq!(parse(&pretty).unwrap().plain(), value);
        }
    }
}
