//! The audit trail: who changed what, how it was and became, by which request and from where.
//!
//! - **Invariant:** a change and its row are one transaction: there is none without the other.
//! - **Invariant:** no secret gets in. Bodies of requests are not kept at all; of an answer, what may be kept.
//! - **Invariant:** the application's role may add and read rows, and nothing else (`db::role`, and triggers).
//!
//! `Command::run` writes the row of every call over HTTP. What changes something by another way (the command line,
//! the server's first start) calls [`record_in_tx`] itself.

mod repo;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use sqlx::{Connection, PgConnection};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Caller;
use super::clock::Timestamp;
use super::db::{Db, Writes};
use super::page::{Page, PageRequest};
use super::reply::Reply;

/// A representation larger than this is kept as its length and digest: more than a full batch answers, in bytes.
const MOST: usize = 1024 * 1024;

/// How many months ahead there are partitions.
const MONTHS_AHEAD: i32 = 3;

/// Who makes a change.
#[derive(Clone, Debug)]
pub enum Actor {
    Caller(Caller),
    /// Whoever may run `stockhold` on the server's data
    CommandLine,
    /// Devices, through the message broker of this name
    Broker(&'static str),
    /// The server of its own accord
    Server,
}

impl Actor {
    fn id(&self) -> Option<Uuid> {
        if let Self::Caller(caller) = self { Some(caller.id) } else { None }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Caller(caller) => caller.kind.as_str(),
            Self::CommandLine => "command_line",
            Self::Broker(_) => "broker",
            Self::Server => "server",
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Caller(caller) => &caller.name,
            Self::CommandLine => "command line",
            Self::Broker(name) => name,
            Self::Server => "server",
        }
    }
}

/// A change that was made, to be recorded.
///
/// ```ignore
/// let entry = Entry::new(Actor::CommandLine, "stockhold keys revoke").about(address).was(&key).is(&revoked);
/// audit::record_in_tx(&mut tx, &entry).await?;
/// ```
#[derive(Clone, Debug)]
pub struct Entry {
    pub by: Actor,
    /// What was called: the method and the route, or the command
    pub operation: String,
    pub path: Option<String>,
    /// The address of what was changed
    pub subject: Option<String>,
    pub status: Option<u16>,
    pub request_id: Option<String>,
    pub address: Option<IpAddr>,
    before: Option<String>,
    after: Option<String>,
}

impl Entry {
    pub fn new(by: Actor, operation: impl Into<String>) -> Self {
        Self {
            by,
            operation: operation.into(),
            path: None,
            subject: None,
            status: None,
            request_id: None,
            address: None,
            before: None,
            after: None,
        }
    }

    pub fn about(self, subject: impl Into<String>) -> Self {
        Self { subject: Some(subject.into()), ..self }
    }

    /// How the thing was. Must hold no secret.
    pub fn was<T: Serialize>(self, before: &T) -> Self {
        self.was_json(Some(text_of(before)))
    }

    pub fn was_json(self, before: Option<String>) -> Self {
        Self { before: before.map(bounded), ..self }
    }

    /// How the thing is now. Must hold no secret.
    pub fn is<T: Serialize>(self, after: &T) -> Self {
        Self { after: Some(bounded(text_of(after))), ..self }
    }

    /// What the caller was answered, as far as it may be kept.
    pub fn answered(self, reply: &Reply) -> Self {
        let after = std::str::from_utf8(reply.body_to_tell()).ok().filter(|body| !body.is_empty());
        Self { after: after.map(|body| bounded(body.to_owned())), status: Some(reply.status.as_u16()), ..self }
    }
}

pub(super) fn text_of<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("representations are plain data, which always serialises")
}

fn bounded(json: String) -> String {
    if json.len() <= MOST {
        return json;
    }
    let digest: String = Sha256::digest(&json).iter().map(|byte| format!("{byte:02x}")).collect();
    serde_json::json!({"too_large": {"bytes": json.len(), "sha256": digest}}).to_string()
}

/// Records a change in the transaction that makes it.
pub async fn record_in_tx(conn: &mut PgConnection, entry: &Entry) -> sqlx::Result<()> {
    let mut writes = Writes::default();
    record_with(&mut writes, std::slice::from_ref(entry));
    writes.write_out(conn).await
}

/// Records changes with what else is written.
pub(super) fn record_with(writes: &mut Writes, entries: &[Entry]) {
    if !entries.is_empty() {
        repo::insert(writes, entries);
    }
}

/// Who made a change
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct By {
    /// `key`, `user`, `command_line`, `broker` for what devices reported through one, or `server` for what it does of its own accord
    pub kind: String,
    pub id: Option<Uuid>,
    pub name: String,
}

/// A change that was made
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b", "time": "2026-11-23T09:30:00.000Z",
    "by": {"kind": "key", "id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b", "name": "Web shop"},
    "operation": "PATCH /v1/products/{sku}", "path": "/v1/products/TEA-1", "subject": "/v1/products/TEA-1",
    "status": 200, "request_id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b", "address": "203.0.113.7",
    "before": {"sku": "TEA-1", "name": "Assam tea"}, "after": {"sku": "TEA-1", "name": "Assam tea, 250 g"}
}))]
pub struct Change {
    pub id: Uuid,
    /// By the clock of the database
    pub time: Timestamp,
    pub by: By,
    /// Method and route, or the command, or `MQTT` and where it was sent
    pub operation: String,
    pub path: Option<String>,
    /// The address of what was changed or made
    pub subject: Option<String>,
    pub status: Option<u16>,
    pub request_id: Option<String>,
    /// Where the request came from
    pub address: Option<String>,
    /// How it was; null for what is new, and for batches
    #[schema(value_type = Option<serde_json::Value>)]
    pub before: Option<Box<RawValue>>,
    /// The answer, without secrets; null where nothing is left to tell of. One over 1 MiB is told by its length and
    /// SHA-256
    #[schema(value_type = Option<serde_json::Value>)]
    pub after: Option<Box<RawValue>>,
}

/// Which changes to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub caller: Option<Uuid>,
    pub operation: Option<String>,
    /// What begins so as well, at a slash
    pub subject: Option<String>,
    pub request_id: Option<String>,
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
}

/// A place in the trail.
pub type Place = (CursorTime, Uuid);

/// A moment in a cursor, as milliseconds since 1970.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct CursorTime(i64);

impl CursorTime {
    fn millis(self) -> i64 {
        self.0
    }
}

/// The newest first.
pub async fn list(db: &Db, filter: &Filter, page: PageRequest<Place>) -> sqlx::Result<Page<Change>> {
    let mut tx = db.snapshot().await?;
    let changes = repo::list(&mut tx, filter, &page).await?;
    tx.rollback().await?;
    Ok(page.page(changes, |change| (CursorTime(change.time.0.timestamp_millis()), change.id)))
}

/// Sees to it that the coming months have partitions, and drops those that ended more than `keep_days` ago (0:
/// none), which only the owner of the table may.
pub async fn turn_months(db: &Db, keep_days: i32) -> sqlx::Result<()> {
    let mut conn = db.owner_conn().await?;
    let dropped = repo::turn_months(&mut conn, MONTHS_AHEAD, keep_days).await?;
    if dropped > 0 {
        tracing::info!(months = dropped, keep_days, "dropped the oldest months of the audit trail");
    }
    conn.close().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_is_told_by_its_digest() {
        let entry = Entry::new(Actor::Server, "x").is(&"a".repeat(10)).was(&"b".repeat(MOST));
        assert_eq!(entry.after.as_deref(), Some("\"aaaaaaaaaa\""));
        let before = entry.before.expect("kept");
        assert!(before.starts_with(r#"{"too_large":{"bytes":1048578,"sha256":""#), "{before}");
    }
}
