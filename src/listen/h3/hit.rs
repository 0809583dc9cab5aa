//! Hits at least cost: from the cache to the stream, without a map of the answer's fields and without a copy of its body.

use std::sync::Arc;

use bytes::BytesMut;
use http::StatusCode;
use http::request::Parts;

use super::frame::{self, Code, Fault};
use super::qpack;
use super::stream::Outbound;
use crate::edge::{Edge, Site};
use crate::listen::connection::SEND;
use crate::pipeline::hit::{self, Facts, HeadWriter};
use crate::pipeline::tx::Connection;
use crate::semantics::fields::{Line, Lines};
use crate::semantics::view::Received;

/// Answers a request without a body, if the cache has the answer. `None`: it has not, and nothing has been done.
pub(super) async fn answer(
    edge: &Edge,
    connection: &Connection,
    parts: &Parts,
    outbound: &mut Outbound,
) -> Option<Result<(), Fault>> {
    let lines: Vec<Line<'_>> =
        parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let received = Received {
        method: &parts.method,
        version: parts.version,
        authority: parts.uri.authority().map(http::uri::Authority::as_str),
        target: parts.uri.path_and_query()?.as_str(),
        lines: Lines(&lines),
    };
    let mut hit = hit::answer(edge, connection, &received)?;
    let mut head = Head(frame::Headers::new());
    hit.tell(&mut head);
    let site = hit.site();
    let sending = Sending { facts: hit.facts, edge, site, connection, received: &received, sent: 0 };
    Some(sending.send(head.0.end(), outbound).await)
}

/// A hit on its way out. Its drop says what has become of it.
struct Sending<'a> {
    facts: Facts,
    edge: &'a Edge,
    site: &'a Arc<Site>,
    connection: &'a Connection,
    received: &'a Received<'a>,
    /// Bytes of the body.
    sent: u64,
}

impl Sending<'_> {
    async fn send(mut self, head: BytesMut, outbound: &mut Outbound) -> Result<(), Fault> {
        let whole = self.facts.len();
        if whole == 0 {
            return outbound.write(&mut [head.freeze()], SEND).await;
        }
        // All of it is one DATA frame, whose length is known.
        let mut before = frame::data(head, whole);
        while self.sent < whole {
            let piece = self.facts.share(self.sent);
            if piece.is_empty() {
                return Err(Fault::Stream(Code::InternalError));
            }
            let length = piece.len() as u64;
            outbound.write(&mut [std::mem::take(&mut before), piece], SEND).await?;
            self.sent += length;
        }
        Ok(())
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        let Self { facts, edge, site, connection, received, sent } = self;
        facts.ended(edge, site, connection, received, *sent);
    }
}

/// A HEADERS frame that is told line by line.
pub(super) struct Head(pub(super) frame::Headers);

impl HeadWriter for Head {
    fn status(&mut self, status: StatusCode) {
        qpack::status(status, self.0.section());
    }

    fn lines(&mut self, lines: &[u8]) {
        let mut rest = lines;
        while let Some((name, value, behind)) = hit::line(rest) {
            if let Ok(name) = std::str::from_utf8(name) {
                self.field(name, value);
            }
            rest = behind;
        }
    }

    fn field(&mut self, name: &str, value: &[u8]) {
        qpack::field(name, value, self.0.section());
    }
}
