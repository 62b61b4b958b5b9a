//! Schema `transfers`: transfers and their lines. Each function is a fixed number of statements,
//! whatever the number of lines.

use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::model::{NewTransfer, Transfer, TransferLineView, TransferStatus};
use crate::platform::clock::Timestamp;

struct TransferRow {
    id: Uuid,
    status: String,
    from_warehouse: String,
    to_warehouse: String,
    reference: Option<String>,
    note: Option<String>,
    lines: Json<Vec<TransferLineView>>,
    created_at: Timestamp,
    updated_at: Timestamp,
    shipped_at: Option<Timestamp>,
    closed_at: Option<Timestamp>,
}

impl TryFrom<TransferRow> for Transfer {
    type Error = sqlx::Error;

    fn try_from(row: TransferRow) -> sqlx::Result<Self> {
        let status = TransferStatus::parse(&row.status)
            .ok_or_else(|| sqlx::Error::Decode(format!("unknown status of a transfer: {}", row.status).into()))?;
        Ok(Transfer {
            id: row.id,
            status,
            from: row.from_warehouse,
            to: row.to_warehouse,
            reference: row.reference,
            note: row.note,
            lines: row.lines.0,
            created_at: row.created_at,
            updated_at: row.updated_at,
            shipped_at: row.shipped_at,
            closed_at: row.closed_at,
        })
    }
}

/// What to list; what is `None` does not matter.
#[derive(Debug, Default)]
pub(super) struct Filter {
    pub status: Option<TransferStatus>,
    pub from: Option<String>,
    pub to: Option<String>,
    /// Out of or into any of these
    pub touching: Option<Vec<String>>,
}

/// The newest first, those made before `before`. Head and lines come from one statement, so that they
/// are of one moment.
pub(super) async fn list(
    conn: &mut PgConnection,
    filter: &Filter,
    before: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<Transfer>> {
    let rows = sqlx::query_as!(
        TransferRow,
        r#"SELECT t.id, t.status, t.from_warehouse, t.to_warehouse, t.reference, t.note,
                  coalesce((SELECT jsonb_agg(jsonb_build_object('sku', l.sku, 'quantity', l.quantity, 'shipped', l.shipped,
                                                                'received', l.received, 'lost', l.lost) ORDER BY l.line)
                            FROM transfers.lines l WHERE l.transfer_id = t.id), '[]') AS "lines!: Json<Vec<TransferLineView>>",
                  t.created_at AS "created_at: Timestamp", t.updated_at AS "updated_at: Timestamp",
                  t.shipped_at AS "shipped_at: Timestamp", t.closed_at AS "closed_at: Timestamp"
           FROM transfers.transfers t
           WHERE ($1::uuid IS NULL OR t.id < $1) AND ($3::text IS NULL OR t.status = $3)
             AND ($4::text IS NULL OR t.from_warehouse = $4) AND ($5::text IS NULL OR t.to_warehouse = $5)
             AND ($6::text[] IS NULL OR t.from_warehouse = ANY ($6) OR t.to_warehouse = ANY ($6))
           ORDER BY t.id DESC LIMIT $2"#,
        before,
        limit,
        filter.status.map(TransferStatus::as_str),
        filter.from.as_deref(),
        filter.to.as_deref(),
        filter.touching.as_deref()
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Transfer::try_from).collect()
}

pub(super) async fn find(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<Transfer>> {
    let row = sqlx::query_as!(
        TransferRow,
        r#"SELECT t.id, t.status, t.from_warehouse, t.to_warehouse, t.reference, t.note,
                  coalesce((SELECT jsonb_agg(jsonb_build_object('sku', l.sku, 'quantity', l.quantity, 'shipped', l.shipped,
                                                                'received', l.received, 'lost', l.lost) ORDER BY l.line)
                            FROM transfers.lines l WHERE l.transfer_id = t.id), '[]') AS "lines!: Json<Vec<TransferLineView>>",
                  t.created_at AS "created_at: Timestamp", t.updated_at AS "updated_at: Timestamp",
                  t.shipped_at AS "shipped_at: Timestamp", t.closed_at AS "closed_at: Timestamp"
           FROM transfers.transfers t WHERE t.id = $1"#,
        id
    )
    .fetch_optional(conn)
    .await?;
    row.map(Transfer::try_from).transpose()
}

/// Locks a transfer. A statement of its own: one that also read the lines would, after waiting for
/// the lock, show them as they were before the wait.
pub(super) async fn lock(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<()> {
    sqlx::query!("SELECT FROM transfers.transfers WHERE id = $1 FOR UPDATE", id).execute(conn).await?;
    Ok(())
}

/// A draft.
pub(super) async fn insert(conn: &mut PgConnection, id: Uuid, new: &NewTransfer) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO transfers.transfers (id, status, from_warehouse, to_warehouse, reference, note, created_at, updated_at)
         SELECT $1, 'draft', $2, $3, $4, $5, clock.now, clock.now FROM (SELECT clock_timestamp() AS now) clock",
        id,
        new.from.0,
        new.to.0,
        new.reference.as_deref(),
        new.note.as_deref()
    )
    .execute(&mut *conn)
    .await?;
    let skus: Vec<&str> = new.lines.iter().map(|line| line.sku.0.as_str()).collect();
    let quantities: Vec<i64> = new.lines.iter().map(|line| line.quantity.0).collect();
    sqlx::query!(
        "INSERT INTO transfers.lines (transfer_id, line, sku, quantity)
         SELECT $1, n::integer, sku, quantity
         FROM unnest($2::text[], $3::bigint[]) WITH ORDINALITY AS new (sku, quantity, n)",
        id,
        &skus as &[&str],
        &quantities
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// All that was asked for has left.
pub(super) async fn ship_lines(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<()> {
    sqlx::query!("UPDATE transfers.lines SET shipped = quantity WHERE transfer_id = $1", id).execute(conn).await?;
    Ok(())
}

/// Writes what is received and lost of each line; lines that stay as they are are not written.
pub(super) async fn receive_lines(conn: &mut PgConnection, id: Uuid, lines: &[TransferLineView]) -> sqlx::Result<()> {
    let skus: Vec<&str> = lines.iter().map(|line| line.sku.as_str()).collect();
    let received: Vec<i64> = lines.iter().map(|line| line.received).collect();
    let lost: Vec<i64> = lines.iter().map(|line| line.lost).collect();
    sqlx::query!(
        "UPDATE transfers.lines l SET received = n.received, lost = n.lost
         FROM unnest($2::text[], $3::bigint[], $4::bigint[]) AS n (sku, received, lost)
         WHERE l.transfer_id = $1 AND l.sku = n.sku AND (l.received, l.lost) IS DISTINCT FROM (n.received, n.lost)",
        id,
        &skus as &[&str],
        &received,
        &lost
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Also sets the instants that go with the status. A partial receipt sets `in_transit` again, and
/// keeps the instant of shipping.
pub(super) async fn set_status(conn: &mut PgConnection, id: Uuid, status: TransferStatus) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE transfers.transfers t
         SET status = $2, updated_at = clock.now,
             shipped_at = CASE WHEN $2 = 'in_transit' THEN coalesce(t.shipped_at, clock.now) ELSE t.shipped_at END,
             closed_at = CASE WHEN $2 IN ('received', 'cancelled') THEN clock.now END
         FROM (SELECT clock_timestamp() AS now) clock WHERE t.id = $1",
        id,
        status.as_str()
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What is on its way: (sku, warehouse it goes to, quantity).
pub(super) async fn in_transit(conn: &mut PgConnection) -> sqlx::Result<Vec<(String, String, i64)>> {
    let rows = sqlx::query!(
        r#"SELECT l.sku, t.to_warehouse, sum(l.shipped - l.received - l.lost)::bigint AS "quantity!"
           FROM transfers.transfers t JOIN transfers.lines l ON l.transfer_id = t.id
           WHERE t.status = 'in_transit' GROUP BY l.sku, t.to_warehouse
           HAVING sum(l.shipped - l.received - l.lost) <> 0 ORDER BY l.sku, t.to_warehouse"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.sku, row.to_warehouse, row.quantity)).collect())
}
