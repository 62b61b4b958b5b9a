//! What a backup asks of Postgres: the catalogue, COPY, and sequences. It names no table.

use futures::TryStreamExt;
use sqlx::postgres::PgCopyIn;
use sqlx::{AssertSqlSafe, PgConnection};

use super::{Sequence, Table};

/// Makes values read the same whatever the database's settings, and gives the transaction the time it needs.
pub(super) async fn prepare(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!(
        "SELECT set_config(name, value, true) FROM unnest(
             ARRAY['statement_timeout', 'idle_in_transaction_session_timeout', 'row_security', 'bytea_output',
                   'datestyle', 'intervalstyle', 'extra_float_digits'],
             ARRAY['0', '0', 'off', 'hex', 'ISO, YMD', 'iso_8601', '1']) AS setting (name, value)"
    )
    .fetch_all(conn)
    .await?;
    Ok(())
}

/// The moment that a snapshot shows, and the version of Postgres.
pub(super) async fn moment(conn: &mut PgConnection) -> sqlx::Result<(String, String)> {
    let row = sqlx::query!(
        r#"SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "now!",
                  current_setting('server_version') AS "version!""#
    )
    .fetch_one(conn)
    .await?;
    Ok((row.now, row.version))
}

/// Has a server ever brought its schema up to date here?
pub(super) async fn is_migrated(conn: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"SELECT to_regclass('_sqlx_migrations') IS NOT NULL AS "migrated!""#).fetch_one(conn).await
}

/// Is any of these schemas there?
pub(super) async fn any_schema(conn: &mut PgConnection, schemas: &[String]) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = ANY ($1)) AS "any!""#, schemas)
        .fetch_one(conn)
        .await
}

/// One restore at a time: another waits here, and then sees that the database is not empty any more.
pub(super) async fn lock_restore(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended('stockhold restore', 0))").execute(conn).await?;
    Ok(())
}

/// The tables, with the columns that are stored and mean something elsewhere: none that Postgres computes, and no
/// transaction ids (`xid8`), which are numbers of one cluster. They get their default.
pub(super) async fn tables(conn: &mut PgConnection, schemas: &[String]) -> sqlx::Result<Vec<Table>> {
    sqlx::query_as!(
        Table,
        r#"SELECT n.nspname::text AS "schema!", c.relname::text AS "name!",
                  array_agg(a.attname::text ORDER BY a.attnum) AS "columns!"
           FROM pg_class c
           JOIN pg_namespace n ON n.oid = c.relnamespace
           JOIN pg_attribute a ON a.attrelid = c.oid
           WHERE n.nspname = ANY ($1) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
             AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.atttypid <> 'xid8'::regtype
           GROUP BY 1, 2 ORDER BY 1, 2"#,
        schemas
    )
    .fetch_all(conn)
    .await
}

/// A foreign key, from the table that has it to the one it points at; each a schema and a name.
pub(super) type Reference = ((String, String), (String, String));

pub(super) async fn references(conn: &mut PgConnection) -> sqlx::Result<Vec<Reference>> {
    let rows = sqlx::query!(
        r#"SELECT fn.nspname::text AS "from_schema!", f.relname::text AS "from_name!",
                  tn.nspname::text AS "to_schema!", t.relname::text AS "to_name!"
           FROM pg_constraint k
           JOIN pg_class f ON f.oid = k.conrelid  JOIN pg_namespace fn ON fn.oid = f.relnamespace
           JOIN pg_class t ON t.oid = k.confrelid JOIN pg_namespace tn ON tn.oid = t.relnamespace
           WHERE k.contype = 'f' AND k.conrelid <> k.confrelid"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|r| ((r.from_schema, r.from_name), (r.to_schema, r.to_name))).collect())
}

/// The sequences that were drawn from. Read after the snapshot began, they are not behind any row of it.
pub(super) async fn sequences(conn: &mut PgConnection, schemas: &[String]) -> sqlx::Result<Vec<Sequence>> {
    sqlx::query_as!(
        Sequence,
        r#"SELECT schemaname::text AS "schema!", sequencename::text AS "name!", last_value AS "last!" FROM pg_sequences
           WHERE schemaname = ANY ($1) AND last_value IS NOT NULL ORDER BY 1, 2"#,
        schemas
    )
    .fetch_all(conn)
    .await
}

pub(super) async fn set_sequence(conn: &mut PgConnection, sequence: &Sequence) -> sqlx::Result<()> {
    sqlx::query!(
        "SELECT setval(format('%I.%I', $1::text, $2::text)::regclass, $3)",
        sequence.schema,
        sequence.name,
        sequence.last
    )
    .fetch_one(conn)
    .await?;
    Ok(())
}

/// Keeps migrations from rewriting a table under the snapshot that is being read.
pub(super) async fn lock_tables(conn: &mut PgConnection, tables: &[Table]) -> sqlx::Result<()> {
    let names: Vec<String> = tables.iter().map(quoted).collect();
    run(conn, format!("LOCK TABLE {} IN ACCESS SHARE MODE", names.join(", "))).await
}

/// Hands each piece of a table's rows to `each`.
pub(super) async fn copy_out<E: From<sqlx::Error>>(
    conn: &mut PgConnection,
    table: &Table,
    mut each: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let statement = format!("COPY (SELECT {} FROM {}) TO STDOUT", columns(table), quoted(table));
    let mut rows = conn.copy_out_raw(&statement).await?;
    while let Some(piece) = rows.try_next().await? {
        each(&piece)?;
    }
    Ok(())
}

pub(super) async fn copy_in<'c>(
    conn: &'c mut PgConnection,
    table: &Table,
) -> sqlx::Result<PgCopyIn<&'c mut PgConnection>> {
    conn.copy_in_raw(&format!("COPY {} ({}) FROM STDIN", quoted(table), columns(table))).await
}

/// Takes out what the migrations put in: the backup has it, as it became.
pub(super) async fn clear(conn: &mut PgConnection, table: &Table) -> sqlx::Result<()> {
    let any = format!("SELECT EXISTS (SELECT FROM {})", quoted(table));
    // Not without asking: a table that is only appended to refuses the statement, rows or none.
    if sqlx::query_scalar::<_, bool>(AssertSqlSafe(any)).fetch_one(&mut *conn).await? {
        run(conn, format!("DELETE FROM {}", quoted(table))).await?;
    }
    Ok(())
}

/// Statistics, so that the first queries are planned for what is there.
pub(super) async fn analyze(conn: &mut PgConnection, table: &Table) -> sqlx::Result<()> {
    run(conn, format!("ANALYZE {}", quoted(table))).await
}

async fn run(conn: &mut PgConnection, statement: String) -> sqlx::Result<()> {
    sqlx::query(AssertSqlSafe(statement)).execute(conn).await?;
    Ok(())
}

fn quoted(table: &Table) -> String {
    format!("{}.{}", identifier(&table.schema), identifier(&table.name))
}

fn columns(table: &Table) -> String {
    table.columns.iter().map(|column| identifier(column)).collect::<Vec<_>>().join(", ")
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
