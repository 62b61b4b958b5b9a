//! Callers who may see and touch some warehouses or channels only.
//!
//! **Invariant:** whatever lies outside is refused by the name in the request alone, before anything is looked
//! up; and what is found by its id and lies outside looks like what does not exist. So no answer tells a limited
//! caller what there is beyond its limits.
//!
//! An operation takes limited callers only if it says so (`x-limitable-by` in its documentation): one that
//! nobody thought about refuses them.

use std::collections::BTreeSet;

use crate::platform::problem::{FORBIDDEN, Problem};

/// The warehouses and the channels that a caller is kept to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub warehouses: Limit,
    pub channels: Limit,
}

/// Names that a caller is kept to; without any, there is no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limit(BTreeSet<String>);

impl Limits {
    pub fn new(warehouses: Vec<String>, channels: Vec<String>) -> Self {
        Self { warehouses: Limit::new(warehouses), channels: Limit::new(channels) }
    }

    /// Whether something found by its id lies inside: sold by a channel, and touching any of the warehouses.
    pub fn reach<'a>(&self, channel: Option<&str>, warehouses: impl IntoIterator<Item = &'a str>) -> bool {
        self.channels.reaches(channel) && self.warehouses.reaches(warehouses)
    }
}

impl Limit {
    pub fn new(names: Vec<String>) -> Self {
        Self(names.into_iter().collect())
    }

    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    pub fn allows(&self, name: &str) -> bool {
        self.is_none() || self.0.contains(name)
    }

    /// Whether any of these is allowed; without a limit it need not be one.
    pub fn reaches<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> bool {
        self.is_none() || names.into_iter().any(|name| self.0.contains(name))
    }

    /// Refuses a name outside, whether or not something has it.
    pub fn check(&self, name: &str) -> Result<(), Problem> {
        if self.allows(name) { Ok(()) } else { Err(outside()) }
    }

    /// What a call means that may name one: what it names, or the only one there is for the caller.
    pub fn choose(&self, named: Option<String>) -> Result<Option<String>, Problem> {
        match (named, self.0.len()) {
            (Some(name), _) => self.check(&name).map(|()| Some(name)),
            (None, 0) => Ok(None),
            (None, 1) => Ok(self.0.first().cloned()),
            (None, _) => {
                let detail = format!("this caller is limited, so say which is meant: {}", self.names().join(", "));
                Err(Problem::new(&FORBIDDEN, detail))
            }
        }
    }

    /// What a list shows: what it is asked for, or all that the caller may see; `None` is everything.
    pub fn among(&self, named: Option<String>) -> Result<Option<Vec<String>>, Problem> {
        match named {
            Some(name) => self.check(&name).map(|()| Some(vec![name])),
            None if self.is_none() => Ok(None),
            None => Ok(Some(self.names())),
        }
    }

    pub fn names(&self) -> Vec<String> {
        self.0.iter().cloned().collect()
    }
}

fn outside() -> Problem {
    Problem::new(&FORBIDDEN, "this caller is limited to other warehouses or channels")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(names: &[&str]) -> Limit {
        Limit::new(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn without_names_there_is_no_limit() {
        let free = limit(&[]);
        assert!(free.allows("A") && free.reaches([]));
        assert_eq!(free.choose(None).unwrap(), None);
        assert_eq!(free.among(None).unwrap(), None);
        assert_eq!(free.among(Some("A".to_owned())).unwrap(), Some(vec!["A".to_owned()]));
    }

    #[test]
    fn the_only_name_need_not_be_said() {
        assert_eq!(limit(&["A"]).choose(None).unwrap().as_deref(), Some("A"));
        assert!(limit(&["A", "B"]).choose(None).is_err());
        assert_eq!(limit(&["A", "B"]).choose(Some("B".to_owned())).unwrap().as_deref(), Some("B"));
        assert!(limit(&["A"]).choose(Some("C".to_owned())).is_err());
        assert!(limit(&["A"]).among(Some("C".to_owned())).is_err());
    }

    #[test]
    fn a_thing_is_reached_through_any_of_its_warehouses() {
        assert!(limit(&["A"]).reaches(["B", "A"]));
        assert!(!limit(&["A"]).reaches(["B"]));
        assert!(!limit(&["A"]).reaches([]));
    }
}
