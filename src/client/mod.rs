//! Asks an HTTP server as a viewer does, and takes the time: for `compare`, `warm`, and the demo.
//!
//! Not the origin's client (`origin/pool.rs`): that one mends, signs and collapses, this one only looks.

mod connection;
mod line;
mod site;
pub mod tls;

pub use connection::{Dial, Protocol, Reach};
pub use line::{Answer, Line, Question};
pub use site::{Resolve, Site};

/// Why there is no answer, in words for a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    #[error("{0} cannot be resolved")]
    Name(String),
    #[error("cannot connect: {0}")]
    Connect(String),
    #[error("TLS: {0}")]
    Tls(String),
    #[error("it does not speak HTTP/2")]
    NoHttp2,
    #[error("the connection was lost: {0}")]
    Lost(String),
    #[error("the answer broke off: {0}")]
    Broken(String),
    #[error("no answer within {0} s")]
    Late(u64),
    #[error("the path cannot be asked for")]
    Target,
}
