//! Who may call: API keys.
//!
//! **Invariant:** only a key's digest is stored; the key itself is shown once, when it is made.

mod http;
mod repo;

use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use crate::platform::db::Db;
use crate::platform::{Caller, id};

pub use http::authenticate;

/// How long a key that was found valid is believed without asking again.
const TRUST: Duration = Duration::from_millis(500);

/// Unattended set-up may bring its own key; shorter ones could be guessed.
pub const MIN_ADMIN_KEY: usize = 32;

/// Callers by their keys' digests, and when each was last looked up. Only valid keys get in.
type Known = HashMap<[u8; 32], (Caller, Instant)>;

#[derive(Clone)]
pub struct Access {
    db: Db,
    known: Arc<RwLock<Known>>,
}

impl Access {
    pub fn new(db: Db) -> Self {
        Self { db, known: Arc::default() }
    }

    /// Sees to it that an admin key exists. Returns one when it had to be made: the only time it is seen.
    pub async fn bootstrap(&self, given: Option<&str>) -> sqlx::Result<Option<String>> {
        let mut tx = self.db.begin().await?;
        let made = match given {
            Some(key) => {
                insert_admin(&mut tx, key).await?;
                None
            }
            None if repo::any_key_locked(&mut tx).await? => None,
            None => {
                let key = format!("sh_{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()));
                insert_admin(&mut tx, &key).await?;
                Some(key)
            }
        };
        tx.commit().await?;
        Ok(made)
    }

    /// The caller behind a key; `None` when there is no such key, or no longer.
    async fn caller(&self, key: &str) -> sqlx::Result<Option<Caller>> {
        let hash: [u8; 32] = Sha256::digest(key).into();
        if let Some((caller, seen)) = self.known.read().expect("never poisoned").get(&hash)
            && seen.elapsed() < TRUST
        {
            return Ok(Some(caller.clone()));
        }
        let found = repo::find(&mut *self.db.conn().await?, &hash).await?;
        let mut known = self.known.write().expect("never poisoned");
        match &found {
            Some(caller) => known.insert(hash, (caller.clone(), Instant::now())),
            None => known.remove(&hash),
        };
        Ok(found)
    }
}

async fn insert_admin(conn: &mut PgConnection, key: &str) -> sqlx::Result<()> {
    let hash: [u8; 32] = Sha256::digest(key).into();
    repo::insert(conn, id::new(), "admin", &hash, &["admin:write".to_owned()]).await
}
