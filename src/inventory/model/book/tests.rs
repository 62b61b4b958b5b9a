//! The book against a model: whatever is asked of it, in whatever order, the rules hold.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::inventory::model::place::Condition;
use crate::warehouses::{Address, Candidate, Code, NewWarehouse, Rule, Warehouse};

const SKUS: [&str; 2] = ["x", "y"];
const CODES: [&str; 3] = ["A", "B", "C"];
const CONDITIONS: [Condition; 4] =
    [Condition::Good, Condition::Damaged, Condition::QualityControl, Condition::Quarantined];

#[derive(Clone, Debug)]
enum Step {
    Receive { sku: usize, code: usize, quantity: i64 },
    Take { sku: usize, code: usize, condition: usize, quantity: i64 },
    Recondition { sku: usize, code: usize, from: usize, to: usize, quantity: i64 },
    Hold { lines: Vec<(usize, i64)> },
    Release { nth: usize },
    Commit { nth: usize },
    Order { lines: Vec<(usize, i64)> },
    Ship { nth: usize },
    Cancel { nth: usize },
    Serve,
    KeepBack { sku: usize, code: usize, quantity: i64 },
    Limit { sku: usize, limit: i64 },
}

fn step() -> impl Strategy<Value = Step> {
    let (sku, code, quantity, nth) = (0..2usize, 0..3usize, 1..20i64, 0..8usize);
    let lines = prop::collection::vec((0..2usize, 1..12i64), 1..4);
    prop_oneof![
        3 => (sku.clone(), code.clone(), quantity.clone()).prop_map(|(sku, code, quantity)| Step::Receive { sku, code, quantity }),
        1 => (sku.clone(), code.clone(), 0..4usize, quantity.clone())
            .prop_map(|(sku, code, condition, quantity)| Step::Take { sku, code, condition, quantity }),
        1 => (sku.clone(), code.clone(), 0..4usize, 0..4usize, quantity.clone())
            .prop_map(|(sku, code, from, to, quantity)| Step::Recondition { sku, code, from, to, quantity }),
        3 => lines.clone().prop_map(|lines| Step::Hold { lines }),
        2 => nth.clone().prop_map(|nth| Step::Release { nth }),
        2 => nth.clone().prop_map(|nth| Step::Commit { nth }),
        2 => lines.prop_map(|lines| Step::Order { lines }),
        2 => nth.clone().prop_map(|nth| Step::Ship { nth }),
        1 => nth.prop_map(|nth| Step::Cancel { nth }),
        2 => Just(Step::Serve),
        1 => (sku.clone(), code, 0..6i64).prop_map(|(sku, code, quantity)| Step::KeepBack { sku, code, quantity }),
        1 => (sku, 0..10i64).prop_map(|(sku, limit)| Step::Limit { sku, limit }),
    ]
}

/// What is promised, as a shop would remember it.
#[derive(Default)]
struct World {
    holds: Vec<Vec<(String, Sourced)>>,
    orders: Vec<Vec<(String, Sourced)>>,
    limits: BTreeMap<String, i64>,
}

fn directory() -> Arc<Directory> {
    let now = Timestamp::now();
    let warehouse = |code: &&str| Warehouse {
        fields: NewWarehouse {
            code: Code((*code).to_owned()),
            name: (*code).to_owned(),
            priority: 100,
            address: Address::default(),
            time_zone: "UTC".to_owned(),
            active: true,
        },
        created_at: now,
        updated_at: now,
    };
    let rules = vec![Rule::FewestShipments, Rule::MostStock];
    Arc::new(Directory { version: 1, rules, warehouses: CODES.iter().map(warehouse).collect(), channels: Vec::new() })
}

fn scope() -> Scope {
    directory().scope(None).expect("no channel is asked for")
}

fn new_book() -> Book {
    let items = SKUS.iter().map(|sku| ((*sku).to_owned(), Item::default())).collect();
    Book::new(Timestamp::now(), directory(), items)
}

fn demands(lines: &[(usize, i64)]) -> Vec<Demand> {
    let demand =
        |(sku, quantity): &(usize, i64)| Demand { sku: SKUS[*sku].to_owned(), quantity: *quantity, warehouse: None };
    lines.iter().map(demand).collect()
}

/// All of the lines, or nothing.
fn promise(book: &Book, lines: &[(usize, i64)]) -> Option<Vec<(String, Sourced)>> {
    let demands = demands(lines);
    let sourced = book.source(&scope(), &Location::default(), &demands);
    let met = demands.iter().zip(&sourced).all(|(demand, line)| line.quantity() == demand.quantity);
    met.then(|| demands.into_iter().map(|demand| demand.sku).zip(sourced).collect())
}

fn apply(book: &mut Book, world: &mut World, step: Step) {
    match step {
        Step::Receive { sku, code, quantity } => {
            let movement = NewMovement::new(SKUS[sku], quantity, Place::Supplier, Place::good(CODES[code]), "received");
            book.move_stock(movement).expect("there is room");
        }
        Step::Take { sku, code, condition, quantity } => {
            let from = Place::in_condition(CODES[code], CONDITIONS[condition]);
            // Refused or not: the rules are checked after every step.
            let _ = book.move_stock(NewMovement::new(SKUS[sku], quantity, from, Place::Scrap, "lost"));
        }
        Step::Recondition { sku, code, from, to, quantity } if from != to => {
            let place = |condition: usize| Place::in_condition(CODES[code], CONDITIONS[condition]);
            let _ = book.move_stock(NewMovement::new(SKUS[sku], quantity, place(from), place(to), "condition_change"));
        }
        Step::Recondition { .. } => {}
        Step::Hold { lines } => {
            if let Some(lines) = promise(book, &lines) {
                lines.iter().for_each(|(sku, sourced)| book.reserve(sku, sourced));
                world.holds.push(lines);
            }
        }
        Step::Release { nth } => {
            if nth < world.holds.len() {
                let lines = world.holds.remove(nth);
                lines.iter().for_each(|(sku, sourced)| book.unreserve(sku, sourced));
            }
        }
        Step::Commit { nth } => {
            if nth < world.holds.len() {
                let lines = world.holds.remove(nth);
                for (sku, sourced) in &lines {
                    book.unreserve(sku, sourced);
                    book.allocate(sku, sourced);
                }
                world.orders.push(lines);
            }
        }
        Step::Order { lines } => {
            if let Some(lines) = promise(book, &lines) {
                lines.iter().for_each(|(sku, sourced)| book.allocate(sku, sourced));
                world.orders.push(lines);
            }
        }
        Step::Ship { nth } => ship(book, world, nth),
        Step::Cancel { nth } => {
            if nth < world.orders.len() {
                let lines = world.orders.remove(nth);
                lines.iter().for_each(|(sku, sourced)| book.deallocate(sku, sourced));
            }
        }
        Step::Serve => serve(book, world),
        Step::KeepBack { sku, code, quantity } => book.set_safety_stock(SKUS[sku], CODES[code], quantity),
        Step::Limit { sku, limit } => {
            book.set_policy(SKUS[sku], Policy { backorder_limit: limit, ..Policy::default() });
            let most = world.limits.entry(SKUS[sku].to_owned()).or_default();
            *most = (*most).max(limit);
        }
    }
}

/// Ships what an order is promised from stock; what it waits for stays open.
fn ship(book: &mut Book, world: &mut World, nth: usize) {
    let Some(lines) = world.orders.get_mut(nth) else { return };
    for (sku, sourced) in lines.iter_mut() {
        let parts = std::mem::take(&mut sourced.parts);
        book.deallocate(sku, &Sourced { parts: parts.clone(), backordered: 0 });
        for part in parts {
            let movement =
                NewMovement::new(sku, part.quantity, Place::good(&part.warehouse), Place::Customer, "shipped");
            book.move_stock(movement).expect("what is allocated can be shipped");
        }
    }
}

/// Serves the orders that wait, the oldest first.
fn serve(book: &mut Book, world: &mut World) {
    for (sku, sourced) in world.orders.iter_mut().flatten().filter(|(_, sourced)| sourced.backordered > 0) {
        let demand = Demand { sku: sku.clone(), quantity: sourced.backordered, warehouse: None };
        let served = book.source_from_stock(&scope(), &[demand]).pop().expect("one was asked for");
        book.serve_backorder(sku, &served.parts);
        sourced.backordered -= served.quantity();
        sourced.parts.extend(served.parts);
    }
}

/// Every rule of the domain, from the records up.
fn check(book: &Book, world: &World, ledger: &[NewMovement]) -> Result<(), TestCaseError> {
    for sku in SKUS {
        let item = book.item(sku).expect("opened");
        let of = |promises: &[Vec<(String, Sourced)>]| -> Vec<Sourced> {
            promises.iter().flatten().filter(|(s, _)| s == sku).map(|(_, sourced)| sourced.clone()).collect()
        };
        let (holds, orders) = (of(&world.holds), of(&world.orders));
        let beyond = |promises: &[Sourced]| promises.iter().map(|s| s.backordered).sum::<i64>();
        prop_assert_eq!(item.held_beyond, beyond(&holds));
        prop_assert_eq!(item.ordered_beyond, beyond(&orders));
        let most = world.limits.get(sku).copied().unwrap_or(0);
        prop_assert!(
            item.held_beyond + item.ordered_beyond <= most,
            "promised beyond the highest limit there ever was"
        );
        for code in CODES {
            let level = book.level(sku, code);
            prop_assert!(level.is_sound(), "{} @ {}: {:?}", sku, code, level);
            let parts = |promises: &[Sourced]| -> i64 {
                promises.iter().flat_map(|s| &s.parts).filter(|p| p.warehouse == code).map(|p| p.quantity).sum()
            };
            prop_assert_eq!(level.reserved, parts(&holds));
            prop_assert_eq!(level.allocated, parts(&orders));
            for condition in CONDITIONS {
                let place = Place::in_condition(code, condition);
                let moved = ledger
                    .iter()
                    .filter(|m| m.sku == sku)
                    .map(|m| i64::from(m.to == place) * m.quantity - i64::from(m.from == place) * m.quantity);
                prop_assert_eq!(level.in_condition(condition), moved.sum::<i64>());
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn the_rules_hold_after_any_sequence(steps in prop::collection::vec(step(), 1..60)) {
        let (mut book, mut world, mut ledger) = (new_book(), World::default(), Vec::new());
        for step in steps {
            apply(&mut book, &mut world, step);
            ledger.extend(book.take_movements());
            check(&book, &world, &ledger)?;
        }
    }
}

#[test]
fn a_refused_movement_changes_nothing() {
    let mut book = new_book();
    let receive = NewMovement::new("x", 5, Place::Supplier, Place::good("A"), "received");
    book.move_stock(receive).expect("there is room");
    let before = book.level("x", "A");
    let refused = book.move_stock(NewMovement::new("x", 6, Place::good("A"), Place::Scrap, "lost"));
    let short = Refused::Short { sku: "x".into(), warehouse: "A".into(), wanted: 6, available: 5 };
    assert_eq!(refused, Err(short));
    assert_eq!(book.level("x", "A"), before);
    assert_eq!(book.take_movements().len(), 1);
}

#[test]
fn a_buffer_is_kept_back_from_its_channel_alone() {
    let mut book = new_book();
    book.move_stock(NewMovement::new("x", 5, Place::Supplier, Place::good("A"), "received")).expect("there is room");
    let with_buffer = |buffer| Scope {
        rules: vec![Rule::ChannelOrder],
        candidates: vec![Candidate {
            code: "A".into(),
            priority: 1,
            position: 0,
            buffer,
            location: Location::default(),
        }],
    };
    assert_eq!(book.available(&with_buffer(2), "x"), 3);
    assert_eq!(book.available(&with_buffer(0), "x"), 5);
    assert_eq!(book.available(&with_buffer(9), "x"), 0);
}
