//! Products: create, change, find, delete.

use serde_json::{Value, json};

use crate::harness::{Server, each, faults};

#[tokio::test]
async fn a_product_is_created_with_defaults_and_read() {
    let server = Server::start().await;
    let created = server.post("/v1/products", json!({"sku": "TEA-1", "name": "Assam"})).await;
    assert_eq!(created.header("location"), Some("/v1/products/TEA-1"));
    let created = created.expect(201);
    for (member, expected) in [
        ("description", json!("")),
        ("category", json!(null)),
        ("attributes", json!({})),
        ("barcodes", json!([])),
        ("unit", json!("each")),
        ("packs", json!([])),
        ("price", json!(null)),
        ("tracking", json!("none")),
        ("parent", json!(null)),
        ("options", json!({})),
        ("substitutes", json!([])),
        ("availability", json!({"backorder_limit": 0, "discontinued": false})),
    ] {
        assert_eq!(created[member], expected, "{member}");
    }
    assert_eq!(server.get("/v1/products/TEA-1").await.expect(200), created);
    server.post("/v1/products", json!({"sku": "TEA-1", "name": "Other"})).await.refused(409, "already-exists");
    // Skus are case-sensitive.
    server.post("/v1/products", json!({"sku": "tea-1", "name": "Other"})).await.expect(201);
    server.get("/v1/products/Tea-1").await.refused(404, "not-found");
    server.assert_clean().await;
}

#[tokio::test]
async fn everything_said_of_a_product_comes_back() {
    let server = Server::start().await;
    server.product("TEA").await;
    let body = json!({
        "sku": "TEA-L", "name": "Assam", "description": "Malty", "category": "tea",
        "attributes": {"origin": "India", "notes": ["malt", {"deep": true}], "none": null},
        "barcodes": ["4006381333931", "FREE-CODE"], "unit": "g", "packs": [{"name": "case", "quantity": 12}],
        "price": {"amount": 599, "currency": "EUR"}, "tracking": "lot", "parent": "TEA", "options": {"size": "L"},
        "substitutes": ["TEA"],
        "availability": {"backorder_limit": 3, "preorder": {"release_date": "2099-01-31", "limit": 7}, "discontinued": true},
    });
    let created = server.post("/v1/products", body.clone()).await.expect(201);
    for (member, expected) in body.as_object().unwrap() {
        assert_eq!(&created[member], expected, "{member}");
    }
    server.assert_clean().await;
}

/// Any visible character may stand in a sku; the address of such a product works as it is given.
#[tokio::test]
async fn unusual_skus_have_addresses() {
    let server = Server::start().await;
    for sku in ["a/b?c#d%20", "TÉ-1", "茶", "a+b&c=d", "...", "levels"] {
        let created = server.post("/v1/products", json!({"sku": sku, "name": "x"})).await;
        let address = created.header("location").unwrap().to_owned();
        created.expect(201);
        assert_eq!(server.get(&address).await.expect(200)["sku"], sku, "{address}");
        let stock = address.replace("/v1/products/", "/v1/stock/");
        assert_eq!(server.get(&stock).await.expect(200)["sku"], sku, "{stock}");
    }
    for sku in [".", "..", "batch", "query", "movements", "adjustments", "condition-changes"] {
        server.post("/v1/products", json!({"sku": sku, "name": "x"})).await.invalid(&["/sku reserved"]);
    }
    server.assert_clean().await;
}

#[tokio::test]
async fn a_merge_patch_changes_what_it_names_and_null_sets_back() {
    let server = Server::start().await;
    let body = json!({
        "sku": "TEA", "name": "Assam", "description": "Malty", "category": "tea", "unit": "g", "tracking": "lot",
        "attributes": {"origin": "India", "grade": {"leaf": "whole", "season": 2}}, "options": {"size": "L", "tin": "red"},
        "price": {"amount": 599, "currency": "EUR"}, "barcodes": ["ABC-1"],
        "availability": {"backorder_limit": 3, "preorder": {"release_date": "2099-01-31", "limit": 7}},
    });
    server.post("/v1/products", body).await.expect(201);
    let patch = |patch: Value| async { server.patch("/v1/products/TEA", patch).await };
    let same = server.get("/v1/products/TEA").await.expect(200);
    let mut unchanged = patch(json!({})).await.expect(200);
    unchanged["updated_at"] = same["updated_at"].clone();
    assert_eq!(unchanged, same);

    let changed = patch(json!({"attributes": {"origin": null, "grade": {"season": 3}, "new": [1]}})).await.expect(200);
    assert_eq!(changed["attributes"], json!({"grade": {"leaf": "whole", "season": 3}, "new": [1]}));
    let changed = patch(json!({"options": {"size": null, "tin": "blue"}})).await.expect(200);
    assert_eq!(changed["options"], json!({"tin": "blue"}));
    let changed = patch(json!({"price": {"amount": 650}})).await.expect(200);
    assert_eq!(changed["price"], json!({"amount": 650, "currency": "EUR"}));
    let changed = patch(json!({"availability": {"preorder": {"limit": 9}}})).await.expect(200);
    assert_eq!(changed["availability"]["preorder"], json!({"release_date": "2099-01-31", "limit": 9}));
    let changed = patch(json!({"availability": {"backorder_limit": null, "preorder": null}})).await.expect(200);
    assert_eq!(changed["availability"], json!({"backorder_limit": 0, "discontinued": false}));

    let all = ["description", "category", "unit", "tracking", "attributes", "options", "price", "barcodes", "packs"];
    let nulls: Value = all.iter().map(|member| ((*member).to_owned(), Value::Null)).collect();
    let bare = patch(nulls).await.expect(200);
    server.product("BARE").await;
    let fresh = server.get("/v1/products/BARE").await.expect(200);
    for member in all {
        assert_eq!(bare[member], fresh[member], "{member}");
    }
    assert_eq!(bare["name"], "Assam");

    patch(json!({"name": null})).await.invalid(&["/name type"]);
    patch(json!({"sku": "OTHER"})).await.invalid(&["/sku fixed"]);
    patch(json!({"colour": "red"})).await.invalid(&["/colour unknown_field"]);
    let bad = json!({"price": {"amount": -1, "currency": "EUR"}, "unit": "EACH"});
    patch(bad).await.invalid(&["/price/amount minimum", "/unit pattern"]);
    patch(json!(["name"])).await.invalid(&[" type"]);
    server.patch("/v1/products/NONE", json!({"name": "x"})).await.refused(404, "not-found");
    server.assert_clean().await;
}

#[tokio::test]
async fn a_barcode_belongs_to_one_product() {
    let server = Server::start().await;
    let create = |sku: &'static str, barcodes: Value| {
        let server = &server;
        async move { server.post("/v1/products", json!({"sku": sku, "name": sku, "barcodes": barcodes})).await }
    };
    create("A", json!(["4006381333931", "96385074"])).await.expect(201);
    create("B", json!(["4006381333932", "X", "X"])).await.invalid(&["/barcodes/0 check_digit", "/barcodes/2 repeated"]);
    let taken = create("B", json!(["NEW", "96385074"])).await.refused(409, "already-exists");
    assert!(taken["detail"].as_str().unwrap().contains("belongs to A"), "{taken}");
    create("B", json!(["NEW"])).await.expect(201);
    server.patch("/v1/products/B", json!({"barcodes": ["96385074"]})).await.refused(409, "already-exists");
    assert_eq!(each(&server.list("/v1/products?barcode=NEW").await, "sku"), ["B"]);

    server.patch("/v1/products/A", json!({"barcodes": ["4006381333931"]})).await.expect(200);
    let changed = server.patch("/v1/products/B", json!({"barcodes": ["96385074", "NEW"]})).await.expect(200);
    assert_eq!(changed["barcodes"], json!(["96385074", "NEW"]));
    assert_eq!(each(&server.list("/v1/products?barcode=96385074").await, "sku"), ["B"]);
    server.delete("/v1/products/B").await.expect(204);
    assert!(server.list("/v1/products?barcode=96385074").await.is_empty());
    create("C", json!(["96385074"])).await.expect(201);
    server.assert_clean().await;
}

#[tokio::test]
async fn products_are_found_by_words_and_filters() {
    let server = Server::start().await;
    for (sku, name, category, description, tracking) in [
        ("TEA-1", "Assam tea", "tea", "malty and strong", "lot"),
        ("TEA-2", "Darjeeling tea", "tea", "first flush", "none"),
        ("MUG-1", "Tea mug", "kitchen", "holds 300 ml", "none"),
        ("MUG-2", "Coffee mug", "kitchen", "strong handle", "serial"),
    ] {
        let body =
            json!({"sku": sku, "name": name, "category": category, "description": description, "tracking": tracking});
        server.post("/v1/products", body).await.expect(201);
    }
    for (query, expected) in [
        ("q=tea", vec!["MUG-1", "TEA-1", "TEA-2"]),
        ("q=TEA", vec!["MUG-1", "TEA-1", "TEA-2"]),
        ("q=strong", vec!["MUG-2", "TEA-1"]),
        ("q=strong tea", vec!["TEA-1"]),
        ("q=darj", vec!["TEA-2"]),
        ("q=tea darj", vec!["TEA-2"]),
        ("q=\"first flush\"", vec!["TEA-2"]),
        ("q=\"flush first\"", vec![]),
        ("q=assam or coffee", vec!["MUG-2", "TEA-1"]),
        ("q=mug -coffee", vec!["MUG-1"]),
        ("q=mug-1", vec!["MUG-1"]),
        ("q=nothing", vec![]),
        ("q=' OR 1=1 --", vec![]),
        ("category=tea", vec!["TEA-1", "TEA-2"]),
        ("category=Tea", vec![]),
        ("tracking=lot", vec!["TEA-1"]),
        ("category=kitchen&q=strong&tracking=serial", vec!["MUG-2"]),
        ("category=kitchen&tracking=lot", vec![]),
    ] {
        assert_eq!(each(&server.list(&format!("/v1/products?{query}")).await, "sku"), expected, "{query}");
    }
    assert_eq!(server.list("/v1/products?limit=1").await.len(), 4);
    server.get("/v1/products?tracking=box").await.invalid(&["/query/tracking enum"]);
    server.assert_clean().await;
}

#[tokio::test]
async fn variants_and_substitutes_name_products_that_exist() {
    let server = Server::start().await;
    server.product("TEA").await;
    let body = json!({"sku": "X", "name": "x", "parent": "X", "substitutes": ["NONE", "X", "TEA", "TEA"]});
    let expected = ["/parent self", "/substitutes/1 self", "/substitutes/3 repeated", "/substitutes/0 unknown"];
    let problem = server.post("/v1/products", body).await.refused(422, "validation");
    for fault in expected {
        assert!(faults(&problem).contains(&fault.to_owned()), "{fault} is missing in {problem}");
    }
    let body = json!({"sku": "TEA-L", "name": "x", "parent": "NONE"});
    server.post("/v1/products", body).await.invalid(&["/parent unknown"]);
    let body = json!({"sku": "TEA-L", "name": "x", "parent": "TEA", "substitutes": ["TEA"]});
    server.post("/v1/products", body).await.expect(201);
    assert_eq!(each(&server.list("/v1/products?parent=TEA").await, "sku"), ["TEA-L"]);
    server.delete("/v1/products/TEA").await.refused(409, "in-use");
    server.patch("/v1/products/TEA-L", json!({"parent": null})).await.expect(200);
    server.delete("/v1/products/TEA").await.expect(204);
    server.assert_clean().await;
}

#[tokio::test]
async fn each_product_of_a_batch_is_answered_on_its_own() {
    let server = Server::start().await;
    server.product("OLD").await;
    let items = json!([
        {"sku": "A", "name": "a", "parent": "B"}, {"sku": "B", "name": "b"}, {"sku": "OLD", "name": "o"},
        {"sku": "A", "name": "again"}, {"sku": "C", "name": ""}, {"sku": "D", "name": "d", "substitutes": ["C"]}, "text",
    ]);
    let answer = server.post("/v1/products/batch", json!({"items": items})).await.expect(200);
    let results = answer["results"].as_array().unwrap();
    assert_eq!(each(results, "status"), [201, 201, 409, 409, 422, 422, 422]);
    assert_eq!(results[0]["body"]["parent"], "B");
    assert_eq!(faults(&results[4]["problem"]), ["/items/4/name min_length"]);
    assert_eq!(faults(&results[5]["problem"]), ["/items/5/substitutes/0 unknown"]);
    assert_eq!(faults(&results[6]["problem"]), ["/items/6 type"]);
    assert_eq!(each(&server.list("/v1/products").await, "sku"), ["A", "B", "OLD"]);

    let many: Vec<Value> = (0..1000).map(|n| json!({"sku": format!("N-{n:04}"), "name": "n"})).collect();
    let answer = server.post("/v1/products/batch", json!({"items": many})).await.expect(200);
    assert!(each(answer["results"].as_array().unwrap(), "status").iter().all(|status| **status == 201));
    assert_eq!(server.list("/v1/products?limit=200").await.len(), 1003);
    server.assert_clean().await;
}

#[tokio::test]
async fn a_product_in_use_cannot_be_deleted() {
    let server = Server::start().await;
    server.shop(&[("TEA", 3)]).await;
    server.warehouse("OTHER").await;
    let in_use = || async { server.delete("/v1/products/TEA").await.refused(409, "in-use") };
    in_use().await;
    server
        .post("/v1/transfers", json!({"from": "MAIN", "to": "OTHER", "lines": [{"sku": "TEA", "quantity": 3}]}))
        .await;
    let transfer = server.list("/v1/transfers").await[0]["id"].as_str().unwrap().to_owned();
    server.post(&format!("/v1/transfers/{transfer}/ship"), json!({})).await.expect(200);
    in_use().await;
    let lost = json!({"lines": [], "close": true});
    server.post(&format!("/v1/transfers/{transfer}/receipts"), lost).await.expect(201);

    server.patch("/v1/products/TEA", json!({"availability": {"backorder_limit": 5}})).await.expect(200);
    let hold = server.hold("TEA", 1, 900).await;
    in_use().await;
    server.delete(&format!("/v1/reservations/{}", hold["id"].as_str().unwrap())).await.expect(204);
    let order = server.order("TEA", 1).await;
    in_use().await;
    server.post(&format!("/v1/orders/{}/cancel", order["number"]), json!({})).await.expect(200);

    server.delete("/v1/products/TEA").await.expect(204);
    server.get("/v1/products/TEA").await.refused(404, "not-found");
    server.get("/v1/stock/TEA").await.refused(404, "not-found");
    assert_eq!(server.list("/v1/stock/movements?sku=TEA").await.len(), 3);
    assert_eq!(server.get(&format!("/v1/orders/{}", order["number"])).await.expect(200)["status"], "cancelled");
    server.product("TEA").await;
    assert_eq!(server.available("TEA").await, 0);
    server.assert_clean().await;
}

#[tokio::test]
async fn what_happens_to_a_product_is_published() {
    let server = Server::start().await;
    server.product("TEA").await;
    server.patch("/v1/products/TEA", json!({"name": "Better tea"})).await.expect(200);
    server.delete("/v1/products/TEA").await.expect(204);
    let events = server.events("product.created,product.updated,product.deleted").await;
    assert_eq!(each(&events, "type"), ["product.created", "product.updated", "product.deleted"]);
    assert_eq!(each(&events, "subject"), ["products/TEA"; 3]);
    assert_eq!(events[1]["data"]["name"], "Better tea");
    server.assert_clean().await;
}
