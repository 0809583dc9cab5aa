//! The integration tests: stories over real sockets, one binary. Each file is a behaviour; `support` sets the stage.
#![cfg(feature = "demo")]
#![allow(clippy::unwrap_used, reason = "all of it is test code; clippy only knows the test functions")]
#![allow(unreachable_pub, reason = "one binary: `pub` says what a file offers to the others")]

mod admin_api;
mod caching;
mod collapse;
mod command_line;
mod compare;
#[cfg(feature = "compress")]
mod compression;
mod credentials;
mod dashboards;
mod early_answers;
#[cfg(feature = "http3")]
mod early_data;
mod error_pages;
mod explain;
mod failover;
mod fast_path;
mod faults;
#[cfg(feature = "geo")]
mod geo;
mod http2;
#[cfg(feature = "http3")]
mod http3;
mod import;
mod interim;
mod invalidation;
mod layers;
mod logs;
mod operations;
mod origin_tls;
mod origins;
mod parity;
mod protocols;
mod proxy_protocol;
mod ranges;
mod refusals;
mod regressions;
mod reload;
mod response_headers;
mod serving;
mod signing;
mod slices;
mod support;
mod tls;
mod viewer_headers;
mod warm;
