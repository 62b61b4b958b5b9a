//! Fifty bodies of a gibibyte each at once, in chunks: every one is refused, and all of them together cost less than
//! ten mebibytes.

use std::fs;
use std::net::SocketAddr;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::{Connection, request};
use crate::{Form, House, runtime};

const CLIENTS: usize = 50;
const BODY: usize = 1 << 30;
const CHUNK: usize = 64 * 1024;
const BAR: u64 = 10 * 1024;

pub fn run(_: Form) {
    let house = House::open(&[]);
    house.prepare_stock(1);
    let (key, at, pid) = (house.key.clone(), house.server.address, house.server.process.pid());
    runtime().block_on(async {
        warm_up(at, &key).await;
        for (name, chunked) in [("in chunks", true), ("of stated length", false)] {
            let before = forget_peak(pid);
            let begun = Instant::now();
            let clients: Vec<_> = (0..CLIENTS).map(|_| tokio::spawn(send(at, key.clone(), chunked))).collect();
            let (mut sent, mut refused) = (0, 0);
            for client in clients {
                let (bytes, status) = client.await.unwrap();
                sent += bytes;
                refused += usize::from(status == 413);
            }
            let grown = resident(pid, "VmHWM").saturating_sub(before);
            println!(
                "  {CLIENTS} bodies of 1 GiB {name}: {refused} refused (413) within {:.1} s, {} MiB were sent, \
                 the server grew by {:.1} MiB",
                begun.elapsed().as_secs_f64(),
                sent >> 20,
                grown as f64 / 1024.0
            );
            assert_eq!(refused, CLIENTS, "every body is refused");
            assert!(grown < BAR, "{grown} KiB are too much");
        }
    });
}

/// What the server needs for any fifty clients, so that the rest is what the bodies cost.
async fn warm_up(at: SocketAddr, key: &str) {
    let asking = (0..CLIENTS).map(|_| async {
        let mut connection = Connection::open(at).await.unwrap();
        for _ in 0..4 {
            connection.send(&request("GET", "/v1/products", key, "")).await.unwrap();
            assert_eq!(connection.answer().await.unwrap().status, 200);
            connection.send(&request("POST", "/v1/stock/query", key, r#"{"skus": ["P-0"]}"#)).await.unwrap();
            assert_eq!(connection.answer().await.unwrap().status, 200);
        }
    });
    futures::future::join_all(asking).await;
}

/// Sends until the server has answered or gone. How much went out, and what came back.
async fn send(at: SocketAddr, key: String, chunked: bool) -> (usize, u16) {
    let length = if chunked { "Transfer-Encoding: chunked".to_owned() } else { format!("Content-Length: {BODY}") };
    let head = format!(
        "POST /v1/products/batch HTTP/1.1\r\nHost: stock\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\n{length}\r\n\r\n"
    );
    let (mut reading, mut writing) = Connection::open(at).await.unwrap().split();
    let sending = tokio::spawn(async move {
        let mut sent = 0;
        let (begin, end): (&[u8], &[u8]) = if chunked { (b"10000\r\n", b"\r\n") } else { (b"", b"") };
        let chunk = [begin, &vec![b' '; CHUNK], end].concat();
        if writing.write_all(head.as_bytes()).await.is_err() {
            return sent;
        }
        while sent < BODY && writing.write_all(&chunk).await.is_ok() {
            sent += CHUNK;
        }
        sent
    });
    let mut answer = Vec::new();
    let _ = reading.read_to_end(&mut answer).await;
    let status = String::from_utf8_lossy(&answer).split(' ').nth(1).and_then(|status| status.parse().ok());
    sending.abort();
    (sending.await.unwrap_or_default(), status.unwrap_or(0))
}

/// Kibibytes, from the kernel's own books.
fn resident(pid: i32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("the kernel tells it");
    line.trim_start_matches(':').split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap()
}

/// Sets the peak back to what is in use now, and says how much that is.
fn forget_peak(pid: i32) -> u64 {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
    resident(pid, "VmRSS")
}
