//! Reads an S3 error body: a flat document under `Error` (s3 §2.10).

use quick_xml::Reader;
use quick_xml::events::{BytesRef, Event};

/// The elements of an error body that are looked at.
#[derive(Default)]
pub(super) struct Fields {
    pub(super) code: Option<String>,
    pub(super) region: Option<String>,
    pub(super) server_time: Option<String>,
    pub(super) message: Option<String>,
    pub(super) headers_not_signed: bool,
}

impl Fields {
    /// `None` when the body is another kind of document, or one that could be read in two ways.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let mut reader = Reader::from_reader(body);
        let mut fields = Self::default();
        // Names of the elements that are open.
        let mut open: Vec<Vec<u8>> = Vec::new();
        loop {
            match reader.read_event() {
                Ok(Event::Start(tag)) => {
                    open.push(tag.local_name().as_ref().to_vec());
                    fields.enter(&open)?;
                }
                Ok(Event::Empty(tag)) => {
                    open.push(tag.local_name().as_ref().to_vec());
                    fields.enter(&open)?;
                    open.pop();
                }
                Ok(Event::End(_)) => {
                    open.pop();
                    if open.is_empty() {
                        return Some(fields);
                    }
                }
                Ok(Event::Text(text)) => fields.add(&open, &text.decode().ok()?),
                Ok(Event::CData(text)) => fields.add(&open, &text.decode().ok()?),
                Ok(Event::GeneralRef(reference)) => fields.add(&open, resolve(&reference)?),
                Ok(Event::DocType(_)) => return None,
                // Cut, or broken: what came before still counts.
                Ok(Event::Eof) | Err(_) => return Some(fields),
                Ok(Event::Comment(_) | Event::Decl(_) | Event::PI(_)) => {}
            }
        }
    }

    fn enter(&mut self, open: &[Vec<u8>]) -> Option<()> {
        match open {
            [root] if root != b"Error" => None,
            [_, name] if name == b"HeadersNotSigned" => {
                self.headers_not_signed = true;
                Some(())
            }
            _ => Some(()),
        }
    }

    fn add(&mut self, open: &[Vec<u8>], text: &str) {
        let [_, name] = open else { return };
        let field = match name.as_slice() {
            b"Code" => &mut self.code,
            b"Region" => &mut self.region,
            b"ServerTime" => &mut self.server_time,
            b"Message" => &mut self.message,
            _ => return,
        };
        field.get_or_insert_default().push_str(text);
    }
}

/// XML's own entities and characters by number stand in no field that is kept whole, so one sign does for all
/// of them. Any other entity would need a document type.
fn resolve(reference: &BytesRef<'_>) -> Option<&'static str> {
    let known = matches!(&**reference, b"amp" | b"lt" | b"gt" | b"apos" | b"quot" | [b'#', ..]);
    known.then_some("&")
}
