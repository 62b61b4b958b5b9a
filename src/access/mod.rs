//! Who may call, and what: programs by API keys with scopes and limits, people by sessions with roles.
//!
//! **Invariants:** of keys and sessions only a digest is stored; a key itself is shown once, when it is made. What
//! an operation asks for stands in its documentation, from which the check is made (`http::guard`); an operation
//! that says nothing is served to nobody.

mod error;
mod http;
mod key;
mod limits;
mod oidc;
mod password;
mod repo;
mod role;
mod scope;
mod secret;
mod session;
mod sessions;
mod throttle;
mod user;
mod users;

use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::platform::Caller;
use crate::platform::audit::{self, Actor, Change, Entry, Filter, Place};
use crate::platform::db::Db;
use crate::platform::id;
use crate::platform::page::{Page, PageRequest};

pub use error::{Error, Result};
pub use http::{Guard, guard, router};
pub use key::{DEFAULT_OVERLAP, IssuedKey, Key, KeyStatus, NewKey, Rotation};
pub use limits::{Limit, Limits};
pub use oidc::{ClientSecret, LoginClaim, Oidc};
pub use role::{Role, RoleRights, Roles};
pub use scope::Scope;
pub use session::{LogIn, LoginProvider, NewPassword, OpenSession, OwnPassword, OwnSession, Session, Sessions};
pub use user::{NewUser, User};

use oidc::Provider;
use password::Passwords;
use secret::Secret;
use session::Token;
use throttle::Addresses;

/// How long a key that was found valid is believed without asking again: what is revoked ends everywhere within it.
const TRUST: Duration = Duration::from_millis(500);

/// Unattended set-up may bring its own key; shorter ones could be guessed.
pub const MIN_ADMIN_KEY: usize = 32;

/// Callers whose principals are kept; more than that, and those not seen lately are forgotten.
const KNOWN: usize = 10_000;

/// Who calls, and what they may.
#[derive(Clone, Debug)]
pub struct Principal {
    pub caller: Caller,
    pub scopes: Arc<[Scope]>,
    pub limits: Arc<Limits>,
    /// The session, of a user.
    pub session: Option<Uuid>,
}

impl Principal {
    pub fn may(&self, needed: Scope) -> bool {
        self.scopes.iter().any(|scope| scope.covers(needed))
    }
}

/// What a caller shows.
enum Credential<'a> {
    Key(&'a str),
    Session(&'a Token),
}

/// What an installation may set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A session ends after so long without use, and in any case after so many days.
    pub session_idle_hours: i32,
    pub session_days: i32,
    /// Where browsers find the server, if that is not what they put into `Host`.
    pub public_url: Option<url::Url>,
    /// A provider by which people may log in as well; it needs `public_url`.
    pub oidc: Option<Oidc>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { session_idle_hours: 12, session_days: 7, public_url: None, oidc: None }
    }
}

/// Callers by the digests of what they show, and when each was last looked up. Only valid ones get in.
type Known = HashMap<[u8; 32], (Principal, Instant)>;

#[derive(Clone)]
pub struct Access {
    db: Db,
    settings: Arc<Settings>,
    known: Arc<RwLock<Known>>,
    passwords: Passwords,
    addresses: Arc<Addresses>,
    provider: Option<Arc<Provider>>,
}

impl Access {
    pub fn new(db: Db, settings: Settings) -> Self {
        let provider = settings.oidc.clone().zip(settings.public_url.as_ref());
        Self {
            db,
            provider: provider.map(|(oidc, public_url)| Provider::new(oidc, public_url).into()),
            settings: settings.into(),
            known: Arc::default(),
            passwords: Passwords::default(),
            addresses: Arc::default(),
        }
    }

    /// Sees to it that an admin key exists. Returns one when it had to be made: the only time it is seen.
    pub async fn bootstrap(&self, given: Option<&str>) -> Result<Option<String>> {
        let admin = NewKey {
            name: "admin".to_owned(),
            scopes: vec![Scope::ADMIN],
            warehouses: None,
            channels: None,
            expires_at: None,
        };
        let mut tx = self.db.begin().await?;
        let made = match given {
            Some(key) => {
                let id = id::new();
                if repo::keys::insert(&mut tx, id, &admin, None, &secret::hash(key), "bootstrap").await? {
                    let fields = repo::keys::get(&mut tx, id).await?.ok_or(Error::NoKey(id))?;
                    record(&mut tx, Actor::Server, "bootstrap", fields.address(), None, &fields).await?;
                }
                None
            }
            None => {
                repo::keys::lock(&mut tx).await?;
                if repo::keys::any_key(&mut tx).await? {
                    None
                } else {
                    let issued = self.create_in_tx(&mut tx, &admin, "bootstrap").await?;
                    record(&mut tx, Actor::Server, "bootstrap", issued.fields.address(), None, &issued.fields).await?;
                    issued.key
                }
            }
        };
        tx.commit().await?;
        Ok(made)
    }

    /// For the command line, as are the next two.
    pub async fn create(&self, key: &NewKey, created_by: &str) -> Result<IssuedKey> {
        let mut tx = self.db.begin().await?;
        let issued = self.create_in_tx(&mut tx, key, created_by).await?;
        let made = &issued.fields;
        record(&mut tx, Actor::CommandLine, "stockhold keys create", made.address(), None, made).await?;
        tx.commit().await?;
        Ok(issued)
    }

    pub async fn rotate(&self, id: Uuid, rotation: &Rotation) -> Result<IssuedKey> {
        let mut tx = self.db.begin().await?;
        let current = self.lock_key_in_tx(&mut tx, id).await?;
        let issued = self.rotate_in_tx(&mut tx, &current, rotation).await?;
        let (by, operation) = (Actor::CommandLine, "stockhold keys rotate");
        record(&mut tx, by, operation, current.address(), Some(&current), &issued.fields).await?;
        tx.commit().await?;
        Ok(issued)
    }

    pub async fn revoke(&self, id: Uuid) -> Result<Key> {
        let mut tx = self.db.begin().await?;
        let current = self.lock_key_in_tx(&mut tx, id).await?;
        self.revoke_in_tx(&mut tx, &current).await?;
        let revoked = self.lock_key_in_tx(&mut tx, id).await?;
        let (by, operation) = (Actor::CommandLine, "stockhold keys revoke");
        record(&mut tx, by, operation, current.address(), Some(&current), &revoked).await?;
        tx.commit().await?;
        Ok(revoked)
    }

    async fn create_in_tx(&self, conn: &mut PgConnection, key: &NewKey, created_by: &str) -> Result<IssuedKey> {
        if let Some(time) = key.expires_at
            && repo::keys::is_past(conn, time).await?
        {
            return Err(Error::ExpiresInThePast);
        }
        let (id, secret) = (id::new(), Secret::generate(None));
        repo::keys::insert(conn, id, key, Some(secret.public_id()), &secret.hash(), created_by).await?;
        let fields = repo::keys::get(conn, id).await?.ok_or(Error::NoKey(id))?;
        Ok(IssuedKey { fields, key: Some(secret.text) })
    }

    /// A new secret for the same, locked key: same id, scopes and limits. The old secret opens for a while longer.
    async fn rotate_in_tx(&self, conn: &mut PgConnection, current: &Key, rotation: &Rotation) -> Result<IssuedKey> {
        match current.status {
            KeyStatus::Revoked => return Err(Error::Revoked),
            KeyStatus::Expired => return Err(Error::Expired),
            KeyStatus::Active => {}
        }
        let secret = Secret::generate(Some(current.public_id.as_deref().ok_or(Error::BroughtAlong)?));
        repo::keys::rotate(conn, current.id, &secret.hash(), rotation.overlap_seconds).await?;
        let fields = repo::keys::get(conn, current.id).await?.ok_or(Error::NoKey(current.id))?;
        Ok(IssuedKey { fields, key: Some(secret.text) })
    }

    /// Keeps all keys from changing until the transaction ends, and reads one.
    async fn lock_key_in_tx(&self, conn: &mut PgConnection, id: Uuid) -> Result<Key> {
        repo::keys::lock(conn).await?;
        repo::keys::get(conn, id).await?.ok_or(Error::NoKey(id))
    }

    /// Ends a locked key for good. Revoking twice is fine.
    async fn revoke_in_tx(&self, conn: &mut PgConnection, key: &Key) -> Result<()> {
        if key.is_admin() && !repo::keys::other_admin(conn, key.id).await? {
            return Err(Error::LastAdmin);
        }
        Ok(repo::keys::revoke(conn, key.id).await?)
    }

    pub async fn list(&self, page: PageRequest<Uuid>, status: Option<KeyStatus>) -> Result<Page<Key>> {
        let keys = repo::keys::list(&mut *self.db.conn().await?, &page, status, None).await?;
        Ok(page.page(keys, |key| key.id))
    }

    pub async fn get(&self, id: Uuid) -> Result<Key> {
        repo::keys::get(&mut *self.db.conn().await?, id).await?.ok_or(Error::NoKey(id))
    }

    /// Who changed what, in all modules.
    async fn audit(&self, filter: &Filter, page: PageRequest<Place>) -> sqlx::Result<Page<Change>> {
        audit::list(&self.db, filter, page).await
    }

    /// Whoever shows this; `None` when it opens nothing, or no longer.
    async fn principal(&self, shown: Credential<'_>) -> sqlx::Result<Option<Principal>> {
        let hash = match shown {
            Credential::Key(key) => secret::hash(key),
            Credential::Session(token) => token.hash(),
        };
        if let Some((principal, seen)) = self.known.read().expect("never poisoned").get(&hash)
            && seen.elapsed() < TRUST
        {
            return Ok(Some(principal.clone()));
        }
        let asked = Instant::now();
        let mut conn = self.db.conn().await?;
        let found = match shown {
            Credential::Key(_) => repo::keys::find(&mut conn, &hash).await?,
            Credential::Session(_) => repo::sessions::find(&mut conn, &hash, &self.settings).await?,
        };
        drop(conn);
        let mut known = self.known.write().expect("never poisoned");
        let Some((principal, stale)) = found else {
            known.remove(&hash);
            return Ok(None);
        };
        if known.len() >= KNOWN {
            known.retain(|_, (_, seen)| seen.elapsed() < TRUST);
        }
        known.insert(hash, (principal.clone(), asked));
        drop(known);
        if stale {
            self.note_use(&principal);
        }
        Ok(Some(principal))
    }

    /// Beside the request: nobody waits for it, and it does not matter if it fails.
    fn note_use(&self, principal: &Principal) {
        let (db, key, session) = (self.db.clone(), principal.caller.id, principal.session);
        tokio::spawn(async move {
            let noted = async {
                let mut conn = db.conn().await?;
                match session {
                    Some(session) => repo::sessions::note_use(&mut conn, session).await,
                    None => repo::keys::note_use(&mut conn, key).await,
                }
            };
            if let Err(error) = noted.await {
                tracing::debug!(%error, "the use of a key or session was not noted");
            }
        });
    }
}

/// What is changed by another way than a call is in the audit trail as well.
async fn record<T: Serialize>(
    conn: &mut PgConnection,
    by: Actor,
    operation: &str,
    subject: String,
    before: Option<&T>,
    after: &T,
) -> sqlx::Result<()> {
    let entry = Entry::new(by, operation).about(subject).is(after);
    let entry = if let Some(before) = before { entry.was(before) } else { entry };
    audit::record_in_tx(conn, &entry).await
}
