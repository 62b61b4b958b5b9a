//! Gzip streams (RFC 1952) that are made of shared pieces: a piece is packed once, for all whom it is sent to.
//!
//! A piece refers to nothing before it and ends at a byte, flushed, so pieces make up one member in any order. Only the
//! checksum at the end is a stream's own, and comes from those of its pieces.

use axum::http::{HeaderMap, header};
use bytes::Bytes;
use flate2::{Compress, Compression, Crc, FlushCompress};

/// Deflate, no name, no time, no system.
const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// The last block, and empty: fixed codes, and the end of the block (RFC 1951, 3.2.3 and 3.2.6).
const LAST_BLOCK: [u8; 2] = [3, 0];

/// How blocks end that are flushed: with one that has nothing (RFC 1951, 3.2.4).
const FLUSHED: [u8; 4] = [0, 0, 255, 255];

/// What is shorter is wrapped as it is: packing it takes longer than sending it.
const SHORT: usize = 256;

/// A part of a stream, packed.
pub struct Packed {
    blocks: Bytes,
    crc: Crc,
}

impl Packed {
    pub fn new(plain: &[u8]) -> Self {
        let mut crc = Crc::new();
        crc.update(plain);
        let blocks = match u16::try_from(plain.len()) {
            Ok(len) if plain.len() < SHORT => stored(len, plain),
            _ => deflated(plain),
        };
        Self { blocks: blocks.into(), crc }
    }
}

/// A block that is not compressed (RFC 1951, 3.2.4).
fn stored(len: u16, plain: &[u8]) -> Vec<u8> {
    [&[0][..], &len.to_le_bytes(), &(!len).to_le_bytes(), plain].concat()
}

fn deflated(plain: &[u8]) -> Vec<u8> {
    let mut packer = Compress::new(Compression::fast(), false);
    // More than it ever takes: a packer that has to be called again may have left out the flush.
    let mut blocks = Vec::with_capacity(plain.len() + plain.len() / 10 + SHORT);
    let packed = packer.compress_vec(plain, &mut blocks, FlushCompress::Sync);
    packed.expect("a packer that was not given a dictionary takes all");
    assert!(packer.total_in() == plain.len() as u64 && blocks.ends_with(&FLUSHED), "it takes all at once");
    blocks.shrink_to_fit();
    blocks
}

/// What was sent of one stream.
#[derive(Default)]
pub struct Stream(Option<Crc>);

impl Stream {
    /// The bytes that bring a piece.
    pub fn bring(&mut self, piece: &Packed) -> Bytes {
        match &mut self.0 {
            Some(sent) => {
                sent.combine(&piece.crc);
                piece.blocks.clone()
            }
            none => {
                let mut crc = Crc::new();
                crc.combine(&piece.crc);
                *none = Some(crc);
                [&HEAD[..], &piece.blocks].concat().into()
            }
        }
    }

    /// The bytes that end it.
    pub fn end(self) -> Bytes {
        let head: &[u8] = if self.0.is_none() { &HEAD } else { &[] };
        let sent = self.0.unwrap_or_default();
        [head, &LAST_BLOCK, &sent.sum().to_le_bytes(), &sent.amount().to_le_bytes()].concat().into()
    }
}

/// Whether a client takes gzip (RFC 9110, 12.5.3). Who says nothing is sent the plain text, which any client takes.
pub fn is_accepted(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut any = false;
    for coding in values.flat_map(|value| value.split(',')) {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let is_wanted = weight.is_none_or(|weight| weight.parse().is_ok_and(|weight: f32| weight > 0.0));
        match name {
            _ if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => return is_wanted,
            "*" => any = is_wanted,
            _ => {}
        }
    }
    any
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use axum::http::HeaderValue;
    use flate2::write::GzDecoder;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever the pieces, who reads the stream reads them, and each as soon as it came.
        #[test]
        fn a_stream_is_what_its_pieces_are(
            pieces in prop::collection::vec(prop_oneof![
                prop::collection::vec(any::<u8>(), 0..2 * SHORT),
                prop::collection::vec(97..100u8, 0..100_000),
            ], 0..6)
        ) {
            let (mut stream, mut plain, mut reader) = (Stream::default(), Vec::new(), GzDecoder::new(Vec::new()));
            for piece in &pieces {
                plain.extend_from_slice(piece);
                reader.write_all(&stream.bring(&Packed::new(piece))).unwrap();
                reader.flush().unwrap();
                prop_assert_eq!(reader.get_ref(), &plain);
            }
            reader.write_all(&stream.end()).unwrap();
            // It checks the checksum and the length.
            prop_assert_eq!(reader.finish().unwrap(), plain);
        }
    }

    #[test]
    fn gzip_is_sent_to_who_takes_it() {
        let accepted = |values: &[&'static str]| {
            let value = |text: &&'static str| (header::ACCEPT_ENCODING, HeaderValue::from_static(text));
            is_accepted(&values.iter().map(value).collect())
        };
        for yes in [&["gzip"][..], &["deflate, GZIP;q=0.5"], &["br", "gzip"], &["*"], &["gzip ; q=1.0, *;q=0"]] {
            assert!(accepted(yes), "{yes:?}");
        }
        for no in [&[][..], &["identity"], &["gzip;q=0"], &["*;q=0"], &["gzip;q=0.000, *"], &["gzip;q=much"]] {
            assert!(!accepted(no), "{no:?}");
        }
    }
}
