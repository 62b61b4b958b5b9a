//! Every operation of the document, tried by everybody who must not use it: all are refused, and no refusal
//! tells whether the thing exists.

use reqwest::Method;
use serde_json::{Value, json};
use stockhold::platform::clock::Timestamp;

use crate::harness::{Answer, Server, send};
use crate::openapi::Document;

/// Where the operation stands for a thing that exists, and for one that does not.
struct Shop {
    server: Server,
    document: Document,
    order: String,
    shipment: String,
    payment: String,
    label: String,
    return_request: String,
    cart: String,
    customer: String,
    cart_line: String,
    reservation: String,
    transfer: String,
    key: String,
    user: String,
    webhook: String,
    delivery: String,
    job: String,
    subscription: String,
}

const NOBODY: &str = "0193a1b2-0000-7000-8000-000000000000";

impl Shop {
    /// Something of everything, in the warehouse LONDON and sold through the channel web.
    async fn open() -> Self {
        let server = Server::start().await;
        let document = Document::of(&server).await;
        server.warehouse("LONDON").await;
        server.warehouse("LEEDS").await;
        server.channel("web", &[("LONDON", 0)]).await;
        server.product("TEA-1").await;
        server.stock("TEA-1", "LONDON", 100).await;
        let line = json!([{"sku": "TEA-1", "quantity": 1}]);
        let reservation = server.reserve(json!({"lines": line, "channel": "web"})).await;
        let customer = server.post("/v1/customers", json!({})).await.expect(201);
        let cart = server.cart(json!({"lines": line, "channel": "web"})).await;
        let priced = json!([{"sku": "TEA-1", "quantity": 1, "unit_price": {"amount": 650, "currency": "GBP"}}]);
        let address = json!({"line1": "12 Dock Road", "city": "London", "country": "GB"});
        server.patch("/v1/warehouses/LONDON", json!({"address": address})).await.expect(200);
        let order = json!({"lines": priced, "channel": "web", "shipping_address": address});
        let order = server.post("/v1/orders", order).await.expect(201);
        let payment = json!({"order_id": order["id"], "provider": "manual"});
        let payment = server.post("/v1/payments", payment).await.expect(201);
        let order = order["id"].as_str().unwrap().to_owned();
        let label = json!({"provider": "manual", "warehouse": "LONDON", "carrier": "DPD"});
        let label = server.post(&format!("/v1/orders/{order}/labels"), label).await.expect(201);
        let shipment = server.post(&format!("/v1/orders/{order}/shipments"), json!({"warehouse": "LONDON"})).await;
        let transfer = server.post("/v1/transfers", json!({"from": "LONDON", "to": "LEEDS", "lines": line})).await;
        let key = server.post("/v1/keys", json!({"name": "some", "scopes": ["stock:read"]})).await.expect(201);
        let user = json!({"login": "some", "name": "Some", "role": "viewer"});
        let user = server.post("/v1/users", user).await.expect(201);
        let workflow = json!({"name": "Standard", "active": false, "steps": [{"kind": "ship"}]});
        server.put("/v1/workflows/standard", workflow).await.expect(200);
        server.put("/v1/feeds/scales", json!({"name": "Scales", "warehouse": "LONDON"})).await.expect(200);
        let id = |value: &Value| value["id"].as_str().unwrap().to_owned();
        let webhook = json!({"url": "https://shop.example.com/", "enabled": false});
        let webhook = id(&server.post("/v1/webhooks", webhook).await.expect(201));
        let delivery = server.post(&format!("/v1/webhooks/{webhook}/test"), json!({})).await.expect(201);
        let subscription = json!({"email": "ada@example.com"});
        let subscription = id(&server.post("/v1/products/TEA-1/subscriptions", subscription).await.expect(201));
        let job = server.idle_job().await.trim_start_matches("/v1/jobs/").to_owned();
        let (shipment, transfer) = (shipment.expect(201), transfer.expect(201));
        let asking = format!("/v1/orders/{order}/return-requests");
        let return_request = server.post(&asking, json!({"lines": line})).await.expect(201);
        let count = json!({"sku": "TEA-1", "count": 1, "reported_at": Timestamp::now()});
        let reported = server.post("/v1/feeds/scales/stock", json!({"items": [count]})).await.expect(200);
        assert_eq!(reported["results"][0]["status"], 200, "{reported}");
        Self {
            order,
            shipment: id(&shipment),
            reservation: id(&reservation),
            cart_line: id(&cart["lines"][0]),
            cart: id(&cart),
            payment: id(&payment),
            label: id(&label),
            return_request: id(&return_request),
            customer: id(&customer),
            transfer: id(&transfer),
            key: id(&key),
            user: id(&user),
            delivery: id(&delivery),
            webhook,
            job,
            subscription,
            server,
            document,
        }
    }

    /// The operations that need a key or a session: all of the API but the log-in.
    fn operations(&self) -> Vec<(String, String)> {
        let (guarded, open) = self.document.guarded();
        let open: Vec<_> = open.iter().map(|(method, path)| format!("{method} {path}")).collect();
        let known = [
            "GET /healthz",
            "GET /problems/{slug}",
            "GET /readyz",
            "GET /track/{token}",
            "POST /v1/carriers/easypost/webhook",
            "POST /v1/payments/webhooks/stripe",
            "POST /v1/session",
            "GET /v1/session/oidc",
            "GET /v1/session/oidc/callback",
            "GET /v1/session/oidc/start",
        ];
        assert_eq!(open, known, "these ask for nothing");
        guarded
    }

    fn address(&self, path: &str, exists: bool) -> String {
        let area = path.split('/').nth(2).unwrap_or_default();
        let id = match area {
            "orders" => &self.order,
            "reservations" => &self.reservation,
            "carts" => &self.cart,
            "payments" => &self.payment,
            "labels" => &self.label,
            "return-requests" => &self.return_request,
            "customers" => &self.customer,
            "transfers" => &self.transfer,
            "keys" => &self.key,
            "users" => &self.user,
            "webhooks" => &self.webhook,
            "jobs" => &self.job,
            "subscriptions" => &self.subscription,
            _ => "",
        };
        let code = match area {
            "channels" => "web",
            "workflows" => "standard",
            _ => "LONDON",
        };
        let names = [
            ("{id}", id, NOBODY),
            ("{shipment_id}", &self.shipment, NOBODY),
            ("{line_id}", &self.cart_line, NOBODY),
            ("{delivery}", &self.delivery, NOBODY),
            ("{sku}", "TEA-1", "NONE"),
            ("{warehouse}", "LONDON", "NONE"),
            ("{code}", code, "NONE"),
            ("{name}", "clerk", "none"),
            ("{source}", "scales", "none"),
        ];
        names
            .iter()
            .fold(path.to_owned(), |path, (name, real, none)| path.replace(name, if exists { real } else { none }))
    }

    /// The operation's example, about things that exist or do not.
    async fn call(&self, key: Option<&str>, method: &str, path: &str, exists: bool) -> Answer {
        let method_name = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.server.anonymous(method_name, &self.address(path, exists));
        if let Some(key) = key {
            request = request.bearer_auth(key);
        }
        if let Some((_, example)) = self.document.body(method, path) {
            request = request.json(&example_about(example, exists));
        }
        send(request).await
    }

    async fn make_key(&self, body: Value) -> (String, String) {
        let made = self.server.post("/v1/keys", body).await.expect(201);
        (made["id"].as_str().unwrap().to_owned(), made["key"].as_str().unwrap().to_owned())
    }

    /// Both calls are refused with this status, and the answers are the same but for the request's id.
    async fn assert_refused(&self, key: Option<&str>, method: &str, path: &str, statuses: &[u16]) {
        let real = self.call(key, method, path, true).await;
        let none = self.call(key, method, path, false).await;
        assert!(statuses.contains(&real.status), "{method} {path}: {} {}", real.status, real.json);
        let told = |answer: &Answer, shown: &str| {
            let mut json = answer.json.clone();
            json.as_object_mut().unwrap().remove("instance");
            (answer.status, json.to_string().replace(shown, "…"), answer.header("etag").map(str::to_owned))
        };
        // Whoever names a thing may be told that name again.
        let name = |exists: bool| {
            let address = self.address(path, exists);
            let open = path.split('/').position(|part| part.starts_with('{'));
            open.map_or("\0".to_owned(), |at| address.split('/').nth(at).unwrap().to_owned())
        };
        let (real, none) = (told(&real, &name(true)), told(&none, &name(false)));
        assert_eq!(real, none, "{method} {path} tells whether it exists");
    }
}

/// About a warehouse and a channel that exist or do not; the products are everybody's.
fn example_about(example: Value, exists: bool) -> Value {
    let text = example.to_string();
    let text = text.replace("LONDON", if exists { "LONDON" } else { "NONE" });
    serde_json::from_str(&text.replace("\"web\"", if exists { "\"web\"" } else { "\"none\"" })).unwrap()
}

/// Whether items are done or refused there on their own.
fn is_batch(path: &str) -> bool {
    path.ends_with("/batch") || path == "/v1/feeds/{source}/stock"
}

/// None for what concerns one's own session, which no key has.
pub fn scope_of(operation: &Value) -> Option<String> {
    let security = &operation["security"];
    let scope = security[0]["key"][0].as_str()?;
    assert_eq!(security[1]["session"][0], scope, "sessions are asked for the same as keys");
    Some(scope.to_owned())
}

#[tokio::test]
async fn without_a_valid_key_every_operation_is_refused() {
    let shop = Shop::open().await;
    let everything = json!({"name": "was valid", "scopes": ["admin:write"]});
    let (revoked_id, revoked) = shop.make_key(everything.clone()).await;
    let (expired_id, expired) = shop.make_key(everything).await;
    shop.server.delete(&format!("/v1/keys/{revoked_id}")).await.expect(204);
    let expire = format!("UPDATE access.keys SET expires_at = clock_timestamp() WHERE id = '{expired_id}'");
    shop.server.sql(&expire).await.unwrap();
    let rows = shop.server.row_counts().await;
    let operations = shop.operations();
    assert!(operations.len() >= 50);
    for (method, path) in &operations {
        for key in [None, Some(revoked.as_str()), Some(expired.as_str()), Some("sh_nonsense")] {
            shop.assert_refused(key, method, path, &[401]).await;
        }
    }
    assert_eq!(shop.server.row_counts().await, rows, "something was written");
    shop.server.assert_clean().await;
}

#[tokio::test]
async fn with_every_other_scope_every_operation_is_refused() {
    let shop = Shop::open().await;
    for (method, path) in shop.operations() {
        // All scopes but the one needed and those that include it; for what is about sessions, none suffices.
        let enough = scope_of(shop.document.operation(&method, &path)).map_or(Vec::new(), |needed| {
            let (area, _) = needed.split_once(':').unwrap();
            vec![needed.clone(), format!("{area}:write"), "admin:write".to_owned()]
        });
        let all = shop.document.json["components"]["schemas"]["Scope"]["enum"].as_array().unwrap();
        let scopes: Vec<&Value> = all.iter().filter(|scope| !enough.iter().any(|s| *scope == s)).collect();
        let (_, key) = shop.make_key(json!({"name": "other", "scopes": scopes})).await;
        shop.assert_refused(Some(&key), &method, &path, &[403]).await;
    }
    shop.server.assert_clean().await;
}

#[tokio::test]
async fn limited_to_another_place_every_operation_is_refused() {
    let shop = Shop::open().await;
    shop.server.warehouse("YORK").await;
    shop.server.channel("fair", &[("YORK", 0)]).await;
    let admin = json!({"name": "elsewhere", "scopes": ["admin:write"]});
    for (limit, codes) in [("warehouses", json!(["YORK"])), ("channels", json!(["fair"]))] {
        let mut body = admin.clone();
        body[limit] = codes;
        let (_, key) = shop.make_key(body).await;
        for (method, path) in shop.operations() {
            let operation = shop.document.operation(&method, &path);
            let limitable = operation["x-limitable-by"].as_array().cloned().unwrap_or_default();
            if !limitable.iter().any(|by| limit.starts_with(by.as_str().unwrap())) {
                shop.assert_refused(Some(&key), &method, &path, &[403]).await;
                continue;
            }
            match path.as_str() {
                // The catalogue is one for all warehouses and channels.
                "/v1/products" | "/v1/products/{sku}" | "/v1/carriers" => {}
                // Nothing of the other place is in what is seen.
                "/v1/stock/{sku}" | "/v1/stock/query" if limit == "warehouses" => {
                    let stock = shop.call(Some(&key), &method, &path, true).await.expect(200);
                    let stock = stock.get("items").map_or(&stock, |items| &items[0]);
                    assert_eq!((&stock["on_hand"], &stock["warehouses"]), (&json!(0), &json!([])), "{path}");
                }
                "/v1/stock/{sku}" => {
                    let named = shop.server.anonymous(Method::GET, "/v1/stock/TEA-1?channel=web").bearer_auth(&key);
                    send(named).await.refused(403, "forbidden");
                }
                "/v1/payments" if method == "POST" => {
                    let call = shop.server.anonymous(Method::POST, &path).bearer_auth(&key);
                    let theirs = json!({"order_id": shop.order, "provider": "manual"});
                    send(call.json(&theirs)).await.invalid(&["/order_id unknown"]);
                }
                _ if method == "GET" && !path.contains('{') => {
                    let list = shop.call(Some(&key), &method, &path, true).await.expect(200);
                    let own = if limit == "warehouses" { "YORK" } else { "fair" };
                    let items = list["items"].as_array().unwrap();
                    assert!(items.iter().all(|item| item["code"] == own), "{path}: {list}");
                }
                "/v1/feeds/{source}/discrepancies" => {
                    let list = shop.call(Some(&key), &method, &path, true).await.expect(200);
                    assert_eq!(list["items"], json!([]), "{path}");
                }
                // Each item of a batch is refused on its own.
                _ if is_batch(&path) => {
                    let answer = shop.call(Some(&key), &method, &path, true).await.expect(200);
                    let results = answer["results"].as_array().unwrap();
                    assert!(
                        results.iter().all(|result| result["status"] == 403 || result["status"] == 409),
                        "{path}: {answer}"
                    );
                }
                _ => shop.assert_refused(Some(&key), &method, &path, &[403, 404, 409]).await,
            }
        }
    }
    shop.server.assert_clean().await;
}
