//! One product in one warehouse, as the documentation has it: what is checked for being linearizable.

use std::collections::BTreeMap;

use super::checker::Object;

/// A call. What it makes is known by a number that the client chose.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    Reserve { name: usize, quantity: i64 },
    Release { hold: usize },
    Commit { name: usize, hold: usize },
    Order { name: usize, quantity: i64 },
    Cancel { order: usize },
    Adjust { change: i64 },
    SetTo { set_to: i64, expected: i64 },
    Read,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Held, released, placed, cancelled
    Done,
    Level(Level),
    Short {
        available: i64,
    },
    Stale {
        on_hand: i64,
    },
    Ended(Ended),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Level {
    pub on_hand: i64,
    pub reserved: i64,
    pub allocated: i64,
    pub available: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ended {
    Released,
    Committed,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Product {
    on_hand: i64,
    holds: BTreeMap<usize, Hold>,
    /// What is promised to orders that are not cancelled
    orders: BTreeMap<usize, i64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Hold {
    Live(i64),
    Ended(Ended),
}

impl Object for Product {
    type Call = Action;
    type Answer = Answer;

    fn call(&self, action: &Action) -> (Self, Answer) {
        let mut next = self.clone();
        let answer = next.act(action);
        (next, answer)
    }
}

impl Product {
    fn level(&self) -> Level {
        let reserved =
            self.holds.values().map(|hold| if let Hold::Live(quantity) = hold { *quantity } else { 0 }).sum();
        let allocated = self.orders.values().sum();
        Level { on_hand: self.on_hand, reserved, allocated, available: self.on_hand - reserved - allocated }
    }

    fn act(&mut self, action: &Action) -> Answer {
        let available = self.level().available;
        match *action {
            Action::Reserve { quantity, .. } | Action::Order { quantity, .. } if quantity > available => {
                return Answer::Short { available };
            }
            Action::Reserve { name, quantity } => drop(self.holds.insert(name, Hold::Live(quantity))),
            Action::Order { name, quantity } => drop(self.orders.insert(name, quantity)),
            Action::Release { hold } => match self.holds[&hold] {
                Hold::Live(_) => drop(self.holds.insert(hold, Hold::Ended(Ended::Released))),
                Hold::Ended(Ended::Released) => {}
                Hold::Ended(ended) => return Answer::Ended(ended),
            },
            Action::Commit { name, hold } => match self.holds[&hold] {
                Hold::Live(quantity) => {
                    self.holds.insert(hold, Hold::Ended(Ended::Committed));
                    self.orders.insert(name, quantity);
                }
                Hold::Ended(ended) => return Answer::Ended(ended),
            },
            Action::Cancel { order } => drop(self.orders.remove(&order)),
            Action::SetTo { expected, .. } if expected != self.on_hand => {
                return Answer::Stale { on_hand: self.on_hand };
            }
            Action::SetTo { set_to, expected } => return self.adjust(set_to - expected),
            Action::Adjust { change } => return self.adjust(change),
            Action::Read => return Answer::Level(self.level()),
        }
        Answer::Done
    }

    /// Nothing is taken away that is promised.
    fn adjust(&mut self, change: i64) -> Answer {
        let available = self.level().available;
        if available + change < 0 {
            return Answer::Short { available };
        }
        self.on_hand += change;
        Answer::Level(self.level())
    }
}
