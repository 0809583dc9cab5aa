//! Whole lines on what may be full: what a failed write leaves behind spoils no other line.

use std::io::{self, Write};

use super::queue::{Lost, Piece, Sink};

/// Where the lines end up.
pub(super) struct Sheet<W> {
    out: W,
    /// A write has ended inside a line. Nothing may be glued to it: the next begins with a newline.
    is_torn: bool,
}

impl<W: Write> Sheet<W> {
    /// `out` stands at the beginning of a line, and does not buffer.
    pub(super) fn new(out: W) -> Self {
        Self { out, is_torn: false }
    }

    /// Of `piece` only the first `written` bytes are out.
    fn lose(&mut self, piece: &Piece, written: usize, error: io::Error) -> Lost {
        if let Some(&last) = piece.bytes[..written].last() {
            self.is_torn = last != b'\n';
        }
        // A line that lacks only its newline is whole: the next write begins with one.
        let whole = piece.bytes.iter().take(written + 1).filter(|&&byte| byte == b'\n').count() as u64;
        Lost { lines: piece.lines.saturating_sub(whole), error }
    }
}

impl<W: Write + Send + 'static> Sink for Sheet<W> {
    fn write(&mut self, piece: &Piece) -> Result<(), Lost> {
        let mut left = piece.bytes.as_slice();
        while !left.is_empty() {
            let next = if self.is_torn { b"\n" } else { left };
            let error = match self.out.write(next) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(_) if self.is_torn => {
                    self.is_torn = false;
                    continue;
                }
                Ok(count) => {
                    left = &left[count..];
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            return Err(self.lose(piece, piece.bytes.len() - left.len(), error));
        }
        Ok(())
    }
}
