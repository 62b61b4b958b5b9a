//! What holds for every call: keys, problems, versions, idempotency, lists.

use reqwest::Method;
use serde_json::{Value, json};
use stockhold::platform::problem::KINDS;

use crate::harness::{ADMIN_KEY, Server, eventually, send};
use crate::openapi::Document;

#[tokio::test]
async fn nothing_of_the_api_is_served_without_a_key() {
    let server = Server::start().await;
    let document = Document::of(&server).await;
    let fill = |path: &str| {
        path.replace("{id}", "1").replace("{name}", "1").replace("{shipment_id}", "1").replace(['{', '}'], "")
    };
    let (guarded, _) = document.guarded();
    assert!(guarded.len() > 40);
    for (method, path) in guarded {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let answer = send(server.anonymous(method, &fill(&path)).json(&json!({}))).await;
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{path}");
        answer.refused(401, "unauthenticated");
        assert_ne!(document.operation("GET", "/v1/orders")["security"], json!([]));
    }
    for authorization in
        ["Bearer wrong", "Bearer ", "Bearer", &format!("Basic {ADMIN_KEY}"), ADMIN_KEY, "Bearer \u{e9}"]
    {
        let request = server.anonymous(Method::GET, "/v1/orders").header("authorization", authorization.as_bytes());
        send(request).await.refused(401, "unauthenticated");
    }
    let request = server.anonymous(Method::GET, "/v1/orders").header("authorization", format!("bearer {ADMIN_KEY}"));
    send(request).await.expect(200);
    for path in ["/v1", "/v1/", "/v1/nothing"] {
        send(server.anonymous(Method::GET, path)).await.refused(401, "unauthenticated");
    }
    for path in ["/healthz", "/readyz", "/openapi.json", "/asyncapi.json", "/problems/not-found"] {
        assert_eq!(send(server.anonymous(Method::GET, path)).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_key_that_is_revoked_opens_nothing_any_more() {
    let server = Server::start().await;
    server.get("/v1/orders").await.expect(200);
    server.sql("UPDATE access.keys SET revoked_at = now()").await.unwrap();
    eventually("the key is refused", || async { server.get("/v1/orders").await.status == 401 }).await;
}

#[tokio::test]
async fn every_answer_carries_a_request_id() {
    let server = Server::start().await;
    let with = |id: &'static str| send(server.request(Method::GET, "/v1/nothing").header("x-request-id", id));
    assert_eq!(with("call-4711").await.refused(404, "not-found")["instance"], "call-4711");
    let ids =
        [with("").await, with("has space").await, with(&"x".repeat(65).leak()[..]).await, server.get("/healthz").await];
    for answer in &ids {
        let id = answer.header("x-request-id").unwrap();
        assert_eq!(id.len(), 36, "{id}");
    }
    assert_ne!(ids[0].header("x-request-id"), ids[1].header("x-request-id"));
}

#[tokio::test]
async fn every_kind_of_problem_is_explained() {
    let server = Server::start().await;
    for kind in KINDS {
        let explained = send(server.anonymous(Method::GET, &format!("/problems/{}", kind.slug))).await.expect(200);
        assert_eq!(explained["type"], format!("/problems/{}", kind.slug));
        assert_eq!(explained["status"], kind.status.as_u16());
        assert!(explained["title"].is_string() && explained["explanation"].is_string());
    }
    server.get("/problems/none").await.refused(404, "not-found");
}

#[tokio::test]
async fn methods_that_are_not_served_are_refused_with_those_that_are() {
    let server = Server::start().await;
    let answer = server.put("/v1/orders", json!({})).await;
    let allowed = answer.header("allow").unwrap_or_default().to_owned();
    answer.refused(405, "method-not-allowed");
    assert!(allowed.contains("GET") && allowed.contains("POST"), "{allowed:?}");
    server.delete("/v1/self-check").await.refused(405, "method-not-allowed");
    let head = send(server.request(Method::HEAD, "/v1/orders")).await;
    assert_eq!((head.status, head.bytes.len()), (200, 0));
    let head = send(server.request(Method::HEAD, "/v1/orders/1")).await;
    assert_eq!(head.status, 404);
}

#[tokio::test]
async fn a_version_that_is_known_is_not_sent_again() {
    let server = Server::start().await;
    server.shop(&[("TEA", 5)]).await;
    server.channel("web", &[("MAIN", 0)]).await;
    let held = server.hold("TEA", 1, 900).await;
    let order = server.order("TEA", 1).await;
    let ids = [held["id"].as_str().unwrap(), order["id"].as_str().unwrap()];
    for path in [
        "/v1/warehouses/MAIN",
        "/v1/channels/web",
        "/v1/sourcing",
        "/v1/products/TEA",
        "/v1/stock/TEA",
        "/v1/stock/TEA/levels/MAIN",
        &format!("/v1/reservations/{}", ids[0]),
        &format!("/v1/orders/{}", ids[1]),
    ] {
        let etag = server.get(path).await.header("etag").unwrap_or_else(|| panic!("{path} has no ETag")).to_owned();
        for known in [etag.clone(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".to_owned()] {
            let answer = send(server.request(Method::GET, path).header("if-none-match", &known)).await;
            assert_eq!((answer.status, answer.bytes.len()), (304, 0), "{path} {known}");
            assert_eq!(answer.header("etag"), Some(&*etag));
        }
        let answer = send(server.request(Method::GET, path).header("if-none-match", "\"other\"")).await;
        assert_eq!(answer.status, 200);
    }
    server.assert_clean().await;
}

#[tokio::test]
async fn changes_meant_for_another_version_are_refused() {
    let server = Server::start().await;
    server.shop(&[("TEA", 5)]).await;
    server.channel("web", &[]).await;
    server.warehouse("EMPTY").await;
    server.product("MUG").await;
    for source in ["scales", "till"] {
        server.put(&format!("/v1/feeds/{source}"), json!({"name": source})).await.expect(200);
    }
    let held = server.hold("TEA", 1, 900).await;
    let reservation = format!("/v1/reservations/{}", held["id"].as_str().unwrap());
    for (method, path, body) in [
        (Method::PATCH, "/v1/warehouses/MAIN", json!({"name": "new"})),
        (Method::PATCH, "/v1/channels/web", json!({"name": "new"})),
        (Method::PATCH, "/v1/products/TEA", json!({"name": "new"})),
        (Method::PATCH, "/v1/stock/TEA/levels/MAIN", json!({"safety_stock": 1})),
        (Method::PUT, "/v1/sourcing", json!({"rules": ["nearest"]})),
        (Method::PUT, "/v1/feeds/scales", json!({"name": "new"})),
        (Method::DELETE, "/v1/feeds/till", Value::Null),
        (Method::DELETE, "/v1/warehouses/EMPTY", Value::Null),
        (Method::DELETE, "/v1/channels/web", Value::Null),
        (Method::DELETE, "/v1/products/MUG", Value::Null),
        (Method::DELETE, &reservation, Value::Null),
    ] {
        let etag = server.get(path).await.header("etag").unwrap().to_owned();
        let change = |version: &str| {
            let request = server.request(method.clone(), path).header("if-match", version);
            send(if body.is_null() { request } else { request.json(&body) })
        };
        let before = server.get(path).await.json;
        change("\"stale\"").await.refused(412, "precondition-failed");
        assert_eq!(server.get(path).await.json, before, "{path}");
        let done = change(&format!("\"other\", {etag}")).await;
        assert!(done.status < 300, "{path}: {}", done.json);
        if method != Method::DELETE {
            assert_eq!(done.header("etag"), server.get(path).await.header("etag"), "{path}");
            change(&etag).await.refused(412, "precondition-failed");
            assert!(change("*").await.status < 300, "{path}");
        }
    }
    server.assert_clean().await;
}

#[tokio::test]
async fn a_repeated_request_gets_the_first_answer_byte_for_byte() {
    let server = Server::start().await;
    server.shop(&[("TEA", 5)]).await;
    let lines = |quantity: i64| json!({"lines": [{"sku": "TEA", "quantity": quantity}]});
    let adjust = json!({"sku": "TEA", "warehouse": "MAIN", "change": 1, "reason": "found"});
    for (n, (path, body, status)) in [
        ("/v1/orders", lines(1), 201),
        ("/v1/reservations", lines(1), 201),
        ("/v1/stock/adjustments", adjust.clone(), 201),
        ("/v1/stock/adjustments/batch", json!({"items": [adjust]}), 200),
        ("/v1/products", json!({"sku": "MUG", "name": "Mug"}), 201),
        ("/v1/warehouses", json!({"code": "NEW", "name": "New"}), 201),
        ("/v1/orders", lines(1000), 409),
        ("/v1/orders", json!({"lines": [{"sku": "NONE", "quantity": 1}]}), 422),
        ("/v1/orders/99/cancel", json!({}), 404),
    ]
    .into_iter()
    .enumerate()
    {
        let key = format!("key-{n}");
        let first = server.post_once(path, &key, body.clone()).await;
        assert_eq!(first.status, status, "{path}: {}", first.json);
        assert_eq!(first.header("idempotency-replayed"), None);
        let stock = server.get("/v1/stock/TEA").await.json;
        for _ in 0..9 {
            let again = server.post_once(path, &key, body.clone()).await;
            assert_eq!((again.status, &again.bytes), (status, &first.bytes), "{path}");
            assert_eq!(again.header("idempotency-replayed"), Some("true"), "{path}");
            for name in ["content-type", "location", "etag"] {
                assert_eq!(again.header(name), first.header(name), "{path} {name}");
            }
        }
        assert_eq!(server.get("/v1/stock/TEA").await.json, stock, "{path}");
        let mut other = body.clone();
        other["note"] = json!("another body");
        if status == 201 && path == "/v1/orders" {
            server.post_once(path, &key, other).await.refused(422, "idempotency-key-reused");
            server.post_once("/v1/reservations", &key, body).await.refused(422, "idempotency-key-reused");
        }
    }
    // A refusal stays one, although there would be enough by now.
    server.stock("TEA", "MAIN", 5000).await;
    let again = server.post_once("/v1/orders", "key-6", lines(1000)).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (409, Some("true")));
    server.post_once("/v1/orders", "key-of-its-own", lines(1000)).await.expect(201);
    server.assert_clean().await;
}

#[tokio::test]
async fn keys_are_checked_and_belong_to_their_caller() {
    let server = Server::start().await;
    server.shop(&[("TEA", 50)]).await;
    let one = json!({"lines": [{"sku": "TEA", "quantity": 1}]});
    for bad in ["", "with space", "t\u{e9}", &"x".repeat(256)] {
        let request = server.request(Method::POST, "/v1/orders").header("idempotency-key", bad.as_bytes()).json(&one);
        send(request).await.invalid(&["/header/Idempotency-Key pattern"]);
    }
    server.post_once("/v1/orders", &"x".repeat(255), one.clone()).await.expect(201);

    // Another caller's key of the same name is another key.
    let other = "another-key-of-the-tests-which-is-long-enough";
    server.app.access.bootstrap(Some(other)).await.unwrap();
    let first = server.post_once("/v1/orders", "same", one.clone()).await.expect(201);
    let request = server.anonymous(Method::POST, "/v1/orders").bearer_auth(other);
    let second = send(request.header("idempotency-key", "same").json(&one)).await.expect(201);
    assert_ne!(first["id"], second["id"]);
    server.assert_clean().await;
}

#[tokio::test]
async fn a_request_that_still_runs_is_not_run_twice_and_outlives_its_caller() {
    let server = Server::start().await;
    server.shop(&[("TEA", 5)]).await;
    let one = json!({"lines": [{"sku": "TEA", "quantity": 1}]});
    let mut blocker = server.app.db.begin().await.unwrap();
    sqlx::query("SELECT FROM inventory.products FOR UPDATE").execute(&mut *blocker).await.unwrap();
    // The caller hangs up while the order waits for the product.
    let waiting = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    tokio::select! {
        answer = server.post_once("/v1/orders", "key", one.clone()) => panic!("it should wait: {answer:?}"),
        () = eventually("the order waits", || async { server.sql(waiting).await.unwrap() == 1 }) => {}
    }
    server.post_once("/v1/orders", "key", one.clone()).await.refused(409, "idempotency-in-progress");
    blocker.rollback().await.unwrap();
    eventually("the order is placed", || async { server.list("/v1/orders").await.len() == 1 }).await;
    let replayed = server.post_once("/v1/orders", "key", one).await;
    assert_eq!(replayed.header("idempotency-replayed"), Some("true"));
    assert_eq!(replayed.expect(201)["number"], server.list("/v1/orders").await[0]["number"]);
    assert_eq!(server.level("TEA", "MAIN").await["allocated"], 1);
    server.assert_clean().await;
}

#[tokio::test]
async fn lists_page_through_all_there_is() {
    let server = Server::start().await;
    for n in 0..7 {
        server.product(&format!("P-{n}")).await;
    }
    let page = server.get("/v1/products?limit=7").await.expect(200);
    assert_eq!(page["next_cursor"], json!(null));
    let page = server.get("/v1/products?limit=6").await.expect(200);
    let rest =
        server.get(&format!("/v1/products?limit=6&cursor={}", page["next_cursor"].as_str().unwrap())).await.expect(200);
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["next_cursor"]), (1, &json!(null)));
    // What is deleted or added meanwhile shifts nothing.
    server.delete("/v1/products/P-0").await.expect(204);
    server.product("P-00").await;
    let rest = server.get(&format!("/v1/products?cursor={}", page["next_cursor"].as_str().unwrap())).await.expect(200);
    assert_eq!(rest["items"][0]["sku"], "P-6");
    server.assert_clean().await;
}

#[tokio::test]
async fn health_and_metrics_are_for_whoever_runs_the_server() {
    let server = Server::start().await;
    server.get("/v1/orders").await.expect(200);
    assert_eq!(server.get("/healthz").await.bytes, b"ok");
    assert_eq!(server.get("/readyz").await.bytes, b"ready");
    let metrics = server.get("/metrics").await;
    assert!(metrics.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")));
    let text = String::from_utf8(metrics.bytes).unwrap();
    assert!(text.contains("stockhold_database_connections"), "{text}");
    // Without its database the server is up, but not ready, and says when to come back.
    server.app.db.close().await;
    assert_eq!(server.get("/healthz").await.status, 200);
    for path in ["/readyz", "/v1/orders"] {
        let answer = server.get(path).await;
        if answer.status == 401 {
            continue;
        }
        assert_eq!(answer.header("retry-after"), Some("1"), "{path}");
        answer.refused(503, "unavailable");
    }
}
