//! zlib-rs and brotli behind one face.

use std::io::Write;

use brotli::enc::StandardAlloc;
use brotli::enc::encode::{
    BrotliEncoderOperation as Operation, BrotliEncoderParameter as Parameter, BrotliEncoderStateStruct,
};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Stuck, window};
use crate::semantics::coding::Coding;

/// Of 9; above it takes twice the time for one percent.
const GZIP_LEVEL: u32 = 6;
/// Of 11; the first that is clearly smaller than gzip.
const BROTLI_QUALITY: u32 = 5;
/// Bytes after which a Brotli encoder must put out what it has. Left alone, it collects half a mebibyte and then works
/// on that for 4 ms at once; this costs one percent of size.
const BROTLI_BLOCK: usize = 32 << 10;

/// A body being compressed. What its methods return are the next bytes of the compressed one, in order; often none.
pub struct Encoder(Kind);

enum Kind {
    Gzip(Box<GzEncoder<Vec<u8>>>),
    Brotli(Box<Brotli>),
}

struct Brotli {
    state: BrotliEncoderStateStruct<StandardAlloc>,
    /// Bytes since the last block.
    taken: usize,
}

impl Encoder {
    /// For a body of `length` bytes. `None`: this binary has no encoders.
    #[must_use]
    pub fn new(coding: Coding, length: u64) -> Option<Self> {
        Some(Self(match coding {
            Coding::Gzip => Kind::Gzip(Box::new(GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL)))),
            Coding::Brotli => Kind::Brotli(Box::new(Brotli::new(length))),
        }))
    }

    /// Takes the next bytes of the body; at most [`super::STEP`] at once, if nothing is to wait.
    ///
    /// # Errors
    /// [`Stuck`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<Bytes, Stuck> {
        match &mut self.0 {
            Kind::Gzip(gzip) => {
                gzip.write_all(bytes).map_err(|_| Stuck)?;
                Ok(std::mem::take(gzip.get_mut()).into())
            }
            Kind::Brotli(brotli) => brotli.write(bytes),
        }
    }

    /// Lets go of all that was taken, so that it can be read while the rest is awaited.
    ///
    /// # Errors
    /// [`Stuck`].
    pub fn flush(&mut self) -> Result<Bytes, Stuck> {
        match &mut self.0 {
            Kind::Gzip(gzip) => {
                gzip.flush().map_err(|_| Stuck)?;
                Ok(std::mem::take(gzip.get_mut()).into())
            }
            Kind::Brotli(brotli) => brotli.run(Operation::BROTLI_OPERATION_FLUSH, &[]),
        }
    }

    /// The last bytes.
    ///
    /// # Errors
    /// [`Stuck`].
    pub fn finish(self) -> Result<Bytes, Stuck> {
        match self.0 {
            Kind::Gzip(gzip) => gzip.finish().map(Bytes::from).map_err(|_| Stuck),
            Kind::Brotli(mut brotli) => brotli.run(Operation::BROTLI_OPERATION_FINISH, &[]),
        }
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Kind::Gzip(_) => "Encoder(gzip)",
            Kind::Brotli(_) => "Encoder(br)",
        })
    }
}

impl Brotli {
    fn new(length: u64) -> Self {
        let mut state = BrotliEncoderStateStruct::new(StandardAlloc::default());
        let size = u32::try_from(length).unwrap_or(u32::MAX);
        for (parameter, value) in [
            (Parameter::BROTLI_PARAM_QUALITY, BROTLI_QUALITY),
            (Parameter::BROTLI_PARAM_LGWIN, window(length)),
            (Parameter::BROTLI_PARAM_SIZE_HINT, size),
        ] {
            state.set_parameter(parameter, value);
        }
        Self { state, taken: 0 }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<Bytes, Stuck> {
        self.taken += bytes.len();
        if self.taken < BROTLI_BLOCK {
            return self.run(Operation::BROTLI_OPERATION_PROCESS, bytes);
        }
        self.taken = 0;
        self.run(Operation::BROTLI_OPERATION_FLUSH, bytes)
    }

    /// All of `input` in, all that is ready out.
    fn run(&mut self, operation: Operation, input: &[u8]) -> Result<Bytes, Stuck> {
        let (mut left, mut taken) = (input.len(), 0);
        let mut output = Vec::new();
        loop {
            let mut given = output.len();
            output.resize(given + super::STEP, 0);
            let mut room = super::STEP;
            let went = self.state.compress_stream(
                operation,
                &mut left,
                input,
                &mut taken,
                &mut room,
                &mut output,
                &mut given,
                &mut None,
                &mut |_, _, _, _| (),
            );
            output.truncate(given);
            if !went {
                return Err(Stuck);
            }
            if left == 0 && !self.state.has_more_output() {
                return Ok(output.into());
            }
        }
    }
}

#[cfg(test)]
mod tests;
