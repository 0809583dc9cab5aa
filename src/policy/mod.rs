//! One question a file, each answered by a pure function: no clock, no socket, no runtime.

pub mod admission;
pub mod errors;
pub mod failover;
pub mod freshness;
pub mod key;
pub mod lookup;
pub mod response_headers;
