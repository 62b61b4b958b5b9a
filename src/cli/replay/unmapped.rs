//! What a replay leaves out, and why: counted by reason and listed line by line.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;

use super::file::{Raw, Unreadable};
use super::goods::Kind;
use super::plan::Count;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    NoGoods(Kind),
    /// An entry of the books: its invoice number begins with A.
    Bookkeeping,
    CancelledWithoutCustomer,
    CancelledWithoutOrder,
    /// Of a cancellation that was matched in part, the rest.
    CancelledBeyondOrders,
    CancelledWithPositiveQuantity,
    ZeroQuantity,
    NoSku,
    Unreadable,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoGoods(Kind::Goods | Kind::Unknown) => "no goods: unknown code",
            Self::NoGoods(Kind::Postage) => "no goods: postage and carriage",
            Self::NoGoods(Kind::Manual) => "no goods: manual entry",
            Self::NoGoods(Kind::Discount) => "no goods: discount",
            Self::NoGoods(Kind::Samples) => "no goods: samples",
            Self::NoGoods(Kind::Fee) => "no goods: fee or charge",
            Self::NoGoods(Kind::BadDebt) => "no goods: bad debt",
            Self::NoGoods(Kind::Voucher) => "no goods: gift voucher",
            Self::NoGoods(Kind::Pads) => "no goods: pads",
            Self::NoGoods(Kind::Test) => "no goods: test entry",
            Self::Bookkeeping => "bookkeeping entry",
            Self::CancelledWithoutCustomer => "cancellation without a customer",
            Self::CancelledWithoutOrder => "cancellation without an earlier order",
            Self::CancelledBeyondOrders => "cancellation, the part beyond earlier orders",
            Self::CancelledWithPositiveQuantity => "cancellation with a positive quantity",
            Self::ZeroQuantity => "quantity of zero",
            Self::NoSku => "stock code that cannot be a SKU",
            Self::Unreadable => "line that cannot be read",
        })
    }
}

#[derive(Debug)]
pub struct Unmapped {
    pub line: u64,
    pub raw: Raw,
    /// Units that are not mapped, with the sign that the file gives them.
    pub units: i64,
    /// What they come to, with the same sign.
    pub pence: i64,
    pub reason: Reason,
}

impl Unmapped {
    pub fn unreadable(bad: &Unreadable) -> Self {
        let raw = Raw { description: format!("{} ({})", bad.text, bad.reason), ..Raw::default() };
        Self { line: bad.line, raw, units: 0, pence: 0, reason: Reason::Unreadable }
    }
}

pub fn by_reason(unmapped: &[Unmapped]) -> BTreeMap<String, Count> {
    let mut counts: BTreeMap<String, Count> = BTreeMap::new();
    for line in unmapped {
        counts.entry(line.reason.to_string()).or_default().add(line.units, line.pence);
    }
    counts
}

/// Writes the list as CSV.
pub fn write_report(path: &Path, unmapped: &[Unmapped]) -> io::Result<()> {
    let mut writer = csv::Writer::from_path(path).map_err(io::Error::other)?;
    let header = [
        "line",
        "reason",
        "units_unmapped",
        "invoice",
        "stock_code",
        "description",
        "quantity",
        "date",
        "unit_price",
        "customer",
        "country",
    ];
    writer.write_record(header).map_err(io::Error::other)?;
    for Unmapped { line, raw, units, reason, .. } in unmapped {
        let (line, reason, units) = (line.to_string(), reason.to_string(), units.to_string());
        let record = [
            &line,
            &reason,
            &units,
            &raw.invoice,
            &raw.code,
            &raw.description,
            &raw.quantity,
            &raw.date,
            &raw.price,
            &raw.customer,
            &raw.country,
        ];
        writer.write_record(record).map_err(io::Error::other)?;
    }
    writer.flush()
}
