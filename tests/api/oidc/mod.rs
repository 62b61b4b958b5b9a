//! Logging in by an OpenID provider: Canaille, which is one, and one of our own that also lies.

mod canaille;
mod people;
mod secrecy;
mod signer;

use reqwest::{Client, Method, redirect};
use serde_json::{Value, json};
use stockhold::access::Oidc;
use stockhold::config::Config;
use url::Url;

use crate::harness::{Answer, DEADLINE, Server, eventually, send};
use crate::openapi::Document;
use crate::users::{self, PASSWORD};
use signer::{Provider, new_key, sign};

/// Where browsers would find the server. Here they are told where it really is.
pub const PUBLIC_URL: &str = "https://stock.example.com";
const START: &str = "/v1/session/oidc/start";
const CALLBACK: &str = "/v1/session/oidc/callback";

/// A server with this provider.
async fn server_with(oidc: Oidc) -> Server {
    let public_url = Some(Url::parse(PUBLIC_URL).unwrap());
    Server::with(Config { public_url, oidc: Some(oidc), ..Config::default() }).await
}

/// GET as a browser does, with these cookies, and goes nowhere by itself.
async fn visit(url: &str, path: &str, cookie: &str) -> Answer {
    let client = Client::builder().no_proxy().redirect(redirect::Policy::none()).timeout(DEADLINE).build().unwrap();
    let request = client.get(format!("{url}{path}")).header("user-agent", "Test/1");
    send(if cookie.is_empty() { request } else { request.header("cookie", cookie) }).await
}

/// `name=value` of each cookie that an answer sets.
fn cookies(answer: &Answer) -> Vec<String> {
    let set = answer.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
    set.map(|cookie| cookie.split(';').next().unwrap().to_owned()).collect()
}

/// A log-in that is on its way: where the browser was sent, and what it keeps.
pub struct Asked {
    url: Url,
    cookie: String,
}

impl Asked {
    async fn of(server: &Server) -> Self {
        Self::at(&server.url, START).await
    }

    async fn at(url: &str, path: &str) -> Self {
        let answer = visit(url, path, "").await;
        assert_eq!(answer.status, 303, "{}", answer.json);
        let attributes = answer.header("set-cookie").unwrap().to_owned();
        for wanted in ["__Host-stockhold-login=", "; HttpOnly", "; Secure", "; SameSite=Lax", "; Path=/", "Max-Age=600"]
        {
            assert!(attributes.contains(wanted), "{attributes}");
        }
        let url = Url::parse(answer.header("location").unwrap()).unwrap();
        Self { url, cookie: cookies(&answer).remove(0) }
    }

    fn parameter(&self, name: &str) -> String {
        self.url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap()
    }

    fn callback(&self, parameters: &[(&str, &str)]) -> String {
        let mut url = Url::parse(&self.parameter("redirect_uri")).unwrap();
        assert_eq!(url.as_str(), format!("{PUBLIC_URL}{CALLBACK}"));
        url.query_pairs_mut().extend_pairs(parameters);
        format!("{}?{}", url.path(), url.query().unwrap())
    }
}

/// Begins, is logged in as the claims say, and comes back.
async fn log_in(url: &str, provider: &Provider, change: impl FnOnce(&mut Value)) -> Answer {
    let asked = Asked::at(url, START).await;
    let mut claims = provider.claims(&asked);
    change(&mut claims);
    visit(url, &provider.grant(&asked, &claims), &asked.cookie).await
}

/// What the session of an answer says of itself.
async fn session_of(url: &str, answer: Answer) -> (String, Value) {
    assert_eq!(answer.status, 303, "{}", answer.json);
    let set = cookies(&answer);
    let session = set.iter().find(|cookie| cookie.starts_with("__Host-stockhold=")).expect("a session").clone();
    assert!(set.contains(&"__Host-stockhold-login=".to_owned()), "what was kept meanwhile goes");
    let own = visit(url, "/v1/session", &session).await.expect(200);
    (session, own)
}

/// The operations of the document, seen to do what they say.
pub async fn try_operations(document: &mut Document) {
    let provider = Provider::start().await;
    let server = server_with(provider.settings()).await;
    users::user(&server, "anna@example.com", "clerk", json!({})).await;
    document.check("GET", "/v1/session/oidc", &visit(&server.url, "/v1/session/oidc", "").await);
    document.check("GET", START, &visit(&server.url, START, "").await);
    document.check("GET", CALLBACK, &log_in(&server.url, &provider, |_| ()).await);
}

#[tokio::test]
async fn a_session_by_the_provider_is_one_like_any_other() {
    let provider = Provider::start().await;
    let server = server_with(provider.settings()).await;
    let anna = users::user(&server, "anna@example.com", "clerk", json!({})).await;
    let shown = server.get("/v1/session/oidc").await.expect(200);
    assert_eq!(shown, json!({"name": "Signer", "start": START}));

    let asked = Asked::at(&server.url, "/v1/session/oidc/start?return_to=/docs/%23/orders").await;
    assert_eq!(asked.parameter("scope"), "openid email profile");
    assert_eq!(
        (asked.parameter("response_type"), asked.parameter("code_challenge_method")),
        ("code".into(), "S256".into())
    );
    let answer = visit(&server.url, &provider.grant(&asked, &provider.claims(&asked)), &asked.cookie).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/docs/#/orders")));
    let (cookie, own) = session_of(&server.url, answer).await;
    assert_eq!((&own["user"]["id"], &own["user"]["issuer"]), (&json!(anna), &json!(provider.issuer())));
    assert_eq!((&own["address"], &own["user_agent"]), (&json!("127.0.0.1"), &json!("Test/1")));

    let change = |token: Option<&str>| {
        let request = server.anonymous(Method::POST, "/v1/reservations/batch").header("cookie", &cookie);
        let request = request.json(&json!({"items": [{"lines": [{"sku": "NONE", "quantity": 1}]}]}));
        token.map_or_else(
            || request.try_clone().unwrap(),
            |token| request.try_clone().unwrap().header("x-csrf-token", token),
        )
    };
    send(change(None)).await.refused(403, "csrf");
    send(change(own["csrf_token"].as_str())).await.expect(200);

    // Linked, by herself, and logged in.
    let rows = server.list(&format!("/v1/audit?caller={anna}&operation=GET%20{CALLBACK}")).await;
    let [login, link] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((&login["subject"], &login["status"]), (&json!("/v1/session"), &json!(303)));
    assert_eq!((&login["after"]["id"], &login["address"]), (&own["id"], &json!("127.0.0.1")));
    assert!(login["request_id"].is_string());
    assert_eq!((&link["subject"], &link["before"]["issuer"]), (&json!(format!("/v1/users/{anna}")), &Value::Null));
    assert_eq!(link["after"]["issuer"], provider.issuer());

    // From now on her address does not matter, nor what she is called here; the password works as before.
    let patch = json!({"login": "a.berg@example.com"});
    server.patch(&format!("/v1/users/{anna}"), patch).await.expect(200);
    let (_, again) =
        session_of(&server.url, log_in(&server.url, &provider, |claims| claims["email"] = json!("x@y.z")).await).await;
    assert_eq!(again["user"]["id"], json!(anna));
    assert_eq!(again["user"]["login"], "a.berg@example.com");
    users::Browser::log_in(&server, "a.berg@example.com").await;

    let stored = server.dump().await;
    for secret in [signer::SECRET, &asked.cookie[23..], &asked.parameter("state"), &asked.parameter("nonce")] {
        assert!(!stored.contains(secret), "a secret stands in the database");
    }
    server.assert_clean().await;
}

#[tokio::test]
async fn an_answer_is_for_the_browser_that_asked_and_works_once() {
    let provider = Provider::start().await;
    let server = server_with(provider.settings()).await;
    users::user(&server, "anna@example.com", "clerk", json!({})).await;
    let failed = |answer: Answer| answer.refused(401, "external-login-failed");

    let (hers, other) = (Asked::of(&server).await, Asked::of(&server).await);
    let path = provider.grant(&hers, &provider.claims(&hers));
    failed(visit(&server.url, &path, "").await);
    failed(visit(&server.url, &path, &other.cookie).await);
    failed(visit(&server.url, &path.replace("state=", "state=x"), &hers.cookie).await);
    failed(visit(&server.url, &format!("{path}&state={}", hers.parameter("state")), &hers.cookie).await);
    failed(visit(&server.url, CALLBACK, &hers.cookie).await);
    // None of that has spoilt it.
    assert_eq!(visit(&server.url, &path, &hers.cookie).await.status, 303);
    failed(visit(&server.url, &path, &hers.cookie).await);

    // Another log-in's code is bound to its browser by PKCE, too.
    let third = Asked::of(&server).await;
    let stolen = provider.grant(&other, &provider.claims(&third));
    let stolen = stolen.replace(&other.parameter("state"), &third.parameter("state"));
    failed(visit(&server.url, &stolen, &third.cookie).await);

    let late = Asked::of(&server).await;
    let path = provider.grant(&late, &provider.claims(&late));
    let age = "UPDATE access.pending_logins SET created_at = created_at - interval '10 minutes'";
    assert!(server.sql(age).await.unwrap() >= 1);
    failed(visit(&server.url, &path, &late.cookie).await);
    assert!(!server.app.access.forget_old_sessions().await.unwrap());
    assert_eq!(server.row_counts().await["access.pending_logins"], 0, "what nobody came back from is forgotten");

    let refused = Asked::of(&server).await;
    let state = refused.parameter("state");
    let denied = refused.callback(&[("error", "access_denied"), ("error_description", "<b>no</b>"), ("state", &state)]);
    let problem = failed(visit(&server.url, &denied, &refused.cookie).await);
    assert!(!problem.to_string().contains("<b>"), "{problem}");
    let elsewhere = Asked::of(&server).await;
    let path = provider.grant(&elsewhere, &provider.claims(&elsewhere)) + "&iss=https%3A%2F%2Fevil.example";
    failed(visit(&server.url, &path, &elsewhere.cookie).await);
}

#[tokio::test]
async fn a_token_that_is_not_the_provider_s_for_us_and_now_is_refused() {
    let provider = Provider::start().await;
    let server = server_with(provider.settings()).await;
    users::user(&server, "anna@example.com", "clerk", json!({})).await;
    let now = stockhold::platform::clock::Timestamp::now().0.timestamp();
    let lies = [
        ("nonce", json!("another")),
        ("nonce", Value::Null),
        ("aud", json!("another-client")),
        ("aud", json!(["stockhold", "another-client"])),
        ("iss", json!("https://evil.example")),
        ("exp", json!(now - 1)),
        ("sub", json!("")),
        ("sub", json!("x".repeat(256))),
        ("at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA")),
    ];
    for (name, lie) in lies {
        let answer = log_in(&server.url, &provider, |claims| claims[name] = lie.clone()).await;
        let problem = answer.refused(401, "external-login-failed");
        assert!(!problem.to_string().contains("another"), "it tells too much: {problem}");
    }
    // By a key that is not the provider's, though it says so; by none; and by the secret of the client.
    let asked = Asked::of(&server).await;
    let claims = provider.claims(&asked);
    let foreign = sign(&new_key("first"), &claims);
    let parts: Vec<&str> = foreign.split('.').collect();
    let head = |alg: &str| base64_of(json!({"alg": alg}).to_string());
    let by_secret = format!("{}.{}", head("HS256"), parts[1]);
    let by_secret = format!("{by_secret}.{}", base64_of(hmac(signer::SECRET, &by_secret)));
    for token in [foreign.clone(), format!("{}.{}.", head("none"), parts[1]), by_secret, "nonsense".to_owned()] {
        let asked = Asked::of(&server).await;
        let path = provider.grant_token(&asked, token, claims.clone());
        visit(&server.url, &path, &asked.cookie).await.refused(401, "external-login-failed");
    }
    assert_eq!(server.row_counts().await["access.sessions"], 0);

    // A new key of the provider is learnt of when it is first used.
    log_in(&server.url, &provider, |_| ()).await;
    let asked = provider.times_asked();
    provider.turn_key(new_key("second"));
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    assert_eq!(log_in(&server.url, &provider, |_| ()).await.status, 303);
    assert_eq!(provider.times_asked(), asked + 1);
}

fn base64_of(bytes: impl AsRef<[u8]>) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

fn hmac(key: &str, text: &str) -> Vec<u8> {
    use openidconnect::PrivateSigningKey;
    let key = openidconnect::core::CoreHmacKey::new(key);
    key.sign(&openidconnect::core::CoreJwsSigningAlgorithm::HmacSha256, text.as_bytes()).unwrap()
}

#[tokio::test]
async fn without_the_provider_passwords_work_and_it_is_asked_again() {
    let provider = Provider::start().await;
    provider.go_away(true);
    let server = server_with(provider.settings()).await;
    users::user(&server, "anna@example.com", "clerk", json!({})).await;
    for _ in 0..3 {
        let answer = visit(&server.url, START, "").await;
        assert!(answer.header("retry-after").is_some() && answer.header("set-cookie").is_none());
        answer.refused(503, "unavailable");
    }
    let session = json!({"login": "anna@example.com", "password": PASSWORD});
    send(server.anonymous(Method::POST, "/v1/session").json(&session)).await.expect(201);
    assert_eq!(server.row_counts().await["access.pending_logins"], 0);
    provider.go_away(false);
    let back = || async { visit(&server.url, START, "").await.status == 303 };
    eventually("the provider is asked again", back).await;

    // What it said is remembered; a code cannot be redeemed meanwhile, and that is no failure of hers.
    let asked = Asked::of(&server).await;
    let path = provider.grant(&asked, &provider.claims(&asked));
    provider.go_away(true);
    Asked::of(&server).await;
    visit(&server.url, &path, &asked.cookie).await.refused(503, "unavailable");
    provider.go_away(false);
    assert_eq!(log_in(&server.url, &provider, |_| ()).await.status, 303);
}

#[tokio::test]
async fn without_settings_there_is_nothing() {
    let server = Server::start().await;
    for path in ["/v1/session/oidc", START, CALLBACK, "/v1/session/oidc/callback?code=a&state=b"] {
        visit(&server.url, path, "").await.refused(404, "not-found");
    }
}

#[tokio::test]
async fn nobody_is_sent_elsewhere_and_nobody_fills_the_table() {
    let provider = Provider::start().await;
    let server = server_with(provider.settings()).await;
    for bad in ["//evil.example", "/%5Cevil.example", "https://evil.example/", "docs", "/a%0d%0ab", "/%09/evil.example"]
    {
        visit(&server.url, &format!("{START}?return_to={bad}"), "").await.invalid(&["/query/return_to pattern"]);
    }
    visit(&server.url, &format!("{START}?return_to=/{}", "a".repeat(1000)), "")
        .await
        .invalid(&["/query/return_to max_length"]);
    let rows = "INSERT INTO access.pending_logins (hash, return_to, network)
                SELECT sha256(n::text::bytea), '/', '127.0.0.1' FROM generate_series(1, 100) AS n";
    server.sql(rows).await.unwrap();
    let answer = visit(&server.url, START, "").await;
    assert_eq!(answer.header("retry-after"), Some("60"));
    answer.refused(429, "too-many-logins");
    let age = "UPDATE access.pending_logins SET created_at = created_at - interval '10 minutes'";
    server.sql(age).await.unwrap();
    Asked::of(&server).await;
}
