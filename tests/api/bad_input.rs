//! Bad input: 4xx with a pointer to each fault, and nothing written.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{ADMIN_KEY, Answer, Server, faults, send};
use crate::openapi::{Document, is_limited};
use crate::users::{Browser, user};

/// A shop with a product, two warehouses (one inactive) and a channel.
async fn shop() -> Server {
    let server = Server::start().await;
    server.shop(&[("TEA", 100)]).await;
    server.warehouse("CLOSED").await;
    server.patch("/v1/warehouses/CLOSED", json!({"active": false})).await.expect(200);
    server.channel("web", &[("MAIN", 0)]).await;
    server
}

/// What `sent` answers to leaves no trace in any table.
async fn nothing_written<T>(server: &Server, sent: impl Future<Output = T>) -> T {
    let before = server.row_counts().await;
    let answer = sent.await;
    assert_eq!(server.row_counts().await, before);
    answer
}

fn line(more: Value) -> Value {
    let mut line = json!({"sku": "TEA", "quantity": 1});
    line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    line
}

#[tokio::test]
async fn lines_that_make_no_sense_are_refused_everywhere() {
    let server = shop().await;
    let long = "x".repeat(65);
    let cases = [
        (json!({"quantity": 0}), "quantity minimum"),
        (json!({"quantity": -1}), "quantity minimum"),
        (json!({"quantity": 1_000_000_000_001i64}), "quantity maximum"),
        (json!({"quantity": i64::MAX}), "quantity maximum"),
        (json!({"quantity": i64::MIN}), "quantity minimum"),
        (json!({"quantity": u64::MAX}), "quantity maximum"),
        (json!({"quantity": 1e300}), "quantity maximum"),
        (json!({"quantity": 1.5}), "quantity type"),
        (json!({"quantity": "2"}), "quantity type"),
        (json!({"quantity": null}), "quantity type"),
        (json!({"quantity": true}), "quantity type"),
        (json!({"quantity": [1]}), "quantity type"),
        (json!({"sku": "NONE"}), "sku unknown"),
        (json!({"sku": ""}), "sku pattern"),
        (json!({"sku": "A B"}), "sku pattern"),
        (json!({"sku": "A\nB"}), "sku pattern"),
        (json!({"sku": "TEA\u{0}"}), "sku nul"),
        (json!({"sku": long}), "sku pattern"),
        (json!({"sku": 7}), "sku type"),
        (json!({"colour": "red"}), "colour unknown_field"),
    ];
    for (path, more) in [
        ("/v1/reservations", json!({})),
        ("/v1/orders", json!({})),
        ("/v1/transfers", json!({"from": "MAIN", "to": "MAIN2"})),
    ] {
        server.post("/v1/warehouses", json!({"code": "MAIN2", "name": "second"})).await;
        for (bad, fault) in &cases {
            let mut body = json!({"lines": [line(json!({})), line(bad.clone())]});
            if path == "/v1/transfers" {
                body["lines"] = json!([line(bad.clone())]);
            }
            let n = body["lines"].as_array().unwrap().len() - 1;
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let answer = nothing_written(&server, server.post(path, body)).await.refused(422, "validation");
            let expected = format!("/lines/{n}/{fault}");
            assert!(faults(&answer).contains(&expected), "{path} {bad}: {expected} is missing in {answer}");
        }
    }
    for path in ["/v1/reservations", "/v1/orders"] {
        for (bad, fault) in [
            (json!({"warehouse": "NONE"}), "warehouse unknown"),
            (json!({"warehouse": "CLOSED"}), "warehouse inactive"),
            (json!({"warehouse": "a b"}), "warehouse pattern"),
        ] {
            let body = json!({"lines": [line(bad)]});
            let answer = nothing_written(&server, server.post(path, body)).await;
            answer.invalid(&[&format!("/lines/0/{fault}")]);
        }
        for count in [0, 1001, 10_000] {
            let body = json!({"lines": vec![line(json!({})); count]});
            let fault = if count == 0 { "/lines min_items" } else { "/lines max_items" };
            nothing_written(&server, server.post(path, body)).await.invalid(&[fault]);
        }
        server.post(path, json!({"lines": {"sku": "TEA"}})).await.invalid(&["/lines type"]);
    }
    server.assert_clean().await;
}

#[tokio::test]
async fn every_fault_is_named_not_the_first() {
    let server = shop().await;
    let lines = json!([{"sku": "TEA", "quantity": 0}, {"quantity": 1, "x/y": 1}, {"sku": "NO\u{0}", "quantity": "1"}]);
    let body = json!({"lines": lines, "ttl_seconds": 604_801, "owner": "", "channel": "we b", "~": true, "reference": "x".repeat(201)});
    let expected = [
        "/lines/0/quantity minimum",
        "/lines/1/sku required",
        "/lines/1/x~1y unknown_field",
        "/lines/2/quantity type",
        "/lines/2/sku pattern",
        "/lines/2/sku nul",
        "/ttl_seconds maximum",
        "/owner min_length",
        "/channel pattern",
        "/~0 unknown_field",
        "/reference max_length",
    ];
    nothing_written(&server, server.post("/v1/reservations", body)).await.invalid(&expected);
    // What only the database knows is found together as well.
    let lines = json!([{"sku": "NONE", "quantity": 1}, {"sku": "TEA", "quantity": 1, "warehouse": "CLOSED"}, {"sku": "NADA", "quantity": 1, "warehouse": "NONE"}]);
    let expected =
        ["/lines/0/sku unknown", "/lines/1/warehouse inactive", "/lines/2/sku unknown", "/lines/2/warehouse unknown"];
    nothing_written(&server, server.post("/v1/orders", json!({"lines": lines}))).await.invalid(&expected);
    server.assert_clean().await;
}

async fn raw(server: &Server, path: &str, content_type: Option<&str>, body: impl Into<reqwest::Body>) -> Answer {
    let request = server.request(Method::POST, path).body(body);
    let request = content_type.into_iter().fold(request, |request, kind| request.header("content-type", kind));
    nothing_written(server, send(request)).await
}

#[tokio::test]
async fn what_is_no_json_is_refused() {
    let server = shop().await;
    let deep = |depth: usize| {
        format!(r#"{{"sku":"X","name":"x","attributes":{{"a":{}{}}}}}"#, "[".repeat(depth), "]".repeat(depth))
    };
    let bodies: Vec<Vec<u8>> = vec![
        b"{".into(),
        b"[1,".into(),
        b"nonsense".into(),
        b"{} {}".into(),
        b"{'lines': []}".into(),
        br#"{"lines": [NaN]}"#.into(),
        br#"{"owner": "\ud800"}"#.into(),
        b"{\"owner\": \"\xff\xfe\"}".to_vec(),
        br#"{"lines": [{"sku": "TEA", "quantity": 1e400}]}"#.into(),
        deep(40).into_bytes(),
        deep(200).into_bytes(),
        deep(100_000).into_bytes(),
        "[".repeat(1_000_000).into_bytes(),
    ];
    for body in bodies {
        raw(&server, "/v1/products", Some("application/json"), body).await.refused(400, "malformed-request");
    }
    for body in ["null", "[]", "7", "\"text\"", "true"] {
        raw(&server, "/v1/orders", Some("application/json"), body).await.invalid(&[" type"]);
    }
    raw(&server, "/v1/orders", Some("application/json"), "").await.invalid(&["/lines required"]);

    let good = json!({"lines": [line(json!({}))]}).to_string();
    for kind in
        [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("application/xml"), Some("json")]
    {
        raw(&server, "/v1/orders", kind, good.clone()).await.refused(415, "unsupported-media-type");
    }
    let large = format!(r#"{{"lines": [], "note": "{}"}}"#, "x".repeat(5 * 1024 * 1024));
    raw(&server, "/v1/orders", Some("application/json"), large).await.refused(413, "body-too-large");

    let kind = "application/json; charset=utf-8";
    let accepted = server.request(Method::POST, "/v1/orders").header("content-type", kind).body(good);
    send(accepted).await.expect(201);
    server.post("/v1/products", serde_json::from_str(&deep(29)).unwrap()).await.expect(201);
    server.assert_clean().await;
}

#[tokio::test]
async fn a_body_that_is_cut_off_changes_nothing() {
    let server = shop().await;
    let body = json!({"lines": [line(json!({}))]}).to_string();
    let address = server.url.strip_prefix("http://").unwrap();
    let head = format!(
        "POST /v1/orders HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {ADMIN_KEY}\r\nContent-Type: application/json\r\n"
    );
    let halves = [
        format!("{head}Content-Length: {}\r\n\r\n{}", body.len(), &body[..body.len() / 2]),
        // A whole document, but more was announced.
        format!("{head}Content-Length: {}\r\n\r\n{body}", body.len() + 10),
        format!("{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n", body.len()),
    ];
    for half in halves {
        let cut = async {
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            stream.write_all(half.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let answer = nothing_written(&server, cut).await;
        // Nobody may be listening any more; if something is said, it is this.
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    assert!(server.list("/v1/orders").await.is_empty());
    server.assert_clean().await;
}

#[tokio::test]
async fn query_parameters_are_checked_like_bodies() {
    let server = shop().await;
    let lists =
        ["warehouses", "channels", "products", "stock/movements", "transfers", "reservations", "orders", "jobs"];
    for list in lists {
        for (query, fault) in [
            ("limit=0", "/query/limit minimum"),
            ("limit=201", "/query/limit maximum"),
            ("limit=-1", "/query/limit minimum"),
            ("limit=99999999999999999999", "/query/limit type"),
            ("limit=ten", "/query/limit type"),
            ("limit=", "/query/limit type"),
            ("limit=1&limit=2", "/query/limit repeated"),
            ("colour=red", "/query/colour unknown_field"),
        ] {
            server.get(&format!("/v1/{list}?{query}")).await.invalid(&[fault]);
        }
        for cursor in ["x", "%25%25", "e30", "bnVsbA", "MQ", "ImFcdTAwMDAi", "WzFd"] {
            let answer = server.get(&format!("/v1/{list}?cursor={cursor}")).await;
            answer.refused(400, "invalid-cursor");
        }
    }
    for query in ["owner=a%00b", "sku=%00"] {
        let parameter = query.split('=').next().unwrap();
        let fault = format!("/query/{parameter} nul");
        server.get(&format!("/v1/reservations?{query}")).await.invalid(&[&fault]);
    }
    server.get(&format!("/v1/events?type={}", "x".repeat(1001))).await.invalid(&["/query/type max_length"]);
    server.get("/v1/stock/movements?from=2024-13-01T00:00:00Z").await.invalid(&["/query/from format"]);
    server.assert_clean().await;
}

#[tokio::test]
async fn addresses_that_name_nothing_are_not_found() {
    let server = shop().await;
    for path in [
        "/v1/orders/0",
        "/v1/orders/-1",
        "/v1/orders/99999999999999999999",
        "/v1/orders/%00",
        "/v1/orders/%FF",
        "/v1/reservations/1",
        "/v1/reservations/not-an-id",
        "/v1/transfers/none",
        "/v1/products/%00",
        "/v1/products/TEA%20",
        "/v1/warehouses/main",
        "/v1/warehouses/%F0",
        "/v1/stock/NONE",
        "/v1/stock/TEA/levels/NONE",
        "/v1/nothing",
        "/v2/orders",
    ] {
        server.get(path).await.refused(404, "not-found");
    }
    let id = "01980000-0000-7000-8000-000000000000";
    for path in
        [format!("/v1/orders/{id}/cancel"), format!("/v1/reservations/{id}/extend"), format!("/v1/transfers/{id}/ship")]
    {
        let body = if path.ends_with("extend") { json!({"ttl_seconds": 9}) } else { json!({}) };
        nothing_written(&server, server.post(&path, body)).await.refused(404, "not-found");
    }
    server.assert_clean().await;
}

/// Values that break what the schema says, with the pointers at which that shows.
fn violations(document: &Document, schema: &Value, pointer: &str) -> Vec<(String, Value)> {
    let schema = document.resolve(schema);
    assert!(is_limited(schema) || schema["type"].is_null(), "{pointer} has no limit: {schema}");
    let is = |kind: &str| schema["type"] == kind || schema["type"].as_array().is_some_and(|t| t.contains(&json!(kind)));
    let number = |keyword: &str| schema[keyword].as_f64().map(|n| n as i64);
    let mut bad = Vec::new();
    if is("string") {
        bad.extend([json!(7), json!(["text"])]);
        bad.push(json!(format!("a{}", '\u{0}')));
        bad.extend(number("maxLength").map(|most| json!("é".repeat(most as usize + 1))));
        bad.extend(number("minLength").filter(|least| *least > 0).map(|_| json!("")));
        bad.extend(["enum", "format"].iter().filter(|k| !schema[**k].is_null()).map(|_| json!("nonsense")));
    } else if is("integer") || is("number") {
        bad.extend([
            json!("1"),
            json!(true),
            json!(number("minimum").unwrap() - 1),
            json!(number("maximum").unwrap() + 1),
        ]);
        bad.push(json!(u64::MAX));
        bad.extend(is("integer").then(|| json!(1.5)));
    } else if is("boolean") {
        bad.extend([json!("true"), json!(1)]);
    }
    let mut found: Vec<(String, Value)> = bad.into_iter().map(|value| (pointer.to_owned(), value)).collect();
    if is("array") {
        found.push((pointer.to_owned(), json!("text")));
        found.push((pointer.to_owned(), json!(vec![Value::Null; number("maxItems").unwrap() as usize + 1])));
        found.extend(violations(document, &schema["items"], &format!("{pointer}/0")));
    }
    if is("object") {
        found.push((pointer.to_owned(), json!("text")));
        if let Some(most) = number("maxProperties") {
            let members: Value = (0..=most).map(|n| (n.to_string(), json!("x"))).collect();
            found.push((pointer.to_owned(), members));
        } else {
            found.push((format!("{pointer}/no_such_field"), json!(1)));
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            found.extend(violations(document, property, &format!("{pointer}/{name}")));
        }
    }
    found
}

/// Puts a value at a pointer, making what is missing on the way.
fn put(target: &mut Value, pointer: &str, value: Value) {
    let Some((head, rest)) = pointer.strip_prefix('/').map(|p| p.split_once('/').unwrap_or((p, ""))) else {
        *target = value;
        return;
    };
    let rest = if rest.is_empty() { String::new() } else { format!("/{rest}") };
    if let Ok(index) = head.parse::<usize>() {
        if !target.is_array() {
            *target = json!([]);
        }
        let items = target.as_array_mut().unwrap();
        if items.len() <= index {
            items.push(Value::Null);
        }
        put(&mut items[index], &rest, value);
    } else {
        if !target.is_object() {
            *target = json!({});
        }
        put(target.as_object_mut().unwrap().entry(head).or_insert(Value::Null), &rest, value);
    }
}

/// For every field of every body: outside its limits there is a 422 that points at it.
#[tokio::test]
async fn every_limit_of_the_document_is_kept() {
    let server = shop().await;
    server.post("/v1/products", json!({"sku": "TEA-1", "name": "Tea"})).await.expect(201);
    server.post("/v1/warehouses", json!({"code": "LONDON", "name": "London"})).await.expect(201);
    server.put("/v1/feeds/scales", json!({"name": "Scales"})).await.expect(200);
    let document = Document::of(&server).await;
    user(&server, "anna", "admin", json!({})).await;
    let anna = Browser::log_in(&server, "anna").await;
    let id = "01980000-0000-7000-8000-000000000000";
    let mut tried = 0;
    for (method, path) in document.operations() {
        let Some((schema, mut example)) = document.body(&method, &path) else { continue };
        // Of a batch, the one item that is broken: others would be done.
        if let Some(items) = example["items"].as_array_mut() {
            items.truncate(1);
        }
        let address = path.replace("{id}", id).replace("{shipment_id}", id).replace("{line_id}", id);
        let address = address.replace("{sku}", "TEA-1").replace("{warehouse}", "LONDON").replace("{source}", "scales");
        let address = address.replace("{code}", if path.contains("channels") { "web" } else { "LONDON" });
        // What is about one's own session takes no key.
        let in_session = document.operation(&method, &path)["security"][0].get("session").is_some();
        let before = server.row_counts().await;
        for (pointer, bad) in violations(&document, schema, "") {
            let mut body = if method == "PATCH" { json!({}) } else { example.clone() };
            put(&mut body, &pointer, bad.clone());
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let request = if in_session { anna.request(method, &address) } else { server.request(method, &address) };
            let answer = send(request.json(&body)).await;
            // The items of a batch have answers of their own.
            let problem = match answer.json["results"].as_array() {
                Some(results) => {
                    assert_eq!(results[0]["status"], 422, "{path} {pointer} {bad}: {}", answer.json);
                    results[0]["problem"].clone()
                }
                None => answer.refused(422, "validation"),
            };
            let pointed = problem["errors"]
                .as_array()
                .unwrap()
                .iter()
                .any(|e| e["pointer"].as_str().unwrap().starts_with(&pointer));
            assert!(pointed, "{path}: nothing points at {pointer} for {bad}: {problem}");
            tried += 1;
        }
        assert_eq!(server.row_counts().await, before, "{method} {path}");
    }
    assert!(tried > 500, "{tried}");
    server.assert_clean().await;
}

/// serde_json has a name of its own for JSON within JSON: a member that bears it would be stored and never read again.
#[tokio::test]
async fn names_that_our_own_reader_mistakes_are_refused() {
    let server = Server::start().await;
    for content in ["x", "1", "{\"a\": 1}"] {
        let attributes = json!({"deep": [{"$serde_json::private::RawValue": content}]});
        let body = json!({"sku": "MUG", "name": "Mug", "attributes": attributes});
        nothing_written(&server, server.post("/v1/products", body)).await.refused(400, "malformed-request");
    }
    server.product("MUG").await;
    server.get("/v1/products/MUG").await.expect(200);
    server.assert_clean().await;
}

#[tokio::test]
async fn a_member_given_twice_is_refused() {
    let server = shop().await;
    for body in [
        r#"{"lines": [{"sku": "TEA", "quantity": 1, "quantity": 2}]}"#,
        r#"{"lines": [{"sku": "TEA", "quantity": 1}], "lines": [{"sku": "TEA", "quantity": 2}]}"#,
    ] {
        let problem =
            raw(&server, "/v1/orders", Some("application/json"), body).await.refused(400, "malformed-request");
        assert!(problem["detail"].as_str().unwrap().contains("is given twice"), "{problem}");
    }
    // A whole number is one however it is written.
    server.post("/v1/orders", json!({"lines": [line(json!({"quantity": 2.0}))]})).await.expect(201);
    server.assert_clean().await;
}

#[tokio::test]
async fn headers_that_mean_nothing_are_refused() {
    let server = shop().await;
    let patch = |tags: &[&str]| {
        let request = server.request(Method::PATCH, "/v1/products/TEA").json(&json!({"name": "new"}));
        send(tags.iter().fold(request, |request, tag| request.header("if-match", *tag)))
    };
    for bad in [&["0"][..], &[""], &["\"a"], &["\"a\" \"b\""], &["*, \"a\""], &["\"a\"", "b"], &["\"é\""]] {
        nothing_written(&server, patch(bad)).await.invalid(&["/header/If-Match pattern"]);
    }
    patch(&["\"a\"", "W/\"b\""]).await.refused(412, "precondition-failed");
    let etag = server.get("/v1/products/TEA").await.header("etag").unwrap().to_owned();
    patch(&[&format!("W/{etag}")]).await.refused(412, "precondition-failed");
    patch(&["\"a\"", &etag]).await.expect(200);
    let order = server.request(Method::POST, "/v1/orders").json(&json!({"lines": [line(json!({}))]}));
    let twice = send(order.header("idempotency-key", "a").header("idempotency-key", "b"));
    nothing_written(&server, twice).await.invalid(&["/header/Idempotency-Key repeated"]);
    server.assert_clean().await;
}

/// A patch of an object within is a patch again; what it leaves out stays, and what it makes must be whole.
#[tokio::test]
async fn patches_are_checked_by_their_own_schema() {
    let server = shop().await;
    let patch = |body: Value| server.patch("/v1/products/TEA", body);
    patch(json!({"price": {"amount": 5}})).await.invalid(&["/price/currency required"]);
    patch(json!({"price": {"amount": 5, "currency": "GBP"}})).await.expect(200);
    let patched = patch(json!({"price": {"amount": 6}, "availability": {"discontinued": null}})).await.expect(200);
    assert_eq!(patched["price"], json!({"amount": 6, "currency": "GBP"}));
    for (body, fault) in [
        (json!({"price": {"colour": null}}), "/price/colour unknown_field"),
        (json!({"price": {"currency": null}}), "/price/currency type"),
        (json!({"sku": null}), "/sku type"),
        (json!({"colour": null}), "/colour unknown_field"),
    ] {
        nothing_written(&server, patch(body)).await.invalid(&[fault]);
    }
    server.assert_clean().await;
}
