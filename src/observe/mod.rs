//! What is seen from outside: metrics, the access log, diagnostics.

pub mod access_log;
pub mod metrics;
pub mod record;
mod shard;
pub mod trace;
