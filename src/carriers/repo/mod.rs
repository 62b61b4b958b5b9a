//! Schema `carriers`.

pub mod labels;

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::model::{NewTracking, TrackingEvent};
use crate::orders::Shipment;
use crate::platform::clock::Timestamp;

pub(super) async fn clock(conn: &mut PgConnection) -> sqlx::Result<Timestamp> {
    sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!: Timestamp""#).fetch_one(conn).await
}

/// What was reported of each of these shipments, the newest first.
pub(super) async fn events_of(
    conn: &mut PgConnection,
    shipments: &[Uuid],
) -> sqlx::Result<HashMap<Uuid, Vec<TrackingEvent>>> {
    let rows = sqlx::query!(
        r#"SELECT shipment_id, status, at AS "at: Timestamp", description, place FROM carriers.tracking_events
           WHERE shipment_id = ANY ($1) ORDER BY at DESC, id DESC"#,
        shipments
    )
    .fetch_all(conn)
    .await?;
    let mut events: HashMap<Uuid, Vec<TrackingEvent>> = HashMap::new();
    for row in rows {
        let status = serde_json::from_value(row.status.into()).map_err(|error| sqlx::Error::Decode(error.into()))?;
        let description = (!row.description.is_empty()).then_some(row.description);
        let event = TrackingEvent { status, at: row.at, description, place: row.place };
        events.entry(row.shipment_id).or_default().push(event);
    }
    Ok(events)
}

/// False: it was reported before.
pub(super) async fn insert(
    conn: &mut PgConnection,
    id: Uuid,
    shipment: &Shipment,
    new: &NewTracking,
    at: Timestamp,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO carriers.tracking_events (id, order_id, shipment_id, status, at, description, place)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
        id,
        shipment.order_id,
        shipment.id,
        new.status.as_str(),
        at as Timestamp,
        new.description.as_deref().unwrap_or_default(),
        new.place
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn token_of(conn: &mut PgConnection, order: Uuid) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("SELECT token FROM carriers.links WHERE order_id = $1", order).fetch_optional(conn).await
}

pub(super) async fn insert_token(conn: &mut PgConnection, order: Uuid, token: &str) -> sqlx::Result<()> {
    sqlx::query!("INSERT INTO carriers.links (order_id, token) VALUES ($1, $2)", order, token).execute(conn).await?;
    Ok(())
}

pub(super) async fn order_of(conn: &mut PgConnection, token: &str) -> sqlx::Result<Option<Uuid>> {
    sqlx::query_scalar!("SELECT order_id FROM carriers.links WHERE token = $1", token).fetch_optional(conn).await
}
