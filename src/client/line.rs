//! Questions one after the other on a connection that is kept.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{Context, SHA256};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::connection::{Connection, lost};
use super::{Dial, Reach, Site, Trouble};

/// A request without a body.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    pub method: Method,
    /// Path and query, as they go over the wire.
    pub target: String,
    /// Beside `Host`.
    pub headers: HeaderMap,
    /// A body up to this many bytes is kept, a longer one is only hashed.
    pub keep: usize,
}

/// An answer that was read to its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// Bytes of the body, as they came.
    pub length: u64,
    /// Of the body.
    pub sha256: [u8; 32],
    /// The body, if it was to be kept.
    pub body: Option<Bytes>,
    /// From the question to the head of the answer.
    pub first_byte: Duration,
    /// From the question to the end of the body.
    pub last_byte: Duration,
}

/// To one site, one question at a time.
pub struct Line {
    site: Arc<Site>,
    reach: Reach,
    open: Option<Connection>,
}

impl Line {
    /// Opens nothing yet.
    #[must_use]
    pub fn new(site: Arc<Site>, reach: Reach) -> Self {
        Self { site, reach, open: None }
    }

    /// What the connection is, if there is one.
    #[must_use]
    pub fn dial(&self) -> Option<&Dial> {
        self.open.as_ref().map(Connection::dial)
    }

    /// Asks on the connection that is there, or on a new one; what that takes is not counted. A connection that was closed
    /// while it was idle is made anew, once: nothing else is asked twice.
    ///
    /// # Errors
    /// [`Trouble`]; the next question has a new connection then.
    pub async fn ask(&mut self, question: &Question) -> Result<Answer, Trouble> {
        if let Some(connection) = self.open.take().filter(|connection| !connection.is_closed()) {
            match self.ask_on(connection, question).await {
                Err(Trouble::Lost(_)) => {}
                done => return done,
            }
        }
        let connection = Connection::open(&self.site, &self.reach).await?;
        self.ask_on(connection, question).await
    }

    async fn ask_on(&mut self, mut connection: Connection, question: &Question) -> Result<Answer, Trouble> {
        let patience = self.reach.patience;
        let answer = tokio::time::timeout(patience, exchange(&mut connection, &self.site, question)).await;
        let answer = answer.map_err(|_| Trouble::Late(patience.as_secs()))??;
        self.open = Some(connection);
        Ok(answer)
    }
}

async fn exchange(connection: &mut Connection, site: &Site, question: &Question) -> Result<Answer, Trouble> {
    connection.ready().await?;
    let started = Instant::now();
    let answer = connection.send(site, question).await?;
    let first_byte = started.elapsed();
    read(answer, question.keep, started, first_byte).await
}

async fn read(
    answer: Response<Incoming>,
    keep: usize,
    started: Instant,
    first_byte: Duration,
) -> Result<Answer, Trouble> {
    let (head, mut body) = answer.into_parts();
    let mut hash = Context::new(&SHA256);
    let mut kept = (keep > 0).then(BytesMut::new);
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Trouble::Broken(lost(error).to_string()))?;
        let Some(data) = frame.data_ref() else { continue };
        hash.update(data);
        length += data.len() as u64;
        match &mut kept {
            Some(so_far) if so_far.len() + data.len() <= keep => so_far.extend_from_slice(data),
            _ => kept = None,
        }
    }
    let last_byte = started.elapsed();
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(hash.finish().as_ref());
    let body = kept.map(BytesMut::freeze);
    Ok(Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        length,
        sha256,
        body,
        first_byte,
        last_byte,
    })
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line").field("site", &self.site).finish_non_exhaustive()
    }
}
