//! The packing slip that lies in a parcel, on A4: what is in it, and no prices.

use super::fonts::wrap;
use super::{LEADING, Paper, Party};

const WIDTH: f32 = 595.0;
const HEIGHT: f32 = 842.0;
const MARGIN: f32 = 42.0;
const INNER: f32 = WIDTH - 2.0 * MARGIN;

const SIZE: f32 = 10.0;
/// Where the columns are, beside the quantity, which ends at the margin.
const SKU: (f32, f32) = (MARGIN, 130.0);
const NAME: (f32, f32) = (MARGIN + 140.0, INNER - 210.0);
/// Lines end here.
const LAST: f32 = HEIGHT - MARGIN - 24.0;

/// What stands on a packing slip.
#[derive(Debug)]
pub struct Slip<'a> {
    pub shop_name: &'a str,
    /// None where the order has no address
    pub to: Option<Party>,
    pub order_number: i64,
    pub reference: Option<&'a str>,
    pub warehouse: &'a str,
    pub carrier: Option<&'a str>,
    pub tracking_number: Option<&'a str>,
    pub lines: Vec<SlipLine>,
}

#[derive(Clone, Debug)]
pub struct SlipLine {
    pub sku: String,
    /// None of a product that is gone
    pub name: Option<String>,
    pub quantity: i64,
}

pub fn slip(it: &Slip<'_>) -> Vec<u8> {
    let mut paper = Paper::new(WIDTH, HEIGHT);
    let mut top = head(&mut paper, it);
    columns(&mut paper, &mut top);
    for line in &it.lines {
        let (skus, names) = (wrap(&line.sku, SKU.1 / SIZE), wrap(line.name.as_deref().unwrap_or("–"), NAME.1 / SIZE));
        let height = skus.len().max(names.len()) as f32 * SIZE * LEADING + 6.0;
        if top + height > LAST {
            paper.turn();
            top = MARGIN;
            columns(&mut paper, &mut top);
        }
        for (column, texts) in [(SKU.0, &skus), (NAME.0, &names)] {
            for (n, text) in texts.iter().enumerate() {
                paper.text(column, top + SIZE + n as f32 * SIZE * LEADING, SIZE, text);
            }
        }
        paper.text_to(WIDTH - MARGIN, top + SIZE, SIZE, &line.quantity.to_string());
        top += height;
        paper.rule(MARGIN, top - 4.0, INNER, 0.3);
    }
    let name = format!("Order {}", it.order_number);
    paper.number(WIDTH - MARGIN, HEIGHT - MARGIN, 8.0, &name);
    paper.into_pdf(&format!("Packing slip of order {}", it.order_number))
}

/// Who sends what to whom; says where it ends.
fn head(paper: &mut Paper, it: &Slip<'_>) -> f32 {
    let right = WIDTH - MARGIN;
    paper.block(MARGIN, MARGIN, (INNER - 200.0, 44.0), 18.0, &[it.shop_name.to_owned()]);
    paper.text_to(right, MARGIN + 14.0, 14.0, "Packing slip");
    paper.text_to(right, MARGIN + 32.0, 11.0, &format!("Order {}", it.order_number));
    paper.barcode(right - 150.0, MARGIN + 42.0, (150.0, 34.0), &it.order_number.to_string());
    paper.text(MARGIN, MARGIN + 58.0, 8.0, "Ship to");
    let to = it.to.as_ref().map(Party::lines).unwrap_or_default();
    let end = paper.block(MARGIN, MARGIN + 62.0, (INNER - 200.0, 110.0), 12.0, &to);
    let facts = [
        Some(format!("From {}", it.warehouse)),
        it.reference.map(|reference| format!("Reference {reference}")),
        it.carrier.map(|carrier| format!("By {carrier}")),
        it.tracking_number.map(str::to_owned),
    ];
    let facts: Vec<String> = facts.into_iter().flatten().collect();
    let facts_end = paper.block(right - 150.0, MARGIN + 86.0, (150.0, 86.0), 9.0, &facts);
    end.max(facts_end).max(MARGIN + 100.0) + 16.0
}

/// The heads of the columns.
fn columns(paper: &mut Paper, top: &mut f32) {
    paper.text(SKU.0, *top + 8.0, 8.0, "Article");
    paper.text(NAME.0, *top + 8.0, 8.0, "Name");
    paper.text_to(WIDTH - MARGIN, *top + 8.0, 8.0, "Quantity");
    paper.rule(MARGIN, *top + 13.0, INNER, 0.8);
    *top += 18.0;
}
