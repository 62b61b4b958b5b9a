//! The processes that orders go through.

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{DEADLINE, Server, each, eventually, send};
use crate::payments::by_stripe;
use crate::payments::stand_in::Stripe;

async fn put(server: &Server, code: &str, steps: Value) -> Value {
    server.put(&format!("/v1/workflows/{code}"), json!({"name": code, "steps": steps})).await.expect(200)
}

async fn order_of(server: &Server, quantity: i64) -> Value {
    let line = json!({"sku": "TEA", "quantity": quantity, "unit_price": {"amount": 650, "currency": "EUR"}});
    server.post("/v1/orders", json!({"lines": [line]})).await.expect(201)
}

async fn timeline(server: &Server, order: &Value) -> Value {
    server.get(&format!("/v1/orders/{}/timeline", order["number"])).await.expect(200)
}

async fn held_for(server: &Server, order: &Value) -> Value {
    server.get(&format!("/v1/orders/{}", order["number"])).await.expect(200)["held_for"].clone()
}

/// Waits until an order's process stands so, at this step.
async fn stands(server: &Server, order: &Value, status: &str, step: i64) -> Value {
    let mut found = Value::Null;
    let reached = tokio::time::timeout(DEADLINE, async {
        while (&found["status"], &found["step"]) != (&json!(status), &json!(step)) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            found = timeline(server, order).await["workflow"].clone();
        }
    });
    assert!(reached.await.is_ok(), "it is not {status} at step {step}: {:#}", timeline(server, order).await);
    found
}

async fn decide(server: &Server, order: &Value, what: &str) -> Value {
    let body = json!({"reason": "somebody said so"});
    server.post(&format!("/v1/orders/{}/workflow/{what}", order["number"]), body).await.expect(200)
}

async fn ship(server: &Server, order: &Value) -> u16 {
    server.post(&format!("/v1/orders/{}/shipments", order["number"]), json!({"warehouse": "MAIN"})).await.status
}

async fn pay_by_hand(server: &Server, order: &Value, more: Value) -> Value {
    let mut body = json!({"order_id": order["id"], "provider": "manual", "method": "bank_transfer"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    server.post("/v1/payments", body).await.expect(201)
}

/// As if so many hours had passed since its step began.
async fn pass(server: &Server, order: &Value, hours: i64) {
    let id = order["id"].as_str().unwrap();
    let sql = format!(
        "UPDATE workflows.runs SET since = since - interval '{hours} hours', wake_at = clock_timestamp() WHERE order_id = '{id}'"
    );
    assert_eq!(server.sql(&sql).await.unwrap(), 1);
}

/// `kind what` of each entry.
fn told(timeline: &Value) -> Vec<String> {
    let entries = timeline["entries"].as_array().unwrap().iter();
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap().to_owned();
    entries.map(|entry| format!("{} {}", text(entry, "kind"), text(entry, "what"))).collect()
}

#[tokio::test]
async fn definitions_are_data_and_what_makes_no_sense_is_refused() {
    let server = Server::start().await;
    server.shop(&[]).await;
    server.channel("web", &[("MAIN", 0)]).await;
    let steps = json!([{"kind": "payment", "hours": 2, "deadlines": [{"method": "bank_transfer", "hours": 168}]}, {"kind": "ship"}]);
    let made = put(&server, "standard", steps.clone()).await;
    assert_eq!((&made["active"], &made["channels"]), (&json!(true), &json!([])));
    let web = json!({"name": "Web", "channels": ["web"], "steps": [{"kind": "review"}]});
    server.put("/v1/workflows/web", web.clone()).await.expect(200);
    assert_eq!(each(&server.list("/v1/workflows").await, "code"), ["standard", "web"]);
    assert_eq!(server.get("/v1/workflows/standard").await.expect(200), made);

    let refused = |code: &'static str, body: Value, faults: &'static [&'static str]| {
        let server = &server;
        async move { server.put(&format!("/v1/workflows/{code}"), body).await.invalid(faults) }
    };
    let steps_are = |steps: Value| json!({"name": "Bad", "active": false, "steps": steps});
    refused("bad", steps_are(json!([])), &["/steps min_items"]).await;
    refused("bad", steps_are(json!([{"kind": "pack"}])), &["/steps/0/kind enum"]).await;
    let needless = json!([{"kind": "ship", "above": {"amount": 1, "currency": "EUR"}}, {"kind": "review", "hours": 0}]);
    refused("bad", steps_are(needless), &["/steps/1/hours minimum"]).await;
    let needless = json!([{"kind": "ship", "above": {"amount": 1, "currency": "EUR"}}]);
    refused("bad", steps_are(needless), &["/steps/0/above unexpected"]).await;
    refused("bad", steps_are(json!([{"kind": "ship"}, {"kind": "ship"}])), &["/steps/1 repeated"]).await;
    refused("bad", steps_are(json!([{"kind": "capture"}])), &["/steps/0 order"]).await;
    let backwards = json!([{"kind": "ship"}, {"kind": "capture"}, {"kind": "payment"}, {"kind": "review"}]);
    refused("bad", steps_are(backwards), &["/steps/0 order", "/steps/0 order", "/steps/1 order", "/steps/1 order"])
        .await;
    let twice =
        json!([{"kind": "payment", "deadlines": [{"method": "card", "hours": 1}, {"method": "card", "hours": 2}]}]);
    refused("bad", steps_are(twice), &["/steps/0/deadlines/1/method repeated"]).await;
    refused("other", web.clone(), &["/channels/0 taken"]).await;
    refused("other", json!({"name": "Other", "steps": steps}), &["/channels taken"]).await;
    server.get("/v1/workflows/bad").await.refused(404, "not-found");

    // One that is off leaves room.
    let mut off = web.clone();
    off["active"] = json!(false);
    server.put("/v1/workflows/web", off).await.expect(200);
    server.put("/v1/workflows/other", web).await.expect(200);
    let stale = server.request(Method::PUT, "/v1/workflows/other").header("if-match", "\"0\"");
    send(stale.json(&json!({"name": "Stale", "steps": steps}))).await.refused(412, "precondition-failed");
    server.delete("/v1/workflows/other").await.expect(204);
    server.delete("/v1/workflows/other").await.refused(404, "not-found");
}

/// A line that is cancelled may be the last that a step waited for, and may leave less to pay.
#[tokio::test]
async fn what_is_changed_in_an_order_brings_it_further() {
    let server = Server::start().await;
    server.shop(&[("TEA", 10)]).await;
    put(&server, "standard", json!([{"kind": "payment"}, {"kind": "ship"}])).await;
    let order = order_of(&server, 3).await;
    let line = format!("/v1/orders/{}/lines/{}", order["number"], order["lines"][0]["id"].as_str().unwrap());
    pay_by_hand(&server, &order, json!({"amount": 1300, "capture": "automatic"})).await;
    stands(&server, &order, "running", 0).await;
    server.post(&format!("{line}/cancel"), json!({"quantity": 1})).await.expect(200);
    stands(&server, &order, "running", 1).await;
    let one = json!({"warehouse": "MAIN", "lines": [{"sku": "TEA", "quantity": 1}]});
    server.post(&format!("/v1/orders/{}/shipments", order["number"]), one).await.expect(201);
    server.post(&format!("{line}/cancel"), json!({"quantity": 1})).await.expect(200);
    stands(&server, &order, "completed", 2).await;
    server.assert_clean().await;
}

/// The news of an order comes some moments after it; whoever ships at once is no faster than its process.
#[tokio::test]
async fn nothing_leaves_before_its_process_has_begun() {
    let server = Server::start().await;
    server.shop(&[("TEA", 100)]).await;
    put(&server, "standard", json!([{"kind": "payment"}, {"kind": "ship"}])).await;
    for _ in 0..20 {
        let order = order_of(&server, 1).await;
        assert_eq!(ship(&server, &order).await, 409);
    }
    put(&server, "standard", json!([{"kind": "ship"}])).await;
    for _ in 0..20 {
        let order = order_of(&server, 1).await;
        assert_eq!(ship(&server, &order).await, 201);
        stands(&server, &order, "completed", 1).await;
    }
    server.assert_clean().await;
}

#[tokio::test]
async fn an_order_is_paid_then_shipped_and_the_timeline_tells() {
    let server = Server::start().await;
    server.shop(&[("TEA", 10)]).await;
    let before = order_of(&server, 1).await;
    put(&server, "standard", json!([{"kind": "payment"}, {"kind": "capture"}, {"kind": "ship"}])).await;
    let order = order_of(&server, 2).await;
    let run = stands(&server, &order, "running", 0).await;
    assert_eq!((&run["workflow"], &run["order_number"]), (&json!("standard"), &order["number"]));
    assert!(run["due_at"].is_string(), "a day is given: {run}");
    assert_eq!(held_for(&server, &order).await, "it waits to be paid");
    assert_eq!(ship(&server, &order).await, 409);

    let payment = pay_by_hand(&server, &order, json!({})).await;
    // It is promised, and somebody has to say that it came.
    stands(&server, &order, "running", 1).await;
    let capture = format!("/v1/payments/{}/capture", payment["id"].as_str().unwrap());
    server.post(&capture, json!({})).await.expect(200);
    stands(&server, &order, "running", 2).await;
    assert_eq!(held_for(&server, &order).await, Value::Null);
    assert_eq!(ship(&server, &order).await, 201);
    let run = stands(&server, &order, "completed", 3).await;
    assert!(run["ended_at"].is_string() && run["due_at"].is_null());

    let timeline = timeline(&server, &order).await;
    let expected = [
        "payment started",
        "payment.authorise succeeded",
        "payment done",
        "capture started",
        "payment.capture succeeded",
        "capture done",
        "ship started",
        "ship done",
    ];
    assert_eq!(told(&timeline), expected);
    let news = server.events("workflow.started,workflow.advanced,workflow.completed").await;
    let types: Vec<&Value> = each(&news, "type");
    assert_eq!(types, ["workflow.started", "workflow.advanced", "workflow.advanced", "workflow.completed"]);
    assert_eq!(told(&crate::workflows::timeline(&server, &before).await), Vec::<String>::new(), "it was there before");
    assert_eq!(each(&server.list("/v1/workflow-runs?status=completed").await, "order_id"), [&order["id"]]);
    server.assert_clean().await;
}

#[tokio::test]
async fn a_card_is_charged_when_all_has_left() {
    let stripe = Stripe::start().await;
    let server = Server::with(by_stripe::config(&stripe.url)).await;
    server.shop(&[("TEA", 10)]).await;
    put(&server, "standard", json!([{"kind": "payment"}, {"kind": "ship"}, {"kind": "capture"}])).await;
    let order = order_of(&server, 2).await;
    by_stripe::pay(&server, &order, json!({"payment_method": "pm_card"})).await;
    stands(&server, &order, "running", 1).await;
    assert_eq!(stripe.intent("pi_1").received, 0);
    let part = json!({"warehouse": "MAIN", "lines": [{"sku": "TEA", "quantity": 1}]});
    server.post(&format!("/v1/orders/{}/shipments", order["number"]), part).await.expect(201);
    // The other one is cancelled, and so not paid.
    server.post(&format!("/v1/orders/{}/cancel", order["number"]), json!({})).await.expect(200);
    stands(&server, &order, "completed", 3).await;
    assert_eq!(stripe.intent("pi_1").received, 650);
    server.assert_clean().await;
}

#[tokio::test]
async fn what_is_large_is_reviewed_by_somebody() {
    let server = Server::start().await;
    server.shop(&[("TEA", 100)]).await;
    let above = json!({"amount": 1000, "currency": "EUR"});
    put(&server, "standard", json!([{"kind": "review", "above": above, "hours": 24}, {"kind": "ship"}])).await;
    let (small, large, late) = (order_of(&server, 1).await, order_of(&server, 2).await, order_of(&server, 3).await);
    stands(&server, &small, "running", 1).await;
    for order in [&large, &late] {
        stands(&server, order, "running", 0).await;
        assert_eq!(held_for(&server, order).await, "it waits to be reviewed");
    }
    let approved = decide(&server, &large, "approve").await;
    assert_eq!(approved["step"], 1);
    let entries = timeline(&server, &large).await["entries"].clone();
    let approval = entries.as_array().unwrap().iter().find(|entry| entry["what"] == "approved").unwrap();
    assert_eq!((&approval["actor"], &approval["detail"]), (&json!("admin"), &json!("somebody said so")));
    assert_eq!(ship(&server, &large).await, 201);
    // Nobody looks at the other.
    pass(&server, &late, 25).await;
    stands(&server, &late, "compensated", 0).await;
    let cancelled = server.get(&format!("/v1/orders/{}", late["number"])).await.expect(200);
    let shown = (&cancelled["status"], &cancelled["cancel_reason"]);
    assert_eq!(shown, (&json!("cancelled"), &json!("nobody reviewed it in time")));
    assert_eq!(server.available("TEA").await, 97);

    for (order, what) in [(&small, "approve"), (&small, "retry"), (&late, "skip"), (&late, "compensate")] {
        let path = format!("/v1/orders/{}/workflow/{what}", order["number"]);
        server.post(&path, json!({})).await.refused(409, "invalid-state");
    }
    server.post("/v1/orders/99/workflow/skip", json!({})).await.refused(404, "not-found");
    server.delete("/v1/workflows/standard").await.expect(204);
    let free = order_of(&server, 1).await;
    let path = format!("/v1/orders/{}/workflow/skip", free["number"]);
    server.post(&path, json!({})).await.refused(404, "not-found");
    server.assert_clean().await;
}

#[tokio::test]
async fn who_does_not_pay_in_time_gives_the_goods_back() {
    let stripe = Stripe::start().await;
    let server = Server::with(by_stripe::config(&stripe.url)).await;
    server.shop(&[("TEA", 10)]).await;
    let deadlines = json!([{"method": "bank_transfer", "hours": 168}]);
    put(&server, "standard", json!([{"kind": "payment", "hours": 2, "deadlines": deadlines}, {"kind": "ship"}])).await;
    let (never, partly, transfer) =
        (order_of(&server, 1).await, order_of(&server, 2).await, order_of(&server, 3).await);
    let part = by_stripe::pay(&server, &partly, json!({"payment_method": "pm_card", "amount": 650})).await;
    let announced = pay_by_hand(&server, &transfer, json!({"amount": 100})).await;
    let some = order_of(&server, 1).await;
    let came = pay_by_hand(&server, &some, json!({"amount": 100})).await;
    let came = format!("/v1/payments/{}", came["id"].as_str().unwrap());
    server.post(&format!("{came}/capture"), json!({"amount": 40})).await.expect(200);
    eventually("the card is authorised", || async { server.events("payment.authorised").await.len() == 3 }).await;
    for order in [&never, &partly, &transfer] {
        stands(&server, order, "running", 0).await;
        pass(&server, order, 3).await;
    }
    for order in [&never, &partly] {
        let run = stands(&server, order, "compensated", 0).await;
        assert_eq!(run["error"], "it was not paid in time");
    }
    let part = server.get(&format!("/v1/payments/{}", part["id"].as_str().unwrap())).await.expect(200);
    assert_eq!((&part["status"], stripe.intent("pi_1").status.as_str()), (&json!("voided"), "canceled"));
    assert_eq!(server.available("TEA").await, 6);
    // A transfer takes days.
    stands(&server, &transfer, "running", 0).await;
    pass(&server, &transfer, 166).await;
    stands(&server, &transfer, "compensated", 0).await;
    let announced = server.get(&format!("/v1/payments/{}", announced["id"].as_str().unwrap())).await.expect(200);
    assert_eq!(announced["status"], "voided");
    // What came of an invoice is paid back before it is over; what has not come does not hold it up.
    pass(&server, &some, 169).await;
    stands(&server, &some, "compensating", 0).await;
    server.post(&format!("{came}/refund"), json!({})).await.expect(200);
    stands(&server, &some, "compensated", 0).await;
    assert_eq!(server.events("workflow.given_up").await.len(), 4);
    server.assert_clean().await;
}

#[tokio::test]
async fn a_step_that_fails_waits_for_somebody_to_decide() {
    let stripe = Stripe::start().await;
    let server = Server::with(by_stripe::config(&stripe.url)).await;
    server.shop(&[("TEA", 10)]).await;
    put(&server, "standard", json!([{"kind": "payment"}, {"kind": "ship", "hours": 72}, {"kind": "capture"}])).await;
    let orders = join_all((0..3).map(|_| order_of(&server, 1))).await;
    for order in &orders {
        let payment = by_stripe::pay(&server, order, json!({"payment_method": "pm_card"})).await;
        stands(&server, order, "running", 1).await;
        // It takes too long, and the authorisation runs out.
        stripe.change(&by_stripe::reference(&server, &payment).await, |intent| {
            "canceled".clone_into(&mut intent.status);
            intent.cancellation_reason = Some("automatic".to_owned());
        });
    }
    pass(&server, &orders[0], 73).await;
    eventually("somebody is told", || async { server.events("order.flagged").await.len() == 1 }).await;
    assert_eq!(server.events("order.flagged").await[0]["data"]["reason"], "it has not left in time");
    for order in &orders {
        assert_eq!(ship(&server, order).await, 201);
    }
    for order in &orders {
        let run = stands(&server, order, "stuck", 2).await;
        assert_eq!(run["error"], "650 EUR are to be taken, and nothing is promised");
    }
    assert_eq!(server.list("/v1/workflow-runs?status=stuck").await.len(), 3);

    pay_by_hand(&server, &orders[0], json!({"capture": "automatic"})).await;
    assert_eq!(decide(&server, &orders[0], "retry").await["status"], "completed");
    assert_eq!(decide(&server, &orders[1], "skip").await["status"], "completed");
    stands(&server, &orders[1], "completed", 3).await;
    // What has left cannot be called back.
    assert_eq!(decide(&server, &orders[2], "compensate").await["status"], "compensated");
    let flagged = server.events("order.flagged").await;
    let last = &flagged.last().unwrap()["data"]["reason"];
    assert_eq!(last, "it was given up when a part had left: see to what is to be paid for that");
    server.assert_clean().await;
}

/// Whatever order is cancelled when, and at whichever of two servers: each process ends once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_process_ends_once_at_two_servers() {
    let servers = Server::pair().await;
    servers[0].shop(&[("TEA", 1000)]).await;
    put(&servers[0], "standard", json!([{"kind": "payment"}, {"kind": "capture"}, {"kind": "ship"}])).await;
    let buyer = |n: usize| {
        let server = &servers[n % 2];
        async move {
            let order = order_of(server, 1).await;
            pay_by_hand(server, &order, json!({"capture": "automatic"})).await;
            if n.is_multiple_of(3) {
                server.post(&format!("/v1/orders/{}/cancel", order["number"]), json!({})).await.expect(200);
                let paid = server.list(&format!("/v1/payments?order_id={}", order["id"].as_str().unwrap())).await;
                let refund = format!("/v1/payments/{}/refund", paid[0]["id"].as_str().unwrap());
                server.post(&refund, json!({})).await.expect(200);
                eventually("it is compensated", || async {
                    timeline(server, &order).await["workflow"]["status"] == "compensated"
                })
                .await;
                return;
            }
            eventually("it may be shipped", || async { timeline(server, &order).await["workflow"]["step"] == 2 }).await;
            assert_eq!(ship(server, &order).await, 201);
            stands(server, &order, "completed", 3).await;
        }
    };
    join_all((0..30).map(buyer)).await;
    assert_eq!(servers[0].events("workflow.completed").await.len(), 20);
    assert_eq!(servers[0].events("workflow.compensated").await.len(), 10);
    for server in &servers {
        server.assert_clean().await;
    }
}
