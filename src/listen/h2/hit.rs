//! Hits: answered from the request where it was received, and written into the connection's output at once.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;

use super::core::{Core, Request};
use super::hpack::Fields;
use super::output::{COPIED, Output};
use super::request::{LINES, Shape};
use super::send::Block;
use super::session::Work;
use crate::edge::{Edge, Site};
use crate::pipeline::hit::{self, Facts, HeadWriter};
use crate::pipeline::tx::Connection;
use crate::semantics::fields::Line;

/// Octets that are handed out at a time, however large the pieces of an object are.
const STEP: usize = 256 << 10;
/// Room for the lines of a request.
const NOTHING: [Line<'static>; LINES] = [("", b""); LINES];

/// Answers a request that the cache has the answer to. `false`: it has not, and nothing has been done.
pub(super) fn answer(
    core: &mut Core<Work>,
    edge: &Arc<Edge>,
    connection: &Arc<Connection>,
    request: &Request,
    fields: &Fields,
) -> bool {
    // A body, announced or not, is for the pipeline to refuse (behaviour §2.2).
    if !request.ended {
        return false;
    }
    let mut lines = NOTHING;
    let Some(received) = request.shape.head(fields).received(&mut lines) else { return false };
    let Some(mut hit) = hit::answer(edge, connection, &received) else { return false };
    let length = hit.facts.len();
    let is_whole = length == 0 || core.fits(length);
    let mut block = core.begin(request.id);
    hit.tell(&mut Writer(&mut block));
    block.end(length == 0);
    if is_whole {
        let octets = usize::try_from(length).unwrap_or(usize::MAX);
        core.end_at_once(request, octets, |output| put(&hit.facts, output));
        hit.facts.ended(edge, hit.site(), connection, &received, length);
        return true;
    }
    let site = Arc::clone(hit.site());
    let body = Body {
        facts: hit.facts,
        position: 0,
        site,
        edge: Arc::clone(edge),
        connection: Arc::clone(connection),
        fields: fields.clone(),
        shape: request.shape,
    };
    core.open(request, Work::Hit(Box::new(body)));
    core.responded(request.id);
    true
}

/// All of a body.
fn put(facts: &Facts, output: &mut Output) {
    let mut position = 0;
    loop {
        let piece = facts.bytes(position);
        if piece.is_empty() {
            return;
        }
        if piece.len() < COPIED {
            output.end().extend_from_slice(piece);
        } else {
            output.push(facts.share(position));
        }
        position += piece.len() as u64;
    }
}

/// A hit's body, on its way; what is said of it at its end.
#[derive(Debug)]
pub(super) struct Body {
    facts: Facts,
    position: u64,
    site: Arc<Site>,
    edge: Arc<Edge>,
    connection: Arc<Connection>,
    fields: Fields,
    shape: Shape,
}

impl Body {
    pub(super) fn next(&mut self) -> Option<Bytes> {
        let mut piece = self.facts.share(self.position);
        piece.truncate(STEP);
        self.position += piece.len() as u64;
        (!piece.is_empty()).then_some(piece)
    }

    pub(super) fn is_end(&self) -> bool {
        self.position >= self.facts.len()
    }

    pub(super) fn left_behind(&mut self, octets: usize) {
        self.position = self.position.saturating_sub(octets as u64);
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        let mut lines = NOTHING;
        if let Some(received) = self.shape.head(&self.fields).received(&mut lines) {
            self.facts.ended(&self.edge, &self.site, &self.connection, &received, self.position);
        }
    }
}

/// A head as the pipeline says it.
struct Writer<'w, 'c>(&'w mut Block<'c>);

impl HeadWriter for Writer<'_, '_> {
    fn status(&mut self, status: StatusCode) {
        self.0.status(status.as_u16());
    }

    fn lines(&mut self, lines: &[u8]) {
        let mut rest = lines;
        while let Some((name, value, behind)) = hit::line(rest) {
            self.0.field(name, value);
            rest = behind;
        }
    }

    fn field(&mut self, name: &str, value: &[u8]) {
        self.0.field(name.as_bytes(), value);
    }
}
