//! Schema `platform`: the audit trail.

use sqlx::PgConnection;
use uuid::Uuid;

use super::{By, Change, Entry, Filter, Place};
use crate::platform::clock::Timestamp;
use crate::platform::db::{Writes, add_write};
use crate::platform::id;
use crate::platform::page::PageRequest;

/// Adds rows.
pub(super) fn insert(writes: &mut Writes, entries: &[Entry]) {
    let ids: Vec<Uuid> = entries.iter().map(|_| id::new()).collect();
    let actors: Vec<Option<Uuid>> = entries.iter().map(|entry| entry.by.id()).collect();
    let status = |entry: &Entry| entry.status.map(|status| i16::try_from(status).expect("statuses are below 1000"));
    let statuses: Vec<Option<i16>> = entries.iter().map(status).collect();
    let addresses: Vec<Option<String>> = entries.iter().map(|e| e.address.map(|address| address.to_string())).collect();
    add_write!(
        writes,
        "INSERT INTO platform.audit (id, caller_kind, caller_id, caller_name, operation, path, subject, status,
                                     request_id, address, before, after)
         SELECT id, kind, caller, name, operation, path, subject, status, request_id, address::inet, before::json,
                after::json
         FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[],
                     $8::smallint[], $9::text[], $10::text[], $11::text[], $12::text[])
              AS e (id, kind, caller, name, operation, path, subject, status, request_id, address, before, after)",
        &ids,
        &text(entries, |e| Some(e.by.kind())) as &[Option<&str>],
        &actors as &[Option<Uuid>],
        &text(entries, |e| Some(e.by.name())) as &[Option<&str>],
        &text(entries, |e| Some(clipped(&e.operation, 200))) as &[Option<&str>],
        &text(entries, |e| e.path.as_deref().map(|path| clipped(path, 500))) as &[Option<&str>],
        &text(entries, |e| e.subject.as_deref().map(|subject| clipped(subject, 500))) as &[Option<&str>],
        &statuses as &[Option<i16>],
        &text(entries, |e| e.request_id.as_deref().map(|id| clipped(id, 64))) as &[Option<&str>],
        &addresses as &[Option<String>],
        &text(entries, |e| e.before.as_deref()) as &[Option<&str>],
        &text(entries, |e| e.after.as_deref()) as &[Option<&str>]
    );
}

fn text<'a>(entries: &'a [Entry], of: impl Fn(&'a Entry) -> Option<&'a str>) -> Vec<Option<&'a str>> {
    entries.iter().map(of).collect()
}

/// As much of a text as an index takes.
fn clipped(text: &str, characters: usize) -> &str {
    text.char_indices().nth(characters).map_or(text, |(end, _)| &text[..end])
}

/// The newest first. In a transaction of its own: it is planned for the filters that are given, because one plan for all
/// would go through the whole trail.
pub(super) async fn list(
    conn: &mut PgConnection,
    filter: &Filter,
    page: &PageRequest<Place>,
) -> sqlx::Result<Vec<Change>> {
    // What is below an address begins with it and a slash; 0 is the character after the slash.
    let below = filter.subject.as_ref().map(|subject| format!("{}/", subject.trim_end_matches('/')));
    let beyond = filter.subject.as_ref().map(|subject| format!("{}0", subject.trim_end_matches('/')));
    sqlx::query("SET LOCAL plan_cache_mode = force_custom_plan").execute(&mut *conn).await?;
    let rows = sqlx::query!(
        r#"SELECT time AS "time: Timestamp", id, caller_kind, caller_id, caller_name, operation, path, subject, status,
                  request_id, host(address) AS address, before::text AS before, after::text AS after
           FROM platform.audit
           WHERE ($1::uuid IS NULL OR caller_id = $1) AND ($2::text IS NULL OR operation = $2)
             AND ($3::text IS NULL OR subject = $3 OR (subject >= $4 AND subject < $5))
             AND ($6::text IS NULL OR request_id = $6)
             AND ($7::timestamptz IS NULL OR time >= $7) AND ($8::timestamptz IS NULL OR time < $8)
             AND ($9::bigint IS NULL
                  OR (time, id) < ('epoch'::timestamptz + $9 * interval '1 millisecond', $10::uuid))
           ORDER BY time DESC, id DESC LIMIT $11"#,
        filter.caller,
        filter.operation,
        filter.subject,
        below,
        beyond,
        filter.request_id,
        filter.from as Option<Timestamp>,
        filter.to as Option<Timestamp>,
        page.after.as_ref().map(|(time, _)| time.millis()),
        page.after.as_ref().map(|(_, id)| *id),
        page.fetch()
    )
    .fetch_all(conn)
    .await?;
    let decoded = |text: Option<String>| {
        let raw = text.map(serde_json::value::RawValue::from_string).transpose();
        raw.map_err(|error| sqlx::Error::Decode(error.into()))
    };
    let changes = rows.into_iter().map(|row| {
        Ok(Change {
            id: row.id,
            time: row.time,
            by: By { kind: row.caller_kind, id: row.caller_id, name: row.caller_name },
            operation: row.operation,
            path: row.path,
            subject: row.subject,
            status: row.status.map(i16::unsigned_abs),
            request_id: row.request_id,
            address: row.address,
            before: decoded(row.before)?,
            after: decoded(row.after)?,
        })
    });
    changes.collect()
}

/// How many months were dropped.
pub(super) async fn turn_months(conn: &mut PgConnection, ahead: i32, keep_days: i32) -> sqlx::Result<i32> {
    sqlx::query_scalar!(r#"SELECT platform.turn_audit_months($1, $2) AS "dropped!""#, ahead, keep_days)
        .fetch_one(conn)
        .await
}
