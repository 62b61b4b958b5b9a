//! Which warehouses serve which lines: a rule chain held as data, used by reservations and orders alike.
//!
//! Rules decide in their order, each only where those before it leave a tie. The rules before
//! `fewest_shipments` therefore sort the warehouses into tiers, and a tier is used up before the next is
//! touched; within a tier the smallest set of warehouses is chosen that serves the most of what is
//! still open; the rules after it choose between sets of one size.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use crate::warehouses::{Candidate, Location, Rule, Scope};

/// All sets of warehouses are tried while that takes up to about this many look-ups.
const EXACT_STEPS: u64 = 50_000;

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

/// What there is to serve from.
#[derive(Clone, Debug, Default)]
pub struct Supply {
    /// Available units by (sku, warehouse), buffers taken off
    pub stock: BTreeMap<(String, String), i64>,
    /// Units that may yet be promised beyond stock, by sku
    pub beyond: BTreeMap<String, i64>,
}

/// The supply as a table of candidates and products, so that the search counts instead of comparing
/// text. It is used up as lines are served: two lines of one product never get the same units.
struct Table<'a> {
    candidates: &'a [Candidate],
    /// `stock[candidate][product]`
    stock: Vec<Vec<i64>>,
    beyond: Vec<i64>,
}

/// A line of the request, by numbers.
struct Line<'a> {
    product: usize,
    wanted: i64,
    /// The candidate that it insists on; `Some(None)` one that is not among them
    pinned: Option<Option<usize>>,
    served: Sourced,
    demand: &'a Demand,
}

impl Line<'_> {
    fn open(&self) -> i64 {
        self.wanted - self.served.quantity()
    }
}

/// Serves the lines as far as the supply goes: stock first, then beyond it. A line that comes back
/// with less than it asked for is short.
pub fn source(scope: &Scope, ship_to: &Location, demands: &[Demand], supply: &Supply) -> Vec<Sourced> {
    let mut products: Vec<&str> = demands.iter().map(|demand| demand.sku.as_str()).collect();
    products.sort_unstable();
    products.dedup();
    let mut table = Table::new(&scope.candidates, &products, supply);
    let mut lines: Vec<Line<'_>> = demands.iter().map(|demand| line(demand, &products, &scope.candidates)).collect();
    // Lines that insist on a warehouse come first: the others can go elsewhere.
    for line in &mut lines {
        if let Some(Some(candidate)) = line.pinned {
            table.take(line, candidate);
        }
    }
    for tier in tiers(scope, ship_to, &lines, &table) {
        let chosen = fewest(&tier, &lines, &table);
        for line in lines.iter_mut().filter(|line| line.pinned.is_none()) {
            // One warehouse for the whole line if one of the chosen can, else as the order says.
            let whole = chosen.iter().find(|candidate| table.stock[**candidate][line.product] >= line.open());
            for candidate in whole.into_iter().chain(&chosen) {
                table.take(line, *candidate);
            }
        }
    }
    lines.into_iter().map(|line| table.take_beyond(line)).collect()
}

fn line<'a>(demand: &'a Demand, products: &[&str], candidates: &[Candidate]) -> Line<'a> {
    let product = products.binary_search(&demand.sku.as_str()).expect("the products are those of the demands");
    let pinned = demand.warehouse.as_ref().map(|code| candidates.iter().position(|c| c.code == *code));
    Line { product, wanted: demand.quantity, pinned, served: Sourced::default(), demand }
}

impl<'a> Table<'a> {
    fn new(candidates: &'a [Candidate], products: &[&str], supply: &Supply) -> Self {
        let number: BTreeMap<&str, usize> = candidates.iter().enumerate().map(|(n, c)| (c.code.as_str(), n)).collect();
        let mut stock = vec![vec![0; products.len()]; candidates.len()];
        for ((sku, warehouse), quantity) in &supply.stock {
            if let (Ok(product), Some(candidate)) =
                (products.binary_search(&sku.as_str()), number.get(warehouse.as_str()))
            {
                stock[*candidate][product] = *quantity;
            }
        }
        let beyond = products.iter().map(|sku| supply.beyond.get(*sku).copied().unwrap_or(0)).collect();
        Self { candidates, stock, beyond }
    }

    fn take(&mut self, line: &mut Line<'_>, candidate: usize) {
        let left = &mut self.stock[candidate][line.product];
        let quantity = line.open().min(*left);
        if quantity > 0 {
            *left -= quantity;
            line.served.parts.push(Part { warehouse: self.candidates[candidate].code.clone(), quantity });
        }
    }

    fn take_beyond(&mut self, mut line: Line<'_>) -> Sourced {
        let left = &mut self.beyond[line.product];
        let quantity = line.open().min(*left);
        *left -= quantity;
        line.served.backordered = quantity;
        debug_assert!(line.served.quantity() <= line.demand.quantity);
        line.served
    }
}

/// The candidates, ranked by all rules, cut where the rules before `fewest_shipments` see a difference.
/// Without that rule each warehouse is a tier of its own.
fn tiers(scope: &Scope, ship_to: &Location, lines: &[Line<'_>], table: &Table<'_>) -> Vec<Vec<usize>> {
    let wanted: BTreeSet<usize> = lines.iter().map(|line| line.product).collect();
    let stock: Vec<i64> = table.stock.iter().map(|row| wanted.iter().map(|product| row[*product]).sum()).collect();
    let compare = |rules: &[Rule], a: usize, b: usize| {
        let (one, other) = (&scope.candidates[a], &scope.candidates[b]);
        rules.iter().fold(Ordering::Equal, |so_far, rule| {
            so_far.then_with(|| match rule {
                Rule::ChannelOrder => one.position.cmp(&other.position),
                Rule::WarehousePriority => one.priority.cmp(&other.priority),
                Rule::Nearest => compare_distance(ship_to, one, other),
                Rule::MostStock => stock[b].cmp(&stock[a]),
                Rule::FewestShipments => Ordering::Equal,
            })
        })
    };
    let mut ranked: Vec<usize> = (0..scope.candidates.len()).collect();
    ranked.sort_by(|a, b| {
        compare(&scope.rules, *a, *b).then_with(|| scope.candidates[*a].code.cmp(&scope.candidates[*b].code))
    });
    let cut = scope.rules.iter().position(|rule| *rule == Rule::FewestShipments);
    let mut tiers: Vec<Vec<usize>> = Vec::new();
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

/// The smallest set of the tier that serves as much as the whole tier would; of several, the one whose
/// members rank first. Where trying all sets would take too long, one is built greedily.
fn fewest(tier: &[usize], lines: &[Line<'_>], table: &Table<'_>) -> Vec<usize> {
    let mut open: BTreeMap<usize, i64> = BTreeMap::new();
    for line in lines.iter().filter(|line| line.pinned.is_none() && line.open() > 0) {
        *open.entry(line.product).or_default() += line.open();
    }
    let reach = |set: &[usize]| -> i64 {
        open.iter().map(|(product, open)| set.iter().map(|c| table.stock[*c][*product]).sum::<i64>().min(*open)).sum()
    };
    let useful: Vec<usize> = tier.iter().copied().filter(|candidate| reach(&[*candidate]) > 0).collect();
    let goal = reach(&useful);
    let steps = 1u64.checked_shl(u32::try_from(useful.len()).unwrap_or(u32::MAX)).unwrap_or(u64::MAX);
    if steps.saturating_mul(open.len() as u64) > EXACT_STEPS {
        return greedy(&useful, open, table);
    }
    let sets = (1..=useful.len()).flat_map(|size| combinations(&useful, size));
    sets.into_iter().find(|set| reach(set) == goal).unwrap_or_default()
}

/// Adds the warehouse that serves the most of what is left, until none serves any more.
fn greedy(tier: &[usize], mut open: BTreeMap<usize, i64>, table: &Table<'_>) -> Vec<usize> {
    let mut set = Vec::new();
    loop {
        let gain = |candidate: usize| -> i64 {
            open.iter().map(|(product, open)| table.stock[candidate][*product].min(*open)).sum()
        };
        // `max_by_key` keeps the last of equals: walk backwards, so that the best rank wins.
        let best = tier.iter().rev().map(|candidate| (gain(*candidate), *candidate)).max_by_key(|(gain, _)| *gain);
        let Some((1.., candidate)) = best else { return set };
        set.push(candidate);
        for (product, open) in &mut open {
            *open -= table.stock[candidate][*product].min(*open);
        }
        open.retain(|_, open| *open > 0);
    }
}

/// All subsets of one size, those with the best ranks first.
fn combinations(tier: &[usize], size: usize) -> Vec<Vec<usize>> {
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
        let lines = source(&scope, &Location::default(), &[want("x", 5), want("y", 5)], &stock);
        assert_eq!(parts(&lines[0]), [("C", 5)]);
        assert_eq!(parts(&lines[1]), [("C", 5)]);
    }

    #[test]
    fn a_rule_before_fewest_shipments_outweighs_it() {
        let scope = Scope {
            rules: vec![Rule::ChannelOrder, Rule::FewestShipments],
            candidates: vec![candidate("A", 0, 1), candidate("B", 1, 1)],
        };
        let lines = source(&scope, &Location::default(), &[want("x", 5)], &supply(&[("x", "A", 3), ("x", "B", 9)]));
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
        let lines = source(&scope, &ship_to, &[want("x", 4)], &stock);
        assert_eq!(parts(&lines[0]), [("S", 1), ("N", 1), ("H", 1), ("Z", 1)]);
    }

    #[test]
    fn two_lines_of_one_product_never_share_units() {
        let scope = Scope { rules: vec![Rule::FewestShipments], candidates: vec![candidate("A", 0, 1)] };
        let lines = source(&scope, &Location::default(), &[want("x", 3), want("x", 3)], &supply(&[("x", "A", 5)]));
        assert_eq!((lines[0].quantity(), lines[1].quantity()), (3, 2));
    }

    #[test]
    fn beyond_stock_comes_last() {
        let scope = Scope { rules: vec![Rule::FewestShipments], candidates: vec![candidate("A", 0, 1)] };
        let mut stock = supply(&[("x", "A", 2)]);
        stock.beyond.insert("x".into(), 2);
        let lines = source(&scope, &Location::default(), &[want("x", 5)], &stock);
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
            let lines = source(&scope, &Location::default(), &demands, &supply);
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

    #[test]
    fn many_lines_and_warehouses_are_served_greedily() {
        let codes: Vec<String> = (0..100).map(|n| format!("W{n:03}")).collect();
        let scope = Scope {
            rules: vec![Rule::FewestShipments],
            candidates: codes.iter().map(|code| candidate(code, 0, 1)).collect(),
        };
        let skus: Vec<String> = (0..1000).map(|n| format!("P{n}")).collect();
        let stock = skus.iter().enumerate().map(|(n, sku)| ((sku.clone(), codes[n % 100].clone()), 3)).collect();
        let demands: Vec<Demand> = skus.iter().map(|sku| want(sku, 3)).collect();
        let lines = source(&scope, &Location::default(), &demands, &Supply { stock, beyond: BTreeMap::new() });
        assert!(lines.iter().all(|line| line.quantity() == 3));
    }
}
