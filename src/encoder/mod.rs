//! Bodies into gzip or Brotli, piece by piece, in bounded memory and bounded steps (behaviour §7).

#[cfg(not(feature = "compress"))]
mod absent;
#[cfg(feature = "compress")]
mod built;

#[cfg(not(feature = "compress"))]
pub use absent::Encoder;
#[cfg(feature = "compress")]
pub use built::Encoder;

use crate::semantics::coding::Coding;

/// Bytes of a step: what an encoder is given at once, so that it holds up a worker for a millisecond at most.
pub const STEP: usize = 16 << 10;

/// An encoder does not go on. It should never happen: they write to memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the encoder failed")]
pub struct Stuck;

/// Bytes that an encoder of a body of `length` bytes takes, about; measured.
#[must_use]
pub fn memory(coding: Coding, length: u64) -> u64 {
    match coding {
        Coding::Gzip => 512 << 10,
        Coding::Brotli => (2 << 20) + (2 << window(length)),
    }
}

/// The window of a Brotli encoder, as a power of two: as large as the body, within limits. Below 17, the encoder takes
/// tables of 32 MiB.
fn window(length: u64) -> u32 {
    length.max(1).next_power_of_two().ilog2().clamp(17, 20)
}
