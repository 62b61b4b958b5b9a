//! Who gets in by the provider: users who are linked, those whom it knows by their login, and new ones.

use serde_json::{Value, json};
use stockhold::access::{LoginClaim, Oidc};

use super::signer::Provider;
use super::{Asked, log_in, server_with, session_of, visit};
use crate::harness::{Answer, each, eventually};
use crate::users;

#[tokio::test]
async fn who_may_not_log_in_is_refused() {
    let provider = Provider::start().await;
    let server = server_with(provider.settings()).await;
    let anna = users::user(&server, "anna@example.com", "clerk", json!({})).await;
    let ben = users::user(&server, "ben@example.com", "clerk", json!({})).await;
    let mut told = Vec::new();
    let mut refuse = |answer: Answer| told.push(answer.refused(401, "external-login-failed")["detail"].clone());

    refuse(log_in(&server.url, &provider, |claims| claims["email"] = json!("nobody@example.com")).await);
    for not_verified in [json!(false), Value::Null] {
        refuse(log_in(&server.url, &provider, |claims| claims["email_verified"] = not_verified).await);
    }
    // A disabled user is not linked, and one who is linked does not get in.
    server.delete(&format!("/v1/users/{anna}")).await.expect(204);
    refuse(log_in(&server.url, &provider, |_| ()).await);
    assert_eq!(server.get(&format!("/v1/users/{anna}")).await.expect(200)["issuer"], Value::Null);
    let enable = json!({"disabled": false});
    server.patch(&format!("/v1/users/{anna}"), enable).await.expect(200);
    let (cookie, _) = session_of(&server.url, log_in(&server.url, &provider, |_| ()).await).await;
    server.delete(&format!("/v1/users/{anna}")).await.expect(204);
    refuse(log_in(&server.url, &provider, |_| ()).await);
    eventually("the session ends", || async { visit(&server.url, "/v1/session", &cookie).await.status == 401 }).await;
    assert!(told.windows(2).all(|pair| pair[0] == pair[1]), "it tells who is there: {told:?}");

    // Whoever has Anna's address later is not Anna, nor is Ben when somebody else was him first.
    server.patch(&format!("/v1/users/{anna}"), json!({"disabled": false})).await.expect(200);
    let heir = |claims: &mut Value| claims["sub"] = json!("subject-of-an-heir");
    log_in(&server.url, &provider, heir).await.refused(401, "external-login-failed");
    // Until an administrator says so.
    server.delete(&format!("/v1/users/{anna}/identity")).await.expect(204);
    assert_eq!(server.get(&format!("/v1/users/{anna}")).await.expect(200)["issuer"], Value::Null);
    let (cookie, own) = session_of(&server.url, log_in(&server.url, &provider, heir).await).await;
    assert_eq!(own["user"]["id"], json!(anna));
    server.delete(&format!("/v1/users/{anna}/identity")).await.expect(204);
    eventually("the session ends", || async { visit(&server.url, "/v1/session", &cookie).await.status == 401 }).await;
    assert_eq!(server.get(&format!("/v1/users/{ben}")).await.expect(200)["issuer"], Value::Null);
    server.assert_clean().await;
}

#[tokio::test]
async fn new_users_are_made_where_the_settings_say_so() {
    let provider = Provider::start().await;
    let server = server_with(Oidc { new_users: Some("viewer".to_owned()), ..provider.settings() }).await;
    // What the token does not say, the provider is asked for; both at once make one user.
    let bare = async || {
        let asked = Asked::of(&server).await;
        let mut claims = provider.claims(&asked);
        let facts = claims.clone();
        claims.as_object_mut().unwrap().retain(|name, _| !name.starts_with("email") && name != "name");
        let path = provider.grant_token(&asked, provider.signed(&claims), facts);
        visit(&server.url, &path, &asked.cookie).await
    };
    let (one, two) = tokio::join!(bare(), bare());
    let ((cookie, own), (_, also)) = (session_of(&server.url, one).await, session_of(&server.url, two).await);
    assert_eq!(own["user"]["id"], also["user"]["id"]);
    let user = &own["user"];
    assert_eq!((&user["login"], &user["name"]), (&json!("anna@example.com"), &json!("Anna Berg")));
    assert_eq!((&user["role"], &user["has_password"]), (&json!("viewer"), &json!(false)));
    assert_eq!(user["created_by"], "OpenID provider");
    assert_eq!(visit(&server.url, "/v1/orders", &cookie).await.status, 200);
    assert_eq!(visit(&server.url, "/v1/users", &cookie).await.status, 403);
    let rows = server.list(&format!("/v1/audit?subject=/v1/users/{}", user["id"].as_str().unwrap())).await;
    assert_eq!(each(&rows, "before"), [&Value::Null]);
    assert_eq!((&rows[0]["by"]["kind"], &rows[0]["after"]["login"]), (&json!("server"), &json!("anna@example.com")));

    // What is said about somebody else is about nobody.
    let asked = Asked::of(&server).await;
    let mut claims = provider.claims(&asked);
    claims["sub"] = json!("subject-of-cara");
    let facts = claims.clone();
    claims.as_object_mut().unwrap().remove("email");
    claims["sub"] = json!("subject-of-dan");
    let path = provider.grant_token(&asked, provider.signed(&claims), facts);
    visit(&server.url, &path, &asked.cookie).await.refused(401, "external-login-failed");
    // Nor can everything be a login.
    let odd = log_in(&server.url, &provider, |claims| {
        (claims["sub"], claims["email"]) = (json!("odd"), json!("\"odd one\"@example.com"));
    });
    odd.await.refused(401, "external-login-failed");
    server.assert_clean().await;
}

#[tokio::test]
async fn by_name_only_where_the_settings_say_so() {
    let provider = Provider::start().await;
    let server = server_with(Oidc { login_claim: LoginClaim::PreferredUsername, ..provider.settings() }).await;
    let anna = users::user(&server, "anna", "clerk", json!({})).await;
    let named = log_in(&server.url, &provider, |claims| claims["preferred_username"] = json!("Anna")).await;
    assert_eq!(session_of(&server.url, named).await.1["user"]["id"], json!(anna));
    let other = log_in(&server.url, &provider, |claims| claims["sub"] = json!("other")).await;
    other.refused(401, "external-login-failed");
}
