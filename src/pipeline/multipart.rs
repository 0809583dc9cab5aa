//! Several ranges of a stored object in one answer (RFC 9110 §14.6, §15.3.7.2; behaviour §6).

use std::collections::VecDeque;
use std::fmt::Write as _;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};

use super::deliver::forget_digests;
use crate::body::Body;
use crate::cache::object::Object;
use crate::cache::pieces::Pieces;

/// `parts`: first and last byte of each, both included.
pub(super) fn respond(object: &Object, pieces: &Pieces, parts: &[(u64, u64)]) -> Response<Body> {
    let boundary = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
    let kind = object.head.fields().content_type().and_then(|kind| std::str::from_utf8(kind).ok());
    let mut chain = VecDeque::with_capacity(2 * parts.len() + 1);
    let mut length = 0;
    let mut between = format!("--{boundary}\r\n");
    for (first, last) in parts {
        if let Some(kind) = kind {
            let _ = write!(between, "Content-Type: {kind}\r\n");
        }
        let _ = write!(between, "Content-Range: bytes {first}-{last}/{}\r\n\r\n", pieces.len());
        length += between.len() as u64 + (last - first + 1);
        chain.push_back(Body::Full(Bytes::from(between)));
        chain.push_back(Body::stored(pieces, *first, last - first + 1));
        between = format!("\r\n--{boundary}\r\n");
    }
    let end = format!("\r\n--{boundary}--\r\n");
    length += end.len() as u64;
    chain.push_back(Body::Full(Bytes::from(end)));

    let mut response = Response::new(Body::Chain(chain));
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    *response.headers_mut() = object.head.to_map();
    forget_digests(response.headers_mut());
    let kind = format!("multipart/byteranges; boundary={boundary}");
    if let Ok(kind) = HeaderValue::try_from(kind) {
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    response
}
