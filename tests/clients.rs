//! `stockhold replay` and `stockhold demo`: the real binary, as a client of a real server.

#![cfg(target_os = "linux")] // the support looks into /proc

#[path = "support/server.rs"]
mod server;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use server::{LONG, Process, Server, command, place, within};

const HEADER: &str = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n";

/// Two customers, and a guest who buys on invoice 2. Of 85123A an invoice has two prices, and 22423 costs a fraction of a penny. C5 sends back what
/// was sold at its price, C6 all of another invoice, and C7 what nobody knows of.
const INVOICES: &str = "\
1,85123A,HOLDER,6,2010-12-01 08:26:00,2.55,17850,United Kingdom
1,85123A,HOLDER,2,2010-12-01 08:26:00,2.10,17850,United Kingdom
1,POST,POSTAGE,1,2010-12-01 08:26:00,18.00,17850,United Kingdom
2,22423,CAKE STAND,3,2010-12-01 08:28:00,0.125,,France
2,21754,BLOCK,1,2010-12-01 08:28:00,0,,France
3,21754,HOME BLOCK,4,2010-12-01 08:34:00,5.95,13047,France
4,22423,damages,-2,2010-12-01 09:00:00,0,,United Kingdom
C5,85123A,HOLDER,-1,2010-12-01 09:10:00,2.10,17850,United Kingdom
C6,21754,HOME BLOCK,-4,2010-12-01 09:12:00,5.95,13047,France
C7,85123A,HOLDER,-1,2010-12-01 09:15:00,2.55,,France
8,21754,HOME BLOCK,1,2010-12-01 09:32:00,0,13047,France
";

fn stockhold(home: &Path, server: &Server, args: &[&str]) -> Output {
    let key = server.key.as_deref().expect("a first start prints a key");
    let url = format!("http://{}", server.address);
    command(home).args(args).args(["--url", &url, "--key", key]).output().expect("the binary starts")
}

fn summary(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {said}"))
}

/// All that a list has, read in one page.
fn list(server: &Server, path: &str) -> Vec<Value> {
    let key = server.key.as_deref().expect("a first start prints a key");
    let (status, page) = server.get(path, key);
    assert_eq!((status, &page["next_cursor"]), (200, &Value::Null), "{path}: {page}");
    page["items"].as_array().expect("a list").clone()
}

fn all_of<'a>(items: &'a [Value], field: &str) -> BTreeSet<&'a str> {
    items.iter().filter_map(|item| item[field].as_str()).collect()
}

#[test]
fn a_file_is_bought_paid_and_given_back_to_the_penny_and_once() {
    let home = place();
    let file = home.path().join("invoices.csv");
    fs::write(&file, format!("{HEADER}{INVOICES}")).expect("a new file");
    let file = file.to_str().expect("the test's own path is text");
    let server = Server::start(home.path(), &home.path().join("data"));
    let replay = |more: &[&str]| stockhold(home.path(), &server, &[&["replay", file, "--json"], more].concat());

    // Cut off after two invoices, it goes on where it stopped.
    let begun = summary(&replay(&["--limit-invoices", "2"]));
    assert_eq!((&begun["ok"], &begun["faults"]), (&json!(true), &json!([])), "{begun:#}");
    let told = summary(&replay(&["--ledger"]));
    assert_eq!((&told["ok"], &told["faults"]), (&json!(true), &json!([])), "{told:#}");
    assert!(told["calls"]["replayed"].as_i64() >= Some(8), "{told:#}");
    let plan = &told["plan"];
    assert_eq!((&plan["orders"], &plan["customers"]), (&json!(4), &json!(2)), "{plan:#}");
    assert_eq!(plan["returned"], json!({"lines": 2, "units": 5, "pence": 210 + 2380}));
    assert_eq!((&plan["rounded_lines"], &plan["rounded_hundredths"]), (&json!(1), &json!(50)), "0.375 is rounded up");
    // 15.30 + 4.20, 0.38, 23.80, and nothing.
    assert_eq!((&told["pence_sold_by_the_file"], &told["server"]["found"]), (&json!(4368), &json!(4)));
    let expected = json!({
        "ordered": 4368, "payments": 3, "authorised": 4368, "captured": 4368, "refunded": 2590, "carts_checked_out": 4,
        "differing": 0, "differences": [],
    });
    assert_eq!(told["money"], expected);

    let orders = list(&server, "/v1/orders?channel=REPLAY");
    assert_eq!(all_of(&orders, "payment_status"), BTreeSet::from(["partially_refunded", "paid", "refunded", "unpaid"]));
    let two_prices = orders.iter().find(|order| order["reference"] == "1").expect("it was placed");
    assert_eq!(
        (&two_prices["lines"][0]["unit_price"]["amount"], &two_prices["total"]["amount"]),
        (&json!(244), &json!(1950))
    );
    let known = orders.iter().filter(|order| order["customer_id"].is_string());
    assert_eq!(known.count(), 3, "the others are of guests");
    assert_eq!(list(&server, "/v1/customers").len(), 2);

    // Whatever else is done with the money is seen.
    let key = server.key.as_deref().expect("a first start prints a key");
    let payments = list(&server, "/v1/payments?channel=REPLAY");
    let smallest = payments.iter().find(|payment| payment["amount"] == 38).expect("the guest's");
    let path = format!("/v1/payments/{}/refund", smallest["id"].as_str().expect("an id"));
    assert_eq!(server.post(&path, key, r#"{"amount": 1}"#).0, 200);
    let again = replay(&[]);
    assert!(!again.status.success());
    let again = summary(&again);
    let faults =
        json!(["money given back: £25.90 by the file, £25.91 by the server", "1 orders whose money or cart differs"]);
    assert_eq!(again["faults"], faults);
    let differences = json!(["2: refunded £0.01 for £0.00, partially_refunded for paid"]);
    assert_eq!(again["money"]["differences"], differences);
    assert_eq!(again["server"]["found"], 4, "no order was placed twice");
}

/// Both are killed somewhere between a cart, its order, its payment and its shipment.
#[test]
fn a_replay_that_is_killed_with_its_server_goes_on_where_it_stopped() {
    const COUNT: usize = 150;
    let home = place();
    let (file, data) = (home.path().join("invoices.csv"), home.path().join("data"));
    let mut text = HEADER.to_owned();
    for n in 0..COUNT {
        let customer = if n % 3 == 0 { String::new() } else { (n % 7).to_string() };
        text += &format!("{n},{},NAME,{},2010-12-01 08:26:00,1.25,{customer},France\n", 20_000 + n % 5, 1 + n % 4);
        if n % 10 == 5 {
            text += &format!("C{n},{},NAME,-1,2010-12-01 08:30:00,1.25,{customer},France\n", 20_000 + n % 5);
        }
    }
    fs::write(&file, text).expect("a new file");
    let file = file.to_str().expect("the test's own path is text");
    let mut server = Server::start(home.path(), &data);
    let key = server.key.clone().expect("a first start prints a key");
    let mut client = command(home.path());
    client.args(["replay", file, "--url", &format!("http://{}", server.address), "--key", &key]);
    let mut client = Process::start(client, home.path());
    let orders = |server: &Server| list(server, "/v1/orders?channel=REPLAY&limit=200").len();
    within(LONG, "some orders are placed", || orders(&server) >= COUNT / 5);
    client.kill();
    server.process.kill();

    let mut server = Server::start(home.path(), &data);
    server.key = Some(key);
    let told = summary(&stockhold(home.path(), &server, &["replay", file, "--json", "--ledger"]));
    assert_eq!((&told["ok"], &told["faults"]), (&json!(true), &json!([])), "{told:#}");
    assert_eq!((orders(&server), &told["money"]["carts_checked_out"]), (COUNT, &json!(COUNT)));
}

/// All that the demo is to show is there, after a second run as after the first, and what it prints works.
#[test]
fn the_demo_shows_the_whole_life_of_an_order() {
    let home = place();
    let server = Server::start(home.path(), &home.path().join("data"));
    let key = server.key.as_deref().expect("a first start prints a key");
    let first = stockhold(home.path(), &server, &["demo"]);
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    let second = stockhold(home.path(), &server, &["demo"]);
    assert_eq!(String::from_utf8_lossy(&second.stdout), String::from_utf8_lossy(&first.stdout));

    let printed = String::from_utf8(first.stdout).expect("UTF-8");
    let calls = printed.lines().filter(|line| line.contains("curl -sH")).filter_map(|line| line.split('\'').nth(1));
    let base = format!("http://{}", server.address);
    for url in calls.clone() {
        let path = url.strip_prefix(&base).unwrap_or_else(|| panic!("{url} leads elsewhere"));
        let (status, answer) = server.get(path, key);
        assert_eq!(status, 200, "{path}: {answer}");
    }
    assert!(calls.count() >= 12, "{printed}");
    let page = printed.split_whitespace().find_map(|word| word.strip_prefix(&format!("{base}/track/")));
    let page = page.unwrap_or_else(|| panic!("no tracking page in {printed}"));
    assert_eq!(server.get(&format!("/track/{page}"), "").0, 200);

    let papers = printed.lines().filter(|line| line.contains("curl -sfH"));
    let script: String = papers.clone().map(|line| format!("{line}\n")).collect();
    let ran = Command::new("bash")
        .args(["-ec", &format!("auth=\"Authorization: Bearer $STOCKHOLD_KEY\"\n{script}")])
        .env("STOCKHOLD_KEY", key)
        .current_dir(home.path())
        .output()
        .expect("bash is there");
    assert!(ran.status.success() && papers.count() == 2, "{printed}");
    for file in ["label.pdf", "slip.pdf"] {
        let paper = std::fs::read(home.path().join(file)).expect("a file was written");
        assert!(paper.starts_with(b"%PDF-"), "{file}");
    }
    let changed = &list(&server, "/v1/orders?reference=WEB-3")[0];
    let lines = changed["lines"].as_array().expect("a list");
    let units = |field: &str| lines.iter().map(|line| line[field].as_i64().expect("a number")).collect::<Vec<_>>();
    assert_eq!((units("allocated"), units("cancelled")), (vec![2, 0, 1, 2], vec![1, 2, 0, 0]), "{changed:#}");
    assert!(lines[0]["promised_for"].is_string() && changed["shipping_address"]["line1"].is_string(), "{changed:#}");

    // What the server does of its own accord comes within a second or two.
    within(LONG, "carts are abandoned", || list(&server, "/v1/carts?status=abandoned&limit=200").len() == 2);
    assert_eq!(list(&server, "/v1/carts?status=open&limit=200").len(), 7);
    assert_eq!(list(&server, "/v1/carts?status=checked_out&limit=200").len(), 2);
    within(LONG, "payments of cancelled orders are voided", || {
        list(&server, "/v1/payments?status=voided&limit=200").len() == 4
    });
    assert!(!list(&server, "/v1/payments?status=authorised&limit=200").is_empty());
    let (_, captured) = server.get("/v1/payments?status=captured&limit=200", key);
    let captured = captured["items"].as_array().expect("a list");
    let amount = |payment: &Value, field: &str| payment[field].as_i64().expect("an amount");
    assert!(captured.iter().any(|it| amount(it, "captured") < amount(it, "authorised")), "some is taken in part");
    within(LONG, "orders of trade customers are on their way", || {
        let runs = list(&server, "/v1/workflow-runs?status=running");
        let mut steps: Vec<i64> = runs.iter().map(|run| run["step"].as_i64().expect("a step")).collect();
        steps.sort_unstable();
        steps == [0, 1, 2]
    });
    let returns = list(&server, "/v1/return-requests?limit=200");
    assert_eq!((returns.len(), all_of(&returns, "status").len()), (8, 7), "{returns:#?}");
    assert_eq!(returns.iter().filter(|back| !back["exchange"].is_null()).count(), 1, "{returns:#?}");
    let flagged = list(&server, "/v1/orders?channel=MARKET&reference=302-4711");
    assert_eq!(flagged[0]["lines"][0]["backordered"], 2, "{flagged:#?}");
    let (_, checked) = server.get("/v1/self-check", key);
    assert_eq!((&checked["ok"], &checked["differences"]), (&json!(true), &json!([])));
}
