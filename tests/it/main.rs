//! The integration tests: stories over real sockets, one binary. Each file is a behaviour; `support` sets the stage.
#![cfg(feature = "demo")]

mod serving;
mod support;
