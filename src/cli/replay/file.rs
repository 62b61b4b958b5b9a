//! The file as it is: its rows, its fingerprint, and a sum of units that owes nothing to the plan.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use chrono::NaiveDateTime;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::goods;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const COLUMNS: [&str; 8] =
    ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"];

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{path} could not be read")]
    Read { path: String, source: io::Error },
    #[error("{path} is no CSV file")]
    Csv { path: String, source: csv::Error },
    #[error("{path} has no column `{column}`; a replay needs {}", COLUMNS.join(", "))]
    Column { path: String, column: &'static str },
}

/// One line of the file, word for word but for white space around its fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Raw {
    #[serde(rename = "InvoiceNo")]
    pub invoice: String,
    #[serde(rename = "StockCode")]
    pub code: String,
    #[serde(rename = "Description")]
    pub description: String,
    #[serde(rename = "Quantity")]
    pub quantity: String,
    #[serde(rename = "InvoiceDate")]
    pub date: String,
    #[serde(rename = "UnitPrice")]
    pub price: String,
    #[serde(rename = "CustomerID")]
    pub customer: String,
    #[serde(rename = "Country")]
    pub country: String,
}

/// One line of the file, understood.
#[derive(Debug, Clone)]
pub struct Row {
    /// Counted from 1, which is the header.
    pub line: u64,
    pub raw: Raw,
    pub quantity: i64,
    pub price_pence: i64,
    /// Local time of the shop.
    pub date: NaiveDateTime,
}

/// A line that is no row, with the reason.
#[derive(Debug, Clone)]
pub struct Unreadable {
    pub line: u64,
    pub text: String,
    pub reason: String,
}

#[derive(Debug)]
pub struct File {
    pub rows: Vec<Row>,
    pub unreadable: Vec<Unreadable>,
    /// SHA-256 of the text, in hex: the same for the plain and for the gzipped file.
    pub fingerprint: String,
}

/// The text of a file, unpacked when it is gzipped.
pub fn text(path: &Path) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Read { path: path.display().to_string(), source };
    let bytes = fs::read(path).map_err(failed)?;
    if !bytes.starts_with(&GZIP_MAGIC) {
        return Ok(bytes);
    }
    let mut text = Vec::with_capacity(bytes.len() * 8);
    flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut text).map_err(failed)?;
    Ok(text)
}

/// Reads every line; a line that makes no sense is kept as unreadable.
pub fn read(path: &Path, text: &[u8]) -> Result<File, Error> {
    let path = path.display().to_string();
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text);
    let headers = reader.headers().map_err(|source| Error::Csv { path: path.clone(), source })?.clone();
    if let Some(column) = COLUMNS.into_iter().find(|name| !headers.iter().any(|header| header == *name)) {
        return Err(Error::Column { path, column });
    }
    let mut file = File { rows: Vec::new(), unreadable: Vec::new(), fingerprint: hex(text) };
    let mut record = csv::ByteRecord::new();
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(false) => return Ok(file),
            Ok(true) => {}
            Err(source) => return Err(Error::Csv { path, source }),
        }
        let line = record.position().map_or(0, csv::Position::line);
        match row(line, &record, &headers) {
            Ok(row) => file.rows.push(row),
            Err(reason) => {
                let text = record.iter().map(String::from_utf8_lossy).collect::<Vec<_>>().join(",");
                file.unreadable.push(Unreadable { line, text, reason });
            }
        }
    }
}

fn row(line: u64, record: &csv::ByteRecord, headers: &csv::StringRecord) -> Result<Row, String> {
    let raw: Raw = csv::StringRecord::from_byte_record(record.clone())
        .map_err(|_| "it is not UTF-8".to_owned())?
        .deserialize(Some(headers))
        .map_err(|e| e.to_string())?;
    if raw.invoice.is_empty() || raw.code.is_empty() {
        return Err("it has no invoice number or no stock code".into());
    }
    let quantity = raw.quantity.parse().map_err(|_| format!("`{}` is no quantity", raw.quantity))?;
    let price_pence = pence(&raw.price).ok_or_else(|| format!("`{}` is no price", raw.price))?;
    let date = NaiveDateTime::parse_from_str(&raw.date, "%Y-%m-%d %H:%M:%S")
        .map_err(|_| format!("`{}` is no date", raw.date))?;
    Ok(Row { line, raw, quantity, price_pence, date })
}

/// Pounds in decimal notation as pence, rounded half up on the third digit.
fn pence(text: &str) -> Option<i64> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (pounds, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if pounds.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let digit = |at: usize| fraction.as_bytes().get(at).map_or(0, |b| i64::from(b - b'0'));
    let whole: u32 = pounds.parse().ok()?;
    Some(sign * (i64::from(whole) * 100 + digit(0) * 10 + digit(1) + i64::from(digit(2) >= 5)))
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Units sold: positive quantities of goods on invoices that are neither cancellations nor
/// bookkeeping. A straight sum over the raw lines, kept apart from the plan so that it can prove it.
pub fn units_sold(text: &[u8], first_invoices: Option<usize>) -> i64 {
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text);
    let Ok(headers) = reader.headers() else {
        return 0;
    };
    let position = |name: &str| headers.iter().position(|header| header == name).unwrap_or(usize::MAX);
    let (invoice, code, quantity) = (position("InvoiceNo"), position("StockCode"), position("Quantity"));
    let mut invoices = HashSet::new();
    let mut units = 0;
    for record in reader.byte_records().flatten() {
        let field = |at: usize| record.get(at).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default();
        let number = field(invoice);
        if first_invoices.is_some_and(|most| invoices.len() >= most && !invoices.contains(number)) {
            continue;
        }
        if !invoices.contains(number) {
            invoices.insert(number.to_owned());
        }
        let count: i64 = field(quantity).parse().unwrap_or(0);
        if count > 0 && !number.starts_with(['C', 'A']) && goods::kind(field(code)) == goods::Kind::Goods {
            units += count;
        }
    }
    units
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n";

    fn parse(lines: &str) -> File {
        read(Path::new("test.csv"), format!("{HEADER}{lines}").as_bytes()).unwrap()
    }

    #[test]
    fn a_line_is_read_and_one_that_makes_no_sense_is_kept() {
        let file = parse(
            "536365,85123A,\"HOLDER, WHITE\",6,2010-12-01 08:26:00,2.55,17850,United Kingdom\n\
             536366,85123A,,many,2010-12-01 08:26:00,2.55,,France\n\
             536367,85123A\n",
        );
        assert_eq!(file.rows.len(), 1);
        let row = &file.rows[0];
        assert_eq!((row.line, row.quantity, row.price_pence), (2, 6, 255));
        assert_eq!(row.raw.description, "HOLDER, WHITE");
        let lines: Vec<_> = file.unreadable.iter().map(|bad| bad.line).collect();
        assert_eq!(lines, [3, 4]);
        assert_eq!(file.unreadable[0].reason, "`many` is no quantity");
    }

    #[test]
    fn pounds_become_pence_without_floats() {
        let of = ["2.55", "4", "0.1", "-11062.06", "0.001", "0.005", "9.999"].map(pence);
        assert_eq!(of, [255, 400, 10, -1_106_206, 0, 1, 1000].map(Some));
        assert_eq!(["", "-", "1,5", "1.x", "1e3"].map(pence), [None; 5]);
    }

    #[test]
    fn a_missing_column_is_named() {
        let error = read(Path::new("x.csv"), b"InvoiceNo,StockCode\n1,2\n").unwrap_err();
        assert!(error.to_string().contains("no column `Description`"), "{error}");
    }

    #[test]
    fn the_straight_sum_counts_goods_that_were_sold() {
        let text = format!(
            "{HEADER}1,85123A,A,6,,,,\n1,POST,POSTAGE,1,,,,\nC2,85123A,A,-2,,,,\n3,22423,B,5,,,,\n\
             A4,B,Adjust bad debt,1,,,,\n5,22423,damages,-3,,,,\n1,22423,B,1,,,,\n"
        );
        assert_eq!(units_sold(text.as_bytes(), None), 12);
        assert_eq!(units_sold(text.as_bytes(), Some(1)), 7);
    }
}
