//! Feeds: reports of stock that come late, twice and in any order, against the books.

use std::collections::BTreeSet;

use futures::future::join_all;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use reqwest::Method;
use serde_json::{Value, json};
use stockhold::platform::clock::Timestamp;

use crate::harness::{Answer, Server, assert_no_deadlocks, each, eventually, faults, send};
use crate::races::insist;

const STOCK: &str = "/v1/feeds/scales/stock";
const DISCREPANCIES: &str = "/v1/feeds/scales/discrepancies";

fn ago(seconds: i64) -> String {
    Timestamp::now().plus_seconds(-seconds).to_string()
}

/// Books a change that happened some seconds ago.
async fn moved(server: &Server, sku: &str, change: i64, reason: &str, seconds: i64) {
    let body =
        json!({"sku": sku, "warehouse": "MAIN", "change": change, "reason": reason, "effective_at": ago(seconds)});
    server.post("/v1/stock/adjustments", body).await.expect(201);
}

/// A shop with ten of TEA since an hour ago, and scales in it.
async fn shop() -> Server {
    let server = Server::start().await;
    server.shop(&[("TEA", 0)]).await;
    moved(&server, "TEA", 10, "received", 3600).await;
    server.put("/v1/feeds/scales", json!({"name": "Scales", "warehouse": "MAIN"})).await.expect(200);
    server
}

fn count(found: i64, seconds: i64) -> Value {
    json!({"sku": "TEA", "count": found, "reported_at": ago(seconds)})
}

fn change(by: i64, seconds: i64, sequence: i64) -> Value {
    json!({"sku": "TEA", "change": by, "reported_at": ago(seconds), "sequence": sequence})
}

async fn report(server: &Server, items: &[Value]) -> Vec<Value> {
    let answer = server.post(STOCK, json!({"items": items})).await.expect(200);
    answer["results"].as_array().unwrap().clone()
}

/// Reports one, and finds it taken.
async fn take(server: &Server, item: Value) -> Value {
    let results = report(server, &[item]).await;
    assert_eq!(results[0]["status"], 200, "{}", results[0]);
    results[0]["body"].clone()
}

/// The discrepancies, as "outcome open".
async fn found(server: &Server, query: &str) -> Vec<String> {
    let rows = server.list(&format!("{DISCREPANCIES}?{query}")).await;
    rows.iter().map(|row| format!("{} {}", row["outcome"].as_str().unwrap(), row["open"])).collect()
}

async fn on_hand(server: &Server, sku: &str) -> i64 {
    server.level(sku, "MAIN").await["on_hand"].as_i64().unwrap()
}

#[tokio::test]
async fn sources_are_made_changed_and_deleted() {
    let server = shop().await;
    let made = server.get("/v1/feeds/scales").await;
    let etag = made.header("etag").unwrap().to_owned();
    assert_eq!(made.json["warehouse"], "MAIN");
    server.put("/v1/feeds/till", json!({"name": "Till"})).await.expect(200);
    assert_eq!(each(&server.list("/v1/feeds?limit=1").await, "code"), ["scales", "till"]);
    server.put("/v1/feeds/till", json!({"name": "x", "warehouse": "NONE"})).await.invalid(&["/warehouse unknown"]);
    server.put("/v1/feeds/.till", json!({"name": "x"})).await.invalid(&["/path/source pattern"]);
    let put = |version: &str| {
        let request = server.request(Method::PUT, "/v1/feeds/scales").header("if-match", version);
        send(request.json(&json!({"name": "Balance"})))
    };
    put("\"stale\"").await.refused(412, "precondition-failed");
    assert_eq!(put(&etag).await.expect(200)["warehouse"], Value::Null);
    // Without a warehouse of its own, reports name one.
    let results = report(&server, &[count(10, 1)]).await;
    assert_eq!(faults(&results[0]["problem"]), ["/items/0/warehouse required"]);

    let mut sale = change(-1, 5, 1);
    sale["warehouse"] = json!("MAIN");
    take(&server, sale.clone()).await;
    server.delete("/v1/feeds/scales").await.expect(204);
    server.delete("/v1/feeds/scales").await.refused(404, "not-found");
    server.get(DISCREPANCIES).await.refused(404, "not-found");
    server.post(STOCK, json!({"items": [sale]})).await.refused(404, "not-found");
    // Made again, it knows what it took before.
    server.put("/v1/feeds/scales", json!({"name": "Scales"})).await.expect(200);
    assert_eq!(take(&server, sale).await["outcome"], "duplicate");
    assert_eq!(on_hand(&server, "TEA").await, 9);
    server.assert_clean().await;
}

#[tokio::test]
async fn a_count_books_the_difference_and_tells_of_it() {
    let server = shop().await;
    let mut item = count(8, 60);
    item["note"] = json!("two are missing");
    let body = take(&server, item).await;
    let told = ["outcome", "expected", "found", "difference", "booked"].map(|name| body[name].clone());
    assert_eq!(json!(told), json!(["applied", 10, 8, -2, -2]));
    assert_eq!(on_hand(&server, "TEA").await, 8);

    let movement = &server.list("/v1/stock/movements").await[0];
    assert_eq!(movement["id"], body["movement_id"]);
    assert_eq!((&movement["reason"], &movement["note"]), (&json!("counted"), &json!("two are missing")));
    assert_eq!(movement["reference"], json!({"type": "feed", "id": "scales"}));
    assert!(movement["effective_at"].as_str() < movement["booked_at"].as_str());

    let listed = server.list(DISCREPANCIES).await;
    assert_eq!((listed.len(), &listed[0]["movement_id"]), (1, &body["movement_id"]));
    assert_eq!((&listed[0]["open"], &listed[0]["reason"]), (&json!(0), &json!("counted")));
    let events = server.events("feed.discrepancy").await;
    assert_eq!((events.len(), &events[0]["subject"], &events[0]["data"]), (1, &json!("products/TEA"), &listed[0]));

    // One that agrees is no discrepancy; one that is older is overtaken, whoever counted.
    assert_eq!(take(&server, count(8, 30)).await["outcome"], "unchanged");
    server.put("/v1/feeds/till", json!({"name": "Till", "warehouse": "MAIN"})).await.expect(200);
    let late = server.post("/v1/feeds/till/stock", json!({"items": [count(3, 45)]})).await.expect(200);
    assert_eq!(late["results"][0]["body"]["outcome"], "stale");
    assert_eq!(take(&server, count(3, 45)).await["outcome"], "stale");
    assert_eq!((on_hand(&server, "TEA").await, server.list(DISCREPANCIES).await.len()), (8, 1));
    server.assert_clean().await;
}

#[tokio::test]
async fn a_count_older_than_a_booked_sale_is_held_against_what_there_was() {
    let server = shop().await;
    moved(&server, "TEA", -3, "sold", 60).await;
    moved(&server, "TEA", 5, "received", 30).await;
    // Ten were on hand two minutes ago, and one was missing. What has moved since, has moved.
    let body = take(&server, count(9, 120)).await;
    assert_eq!(json!([body["outcome"], body["expected"], body["booked"]]), json!(["reconciled", 10, -1]));
    assert_eq!(on_hand(&server, "TEA").await, 11);
    // Between the two, six were there.
    let body = take(&server, count(6, 45)).await;
    assert_eq!(json!([body["outcome"], body["expected"]]), json!(["unchanged", 6]));
    // Goods that only changed their condition are still there.
    let damaged = json!({"sku": "TEA", "warehouse": "MAIN", "quantity": 2, "from": "good", "to": "damaged"});
    server.post("/v1/stock/condition-changes", damaged).await.expect(201);
    assert_eq!(take(&server, count(11, 20)).await["outcome"], "unchanged");
    // Somebody recounted by hand: what was seen before that is in it.
    let recount = json!({"sku": "TEA", "warehouse": "MAIN", "set_to": 12, "expected_on_hand": 11, "reason": "recount"});
    server.post("/v1/stock/adjustments", recount).await.expect(201);
    assert_eq!(take(&server, count(11, 10)).await["outcome"], "stale");
    assert_eq!(take(&server, change(-1, 10, 1)).await["outcome"], "contained");
    assert_eq!(on_hand(&server, "TEA").await, 12);
    server.assert_clean().await;
}

#[tokio::test]
async fn changes_are_booked_once_in_any_order() {
    let server = shop().await;
    let mut sale = change(-2, 20, 2);
    sale["reason"] = json!("sold");
    let first = change(3, 40, 1);
    let booked = take(&server, sale.clone()).await;
    assert_eq!((&booked["outcome"], &booked["expected"]), (&json!("applied"), &Value::Null));
    take(&server, first.clone()).await;
    let movements = server.list("/v1/stock/movements").await;
    assert_eq!(movements[1]["to"], json!({"place": "customer"}));
    assert_eq!(each(&movements, "reason"), ["reported", "sold", "received"]);

    let again = report(&server, &[first.clone(), sale.clone(), sale.clone()]).await;
    for result in &again {
        assert_eq!(result["body"]["outcome"], "duplicate");
    }
    assert_eq!(again[1]["body"]["movement_id"], booked["movement_id"]);
    // Another report under the same number is none of it; another device counts for itself.
    sale["change"] = json!(-4);
    let mut other = first;
    other["device"] = json!("scale-2");
    let results = report(&server, &[sale, other.clone(), other]).await;
    assert_eq!(each(&results, "status"), [409, 200, 200]);
    assert_eq!(results[0]["problem"]["type"], "/problems/sequence-reused");
    assert_eq!([&results[1]["body"]["outcome"], &results[2]["body"]["outcome"]], ["applied", "duplicate"]);
    assert_eq!(on_hand(&server, "TEA").await, 14);
    assert_eq!(server.list(DISCREPANCIES).await, [0; 0]);
    server.assert_clean().await;
}

#[tokio::test]
async fn a_change_that_a_count_has_seen_is_contained_in_it() {
    let server = shop().await;
    let results = report(&server, &[count(7, 60), change(-3, 90, 1), change(-1, 30, 2), count(6, 10)]).await;
    let outcomes: Vec<&Value> = results.iter().map(|result| &result["body"]["outcome"]).collect();
    assert_eq!(outcomes, ["applied", "contained", "applied", "unchanged"]);
    assert_eq!(on_hand(&server, "TEA").await, 6);
    assert_eq!(take(&server, change(-3, 20, 3)).await["outcome"], "contained");
    assert_eq!(on_hand(&server, "TEA").await, 6);
    server.assert_clean().await;
}

#[tokio::test]
async fn what_is_promised_stays_promised_and_the_rest_is_booked() {
    let server = shop().await;
    let held = server.hold("TEA", 6, 900).await;
    let body = take(&server, count(3, 5)).await;
    let told = ["outcome", "difference", "booked"].map(|name| body[name].clone());
    assert_eq!(json!(told), json!(["partial", -7, -4]));
    let level = server.level("TEA", "MAIN").await;
    assert_eq!(json!([level["on_hand"], level["reserved"], level["available"]]), json!([6, 6, 0]));
    assert_eq!(server.list(DISCREPANCIES).await[0]["open"], -3);
    // Counted again, it is the same that is missing, and is told once.
    let results = report(&server, &[count(3, 4), count(3, 4)]).await;
    assert_eq!(json!([results[0]["body"]["outcome"], results[1]["body"]["movement_id"]]), json!(["partial", null]));
    assert_eq!(found(&server, "open=true").await, ["partial -3"]);
    assert_eq!(server.list(DISCREPANCIES).await.len(), 1);
    // Less is missing: what was open before is overtaken.
    report(&server, &[count(4, 3), count(5, 3), count(5, 2)]).await;
    assert_eq!(found(&server, "open=true").await, ["partial -1"]);
    assert_eq!(found(&server, "").await, ["partial -1", "partial 0", "partial 0"]);
    server.delete(&format!("/v1/reservations/{}", held["id"].as_str().unwrap())).await.expect(204);
    assert_eq!(take(&server, count(5, 1)).await["outcome"], "applied");
    assert_eq!(found(&server, "open=true").await, [""; 0]);
    assert_eq!((found(&server, "open=false").await.len(), on_hand(&server, "TEA").await), (4, 5));
    server.assert_clean().await;
}

#[tokio::test]
async fn a_change_for_which_too_little_is_there_is_refused_until_there_is_enough() {
    let server = shop().await;
    let sale = change(-12, 5, 1);
    for _ in 0..3 {
        let results = report(&server, &[sale.clone(), sale.clone()]).await;
        assert_eq!(each(&results, "status"), [409, 409]);
        assert_eq!(results[0]["problem"]["type"], "/problems/insufficient-stock");
        assert_eq!(results[0]["problem"]["shortages"][0]["available"], 10);
    }
    let listed = server.list(DISCREPANCIES).await;
    let told = ["outcome", "difference", "booked", "open", "movement_id"].map(|name| listed[0][name].clone());
    assert_eq!((listed.len(), json!(told)), (1, json!(["refused", -12, 0, -12, null])));
    assert_eq!(server.events("feed.discrepancy").await.len(), 1);

    moved(&server, "TEA", 5, "received", 6).await;
    let booked = take(&server, sale).await;
    assert_eq!((&booked["outcome"], on_hand(&server, "TEA").await), (&json!("applied"), 3));
    let listed = server.list(DISCREPANCIES).await;
    assert_eq!((listed.len(), &listed[0]["movement_id"]), (1, &booked["movement_id"]));
    assert_eq!(found(&server, "").await, ["applied 0"]);
    // What is never sent again, a count has seen some day.
    let results = report(&server, &[change(-20, 4, 2), change(-20, 3, 3), count(3, 2), change(-20, 1, 4)]).await;
    assert_eq!(each(&results, "status"), [409, 409, 200, 409]);
    assert_eq!(found(&server, "").await, ["refused -20", "contained 0", "contained 0", "applied 0"]);
    assert_eq!(take(&server, json!({"sku": "TEA", "count": 3, "reported_at": ago(0)})).await["outcome"], "unchanged");
    assert_eq!(found(&server, "open=true").await, [""; 0]);
    server.assert_clean().await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_takes_no_number() {
    let server = shop().await;
    server.patch("/v1/products/TEA", json!({"barcodes": ["4711"]})).await.expect(200);
    let with = |more: Value| {
        let mut item = count(10, 5);
        item.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        item
    };
    let items = [
        with(json!({"sku": null, "barcode": "4711", "sequence": 1})),
        with(json!({"sku": null, "barcode": "none", "sequence": 2})),
        with(json!({"barcode": "4711", "change": 1})),
        with(json!({"sku": "NONE", "warehouse": "NONE", "sequence": 2})),
        with(json!({"reported_at": ago(-3600), "sequence": 2})),
        with(json!({"reported_at": ago(31 * 86_400), "sequence": 2})),
        with(json!({"count": -1})),
        with(json!({"count": null, "change": 1})),
        // The clock of the scales may be a little ahead.
        with(json!({"reported_at": ago(-60), "sequence": 2})),
    ];
    let results = report(&server, &items).await;
    assert_eq!(each(&results, "status"), [200, 422, 422, 422, 422, 422, 422, 422, 200]);
    let refused: Vec<String> = results.iter().flat_map(|result| faults(&result["problem"])).collect();
    let expected = [
        "/items/1/barcode unknown",
        "/items/2/barcode exclusive",
        "/items/2/change exclusive",
        "/items/2/sequence required",
        "/items/3/sku unknown",
        "/items/3/warehouse unknown",
        "/items/4/reported_at future",
        "/items/5/reported_at too_old",
        "/items/6/count minimum",
        "/items/7/sequence required",
    ];
    assert_eq!(refused.iter().collect::<BTreeSet<_>>(), expected.map(str::to_owned).iter().collect());
    server.assert_clean().await;
}

#[tokio::test]
async fn a_caller_reports_within_its_warehouses() {
    let server = shop().await;
    server.warehouse("OTHER").await;
    let body = json!({"name": "scales", "scopes": ["stock:write"], "warehouses": ["OTHER"]});
    let key = server.post("/v1/keys", body).await.expect(201)["key"].as_str().unwrap().to_owned();
    let as_limited = |method, path: &str| server.anonymous(method, path).bearer_auth(&key);
    let mut named = count(4, 5);
    named["warehouse"] = json!("MAIN");
    let mut inside = count(4, 5);
    inside["warehouse"] = json!("OTHER");
    // The source's own warehouse is another, said or not.
    let items = json!({"items": [count(4, 5), named, inside]});
    let answer = send(as_limited(Method::POST, STOCK).json(&items)).await.expect(200);
    assert_eq!(each(answer["results"].as_array().unwrap(), "status"), [403, 403, 200]);
    assert_eq!(on_hand(&server, "TEA").await, 10);
    take(&server, count(9, 5)).await;

    let seen = send(as_limited(Method::GET, DISCREPANCIES)).await.expect(200);
    assert_eq!(each(seen["items"].as_array().unwrap(), "warehouse"), ["OTHER"]);
    let outside = format!("{DISCREPANCIES}?warehouse=MAIN");
    send(as_limited(Method::GET, &outside)).await.refused(403, "forbidden");
    server.assert_clean().await;
}

#[tokio::test]
async fn discrepancies_are_paged_and_filtered() {
    let server = shop().await;
    server.product("MUG").await;
    server.warehouse("OTHER").await;
    let mug = json!({"sku": "MUG", "count": 2, "reported_at": ago(50), "warehouse": "OTHER"});
    report(&server, &[count(9, 50), count(8, 40), mug, count(7, 30), count(6, 20)]).await;
    let found = |query: &'static str| {
        let server = &server;
        async move {
            let rows = server.list(&format!("{DISCREPANCIES}?{query}")).await;
            rows.iter().map(|row| row["found"].as_i64().unwrap()).collect::<Vec<_>>()
        }
    };
    assert_eq!(found("").await, [6, 7, 2, 8, 9]);
    assert_eq!(found("limit=2").await, [6, 7, 2, 8, 9]);
    assert_eq!(found("sku=TEA&limit=1").await, [6, 7, 8, 9]);
    assert_eq!(found("warehouse=OTHER").await, [2]);
    assert_eq!(found("to=2000-01-01T00:00:00Z").await, [0i64; 0]);
    assert_eq!(found("from=2000-01-01T00:00:00Z&warehouse=MAIN").await, [6, 7, 8, 9]);
    server.put("/v1/feeds/till", json!({"name": "Till"})).await.expect(200);
    assert_eq!(server.list("/v1/feeds/till/discrepancies").await, [0; 0]);
    server.assert_clean().await;
}

#[tokio::test]
async fn a_repeated_call_gets_the_first_answer() {
    let server = shop().await;
    let body = json!({"items": [count(8, 5), change(-1, 3, 1), change(-99, 3, 2)]});
    let first = server.post_once(STOCK, "once", body.clone()).await;
    let again = server.post_once(STOCK, "once", body.clone()).await;
    assert_eq!((&again.bytes, again.header("idempotency-replayed")), (&first.bytes, Some("true")));
    assert_eq!(on_hand(&server, "TEA").await, 7);
    // Without a key the reports themselves are known, and nothing is changed that the trail would tell of.
    let rows = server.list("/v1/audit").await.len();
    let results = report(&server, &[change(-1, 3, 1)]).await;
    assert_eq!(results[0]["status"], 409, "another time is another report");
    let only = json!({"items": [body["items"][1]]});
    let known = server.post(STOCK, only).await.expect(200);
    assert_eq!(known["results"][0]["body"]["outcome"], "duplicate");
    assert_eq!(server.list("/v1/audit").await.len(), rows);
    server.assert_clean().await;
}

#[tokio::test]
async fn what_is_too_old_to_come_again_is_forgotten() {
    let server = shop().await;
    report(&server, &[change(-1, 3, 1), change(-1, 3, 2), count(8, 2)]).await;
    let rows = || async { server.row_counts().await["feeds.reports"] };
    let age = "UPDATE feeds.reports SET received_at = now() - interval '31 days 1 second' WHERE sequence = 1;
               UPDATE feeds.counts SET received_at = now() - interval '31 days 1 second'";
    server.sql(age).await.unwrap();
    assert!(!server.app.feeds.forget_old().await.unwrap());
    eventually("the old one is forgotten", || async { rows().await == 1 }).await;
    assert_eq!(server.row_counts().await["feeds.counts"], 0);
    server.assert_clean().await;
}

/// The source of a device.
fn source_of(report: &Value) -> &'static str {
    if report["device"] == "scale-0" { "till" } else { "scales" }
}

/// One shop's reports, as its devices made them, a second apart.
fn day_of_reports(random: &mut StdRng, seconds: i64) -> Vec<Value> {
    let mut numbers = [0i64; 3];
    let reports = (1..=seconds).map(|second| {
        let device = random.random_range(0..3usize);
        numbers[device] += 1;
        let mut report = json!({
            "sku": if random.random_bool(0.5) { "TEA" } else { "MUG" }, "device": format!("scale-{device}"),
            "sequence": numbers[device], "reported_at": ago(1800 - second),
        });
        let (name, quantity) = match random.random_range(0..4) {
            0 => ("count", random.random_range(2000..9000)),
            _ => ("change", [-9, -5, -1, 1, 4, 7][random.random_range(0..6usize)]),
        };
        report[name] = json!(quantity);
        report
    });
    reports.collect()
}

/// Where they end, in whatever order they come: as the newest count says, with the changes since.
fn expected(reports: &[Value], sku: &str) -> i64 {
    reports.iter().filter(|report| report["sku"] == sku).fold(5000, |level, report| match report["count"].as_i64() {
        Some(found) => found,
        None => level + report["change"].as_i64().unwrap(),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_sent_twice_by_many_at_once_ends_as_it_should() {
    let seed = rand::rng().random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let servers = Server::pair().await;
    servers[0].shop(&[]).await;
    for sku in ["TEA", "MUG"] {
        servers[0].product(sku).await;
        moved(&servers[0], sku, 5000, "received", 3600).await;
    }
    for source in ["scales", "till"] {
        servers[0].put(&format!("/v1/feeds/{source}"), json!({"name": source, "warehouse": "MAIN"})).await.expect(200);
    }
    let reports = day_of_reports(&mut random, 150);
    let orders: Vec<Vec<Value>> = (0..4)
        .map(|_| {
            let mut all = [reports.clone(), reports.clone()].concat();
            all.shuffle(&mut random);
            all
        })
        .collect();
    let tasks = orders.iter().enumerate().map(|(n, all)| {
        let server = &servers[n % 2];
        async move {
            let mut answers: Vec<Answer> = Vec::new();
            for (m, chunk) in all.chunks(40).enumerate() {
                // What is sold meanwhile is newer than any of the reports.
                let sold = json!({"sku": "TEA", "warehouse": "MAIN", "change": -1, "reason": "sold"});
                let key = format!("sale-{n}-{m}");
                insist(|| server.post_once("/v1/stock/adjustments", &key, sold.clone())).await.expect(201);
                for source in ["scales", "till"] {
                    let items: Vec<&Value> = chunk.iter().filter(|report| source_of(report) == source).collect();
                    if !items.is_empty() {
                        let path = format!("/v1/feeds/{source}/stock");
                        answers.push(insist(|| server.post(&path, json!({"items": items}))).await);
                    }
                }
            }
            answers
        }
    });
    let mut taken = 0;
    for answer in join_all(tasks).await.into_iter().flatten() {
        for result in answer.expect(200)["results"].as_array().unwrap() {
            assert_eq!(result["status"], 200, "{result}");
            taken += usize::from(result["body"]["outcome"] != "duplicate");
        }
    }
    assert_eq!(taken, reports.len(), "each is taken once");
    let sold = servers[0].list("/v1/stock/movements?reason=sold").await.len();
    assert_eq!(sold, 4 * (2 * reports.len()).div_ceil(40), "each sale is one");
    let sold = i64::try_from(sold).unwrap();
    assert_eq!(on_hand(&servers[0], "TEA").await, expected(&reports, "TEA") - sold);
    assert_eq!(on_hand(&servers[0], "MUG").await, expected(&reports, "MUG"));
    let differences =
        servers[0].list(DISCREPANCIES).await.len() + servers[0].list("/v1/feeds/till/discrepancies").await.len();
    let booked = servers[0].list("/v1/stock/movements?reason=counted").await;
    assert_eq!(differences, booked.len(), "each difference is a movement");
    servers[0].assert_clean().await;
    assert_no_deadlocks(servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_goes_to_one_report_of_those_that_claim_it() {
    let servers = Server::pair().await;
    servers[0].shop(&[("TEA", 0), ("MUG", 0), ("POT", 0), ("CUP", 0)]).await;
    servers[0].put("/v1/feeds/scales", json!({"name": "Scales", "warehouse": "MAIN"})).await.expect(200);
    let skus = ["TEA", "MUG", "POT", "CUP"];
    for sequence in 0..10 {
        let claims = skus.iter().enumerate().map(|(n, sku)| {
            let item = json!({"sku": sku, "change": 1, "reported_at": ago(1), "sequence": sequence});
            let (server, body) = (&servers[n % 2], json!({"items": [item]}));
            async move { insist(|| server.post(STOCK, body.clone())).await.expect(200)["results"][0].clone() }
        });
        let results = join_all(claims).await;
        let (taken, refused): (Vec<Value>, Vec<Value>) = results.into_iter().partition(|it| it["status"] == 200);
        assert_eq!((taken.len(), refused.len()), (1, 3));
        assert!(refused.iter().all(|it| it["problem"]["type"] == "/problems/sequence-reused"), "{refused:?}");
    }
    let mut all = 0;
    for sku in skus {
        all += on_hand(&servers[0], sku).await;
    }
    assert_eq!(all, 10);
    servers[0].assert_clean().await;
    assert_no_deadlocks(servers).await;
}
