//! Which warehouses serve which lines: a rule chain held as data, used by reservations and orders alike.
//!
//! Rules decide in their order, each only where those before it leave a tie. The rules before
//! `fewest_shipments` therefore sort the warehouses into tiers, and a tier is used up before the next is
//! touched; within a tier the smallest set of warehouses is chosen that serves the most of what is
//! still open; the rules after it choose between sets of one size.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::warehouses::{Candidate, Location, Rule, Scope};

/// Up to this many warehouses in a tier, all sets are tried; beyond, the set is built greedily.
const EXACT_UP_TO: usize = 10;

/// What is wanted: one line of a reservation or order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    pub sku: String,
    pub quantity: i64,
    /// Only from here
    pub warehouse: Option<String>,
}

/// A quantity from one warehouse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub warehouse: String,
    pub quantity: i64,
}

/// How a line is served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sourced {
    pub parts: Vec<Part>,
    /// Promised beyond stock
    pub backordered: i64,
}

impl Sourced {
    pub fn quantity(&self) -> i64 {
        self.parts.iter().map(|part| part.quantity).sum::<i64>() + self.backordered
    }
}

/// What there is to serve from. It is used up as lines are served, so that two lines of one product never get the same units.
#[derive(Clone, Debug, Default)]
pub struct Supply {
    /// Available units by (sku, warehouse), buffers taken off
    pub stock: BTreeMap<(String, String), i64>,
    /// Units that may yet be promised beyond stock, by sku
    pub beyond: BTreeMap<String, i64>,
}

impl Supply {
    fn at(&self, sku: &str, warehouse: &str) -> i64 {
        self.stock.get(&(sku.to_owned(), warehouse.to_owned())).copied().unwrap_or(0)
    }

    fn take(&mut self, sku: &str, warehouse: &str, wanted: i64) -> i64 {
        let Some(left) = self.stock.get_mut(&(sku.to_owned(), warehouse.to_owned())) else { return 0 };
        let taken = wanted.min(*left).max(0);
        *left -= taken;
        taken
    }

    fn take_beyond(&mut self, sku: &str, wanted: i64) -> i64 {
        let Some(left) = self.beyond.get_mut(sku) else { return 0 };
        let taken = wanted.min(*left).max(0);
        *left -= taken;
        taken
    }
}

/// Serves the lines as far as the supply goes: stock first, then beyond it. A line that comes back
/// with less than it asked for is short.
pub fn source(scope: &Scope, ship_to: &Location, demands: &[Demand], mut supply: Supply) -> Vec<Sourced> {
    let mut served: Vec<Sourced> = demands.iter().map(|_| Sourced::default()).collect();
    // Lines that insist on a warehouse come first: the others can go elsewhere.
    for (demand, line) in demands.iter().zip(&mut served) {
        if let Some(warehouse) = &demand.warehouse {
            take(&mut supply, line, demand, warehouse);
        }
    }
    for tier in tiers(scope, ship_to, demands, &supply) {
        let chosen = fewest(&tier, demands, &served, &supply);
        for (demand, line) in demands.iter().zip(&mut served) {
            if demand.warehouse.is_none() {
                serve_from(&mut supply, line, demand, &chosen);
            }
        }
    }
    for (demand, line) in demands.iter().zip(&mut served) {
        line.backordered = supply.take_beyond(&demand.sku, demand.quantity - line.quantity());
    }
    served
}

/// One warehouse for the whole line if one of the chosen can, else as the order says.
fn serve_from(supply: &mut Supply, line: &mut Sourced, demand: &Demand, chosen: &[&Candidate]) {
    let open = demand.quantity - line.quantity();
    let whole = chosen.iter().find(|candidate| supply.at(&demand.sku, &candidate.code) >= open);
    for candidate in whole.into_iter().chain(chosen) {
        take(supply, line, demand, &candidate.code);
    }
}

fn take(supply: &mut Supply, line: &mut Sourced, demand: &Demand, warehouse: &str) {
    let quantity = supply.take(&demand.sku, warehouse, demand.quantity - line.quantity());
    if quantity > 0 {
        line.parts.push(Part { warehouse: warehouse.to_owned(), quantity });
    }
}

/// The candidates, ranked by all rules, cut where the rules before `fewest_shipments` see a difference.
/// Without that rule each warehouse is a tier of its own.
fn tiers<'a>(scope: &'a Scope, ship_to: &Location, demands: &[Demand], supply: &Supply) -> Vec<Vec<&'a Candidate>> {
    let cut = scope.rules.iter().position(|rule| *rule == Rule::FewestShipments);
    let stock = |candidate: &Candidate| demands.iter().map(|d| supply.at(&d.sku, &candidate.code)).sum::<i64>();
    let compare = |rules: &[Rule], a: &Candidate, b: &Candidate| {
        rules.iter().fold(Ordering::Equal, |so_far, rule| {
            so_far.then_with(|| match rule {
                Rule::ChannelOrder => a.position.cmp(&b.position),
                Rule::WarehousePriority => a.priority.cmp(&b.priority),
                Rule::Nearest => compare_distance(ship_to, a, b),
                Rule::MostStock => stock(b).cmp(&stock(a)),
                Rule::FewestShipments => Ordering::Equal,
            })
        })
    };
    let mut ranked: Vec<&Candidate> = scope.candidates.iter().collect();
    ranked.sort_by(|a, b| compare(&scope.rules, a, b).then_with(|| a.code.cmp(&b.code)));
    let mut tiers: Vec<Vec<&Candidate>> = Vec::new();
    for candidate in ranked {
        match (tiers.last_mut(), cut) {
            (Some(tier), Some(cut)) if compare(&scope.rules[..cut], tier[0], candidate).is_eq() => tier.push(candidate),
            _ => tiers.push(vec![candidate]),
        }
    }
    tiers
}

/// By kilometres where both are on the map, else by whether it is the same country.
fn compare_distance(ship_to: &Location, a: &Candidate, b: &Candidate) -> Ordering {
    let key = |candidate: &Candidate| {
        let abroad = ship_to.country.is_none() || candidate.location.country != ship_to.country;
        (ship_to.distance_km(&candidate.location), abroad)
    };
    match (key(a), key(b)) {
        ((Some(a), _), (Some(b), _)) => a.total_cmp(&b),
        ((Some(_), _), (None, _)) => Ordering::Less,
        ((None, _), (Some(_), _)) => Ordering::Greater,
        ((None, a), (None, b)) => a.cmp(&b),
    }
}

/// The smallest set of the tier that serves as much as the whole tier would; of several, the one whose members rank first.
fn fewest<'a>(tier: &[&'a Candidate], demands: &[Demand], served: &[Sourced], supply: &Supply) -> Vec<&'a Candidate> {
    let mut open: BTreeMap<&str, i64> = BTreeMap::new();
    for (demand, line) in demands.iter().zip(served) {
        if demand.warehouse.is_none() {
            *open.entry(&demand.sku).or_default() += demand.quantity - line.quantity();
        }
    }
    let reach = |set: &[&Candidate]| -> i64 {
        let served = open.iter().map(|(sku, open)| set.iter().map(|c| supply.at(sku, &c.code)).sum::<i64>().min(*open));
        served.sum()
    };
    let goal = reach(tier);
    if goal == 0 {
        return Vec::new();
    }
    if tier.len() > EXACT_UP_TO {
        return greedy(tier, goal, reach);
    }
    let sets = (1..=tier.len()).flat_map(|size| combinations(tier, size));
    sets.into_iter().find(|set| reach(set) == goal).unwrap_or_else(|| tier.to_vec())
}

/// Adds the warehouse that serves the most of what is left, until nothing is gained.
fn greedy<'a>(tier: &[&'a Candidate], goal: i64, reach: impl Fn(&[&Candidate]) -> i64) -> Vec<&'a Candidate> {
    let mut set: Vec<&Candidate> = Vec::new();
    while reach(&set) < goal {
        let with = |candidate: &&'a Candidate| {
            let mut larger = set.clone();
            larger.push(candidate);
            reach(&larger)
        };
        // `max_by_key` keeps the last of equals: walk backwards, so that the best rank wins.
        let Some(next) = tier.iter().rev().max_by_key(|c| with(c)) else { break };
        set.push(next);
    }
    set
}

/// All subsets of one size, those with the best ranks first.
fn combinations<'a>(tier: &[&'a Candidate], size: usize) -> Vec<Vec<&'a Candidate>> {
    if size == 0 {
        return vec![Vec::new()];
    }
    let heads = tier.iter().enumerate();
    let sets = heads.flat_map(|(i, head)| {
        combinations(&tier[i + 1..], size - 1).into_iter().map(move |mut rest| {
            rest.insert(0, *head);
            rest
        })
    });
    sets.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn candidate(code: &str, position: usize, priority: i32) -> Candidate {
        Candidate { code: code.into(), priority, position, buffer: 0, location: Location::default() }
    }

    fn supply(entries: &[(&str, &str, i64)]) -> Supply {
        let stock = entries.iter().map(|(sku, code, q)| (((*sku).into(), (*code).into()), *q)).collect();
        Supply { stock, beyond: BTreeMap::new() }
    }

    fn want(sku: &str, quantity: i64) -> Demand {
        Demand { sku: sku.into(), quantity, warehouse: None }
    }

    fn parts(sourced: &Sourced) -> Vec<(&str, i64)> {
        sourced.parts.iter().map(|p| (p.warehouse.as_str(), p.quantity)).collect()
    }

    #[test]
    fn fewest_shipments_prefers_the_one_that_has_all() {
        let scope = Scope {
            rules: vec![Rule::FewestShipments, Rule::WarehousePriority],
            candidates: vec![candidate("A", 0, 1), candidate("B", 0, 2), candidate("C", 0, 3)],
        };
        let stock = supply(&[("x", "A", 5), ("y", "B", 5), ("x", "C", 5), ("y", "C", 5)]);
        let lines = source(&scope, &Location::default(), &[want("x", 5), want("y", 5)], stock);
        assert_eq!(parts(&lines[0]), [("C", 5)]);
        assert_eq!(parts(&lines[1]), [("C", 5)]);
    }

    #[test]
    fn a_rule_before_fewest_shipments_outweighs_it() {
        let scope = Scope {
            rules: vec![Rule::ChannelOrder, Rule::FewestShipments],
            candidates: vec![candidate("A", 0, 1), candidate("B", 1, 1)],
        };
        let lines = source(&scope, &Location::default(), &[want("x", 5)], supply(&[("x", "A", 3), ("x", "B", 9)]));
        assert_eq!(parts(&lines[0]), [("A", 3), ("B", 2)]);
    }

    #[test]
    fn nearest_by_distance_then_by_country() {
        let at = |code: &str, latitude: f64| Candidate {
            location: Location { latitude: Some(latitude), longitude: Some(0.0), country: None },
            ..candidate(code, 0, 1)
        };
        let home = Candidate {
            location: Location { country: Some("GB".into()), ..Location::default() },
            ..candidate("H", 0, 1)
        };
        let scope = Scope {
            rules: vec![Rule::Nearest],
            candidates: vec![at("N", 60.0), at("S", 50.0), home, candidate("Z", 0, 1)],
        };
        let ship_to = Location { country: Some("GB".into()), latitude: Some(51.0), longitude: Some(0.0) };
        let stock = supply(&[("x", "N", 1), ("x", "S", 1), ("x", "H", 1), ("x", "Z", 1)]);
        let lines = source(&scope, &ship_to, &[want("x", 4)], stock);
        assert_eq!(parts(&lines[0]), [("S", 1), ("N", 1), ("H", 1), ("Z", 1)]);
    }

    #[test]
    fn two_lines_of_one_product_never_share_units() {
        let scope = Scope { rules: vec![Rule::FewestShipments], candidates: vec![candidate("A", 0, 1)] };
        let lines = source(&scope, &Location::default(), &[want("x", 3), want("x", 3)], supply(&[("x", "A", 5)]));
        assert_eq!((lines[0].quantity(), lines[1].quantity()), (3, 2));
    }

    #[test]
    fn beyond_stock_comes_last() {
        let scope = Scope { rules: vec![Rule::FewestShipments], candidates: vec![candidate("A", 0, 1)] };
        let mut stock = supply(&[("x", "A", 2)]);
        stock.beyond.insert("x".into(), 2);
        let lines = source(&scope, &Location::default(), &[want("x", 5)], stock);
        assert_eq!((parts(&lines[0]), lines[0].backordered), (vec![("A", 2)], 2));
    }

    proptest! {
        /// What is promised exists, is asked for, and nothing that could be served is left out.
        #[test]
        fn serves_all_it_can_and_no_more(
            stock in prop::collection::vec((0..3usize, 0..4usize, 0..10i64), 0..12),
            wanted in prop::collection::vec((0..3usize, 1..15i64, prop::option::of(0..4usize)), 1..6),
            beyond in prop::collection::vec(0..5i64, 3),
            rules in prop::sample::subsequence(vec![
                Rule::ChannelOrder, Rule::FewestShipments, Rule::WarehousePriority, Rule::Nearest, Rule::MostStock,
            ], 0..=5).prop_shuffle(),
        ) {
            let codes = ["A", "B", "C", "D"];
            let skus = ["x", "y", "z"];
            let candidates = (0..4).map(|i| candidate(codes[i], i / 2, 4 - i as i32)).collect();
            let scope = Scope { rules, candidates };
            let entries: BTreeMap<(String, String), i64> =
                stock.iter().map(|(s, w, q)| ((skus[*s].into(), codes[*w].into()), *q)).collect();
            let beyond: BTreeMap<String, i64> = beyond.iter().enumerate().map(|(i, q)| (skus[i].into(), *q)).collect();
            let demands: Vec<Demand> = wanted.iter().map(|(s, q, w)| Demand {
                sku: skus[*s].into(), quantity: *q, warehouse: w.map(|w| codes[w].into()),
            }).collect();
            let supply = Supply { stock: entries.clone(), beyond: beyond.clone() };
            let lines = source(&scope, &Location::default(), &demands, supply);
            for (demand, line) in demands.iter().zip(&lines) {
                prop_assert!(line.quantity() <= demand.quantity);
                prop_assert!(line.parts.iter().all(|p| p.quantity > 0));
                if let Some(pinned) = &demand.warehouse {
                    prop_assert!(line.parts.iter().all(|p| p.warehouse == *pinned));
                }
            }
            for sku in skus {
                let of_sku = || demands.iter().zip(&lines).filter(|(d, _)| d.sku == sku);
                prop_assert!(of_sku().map(|(_, l)| l.backordered).sum::<i64>() <= beyond[sku]);
                for code in codes {
                    let taken: i64 = of_sku().flat_map(|(_, l)| &l.parts).filter(|p| p.warehouse == code).map(|p| p.quantity).sum();
                    let had = entries.get(&(sku.into(), code.into())).copied().unwrap_or(0);
                    prop_assert!(taken <= had, "{sku} {code}: {taken} of {had}");
                    let short_free_line = of_sku().any(|(d, l)| l.quantity() < d.quantity && d.warehouse.as_deref().is_none_or(|w| w == code));
                    prop_assert!(!(short_free_line && taken < had), "{sku} is short though {code} has some");
                }
            }
        }
    }
}
