//! A page of ListObjectsV2 (s3 §2).

use percent_encoding::percent_decode_str;
use quick_xml::Reader;
use quick_xml::events::Event;

use crate::compare::list::character;

/// Keys, and how to ask for more.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Page {
    pub(super) keys: Vec<String>,
    /// `None`: these were the last.
    pub(super) next: Option<String>,
}

/// `None`: it is no such page, or cut off. Nothing that a document type says is listened to.
pub(super) fn read(body: &[u8]) -> Option<Page> {
    let mut reader = Reader::from_reader(body);
    let mut open: Vec<Vec<u8>> = Vec::new();
    let mut text = String::new();
    let mut page = Page::default();
    let (mut encoded, mut truncated) = (false, false);
    loop {
        match reader.read_event().ok()? {
            Event::Start(tag) => {
                open.push(tag.local_name().as_ref().to_vec());
                if open[0] != b"ListBucketResult" || open.len() > 4 {
                    return None;
                }
                text.clear();
            }
            Event::Text(part) => text.push_str(&part.decode().ok()?),
            Event::CData(part) => text.push_str(&part.decode().ok()?),
            Event::GeneralRef(reference) => text.push(character(&reference)?),
            Event::End(_) => {
                match open.iter().map(Vec::as_slice).collect::<Vec<_>>().as_slice() {
                    [_, b"Contents", b"Key"] => page.keys.push(std::mem::take(&mut text)),
                    [_, b"NextContinuationToken"] => page.next = Some(std::mem::take(&mut text)),
                    [_, b"IsTruncated"] => truncated = text == "true",
                    [_, b"EncodingType"] => encoded = text == "url",
                    _ => {}
                }
                open.pop();
                if open.is_empty() {
                    break;
                }
            }
            Event::DocType(_) | Event::Eof => return None,
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
    if encoded {
        for key in &mut page.keys {
            // As a form is encoded: a space is a plus.
            *key = percent_decode_str(&key.replace('+', " ")).decode_utf8().ok()?.into_owned();
        }
    }
    page.next = page.next.filter(|_| truncated);
    Some(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_read_and_nothing_else() {
        let page = |inner: &str| {
            format!("<?xml version=\"1.0\"?><ListBucketResult xmlns=\"a\">{inner}</ListBucketResult>")
        };
        let keys = "<Contents><Key>a&amp;b</Key><Size>1</Size></Contents><Contents><Key>c+d</Key></Contents>";
        let url = "<EncodingType>url</EncodingType>";
        let more = "<IsTruncated>true</IsTruncated><NextContinuationToken>t==</NextContinuationToken>";
        let table = [
            (page(""), Some((vec![], None))),
            (page(keys), Some((vec!["a&b", "c+d"], None))),
            (page(&format!("<Contents><Key>a+%C3%A9%2B</Key></Contents>{url}")), Some((vec!["a é+"], None))),
            (page(&format!("{keys}{more}")), Some((vec!["a&b", "c+d"], Some("t==")))),
            (page("<NextContinuationToken>t</NextContinuationToken>"), Some((vec![], None))),
            (page("<Contents><Key>&x;</Key></Contents>"), None),
            (format!("<!DOCTYPE a>{}", page("")), None),
            ("<ListBucketResult><Contents>".to_owned(), None),
            ("<Error><Code>AccessDenied</Code></Error>".to_owned(), None),
            (page("<a><b><c><d></d></c></b></a>"), None),
        ];
        for (body, expected) in table {
            let expected = expected.map(|(keys, next): (Vec<&str>, Option<&str>)| Page {
                keys: keys.into_iter().map(str::to_owned).collect(),
                next: next.map(str::to_owned),
            });
            assert_eq!(read(body.as_bytes()), expected, "{body}");
        }
    }
}
