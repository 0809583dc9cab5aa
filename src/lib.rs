//! edgeseal: a self-hosted CDN tier in front of private, KMS-encrypted S3 buckets.
//!
//! Data flows one way: listener → route → access → policy → cache → origin → response → log.
//!
//! | module | | knows |
//! |---|---|---|
//! | [`semantics`] | HTTP's vocabulary: paths, ranges, conditions, Cache-Control | nobody |
//! | [`config`] | what was typed, what is wrong with it, what it means | nobody |
//! | [`route`] | host → distribution, path → behaviour | nobody |
//! | [`policy`] | one question a file: key, admission, freshness, lookup, errors | semantics, config, cache's types |
//! | [`cache`] | objects and slices in memory, arriving ones in flight, what was invalidated | policy's types |
//! | [`encoder`] | gzip and Brotli, piece by piece | semantics |
//! | [`origin`] | ask, sign, send, understand | semantics, config |
//! | [`geo`] | addresses → places | semantics |
//! | [`early`] | requests from before the end of a handshake | nobody |
//! | [`interim`] | 1xx answers from an origin to a viewer | semantics |
//! | [`pipeline`] | the path of a request on one screen | all of the above |
//! | [`edge`] | everything built, nothing listening | all of the above |
//! | [`live`] | the edge in force, which a reload replaces | edge |
//! | [`listen`] | sockets, TLS, workers, draining | edge, pipeline |
//! | [`observe`] | metrics, access log, diagnostics | config |
//! | [`delivery`] | finished log files to their bucket | config, observe, origin |
//! | [`admin`] | health, readiness, metrics, CloudFront's API, explanations on a listener of their own | config, observe |
//! | [`server`] | edge, listeners and admin joined: what `run`, `demo` and the tests start | edge, listen, admin, delivery |
//! | [`stamp`] | whether a file may have changed | nobody |
//! | [`client`] | asks an HTTP server as a viewer does, and takes the time | nobody |
//! | [`compare`] | do two servers answer alike, and how fast: verdicts, statistics, report | client's types |
//! | [`cli`] | arguments to exit code | everybody |
//!
//! ARCHITECTURE.md walks one request through them.

pub mod admin;
pub mod body;
pub mod cache;
pub mod cli;
pub mod client;
pub mod clock;
pub mod compare;
pub mod config;
pub mod delivery;
#[cfg(feature = "demo")]
pub mod demo;
pub mod early;
pub mod edge;
pub mod encoder;
pub mod error;
pub mod geo;
pub mod interim;
pub mod listen;
pub mod live;
pub mod observe;
pub mod origin;
pub mod pipeline;
pub mod policy;
pub mod route;
pub mod semantics;
pub mod server;
pub mod stamp;
