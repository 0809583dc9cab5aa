//! What a compressed body decodes to: two encoders agree in that, and in nothing else.

use std::io::{self, Read};

use aws_lc_rs::digest::{Context, SHA256};

/// Bytes that are decoded of one body: a few of its own may stand for many.
const MOST: u64 = 256 << 20;

/// SHA-256 and length of what `body` is in the content coding `coding`. `None`: a coding that is not known here, a body that is
/// broken, or one that is larger than 256 MiB.
#[must_use]
pub fn decoded(coding: &str, body: &[u8]) -> Option<([u8; 32], u64)> {
    match coding.trim().to_ascii_lowercase().as_str() {
        "gzip" | "x-gzip" => hash(flate2::read::MultiGzDecoder::new(body)),
        #[cfg(feature = "compress")]
        "br" => hash(brotli::Decompressor::new(body, 4096)),
        _ => None,
    }
}

fn hash(decoder: impl Read) -> Option<([u8; 32], u64)> {
    let mut context = Hash { context: Context::new(&SHA256), length: 0 };
    io::copy(&mut decoder.take(MOST + 1), &mut context).ok()?;
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(context.context.finish().as_ref());
    (context.length <= MOST).then_some((sha256, context.length))
}

struct Hash {
    context: Context,
    length: u64,
}

impl io::Write for Hash {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.context.update(bytes);
        self.length += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use aws_lc_rs::digest::digest;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(text: &[u8], level: Compression) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), level);
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn encoders_agree_in_what_comes_out() {
        let text = b"a text that repeats itself, a text that repeats itself".repeat(20);
        let (fast, best) = (gzip(&text, Compression::none()), gzip(&text, Compression::best()));
        assert_ne!(fast, best);
        let (sha256, length) = decoded("gzip", &fast).unwrap();
        assert_eq!((&sha256[..], length), (digest(&SHA256, &text).as_ref(), text.len() as u64));
        assert_eq!(decoded("GZIP", &best), Some((sha256, length)));
    }

    #[cfg(feature = "compress")]
    #[test]
    fn brotli_is_known() {
        let mut packed = Vec::new();
        brotli::BrotliCompress(&mut &b"text"[..], &mut packed, &brotli::enc::BrotliEncoderParams::default())
            .unwrap();
        assert_eq!(decoded("br", &packed).unwrap().1, 4);
    }

    #[test]
    fn what_is_broken_or_unknown_is_not_compared() {
        let whole = gzip(b"text", Compression::best());
        assert_eq!(decoded("gzip", &whole[..whole.len() - 4]), None);
        assert_eq!(decoded("gzip", b"text"), None);
        assert_eq!(decoded("zstd", &whole), None);
        assert_eq!(decoded("br", b"\xff\xff\xff\xff"), None);
    }
}
