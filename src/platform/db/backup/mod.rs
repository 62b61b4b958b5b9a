//! A backup: everything of one moment in one file, taken while servers work, and loaded into an empty database.
//!
//! It knows no table. Those of the migrations' schemas are found in Postgres' catalogue, so what a new migration
//! brings is in the next backup, and they are loaded in an order that foreign keys allow.
//!
//! - **Invariant:** a backup shows one moment: all rows are read in one snapshot, which blocks nobody.
//! - **Invariant:** nothing is made of a file before the whole of it was read and found intact.
//! - **Invariant:** a restore is one transaction: the schema as it was when the backup was taken, the rows, the
//!   sequences, the migrations since. Whatever ends it early leaves the database as empty as it was.

mod file;
mod repo;

use std::collections::BTreeSet;
use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use sqlx::migrate::{AppliedMigration, Migrate, MigrateError, Migration, Migrator};

use super::{Db, MIGRATIONS};
use file::{Part, Reader, Writer};
pub use file::{Refused, Totals};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a backup is of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The version that made it.
    pub stockhold: String,
    pub postgres: String,
    /// The moment it shows, by the database's clock.
    pub taken_at: String,
    pub migrations: Vec<Applied>,
    /// In the order in which they are loaded.
    pub tables: Vec<Table>,
    pub sequences: Vec<Sequence>,
    /// How far the feed of events was final when it was begun; 0 is not known.
    #[serde(default)]
    pub feed_position: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Applied {
    pub version: i64,
    pub checksum: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    pub schema: String,
    pub name: String,
    pub columns: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sequence {
    pub schema: String,
    pub name: String,
    pub last: i64,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the database refused")]
    Database(#[from] sqlx::Error),
    #[error("the schema could not be brought up to date")]
    Migrate(#[from] MigrateError),
    #[error("the backup cannot be written")]
    Write(#[source] io::Error),
    #[error("the backup is refused: {0}")]
    Refused(#[from] Refused),
    #[error("there is nothing to back up: no server has run on this database yet")]
    Nothing,
    #[error(
        "stockhold {VERSION} does not know this schema (migration {version}): take and restore backups with the \
         version that serves it, or a newer one"
    )]
    NewerDatabase { version: i64 },
    #[error(
        "the backup is of stockhold {made_by}, and stockhold {VERSION} does not know its schema (migration \
         {version}): restore it with that version or a newer one"
    )]
    NewerBackup { made_by: String, version: i64 },
    #[error("the backup does not fit the schema that it names, in {0}: it is of a database that was changed by hand")]
    OtherTables(String),
    #[error(
        "this instance is not empty: a backup is restored where no server has run yet. Move the data directory away \
         or name another (--data-dir), or with a Postgres of your own make a new database (--database-url)"
    )]
    NotEmpty,
    #[error("{table}: {loaded} rows were loaded of {expected}; nothing was changed")]
    Count { table: String, loaded: u64, expected: u64 },
    #[error("the file was changed while it was read; nothing was restored")]
    Changed,
}

/// A backup that was made.
#[derive(Clone, Debug)]
pub struct Made {
    pub header: Header,
    pub totals: Totals,
    /// The length of the file.
    pub length: u64,
}

/// A file that is intact.
#[derive(Clone, Debug)]
pub struct Intact {
    pub header: Header,
    pub totals: Totals,
    pub length: u64,
    digest: [u8; 32],
}

/// Is there anything to back up?
pub async fn check_any(db: &Db) -> Result<(), Error> {
    if repo::is_migrated(&mut *db.conn().await?).await? { Ok(()) } else { Err(Error::Nothing) }
}

/// Writes a backup of everything as it is at this moment, at which the feed of events is final up to `feed_position` at
/// least. `progress` is told the table and its bytes so far.
pub async fn take<W: Write>(
    db: &Db,
    feed_position: i64,
    out: W,
    mut progress: impl FnMut(&Table, u64),
) -> Result<(W, Made), Error> {
    let mut tx = db.snapshot().await?;
    let header = Header { feed_position, ..describe(&mut tx).await? };
    let mut writer = Writer::begin(out, &header).map_err(Error::Write)?;
    for table in &header.tables {
        let mut bytes = 0;
        progress(table, bytes);
        let each = |piece: &[u8]| {
            bytes += piece.len() as u64;
            progress(table, bytes);
            writer.rows(piece).map_err(Error::Write)
        };
        repo::copy_out(&mut tx, table, each).await?;
        writer.end_table().map_err(Error::Write)?;
    }
    tx.rollback().await?;
    let (out, totals, length) = writer.finish().map_err(Error::Write)?;
    Ok((out, Made { header, totals, length }))
}

async fn describe(conn: &mut PgConnection) -> Result<Header, Error> {
    repo::prepare(conn).await?;
    if !repo::is_migrated(conn).await? {
        return Err(Error::Nothing);
    }
    let applied = conn.list_applied_migrations(&MIGRATIONS.table_name).await?;
    let migrations: Vec<Applied> = applied.iter().map(Applied::from).collect();
    known(&migrations).map_err(|version| Error::NewerDatabase { version })?;
    let schemas = schemas();
    let tables = in_order(repo::tables(conn, &schemas).await?, &repo::references(conn).await?);
    repo::lock_tables(conn, &tables).await?;
    let sequences = repo::sequences(conn, &schemas).await?;
    let (taken_at, postgres) = repo::moment(conn).await?;
    Ok(Header { stockhold: VERSION.to_owned(), postgres, taken_at, migrations, tables, sequences, feed_position: 0 })
}

/// Reads a backup to its end and checks it. `progress` is told the bytes read so far.
pub fn verify<R: Read>(from: R, mut progress: impl FnMut(u64)) -> Result<Intact, Refused> {
    let (mut reader, header) = Reader::open(from)?;
    loop {
        let part = reader.next()?;
        progress(reader.position());
        if let Part::End(totals, digest) = part {
            return Ok(Intact { header, totals, length: reader.position(), digest });
        }
    }
}

/// Can this build restore it? Says so before anything is touched.
pub fn check_known(intact: &Intact) -> Result<(), Error> {
    let Header { stockhold, migrations, .. } = &intact.header;
    let newer = |version| Error::NewerBackup { made_by: stockhold.clone(), version };
    known(migrations).map(|_| ()).map_err(newer)
}

/// Loads a backup that was verified into an empty database, and brings its schema up to date; the caller commits.
pub async fn load_in_tx<R: Read>(
    conn: &mut PgConnection,
    from: R,
    intact: &Intact,
    mut progress: impl FnMut(u64),
) -> Result<(), Error> {
    check_known(intact)?;
    repo::lock_restore(conn).await?;
    if repo::is_migrated(conn).await? || repo::any_schema(conn, &schemas()).await? {
        return Err(Error::NotEmpty);
    }
    repo::prepare(conn).await?;
    let (mut reader, header) = Reader::open(from)?;
    let then: Vec<Migration> = known(&header.migrations).map_err(|_| Error::Changed)?;
    Migrator::with_migrations(then).run(&mut *conn).await?;
    let there = repo::tables(conn, &schemas()).await?;
    if let Some(table) = differing(&header.tables, &there) {
        return Err(Error::OtherTables(table));
    }
    for table in header.tables.iter().rev() {
        repo::clear(conn, table).await?;
    }
    for table in &header.tables {
        load_table(conn, table, &mut reader, &mut progress).await?;
    }
    match reader.next()? {
        Part::End(_, digest) if digest == intact.digest => {}
        _ => return Err(Error::Changed),
    }
    for sequence in &header.sequences {
        repo::set_sequence(conn, sequence).await?;
    }
    MIGRATIONS.run(&mut *conn).await?;
    for table in repo::tables(conn, &schemas()).await? {
        repo::analyze(conn, &table).await?;
    }
    Ok(())
}

async fn load_table<R: Read>(
    conn: &mut PgConnection,
    table: &Table,
    reader: &mut Reader<R>,
    progress: &mut impl FnMut(u64),
) -> Result<(), Error> {
    let mut copy = repo::copy_in(conn, table).await?;
    let expected = loop {
        let part = reader.next();
        progress(reader.position());
        match part {
            Ok(Part::Rows(rows)) => copy.send(&rows[..]).await.map(|_| ())?,
            Ok(Part::TableEnd(rows)) => break rows,
            Ok(Part::End(..)) => return Err(Error::Changed),
            Err(why) => {
                copy.abort("the backup cannot be read on").await?;
                return Err(why.into());
            }
        }
    };
    match copy.finish().await? {
        loaded if loaded == expected => Ok(()),
        loaded => Err(Error::Count { table: format!("{}.{}", table.schema, table.name), loaded, expected }),
    }
}

impl From<&AppliedMigration> for Applied {
    fn from(applied: &AppliedMigration) -> Self {
        Self { version: applied.version, checksum: hex(&applied.checksum) }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Our own migrations of these names; the version of one that is not among them, or is another there.
fn known(applied: &[Applied]) -> Result<Vec<Migration>, i64> {
    let ours = |applied: &Applied| {
        let same = |m: &&Migration| m.version == applied.version && hex(&m.checksum) == applied.checksum;
        MIGRATIONS.iter().find(same).cloned().ok_or(applied.version)
    };
    applied.iter().map(ours).collect()
}

/// The schemas that the migrations make, each in a statement on a line of its own.
pub(super) fn schemas() -> Vec<String> {
    let lines = MIGRATIONS.iter().flat_map(|migration| migration.sql.as_str().lines());
    let made = lines.filter_map(|line| line.strip_prefix("CREATE SCHEMA ")?.split(';').next());
    made.map(str::to_owned).collect()
}

/// Tables that others point at come first. Of a circle, which a schema of ours has not, the rest stays as it is.
fn in_order(mut tables: Vec<Table>, references: &[repo::Reference]) -> Vec<Table> {
    let name = |table: &Table| (table.schema.clone(), table.name.clone());
    let mut ordered = Vec::with_capacity(tables.len());
    let mut waiting: BTreeSet<_> = tables.iter().map(name).collect();
    while !tables.is_empty() {
        let free = |table: &Table| !references.iter().any(|(from, to)| *from == name(table) && waiting.contains(to));
        let (mut now, later): (Vec<Table>, Vec<Table>) = tables.into_iter().partition(free);
        tables = later;
        if now.is_empty() {
            now = std::mem::take(&mut tables);
        }
        now.iter().for_each(|table| _ = waiting.remove(&name(table)));
        ordered.append(&mut now);
    }
    ordered
}

/// A table that is on one side alone, or has other columns there.
fn differing(backup: &[Table], here: &[Table]) -> Option<String> {
    let facts = |tables: &[Table]| -> BTreeSet<(String, BTreeSet<String>)> {
        let columns = |table: &Table| table.columns.iter().cloned().collect();
        tables.iter().map(|table| (format!("{}.{}", table.schema, table.name), columns(table))).collect()
    };
    let (backup, here) = (facts(backup), facts(here));
    backup.symmetric_difference(&here).next().map(|(name, _)| name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, columns: &[&str]) -> Table {
        let columns = columns.iter().map(|column| (*column).to_owned()).collect();
        Table { schema: "s".into(), name: name.into(), columns }
    }

    #[test]
    fn the_schemas_are_those_of_the_migrations() {
        let schemas = schemas();
        let all: String = MIGRATIONS.iter().map(|migration| migration.sql.as_str().to_uppercase()).collect();
        assert_eq!(schemas.len(), all.matches("CREATE SCHEMA").count(), "each has a line of its own: {schemas:?}");
        assert!(schemas.iter().all(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_')), "{schemas:?}");
    }

    #[test]
    fn tables_come_after_those_they_point_at() {
        let reference = |from: &str, to: &str| (("s".to_owned(), from.to_owned()), ("s".to_owned(), to.to_owned()));
        let tables = ["a", "b", "c", "d"].map(|name| table(name, &[])).to_vec();
        let names = |references: &[repo::Reference]| -> String {
            in_order(tables.clone(), references).into_iter().map(|table| table.name).collect()
        };
        assert_eq!(names(&[]), "abcd");
        assert_eq!(names(&[reference("a", "c"), reference("c", "d")]), "bdca");
        assert_eq!(names(&[reference("a", "b"), reference("b", "a")]), "cdab", "a circle loses no table");
    }

    #[test]
    fn a_table_or_column_too_many_is_named() {
        let ours = [table("a", &["x", "y"])];
        assert_eq!(differing(&ours, &[table("a", &["y", "x"])]), None);
        assert_eq!(differing(&ours, &[table("a", &["x"])]).as_deref(), Some("s.a"));
        assert_eq!(differing(&ours, &[]).as_deref(), Some("s.a"));
        assert_eq!(differing(&ours, &[ours[0].clone(), table("b", &[])]).as_deref(), Some("s.b"));
    }

    #[test]
    fn a_migration_that_is_not_ours_is_named() {
        let ours: Vec<Applied> =
            MIGRATIONS.iter().map(|m| Applied { version: m.version, checksum: hex(&m.checksum) }).collect();
        assert_eq!(known(&ours).map(|found| found.len()), Ok(ours.len()));
        assert_eq!(known(&ours[..2]).map(|found| found.len()), Ok(2), "an older one");
        let newer = Applied { version: 9999, checksum: String::new() };
        assert_eq!(known(&[ours[0].clone(), newer]).map(|found| found.len()), Err(9999));
        let other = Applied { checksum: "00".into(), ..ours[0].clone() };
        assert_eq!(known(&[other]).map(|found| found.len()), Err(ours[0].version));
    }
}
