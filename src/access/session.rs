//! Sessions: what stands for a log-in, in a browser's cookie and here.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;

use super::scope::Scope;
use super::secret;
use super::user::User;
use crate::platform::audit::{Actor, Entry};
use crate::platform::clock::Timestamp;

/// What the cookie holds. It is never stored and never logged.
pub struct Token(pub String);

impl Token {
    /// 190 random bits.
    pub fn generate() -> Self {
        Self(secret::letters(secret::SECRET))
    }

    /// The digest under which the session is stored. It is none that a key could have, so that neither opens as
    /// the other.
    pub fn hash(&self) -> [u8; 32] {
        self.digest("session")
    }

    /// What a page of ours sends along with a change. Only who reads our answers knows it, and only who has the
    /// cookie could have made it; so it needs no storage, and ends with the session.
    pub fn csrf(&self) -> String {
        self.digest("csrf")[..16].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn digest(&self, purpose: &str) -> [u8; 32] {
        Sha256::new().chain_update(purpose).chain_update(" ").chain_update(&self.0).finalize().into()
    }
}

/// The session that a request came in.
#[derive(Clone, Debug)]
pub struct OpenSession {
    pub id: Uuid,
    pub user: Uuid,
    pub csrf_token: String,
}

/// Where a log-in comes from.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    pub request_id: Option<String>,
    pub address: Option<IpAddr>,
    pub user_agent: Option<String>,
}

/// The call by which sessions are opened, as the audit trail has it.
pub struct Door {
    operation: &'static str,
    path: &'static str,
    status: u16,
}

pub const OPENED_BY_PASSWORD: Door = Door { operation: "POST /v1/session", path: "/v1/session", status: 201 };
pub const OPENED_BY_PROVIDER: Door =
    Door { operation: "GET /v1/session/oidc/callback", path: "/v1/session/oidc/callback", status: 303 };

impl Door {
    pub fn entry(&self, by: Actor, origin: &Origin) -> Entry {
        let mut entry = Entry::new(by, self.operation);
        (entry.path, entry.status) = (Some(self.path.to_owned()), Some(self.status));
        (entry.request_id, entry.address) = (origin.request_id.clone(), origin.address);
        entry
    }
}

/// A log-in that has not ended
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b", "created_at": "2026-11-23T09:30:00.000Z",
    "last_seen_at": "2026-11-23T10:00:00.000Z", "expires_at": "2026-11-23T22:00:00.000Z",
    "address": "192.0.2.7", "user_agent": "Mozilla/5.0"
}))]
pub struct Session {
    pub id: Uuid,
    pub created_at: Timestamp,
    /// To the minute
    pub last_seen_at: Timestamp,
    /// When it ends if it is not used any more, or in any case
    pub expires_at: Timestamp,
    pub address: Option<String>,
    pub user_agent: Option<String>,
}

/// The sessions of a user
#[derive(Debug, Serialize, ToSchema)]
pub struct Sessions {
    pub items: Vec<Session>,
}

/// A session, as its own user sees it
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OwnSession {
    #[serde(flatten)]
    pub session: Session,
    pub user: User,
    /// What the user's role may do
    pub scopes: Vec<Scope>,
    /// To be sent as `X-CSRF-Token` with every change
    pub csrf_token: String,
}

/// Who else vouches for people
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({"name": "Example", "start": "/v1/session/oidc/start"}))]
pub struct LoginProvider {
    /// What people call it
    pub name: String,
    /// Where to send a browser that wants to log in there; it takes `return_to`
    pub start: String,
}

/// Login and password
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"login": "anna@example.com", "password": "correct horse battery staple"}))]
pub struct LogIn {
    #[schema(min_length = 1, max_length = 254)]
    pub login: String,
    #[schema(min_length = 1, max_length = 1000)]
    pub password: String,
}

/// A password to set
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"password": "correct horse battery staple"}))]
pub struct NewPassword {
    /// 12 characters or more, 128 bytes at most
    #[schema(min_length = 12, max_length = 128)]
    pub password: String,
}

/// One's own password to set
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"present_password": "correct horse battery staple", "password": "a new horse, and another staple"}))]
pub struct OwnPassword {
    #[schema(min_length = 1, max_length = 1000)]
    pub present_password: String,
    /// 12 characters or more, 128 bytes at most
    #[schema(min_length = 12, max_length = 128)]
    pub password: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_s_digests_have_nothing_in_common() {
        let token = Token::generate();
        assert_ne!(token.hash(), secret::hash(&token.0));
        assert_ne!(token.csrf(), Token::generate().csrf());
        assert_eq!(token.csrf().len(), 32);
    }
}
