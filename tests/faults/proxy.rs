//! A proxy as people put in front of two servers: it asks for their readiness, and never sends anything twice.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::report::Result;

/// How often it asks.
pub const PROBE: Duration = Duration::from_millis(100);
/// The longest that it waits for the answer.
const PATIENCE: Duration = Duration::from_secs(1);

pub struct Proxy {
    pub url: String,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

struct Shared {
    http: reqwest::Client,
    servers: Vec<Server>,
    next: AtomicUsize,
    failures: Mutex<Vec<String>>,
}

struct Server {
    url: String,
    ready: AtomicBool,
}

impl Proxy {
    pub async fn start(urls: Vec<String>) -> Result<Self> {
        let servers = urls.into_iter().map(|url| Server { url, ready: AtomicBool::new(false) });
        let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(256).build()?;
        let shared = Arc::new(Shared {
            http,
            servers: servers.collect(),
            next: AtomicUsize::default(),
            failures: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let mut tasks = JoinSet::new();
        for n in 0..shared.servers.len() {
            tasks.spawn(probe(shared.clone(), n));
        }
        let router = Router::new().fallback(forward).with_state(shared.clone());
        tasks.spawn(async move {
            let served = axum::serve(listener, router).await;
            served.expect("a listening socket goes on listening");
        });
        Ok(Self { url, shared, _tasks: tasks })
    }

    pub fn sees_ready(&self, n: usize) -> bool {
        self.shared.servers[n].ready.load(Ordering::Relaxed)
    }

    /// Requests that got no answer from a server.
    pub fn failures(&self) -> Vec<String> {
        self.shared.failures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn probe(shared: Arc<Shared>, n: usize) {
    let server = &shared.servers[n];
    loop {
        let answer = shared.http.get(format!("{}/readyz", server.url)).timeout(PATIENCE).send().await;
        server.ready.store(answer.is_ok_and(|it| it.status() == StatusCode::OK), Ordering::Relaxed);
        tokio::time::sleep(PROBE).await;
    }
}

async fn forward(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let ready: Vec<&Server> = shared.servers.iter().filter(|server| server.ready.load(Ordering::Relaxed)).collect();
    let what = format!("{} {}", request.method(), request.uri());
    let Some(server) = ready.get(shared.next.fetch_add(1, Ordering::Relaxed) % ready.len().max(1)) else {
        return shared.failed(format!("{what}: no server is ready"));
    };
    match pass_on(&shared.http, &server.url, request).await {
        Ok(response) => response,
        Err(error) => shared.failed(format!("{what} at {}: {error:?}", server.url)),
    }
}

impl Shared {
    fn failed(&self, why: String) -> Response {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(why);
        StatusCode::BAD_GATEWAY.into_response()
    }
}

async fn pass_on(http: &reqwest::Client, url: &str, request: Request) -> Result<Response> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await?;
    let to = format!("{url}{}", parts.uri.path_and_query().map_or("/", |it| it.as_str()));
    let answer = http.request(parts.method, to).headers(end_to_end(parts.headers)).body(body).send().await?;
    let (status, headers) = (answer.status(), end_to_end(answer.headers().clone()));
    let mut response = Response::new(Body::from(answer.bytes().await?));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// Headers that are not about one connection.
fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    for name in [header::CONNECTION, header::HOST, header::TRANSFER_ENCODING, header::CONTENT_LENGTH] {
        headers.remove(name);
    }
    headers
}
