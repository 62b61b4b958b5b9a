//! What is let in and what is not: limits on connections and requests, and what every answer carries.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use stockhold::config::Config;
use stockhold::platform::limits::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{ADMIN_KEY, Answer, DEADLINE, Server, send};

/// A server behind a proxy on this machine, which says from where each request comes.
async fn with(limits: Limits) -> Server {
    Server::with(Config { trusted_proxies: "127.0.0.1".parse().unwrap(), limits, ..Config::default() }).await
}

async fn from(server: &Server, address: &str, key: &str) -> Answer {
    let request = server.anonymous(Method::GET, "/v1/products").header("X-Forwarded-For", address);
    send(request.bearer_auth(key)).await
}

async fn raw(server: &Server) -> TcpStream {
    TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap()
}

/// Reads until the server ends the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let _ = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut text)).await.expect("the server ends it");
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn an_address_has_its_rate_and_is_told_of_it() {
    let server = with(Limits { address_rate: 5, ..Limits::default() }).await;
    let begun = Instant::now();
    let first = from(&server, "203.0.113.1", ADMIN_KEY).await;
    assert_eq!(first.header("ratelimit-policy"), Some("\"address\";q=5;w=1"));
    assert_eq!(first.header("ratelimit"), Some("\"address\";r=4;t=1"));
    let mut last = first;
    while last.status == 200 && begun.elapsed() < DEADLINE {
        last = from(&server, "203.0.113.1", ADMIN_KEY).await;
    }
    assert_eq!(last.header("retry-after"), Some("1"));
    assert_eq!(last.header("ratelimit").map(|state| state.starts_with("\"address\";r=0;")), Some(true));
    assert_eq!(last.refused(429, "too-many-requests")["limit"], "address");
    from(&server, "203.0.113.2", ADMIN_KEY).await.expect(200);
    // Neither the machine itself nor a probe is limited.
    for _ in 0..10 {
        server.get("/v1/products").await.expect(200);
        send(server.anonymous(Method::GET, "/healthz").header("X-Forwarded-For", "203.0.113.1")).await.expect(200);
    }
}

#[tokio::test]
async fn a_key_has_its_rate() {
    let server = with(Limits { key_rate: 3, ..Limits::default() }).await;
    let answers = futures::future::join_all((0..20).map(|_| server.get("/v1/products"))).await;
    let refused: Vec<Answer> = answers.into_iter().filter(|answer| answer.status != 200).collect();
    assert!(refused.len() > 5, "{} of 20 refused", refused.len());
    for answer in refused {
        assert!(answer.header("ratelimit-policy").is_some_and(|policy| policy.contains("\"key\";q=3;w=1")));
        assert_eq!(answer.refused(429, "too-many-requests")["limit"], "key");
    }
}

#[tokio::test]
async fn who_has_no_key_is_soon_not_asked_for_one() {
    let server = with(Limits { failed_keys: 4, ..Limits::default() }).await;
    from(&server, "203.0.113.1", ADMIN_KEY).await.expect(200);
    for n in 0..4 {
        from(&server, "203.0.113.1", &format!("wrong-{n}")).await.refused(401, "unauthenticated");
    }
    let refused = from(&server, "203.0.113.1", "wrong-again").await;
    assert!(refused.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().unwrap() > 5));
    assert_eq!(refused.refused(429, "too-many-requests")["limit"], "failed-keys");
    // A neighbour behind the same address, whose key was good before, goes on.
    from(&server, "203.0.113.1", ADMIN_KEY).await.expect(200);
    from(&server, "203.0.113.2", "wrong-0").await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn headers_have_a_number_and_a_size() {
    let server = with(Limits::default()).await;
    let many: String = (0..101).map(|n| format!("X-{n}: 1\r\n")).collect();
    for headers in [many, format!("X-Large: {}\r\n", "x".repeat(20_000))] {
        let mut stream = raw(&server).await;
        stream.write_all(format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{headers}\r\n").as_bytes()).await.unwrap();
        assert!(rest(&mut stream).await.starts_with("HTTP/1.1 431"));
    }
}

#[tokio::test]
async fn each_phase_of_a_connection_has_its_deadline() {
    let limits = Limits { header_seconds: 1, idle_seconds: 1, body_seconds: 1, write_seconds: 1, ..Limits::default() };
    let server = with(limits).await;
    let begun = Instant::now();
    let mut silent = raw(&server).await;
    let mut heading = raw(&server).await;
    heading.write_all(b"GET /healthz HT").await.unwrap();
    let mut idle = raw(&server).await;
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut body = raw(&server).await;
    let head = format!(
        "POST /v1/products HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN_KEY}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
    );
    body.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(rest(&mut silent).await, "");
    assert_eq!(rest(&mut heading).await, "");
    let idle = rest(&mut idle).await;
    assert!(idle.starts_with("HTTP/1.1 200") && idle.ends_with("ok"), "{idle}");
    let body = rest(&mut body).await;
    assert!(body.starts_with("HTTP/1.1 408") && body.contains("/problems/request-timeout"), "{body}");
    assert!(body.contains("connection: close"), "{body}");
    assert!(begun.elapsed() < Duration::from_secs(8), "it took {:?}", begun.elapsed());

    // Asks for far more than the system's buffers hold, and reads none of it.
    let (mut reading, mut deaf) = raw(&server).await.into_split();
    let asked = async { while deaf.write_all(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n").await.is_ok() {} };
    tokio::time::timeout(DEADLINE, asked).await.expect("the server gives up");
    drop(reading.read(&mut [0; 1]).await);
}

#[tokio::test]
async fn who_says_nothing_makes_room_for_who_does() {
    let server = with(Limits { connections: 8, ..Limits::default() }).await;
    let mut silent = Vec::new();
    for _ in 0..8 {
        silent.push(raw(&server).await);
    }
    for _ in 0..20 {
        let fresh = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = fresh.get(format!("{}/healthz", server.url)).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
}

#[tokio::test]
async fn an_address_has_its_connections() {
    let limits = Limits { connections_per_address: 3, exempt_loopback: false, ..Limits::default() };
    let server = Server::with(Config { limits, ..Config::default() }).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(raw(&server).await);
    }
    let refused = rest(&mut raw(&server).await).await;
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("Retry-After"), "{refused}");
    drop(held);
    crate::harness::eventually("a place is free", || async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        client.get(format!("{}/healthz", server.url)).send().await.is_ok_and(|answer| answer.status() == 200)
    })
    .await;
}

#[tokio::test]
async fn beyond_its_places_the_server_refuses_at_once() {
    // One place for writes, and one who waits.
    let server = with(Limits { requests_in_work: 2, queue_ms: 20, ..Limits::default() }).await;
    server.shop(&[("TEA", 1000)]).await;
    let line = json!({"lines": [{"sku": "TEA", "quantity": 1}]});
    let answers = futures::future::join_all((0..40).map(|_| server.post("/v1/reservations", line.clone()))).await;
    let (done, shed): (Vec<Answer>, Vec<Answer>) = answers.into_iter().partition(|answer| answer.status == 201);
    assert!(!done.is_empty() && !shed.is_empty(), "{} done, {} refused", done.len(), shed.len());
    for answer in shed {
        assert_eq!(answer.header("retry-after"), Some("1"));
        answer.refused(503, "overloaded");
    }
    assert_eq!(
        server.available("TEA").await,
        1000 - i64::try_from(done.len()).unwrap(),
        "what was refused did nothing"
    );
    server.assert_clean().await;
}

#[tokio::test]
async fn a_crowd_that_looks_at_one_product_is_served() {
    let server = with(Limits::default()).await;
    server.shop(&[("TEA", 7)]).await;
    let looks = futures::future::join_all((0..256).map(|_| server.get("/v1/stock/TEA"))).await;
    for look in looks {
        assert_eq!(look.expect(200)["available"], 7);
    }
}

#[tokio::test]
async fn every_answer_says_what_browsers_may_do_with_it() {
    let server = with(Limits::default()).await;
    server.warehouse("MAIN").await;
    let get = |path: &str| server.request(Method::GET, path);
    let etag = send(get("/v1/warehouses/MAIN")).await.header("etag").unwrap().to_owned();
    for (request, status, cache) in [
        (get("/v1/warehouses/MAIN"), 200, Some("private, no-cache")),
        (get("/v1/warehouses/MAIN").header("If-None-Match", etag), 304, Some("private, no-cache")),
        (get("/v1/warehouses"), 200, Some("no-store")),
        (get("/v1/warehouses/NONE"), 404, Some("no-store")),
        (server.anonymous(Method::GET, "/v1/warehouses"), 401, Some("no-store")),
        (get("/nowhere"), 404, Some("no-store")),
        (get("/healthz"), 200, None),
        (get("/openapi.json"), 200, None),
        (get("/docs/"), 200, None),
    ] {
        let answer = send(request).await;
        assert_eq!((answer.status, answer.header("cache-control")), (status, cache), "{}", answer.what);
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{}", answer.what);
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{}", answer.what);
        let csp = answer.header("content-security-policy").unwrap();
        assert!(csp.contains("default-src 'none'") && csp.contains("frame-ancestors 'none'"), "{csp}");
        assert!(!csp.split(';').any(|part| part.contains("script-src") && part.contains("unsafe")), "{csp}");
        assert_eq!(answer.header("strict-transport-security"), None, "it is told over TLS alone");
    }
}
