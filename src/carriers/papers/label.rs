//! The label of a parcel, 4 × 6 inches.

use super::{Paper, Party};

const WIDTH: f32 = 4.0 * 72.0;
const HEIGHT: f32 = 6.0 * 72.0;
const MARGIN: f32 = 14.0;
const INNER: f32 = WIDTH - 2.0 * MARGIN;

/// What stands on a label.
#[derive(Debug)]
pub struct LabelPaper<'a> {
    pub from: Party,
    pub to: Party,
    pub order_number: i64,
    pub carrier: &'a str,
    pub service: Option<&'a str>,
    pub tracking_number: Option<&'a str>,
    /// In grams
    pub weight: Option<i64>,
}

pub fn label(it: &LabelPaper<'_>) -> Vec<u8> {
    let mut paper = Paper::new(WIDTH, HEIGHT);
    paper.text(MARGIN, 20.0, 7.0, "FROM");
    paper.block(MARGIN, 23.0, (INNER, 58.0), 9.0, &it.from.lines());
    paper.rule(MARGIN, 86.0, INNER, 0.8);
    paper.text(MARGIN, 98.0, 7.0, "SHIP TO");
    paper.block(MARGIN, 102.0, (INNER, 128.0), 16.0, &it.to.lines());
    paper.rule(MARGIN, 236.0, INNER, 2.0);
    paper.block(MARGIN, 242.0, (INNER, 28.0), 20.0, &[it.carrier.to_owned()]);
    if let Some(service) = it.service {
        paper.block(MARGIN, 269.0, (INNER, 16.0), 11.0, &[service.to_owned()]);
    }
    paper.text(MARGIN, 298.0, 9.0, &format!("Order {}", it.order_number));
    if let Some(weight) = it.weight {
        paper.text_to(WIDTH - MARGIN, 298.0, 9.0, &format!("{weight} g"));
    }
    paper.rule(MARGIN, 304.0, INNER, 0.8);
    let order_number = it.order_number.to_string();
    let code = it.tracking_number.unwrap_or(&order_number);
    paper.barcode(MARGIN, 316.0, (INNER, 78.0), code);
    paper.centred(MARGIN, INNER, 410.0, 12.0, code);
    paper.into_pdf(&format!("Label of order {}", it.order_number))
}
