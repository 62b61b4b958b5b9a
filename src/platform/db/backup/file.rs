//! The file of a backup: what it looks like, and how a damaged one is told.
//!
//! ```text
//! "stockhold backup 1\n"                       what it is, for a person as well
//! frame …                                      H, then for each table R … T, then E
//! SHA-256 of all bytes before it, 32 bytes
//!
//! frame: kind 1 · length 4 · CRC-32 4 · content, deflated, of that length
//!   H  the header: what is in it, as JSON      R  a piece of a table's rows, as COPY writes them
//!   T  the table ends: its rows, as JSON       E  the whole ends: rows and bytes of all, as JSON
//! ```
//!
//! The digest finds a bit flipped or a byte missing anywhere. The checksum of a frame, over its kind and length as
//! well, tells where, before anything is made of the content. Numbers are big-endian.

use std::io::{self, Read, Write};

use flate2::read::{DeflateDecoder, DeflateEncoder};
use flate2::{Compression, Crc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Header;

const NAME: &[u8] = b"stockhold backup ";
const FORMAT: &[u8] = b"1\n";

/// Rows are gathered up to this before they are compressed; no more than this is in memory.
const PIECE: usize = 1024 * 1024;

/// No frame that we write is longer, and no length that a damaged file names is believed beyond it.
const LONGEST_FRAME: usize = 8 * PIECE;

/// Why a file is refused.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("it is not a backup of stockhold")]
    NotABackup,
    #[error("it is in another format than this stockhold reads: use the one that made it, or a newer one")]
    Format,
    #[error("it is damaged ({what}, at byte {at}): take another copy of it, or another backup")]
    Damaged { what: &'static str, at: u64 },
    #[error("it cannot be read")]
    Unreadable(#[source] io::Error),
}

/// What the whole of a file comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    pub tables: usize,
    pub rows: u64,
    /// Of the rows, before compression.
    pub bytes: u64,
}

/// COPY writes a row as a line: a line break in a value is written as `\n`.
fn rows_in(data: &[u8]) -> u64 {
    data.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}

fn checksum(kind: u8, length: [u8; 4], content: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(&[kind]);
    crc.update(&length);
    crc.update(content);
    crc.sum()
}

/// Writes a backup, piece by piece.
pub(super) struct Writer<W> {
    out: W,
    digest: Sha256,
    written: u64,
    piece: Vec<u8>,
    table_rows: u64,
    totals: Totals,
}

impl<W: Write> Writer<W> {
    pub fn begin(out: W, header: &Header) -> io::Result<Self> {
        let piece = Vec::with_capacity(2 * PIECE);
        let mut writer =
            Self { out, digest: Sha256::new(), written: 0, piece, table_rows: 0, totals: Totals::default() };
        writer.put(NAME)?;
        writer.put(FORMAT)?;
        writer.json(b'H', header)?;
        Ok(writer)
    }

    /// Rows of the table at hand; a row may be spread over calls.
    pub fn rows(&mut self, data: &[u8]) -> io::Result<()> {
        for part in data.chunks(PIECE) {
            self.piece.extend_from_slice(part);
            if self.piece.len() >= PIECE {
                self.flush_piece()?;
            }
        }
        Ok(())
    }

    pub fn end_table(&mut self) -> io::Result<()> {
        self.flush_piece()?;
        self.json(b'T', &self.table_rows.clone())?;
        self.totals.tables += 1;
        self.totals.rows += self.table_rows;
        self.table_rows = 0;
        Ok(())
    }

    /// Gives back what was written to, the totals, and the length of the file.
    pub fn finish(mut self) -> io::Result<(W, Totals, u64)> {
        self.json(b'E', &self.totals.clone())?;
        let digest = self.digest.finalize();
        self.out.write_all(&digest)?;
        self.out.flush()?;
        Ok((self.out, self.totals, self.written + digest.len() as u64))
    }

    fn flush_piece(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::take(&mut self.piece);
        self.frame(b'R', &piece)?;
        self.table_rows += rows_in(&piece);
        self.totals.bytes += piece.len() as u64;
        self.piece = piece;
        self.piece.clear();
        Ok(())
    }

    fn json(&mut self, kind: u8, content: &impl Serialize) -> io::Result<()> {
        self.frame(kind, &serde_json::to_vec(content)?)
    }

    fn frame(&mut self, kind: u8, content: &[u8]) -> io::Result<()> {
        let mut stored = Vec::with_capacity(content.len() / 4);
        DeflateEncoder::new(content, Compression::default()).read_to_end(&mut stored)?;
        let length = u32::try_from(stored.len()).map_err(io::Error::other)?.to_be_bytes();
        self.put(&[kind])?;
        self.put(&length)?;
        self.put(&checksum(kind, length, &stored).to_be_bytes())?;
        self.put(&stored)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.digest.update(bytes);
        self.written += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}

/// What a reader comes to after the header.
pub(super) enum Part {
    Rows(Vec<u8>),
    /// The table is over, with so many rows.
    TableEnd(u64),
    /// All is over, and all that can be checked agrees.
    End(Totals, [u8; 32]),
}

/// Reads a backup, and checks all there is to check on the way.
pub(super) struct Reader<R> {
    from: R,
    digest: Sha256,
    at: u64,
    tables: usize,
    table_rows: u64,
    totals: Totals,
}

impl<R: Read> Reader<R> {
    pub fn open(from: R) -> Result<(Self, Header), Refused> {
        let mut reader =
            Self { from, digest: Sha256::new(), at: 0, tables: 0, table_rows: 0, totals: Totals::default() };
        let mut name = [0; NAME.len()];
        reader.take(&mut name).map_err(|why| match why {
            Refused::Damaged { .. } => Refused::NotABackup,
            why => why,
        })?;
        if name != NAME {
            return Err(Refused::NotABackup);
        }
        let mut format = [0; FORMAT.len()];
        reader.take(&mut format)?;
        if format != FORMAT {
            return Err(Refused::Format);
        }
        let (kind, content) = reader.frame()?;
        if kind != b'H' {
            return Err(reader.damaged("its header is missing"));
        }
        let header: Header = reader.json(&content)?;
        reader.tables = header.tables.len();
        Ok((reader, header))
    }

    /// Bytes read so far.
    pub fn position(&self) -> u64 {
        self.at
    }

    pub fn next(&mut self) -> Result<Part, Refused> {
        let (kind, content) = self.frame()?;
        match kind {
            b'R' if self.totals.tables < self.tables => {
                self.table_rows += rows_in(&content);
                self.totals.bytes += content.len() as u64;
                Ok(Part::Rows(content))
            }
            b'T' if self.totals.tables < self.tables => {
                let rows: u64 = self.json(&content)?;
                if rows != self.table_rows {
                    return Err(self.damaged("rows of a table are missing"));
                }
                self.totals.tables += 1;
                self.totals.rows += rows;
                self.table_rows = 0;
                Ok(Part::TableEnd(rows))
            }
            b'E' if self.totals.tables == self.tables => {
                let totals: Totals = self.json(&content)?;
                if totals != self.totals {
                    return Err(self.damaged("rows are missing"));
                }
                self.end(totals)
            }
            _ => Err(self.damaged("a part is out of place")),
        }
    }

    fn end(&mut self, totals: Totals) -> Result<Part, Refused> {
        let computed: [u8; 32] = self.digest.clone().finalize().into();
        let mut stored = [0; 32];
        self.take(&mut stored)?;
        if stored != computed {
            return Err(self.damaged("its SHA-256 is another"));
        }
        match self.from.read(&mut [0]) {
            Ok(0) => Ok(Part::End(totals, computed)),
            Ok(_) => Err(self.damaged("something follows its end")),
            Err(why) => Err(Refused::Unreadable(why)),
        }
    }

    fn frame(&mut self) -> Result<(u8, Vec<u8>), Refused> {
        let mut head = [0; 9];
        self.take(&mut head)?;
        let [kind, a, b, c, d, rest @ ..] = head;
        let length = [a, b, c, d];
        let wanted = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if wanted > LONGEST_FRAME {
            return Err(self.damaged("a length is impossible"));
        }
        let mut stored = vec![0; wanted];
        self.take(&mut stored)?;
        if checksum(kind, length, &stored) != u32::from_be_bytes(rest) {
            return Err(self.damaged("a checksum is wrong"));
        }
        let mut content = Vec::new();
        let limit = LONGEST_FRAME as u64;
        match DeflateDecoder::new(&stored[..]).take(limit).read_to_end(&mut content) {
            Ok(_) => Ok((kind, content)),
            Err(_) => Err(self.damaged("a part cannot be decompressed")),
        }
    }

    fn json<T: DeserializeOwned>(&self, content: &[u8]) -> Result<T, Refused> {
        serde_json::from_slice(content).map_err(|_| self.damaged("a description cannot be read"))
    }

    fn take(&mut self, into: &mut [u8]) -> Result<(), Refused> {
        self.from.read_exact(into).map_err(|why| match why.kind() {
            io::ErrorKind::UnexpectedEof => self.damaged("it is cut off"),
            _ => Refused::Unreadable(why),
        })?;
        self.digest.update(&*into);
        self.at += into.len() as u64;
        Ok(())
    }

    fn damaged(&self, what: &'static str) -> Refused {
        Refused::Damaged { what, at: self.at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::db::backup::Table;

    fn header() -> Header {
        let table = |name: &str| Table { schema: "s".into(), name: name.into(), columns: vec!["a".into()] };
        Header {
            stockhold: "1.2.3".into(),
            postgres: "15.1".into(),
            taken_at: "2026-11-23T09:30:00Z".into(),
            migrations: Vec::new(),
            tables: vec![table("long"), table("empty"), table("short")],
            sequences: Vec::new(),
            feed_position: 0,
        }
    }

    fn written(rows: &[u8]) -> Vec<u8> {
        let mut writer = Writer::begin(Vec::new(), &header()).unwrap();
        rows.chunks(70_000).for_each(|part| writer.rows(part).unwrap());
        writer.end_table().unwrap();
        writer.end_table().unwrap();
        writer.rows(b"1\n2\n").unwrap();
        writer.end_table().unwrap();
        let (file, totals, length) = writer.finish().unwrap();
        assert_eq!(length, file.len() as u64);
        assert_eq!(totals, Totals { tables: 3, rows: rows_in(rows) + 2, bytes: rows.len() as u64 + 4 });
        file
    }

    /// The rows of each table.
    fn read(file: &[u8]) -> Result<Vec<Vec<u8>>, Refused> {
        let (mut reader, found) = Reader::open(file)?;
        let (mut tables, mut table) = (Vec::new(), Vec::new());
        loop {
            match reader.next()? {
                Part::Rows(rows) => table.extend(rows),
                Part::TableEnd(_) => tables.push(std::mem::take(&mut table)),
                Part::End(..) => {
                    assert_eq!(found.tables, header().tables, "it passed as whole");
                    return Ok(tables);
                }
            }
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let rows: Vec<u8> = (0..400_000).flat_map(|n| format!("{n}\n").into_bytes()).collect();
        assert!(rows.len() > 2 * PIECE);
        let tables = read(&written(&rows)).unwrap();
        assert_eq!(tables, [rows, Vec::new(), b"1\n2\n".to_vec()]);
    }

    #[test]
    fn each_flipped_bit_is_found() {
        let file = written(b"10\n20\n30\n");
        for at in 0..file.len() {
            for bit in 0..8 {
                let mut damaged = file.clone();
                damaged[at] ^= 1 << bit;
                assert!(read(&damaged).is_err(), "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn a_cut_at_any_byte_and_anything_appended_is_found() {
        let file = written(b"10\n20\n30\n");
        for length in 0..file.len() {
            assert!(read(&file[..length]).is_err(), "cut at {length}");
        }
        assert!(read(&[&file[..], b"\0"].concat()).is_err());
        assert!(read(&file[1..]).is_err());
    }

    #[test]
    fn each_refusal_says_what_it_is_about() {
        assert!(matches!(read(b""), Err(Refused::NotABackup)));
        assert!(matches!(read(b"PGDMP, another tool's file"), Err(Refused::NotABackup)));
        assert!(matches!(read(b"stockhold backup 2\n"), Err(Refused::Format)));
        let file = written(b"10\n");
        assert!(matches!(read(&file[..60]), Err(Refused::Damaged { what: "it is cut off", .. })));
    }
}
