//! The OpenAPI document: it is committed, states a limit for every field, and its examples work.

use std::collections::BTreeSet;
use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};
use stockhold::config::Config;
use stockhold::platform::clock::Timestamp;

use crate::harness::{Answer, Server, eventually, send};
use crate::labels;
use crate::labels::stand_in::EasyPost;
use crate::payments::by_stripe;

/// As method and path.
type Operations = Vec<(String, String)>;

/// The document, and which of its operations were seen to do what it says.
pub struct Document {
    pub json: Value,
    seen: BTreeSet<(String, String)>,
}

impl Document {
    pub async fn of(server: &Server) -> Self {
        Self { json: server.get("/openapi.json").await.expect(200), seen: BTreeSet::new() }
    }

    /// All operations, as method and path.
    pub fn operations(&self) -> Operations {
        let methods = |(path, item): (&String, &Value)| {
            let path = path.clone();
            let methods = ["get", "post", "put", "patch", "delete"].into_iter().filter(|m| item.get(m).is_some());
            methods.map(move |method| (method.to_uppercase(), path.clone())).collect::<Vec<_>>()
        };
        self.json["paths"].as_object().unwrap().iter().flat_map(methods).collect()
    }

    /// The operations that ask for a key or a session, and those that ask for nothing.
    pub fn guarded(&self) -> (Operations, Operations) {
        let guarded = |(method, path): &(String, String)| self.operation(method, path)["security"] != json!([]);
        self.operations().into_iter().partition(guarded)
    }

    pub fn operation(&self, method: &str, path: &str) -> &Value {
        let operation = &self.json["paths"][path][method.to_lowercase()];
        assert!(operation.is_object(), "{method} {path} is not in the document");
        operation
    }

    /// Behind `$ref`, and what is not null of "null, or this".
    pub fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        if let Some(name) = schema["$ref"].as_str() {
            return self.resolve(self.json.pointer(&name[1..]).unwrap_or_else(|| panic!("{name} is missing")));
        }
        match schema["oneOf"].as_array() {
            Some(choices) => self.resolve(choices.iter().find(|choice| choice["type"] != "null").unwrap()),
            None => schema,
        }
    }

    /// The schema of the body, and an example of it.
    pub fn body(&self, method: &str, path: &str) -> Option<(&Value, Value)> {
        let content = self.operation(method, path)["requestBody"]["content"].as_object()?.values().next()?;
        let schema = self.resolve(&content["schema"]);
        let example =
            [&content["example"], &schema["example"], &schema["examples"][0]].into_iter().find(|e| !e.is_null());
        Some((schema, example.unwrap_or_else(|| panic!("{method} {path} has no example")).clone()))
    }

    /// Sends the operation's example to `address`, and holds the answer against what is documented of it.
    async fn call(&mut self, server: &Server, method: &str, path: &str, address: &str) -> Value {
        let example = self.body(method, path).map(|(_, example)| example);
        self.call_with(server, method, path, address, example).await
    }

    async fn call_with(
        &mut self,
        server: &Server,
        method: &str,
        path: &str,
        address: &str,
        body: Option<Value>,
    ) -> Value {
        let mut request = server.request(Method::from_bytes(method.as_bytes()).unwrap(), address);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = send(request).await;
        self.check(method, path, &answer);
        answer.json
    }

    /// Holds an answer against what is documented of it.
    pub fn check(&mut self, method: &str, path: &str, answer: &Answer) {
        let address = &answer.what;
        assert!((200..400).contains(&answer.status), "{method} {address}: {}", answer.json);
        let response = &self.operation(method, path)["responses"][answer.status.to_string()];
        assert!(response.is_object(), "{method} {path} answers {}, which is not documented", answer.status);
        if let Some(schema) = response["content"]["application/json"]["schema"].as_object() {
            let mut schema = schema.clone();
            schema.insert("components".into(), self.json["components"].clone());
            let validator = jsonschema::validator_for(&Value::Object(schema)).unwrap();
            let faults: Vec<String> =
                validator.iter_errors(&answer.json).map(|e| format!("{}: {e}", e.instance_path())).collect();
            assert!(faults.is_empty(), "{method} {address} answers {}, but {faults:?}", answer.json);
        }
        self.seen.insert((method.to_owned(), path.to_owned()));
    }
}

/// `UPDATE_OPENAPI=1 cargo test --test api openapi` writes the file.
#[tokio::test]
async fn the_committed_document_is_the_server_s() {
    let server = Server::start().await;
    let served = server.get("/openapi.json").await;
    assert_eq!(served.header("content-type"), Some("application/json"));
    let document = server.app.document().to_pretty_json().unwrap();
    assert_eq!(served.json, serde_json::from_str::<Value>(&document).unwrap());
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi/openapi.json");
    let text = document + "\n";
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(committed == text, "openapi/openapi.json is out of date: UPDATE_OPENAPI=1 cargo test --test api openapi");
    assert_eq!(served.json["openapi"].as_str().map(|version| version.starts_with("3.1")), Some(true));
}

#[tokio::test]
async fn swagger_ui_is_served_from_the_binary() {
    let server = Server::start().await;
    let page = send(server.anonymous(Method::GET, "/docs/")).await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
    let script = send(server.anonymous(Method::GET, "/docs/swagger-ui-bundle.js")).await;
    assert_eq!(script.status, 200);
}

/// Orders go through a workflow: each decision is made of one.
async fn workflows(doc: &mut Document, server: &Server) {
    let (route, path) = ("/v1/workflows/{code}", "/v1/workflows/standard");
    doc.call(server, "PUT", route, path).await;
    doc.call(server, "GET", "/v1/workflows", "/v1/workflows").await;
    doc.call(server, "GET", route, path).await;
    let steps = json!([{"kind": "review"}, {"kind": "payment"}, {"kind": "capture"}]);
    doc.call_with(server, "PUT", route, path, Some(json!({"name": "Standard", "steps": steps}))).await;
    // What nobody paid cannot be taken, however often it is tried.
    for decisions in [&["approve", "skip", "retry"][..], &["compensate"][..]] {
        let order = server.post("/v1/orders", json!({"lines": [{"sku": "TEA-1", "quantity": 1}]})).await.expect(201);
        let order = format!("/v1/orders/{}", order["number"]);
        eventually("it began", || async {
            server.get(&format!("{order}/timeline")).await.expect(200)["workflow"].is_object()
        })
        .await;
        for what in decisions {
            let route = format!("/v1/orders/{{id}}/workflow/{what}");
            doc.call(server, "POST", &route, &format!("{order}/workflow/{what}")).await;
        }
        doc.call(server, "GET", "/v1/orders/{id}/timeline", &format!("{order}/timeline")).await;
    }
    doc.call(server, "GET", "/v1/workflow-runs", "/v1/workflow-runs?status=stuck").await;
    doc.call(server, "DELETE", route, path).await;
}

/// An order changes in every way in which it can before it is sent.
async fn changes(doc: &mut Document, server: &Server) {
    server.stock("TEA-1", "LEEDS", 5).await;
    server.stock("TEA-2", "LEEDS", 5).await;
    let order = doc.call(server, "POST", "/v1/orders", "/v1/orders").await;
    let path = format!("/v1/orders/{}", order["number"]);
    let line = format!("{path}/lines/{}", order["lines"][0]["id"].as_str().unwrap());
    doc.call(server, "GET", "/v1/orders/at-risk", "/v1/orders/at-risk?ship_within_hours=0").await;
    doc.call(server, "PATCH", "/v1/orders/{id}", &path).await;
    doc.call(server, "POST", "/v1/orders/{id}/lines", &format!("{path}/lines")).await;
    doc.call(server, "PATCH", "/v1/orders/{id}/lines/{line_id}", &line).await;
    doc.call(server, "POST", "/v1/orders/{id}/reallocate", &format!("{path}/reallocate")).await;
    doc.call(server, "POST", "/v1/orders/{id}/lines/{line_id}/substitute", &format!("{line}/substitute")).await;
    doc.call(server, "POST", "/v1/orders/{id}/lines/{line_id}/cancel", &format!("{line}/cancel")).await;
}

/// Two returns are asked for and rejected or cancelled; the third comes in, and is closed.
async fn returns(doc: &mut Document, server: &Server) {
    let order = server.post("/v1/orders", json!({"lines": [{"sku": "TEA-1", "quantity": 1}]})).await.expect(201);
    let order = format!("/v1/orders/{}", order["number"]);
    server.post(&format!("{order}/shipments"), json!({"warehouse": "LONDON"})).await.expect(201);
    for decisions in [&["reject"][..], &["approve", "cancel"][..], &["approve", "receive", "exchange", "close"][..]] {
        let asking = format!("{order}/return-requests");
        let request = doc.call(server, "POST", "/v1/orders/{id}/return-requests", &asking).await;
        let path = format!("/v1/return-requests/{}", request["id"].as_str().unwrap());
        for what in decisions {
            doc.call(server, "POST", &format!("/v1/return-requests/{{id}}/{what}"), &format!("{path}/{what}")).await;
        }
        doc.call(server, "GET", "/v1/return-requests/{id}", &path).await;
    }
    doc.call(server, "GET", "/v1/return-requests", "/v1/return-requests?status=closed&channel=web").await;
}

/// An order is paid by hand, in part, and something of that is paid back; another is not paid in the end. Stripe tells of none.
async fn payments(doc: &mut Document, server: &Server) {
    let line = json!({"sku": "TEA-1", "quantity": 2, "unit_price": {"amount": 599, "currency": "EUR"}});
    let order = server.post("/v1/orders", json!({"lines": [&line]})).await.expect(201);
    let new = json!({"order_id": order["id"], "provider": "manual", "method": "invoice"});
    let payment = doc.call_with(server, "POST", "/v1/payments", "/v1/payments", Some(new)).await;
    let path = format!("/v1/payments/{}", payment["id"].as_str().unwrap());
    doc.call(server, "GET", "/v1/payments/{id}", &path).await;
    doc.call(server, "GET", "/v1/payments", "/v1/payments?status=authorised&provider=manual").await;
    doc.call(server, "POST", "/v1/payments/{id}/capture", &format!("{path}/capture")).await;
    doc.call(server, "POST", "/v1/payments/{id}/refund", &format!("{path}/refund")).await;
    let order = server.post("/v1/orders", json!({"lines": [line]})).await.expect(201);
    let new = json!({"order_id": order["id"], "provider": "manual"});
    let payment = server.post("/v1/payments", new).await.expect(201);
    let path = format!("/v1/payments/{}", payment["id"].as_str().unwrap());
    doc.call(server, "POST", "/v1/payments/{id}/void", &format!("{path}/void")).await;
    let hook = "/v1/payments/webhooks/stripe";
    let (_, example) = doc.body("POST", hook).unwrap();
    doc.check(
        "POST",
        hook,
        &by_stripe::hear(server, &example.to_string(), &by_stripe::signed(&example.to_string(), 0)).await,
    );
}

/// A parcel has a label of the shop's own and a slip, and rates are asked for. EasyPost tells of nothing.
async fn parcels(doc: &mut Document, server: &Server) {
    let home = json!({"line1": "12 Dock Road", "city": "London", "country": "GB"});
    server.patch("/v1/warehouses/LONDON", json!({"address": home})).await.expect(200);
    let order = json!({"lines": [{"sku": "TEA-1", "quantity": 1}], "shipping_address": home});
    let order = server.post("/v1/orders", order).await.expect(201);
    let order = format!("/v1/orders/{}", order["number"]);
    doc.call(server, "POST", "/v1/orders/{id}/labels/rates", &format!("{order}/labels/rates")).await;
    let label = doc.call(server, "POST", "/v1/orders/{id}/labels", &format!("{order}/labels")).await;
    let path = format!("/v1/labels/{}", label["id"].as_str().unwrap());
    doc.call(server, "GET", "/v1/labels/{id}", &path).await;
    doc.call(server, "GET", "/v1/labels/{id}/pdf", &format!("{path}/pdf")).await;
    doc.call(server, "GET", "/v1/labels", "/v1/labels?status=bought&warehouse=LONDON").await;
    doc.call(server, "POST", "/v1/labels/{id}/void", &format!("{path}/void")).await;
    let slip = format!("{order}/packing-slip?warehouse=LONDON");
    doc.call(server, "GET", "/v1/orders/{id}/packing-slip", &slip).await;
    let sent = server.post(&format!("{order}/shipments"), json!({"warehouse": "LONDON"})).await.expect(201);
    let slip = format!("{order}/shipments/{}/packing-slip", sent["id"].as_str().unwrap());
    doc.call(server, "GET", "/v1/orders/{id}/shipments/{shipment_id}/packing-slip", &slip).await;
    let hook = "/v1/carriers/easypost/webhook";
    let example = doc.body("POST", hook).unwrap().1.to_string();
    doc.check("POST", hook, &labels::hear(server, &example, &labels::signed(&example)).await);
}

#[tokio::test]
async fn every_operation_has_an_example_that_works() {
    // Nothing is asked of Stripe.
    let easypost = EasyPost::start().await;
    let carriers = labels::config(&easypost.url).carriers;
    let server = Server::with(Config { carriers, ..by_stripe::config("http://127.0.0.1:9") }).await;
    let mut document = Document::of(&server).await;
    let doc = &mut document;
    server.warehouse("LEEDS").await;

    doc.call(&server, "POST", "/v1/warehouses", "/v1/warehouses").await;
    doc.call(&server, "GET", "/v1/warehouses", "/v1/warehouses").await;
    doc.call(&server, "GET", "/v1/warehouses/{code}", "/v1/warehouses/LONDON").await;
    doc.call(&server, "PATCH", "/v1/warehouses/{code}", "/v1/warehouses/LONDON").await;
    doc.call(&server, "POST", "/v1/channels", "/v1/channels").await;
    doc.call(&server, "GET", "/v1/channels", "/v1/channels").await;
    doc.call(&server, "GET", "/v1/channels/{code}", "/v1/channels/web").await;
    doc.call(&server, "PATCH", "/v1/channels/{code}", "/v1/channels/web").await;
    doc.call(&server, "GET", "/v1/sourcing", "/v1/sourcing").await;
    doc.call(&server, "PUT", "/v1/sourcing", "/v1/sourcing").await;

    let batch = doc.call(&server, "POST", "/v1/products/batch", "/v1/products/batch").await;
    assert_eq!(batch["results"][0]["status"], 201, "{batch}");
    doc.call(&server, "GET", "/v1/products/{sku}", "/v1/products/TEA-1").await;
    doc.call(&server, "DELETE", "/v1/products/{sku}", "/v1/products/TEA-1").await;
    doc.call(&server, "POST", "/v1/products", "/v1/products").await;
    doc.call(&server, "GET", "/v1/products", "/v1/products?category=tea&barcode=4006381333931&q=assam%20te").await;
    doc.call(&server, "PATCH", "/v1/products/{sku}", "/v1/products/TEA-1").await;

    doc.call(&server, "POST", "/v1/stock/adjustments", "/v1/stock/adjustments").await;
    let batch = doc.call(&server, "POST", "/v1/stock/adjustments/batch", "/v1/stock/adjustments/batch").await;
    assert_eq!(batch["results"][0]["status"], 201, "{batch}");
    doc.call(&server, "POST", "/v1/stock/condition-changes", "/v1/stock/condition-changes").await;
    doc.call(&server, "PATCH", "/v1/stock/{sku}/levels/{warehouse}", "/v1/stock/TEA-1/levels/LONDON").await;
    doc.call(&server, "GET", "/v1/stock/{sku}/levels/{warehouse}", "/v1/stock/TEA-1/levels/LONDON").await;
    doc.call(&server, "GET", "/v1/stock/movements", "/v1/stock/movements?sku=TEA-1&warehouse=LONDON&reason=received")
        .await;
    doc.call(&server, "POST", "/v1/stock/query", "/v1/stock/query").await;

    let held = doc.call(&server, "POST", "/v1/reservations", "/v1/reservations").await;
    let path = format!("/v1/reservations/{}", held["id"].as_str().unwrap());
    doc.call(&server, "GET", "/v1/reservations/{id}", &path).await;
    doc.call(&server, "POST", "/v1/reservations/{id}/extend", &format!("{path}/extend")).await;
    doc.call(&server, "DELETE", "/v1/reservations/{id}", &path).await;
    let batch = doc.call(&server, "POST", "/v1/reservations/batch", "/v1/reservations/batch").await;
    assert_eq!(batch["results"][0]["status"], 201, "{batch}");
    doc.call(&server, "GET", "/v1/reservations", "/v1/reservations?owner=cart-4711&sku=TEA-1").await;

    let customer = doc.call(&server, "POST", "/v1/customers", "/v1/customers").await;
    let path = format!("/v1/customers/{}", customer["id"].as_str().unwrap());
    doc.call(&server, "GET", "/v1/customers", "/v1/customers?email=ADA@example.com&reference=C-17&q=ada").await;
    doc.call(&server, "GET", "/v1/customers/{id}", &path).await;
    doc.call(&server, "PATCH", "/v1/customers/{id}", &path).await;
    doc.call(&server, "GET", "/v1/customers/{id}/export", &format!("{path}/export")).await;
    doc.call(&server, "POST", "/v1/customers/{id}/erase", &format!("{path}/erase")).await;

    let guest = doc.call(&server, "POST", "/v1/carts", "/v1/carts").await;
    let cart = doc.call(&server, "POST", "/v1/carts", "/v1/carts").await;
    let path = format!("/v1/carts/{}", cart["id"].as_str().unwrap());
    doc.call(&server, "GET", "/v1/carts/{id}", &path).await;
    doc.call(&server, "GET", "/v1/carts", "/v1/carts?reference=session-4711&status=open").await;
    doc.call(&server, "PATCH", "/v1/carts/{id}", &path).await;
    doc.call(&server, "POST", "/v1/carts/{id}/lines", &format!("{path}/lines")).await;
    let from = json!({"from": guest["id"]});
    doc.call_with(&server, "POST", "/v1/carts/{id}/merge", &format!("{path}/merge"), Some(from)).await;
    doc.call(&server, "POST", "/v1/carts/{id}/checkout", &format!("{path}/checkout")).await;
    let cart = doc.call(&server, "POST", "/v1/carts", "/v1/carts").await;
    let path = format!("/v1/carts/{}", cart["id"].as_str().unwrap());
    let line = format!("{path}/lines/{}", cart["lines"][0]["id"].as_str().unwrap());
    doc.call(&server, "PATCH", "/v1/carts/{id}/lines/{line_id}", &line).await;
    doc.call(&server, "DELETE", "/v1/carts/{id}/lines/{line_id}", &line).await;
    doc.call(&server, "DELETE", "/v1/carts/{id}", &path).await;

    let order = doc.call(&server, "POST", "/v1/orders", "/v1/orders").await;
    let path = format!("/v1/orders/{}", order["number"]);
    doc.call(&server, "GET", "/v1/orders/{id}", &path).await;
    doc.call(&server, "GET", "/v1/orders", "/v1/orders?reference=WEB-1001&sku=TEA-1").await;
    doc.call(&server, "GET", "/v1/stock/{sku}", "/v1/stock/TEA-1?channel=web").await;
    doc.call(&server, "GET", "/v1/stock/{sku}/explain", "/v1/stock/TEA-1/explain?channel=web").await;
    let shipment = doc.call(&server, "POST", "/v1/orders/{id}/shipments", &format!("{path}/shipments")).await;
    let deliver = "/v1/orders/{id}/shipments/{shipment_id}/deliver";
    let address = format!("{path}/shipments/{}/deliver", shipment["id"].as_str().unwrap());
    let tracking = "/v1/orders/{id}/shipments/{shipment_id}/tracking";
    let reports = format!("{path}/shipments/{}/tracking", shipment["id"].as_str().unwrap());
    let sorted = json!({"status": "in_transit", "description": "Sorted", "place": "Leeds"});
    doc.call_with(&server, "POST", tracking, &reports, Some(sorted)).await;
    doc.call(&server, "GET", tracking, &reports).await;
    doc.call(&server, "GET", "/v1/carriers", "/v1/carriers").await;
    let made = "/v1/orders/{id}/tracking-link";
    let link = doc.call(&server, "POST", made, &format!("{path}/tracking-link")).await;
    doc.call(&server, "GET", "/track/{token}", link["url"].as_str().unwrap()).await;
    // The example's date is in the future of a machine whose clock is behind it.
    doc.call_with(&server, "POST", deliver, &address, None).await;
    doc.call(&server, "POST", "/v1/orders/{id}/returns", &format!("{path}/returns")).await;
    doc.call(&server, "GET", "/v1/orders/{id}", &path).await;
    let other = doc.call(&server, "POST", "/v1/orders", "/v1/orders").await;
    doc.call(&server, "POST", "/v1/orders/{id}/cancel", &format!("/v1/orders/{}/cancel", other["number"])).await;

    changes(doc, &server).await;
    payments(doc, &server).await;
    parcels(doc, &server).await;
    workflows(doc, &server).await;
    returns(doc, &server).await;
    doc.call(&server, "POST", "/v1/channels/{code}/orders", "/v1/channels/web/orders").await;

    let transfer = doc.call(&server, "POST", "/v1/transfers", "/v1/transfers").await;
    let path = format!("/v1/transfers/{}", transfer["id"].as_str().unwrap());
    doc.call(&server, "GET", "/v1/transfers/{id}", &path).await;
    doc.call(&server, "POST", "/v1/transfers/{id}/ship", &format!("{path}/ship")).await;
    doc.call(&server, "POST", "/v1/transfers/{id}/receipts", &format!("{path}/receipts")).await;
    let draft = doc.call(&server, "POST", "/v1/transfers", "/v1/transfers").await;
    let cancel = format!("/v1/transfers/{}/cancel", draft["id"].as_str().unwrap());
    doc.call(&server, "POST", "/v1/transfers/{id}/cancel", &cancel).await;
    doc.call(&server, "GET", "/v1/transfers", "/v1/transfers").await;

    let webhook = doc.call(&server, "POST", "/v1/webhooks", "/v1/webhooks").await;
    let path = format!("/v1/webhooks/{}", webhook["id"].as_str().unwrap());
    doc.call(&server, "GET", "/v1/webhooks", "/v1/webhooks").await;
    doc.call(&server, "GET", "/v1/webhooks/{id}", &path).await;
    doc.call(&server, "POST", "/v1/webhooks/{id}/rotate", &format!("{path}/rotate")).await;
    doc.call(&server, "POST", "/v1/webhooks/{id}/replay", &format!("{path}/replay")).await;
    let delivery = doc.call(&server, "POST", "/v1/webhooks/{id}/test", &format!("{path}/test")).await;
    let list = format!("{path}/deliveries");
    doc.call(&server, "GET", "/v1/webhooks/{id}/deliveries", &list).await;
    let one = format!("{list}/{}", delivery["id"].as_str().unwrap());
    doc.call(&server, "GET", "/v1/webhooks/{id}/deliveries/{delivery}", &one).await;
    let again = format!("{one}/redeliver");
    doc.call(&server, "POST", "/v1/webhooks/{id}/deliveries/{delivery}/redeliver", &again).await;
    doc.call(&server, "PATCH", "/v1/webhooks/{id}", &path).await;
    doc.call(&server, "DELETE", "/v1/webhooks/{id}", &path).await;
    let (route, address) = ("/v1/products/{sku}/subscriptions", "/v1/products/TEA-1/subscriptions");
    let subscription = doc.call(&server, "POST", route, address).await;
    doc.call(&server, "GET", route, &format!("{address}?status=waiting")).await;
    let subscription = format!("/v1/subscriptions/{}", subscription["id"].as_str().unwrap());
    doc.call(&server, "GET", "/v1/subscriptions/{id}", &subscription).await;
    doc.call(&server, "DELETE", "/v1/subscriptions/{id}", &subscription).await;
    let job = server.idle_job().await;
    doc.call(&server, "GET", "/v1/jobs", "/v1/jobs?status=pending&kind=idle").await;
    doc.call(&server, "GET", "/v1/jobs/{id}", &job).await;
    doc.call(&server, "POST", "/v1/jobs/{id}/cancel", &format!("{job}/cancel")).await;
    doc.call(&server, "POST", "/v1/jobs/{id}/retry", &format!("{job}/retry")).await;
    doc.call(&server, "PUT", "/v1/feeds/{source}", "/v1/feeds/scales").await;
    doc.call(&server, "GET", "/v1/feeds", "/v1/feeds").await;
    doc.call(&server, "GET", "/v1/feeds/{source}", "/v1/feeds/scales").await;
    let (route, address) = ("/v1/feeds/{source}/stock", "/v1/feeds/scales/stock");
    let mut example = doc.body("POST", route).unwrap().1;
    // A report in the document is too old some day.
    example["items"][0]["reported_at"] = json!(Timestamp::now());
    let batch = doc.call_with(&server, "POST", route, address, Some(example)).await;
    assert_eq!(batch["results"][0]["status"], 200, "{batch}");
    let found = doc
        .call(
            &server,
            "GET",
            "/v1/feeds/{source}/discrepancies",
            "/v1/feeds/scales/discrepancies?sku=TEA-1&warehouse=LONDON",
        )
        .await;
    assert_eq!(found["items"].as_array().unwrap().len(), 1, "{found}");
    doc.call(&server, "DELETE", "/v1/feeds/{source}", "/v1/feeds/scales").await;

    let key = doc.call(&server, "POST", "/v1/keys", "/v1/keys").await;
    let path = format!("/v1/keys/{}", key["id"].as_str().unwrap());
    doc.call(&server, "GET", "/v1/keys", "/v1/keys").await;
    doc.call(&server, "GET", "/v1/keys/{id}", &path).await;
    doc.call(&server, "POST", "/v1/keys/{id}/rotate", &format!("{path}/rotate")).await;
    doc.call(&server, "DELETE", "/v1/keys/{id}", &path).await;

    doc.call(&server, "PUT", "/v1/roles/{name}", "/v1/roles/picker").await;
    doc.call(&server, "GET", "/v1/roles/{name}", "/v1/roles/picker").await;
    doc.call(&server, "GET", "/v1/roles", "/v1/roles").await;
    doc.call(&server, "DELETE", "/v1/roles/{name}", "/v1/roles/picker").await;
    let user = doc.call(&server, "POST", "/v1/users", "/v1/users").await;
    let path = format!("/v1/users/{}", user["id"].as_str().unwrap());
    doc.call(&server, "PATCH", "/v1/users/{id}", &path).await;
    doc.call(&server, "GET", "/v1/users/{id}", &path).await;
    doc.call(&server, "GET", "/v1/users", "/v1/users?role=manager&disabled=false").await;
    doc.call(&server, "PUT", "/v1/users/{id}/password", &format!("{path}/password")).await;
    crate::users::try_session_operations(&server, doc).await;
    crate::oidc::try_operations(doc).await;
    doc.call(&server, "GET", "/v1/users/{id}/sessions", &format!("{path}/sessions")).await;
    doc.call(&server, "DELETE", "/v1/users/{id}/sessions", &format!("{path}/sessions")).await;
    doc.call(&server, "DELETE", "/v1/users/{id}/identity", &format!("{path}/identity")).await;
    doc.call(&server, "DELETE", "/v1/users/{id}", &path).await;

    doc.call(&server, "GET", "/v1/audit", "/v1/audit?subject=/v1/orders").await;
    doc.call(&server, "GET", "/v1/events", "/v1/events?type=stock.level_changed,order.placed").await;
    doc.call(&server, "GET", "/v1/events/stream", "/v1/events/stream?type=order.*").await;
    doc.call(&server, "GET", "/v1/brokers", "/v1/brokers").await;
    doc.call(&server, "GET", "/v1/stock/snapshot", "/v1/stock/snapshot").await;
    doc.call(&server, "GET", "/v1/self-check", "/v1/self-check").await;
    doc.call(&server, "GET", "/problems/{slug}", "/problems/stale-quantity").await;
    for path in ["/healthz", "/readyz", "/metrics"] {
        doc.call(&server, "GET", path, path).await;
    }
    doc.call(&server, "DELETE", "/v1/channels/{code}", "/v1/channels/web").await;
    server.warehouse("EMPTY").await;
    doc.call(&server, "DELETE", "/v1/warehouses/{code}", "/v1/warehouses/EMPTY").await;

    let unseen: Vec<_> = document.operations().into_iter().filter(|it| !document.seen.contains(it)).collect();
    assert!(unseen.is_empty(), "these were never tried: {unseen:?}");
    server.assert_clean().await;
}

/// Every operation says what it is for, and has parameters with a limit of their own.
#[tokio::test]
async fn every_parameter_has_a_limit() {
    let server = Server::start().await;
    let document = Document::of(&server).await;
    for (method, path) in document.operations() {
        let operation = document.operation(&method, &path);
        assert!(operation["summary"].is_string(), "{method} {path} has no summary");
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            if parameter["in"] == "path" {
                continue;
            }
            let schema = document.resolve(&parameter["schema"]);
            let name = &parameter["name"];
            assert!(is_limited(schema), "{method} {path}: {name} has no limit: {schema}");
        }
    }
}

/// Whether the schema of a single value says how large it may be.
pub fn is_limited(schema: &Value) -> bool {
    let has = |keyword: &str| !schema[keyword].is_null();
    let is = |kind: &str| schema["type"] == kind || schema["type"].as_array().is_some_and(|t| t.contains(&json!(kind)));
    let bounded = has("enum") || has("format") || has("pattern");
    if is("string") {
        bounded || has("maxLength")
    } else if is("integer") || is("number") {
        has("minimum") && has("maximum")
    } else if is("array") {
        has("maxItems")
    } else if is("object") {
        schema["additionalProperties"] == json!(false) || has("maxProperties")
    } else {
        is("boolean")
    }
}

/// Every link leads to an operation, and gives it parameters that it has.
#[tokio::test]
async fn links_lead_somewhere() {
    let server = Server::start().await;
    let document = Document::of(&server).await;
    let operations = document.operations();
    let by_id: std::collections::BTreeMap<_, _> = operations
        .iter()
        .map(|(method, path)| document.operation(method, path))
        .map(|operation| (operation["operationId"].as_str().unwrap(), operation))
        .collect();
    let mut followed = BTreeSet::new();
    for (method, path) in &operations {
        let responses = document.operation(method, path)["responses"].as_object().unwrap();
        for link in responses.values().filter_map(|response| response["links"].as_object()).flat_map(|all| all.values())
        {
            let target = link["operationId"].as_str().unwrap();
            let taken: Vec<&Value> =
                by_id[target]["parameters"].as_array().unwrap().iter().map(|p| &p["name"]).collect();
            for name in link["parameters"].as_object().unwrap().keys() {
                assert!(taken.contains(&&json!(name)), "{method} {path}: {target} takes no {name}");
            }
            followed.insert(target);
        }
    }
    for (method, path) in operations.iter().filter(|(_, path)| path.contains('{') && path.starts_with("/v1/")) {
        let id = document.operation(method, path)["operationId"].as_str().unwrap();
        assert!(followed.contains(id), "nothing leads to {method} {path}");
    }
}
