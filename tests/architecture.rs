//! The rules of the house, enforced; ARCHITECTURE.md has the reasons. Each rule is tried on a snippet
//! that breaks it as well, at the end of this file, so a rule that sees nothing is seen.

#[path = "architecture/facts.rs"]
mod facts;
#[path = "architecture/rules.rs"]
mod rules;

use std::collections::BTreeSet;
use std::path::Path;

use facts::Source;
use rules::{Violation, check, check_migration};

/// The stair: what each module may name of the others. `types` stands for "but not its service": the
/// module knows the words, and leaves the deciding to whoever has the service.
const STAIR: &[(&str, &[&str])] = &[
    ("platform", &[]),
    ("access", &["platform"]),
    ("events", &["lifecycle", "platform"]),
    ("warehouses", &["events", "access types", "platform"]),
    ("inventory", &["warehouses", "events", "access types", "platform"]),
    ("transfers", &["inventory", "warehouses", "events", "access types", "platform"]),
    ("feeds", &["inventory", "warehouses", "events", "access types", "platform"]),
    ("reservations", &["inventory", "warehouses types", "events", "access types", "platform"]),
    ("customers", &["warehouses types", "events", "platform"]),
    ("orders", &["customers", "reservations", "inventory", "warehouses types", "events", "access types", "platform"]),
    ("carts", &["orders", "reservations", "inventory", "warehouses types", "events", "access types", "platform"]),
    ("webhooks", &["events", "lifecycle", "platform"]),
    ("brokers", &["feeds", "events", "lifecycle", "platform"]),
    ("notices", &["orders", "customers", "inventory", "events", "platform"]),
    ("carriers", &["orders", "customers types", "inventory", "warehouses", "events", "access types", "platform"]),
    ("payments", &["orders", "events", "access types", "platform"]),
    ("returns", &["orders", "customers", "inventory types", "events", "access types", "platform"]),
    ("imports", &["payments", "orders", "warehouses types", "access types", "platform"]),
    ("workflows", &["payments", "orders", "warehouses types", "events", "access types", "platform"]),
    ("at_risk", &["workflows", "payments", "orders", "inventory", "platform"]),
    // What looks at all modules together: the self-check asks each for its part.
    (
        "ops",
        &[
            "returns",
            "payments",
            "carts",
            "orders",
            "reservations",
            "transfers",
            "inventory",
            "lifecycle",
            "telemetry",
            "platform",
        ],
    ),
    (
        "app",
        &[
            "access",
            "events",
            "warehouses",
            "inventory",
            "transfers",
            "feeds",
            "customers",
            "reservations",
            "orders",
            "carts",
            "webhooks",
            "brokers",
            "notices",
            "carriers",
            "payments",
            "workflows",
            "at_risk",
            "imports",
            "returns",
            "ops",
            "asyncapi",
            "config",
            "lifecycle",
            "openapi",
            "platform",
            "telemetry",
        ],
    ),
    ("cli", &["app", "access", "ops", "config", "lifecycle", "telemetry", "platform"]),
    ("main", &["cli"]),
    (
        "config",
        &["access", "brokers types", "carriers types", "notices types", "payments types", "webhooks types", "platform"],
    ), // for the least length of an admin key, and the settings
    ("telemetry", &["config"]),
    ("openapi", &["platform"]),
    ("asyncapi", &["events types"]), // the catalogue of events
    // What the fuzz targets run, built for them and for the tests alone.
    ("fuzzing", &["cli", "config", "reservations types", "warehouses types", "platform"]),
    ("lifecycle", &[]),
];

/// Modules with one door: the names in their `mod.rs`. (`platform` is a shelf of tools, and the rest are files.)
const ROOMS: &[&str] = &[
    "access",
    "events",
    "warehouses",
    "inventory",
    "transfers",
    "feeds",
    "customers",
    "reservations",
    "orders",
    "carts",
    "webhooks",
    "brokers",
    "notices",
    "carriers",
    "payments",
    "workflows",
    "at_risk",
    "imports",
    "returns",
    "ops",
];

/// Who may hand its transaction to whom. ARCHITECTURE.md says for each what takes the shared
/// transaction's place if the two become services.
const TRANSACTIONS: &[(&str, &[&str])] = &[
    // Upwards, through the trait `Work`: those who carry out commands that go together.
    ("platform", &["reservations", "orders"]),
    // To inventory it is upwards, through the trait `Occupancy`: asked before a warehouse goes.
    ("warehouses", &["inventory", "events"]),
    ("inventory", &["warehouses", "events"]),
    ("transfers", &["inventory", "warehouses", "events"]),
    ("feeds", &["inventory", "warehouses", "events"]),
    ("reservations", &["inventory", "events"]),
    // To orders, notices, carriers and returns it is upwards, through the trait `PersonalData`: asked, shown and emptied by an erasure.
    ("customers", &["orders", "notices", "carriers", "returns", "events"]),
    // To workflows it is upwards, through the trait `Process`: it begins before anything leaves.
    ("orders", &["customers", "reservations", "inventory", "workflows", "events"]),
    ("carts", &["orders", "reservations", "inventory", "events"]),
    ("webhooks", &["events"]), // a follower moves on in the transaction of what it does
    ("notices", &["orders", "customers", "inventory", "events"]), // what it tells of, read in one moment with who is told
    // What is delivered is so for the order too; a paper is drawn of one moment.
    ("carriers", &["orders", "inventory", "warehouses", "events"]),
    ("returns", &["orders", "events"]), // goods that come in are noted where they were asked for
    ("imports", &["orders", "payments"]), // an order that was sold elsewhere comes with its money, once
    ("workflows", &["payments", "orders", "events"]), // what brings an order further is noted with it
    ("at_risk", &["workflows", "payments", "orders", "inventory"]), // what all of them know, read in one moment
    ("payments", &["orders", "events"]), // an order knows at once how far it is paid; a follower moves on
    ("ops", &["inventory", "transfers", "reservations", "orders", "carts", "payments", "returns"]), // the self-check and its repair
    ("cli", &["events"]), // a restore, after which the feed goes on
];

/// SQL outside a repo, with the reason.
const SQL_ELSEWHERE: &[(&str, &str)] = &[
    ("platform/db/role.rs", "it grants rights on what the catalogue lists, and knows no table"),
    ("platform/db/mod.rs", "it sets up sessions, and knows no table"),
    ("platform/db/writes.rs", "it sends what repos gather, and knows no table"),
    ("platform/db/reads.rs", "it asks what repos gather, and knows no table"),
];

/// Modules that own a schema of their name.
const SCHEMAS: &[&str] = &[
    "platform",
    "access",
    "events",
    "warehouses",
    "inventory",
    "transfers",
    "feeds",
    "customers",
    "reservations",
    "orders",
    "carts",
    "webhooks",
    "brokers",
    "notices",
    "carriers",
    "payments",
    "workflows",
    "imports",
    "returns",
];

/// Crates that belong in some places only, and why.
const CRATES: &[(&[&str], &[&str], &str)] = &[
    (
        &["axum", "axum_extra", "tower_http", "utoipa_axum", "utoipa_swagger_ui"],
        &["/http/", "/ui/", "platform/", "app.rs", "fuzzing.rs"],
        "HTTP stays at the edge, so that a service can be called by anything",
    ),
    (&["reqwest"], &["cli/"], "only the command line's clients call servers"),
    (
        &["openidconnect", "hyper_rustls"],
        &["access/oidc/", "carriers/easypost/", "payments/stripe/", "platform/outbound/"],
        "the server calls others from there alone, so that no call can happen inside a transaction",
    ),
    (&["lettre"], &["notices/"], "only notices send mails, from jobs, where no transaction is open"),
    (&["krilla", "harfrust", "skrifa", "barcoders"], &["carriers/papers/"], "papers are drawn there alone"),
    (&["standardwebhooks"], &["webhooks/"], "only webhooks sign messages"),
    (
        &["async_nats", "rumqttc", "rustls_native_certs"],
        &["brokers/"],
        "the feed alone goes to brokers, after the commit: nothing else waits for one",
    ),
    (&["clap"], &["cli/", "config.rs"], "arguments are the command line's"),
];

/// Lines that a file may have, its tests not counted. At 400 it is telling you it is two things.
const LONGEST: usize = 500;

/// Longer files, each with the reason.
const LONG: &[(&str, &str)] = &[];

/// Files in `http/` that do not document just one endpoint, with the reason.
const SEVERAL_ENDPOINTS: &[(&str, &str)] = &[
    ("ops/http/health.rs", "two probes of a line each"),
    ("access/http/guard.rs", "the layer in front of all of them"),
    ("access/http/browser.rs", "what the guard and the log-in want of a browser"),
];

fn files(root: &str, extension: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(root);
    let files = walkdir::WalkDir::new(&root).sort_by_file_name().into_iter().map(|entry| entry.expect("readable"));
    let wanted = files.filter(|entry| entry.path().extension().is_some_and(|found| found == extension));
    wanted
        .map(|entry| {
            let path = entry.path().strip_prefix(&root).expect("below the root").to_string_lossy().into_owned();
            (path, std::fs::read_to_string(entry.path()).expect("readable"))
        })
        .collect()
}

fn assert_none(found: &[Violation]) {
    let texts: BTreeSet<String> = found.iter().map(ToString::to_string).collect();
    assert!(texts.is_empty(), "\n\n{}\n", texts.into_iter().collect::<Vec<_>>().join("\n\n"));
}

#[test]
fn the_house_is_in_order() {
    let sources: Vec<Source> = files("src", "rs").iter().map(|(path, text)| Source::new(path, text)).collect();
    assert!(sources.len() > 100, "src was not found");
    assert_none(&check(&sources));
}

#[test]
fn the_stair_has_no_circle() {
    fn climb(from: &str, above: &mut Vec<String>) {
        assert!(!above.iter().any(|seen| seen == from), "a circle: {} → {from}", above.join(" → "));
        above.push(from.to_owned());
        for to in rules::allowed(STAIR, from) {
            climb(to.trim_end_matches(" types"), above);
        }
        above.pop();
    }
    STAIR.iter().for_each(|(module, _)| climb(module, &mut Vec::new()));
}

/// A table that lists what nobody does any more permits what nobody thought about.
#[test]
fn the_tables_list_nothing_unused() {
    let sources: Vec<Source> = files("src", "rs").iter().map(|(path, text)| Source::new(path, text)).collect();
    let (imports, transactions) = rules::edges(&sources);
    for (table, used) in [(STAIR, imports), (TRANSACTIONS, transactions)] {
        for (from, edges) in table {
            for to in edges.iter().map(|edge| edge.trim_end_matches(" types")) {
                assert!(used.contains(&((*from).to_owned(), to.to_owned())), "{from} → {to} is not used: take it out");
            }
        }
    }
}

#[test]
fn migrations_stay_in_their_schemas() {
    let found: Vec<Violation> = files("migrations", "sql").iter().flat_map(|(n, t)| check_migration(n, t)).collect();
    assert_none(&found);
}

#[test]
fn clippy_bans_other_clocks_and_ids() {
    let bans = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("clippy.toml")).expect("clippy.toml");
    for method in ["chrono::Utc::now", "std::time::SystemTime::now", "uuid::Uuid::now_v7"] {
        assert!(bans.contains(&format!("\"{method}\", reason = ")), "clippy.toml bans {method}, with a reason");
    }
}

/// Each rule, broken.
#[test]
fn what_breaks_a_rule_is_caught() {
    let service = "impl Inventory { pub async fn hold_in_tx(&self, conn: &mut PgConnection) {} }";
    let broken = [
        ("warehouses/mod.rs", "use crate::inventory::Inventory;", "imports follow the stair"),
        ("platform/page.rs", "fn f() { super::super::orders::f() }", "imports follow the stair"),
        ("inventory/mod.rs", "fn f() { assert!(crate::orders::OPEN) }", "imports follow the stair"),
        ("inventory/mod.rs", "fn f() { tokio::select! { x = crate::orders::f() => x } }", "imports follow the stair"),
        ("orders/mod.rs", "use crate::warehouses::{Code, Warehouses};", "imports follow the stair"),
        ("purchasing/mod.rs", "pub struct Purchasing;", "every module has its place on the stair"),
        ("orders/mod.rs", "use crate::inventory::model::book::Book;", "a module is called through its facade alone"),
        (
            "orders/model.rs",
            "type B = crate::inventory::stock::ShipLine;",
            "a module is called through its facade alone",
        ),
        ("orders/mod.rs", "pub mod model;", "a module is called through its facade alone"),
        ("orders/mod.rs", "fn f() { sqlx::query!(\"SELECT 1\") }", "SQL stands in repo alone"),
        ("orders/mod.rs", "use sqlx::query_as; fn f() { query_as(\"SELECT 1\") }", "SQL stands in repo alone"),
        ("orders/mod.rs", "use sqlx::QueryBuilder;", "SQL stands in repo alone"),
        (
            "orders/mod.rs",
            "use crate::platform::db::{Writes, add_write}; fn f(w: &mut Writes) { add_write!(w, \"SELECT 1\") }",
            "SQL stands in repo alone",
        ),
        (
            "orders/repo.rs",
            "use crate::platform::db::{Writes, add_write}; fn f(w: &mut Writes) { add_write!(w, \"DELETE FROM inventory.levels\") }",
            "a repo names no schema but its own",
        ),
        (
            "orders/repo.rs",
            "fn f() { sqlx::query!(\"SELECT 1 FROM orders.lines JOIN inventory.levels USING (sku)\") }",
            "a repo names no schema but its own",
        ),
        (
            "inventory/repo/x.rs",
            "fn f() { sqlx::query(\"SELECT 1 \" + r#\"FROM orders.lines\"#) }",
            "a repo names no schema but its own",
        ),
        ("orders/model.rs", "use axum::http::StatusCode;", "a crate is used where it belongs"),
        ("orders/mod.rs", "fn f() -> axum::Json<()> { todo() }", "a crate is used where it belongs"),
        ("orders/mod.rs", "use reqwest::Client;", "a crate is used where it belongs"),
        ("events/mod.rs", "use rumqttc::AsyncClient;", "a crate is used where it belongs"),
        (
            "warehouses/mod.rs",
            "fn f(s: S, conn: C) { s.above.hold_in_tx(conn) }",
            "", // inventory is where it may go up to
        ),
        (
            "transfers/mod.rs",
            "fn f(s: S, conn: C) { s.reservations.commit(conn) }",
            "a transaction crosses doors on the listed edges alone",
        ),
        (
            "events/mod.rs",
            "fn f(s: S, conn: C) { s.stock.hold_in_tx(&mut conn) }",
            "a transaction crosses doors on the listed edges alone",
        ),
        (
            "access/mod.rs",
            "use crate::platform::x; fn f(c: C) { super::events::Events::publish_in_tx(c) }",
            "a transaction crosses doors on the listed edges alone",
        ),
        ("orders/http/x.rs", "//! `GET /v1/x`\nfn f() {}", "a file in http/ is one endpoint, and says which"),
        (
            "orders/http/x.rs",
            "//! `GET /v1/x`\n#[utoipa::path(get, path = \"/v1/y\")] fn f() {}",
            "a file in http/ is one endpoint, and says which",
        ),
        ("orders/mod.rs", "#[allow(clippy::disallowed_methods)] fn f() {}", "clippy's bans hold everywhere"),
    ];
    for (path, text, rule) in broken {
        let found = check(&[Source::new(path, text), Source::new("inventory/claims.rs", service)]);
        match rule {
            "" => assert_none(&found),
            rule => assert!(found.iter().any(|v| v.rule == rule), "{path}: {text}\nfound {found:?}"),
        }
    }
    let long = "\n".repeat(LONGEST + 1);
    assert_eq!(check(&[Source::new("lib.rs", &long)]).len(), 1);
    let across = "CREATE TABLE orders.lines (sku text REFERENCES inventory.products);";
    assert_eq!(check_migration("x.sql", across).len(), 1);
}

/// What looks like a breach and is none.
#[test]
fn what_keeps_the_rules_passes() {
    let fine = [
        ("orders/mod.rs", "use crate::reservations::{Error, Reservations}; fn f() { Error::NotFound(1) }"),
        ("orders/mod.rs", "use crate::warehouses::Code; mod model;"),
        ("orders/repo.rs", "fn f() { sqlx::query!(\"SELECT l.id FROM orders.lines l -- of inventory. See there\") }"),
        ("orders/http/mod.rs", "use utoipa_axum::routes; fn f() {}"),
        ("orders/http/x.rs", "//! `GET /v1/x`\n#[utoipa::path(get, path = \"/v1/x\")] fn f() {}"),
        ("inventory/stock.rs", "mod tests { use super::super::Inventory; use super::*; }"),
        ("orders/mod.rs", "fn f(s: S, conn: C) { s.inventory.hold_in_tx(conn); repo::find(conn); }"),
    ];
    for (path, text) in fine {
        assert_none(&check(&[Source::new(path, text)]));
    }
}
