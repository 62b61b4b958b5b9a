//! API keys: made, limited, rotated, revoked, and never told twice.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Server, each, eventually, send};

/// What was revoked or has expired is refused everywhere after this long.
const A_SECOND: Duration = Duration::from_secs(1);

async fn status_with(server: &Server, key: &str, path: &str) -> u16 {
    send(server.anonymous(Method::GET, path).bearer_auth(key)).await.status
}

async fn make(server: &Server, body: Value) -> (String, String) {
    let made = server.post("/v1/keys", body).await.expect(201);
    (made["id"].as_str().unwrap().to_owned(), made["key"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_key_is_told_once_and_only_its_digest_is_kept() {
    let server = Server::start().await;
    let body = json!({"name": "Web shop", "scopes": ["stock:read"], "channels": ["web"]});
    let made = server.post_once("/v1/keys", "make-1", body.clone()).await;
    assert_eq!(made.header("cache-control"), Some("no-store"));
    let made = made.expect(201);
    let key = made["key"].as_str().unwrap();
    assert!(key.starts_with(&format!("sh_{}_", made["public_id"].as_str().unwrap())), "{key}");

    let again = server.post_once("/v1/keys", "make-1", body).await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    let again = again.expect(201);
    assert_eq!((&again["id"], &again["key"]), (&made["id"], &Value::Null));

    let read = server.get(&format!("/v1/keys/{}", made["id"].as_str().unwrap())).await.expect(200);
    assert_eq!(read.get("key"), None);
    assert_eq!(read["created_by"], "admin");
    let listed = server.list("/v1/keys?status=active").await;
    assert_eq!(each(&listed, "name"), ["Web shop", "admin"]);
    let secret = &key[14..];
    assert!(!server.dump().await.contains(secret), "the secret stands in the database");
}

#[tokio::test]
async fn a_mistyped_key_is_told_from_a_wrong_one() {
    let server = Server::start().await;
    let (_, key) = make(&server, json!({"name": "till", "scopes": ["stock:read"]})).await;
    let refused = |key: String| async {
        let answer = send(server.anonymous(Method::GET, "/v1/warehouses").bearer_auth(key)).await;
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        answer.refused(401, "unauthenticated")["detail"].as_str().unwrap().to_owned()
    };
    let last = if key.ends_with('0') { "1" } else { "0" };
    for mistyped in [format!("{}{last}", &key[..key.len() - 1]), key[..key.len() - 1].to_owned(), format!("{key}0")] {
        assert!(refused(mistyped).await.contains("not copied right"));
    }
    for wrong in ["sh_nope", "nope", &"x".repeat(5000)] {
        assert_eq!(refused(wrong.to_owned()).await, "the key is not valid");
    }
}

#[tokio::test]
async fn scopes_open_what_they_name_and_no_more() {
    let server = Server::start().await;
    let (_, reader) = make(&server, json!({"name": "r", "scopes": ["stock:read", "catalog:write"]})).await;
    assert_eq!(status_with(&server, &reader, "/v1/warehouses").await, 200);
    assert_eq!(status_with(&server, &reader, "/v1/products").await, 200, "writing includes reading");
    assert_eq!(status_with(&server, &reader, "/v1/orders").await, 403);
    let adjust = server.anonymous(Method::POST, "/v1/stock/adjustments").bearer_auth(&reader).json(&json!({}));
    assert!(send(adjust).await.refused(403, "forbidden")["detail"].as_str().unwrap().contains("stock:write"));
    let bad = json!({"name": " ", "scopes": ["stock:eat"], "warehouses": [], "channels": ["ö"]});
    server.post("/v1/keys", bad).await.invalid(&[
        "/name pattern",
        "/scopes/0 enum",
        "/warehouses min_items",
        "/channels/0 pattern",
    ]);
}

#[tokio::test]
async fn a_revoked_key_is_refused_on_every_server_within_a_second() {
    let [first, second] = Server::pair().await;
    let (id, key) = make(&first, json!({"name": "till", "scopes": ["stock:read"]})).await;
    for server in [&first, &second] {
        assert_eq!(status_with(server, &key, "/v1/warehouses").await, 200);
    }
    first.delete(&format!("/v1/keys/{id}")).await.expect(204);
    tokio::time::sleep(A_SECOND).await;
    for server in [&first, &second] {
        assert_eq!(status_with(server, &key, "/v1/warehouses").await, 401);
    }
    first.delete(&format!("/v1/keys/{id}")).await.expect(204);
    assert_eq!(first.get(&format!("/v1/keys/{id}")).await.expect(200)["status"], "revoked");
    first.post(&format!("/v1/keys/{id}/rotate"), json!({})).await.refused(409, "invalid-state");
}

#[tokio::test]
async fn a_rotated_key_opens_with_both_secrets_until_the_overlap_ends() {
    let server = Server::start().await;
    let (id, old) = make(&server, json!({"name": "till", "scopes": ["stock:read"]})).await;
    let rotate = format!("/v1/keys/{id}/rotate");
    let rotated = server.post(&rotate, json!({"overlap_seconds": 3600})).await.expect(201);
    assert_eq!(rotated["id"], id.as_str());
    assert!(rotated["previous_secret_until"].is_string());
    let new = rotated["key"].as_str().unwrap().to_owned();
    assert_eq!(old[..14], new[..14], "the public part stays");
    for key in [&old, &new] {
        assert_eq!(status_with(&server, key, "/v1/warehouses").await, 200);
    }
    let third = server.post(&rotate, json!({"overlap_seconds": 0})).await.expect(201);
    tokio::time::sleep(A_SECOND).await;
    for key in [&old, &new] {
        assert_eq!(status_with(&server, key, "/v1/warehouses").await, 401);
    }
    assert_eq!(status_with(&server, third["key"].as_str().unwrap(), "/v1/warehouses").await, 200);
}

#[tokio::test]
async fn an_expired_key_is_refused() {
    let server = Server::start().await;
    let past = json!({"name": "till", "scopes": ["stock:read"], "expires_at": "2020-01-01T00:00:00Z"});
    server.post("/v1/keys", past).await.invalid(&["/expires_at past"]);
    let body = json!({"name": "till", "scopes": ["stock:read"], "expires_at": "2099-01-01T00:00:00Z"});
    let (id, key) = make(&server, body).await;
    assert_eq!(status_with(&server, &key, "/v1/warehouses").await, 200);
    server.sql(&format!("UPDATE access.keys SET expires_at = clock_timestamp() WHERE id = '{id}'")).await.unwrap();
    tokio::time::sleep(A_SECOND).await;
    assert_eq!(status_with(&server, &key, "/v1/warehouses").await, 401);
    assert_eq!(each(&server.list("/v1/keys?status=expired").await, "id"), [&json!(id)]);
}

#[tokio::test]
async fn the_last_admin_key_stays_and_the_bootstrap_key_can_be_replaced() {
    let server = Server::start().await;
    let bootstrap = server.list("/v1/keys").await[0]["id"].as_str().unwrap().to_owned();
    server.delete(&format!("/v1/keys/{bootstrap}")).await.refused(409, "in-use");
    server.post(&format!("/v1/keys/{bootstrap}/rotate"), json!({})).await.refused(409, "invalid-state");
    // Neither a limited admin key nor one of a lesser scope would do.
    make(&server, json!({"name": "limited", "scopes": ["admin:write"], "warehouses": ["A"]})).await;
    server.delete(&format!("/v1/keys/{bootstrap}")).await.refused(409, "in-use");
    let (_, key) = make(&server, json!({"name": "new admin", "scopes": ["admin:write"]})).await;
    server.delete(&format!("/v1/keys/{bootstrap}")).await.expect(204);
    tokio::time::sleep(A_SECOND).await;
    server.get("/v1/keys").await.refused(401, "unauthenticated");
    assert_eq!(status_with(&server, &key, "/v1/keys").await, 200);
    // It stays revoked when the next server is started with it.
    server.app.access.bootstrap(Some(crate::harness::ADMIN_KEY)).await.unwrap();
    server.get("/v1/keys").await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn the_last_use_of_a_key_is_noted() {
    let server = Server::start().await;
    let (id, key) = make(&server, json!({"name": "till", "scopes": ["stock:read"]})).await;
    let path = format!("/v1/keys/{id}");
    assert_eq!(server.get(&path).await.expect(200)["last_used_at"], Value::Null);
    status_with(&server, &key, "/v1/warehouses").await;
    eventually("the use is noted", || async { server.get(&path).await.expect(200)["last_used_at"].is_string() }).await;
}
