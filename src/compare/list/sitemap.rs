//! A sitemap (sitemaps.org): `loc` of each `url`. Whatever else a hostile one says is not listened to: no document type, no
//! entity of its own, nothing that is fetched.

use quick_xml::events::{BytesRef, Event};
use quick_xml::reader::Reader;

use super::{ListError, target};

pub(super) fn read(text: &str) -> Result<Vec<String>, ListError> {
    let no = |why| Err(ListError::Sitemap(why));
    let mut reader = Reader::from_str(text);
    // Names of the elements that are open, as deep as a sitemap is.
    let mut open: Vec<Vec<u8>> = Vec::new();
    // Of the sitemap's own vocabulary: its root's.
    let mut prefix = None;
    let mut location = String::new();
    let mut found = Vec::new();
    loop {
        let is_location = open.len() == 3 && open[1] == b"url" && open[2] == b"loc";
        match reader.read_event() {
            Ok(Event::Start(tag)) => {
                let of = tag.name().prefix().map(|prefix| prefix.into_inner().to_vec());
                if open.is_empty() {
                    prefix.clone_from(&of);
                }
                // image:loc is of another vocabulary.
                let name = if of == prefix { tag.local_name().as_ref().to_vec() } else { Vec::new() };
                match (open.len(), name.as_slice()) {
                    (0, b"urlset") | (1.., _) => {}
                    (0, b"sitemapindex") => return no("an index of other sitemaps; name one of those"),
                    (0, _) => return no("its root is not urlset"),
                }
                if open.len() >= DEEPEST {
                    return no("elements are nested too deeply");
                }
                open.push(name);
            }
            Ok(Event::End(_)) => {
                if is_location {
                    let Some(target) = target(location.trim()) else { return no("a loc is no http(s) URL") };
                    found.push(target);
                    location.clear();
                }
                open.pop();
            }
            Ok(Event::Text(part)) if is_location => match part.decode() {
                Ok(part) => location.push_str(&part),
                Err(_) => return no("it is not UTF-8"),
            },
            Ok(Event::CData(part)) if is_location => match part.decode() {
                Ok(part) => location.push_str(&part),
                Err(_) => return no("it is not UTF-8"),
            },
            Ok(Event::GeneralRef(reference)) if is_location => match character(&reference) {
                Some(character) => location.push(character),
                None => return no("an entity of its own"),
            },
            Ok(Event::DocType(_)) => return no("it has a document type"),
            Ok(Event::Eof) if open.is_empty() && !found.is_empty() => return Ok(found),
            Ok(Event::Eof) if open.is_empty() => return no("it holds no URL"),
            Ok(Event::Eof) => return no("it is cut off"),
            Ok(_) => {}
            Err(_) => return no("it is not well-formed"),
        }
    }
}

const DEEPEST: usize = 16;

/// XML's own five, and characters by number.
pub(crate) fn character(reference: &BytesRef<'_>) -> Option<char> {
    match &**reference {
        b"amp" => Some('&'),
        b"lt" => Some('<'),
        b"gt" => Some('>'),
        b"apos" => Some('\''),
        b"quot" => Some('"'),
        _ => reference.resolve_char_ref().ok().flatten(),
    }
}
