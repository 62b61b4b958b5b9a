//! What is to be paid: prices, discounts, tax and shipping. Whole minor units throughout; tax is rounded half up, line by
//! line, as invoices show it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::platform::money::Money;
use crate::platform::problem::Fault;

/// Rates are in hundredths of a percent, so this is 100 %.
const WHOLE: i128 = 10_000;

/// What a line costs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Of one base unit
    pub unit_price: Option<Money>,
    /// Off the whole line, in minor units
    pub discount: i64,
    /// Hundredths of a percent
    pub tax_rate: i32,
}

impl Terms {
    pub fn discount(&self) -> Option<Money> {
        let price = self.unit_price.as_ref().filter(|_| self.discount > 0)?;
        Some(Money { amount: self.discount, currency: price.currency.clone() })
    }
}

/// What bringing the goods costs
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"label": "Standard", "price": {"amount": 490, "currency": "EUR"}, "tax_rate": 1900}))]
pub struct ShippingPrice {
    /// As the customer knows it
    #[schema(max_length = 200)]
    pub label: Option<String>,
    pub price: Money,
    /// In hundredths of a percent: 1900 is 19 %
    #[serde(default)]
    #[schema(minimum = 0, maximum = 10000, default = 0)]
    pub tax_rate: i32,
}

/// What is to be paid, and what it is made of: `total = subtotal - discount + shipping`, and the tax on top unless the prices
/// include it
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({
    "subtotal": {"amount": 1198, "currency": "EUR"}, "discount": {"amount": 98, "currency": "EUR"},
    "shipping": {"amount": 490, "currency": "EUR"}, "tax": {"amount": 254, "currency": "EUR"},
    "total": {"amount": 1590, "currency": "EUR"},
    "taxes": [{"tax_rate": 1900, "net": {"amount": 1336, "currency": "EUR"}, "tax": {"amount": 254, "currency": "EUR"}}]
}))]
pub struct Totals {
    /// Units at their prices
    pub subtotal: Money,
    pub discount: Money,
    pub shipping: Money,
    pub tax: Money,
    pub total: Money,
    /// The tax by its rates
    pub taxes: Vec<TaxPart>,
}

/// Tax of one rate
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({"tax_rate": 1900, "net": {"amount": 1336, "currency": "EUR"}, "tax": {"amount": 254, "currency": "EUR"}}))]
pub struct TaxPart {
    /// In hundredths of a percent: 1900 is 19 %
    pub tax_rate: i32,
    /// What it is tax of
    pub net: Money,
    pub tax: Money,
}

/// Units of a line, and how many of them are to be paid.
#[derive(Clone, Copy)]
pub struct Priced<'a> {
    pub terms: &'a Terms,
    pub quantity: i64,
    pub left: i64,
}

impl Priced<'_> {
    fn worth(&self) -> Option<i128> {
        Some(i128::from(self.terms.unit_price.as_ref()?.amount) * i128::from(self.left))
    }

    /// The part of the discount that falls to the units that are left.
    fn discount(&self) -> i128 {
        i128::from(self.terms.discount) * i128::from(self.left) / i128::from(self.quantity.max(1))
    }
}

/// Adds it all up. Nothing where there are no lines, where one has no price or another currency, or where a sum is more
/// than an amount may be. Shipping is paid while any unit is left.
pub fn totals(lines: &[Priced<'_>], shipping: Option<&ShippingPrice>, includes_tax: bool) -> Option<Totals> {
    let currency = &lines.first()?.terms.unit_price.as_ref()?.currency;
    let shipping = shipping.filter(|_| lines.iter().any(|line| line.left > 0));
    let prices = lines.iter().map(|line| line.terms.unit_price.as_ref()).chain(shipping.map(|it| Some(&it.price)));
    if prices.into_iter().any(|price| price.is_none_or(|price| price.currency != *currency)) {
        return None;
    }
    let (mut subtotal, mut discount) = (0, 0);
    // Of each rate: what is tax of, and the tax.
    let mut by_rate: BTreeMap<i32, (i128, i128)> = BTreeMap::new();
    let mut add = |amount: i128, rate: i32| {
        let (net, tax) = split(amount, rate, includes_tax);
        let part = by_rate.entry(rate).or_default();
        (part.0, part.1) = (part.0 + net, part.1 + tax);
    };
    for line in lines {
        let worth = line.worth()?;
        subtotal += worth;
        discount += line.discount();
        add(worth - line.discount(), line.terms.tax_rate);
    }
    if let Some(shipping) = shipping {
        add(i128::from(shipping.price.amount), shipping.tax_rate);
    }
    let money = |amount: i128| Money::sum(amount, currency);
    let (net, tax) = by_rate.values().fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
    let taxes = by_rate.iter().filter(|(rate, part)| **rate > 0 && part.0 > 0);
    let taxes = taxes.map(|(rate, part)| Some(TaxPart { tax_rate: *rate, net: money(part.0)?, tax: money(part.1)? }));
    Some(Totals {
        subtotal: money(subtotal)?,
        discount: money(discount)?,
        shipping: money(shipping.map_or(0, |shipping| shipping.price.amount.into()))?,
        tax: money(tax)?,
        total: money(net + tax)?,
        taxes: taxes.collect::<Option<_>>()?,
    })
}

/// What was paid for the units of a line that came back, when `before` of its `quantity` had come back and now `after` have:
/// less their part of the discount, with tax. Units are counted from the first that came, so the sum over any receipts
/// is what all of them cost together, to the last minor unit, whatever is cancelled meanwhile. Nothing without a price.
pub fn refund(terms: &Terms, quantity: i64, before: i64, after: i64, includes_tax: bool) -> Option<Money> {
    let paid = |left| {
        let units = Priced { terms, quantity, left };
        let (net, tax) = split(units.worth()? - units.discount(), terms.tax_rate, includes_tax);
        Some(net + tax)
    };
    Money::sum(paid(after)? - paid(before)?, &terms.unit_price.as_ref()?.currency)
}

/// What units of a line cost that are sold as something else: of its discount, what falls to them by the side of those that
/// are left, so that the discounts of both add up to the minor unit.
pub fn moved(terms: &Terms, quantity: i64, left: i64, units: i64) -> Terms {
    let discount = |left| Priced { terms, quantity, left }.discount();
    let discount = i64::try_from(discount(left) - discount(left - units)).expect("at most the whole discount");
    Terms { discount, ..terms.clone() }
}

/// Discounts for lines without any that make them cost so much less, or as near to it from below as tax on top lets them, and
/// never more than they cost. How much less that is. Nothing where it cannot be added up.
pub fn credited(lines: &[(Terms, i64)], includes_tax: bool, credit: i64) -> Option<(Vec<i64>, i64)> {
    let worth = |(terms, quantity): &(Terms, i64)| terms.unit_price.as_ref()?.amount.checked_mul(*quantity);
    let weights: Vec<i64> = lines.iter().map(worth).collect::<Option<_>>()?;
    let cost = |discounts: &[i64]| {
        let terms: Vec<Terms> =
            lines.iter().zip(discounts).map(|((terms, _), d)| Terms { discount: *d, ..terms.clone() }).collect();
        let priced = terms.iter().zip(lines).map(|(terms, (_, quantity))| Priced {
            terms,
            quantity: *quantity,
            left: *quantity,
        });
        Some(totals(&priced.collect::<Vec<_>>(), None, includes_tax)?.total.amount)
    };
    let whole = cost(&vec![0; lines.len()])?;
    let less = |discount: i64| {
        let discounts = share(discount, &weights);
        let less = whole - cost(&discounts)?;
        Some((discounts, less))
    };
    // The largest discount that takes no more off than the credit: tax on top makes it take off more than itself.
    let (mut fits, mut too_much) = (0, credit.min(weights.iter().sum()) + 1);
    while too_much - fits > 1 {
        let middle = fits + (too_much - fits) / 2;
        if less(middle)?.1 <= credit { fits = middle } else { too_much = middle }
    }
    less(fits)
}

/// What an amount is without tax, and the tax.
fn split(amount: i128, rate: i32, includes_tax: bool) -> (i128, i128) {
    let rate = i128::from(rate);
    let whole = if includes_tax { WHOLE + rate } else { WHOLE };
    let tax = (2 * amount * rate + whole) / (2 * whole);
    if includes_tax { (amount - tax, tax) } else { (amount, tax) }
}

/// Shares an amount out in proportion, to the last minor unit: the sum of the shares is the amount, or all that the weights come
/// to if that is less, and no share is more than its weight. What does not divide goes to the largest remainders, the first
/// of equals first.
pub fn share(amount: i64, weights: &[i64]) -> Vec<i64> {
    let whole: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
    if whole == 0 {
        return vec![0; weights.len()];
    }
    let amount = i128::from(amount).min(whole);
    let exact = |weight: &i64| amount * i128::from(*weight);
    let mut shares: Vec<i128> = weights.iter().map(|weight| exact(weight) / whole).collect();
    let mut by_remainder: Vec<usize> = (0..weights.len()).collect();
    by_remainder.sort_by_key(|n| std::cmp::Reverse(exact(&weights[*n]) % whole));
    let left = usize::try_from(amount - shares.iter().sum::<i128>()).expect("less than one for each");
    by_remainder.into_iter().take(left).for_each(|n| shares[n] += 1);
    shares.into_iter().map(|share| i64::try_from(share).expect("at most its weight")).collect()
}

/// What cannot be, by the numbers of the lines: a discount without a price or of more than its line, and several
/// currencies where shipping or a discount has to be added up.
pub fn faults(lines: &[(i64, &Terms, Option<&Money>)], shipping: Option<&ShippingPrice>) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (n, (quantity, terms, discount)) in lines.iter().enumerate() {
        let Some(discount) = discount else { continue };
        let pointer = |field: &str| format!("/lines/{n}/discount{field}");
        match &terms.unit_price {
            None => faults.push(Fault::new(pointer(""), "unpriced", "the line has no price to take it off")),
            Some(price) if price.currency != discount.currency => {
                let detail = format!("the line is priced in {}", price.currency);
                faults.push(Fault::new(pointer("/currency"), "differs", detail));
            }
            Some(price) if i128::from(discount.amount) > i128::from(price.amount) * i128::from(*quantity) => {
                faults.push(Fault::new(pointer("/amount"), "too_large", "this is more than the line costs"));
            }
            Some(_) => {}
        }
    }
    let currency = lines.iter().find_map(|(_, terms, _)| terms.unit_price.as_ref()).map(|price| &price.currency);
    if let (Some(currency), Some(shipping)) = (currency, shipping)
        && shipping.price.currency != *currency
    {
        let detail = format!("the lines are priced in {currency}");
        faults.push(Fault::new("/shipping_price/price/currency", "differs", detail));
    }
    faults
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn euro(amount: i64) -> Money {
        Money { amount, currency: "EUR".to_owned() }
    }

    fn terms(unit_price: i64, discount: i64, tax_rate: i32) -> Terms {
        Terms { unit_price: Some(euro(unit_price)), discount, tax_rate }
    }

    fn amounts(totals: &Totals) -> [i64; 5] {
        let Totals { subtotal, discount, shipping, tax, total, .. } = totals;
        [subtotal, discount, shipping, tax, total].map(|money| money.amount)
    }

    #[test]
    fn tax_is_in_the_prices_or_on_top() {
        let tea = terms(599, 98, 1900);
        let line = [Priced { terms: &tea, quantity: 2, left: 2 }];
        let shipping = ShippingPrice { label: None, price: euro(490), tax_rate: 1900 };
        let within = totals(&line, Some(&shipping), true).expect("all is priced");
        // 1100 / 1.19 = 924.37, and 490 / 1.19 = 411.76
        assert_eq!(amounts(&within), [1198, 98, 490, 176 + 78, 1590]);
        let on_top = totals(&line, Some(&shipping), false).expect("all is priced");
        assert_eq!(amounts(&on_top), [1198, 98, 490, 209 + 93, 1590 + 302]);
        assert_eq!(on_top.taxes, [TaxPart { tax_rate: 1900, net: euro(1590), tax: euro(302) }]);
    }

    #[test]
    fn what_is_cancelled_is_not_paid_nor_is_its_shipping() {
        let tea = terms(500, 101, 0);
        let shipping = ShippingPrice { label: None, price: euro(490), tax_rate: 0 };
        let of =
            |left| totals(&[Priced { terms: &tea, quantity: 2, left }], Some(&shipping), true).map(|it| amounts(&it));
        assert_eq!(of(1), Some([500, 50, 490, 0, 940]));
        assert_eq!(of(0), Some([0, 0, 0, 0, 0]));
    }

    #[test]
    fn there_is_no_total_of_two_currencies_or_of_what_has_no_price() {
        let tea = terms(500, 0, 0);
        let pounds = Terms { unit_price: Some(Money { amount: 1, currency: "GBP".to_owned() }), ..Terms::default() };
        let line = |terms| Priced { terms, quantity: 1, left: 1 };
        assert_eq!(totals(&[line(&tea), line(&pounds)], None, true), None);
        let unpriced = Terms::default();
        assert_eq!(totals(&[line(&tea), line(&unpriced)], None, true), None);
        assert_eq!(totals(&[], None, true), None);
        let large = terms(600_000_000_000, 0, 0);
        assert!(totals(&[line(&large)], None, true).is_some());
        assert_eq!(totals(&[line(&large), line(&large)], None, true), None);
    }

    proptest! {
        #[test]
        fn shares_add_up_and_none_is_more_than_its_weight(
            amount in 0..5000i64, weights in proptest::collection::vec(0..2000i64, 0..20)
        ) {
            let shares = share(amount, &weights);
            prop_assert_eq!(shares.iter().sum::<i64>(), amount.min(weights.iter().sum()));
            for (share, weight) in shares.iter().zip(&weights) {
                prop_assert!((0..=*weight).contains(share));
            }
        }

        #[test]
        fn what_is_sold_as_something_else_costs_the_same(
            price in 0..100_000i64, off in 0..=100i64, quantity in 1..50i64, cancelled in 0..50i64, units in 0..50i64
        ) {
            let left = quantity - cancelled.min(quantity);
            let units = units.min(left);
            let terms = terms(price, price * quantity * off / 100, 0);
            let worth = |left| totals(&[Priced { terms: &terms, quantity, left }], None, true).expect("priced").total.amount;
            let new = moved(&terms, quantity, left, units);
            prop_assert!(new.discount <= price * units);
            let of_new = totals(&[Priced { terms: &new, quantity: units, left: units }], None, true).expect("priced").total.amount;
            prop_assert_eq!(worth(left - units) + of_new, worth(left));
        }

        #[test]
        fn a_credit_is_taken_off_as_far_as_it_goes(
            lines in proptest::collection::vec((0..100_000i64, 1..50i64, 0..=3000i32), 1..5), credit in 0..5_000_000i64,
            includes_tax: bool
        ) {
            let lines: Vec<(Terms, i64)> =
                lines.into_iter().map(|(price, quantity, rate)| (terms(price, 0, rate), quantity)).collect();
            let (discounts, less) = credited(&lines, includes_tax, credit).expect("priced");
            for ((terms, quantity), discount) in lines.iter().zip(&discounts) {
                prop_assert!((0..=terms.unit_price.as_ref().expect("priced").amount * quantity).contains(discount));
            }
            let worth: i64 = lines.iter().map(|(terms, n)| terms.unit_price.as_ref().expect("priced").amount * n).sum();
            prop_assert!(less <= credit);
            if includes_tax {
                prop_assert_eq!(less, credit.min(worth));
            } else {
                prop_assert!(discounts.iter().sum::<i64>() == worth || less + 2 + lines.len() as i64 > credit);
            }
        }

        #[test]
        fn refunds_add_up_to_what_was_paid(
            price in 0..100_000i64, off in 0..=100i64, rate in 0..=10_000i32, includes_tax: bool,
            unsold in 0..5i64, receipts in proptest::collection::vec(1..20i64, 1..10)
        ) {
            let kept: i64 = receipts.iter().sum();
            let quantity = kept + unsold;
            let terms = terms(price, price * quantity * off / 100, rate);
            let paid = totals(&[Priced { terms: &terms, quantity, left: kept }], None, includes_tax).expect("priced").total;
            let (mut back, mut refunded) = (0, 0);
            for units in receipts {
                let part = refund(&terms, quantity, back, back + units, includes_tax).expect("priced").amount;
                (back, refunded) = (back + units, refunded + part);
                prop_assert!(part >= 0 && refunded <= paid.amount);
            }
            prop_assert_eq!(refunded, paid.amount);
        }

        #[test]
        fn the_total_is_its_parts(
            lines in proptest::collection::vec((0..100_000i64, 1..50i64, 0..=100i64, 0..=10_000i32, 0..=100i64), 1..10),
            freight in proptest::option::of((0..5000i64, 0..=10_000i32)), includes_tax: bool
        ) {
            let terms: Vec<(Terms, i64, i64)> = lines.into_iter().map(|(price, quantity, off, rate, left)| {
                (terms(price, price * quantity * off / 100, rate), quantity, quantity * left / 100)
            }).collect();
            let priced: Vec<Priced> =
                terms.iter().map(|(terms, quantity, left)| Priced { terms, quantity: *quantity, left: *left }).collect();
            let freight = freight.map(|(amount, tax_rate)| ShippingPrice { label: None, price: euro(amount), tax_rate });
            let found = totals(&priced, freight.as_ref(), includes_tax).expect("all is priced");
            let [subtotal, discount, shipping, tax, total] = amounts(&found);
            prop_assert!(discount <= subtotal && tax >= 0);
            let on_top = if includes_tax { 0 } else { tax };
            prop_assert_eq!(total, subtotal - discount + shipping + on_top);
            prop_assert_eq!(tax, found.taxes.iter().map(|part| part.tax.amount).sum::<i64>());
        }
    }
}
