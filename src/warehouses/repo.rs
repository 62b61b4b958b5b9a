//! Schema `warehouses`: warehouses, channels and the directory's version.

use serde_json::Value;
use sqlx::PgConnection;

use super::model::{Address, Channel, ChannelWarehouse, Code, Directory, NewChannel, NewWarehouse, Rule, Warehouse};
use crate::platform::clock::Timestamp;
use crate::platform::db::json::to_json;
use crate::platform::db::{Asked, Reads, add_read};

struct WarehouseRow {
    code: String,
    name: String,
    priority: i32,
    address: Value,
    time_zone: String,
    active: bool,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<WarehouseRow> for Warehouse {
    fn from(row: WarehouseRow) -> Self {
        let fields = NewWarehouse {
            code: Code(row.code),
            name: row.name,
            priority: row.priority,
            address: serde_json::from_value::<Address>(row.address).unwrap_or_default(),
            time_zone: row.time_zone,
            active: row.active,
        };
        Warehouse { fields, created_at: row.created_at, updated_at: row.updated_at }
    }
}

pub(super) async fn list_warehouses(
    conn: &mut PgConnection,
    after: Option<&str>,
    limit: i64,
    active: Option<bool>,
    among: Option<&[String]>,
) -> sqlx::Result<Vec<Warehouse>> {
    let rows = sqlx::query_as!(
        WarehouseRow,
        r#"SELECT code, name, priority, address, time_zone, active,
                  created_at AS "created_at: Timestamp", updated_at AS "updated_at: Timestamp"
           FROM warehouses.warehouses
           WHERE ($1::text IS NULL OR code > $1) AND ($3::boolean IS NULL OR active = $3)
             AND ($4::text[] IS NULL OR code = ANY ($4))
           ORDER BY code LIMIT $2"#,
        after,
        limit,
        active,
        among
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(Warehouse::from).collect())
}

pub(super) async fn find_warehouse(conn: &mut PgConnection, code: &str) -> sqlx::Result<Option<Warehouse>> {
    let row = sqlx::query_as!(
        WarehouseRow,
        r#"SELECT code, name, priority, address, time_zone, active,
                  created_at AS "created_at: Timestamp", updated_at AS "updated_at: Timestamp"
           FROM warehouses.warehouses WHERE code = $1"#,
        code
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(Warehouse::from))
}

pub(super) async fn lock_warehouse(conn: &mut PgConnection, code: &str) -> sqlx::Result<()> {
    sqlx::query!("SELECT FROM warehouses.warehouses WHERE code = $1 FOR UPDATE", code).execute(conn).await?;
    Ok(())
}

/// Share-locks these warehouses; returns those that exist.
pub(super) async fn pin(conn: &mut PgConnection, codes: &[&str]) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        "SELECT code FROM warehouses.warehouses WHERE code = ANY ($1) ORDER BY code FOR KEY SHARE",
        codes as &[&str]
    )
    .fetch_all(conn)
    .await
}

/// False when the code is taken.
pub(super) async fn insert_warehouse(conn: &mut PgConnection, new: &NewWarehouse) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO warehouses.warehouses (code, name, priority, address, time_zone, active)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        new.code.0,
        new.name,
        new.priority,
        to_json(&new.address)?,
        new.time_zone,
        new.active
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn update_warehouse(conn: &mut PgConnection, fields: &NewWarehouse) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE warehouses.warehouses SET name = $2, priority = $3, address = $4, time_zone = $5, active = $6,
                updated_at = clock_timestamp()
         WHERE code = $1",
        fields.code.0,
        fields.name,
        fields.priority,
        to_json(&fields.address)?,
        fields.time_zone,
        fields.active
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn delete_warehouse(conn: &mut PgConnection, code: &str) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM warehouses.warehouses WHERE code = $1", code).execute(conn).await?;
    Ok(())
}

pub(super) async fn channels_of(conn: &mut PgConnection, warehouse: &str) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        "SELECT channel FROM warehouses.channel_warehouses WHERE warehouse = $1 ORDER BY channel LIMIT 10",
        warehouse
    )
    .fetch_all(conn)
    .await
}

struct ChannelRow {
    code: String,
    name: String,
    sourcing: Option<Vec<String>>,
    active: bool,
    links: Value,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<ChannelRow> for Channel {
    fn from(row: ChannelRow) -> Self {
        let fields = NewChannel {
            code: Code(row.code),
            name: row.name,
            warehouses: serde_json::from_value::<Vec<ChannelWarehouse>>(row.links).unwrap_or_default(),
            sourcing: row.sourcing.map(|rules| parse_rules(&rules)),
            active: row.active,
        };
        Channel { fields, created_at: row.created_at, updated_at: row.updated_at }
    }
}

pub(super) async fn list_channels(
    conn: &mut PgConnection,
    after: Option<&str>,
    limit: i64,
    active: Option<bool>,
    among: Option<&[String]>,
) -> sqlx::Result<Vec<Channel>> {
    read_channels(conn, among, after, limit, active).await
}

pub(super) async fn find_channel(conn: &mut PgConnection, code: &str) -> sqlx::Result<Option<Channel>> {
    Ok(read_channels(conn, Some(&[code.to_owned()]), None, 1, None).await?.pop())
}

async fn read_channels(
    conn: &mut PgConnection,
    among: Option<&[String]>,
    after: Option<&str>,
    limit: i64,
    active: Option<bool>,
) -> sqlx::Result<Vec<Channel>> {
    let rows = sqlx::query_as!(
        ChannelRow,
        r#"SELECT c.code, c.name, c.sourcing, c.active,
                  coalesce((SELECT jsonb_agg(jsonb_build_object('warehouse', l.warehouse, 'buffer', l.buffer) ORDER BY l.position)
                            FROM warehouses.channel_warehouses l WHERE l.channel = c.code), '[]') AS "links!",
                  c.created_at AS "created_at: Timestamp", c.updated_at AS "updated_at: Timestamp"
           FROM warehouses.channels c
           WHERE ($1::text[] IS NULL OR c.code = ANY ($1)) AND ($2::text IS NULL OR c.code > $2)
             AND ($4::boolean IS NULL OR c.active = $4)
           ORDER BY c.code LIMIT $3"#,
        among,
        after,
        limit,
        active
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(Channel::from).collect())
}

pub(super) async fn lock_channel(conn: &mut PgConnection, code: &str) -> sqlx::Result<()> {
    sqlx::query!("SELECT FROM warehouses.channels WHERE code = $1 FOR UPDATE", code).execute(conn).await?;
    Ok(())
}

/// False when the code is taken.
pub(super) async fn insert_channel(conn: &mut PgConnection, new: &NewChannel) -> sqlx::Result<bool> {
    let rules = rules_column(new.sourcing.as_deref());
    let done = sqlx::query!(
        "INSERT INTO warehouses.channels (code, name, sourcing, active) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        new.code.0,
        new.name,
        rules.as_deref() as Option<&[String]>,
        new.active
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn update_channel(conn: &mut PgConnection, fields: &NewChannel) -> sqlx::Result<()> {
    let rules = rules_column(fields.sourcing.as_deref());
    sqlx::query!(
        "UPDATE warehouses.channels SET name = $2, sourcing = $3, active = $4, updated_at = clock_timestamp()
         WHERE code = $1",
        fields.code.0,
        fields.name,
        rules.as_deref() as Option<&[String]>,
        fields.active
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn replace_links(conn: &mut PgConnection, channel: &NewChannel) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM warehouses.channel_warehouses WHERE channel = $1", channel.code.0)
        .execute(&mut *conn)
        .await?;
    let codes: Vec<&str> = channel.warehouses.iter().map(|link| link.warehouse.0.as_str()).collect();
    let buffers: Vec<i64> = channel.warehouses.iter().map(|link| link.buffer).collect();
    sqlx::query!(
        "INSERT INTO warehouses.channel_warehouses (channel, warehouse, buffer, position)
         SELECT $1, code, buffer, n FROM unnest($2::text[], $3::bigint[]) WITH ORDINALITY AS link (code, buffer, n)",
        channel.code.0,
        &codes as &[&str],
        &buffers
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn delete_channel(conn: &mut PgConnection, code: &str) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM warehouses.channels WHERE code = $1", code).execute(conn).await?;
    Ok(())
}

pub(super) fn ask_version(reads: &mut Reads) -> Asked<i64> {
    add_read!(reads, "SELECT version FROM warehouses.directory", [], |row| row.get(0))
}

pub(super) async fn raise_version(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("UPDATE warehouses.directory SET version = version + 1").execute(conn).await?;
    Ok(())
}

/// Whether the directory's version was written by this very transaction, and is not committed yet.
pub(super) async fn writes(conn: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT coalesce(xmin::text = (pg_current_xact_id_if_assigned()::text::bigint % 4294967296)::text, false) AS "own!"
           FROM warehouses.directory"#
    )
    .fetch_one(conn)
    .await
}

pub(super) async fn lock_rules(conn: &mut PgConnection) -> sqlx::Result<Vec<Rule>> {
    let rules = sqlx::query_scalar!("SELECT rules FROM warehouses.directory FOR UPDATE").fetch_one(conn).await?;
    Ok(parse_rules(&rules))
}

pub(super) async fn set_rules(conn: &mut PgConnection, rules: &[Rule]) -> sqlx::Result<()> {
    let rules = rules_column(Some(rules)).unwrap_or_default();
    sqlx::query!("UPDATE warehouses.directory SET rules = $1, version = version + 1", &rules).execute(conn).await?;
    Ok(())
}

pub(super) async fn read_directory(conn: &mut PgConnection) -> sqlx::Result<Directory> {
    let head = sqlx::query!("SELECT rules, version FROM warehouses.directory").fetch_one(&mut *conn).await?;
    let warehouses = list_warehouses(conn, None, i64::MAX, None, None).await?;
    let channels = list_channels(conn, None, i64::MAX, None, None).await?;
    let channels = channels.into_iter().map(|channel| channel.fields).collect();
    Ok(Directory { version: head.version, rules: parse_rules(&head.rules), warehouses, channels })
}

fn parse_rules(rules: &[String]) -> Vec<Rule> {
    rules.iter().filter_map(|rule| Rule::parse(rule)).collect()
}

fn rules_column(rules: Option<&[Rule]>) -> Option<Vec<String>> {
    rules.map(|rules| rules.iter().map(|rule| rule.as_str().to_owned()).collect())
}

pub(super) async fn is_time_zone(conn: &mut PgConnection, name: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM pg_timezone_names WHERE name = $1) AS "known!""#, name)
        .fetch_one(conn)
        .await
}
