//! Hostile clients against the real binary, with the figures that come out.
//!
//!     cargo test --test hostile                               the short form, as CI runs it
//!     cargo test --release --test hostile -- --long           the full form
//!     cargo test --release --test hostile -- --long overload  one scenario of it
//!
//! A scenario that misses its bar ends the run with an error. The short form of `overload` has a wider one: it runs an
//! unoptimised server on whatever machine there is.

#![allow(clippy::unwrap_used)] // what cannot go on should stop there and say where

#[path = "../support/server.rs"]
mod server;

mod bodies;
mod client;
mod overload;
mod secrets;
mod slow;

use std::path::PathBuf;
use std::time::Instant;

use server::{Server, place, serve_command};
use tempfile::TempDir;

/// The shape of the run.
#[derive(Clone, Copy)]
pub struct Form {
    pub long: bool,
}

type Scenario = fn(Form);

const SCENARIOS: &[(&str, Scenario)] =
    &[("slow", slow::run), ("bodies", bodies::run), ("overload", overload::run), ("secrets", secrets::run)];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Flags of other harnesses (`--nocapture`) are passed to all test binaries, and mean nothing here.
    let names: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let form = Form { long: arguments.iter().any(|argument| argument == "--long") };
    client::raise_file_limit();
    for (name, run) in SCENARIOS {
        if names.is_empty() || names.iter().any(|wanted| name.contains(wanted.as_str())) {
            println!("{name}");
            let begun = Instant::now();
            run(form);
            println!("  done in {:.1} s\n", begun.elapsed().as_secs_f64());
        }
    }
}

/// A server of its own, with these variables beside the usual ones.
pub struct House {
    pub server: Server,
    pub key: String,
    pub data: PathBuf,
    _home: TempDir,
}

impl House {
    pub fn open(variables: &[(&str, &str)]) -> Self {
        let home = place();
        let data = home.path().join("data");
        let mut command = serve_command(home.path(), &data);
        command.envs(variables.iter().copied());
        let server = Server::run(command, home.path());
        let key = server.key.clone().unwrap_or_default();
        Self { server, key, data, _home: home }
    }

    /// Another key, as a hostile client might have one.
    pub fn another_key(&self) -> String {
        let (status, made) =
            self.server.post("/v1/keys", &self.key, r#"{"name": "another", "scopes": ["admin:write"]}"#);
        assert_eq!(status, 201, "{made}");
        made["key"].as_str().expect("shown once").to_owned()
    }

    pub fn prepare_stock(&self, products: usize) {
        assert_eq!(self.server.post("/v1/warehouses", &self.key, r#"{"code": "MAIN", "name": "Main"}"#).0, 201);
        for n in 0..products {
            let product = format!(r#"{{"sku": "P-{n}", "name": "Product {n}"}}"#);
            assert_eq!(self.server.post("/v1/products", &self.key, &product).0, 201);
            let stock =
                format!(r#"{{"sku": "P-{n}", "warehouse": "MAIN", "change": 100000000, "reason": "received"}}"#);
            assert_eq!(self.server.post("/v1/stock/adjustments", &self.key, &stock).0, 201);
        }
    }
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}
