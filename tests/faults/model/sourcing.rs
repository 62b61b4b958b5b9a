//! Which warehouses serve which lines: rules decide in their order, each only where those before it leave a tie.

use std::collections::BTreeMap;

use super::calls::Wish;

/// A warehouse that may serve, and what is for sale there.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub warehouse: usize,
    /// Its rank by all rules that do not look at stock: the place in the channel's order, then the priority
    pub rank: (usize, i64),
    /// Available units by product, the channel's buffer taken off
    pub stock: Vec<i64>,
}

/// How a line is served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Served {
    pub parts: BTreeMap<usize, i64>,
    /// Promised beyond stock
    pub beyond: i64,
}

impl Served {
    pub fn quantity(&self) -> i64 {
        self.parts.values().sum::<i64>() + self.beyond
    }
}

/// Serves the lines from stock, then from what may be promised `beyond` it, by product. With `fewest`, as few
/// warehouses as possible serve as much as all of them could; without, they serve one after the other.
pub fn source(lines: &[Wish], mut candidates: Vec<Candidate>, fewest: bool, mut beyond: Vec<i64>) -> Vec<Served> {
    let mut served = vec![Served::default(); lines.len()];
    // A line that insists on a warehouse comes first: others can go elsewhere.
    for (line, (sku, quantity, pin)) in served.iter_mut().zip(lines) {
        if let Some(place) = candidates.iter_mut().find(|it| Some(it.warehouse) == *pin) {
            take(line, place, *sku, *quantity);
        }
    }
    let wanted = |place: &Candidate| -> i64 {
        let skus: std::collections::BTreeSet<usize> = lines.iter().map(|(sku, ..)| *sku).collect();
        skus.into_iter().map(|sku| place.stock[sku]).sum()
    };
    // The most of what is asked for decides where rank does not; the code, which is the number here, comes last.
    candidates.sort_by_key(|it| (it.rank, -wanted(it), it.warehouse));
    let tiers = if fewest { vec![candidates] } else { candidates.into_iter().map(|it| vec![it]).collect() };
    for tier in tiers {
        serve_from(tier, lines, &mut served);
    }
    for (line, (sku, quantity, _)) in served.iter_mut().zip(lines) {
        line.beyond = (quantity - line.quantity()).min(beyond[*sku]);
        beyond[*sku] -= line.beyond;
    }
    served
}

fn take(line: &mut Served, place: &mut Candidate, sku: usize, wanted: i64) {
    let quantity = (wanted - line.quantity()).min(place.stock[sku]);
    if quantity > 0 {
        place.stock[sku] -= quantity;
        *line.parts.entry(place.warehouse).or_default() += quantity;
    }
}

/// Serves lines that insist on nothing from the smallest set of the tier that can do as much as all of it; of
/// several sets, from the one whose members rank first.
fn serve_from(mut tier: Vec<Candidate>, lines: &[Wish], served: &mut [Served]) {
    let mut open: BTreeMap<usize, i64> = BTreeMap::new();
    for (line, (sku, quantity, pin)) in served.iter().zip(lines) {
        if pin.is_none() {
            *open.entry(*sku).or_default() += quantity - line.quantity();
        }
    }
    let reach = |set: &[usize]| -> i64 {
        open.iter().map(|(sku, open)| set.iter().map(|n| tier[*n].stock[*sku]).sum::<i64>().min(*open)).sum()
    };
    let sets =
        (0..1_u32 << tier.len()).map(|bits| (0..tier.len()).filter(|n| bits & (1 << n) != 0).collect::<Vec<usize>>());
    let goal = reach(&(0..tier.len()).collect::<Vec<usize>>());
    let chosen = sets.filter(|set| reach(set) == goal).min_by_key(|set| (set.len(), set.clone())).unwrap_or_default();
    for (line, (sku, quantity, pin)) in served.iter_mut().zip(lines) {
        if pin.is_some() {
            continue;
        }
        // One warehouse for all of the line, if one can.
        let whole = chosen.iter().copied().find(|n| tier[*n].stock[*sku] >= quantity - line.quantity());
        for n in whole.into_iter().chain(chosen.iter().copied()) {
            take(line, &mut tier[n], *sku, *quantity);
        }
    }
}
