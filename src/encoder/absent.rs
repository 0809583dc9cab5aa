//! A binary without the cargo feature `compress`: there is no encoder, and the configuration says so.

use bytes::Bytes;

use super::Stuck;
use crate::semantics::coding::Coding;

/// There is none.
#[derive(Debug)]
pub enum Encoder {}

impl Encoder {
    /// Always `None`.
    #[must_use]
    pub fn new(_: Coding, _: u64) -> Option<Self> {
        None
    }

    /// # Errors
    /// None: nothing calls it.
    pub fn write(&mut self, _: &[u8]) -> Result<Bytes, Stuck> {
        match *self {}
    }

    /// # Errors
    /// None: nothing calls it.
    pub fn flush(&mut self) -> Result<Bytes, Stuck> {
        match *self {}
    }

    /// # Errors
    /// None: nothing calls it.
    pub fn finish(self) -> Result<Bytes, Stuck> {
        match self {}
    }
}
