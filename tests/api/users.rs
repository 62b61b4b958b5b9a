//! Users, roles and sessions: who gets in by a password, what they may do, and how fast that ends.

use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::access::scope_of;
use crate::harness::{Answer, Server, each, eventually, send};
use crate::openapi::Document;

pub const PASSWORD: &str = "correct horse battery staple";
/// Everything that ends, ends everywhere within this.
const A_SECOND: Duration = Duration::from_secs(1);

/// A user with a password. Returns their id.
pub async fn user(server: &Server, login: &str, role: &str, more: Value) -> String {
    let mut body = json!({"login": login, "name": login, "role": role});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let made = server.post("/v1/users", body).await.expect(201);
    let id = made["id"].as_str().unwrap().to_owned();
    server.put(&format!("/v1/users/{id}/password"), json!({"password": PASSWORD})).await.expect(204);
    id
}

async fn try_log_in(server: &Server, login: &str, password: &str) -> Answer {
    let body = json!({"login": login, "password": password});
    send(server.anonymous(Method::POST, "/v1/session").json(&body)).await
}

/// Somebody who has logged in.
pub struct Browser<'a> {
    server: &'a Server,
    cookie: String,
    csrf: String,
    pub session: Value,
}

impl<'a> Browser<'a> {
    pub async fn log_in(server: &'a Server, login: &str) -> Self {
        let answer = try_log_in(server, login, PASSWORD).await;
        let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        let session = answer.expect(201);
        Self { server, cookie, csrf: session["csrf_token"].as_str().unwrap().to_owned(), session }
    }

    /// The same cookie at another server.
    fn at<'b>(&self, server: &'b Server) -> Browser<'b> {
        let Self { cookie, csrf, session, .. } = self;
        Browser { server, cookie: cookie.clone(), csrf: csrf.clone(), session: session.clone() }
    }

    /// A request with the cookie alone.
    fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.server.anonymous(method, path).header("cookie", format!("theme=dark; {}", self.cookie))
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.bare(method, path).header("x-csrf-token", &self.csrf)
    }

    async fn get(&self, path: &str) -> Answer {
        send(self.bare(Method::GET, path)).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        send(self.request(Method::POST, path).json(&body)).await
    }

    async fn status(&self, path: &str) -> u16 {
        self.get(path).await.status
    }
}

/// The operations on one's own session, which take no key, by the examples of the document.
pub async fn try_session_operations(server: &Server, document: &mut Document) {
    let (_, log_in) = document.body("POST", "/v1/session").unwrap();
    let answer = send(server.anonymous(Method::POST, "/v1/session").json(&log_in)).await;
    document.check("POST", "/v1/session", &answer);
    let anna = Browser::log_in(server, log_in["login"].as_str().unwrap()).await;
    document.check("GET", "/v1/session", &anna.get("/v1/session").await);
    let (_, password) = document.body("PUT", "/v1/session/password").unwrap();
    let change = anna.request(Method::PUT, "/v1/session/password").json(&password);
    document.check("PUT", "/v1/session/password", &send(change).await);
    document.check("DELETE", "/v1/session", &send(anna.request(Method::DELETE, "/v1/session")).await);
}

#[tokio::test]
async fn a_user_logs_in_and_out() {
    let server = Server::start().await;
    let id = user(&server, "Anna@Example.com", "clerk", json!({})).await;
    let request = server.anonymous(Method::POST, "/v1/session").header("user-agent", "Test/1");
    let answer = send(request.json(&json!({"login": "ANNA@example.com", "password": PASSWORD}))).await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let cookie = answer.header("set-cookie").unwrap().to_owned();
    let mut attributes: Vec<&str> = cookie.split("; ").skip(1).collect();
    attributes.sort_unstable();
    assert_eq!(attributes, ["HttpOnly", "Max-Age=604800", "Path=/", "SameSite=Lax", "Secure"]);
    let token = cookie.split(';').next().unwrap().strip_prefix("__Host-stockhold=").unwrap();
    assert!(token.len() >= 22, "128 bits or more");
    let session = answer.expect(201);
    assert_eq!(session["user"]["login"], "anna@example.com");
    assert_eq!((&session["user_agent"], &session["address"]), (&json!("Test/1"), &json!("127.0.0.1")));
    assert!(session["scopes"].as_array().unwrap().contains(&json!("stock:write")));

    let anna = Browser::log_in(&server, "anna@example.com").await;
    assert_eq!(anna.get("/v1/warehouses").await.expect(200)["items"], json!([]));
    let own = anna.get("/v1/session").await;
    assert_eq!(own.header("cache-control"), Some("no-store"));
    let own = own.expect(200);
    assert_eq!((&own["id"], &own["csrf_token"]), (&anna.session["id"], &anna.session["csrf_token"]));
    assert!(own["user"]["last_login_at"].is_string());
    let sessions = server.get(&format!("/v1/users/{id}/sessions")).await.expect(200);
    assert_eq!(each(sessions["items"].as_array().unwrap(), "id"), [&anna.session["id"], &session["id"]]);

    let dump = server.dump().await;
    for secret in [token, PASSWORD, anna.cookie.split('=').nth(1).unwrap(), &anna.csrf] {
        assert!(!dump.contains(secret), "a secret stands in the database");
    }
    assert!(dump.contains("$argon2id$v=19$m=19456,t=2,p=1$"));

    let out = send(anna.request(Method::DELETE, "/v1/session")).await;
    assert!(out.header("set-cookie").unwrap().starts_with("__Host-stockhold=; "), "{:?}", out.headers);
    out.expect(204);
    anna.get("/v1/session").await.refused(401, "unauthenticated");
    let sessions = server.get(&format!("/v1/users/{id}/sessions")).await.expect(200);
    assert_eq!(each(sessions["items"].as_array().unwrap(), "id"), [&session["id"]]);
    server.assert_clean().await;
}

#[tokio::test]
async fn a_refusal_does_not_tell_why() {
    let server = Server::start().await;
    user(&server, "anna", "viewer", json!({})).await;
    user(&server, "gone", "viewer", json!({})).await;
    let gone = server.list("/v1/users?role=viewer&disabled=false").await[0]["id"].as_str().unwrap().to_owned();
    server.delete(&format!("/v1/users/{gone}")).await.expect(204);
    server.post("/v1/users", json!({"login": "new", "name": "Without a password", "role": "viewer"})).await.expect(201);
    let mut refusals = Vec::new();
    for (login, password) in
        [("anna", "a wrong password"), ("nobody", PASSWORD), ("gone", PASSWORD), ("new", PASSWORD), ("new", "x")]
    {
        let answer = try_log_in(&server, login, password).await;
        assert_eq!(answer.header("set-cookie"), None);
        let mut problem = answer.refused(401, "login-failed");
        problem.as_object_mut().unwrap().remove("instance");
        refusals.push(problem);
    }
    assert!(refusals.iter().all(|refusal| refusal == &refusals[0]), "{refusals:?}");
    assert!(server.list("/v1/users?disabled=true").await.iter().all(|user| user["login"] == "gone"));
}

#[tokio::test]
async fn a_change_in_a_session_comes_from_our_own_pages() {
    let server = Server::start().await;
    user(&server, "boss", "admin", json!({})).await;
    let (boss, other) = (Browser::log_in(&server, "boss").await, Browser::log_in(&server, "boss").await);
    let body = json!({"code": "LONDON", "name": "London"});
    let change = |request: RequestBuilder| send(request.json(&body));
    let post = || boss.bare(Method::POST, "/v1/warehouses");
    let before = server.row_counts().await;
    change(post()).await.refused(403, "csrf");
    for wrong in ["", "wrong", &other.csrf, boss.cookie.split('=').nth(1).unwrap()] {
        change(post().header("x-csrf-token", wrong)).await.refused(403, "csrf");
    }
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        let with_token = post().header("x-csrf-token", &boss.csrf).header(name, value);
        change(with_token).await.refused(403, "csrf");
        let log_in = server.anonymous(Method::POST, "/v1/session").header(name, value);
        send(log_in.json(&json!({"login": "boss", "password": PASSWORD}))).await.refused(403, "csrf");
    }
    for method in [Method::PUT, Method::PATCH, Method::DELETE] {
        send(boss.bare(method, "/v1/sourcing")).await.refused(403, "csrf");
    }
    assert_eq!(server.row_counts().await, before);
    let ours =
        post().header("x-csrf-token", &boss.csrf).header("sec-fetch-site", "same-origin").header("origin", &server.url);
    change(ours).await.expect(201);
    boss.get("/v1/warehouses").await.expect(200);
    // With a key no cookie is looked at, and no browser sends a key by itself.
    let keyed = server.request(Method::POST, "/v1/warehouses").header("cookie", &boss.cookie);
    send(keyed.json(&json!({"code": "LEEDS", "name": "Leeds"}))).await.expect(201);
    let both = boss.request(Method::GET, "/v1/warehouses").bearer_auth("wrong");
    send(both).await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn no_cookie_opens_but_that_of_a_session() {
    let server = Server::start().await;
    for cookie in [
        "__Host-stockhold=",
        "__Host-stockhold=nonsense",
        &format!("__Host-stockhold={}", crate::harness::ADMIN_KEY),
        &format!("stockhold={}", crate::harness::ADMIN_KEY),
    ] {
        server.get("/v1/warehouses").await.expect(200);
        let request = server.anonymous(Method::GET, "/v1/warehouses").header("cookie", cookie);
        send(request).await.refused(401, "unauthenticated");
    }
    user(&server, "anna", "viewer", json!({})).await;
    let anna = Browser::log_in(&server, "anna").await;
    anna.get("/v1/warehouses").await.expect(200);
    let token = anna.cookie.split('=').nth(1).unwrap();
    let as_key = server.anonymous(Method::GET, "/v1/warehouses").bearer_auth(token);
    send(as_key).await.refused(401, "unauthenticated");
    for (method, path) in
        [(Method::GET, "/v1/session"), (Method::DELETE, "/v1/session"), (Method::PUT, "/v1/session/password")]
    {
        send(server.request(method, path).json(&json!({}))).await.refused(403, "forbidden");
    }
}

#[tokio::test]
async fn a_viewer_changes_nothing() {
    let server = Server::start().await;
    user(&server, "viewer", "viewer", json!({})).await;
    let viewer = Browser::log_in(&server, "viewer").await;
    let document = Document::of(&server).await;
    let (mut refused, mut read) = (0, 0);
    for (method, path) in document.guarded().0 {
        let Some(scope) = scope_of(document.operation(&method, &path)) else { continue };
        let address = path.replace(['{', '}'], "");
        let request = viewer.request(Method::from_bytes(method.as_bytes()).unwrap(), &address);
        let body = document.body(&method, &path).map_or(json!({}), |(_, example)| example);
        let answer = send(request.json(&body)).await;
        if scope.ends_with(":write") || scope.starts_with("admin:") {
            answer.refused(403, "forbidden");
            refused += 1;
        } else {
            assert!(![401, 403].contains(&answer.status), "{method} {path}: {}", answer.json);
            read += 1;
        }
    }
    assert!(refused > 30 && read > 15, "{refused} {read}");
    server.assert_clean().await;
}

#[tokio::test]
async fn what_is_taken_away_is_gone_everywhere_within_a_second() {
    let [one, two] = Server::pair().await;
    let id = user(&one, "anna", "clerk", json!({})).await;
    let path = format!("/v1/users/{id}");
    let anna = Browser::log_in(&one, "anna").await.at(&two);
    assert_eq!(anna.post("/v1/transfers", json!({})).await.status, 422);
    one.patch(&path, json!({"role": "viewer"})).await.expect(200);
    tokio::time::sleep(A_SECOND).await;
    anna.post("/v1/transfers", json!({})).await.refused(403, "forbidden");
    assert_eq!(anna.status("/v1/warehouses").await, 200);

    one.put("/v1/roles/viewer", json!({"scopes": ["events:read"]})).await.expect(200);
    tokio::time::sleep(A_SECOND).await;
    assert_eq!((anna.status("/v1/warehouses").await, anna.status("/v1/events").await), (403, 200));
    assert_eq!(anna.get("/v1/session").await.expect(200)["scopes"], json!(["events:read"]));

    for end in ["sessions", "password", "disable"] {
        let anna = Browser::log_in(&one, "anna").await.at(&two);
        assert_eq!(anna.status("/v1/events").await, 200);
        match end {
            "sessions" => one.delete(&format!("{path}/sessions")).await.expect(204),
            "password" => one.put(&format!("{path}/password"), json!({"password": PASSWORD})).await.expect(204),
            _ => one.delete(&path).await.expect(204),
        };
        tokio::time::sleep(A_SECOND).await;
        assert_eq!(anna.status("/v1/events").await, 401, "after {end}");
    }
    try_log_in(&two, "anna", PASSWORD).await.refused(401, "login-failed");
    one.patch(&path, json!({"disabled": false})).await.expect(200);
    try_log_in(&two, "anna", PASSWORD).await.expect(201);
}

#[tokio::test]
async fn a_user_kept_to_a_warehouse_sees_no_other() {
    let server = Server::start().await;
    for code in ["LONDON", "LEEDS"] {
        server.warehouse(code).await;
    }
    server.product("TEA").await;
    user(&server, "anna", "clerk", json!({"warehouses": ["LONDON"]})).await;
    let anna = Browser::log_in(&server, "anna").await;
    assert_eq!(each(anna.get("/v1/warehouses").await.expect(200)["items"].as_array().unwrap(), "code"), ["LONDON"]);
    let adjust = |warehouse: &str| {
        anna.post(
            "/v1/stock/adjustments",
            json!({"sku": "TEA", "warehouse": warehouse, "change": 1, "reason": "received"}),
        )
    };
    adjust("LONDON").await.expect(201);
    adjust("LEEDS").await.refused(403, "forbidden");
    anna.get("/v1/session").await.expect(200);
    anna.get("/v1/self-check").await.refused(403, "forbidden");
    let boss = user(&server, "boss", "admin", json!({"channels": ["web"]})).await;
    let boss = (Browser::log_in(&server, "boss").await, boss);
    let grow = boss.0.request(Method::PATCH, &format!("/v1/users/{}", boss.1)).json(&json!({"channels": null}));
    send(grow).await.refused(403, "forbidden");
    server.assert_clean().await;
}

#[tokio::test]
async fn guessing_a_password_gets_slower_and_slower_on_all_servers() {
    let [one, two] = Server::pair().await;
    user(&one, "anna", "viewer", json!({})).await;
    for login in ["anna", "nobody"] {
        for turn in 0..5 {
            let server = [&one, &two][turn % 2];
            try_log_in(server, login, "a wrong password").await.refused(401, "login-failed");
        }
        let slowed = try_log_in(&two, login, PASSWORD).await;
        assert_eq!(slowed.header("retry-after"), Some("1"));
        slowed.refused(429, "too-many-logins");
    }
    let later = "UPDATE access.login_failures SET last_at = last_at - interval '1 second'";
    one.sql(later).await.unwrap();
    try_log_in(&one, "anna", "a wrong password").await.refused(401, "login-failed");
    let slowed = try_log_in(&two, "anna", PASSWORD).await;
    assert_eq!(slowed.header("retry-after"), Some("2"), "each failure doubles it");
    one.sql("UPDATE access.login_failures SET count = 1000").await.unwrap();
    assert_eq!(try_log_in(&one, "anna", PASSWORD).await.header("retry-after"), Some("900"));
    one.sql("UPDATE access.login_failures SET last_at = last_at - interval '900 seconds'").await.unwrap();
    Browser::log_in(&one, "anna").await;
    // All is forgiven.
    try_log_in(&two, "anna", "a wrong password").await.refused(401, "login-failed");
    Browser::log_in(&two, "anna").await;
}

#[tokio::test]
async fn many_guesses_at_once_are_counted_one_by_one() {
    let server = Server::start().await;
    user(&server, "anna", "viewer", json!({})).await;
    let guesses = (0..40).map(|_| try_log_in(&server, "anna", "a wrong password"));
    let answers = futures::future::join_all(guesses).await;
    let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(401), count(401) + count(429) + count(503)), (5, 40), "five are free");
    assert!(answers.iter().filter(|a| a.status != 401).all(|a| a.header("retry-after").is_some()));
}

#[tokio::test]
async fn an_address_that_tries_many_logins_is_slowed_down() {
    let server = Server::start().await;
    user(&server, "anna", "viewer", json!({})).await;
    for n in 0..19 {
        try_log_in(&server, &format!("guess-{n}"), "a wrong password").await.refused(401, "login-failed");
    }
    // What is right does not count, and does not wipe out what was wrong.
    Browser::log_in(&server, "anna").await;
    try_log_in(&server, "guess-19", "a wrong password").await.refused(401, "login-failed");
    let slowed = try_log_in(&server, "anna", PASSWORD).await;
    assert_eq!(slowed.header("retry-after"), Some("1"));
    slowed.refused(429, "too-many-logins");
    tokio::time::sleep(A_SECOND).await;
    Browser::log_in(&server, "anna").await;
}

#[tokio::test]
async fn sessions_end_by_age_and_by_idleness() {
    let server = Server::start().await;
    user(&server, "anna", "viewer", json!({})).await;
    for over in ["expires_at = clock_timestamp()", "last_seen_at = clock_timestamp() - interval '12 hours'"] {
        let anna = Browser::log_in(&server, "anna").await;
        anna.get("/v1/session").await.expect(200);
        server.sql(&format!("UPDATE access.sessions SET {over}")).await.unwrap();
        eventually("the session is over", || async { anna.status("/v1/warehouses").await == 401 }).await;
    }
    let anna = Browser::log_in(&server, "anna").await;
    server.sql("UPDATE access.login_failures SET last_at = last_at - interval '2 hours'").await.unwrap();
    try_log_in(&server, "old", "a wrong password").await.refused(401, "login-failed");
    server.sql("UPDATE access.login_failures SET last_at = last_at - interval '2 hours'").await.unwrap();
    server.app.access.forget_old_sessions().await.unwrap();
    let rows = server.row_counts().await;
    assert_eq!((rows["access.sessions"], rows["access.login_failures"]), (1, 0));
    // Use keeps it alive, and is noted once a minute.
    let old = "UPDATE access.sessions SET last_seen_at = clock_timestamp() - interval '11 hours'";
    server.sql(old).await.unwrap();
    eventually("its use is noted", || async {
        anna.get("/v1/warehouses").await.expect(200);
        server
            .sql("DELETE FROM access.sessions WHERE last_seen_at < clock_timestamp() - interval '13 hours'")
            .await
            .unwrap();
        let seen = server
            .sql("UPDATE access.sessions SET id = id WHERE last_seen_at > clock_timestamp() - interval '1 minute'");
        seen.await.unwrap() == 1
    })
    .await;
}

#[tokio::test]
async fn a_password_is_changed_by_whoever_knows_it() {
    let server = Server::start().await;
    let id = user(&server, "anna", "viewer", json!({})).await;
    let (anna, elsewhere) = (Browser::log_in(&server, "anna").await, Browser::log_in(&server, "anna").await);
    let change = |present: &str, password: &str| {
        let body = json!({"present_password": present, "password": password});
        send(anna.request(Method::PUT, "/v1/session/password").json(&body))
    };
    change("a wrong password", "another horse, another staple").await.invalid(&["/present_password wrong"]);
    change(PASSWORD, "another horse, another staple").await.expect(204);
    tokio::time::sleep(A_SECOND).await;
    assert_eq!((anna.status("/v1/session").await, elsewhere.status("/v1/session").await), (200, 401));
    try_log_in(&server, "anna", PASSWORD).await.refused(401, "login-failed");
    try_log_in(&server, "anna", "another horse, another staple").await.expect(201);

    // A wrong present password counts like any other guess.
    for _ in 0..5 {
        change("a wrong password", "yet another horse and staple").await.refused(422, "validation");
    }
    change("another horse, another staple", "yet another horse and staple").await.refused(429, "too-many-logins");

    let path = format!("/v1/users/{id}/password");
    for (weak, fault) in [
        ("tooshort", "min_length"),
        ("aaaaaaaaaaaaaaaa", "weak"),
        ("1234567890123", "weak"),
        (&"ä".repeat(70), "weak"),
        (&"xyz0".repeat(33), "max_length"),
    ] {
        let answer = server.put(&path, json!({"password": weak})).await;
        if weak != "1234567890123" {
            assert!(!String::from_utf8_lossy(&answer.bytes).contains(weak), "the answer repeats the password");
            answer.invalid(&[&format!("/password {fault}")]);
        }
    }
    server
        .put("/v1/users/0193a1b2-0000-7000-8000-000000000000/password", json!({"password": PASSWORD}))
        .await
        .refused(404, "not-found");
}

#[tokio::test]
async fn users_are_made_changed_and_listed() {
    let server = Server::start().await;
    let id = user(&server, "anna@example.com", "clerk", json!({"warehouses": ["LONDON"]})).await;
    let path = format!("/v1/users/{id}");
    let anna = server.get(&path).await.expect(200);
    assert_eq!((&anna["created_by"], &anna["has_password"]), (&json!("admin"), &json!(true)));
    let same = json!({"login": "ANNA@example.com", "name": "Other", "role": "clerk"});
    server.post("/v1/users", same).await.refused(409, "already-exists");
    let bad = json!({"login": "an na", "name": " ", "role": "boss", "warehouses": [], "password": "x"});
    server.post("/v1/users", bad).await.invalid(&[
        "/login pattern",
        "/name pattern",
        "/warehouses min_items",
        "/password unknown_field",
    ]);
    server.post("/v1/users", json!({"login": "b", "name": "B", "role": "boss"})).await.invalid(&["/role unknown"]);
    user(&server, "berta", "viewer", json!({})).await;
    server.patch(&path, json!({"login": "Berta"})).await.refused(409, "already-exists");
    let changed = server.patch(&path, json!({"login": "Anna", "warehouses": null, "name": "Anna B"})).await.expect(200);
    assert_eq!(
        (&changed["login"], &changed["warehouses"], &changed["name"]),
        (&json!("anna"), &Value::Null, &json!("Anna B"))
    );
    assert_eq!(each(&server.list("/v1/users?limit=1").await, "login"), ["berta", "anna"]);
    assert_eq!(each(&server.list("/v1/users?role=viewer").await, "login"), ["berta"]);
    let stale = server.request(Method::PATCH, &path).header("if-match", "\"old\"").json(&json!({"name": "C"}));
    send(stale).await.refused(412, "precondition-failed");
    let etag = server.get(&path).await.header("etag").unwrap().to_owned();
    send(server.request(Method::DELETE, &path).header("if-match", etag)).await.expect(204);
    assert!(server.get(&path).await.expect(200)["disabled_at"].is_string());
    server.delete(&path).await.expect(204);
}

#[tokio::test]
async fn roles_are_data() {
    let server = Server::start().await;
    let roles = server.get("/v1/roles").await.expect(200);
    assert_eq!(each(roles["items"].as_array().unwrap(), "name"), ["admin", "clerk", "manager", "viewer"]);
    let picker = json!({"scopes": ["warehouse_ops:write", "stock:read"]});
    server.put("/v1/roles/picker", picker).await.expect(200);
    let id = user(&server, "anna", "picker", json!({})).await;
    let anna = Browser::log_in(&server, "anna").await;
    assert_eq!((anna.status("/v1/warehouses").await, anna.status("/v1/orders").await), (200, 403));
    server.delete("/v1/roles/picker").await.refused(409, "in-use");
    server.patch(&format!("/v1/users/{id}"), json!({"role": "viewer"})).await.expect(200);
    server.delete("/v1/roles/picker").await.expect(204);
    server.get("/v1/roles/picker").await.refused(404, "not-found");
    server.delete("/v1/roles/picker").await.refused(404, "not-found");
    server.delete("/v1/roles/viewer").await.refused(409, "invalid-state");
    server.put("/v1/roles/admin", json!({"scopes": ["stock:read"]})).await.refused(409, "invalid-state");
    server.put("/v1/roles/Boss", json!({"scopes": ["stock:read"]})).await.invalid(&["/path/name pattern"]);
    server.put("/v1/roles/boss", json!({"scopes": []})).await.invalid(&["/scopes min_items"]);
    let etag = server.get("/v1/roles/clerk").await.header("etag").unwrap().to_owned();
    let change = |etag: &str| {
        let scopes = json!({"scopes": ["stock:read"]});
        send(server.request(Method::PUT, "/v1/roles/clerk").header("if-match", etag).json(&scopes))
    };
    change(&etag).await.expect(200);
    change(&etag).await.refused(412, "precondition-failed");
}
