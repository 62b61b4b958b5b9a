//! The products behind the stock codes: a name and a price chosen from what the lines say.

use std::collections::{BTreeMap, HashMap};

use sha2::{Digest, Sha256};

use super::file::Row;
use super::goods;

const MAX_NAME: usize = 200;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    pub sku: String,
    pub name: String,
    pub price_pence: Option<i64>,
    /// Units that all sales of the plan take.
    pub sold: i64,
    /// Units that all write-offs of the plan take.
    pub written_off: i64,
}

/// The products in the order in which the file first names them.
#[derive(Debug, Default)]
pub struct Catalogue {
    pub products: Vec<Product>,
    by_sku: HashMap<String, usize>,
}

#[derive(Default)]
struct Sightings<'a> {
    names_sold: BTreeMap<&'a str, usize>,
    names_free: BTreeMap<&'a str, usize>,
    prices: BTreeMap<i64, usize>,
}

impl Catalogue {
    /// The name is the most frequent description of lines with a price; without one, of lines
    /// without a price that name goods; without one, the code. The price is the most frequent.
    pub fn new<'a>(rows: impl Iterator<Item = &'a Row>) -> Self {
        let mut catalogue = Self::default();
        let mut sightings: Vec<Sightings<'a>> = Vec::new();
        for row in rows.filter(|row| is_product(&row.raw.code)) {
            let at = catalogue.by_sku.get(&row.raw.code).copied().unwrap_or_else(|| {
                catalogue.by_sku.insert(row.raw.code.clone(), sightings.len());
                catalogue.products.push(Product::bare(&row.raw.code));
                sightings.push(Sightings::default());
                sightings.len() - 1
            });
            sightings[at].add(row);
        }
        for (product, seen) in catalogue.products.iter_mut().zip(&sightings) {
            let name = most_frequent(&seen.names_sold).or_else(|| most_frequent(&seen.names_free));
            if let Some(name) = name {
                product.name = name.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(MAX_NAME).collect();
            }
            product.price_pence = most_frequent(&seen.prices).copied();
        }
        catalogue
    }

    pub fn position(&self, sku: &str) -> Option<usize> {
        self.by_sku.get(sku).copied()
    }
}

/// Whether a code is goods and can be a SKU.
pub fn is_product(code: &str) -> bool {
    goods::kind(code) == goods::Kind::Goods && is_sku(code)
}

pub fn is_sku(code: &str) -> bool {
    (1..=64).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_graphic())
}

impl<'a> Sightings<'a> {
    fn add(&mut self, row: &'a Row) {
        let name = row.raw.description.as_str();
        if row.price_pence() > 0 {
            *self.prices.entry(row.price_pence()).or_default() += 1;
            if !name.is_empty() {
                *self.names_sold.entry(name).or_default() += 1;
            }
        } else if goods::names_goods(name) {
            *self.names_free.entry(name).or_default() += 1;
        }
    }
}

/// The key seen most often; of several, the smallest.
fn most_frequent<K: Ord>(seen: &BTreeMap<K, usize>) -> Option<&K> {
    seen.iter().rev().max_by_key(|(_, count)| **count).map(|(key, _)| key)
}

impl Product {
    fn bare(sku: &str) -> Self {
        Self { sku: sku.into(), name: sku.into(), price_pence: None, sold: 0, written_off: 0 }
    }

    /// Spreads units over so many warehouses, the same way every time: a quarter of the products
    /// stands in one warehouse alone, the others in all, in shares that the SKU's hash decides.
    pub fn spread(&self, units: i64, warehouses: usize) -> Vec<i64> {
        let hash = Sha256::digest(&self.sku);
        let home = self.home(warehouses);
        let mut shares = vec![0; warehouses];
        if hash[31] % 4 != 0 {
            let weights: Vec<i64> = (0..warehouses).map(|at| 64 + i64::from(hash[at % 24])).collect();
            let total: i64 = weights.iter().sum();
            for (share, weight) in shares.iter_mut().zip(&weights) {
                *share = units / total * weight + units % total * weight / total;
            }
        }
        let rest = units - shares.iter().sum::<i64>();
        if let Some(share) = shares.get_mut(home) {
            *share += rest;
        }
        shares
    }

    /// The warehouse for what cannot be split: its write-offs, and the rest of a division.
    pub fn home(&self, warehouses: usize) -> usize {
        usize::from(Sha256::digest(&self.sku)[30]) % warehouses.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_spread_without_loss_and_always_alike() {
        for warehouses in 1..=4 {
            for number in 0..500_i64 {
                let product = Product::bare(&format!("{}", 20_000 + number));
                let shares = product.spread(number * 7, warehouses);
                assert_eq!(shares.len(), warehouses);
                assert_eq!(shares.iter().sum::<i64>(), number * 7);
                assert!(shares.iter().all(|share| *share >= 0));
                assert_eq!(shares, product.spread(number * 7, warehouses));
            }
        }
    }

    #[test]
    fn some_products_stand_in_one_warehouse_and_most_in_both() {
        let alone = (0..1000)
            .filter(|number| Product::bare(&format!("{}", 20_000 + number)).spread(1000, 2).contains(&0))
            .count();
        assert!((150..350).contains(&alone), "{alone}");
    }

    #[test]
    fn the_most_frequent_wins_and_of_equals_the_smallest() {
        let seen = BTreeMap::from([(295, 2), (255, 5), (125, 5)]);
        assert_eq!(most_frequent(&seen), Some(&125));
        assert_eq!(most_frequent(&BTreeMap::<i64, usize>::new()), None);
    }
}
