//! The file as it is: its rows, its fingerprint, and a sum of units that owes nothing to the plan.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use chrono::NaiveDateTime;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::goods;

/// Prices are in hundredths of it.
const PENNY: i128 = 100;
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
    /// In hundredths of a penny.
    pub price: i64,
    /// Local time of the shop.
    pub date: NaiveDateTime,
}

impl Row {
    pub fn price_pence(&self) -> i64 {
        self.pence(1)
    }

    /// What so many units come to at its price, rounded half up to the penny.
    pub fn pence(&self, units: i64) -> i64 {
        let exact = i128::from(self.price) * i128::from(units);
        let pence = (2 * exact + PENNY).div_euclid(2 * PENNY);
        i64::try_from(pence).unwrap_or(i64::MAX)
    }

    /// What rounding added to that, in hundredths of a penny.
    pub fn rounded(&self, units: i64) -> i64 {
        let exact = i128::from(self.price) * i128::from(units);
        i64::try_from(i128::from(self.pence(units)) * PENNY - exact).unwrap_or_default()
    }
}

/// What the lines of the file sell, by a straight sum.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Sold {
    pub units: i64,
    pub hundredths_of_a_penny: i128,
}

impl Sold {
    /// In pence, with so much for rounding; nothing where that leaves a fraction.
    pub fn pence(&self, rounded_hundredths: i64) -> Option<i64> {
        let rounded = self.hundredths_of_a_penny + i128::from(rounded_hundredths);
        i64::try_from(rounded / PENNY).ok().filter(|_| rounded % PENNY == 0)
    }
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
    let price = hundredths_of_a_penny(&raw.price).ok_or_else(|| format!("`{}` is no price", raw.price))?;
    let date = NaiveDateTime::parse_from_str(&raw.date, "%Y-%m-%d %H:%M:%S")
        .map_err(|_| format!("`{}` is no date", raw.date))?;
    Ok(Row { line, raw, quantity, price, date })
}

/// Pounds in decimal notation, of which four digits after the point can count.
fn hundredths_of_a_penny(text: &str) -> Option<i64> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (pounds, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let beyond = fraction.get(4..).unwrap_or_default();
    if pounds.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) || beyond.bytes().any(|b| b != b'0') {
        return None;
    }
    let digit = |at: usize| fraction.as_bytes().get(at).map_or(0, |b| i64::from(b - b'0'));
    let whole: u32 = pounds.parse().ok()?;
    Some(sign * (0..4).fold(i64::from(whole), |sum, at| sum * 10 + digit(at)))
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is sold: positive quantities of goods on invoices that are neither cancellations nor
/// bookkeeping, at their prices. A straight sum over the raw lines, kept apart from the plan so that it can prove it.
pub fn sold(text: &[u8], first_invoices: Option<usize>) -> Sold {
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text);
    let Ok(headers) = reader.headers() else {
        return Sold::default();
    };
    let position = |name: &str| headers.iter().position(|header| header == name).unwrap_or(usize::MAX);
    let [invoice, code, quantity, price] = ["InvoiceNo", "StockCode", "Quantity", "UnitPrice"].map(position);
    let mut invoices = HashSet::new();
    let mut sold = Sold::default();
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
            let price = hundredths_of_a_penny(field(price)).unwrap_or_default().max(0);
            sold.units += count;
            sold.hundredths_of_a_penny += i128::from(price) * i128::from(count);
        }
    }
    sold
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
        assert_eq!((row.line, row.quantity, row.price_pence()), (2, 6, 255));
        assert_eq!(row.raw.description, "HOLDER, WHITE");
        let lines: Vec<_> = file.unreadable.iter().map(|bad| bad.line).collect();
        assert_eq!(lines, [3, 4]);
        assert_eq!(file.unreadable[0].reason, "`many` is no quantity");
    }

    #[test]
    fn pounds_are_read_without_floats() {
        let of = ["2.55", "4", "0.1", "-11062.06", "0.001", "0.00250", "9.9999"].map(hundredths_of_a_penny);
        assert_eq!(of, [25_500, 40_000, 1000, -110_620_600, 10, 25, 99_999].map(Some));
        assert_eq!(["", "-", "1,5", "1.x", "1e3", "0.00001"].map(hundredths_of_a_penny), [None; 6]);
    }

    #[test]
    fn a_line_is_rounded_as_a_whole_and_says_by_how_much() {
        let row = |price: i64| Row { price, ..parse("1,A,,1,2010-12-01 08:26:00,1,,\n").rows[0].clone() };
        let of = |price: i64, units: i64| (row(price).pence(units), row(price).rounded(units));
        assert_eq!([of(25_500, 6), of(50, 1), of(49, 1), of(10, 15)], [(1530, 0), (1, 50), (0, -49), (2, 50)]);
        assert_eq!([of(25_500, -6)], [(-1530, 0)]);
    }

    #[test]
    fn a_missing_column_is_named() {
        let error = read(Path::new("x.csv"), b"InvoiceNo,StockCode\n1,2\n").unwrap_err();
        assert!(error.to_string().contains("no column `Description`"), "{error}");
    }

    #[test]
    fn the_straight_sum_counts_goods_that_were_sold() {
        let text = format!(
            "{HEADER}1,85123A,A,6,,2.55,,\n1,POST,POSTAGE,1,,18,,\nC2,85123A,A,-2,,2.55,,\n3,22423,B,5,,0.001,,\n\
             A4,B,Adjust bad debt,1,,9,,\n5,22423,damages,-3,,0,,\n1,22423,B,1,,-1,,\n"
        );
        let sum = |limit| sold(text.as_bytes(), limit);
        assert_eq!(sum(None), Sold { units: 12, hundredths_of_a_penny: 6 * 25_500 + 5 * 10 });
        assert_eq!(sum(Some(1)), Sold { units: 7, hundredths_of_a_penny: 6 * 25_500 });
    }
}
