//! Compression formats, known by their first bytes; media types and file names are not believed.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use liblzma::bufread::XzDecoder;
use serde::{Deserialize, Serialize};

use crate::source::digest::Verify;
use crate::source::error::SourceError;

/// A compression format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Compression {
    /// Not compressed.
    None,
    /// RFC 1952, any number of members.
    Gzip,
    /// RFC 8878, any number of frames.
    Zstd,
    /// The .xz format, any number of streams.
    Xz,
}

impl Compression {
    /// Bytes [`detect`](Self::detect) looks at.
    pub const MAGIC_LEN: usize = 6;

    /// Tells the format by the first bytes of a file.
    pub fn detect(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A skippable frame may come first.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            _ => Self::None,
        }
    }

    /// The name of the format.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "plain",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

type Input<R> = BufReader<Verify<R>>;

enum Format<R: Read> {
    None(Input<R>),
    Gzip(MultiGzDecoder<Input<R>>),
    Zstd(zstd::stream::read::Decoder<'static, Input<R>>),
    Xz(XzDecoder<Input<R>>),
}

/// Decompresses what it reads; the format is found out by itself. At the end of the decompressed
/// bytes it reads what is left of the input, so that the whole input has been verified.
pub(crate) struct Decoder<R: Read> {
    format: Format<R>,
    what: String,
    memory: u64,
    done: bool,
}

/// Bytes of compressed input read at a time.
const INPUT_BUFFER: usize = 64 * 1024;

impl<R: Read> Decoder<R> {
    /// `memory` is the most a decompressor may use, in bytes.
    pub(crate) fn new(input: Verify<R>, what: &str, memory: u64) -> io::Result<Self> {
        let mut input = BufReader::with_capacity(INPUT_BUFFER, input);
        // The first read may return less than the magic; a short first piece of a pipe is
        // no concern, because inputs are files, memory and decoders that fill their buffer.
        let compression = Compression::detect(input.fill_buf()?);
        let format = match compression {
            Compression::None => Format::None(input),
            Compression::Gzip => Format::Gzip(MultiGzDecoder::new(input)),
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
                decoder.window_log_max(memory.max(1 << 10).ilog2())?;
                Format::Zstd(decoder)
            }
            Compression::Xz => {
                let stream = liblzma::stream::Stream::new_stream_decoder(
                    memory,
                    liblzma::stream::CONCATENATED,
                )?;
                Format::Xz(XzDecoder::new_stream(input, stream))
            }
        };
        Ok(Self {
            format,
            what: what.to_owned(),
            memory,
            done: false,
        })
    }

    pub(crate) fn compression(&self) -> Compression {
        match self.format {
            Format::None(_) => Compression::None,
            Format::Gzip(_) => Compression::Gzip,
            Format::Zstd(_) => Compression::Zstd,
            Format::Xz(_) => Compression::Xz,
        }
    }

    /// Bytes of input consumed so far.
    pub(crate) fn consumed(&self) -> u64 {
        let input = match &self.format {
            Format::None(input) => input,
            Format::Gzip(decoder) => decoder.get_ref(),
            Format::Zstd(decoder) => decoder.get_ref(),
            Format::Xz(decoder) => decoder.get_ref(),
        };
        input.get_ref().seen()
    }

    fn input(&mut self) -> &mut Input<R> {
        match &mut self.format {
            Format::None(input) => input,
            Format::Gzip(decoder) => decoder.get_mut(),
            Format::Zstd(decoder) => decoder.get_mut(),
            Format::Xz(decoder) => decoder.get_mut(),
        }
    }

    fn explain(&self, error: io::Error) -> io::Error {
        let error = match SourceError::lift(error) {
            Ok(ours) => return ours.into(),
            Err(error) => error,
        };
        let (what, format) = (self.what.clone(), self.compression().name());
        let text = error.to_string();
        // zstd says so in words only; liblzma has a kind of its own for it.
        let memory = text.contains("too much memory")
            || error
                .get_ref()
                .and_then(|inner| inner.downcast_ref::<liblzma::stream::Error>())
                .is_some_and(|inner| *inner == liblzma::stream::Error::MemLimit);
        if memory {
            let allowed = self.memory;
            return SourceError::DecoderMemory {
                what,
                format,
                allowed,
            }
            .into();
        }
        SourceError::Decompress {
            what,
            format,
            source: error,
        }
        .into()
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.done || buffer.is_empty() {
            return Ok(0);
        }
        let read = match &mut self.format {
            Format::None(input) => input.read(buffer),
            Format::Gzip(decoder) => decoder.read(buffer),
            Format::Zstd(decoder) => decoder.read(buffer),
            Format::Xz(decoder) => decoder.read(buffer),
        };
        let read = read.map_err(|error| self.explain(error))?;
        if read == 0 {
            self.done = true;
            self.input().get_mut().drain()?;
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::digest::Expected;
    use std::io::Write;

    fn decode(bytes: &[u8], memory: u64) -> Result<Vec<u8>, SourceError> {
        let mut text = Vec::new();
        let mut run = || {
            let input = Verify::new(bytes, "it", Expected::default());
            Decoder::new(input, "it", memory)?.read_to_end(&mut text)?;
            io::Result::Ok(())
        };
        run().map_err(|error| SourceError::lift(error).unwrap())?;
        Ok(text)
    }

    fn samples(text: &[u8]) -> Vec<(Compression, Vec<u8>)> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(text).unwrap();
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(text).unwrap();
        vec![
            (Compression::None, text.to_vec()),
            (Compression::Gzip, gzip.finish().unwrap()),
            (Compression::Zstd, zstd::encode_all(text, 3).unwrap()),
            (Compression::Xz, xz.finish().unwrap()),
        ]
    }

    #[test]
    fn every_format_is_recognised_and_decoded_once_or_twice_in_a_row() {
        let text = b"lupine ".repeat(10_000);
        for (compression, bytes) in samples(&text) {
            assert_eq!(Compression::detect(&bytes), compression);
            assert_eq!(decode(&bytes, 40 << 20).unwrap(), text, "{compression}");
            assert_eq!(
                decode(&bytes.repeat(2), 40 << 20).unwrap(),
                text.repeat(2),
                "{compression}"
            );
        }
    }

    #[test]
    fn truncation_is_an_error_that_names_the_format() {
        let text: Vec<u8> = (0..100_000u32)
            .flat_map(|n| n.wrapping_mul(n).to_le_bytes())
            .collect();
        for (compression, bytes) in samples(&text).split_off(1) {
            let error = decode(&bytes[..bytes.len() / 2], 40 << 20).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("cannot decompress it ({compression})")
            );
        }
    }

    #[test]
    fn a_window_larger_than_allowed_is_refused() {
        let text = vec![7; 3 << 20];
        for (compression, bytes) in samples(&text).split_off(2) {
            let error = decode(&bytes, 1 << 18).unwrap_err();
            assert!(
                matches!(error, SourceError::DecoderMemory { .. }),
                "{compression}: {error:?}"
            );
        }
    }
}
