//! HPACK (RFC 7541): a decoder that keeps its bounds while it decodes, and an encoder for answers.
//!
//! Our own, for want of a crate that is kept up: `h2` keeps its own to itself, and `httlib-hpack`, `fluke-hpack` and
//! `loona-hpack` have stood still for years and allocate for each field.

mod blocks;
mod decode;
mod encode;
mod table;

pub(super) use blocks::Blocks;
pub(super) use decode::{Decoder, Fields, Invalid};
pub(super) use encode::Encoder;
pub(super) use table::Name;

/// Bytes of a dynamic table, either side's (RFC 9113 §6.5.2, the initial value).
pub(super) const TABLE: usize = 4_096;
