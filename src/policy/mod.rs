//! One question a file, each answered by a pure function: no clock, no socket, no runtime.

pub mod admission;
pub mod authority;
pub mod cache_status;
pub mod collapse;
pub mod compression;
pub mod cookies;
pub mod encoding;
pub mod errors;
pub mod failover;
pub mod forward;
pub mod freshness;
pub mod geo;
pub mod invalidation;
pub mod key;
pub mod lookup;
pub mod query;
pub mod response_headers;
pub mod told;
pub mod vary;
pub mod viewer_header;
