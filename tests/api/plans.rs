//! The plans of the statements that everybody waits for: each finds its rows by an index, however large the shop is.

use std::fs;

use serde_json::Value;
use sqlx::{AssertSqlSafe, Row};

use crate::harness::Server;

/// A piece of each, by which it is found among the statements that the build checked.
const HOT: &[&str] = &[
    "pg_try_advisory_xact_lock(k.lock)",
    "FROM inventory.products WHERE sku = ANY ($1) ORDER BY sku FOR NO KEY UPDATE",
    "WITH RECURSIVE clock AS MATERIALIZED",
    "SET on_hand = c.on_hand",
    "AND h.warehouse = s.warehouse AND h.expires_at > $3",
    "FROM inventory.holds\n         WHERE reservation_id = ANY ($1) ORDER BY reservation_id, line, warehouse",
    "DELETE FROM inventory.holds WHERE reservation_id = ANY ($1)",
    "UPDATE inventory.holds h SET expires_at",
    "UPDATE reservations.reservations r SET expires_at",
    "UPDATE reservations.reservations r SET status = 'committed'",
    "UPDATE reservations.reservations SET status = $2",
    "UPDATE reservations.reservations SET status = 'expired'",
    "AS before\n               FROM (SELECT id, expires_at, lines FROM reservations.reservations",
    "FROM (SELECT clock_timestamp() AS now OFFSET 0) clock",
    "FROM inventory.movements WHERE id = ANY ($1)",
    "JOIN inventory.movements m ON m.sku = s.sku AND m.effective_at > s.at",
    "JOIN feeds.reports r",
    "JOIN feeds.counts c",
    "SET outcome = s.outcome, booked = s.booked",
    "SET open = 0, outcome = CASE",
    "SET attempts = attempts + 1, fence = fence + 1",
    "status = 'waiting' ORDER BY seq LIMIT",
    "WHERE s.sku = wanted.sku AND s.status = 'waiting'",
    // webhooks
    "AS wanted (endpoint, room)",
];

/// The one statement with this piece, and how many parameters it takes.
fn statement(piece: &str) -> (String, usize) {
    let files = fs::read_dir(".sqlx").expect("the metadata of the statements").flatten();
    let read = files.map(|file| -> Value { serde_json::from_str(&fs::read_to_string(file.path()).unwrap()).unwrap() });
    let found: Vec<Value> = read.filter(|it| it["query"].as_str().is_some_and(|query| query.contains(piece))).collect();
    assert_eq!(found.len(), 1, "one statement has {piece:?}");
    let parameters = found[0]["describe"]["parameters"]["Left"].as_array().map_or(0, Vec::len);
    (found[0]["query"].as_str().unwrap().to_owned(), parameters)
}

#[tokio::test]
async fn what_is_hot_finds_its_rows_by_an_index() {
    let server = Server::start().await;
    server.warehouse("MAIN").await;
    server
        .sql(
            "INSERT INTO inventory.products (sku, name) SELECT 'P-' || n, 'P' FROM generate_series(1, 20000) n;
             INSERT INTO inventory.levels (sku, warehouse, on_hand) SELECT sku, 'MAIN', 100 FROM inventory.products;
             INSERT INTO inventory.holds (reservation_id, line, warehouse, sku, quantity, expires_at)
                 SELECT gen_random_uuid(), 0, 'MAIN', 'P-' || n, 1, now() + n * interval '1 s' FROM generate_series(1, 20000) n;
             INSERT INTO reservations.reservations (id, status, lines, skus, created_at, expires_at)
                 SELECT reservation_id, 'active', '[]', ARRAY[sku], now(), expires_at FROM inventory.holds;
             INSERT INTO inventory.movements (id, sku, quantity, from_place, to_place, to_warehouse, reason, actor, effective_at)
                 SELECT gen_random_uuid(), sku, 100, 'supplier', 'good', 'MAIN', 'received', gen_random_uuid(), now()
                 FROM inventory.products;
             INSERT INTO feeds.reports (source, device, sequence, digest, sku, warehouse, outcome, booked, received_at)
                 SELECT 'scales', '', n, '', 'P-' || n, 'MAIN', 'unchanged', 0, now() FROM generate_series(1, 20000) n;
             INSERT INTO feeds.counts (sku, warehouse, source, device, counted_at, open, received_at)
                 SELECT sku, 'MAIN', 'scales', '', now(), 0, now() FROM inventory.products;
             INSERT INTO feeds.discrepancies (id, source, device, sequence, sku, warehouse, outcome, reported_at, received_at,
                                              difference, booked, open, reason)
                 SELECT gen_random_uuid(), 'scales', '', n, 'P-' || n, 'MAIN', CASE WHEN n % 9 = 0 THEN 'refused' ELSE 'partial' END,
                        now(), now(), -1, 0, CASE WHEN n % 7 = 0 THEN -1 ELSE 0 END, 'counted' FROM generate_series(1, 20000) n;
             INSERT INTO platform.idempotency (caller, key, fingerprint, status, headers, body)
                 SELECT gen_random_uuid(), 'k' || n, '', 201, '[]', '' FROM generate_series(1, 20000) n;
             INSERT INTO platform.jobs (id, kind, payload, max_attempts, status, ended_at)
                 SELECT gen_random_uuid(), 'mail', '{}', 1, 'done', now() FROM generate_series(1, 20000);
             INSERT INTO platform.jobs (id, kind, payload, max_attempts, run_at)
                 SELECT gen_random_uuid(), 'mail', '{}', 1, now() + n * interval '1 s' FROM generate_series(1, 2000) n;
             INSERT INTO notices.subscriptions (id, sku, email, quantity)
                 SELECT gen_random_uuid(), 'P-' || n % 2000, n || '@example.com', 1 FROM generate_series(1, 20000) n;
             INSERT INTO notices.promises (sku, quantity, told_at) SELECT sku, 1, now() FROM inventory.products;
             INSERT INTO webhooks.endpoints (id, url, filter, secret, begins_after)
                 SELECT gen_random_uuid(), 'https://example.com/', '{}', '', 0 FROM generate_series(1, 1000);
             INSERT INTO webhooks.deliveries (id, endpoint_id, cause, message_id, type, subject, body, status, due_at)
                 SELECT gen_random_uuid(), id, 'event', gen_random_uuid(), '', 'products/' || n, '{}',
                        CASE WHEN n % 10 = 0 THEN 'pending' ELSE 'delivered' END, now() + n * interval '1 s'
                 FROM webhooks.endpoints CROSS JOIN generate_series(1, 20) n;
             ANALYZE",
        )
        .await
        .unwrap();
    for piece in HOT {
        // The plan knows no values, as that of the server's sessions.
        let plan = server.text(&format!("SET plan_cache_mode = force_generic_plan; {}", explained(piece))).await;
        assert!(!plan.contains("Seq Scan"), "{piece}\n{plan}");
    }
}

/// A session keeps its plans, and a shop may grow by a million rows before anybody looks at how many they are.
#[tokio::test]
async fn a_plan_that_is_made_in_an_empty_shop_goes_by_an_index() {
    let server = Server::start().await;
    let mut tx = server.app.db.begin().await.unwrap();
    for piece in HOT {
        let sql = format!("{}; DEALLOCATE hot", explained(piece));
        let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut *tx).await.unwrap();
        let plan: String = rows.iter().map(|row| row.get::<String, _>(0) + "\n").collect();
        assert!(!plan.is_empty() && !plan.contains("Seq Scan"), "{piece}\n{plan}");
    }
}

/// Followers of what is rare look for it several times a second, while events of stock come by the thousand. A session
/// keeps the plan that it made in an empty shop.
#[tokio::test]
async fn what_is_rare_is_found_without_reading_what_is_common() {
    let server = Server::start().await;
    let mut tx = server.app.db.begin().await.unwrap();
    for kept in ["empty", "full"] {
        for piece in
            ["type = ANY ($3)\n             AND type NOT LIKE", "type = ANY ($4)\n             AND type NOT LIKE"]
        {
            let sql = format!("{}; DEALLOCATE hot", explained(piece));
            let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut *tx).await.unwrap();
            let plan: String = rows.iter().map(|row| row.get::<String, _>(0) + "\n").collect();
            assert!(
                !plan.is_empty() && !plan.contains("Seq Scan") && !plan.contains("_pkey"),
                "{kept}: {piece}\n{plan}"
            );
        }
        server
            .sql(
                "INSERT INTO events.outbox (event_id, type, subject, data)
                     SELECT gen_random_uuid(), CASE WHEN n % 100 = 0 THEN 'order.placed' ELSE 'stock.level_changed' END, 's', '{}'
                     FROM generate_series(1, 20000) n;
                 ANALYZE",
            )
            .await
            .unwrap();
    }
}

/// What somebody's long transaction keeps of a level, a row for each time it was written, is not gone through to find the
/// last one.
#[tokio::test]
async fn a_level_is_found_whatever_a_long_transaction_keeps_of_it() {
    let server = Server::start().await;
    server.warehouse("MAIN").await;
    let products = "INSERT INTO inventory.products (sku, name) SELECT 'P-' || n, 'P' FROM generate_series(1, 20) n";
    let levels =
        "INSERT INTO inventory.levels (sku, warehouse, on_hand) SELECT sku, 'MAIN', 100 FROM inventory.products";
    server.sql(products).await.unwrap();
    server.sql(levels).await.unwrap();
    let mut long = server.app.db.begin().await.unwrap();
    sqlx::raw_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT FROM inventory.levels")
        .execute(&mut *long)
        .await
        .unwrap();
    let written = "DO $$ BEGIN FOR n IN 1..300 LOOP UPDATE inventory.levels SET on_hand = n; COMMIT; END LOOP; END $$";
    server.sql(written).await.unwrap();
    let (read, _) = statement("WITH RECURSIVE clock AS MATERIALIZED");
    let plan = "SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan";
    let explained = format!("{plan}; PREPARE hot AS {read}; EXPLAIN (ANALYZE, BUFFERS) EXECUTE hot ('{{P-1}}')");
    let plan = server.text(&explained).await;
    let pages = plan.split("Buffers: shared hit=").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap();
    assert!(pages.parse::<u32>().unwrap() < 40, "{plan}");
}

fn explained(piece: &str) -> String {
    let (query, parameters) = statement(piece);
    format!("PREPARE hot AS {query}; EXPLAIN EXECUTE hot ({})", vec!["NULL"; parameters].join(", "))
}
