//! Orders that take the place of goods that came back: what these are worth is taken off.

use serde::Deserialize;
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::model::{NewOrder, NewOrderLine, Order};
use super::pricing::{self, Terms};
use super::{Error, Orders, Result};
use crate::inventory::Sku;
use crate::platform::money::Money;
use crate::platform::problem::Fault;
use crate::platform::quantity::Quantity;

/// Units of a product to send in the place of what came back
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"sku": "TEA-1", "quantity": 1}))]
pub struct ExchangeLine {
    pub sku: Sku,
    pub quantity: Quantity,
    /// Price of one base unit; when left out, that at which the order had it, or the product's
    pub unit_price: Option<Money>,
    /// In hundredths of a percent: 1900 is 19 %; when left out, that at which the order had it, or had its first line
    #[schema(minimum = 0, maximum = 10000)]
    pub tax_rate: Option<i32>,
}

impl Orders {
    /// Places an order of these lines for who has this one, less a credit as far as it goes. How much of it that was. All of it
    /// must be there or may be backordered.
    pub async fn exchange_in_tx(
        &self,
        conn: &mut PgConnection,
        order: &Order,
        lines: &[ExchangeLine],
        credit: &Money,
    ) -> Result<(Order, Money)> {
        let skus: Vec<String> = lines.iter().map(|line| line.sku.0.clone()).collect();
        let listed = self.inventory.listed(conn, &skus).await?;
        let terms = lines.iter().map(|line| {
            let had = order.lines.iter().find(|had| had.sku == line.sku.0);
            let price = line.unit_price.clone().or_else(|| had?.unit_price.clone());
            let rate = line.tax_rate.or(had.or(order.lines.first()).map(|had| had.tax_rate));
            Terms {
                unit_price: price.or_else(|| listed.get(&line.sku.0)?.price.clone()),
                discount: 0,
                tax_rate: rate.unwrap_or(0),
            }
        });
        let terms: Vec<Terms> = terms.collect();
        let faults: Vec<Fault> =
            terms.iter().enumerate().filter_map(|(n, terms)| currency_fault(n, terms, &credit.currency)).collect();
        if !faults.is_empty() {
            return Err(Error::Invalid(faults));
        }
        let priced: Vec<(Terms, i64)> =
            terms.into_iter().zip(lines).map(|(terms, line)| (terms, line.quantity.0)).collect();
        let includes_tax = order.head.prices_include_tax;
        let Some((discounts, applied)) = pricing::credited(&priced, includes_tax, credit.amount) else {
            return Err(Error::Invalid(vec![Fault::new("/lines", "too_large", "this is more than an amount may be")]));
        };
        let lines = lines.iter().zip(priced).zip(discounts).map(|((line, (terms, _)), discount)| NewOrderLine {
            sku: line.sku.clone(),
            quantity: line.quantity,
            warehouse: None,
            unit_price: terms.unit_price,
            discount: Some(Money { amount: discount, currency: credit.currency.clone() }),
            tax_rate: terms.tax_rate,
            promised_for: None,
        });
        let head = &order.head;
        let new = NewOrder {
            reservation_id: None,
            lines: Some(lines.collect()),
            channel: head.channel.clone().map(crate::warehouses::Code),
            customer_id: head.customer_id,
            customer: Some(head.customer.clone()),
            shipping_address: head.shipping_address.clone(),
            shipping_price: None,
            prices_include_tax: includes_tax,
            ship_together: head.ship_together,
            reference: Some(format!("exchange of {}", head.number)),
            note: None,
            placed_at: None,
        };
        let placed = self.place_in_tx(conn, &new).await?;
        Ok((placed, Money { amount: applied, currency: credit.currency.clone() }))
    }
}

fn currency_fault(n: usize, terms: &Terms, currency: &str) -> Option<Fault> {
    match &terms.unit_price {
        Some(price) if price.currency == currency => None,
        Some(_) => {
            let detail = format!("what came back was paid in {currency}");
            Some(Fault::new(format!("/lines/{n}/unit_price/currency"), "differs", detail))
        }
        None => {
            let detail = "neither the order nor the product has a price for it";
            Some(Fault::new(format!("/lines/{n}/unit_price"), "required", detail))
        }
    }
}
