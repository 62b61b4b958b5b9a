//! Statements that change something and need nothing of each other, sent as one.
//!
//! As long as it is a matter of few rows, what a statement costs as such (to be sent and bound, to begin and to end, to
//! wake the other side twice) is more than what it does. So what is left to be written at the end of a transaction is
//! gathered, and goes to the database as parts of one statement: `WITH` parts that modify data
//! (<https://www.postgresql.org/docs/current/queries-with.html#QUERIES-WITH-MODIFYING>). All of them see what was there
//! before any of them, and their order is not defined; so two that touch one row, or of which one reads what another
//! writes, do not belong together.

use std::fmt::Write;

use sqlx::error::BoxDynError;
use sqlx::postgres::PgArguments;
use sqlx::{Arguments, AssertSqlSafe, Encode, PgConnection, Postgres, Type};

use super::parts::renumber;

/// Gathered by [`add_write!`], and written by [`Writes::write_out`]. Dropped, they are not.
#[derive(Default)]
pub struct Writes {
    statements: Vec<Statement>,
    arguments: PgArguments,
    fault: Option<BoxDynError>,
}

struct Statement {
    sql: &'static str,
    /// How many arguments stand before its own
    before: usize,
    /// How many rows it has to change, where that is known
    rows: Option<usize>,
}

/// `add_write!(writes, "INSERT …", argument, …)` adds a statement to [`Writes`]. It is checked when it is compiled, as by
/// `sqlx::query!`.
macro_rules! add_write {
    ($writes:expr, $sql:literal $(, $argument:expr)* $(,)?) => {{
        // Nobody calls it: it is there to be checked.
        let _ = || sqlx::query!($sql $(, $argument)*);
        let writes: &mut $crate::platform::db::Writes = $writes;
        writes.add($sql);
        $(writes.bind($argument);)*
    }};
}
pub(crate) use add_write;

impl Writes {
    pub fn add(&mut self, sql: &'static str) {
        self.statements.push(Statement { sql, before: self.arguments.len(), rows: None });
    }

    pub fn bind<'q, T: Encode<'q, Postgres> + Type<Postgres>>(&mut self, argument: T) {
        if let Err(fault) = self.arguments.add(argument) {
            self.fault.get_or_insert(fault);
        }
    }

    /// The statement that was added last has to change as many rows, or it is an error.
    pub fn of_rows(&mut self, rows: usize) {
        if let Some(last) = self.statements.last_mut() {
            last.rows = Some(rows);
        }
    }

    /// Writes what was gathered; nothing is left.
    pub async fn write_out(&mut self, conn: &mut PgConnection) -> sqlx::Result<()> {
        let Self { statements, arguments, fault } = std::mem::take(self);
        if let Some(fault) = fault {
            return Err(sqlx::Error::Encode(fault));
        }
        let counted: Vec<&Statement> = statements.iter().filter(|statement| statement.rows.is_some()).collect();
        let changed: Vec<i64> = match statements.as_slice() {
            [] => return Ok(()),
            [alone] => {
                let done = sqlx::query_with(alone.sql, arguments).execute(conn).await?;
                vec![i64::try_from(done.rows_affected()).unwrap_or(i64::MAX)]
            }
            several => sqlx::query_scalar_with(AssertSqlSafe(as_one(several)), arguments).fetch_one(conn).await?,
        };
        for (Statement { sql, rows, .. }, changed) in counted.into_iter().zip(changed) {
            if rows.map(i64::try_from) != Some(Ok(changed)) {
                let fault = format!("{changed} rows were changed where it should have been {rows:?}, by {sql}");
                return Err(sqlx::Error::Protocol(fault));
            }
        }
        Ok(())
    }
}

/// One statement of all, which answers how many rows those changed that are counted.
fn as_one(statements: &[Statement]) -> String {
    let mut sql = String::with_capacity(statements.iter().map(|statement| statement.sql.len() + 64).sum());
    let mut counts = Vec::new();
    for (n, statement) in statements.iter().enumerate() {
        let _ = write!(sql, "{} w{n} AS (", if n == 0 { "WITH" } else { "," });
        renumber(&mut sql, statement.sql, statement.before);
        if statement.rows.is_some() {
            sql.push_str(" RETURNING 1");
            counts.push(format!("(SELECT count(*) FROM w{n})"));
        }
        sql.push(')');
    }
    let _ = write!(sql, " SELECT ARRAY[{}]::bigint[]", counts.join(", "));
    sql
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_keep_their_own_arguments() {
        let statement = |sql, before, rows| Statement { sql, before, rows };
        let parts = [
            statement("INSERT INTO a SELECT * FROM unnest($1::int[], $2::text[])", 0, None),
            statement("UPDATE b SET c = '$' WHERE d = $1", 2, Some(1)),
            statement("DELETE FROM e WHERE f = ANY ($1) AND g = $12", 3, Some(2)),
        ];
        assert_eq!(
            as_one(&parts),
            "WITH w0 AS (INSERT INTO a SELECT * FROM unnest($1::int[], $2::text[])), \
             w1 AS (UPDATE b SET c = '$' WHERE d = $3 RETURNING 1), \
             w2 AS (DELETE FROM e WHERE f = ANY ($4) AND g = $15 RETURNING 1) \
             SELECT ARRAY[(SELECT count(*) FROM w1), (SELECT count(*) FROM w2)]::bigint[]"
        );
    }
}
