//! An OpenID provider of our own that signs whatever a test wants signed, for the answers that no good provider gives.
//! It holds the client to its side: the redirect URI, the secret, and PKCE.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::Listener;
use axum::{Form, Json, Router};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use openidconnect::core::{CoreEdDsaPrivateSigningKey, CoreJwsSigningAlgorithm};
use openidconnect::{JsonWebKeyId, PrivateSigningKey};
use rcgen::{CertifiedKey, KeyPair};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use stockhold::access::Oidc;
use stockhold::platform::clock::Timestamp;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::server::TlsStream;

use super::{Asked, PUBLIC_URL};

pub const SECRET: &str = "hush & more, of the client";

#[derive(Clone)]
pub struct Provider(Arc<Inner>);

struct Inner {
    issuer: String,
    key: Mutex<CoreEdDsaPrivateSigningKey>,
    grants: Mutex<HashMap<String, Grant>>,
    granted: AtomicU32,
    away: AtomicBool,
    /// How often it was asked for its keys.
    asked: AtomicU32,
}

struct Grant {
    token: String,
    challenge: String,
    facts: Value,
}

pub fn new_key(id: &str) -> CoreEdDsaPrivateSigningKey {
    let pem = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().serialize_pem();
    CoreEdDsaPrivateSigningKey::from_ed25519_pem(&pem, Some(JsonWebKeyId::new(id.to_owned()))).unwrap()
}

struct WithTls(TcpListener, TlsAcceptor);

impl Listener for WithTls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.0.accept().await.unwrap();
            // Whoever does not trust the certificate goes away.
            if let Ok(stream) = self.1.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

/// A token with these claims, by this key.
pub fn sign(key: &CoreEdDsaPrivateSigningKey, claims: &Value) -> String {
    let kid = key.as_verification_key();
    let kid = serde_json::to_value(&kid).unwrap()["kid"].clone();
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(&json!({"alg": "EdDSA", "kid": kid, "typ": "JWT"})), part(claims));
    let signature = key.sign(&CoreJwsSigningAlgorithm::EdDsa, text.as_bytes()).unwrap();
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

impl Provider {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        Self::serve(listener, issuer)
    }

    /// By https, as `localhost`.
    pub async fn start_with_tls(certificate: &CertifiedKey<KeyPair>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let key = PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.cert.der().clone()], key)
            .unwrap();
        let issuer = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        Self::serve(WithTls(listener, TlsAcceptor::from(Arc::new(config))), issuer)
    }

    fn serve<L: Listener<Addr: std::fmt::Debug>>(listener: L, issuer: String) -> Self {
        let provider = Self(Arc::new(Inner {
            issuer,
            key: Mutex::new(new_key("first")),
            grants: Mutex::default(),
            granted: AtomicU32::default(),
            away: AtomicBool::default(),
            asked: AtomicU32::default(),
        }));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(configuration))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .route("/userinfo", get(userinfo))
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        provider
    }

    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    pub fn settings(&self) -> Oidc {
        let given =
            json!({"issuer": self.issuer(), "client_id": "stockhold", "client_secret": SECRET, "name": "Signer"});
        serde_json::from_value(given).unwrap()
    }

    pub fn go_away(&self, away: bool) {
        self.0.away.store(away, Ordering::SeqCst);
    }

    pub fn times_asked(&self) -> u32 {
        self.0.asked.load(Ordering::SeqCst)
    }

    pub fn turn_key(&self, key: CoreEdDsaPrivateSigningKey) {
        *self.0.key.lock().unwrap() = key;
    }

    /// What a token for this log-in should say of Anna.
    pub fn claims(&self, asked: &Asked) -> Value {
        let now = Timestamp::now().0.timestamp();
        json!({
            "iss": self.issuer(), "aud": "stockhold", "sub": "subject-of-anna", "iat": now, "exp": now + 300,
            "nonce": asked.parameter("nonce"), "email": "Anna@Example.com", "email_verified": true, "name": "Anna Berg",
        })
    }

    /// Logs somebody in: the token is signed, and waits for its code. Returns where the browser is sent.
    pub fn grant(&self, asked: &Asked, claims: &Value) -> String {
        self.grant_token(asked, self.signed(claims), claims.clone())
    }

    pub fn signed(&self, claims: &Value) -> String {
        sign(&self.0.key.lock().unwrap(), claims)
    }

    /// The same with a token as it is, and what else it says of them when it is asked.
    pub fn grant_token(&self, asked: &Asked, token: String, facts: Value) -> String {
        let code = format!("code-{}", self.0.granted.fetch_add(1, Ordering::SeqCst));
        let challenge = asked.parameter("code_challenge");
        self.0.grants.lock().unwrap().insert(code.clone(), Grant { token, challenge, facts });
        asked.callback(&[("code", &code), ("state", &asked.parameter("state"))])
    }

    fn answer(&self, body: impl FnOnce() -> Value) -> Response {
        if self.0.away.load(Ordering::SeqCst) {
            return StatusCode::BAD_GATEWAY.into_response();
        }
        Json(body()).into_response()
    }
}

async fn configuration(State(provider): State<Provider>) -> Response {
    let at = |path: &str| format!("{}{path}", provider.issuer());
    provider.answer(|| {
        json!({
            "issuer": provider.issuer(), "authorization_endpoint": at("/authorize"), "token_endpoint": at("/token"),
            "userinfo_endpoint": at("/userinfo"), "jwks_uri": at("/keys"), "response_types_supported": ["code"],
            "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["EdDSA"],
        })
    })
}

async fn keys(State(provider): State<Provider>) -> Response {
    provider.0.asked.fetch_add(1, Ordering::SeqCst);
    provider.answer(|| json!({"keys": [provider.0.key.lock().unwrap().as_verification_key()]}))
}

async fn token(
    State(provider): State<Provider>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let refused = |why: &str| (StatusCode::BAD_REQUEST, Json(json!({"error": why}))).into_response();
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let basic = format!("Basic {}", STANDARD.encode(format!("stockhold:{}", encode(SECRET))));
    if headers.get("authorization").is_none_or(|given| given.as_bytes() != basic.as_bytes()) {
        return refused("invalid_client");
    }
    // A code is good for once.
    let Some(grant) = provider.0.grants.lock().unwrap().remove(&form["code"]) else { return refused("invalid_grant") };
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&form["code_verifier"]));
    if challenge != grant.challenge || form["redirect_uri"] != format!("{PUBLIC_URL}/v1/session/oidc/callback") {
        return refused("invalid_grant");
    }
    let access = format!("access-{}", form["code"]);
    let answer = json!({"access_token": access, "token_type": "Bearer", "id_token": grant.token, "expires_in": 300});
    provider.0.grants.lock().unwrap().insert(access, grant);
    provider.answer(|| answer)
}

async fn userinfo(State(provider): State<Provider>, headers: HeaderMap) -> Response {
    let access = headers["authorization"].to_str().unwrap().trim_start_matches("Bearer ").to_owned();
    let facts = provider.0.grants.lock().unwrap().get(&access).map(|grant| grant.facts.clone());
    facts.map_or_else(|| StatusCode::UNAUTHORIZED.into_response(), |facts| provider.answer(|| facts))
}
