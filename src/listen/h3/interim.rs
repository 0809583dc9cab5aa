//! 1xx answers on their way to the viewer (RFC 9114 §4.1), from the text that HTTP/1.1 would send.

use bytes::Bytes;
use http::StatusCode;
use memchr::memmem;

use super::frame;
use super::hit::Head;
use crate::pipeline::hit::HeadWriter as _;

/// A HEADERS frame for each.
pub(super) fn frames(told: &[u8]) -> Vec<Bytes> {
    let mut frames = Vec::new();
    let mut rest = told;
    while let Some(end) = memmem::find(rest, b"\r\n\r\n") {
        let (head, behind) = rest.split_at(end + 4);
        rest = behind;
        let Some(first) = memmem::find(head, b"\r\n") else { break };
        let status = head.get("HTTP/1.1 ".len()..).and_then(|head| head.first_chunk::<3>());
        let Some(status) = status.and_then(|status| StatusCode::from_bytes(status).ok()) else { break };
        let mut frame = Head(frame::Headers::new());
        frame.status(status);
        frame.lines(&head[first + 2..head.len() - 2]);
        frames.push(frame.0.end().freeze());
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::super::qpack;
    use super::*;

    #[test]
    fn each_is_a_section_of_its_own() {
        let told = b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\nlink: </b.css>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n";
        let read = |frame: &Bytes| {
            let (_, length, used) = frame::header(frame).unwrap();
            assert_eq!(frame.len() - used, length as usize);
            let mut fields = Vec::new();
            let take = |name: &[u8], value: &[u8]| {
                fields.push(format!("{}={}", name.escape_ascii(), value.escape_ascii()));
                Ok::<(), ()>(())
            };
            qpack::decode(&frame[used..], 1000, take).unwrap();
            fields
        };
        let frames = frames(told);
        assert_eq!(
            frames.iter().map(read).collect::<Vec<_>>(),
            [vec![":status=103", "link=</a.css>", "link=</b.css>"], vec![":status=102"]]
        );
    }
}
