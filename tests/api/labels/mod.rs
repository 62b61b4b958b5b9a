//! Labels and packing slips: drawn here, and bought of a stand-in for EasyPost that loses calls and answers.

mod by_easypost;
mod by_hand;
mod slips;
#[path = "../../support/easypost.rs"]
pub mod stand_in;

use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{Answer, Server};

pub use by_easypost::{config, hear, signed};

/// A warehouse MAIN with an address, and so much of each.
async fn open(server: &Server, stock: &[(&str, i64)]) {
    server.shop(stock).await;
    let address = json!({"line1": "12 Dock Road", "city": "London", "postal_code": "E16 1AA", "country": "GB"});
    server.patch("/v1/warehouses/MAIN", json!({"name": "Main Dock", "address": address})).await.expect(200);
}

/// An order of three, for somebody whose name is in two scripts.
async fn order_of(server: &Server, sku: &str) -> Value {
    let order = json!({
        "lines": [{"sku": sku, "quantity": 3, "unit_price": {"amount": 4711, "currency": "EUR"}}],
        "customer": {"name": "Zoë 李小龍", "email": "zoe@example.com"}, "reference": "WEB-77",
        "shipping_address": {"line1": "1 Châtelet Street", "city": "Leeds", "postal_code": "LS1 1AA", "country": "GB"},
    });
    server.post("/v1/orders", order).await.expect(201)
}

fn of(order: &Value, rest: &str) -> String {
    format!("/v1/orders/{}{rest}", order["number"])
}

fn path(label: &Value) -> String {
    format!("/v1/labels/{}", label["id"].as_str().unwrap())
}

async fn read(server: &Server, label: &Value) -> Value {
    server.get(&path(label)).await.expect(200)
}

/// A document to print, on disk as long as this lives.
struct Printed {
    folder: tempfile::TempDir,
}

impl Printed {
    #[track_caller]
    fn new(answer: &Answer) -> Self {
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/pdf")), "{}", answer.json);
        assert!(answer.bytes.starts_with(b"%PDF-"));
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("it.pdf"), &answer.bytes).unwrap();
        Self { folder }
    }

    /// What poppler reads in it; nothing where poppler is not here.
    fn text(&self) -> Option<String> {
        self.run("pdftotext", &["-layout", "-enc", "UTF-8", "it.pdf", "-"])
    }

    /// What it is, by poppler.
    fn facts(&self) -> Option<String> {
        self.run("pdfinfo", &["it.pdf"])
    }

    /// What a scanner reads on its first page, where there is one.
    fn barcodes(&self) -> Option<String> {
        self.run("pdftoppm", &["-r", "203", "-gray", "-l", "1", "-singlefile", "it.pdf", "page"])?;
        self.run("zbarimg", &["--quiet", "--raw", "-Sdisable", "-Scode128.enable", "page.pgm"])
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Option<String> {
        match Command::new(program).args(arguments).current_dir(self.folder.path()).output() {
            Ok(done) => {
                assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
                Some(String::from_utf8(done.stdout).unwrap())
            }
            Err(error) => {
                assert!(std::env::var_os("CI").is_none(), "{program}: {error}");
                eprintln!("{program} is not here, so what is printed is not read: {error}");
                None
            }
        }
    }
}

/// All of these stand in it.
#[track_caller]
fn has(text: Option<&str>, parts: &[&str]) {
    let Some(text) = text else { return };
    let missing: Vec<&&str> = parts.iter().filter(|part| !text.contains(**part)).collect();
    assert!(missing.is_empty(), "{missing:?} is not in\n{text}");
}
