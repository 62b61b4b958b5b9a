//! Orders that will miss what was promised, and what can be done about each.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Server, each, eventually, send};

const LIST: &str = "/v1/orders/at-risk?ship_within_hours=0";

/// The kinds of risk of an order.
async fn risks(server: &Server, list: &str, order: &Value) -> Vec<Value> {
    let found = server.list(list).await;
    let of_order = found.into_iter().find(|item| item["order_id"] == order["id"]);
    of_order.map(|item| item["risks"].as_array().unwrap().clone()).unwrap_or_default()
}

/// Does what is proposed, as it stands.
async fn apply(server: &Server, risk: &Value, action: &str) -> Value {
    let solutions = risk["solutions"].as_array().unwrap();
    let solution =
        solutions.iter().find(|it| it["action"] == action).unwrap_or_else(|| panic!("{action} is not in {risk:#}"));
    let method: Method = solution["method"].as_str().unwrap().parse().unwrap();
    let answer = send(server.request(method, solution["path"].as_str().unwrap()).json(&solution["body"])).await;
    assert!((200..300).contains(&answer.status), "{solution:#}: {}", answer.status);
    answer.json
}

/// A channel that sells from MAIN, where nothing is; 5 in FAR, and 4 MINT that can be had instead.
async fn short() -> Server {
    let server = Server::start().await;
    server.shop(&[("MINT", 4)]).await;
    server.warehouse("FAR").await;
    server.channel("web", &[("MAIN", 0)]).await;
    server.backorderable("TEA", 99).await;
    server.patch("/v1/products/TEA", json!({"substitutes": ["MINT"]})).await.expect(200);
    server.stock("TEA", "FAR", 5).await;
    server
}

async fn order_of(server: &Server, quantity: i64) -> Value {
    let line = json!({"sku": "TEA", "quantity": quantity, "unit_price": {"amount": 650, "currency": "EUR"}});
    server.post("/v1/orders", json!({"lines": [line], "channel": "web"})).await.expect(201)
}

#[tokio::test]
async fn what_waits_for_stock_comes_with_what_can_be_done() {
    let server = short().await;
    let orders = [order_of(&server, 5).await, order_of(&server, 4).await, order_of(&server, 9).await];
    assert_eq!(risks(&server, "/v1/orders/at-risk", &orders[0]).await, Vec::<Value>::new(), "nobody expects it today");
    let mut found = Vec::new();
    for order in &orders {
        found.push(risks(&server, LIST, order).await.pop().expect("it waits"));
    }
    let actions = |risk: &Value| -> Value {
        each(risk["solutions"].as_array().unwrap(), "action").into_iter().cloned().collect()
    };
    assert_eq!(actions(&found[0]), json!(["reallocate", "put_off", "cancel"]));
    assert_eq!(actions(&found[1]), json!(["reallocate", "substitute", "put_off", "cancel"]));
    assert_eq!(actions(&found[2]), json!(["put_off", "cancel"]));
    assert_eq!((&found[1]["kind"], &found[1]["sku"]), (&json!("stock_short"), &json!("TEA")));

    let served = apply(&server, &found[0], "reallocate").await;
    assert_eq!(served["lines"][0]["allocations"], json!([{"warehouse": "FAR", "quantity": 5}]));
    let served = apply(&server, &found[1], "substitute").await;
    assert_eq!(served["lines"][1]["allocated"], 4);
    apply(&server, &found[2], "put_off").await;
    assert_eq!(risks(&server, LIST, &orders[2]).await, Vec::<Value>::new(), "it is promised for later");
    let near = risks(&server, "/v1/orders/at-risk?within_hours=8760", &orders[2]).await.pop().expect("within a year");
    apply(&server, &near, "cancel").await;
    assert_eq!(server.get(&format!("/v1/orders/{}", orders[2]["number"])).await.expect(200)["status"], "cancelled");

    for order in &orders[..2] {
        let risk = risks(&server, LIST, order).await.pop().expect("it has not left");
        assert_eq!(risk["kind"], "shipment_overdue");
        apply(&server, &risk, "ship").await;
    }
    assert_eq!(server.list(LIST).await, Vec::<Value>::new());
    server.assert_clean().await;
}

#[tokio::test]
async fn what_is_to_be_sent_together_can_be_sent_apart() {
    let server = short().await;
    server.stock("TEA", "MAIN", 1).await;
    let line = json!({"sku": "TEA", "quantity": 9, "unit_price": {"amount": 650, "currency": "EUR"}});
    let order = json!({"lines": [line], "channel": "web", "ship_together": true});
    let order = server.post("/v1/orders", order).await.expect(201);
    let found = risks(&server, LIST, &order).await;
    assert_eq!(each(&found, "kind"), ["stock_short", "shipment_overdue"]);
    assert_eq!(found[1]["solutions"], json!([]), "{:#}", found[1]);
    apply(&server, &found[0], "ship_apart").await;
    let found = risks(&server, LIST, &order).await;
    apply(&server, &found[1], "ship").await;
    server.assert_clean().await;
}

#[tokio::test]
async fn a_process_that_is_stuck_or_due_is_told() {
    let server = short().await;
    let euro = |amount: i64| json!({"amount": amount, "currency": "EUR"});
    let steps = json!([{"kind": "review", "above": euro(1000), "hours": 1}, {"kind": "payment", "hours": 48}]);
    server.put("/v1/workflows/standard", json!({"name": "standard", "steps": steps})).await.expect(200);
    let (large, small) = (order_of(&server, 2).await, order_of(&server, 1).await);
    eventually("both are under way", || async { server.list("/v1/workflow-runs?status=running").await.len() == 2 })
        .await;
    eventually("the review is due", || async { !risks(&server, "/v1/orders/at-risk", &large).await.is_empty() }).await;
    let review = risks(&server, "/v1/orders/at-risk", &large).await.remove(0);
    assert_eq!((&review["kind"], &review["due_at"].is_string()), (&json!("deadline_near"), &true));
    apply(&server, &review, "approve").await;
    eventually("it is not due any more", || async { risks(&server, "/v1/orders/at-risk", &large).await.is_empty() })
        .await;
    let due = "/v1/orders/at-risk?within_hours=49";
    eventually("both are to be paid", || async { server.list(due).await.len() == 2 }).await;
    let payment = risks(&server, due, &small).await.remove(0);
    apply(&server, &payment, "skip").await;
    eventually("the small one goes on", || async { risks(&server, due, &small).await.is_empty() }).await;
    server
        .sql(
            "UPDATE workflows.runs SET status = 'stuck', error = 'nobody knows', wake_at = NULL WHERE ended_at IS NULL",
        )
        .await
        .unwrap();
    let stuck = risks(&server, "/v1/orders/at-risk", &large).await.remove(0);
    assert_eq!((&stuck["kind"], &stuck["detail"]), (&json!("step_stuck"), &json!("nobody knows")));
    apply(&server, &stuck, "compensate").await;
    eventually("its order is given up", || async { risks(&server, due, &large).await.is_empty() }).await;
}

#[tokio::test]
async fn pages_hold_each_order_once() {
    let server = short().await;
    let mut wanted = Vec::new();
    for _ in 0..5 {
        wanted.push(order_of(&server, 1).await["id"].clone());
    }
    let found = server.list(&format!("{LIST}&limit=2")).await;
    assert_eq!(each(&found, "order_id"), wanted.iter().collect::<Vec<_>>());
}
