//! The rules, each a function that lists what breaks it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::facts::{Callee, Facts, Source};
use super::{CRATES, LONG, LONGEST, ROOMS, SCHEMAS, SEVERAL_ENDPOINTS, SQL_ELSEWHERE, STAIR, TRANSACTIONS};

#[derive(Debug)]
pub struct Violation {
    pub rule: &'static str,
    place: String,
    remedy: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  at {}\n  {}", self.rule, self.place, self.remedy)
    }
}

pub fn allowed<'a>(table: &'a [(&'a str, &'a [&'a str])], from: &str) -> &'a [&'a str] {
    table.iter().find(|(module, _)| *module == from).map_or(&[], |(_, to)| to)
}

/// Every breach of a rule in these sources.
pub fn check(sources: &[Source]) -> Vec<Violation> {
    let read: Vec<(&Source, Facts)> = sources.iter().map(|source| (source, Facts::of(source))).collect();
    let owners = owners(read.iter());
    let mut found = Vec::new();
    for (source, facts) in &read {
        stair_and_doors(source, facts, &mut found);
        sql(source, facts, &mut found);
        crates(source, facts, &mut found);
        transactions(source, facts, &owners, &mut found);
        endpoints(source, facts, &mut found);
        clock_and_ids(source, facts, &mut found);
        length(source, &mut found);
    }
    found
}

fn stair_and_doors(source: &Source, facts: &Facts, found: &mut Vec<Violation>) {
    let from = source.module();
    if from == "lib" {
        return;
    }
    if !STAIR.iter().any(|(module, _)| *module == from) {
        let remedy = format!("give `{from}` its line in STAIR (tests/architecture.rs) and in ARCHITECTURE.md");
        found.push(Violation { rule: "every module has its place on the stair", place: source.at(""), remedy });
        return;
    }
    for path in facts.paths.iter().filter(|path| path[0] == "crate" && path.len() > 1 && path[1] != from) {
        let (to, named) = (path[1].as_str(), path[1..].join("::"));
        let edge = allowed(STAIR, from).iter().find(|edge| edge.split(' ').next() == Some(to));
        let place = source.at(&named);
        let service = || path.get(2).is_some_and(|name| name.to_lowercase() == to);
        if edge.is_none() {
            let remedy = format!(
                "`{from}` may name {:?}: let the caller pass in what it needs, publish an event, or, if the house \
                 really changes, add the edge to STAIR",
                allowed(STAIR, from)
            );
            found.push(Violation { rule: "imports follow the stair", place, remedy });
        } else if edge.is_some_and(|edge| edge.ends_with("types")) && service() {
            let remedy = format!("`{from}` knows the types of `{to}`; ask the module in between to use its service");
            found.push(Violation { rule: "imports follow the stair", place, remedy });
        } else if ROOMS.contains(&to) && path.len() > 3 && path[2].starts_with(char::is_lowercase) {
            let remedy = format!("name it as `crate::{to}::…`, after `pub use` in {to}/mod.rs");
            found.push(Violation { rule: "a module is called through its facade alone", place, remedy });
        }
    }
    if ROOMS.contains(&from) {
        for name in &facts.public_modules {
            if source.path.ends_with(&format!("{from}/mod.rs")) {
                let remedy = "make the module private, and `pub use` the names that callers need".to_owned();
                let place = source.at(&format!("mod {name}"));
                found.push(Violation { rule: "a module is called through its facade alone", place, remedy });
            }
        }
    }
}

fn sql(source: &Source, facts: &Facts, found: &mut Vec<Violation>) {
    let runs_sql = |path: &&Vec<String>| {
        let of_sqlx = |s: &String| s.starts_with("query") || s == "QueryBuilder" || s.starts_with("raw_sql");
        path.last().is_some_and(|last| last == "add_write") || (path[0] == "sqlx" && path[1..].iter().any(of_sqlx))
    };
    if SQL_ELSEWHERE.iter().any(|(path, _)| *path == source.path) {
        return;
    }
    if !source.is_repo() {
        for path in facts.paths.iter().filter(runs_sql) {
            let remedy = "move the statement into the module's repo, as a function that takes the connection first";
            let place = source.at(&path.join("::"));
            found.push(Violation { rule: "SQL stands in repo alone", place, remedy: remedy.to_owned() });
        }
        return;
    }
    for literal in &facts.literals {
        for schema in foreign_schemas(literal, source.module()) {
            let remedy = format!("ask `{schema}` through its facade: no join and no write goes across modules");
            let place = source.at(&format!("{schema}."));
            found.push(Violation { rule: "a repo names no schema but its own", place, remedy });
        }
    }
}

/// Schemas of other modules that a statement names, as in `orders.lines`.
fn foreign_schemas<'a>(statement: &'a str, own: &'a str) -> impl Iterator<Item = &'static str> + 'a {
    let words = |schema: &'static str| statement.match_indices(schema).map(move |(at, _)| (schema, at));
    let named = |(schema, at): &(&str, usize)| {
        let before = statement[..*at].chars().next_back();
        let after = &statement[at + schema.len()..];
        let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
        !before.is_some_and(is_word) && after.starts_with('.') && after[1..].starts_with(char::is_alphabetic)
    };
    SCHEMAS
        .iter()
        .filter(move |schema| **schema != own)
        .flat_map(move |schema| words(schema))
        .filter(named)
        .map(|s| s.0)
}

fn crates(source: &Source, facts: &Facts, found: &mut Vec<Violation>) {
    for (names, places, reason) in CRATES {
        let here = format!("/{}", source.path);
        if places.iter().any(|place| here.contains(place) && (place.starts_with('/') || source.path.starts_with(place)))
        {
            continue;
        }
        for path in facts.paths.iter().filter(|path| names.contains(&path[0].as_str())) {
            let remedy = format!("{} stays in {places:?}: {reason}", path[0]);
            let place = source.at(&path.join("::"));
            found.push(Violation { rule: "a crate is used where it belongs", place, remedy });
        }
    }
}

/// Modules whose methods of each name could be meant.
type Owners = BTreeMap<String, BTreeSet<String>>;

fn owners<'a>(read: impl Iterator<Item = &'a (&'a Source, Facts)>) -> Owners {
    let mut owners = Owners::new();
    for (source, facts) in read {
        for method in &facts.methods {
            owners.entry(method.clone()).or_default().insert(source.module().to_owned());
        }
    }
    owners
}

/// The modules that a call hands its transaction to.
fn receivers(from: &str, callee: &Callee, function: &str, owners: &Owners) -> Vec<String> {
    let mut to = match callee {
        Callee::Type(path) if path[0] == "crate" && path.len() > 1 => vec![path[1].clone()],
        Callee::Named(name) if ROOMS.contains(&name.as_str()) => vec![name.clone()],
        // Whose it is can be told from the name alone when this module has none of that name.
        Callee::Named(name) if name != "self" => match owners.get(function) {
            Some(owners) if !owners.contains(from) => owners.iter().cloned().collect(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    };
    to.retain(|to| to != from && to != "platform");
    to
}

fn transactions(source: &Source, facts: &Facts, owners: &Owners, found: &mut Vec<Violation>) {
    let from = source.module();
    for (callee, function) in &facts.handovers {
        for to in receivers(from, callee, function, owners) {
            if !allowed(TRANSACTIONS, from).contains(&to.as_str()) {
                let remedy = format!(
                    "`{from}` may hand its transaction to {:?}. A new edge needs a command that is idempotent by the \
                     caller's id, a line in TRANSACTIONS, and one in ARCHITECTURE.md that says what replaces it",
                    allowed(TRANSACTIONS, from)
                );
                let place = source.at(function);
                found.push(Violation { rule: "a transaction crosses doors on the listed edges alone", place, remedy });
            }
        }
    }
}

type Edges = BTreeSet<(String, String)>;

/// The edges that are in use: of imports, and of transactions.
pub fn edges(sources: &[Source]) -> (Edges, Edges) {
    let read: Vec<(&Source, Facts)> = sources.iter().map(|source| (source, Facts::of(source))).collect();
    let owners = owners(read.iter());
    let (mut imports, mut transactions) = (Edges::new(), Edges::new());
    for (source, facts) in &read {
        let from = source.module().to_owned();
        let named = facts.paths.iter().filter(|path| path[0] == "crate" && path.len() > 1);
        imports.extend(named.map(|path| (from.clone(), path[1].clone())));
        for (callee, function) in &facts.handovers {
            transactions.extend(receivers(&from, callee, function, &owners).into_iter().map(|to| (from.clone(), to)));
        }
    }
    (imports, transactions)
}

fn endpoints(source: &Source, facts: &Facts, found: &mut Vec<Violation>) {
    let rule = "a file in http/ is one endpoint, and says which";
    if !source.path.contains("/http/") || SEVERAL_ENDPOINTS.iter().any(|(path, _)| *path == source.path) {
        return;
    }
    let wanted = usize::from(!source.path.ends_with("/mod.rs"));
    if facts.endpoints.len() != wanted {
        let remedy =
            format!("it has {}, {wanted} is wanted: a file for each, the router in mod.rs", facts.endpoints.len());
        found.push(Violation { rule, place: source.at("utoipa::path"), remedy });
    }
    for (method, path) in &facts.endpoints {
        let heading = format!("//! `{} {path}`", method.to_uppercase());
        if !source.text.starts_with(&heading) {
            found.push(Violation { rule, place: source.at(""), remedy: format!("begin the file with {heading}") });
        }
    }
}

fn clock_and_ids(source: &Source, facts: &Facts, found: &mut Vec<Violation>) {
    let of_their_own = ["platform/clock.rs", "platform/id.rs"].contains(&source.path.as_str());
    // Its loops have an OS thread of their own, which may sleep.
    if of_their_own || source.path.starts_with("platform/db/private/") {
        return;
    }
    for allow in facts.allows.iter().filter(|allow| allow.contains("disallowed_methods")) {
        let remedy = "take the time from the database or platform::clock, ids from platform::id".to_owned();
        found.push(Violation { rule: "clippy's bans hold everywhere", place: source.at(allow), remedy });
    }
}

fn length(source: &Source, found: &mut Vec<Violation>) {
    let lines = source.text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).count();
    let listed = LONG.iter().any(|(path, _)| *path == source.path);
    if (lines > LONGEST) != listed {
        let remedy = if listed {
            "it is short again: take it off the list LONG".to_owned()
        } else {
            format!("{lines} lines: split it by what changes together, or list it in LONG with the reason")
        };
        found.push(Violation { rule: "no file is longer than 500 lines", place: source.at(""), remedy });
    }
}

/// Keys and views across schemas are joins too.
pub fn check_migration(name: &str, text: &str) -> Vec<Violation> {
    let code: Vec<&str> = text.lines().map(|line| line.split("--").next().unwrap_or_default()).collect();
    let mut found = Vec::new();
    for statement in code.join("\n").split(';') {
        let named: BTreeSet<&str> = foreign_schemas(statement, "").collect();
        if named.len() > 1 {
            let remedy = format!("it names the schemas {named:?}: keep the other module's id as plain data");
            let place = format!("migrations/{name}: {}", statement.trim().lines().next().unwrap_or_default());
            found.push(Violation { rule: "a statement of a migration stays in one schema", place, remedy });
        }
    }
    found
}
