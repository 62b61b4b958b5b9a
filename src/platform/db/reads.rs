//! Questions that need nothing of each other, asked as one statement.
//!
//! What a statement costs as such weighs more than what it finds (see [`super::writes`]). So what can be read at one time is
//! gathered, by whichever modules want to know it, and is read side by side: the n-th row of the answer has the n-th row of
//! each question. They are answered in their order, and all of them by what was there when the statement began.

use std::fmt::Write;

use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Arguments, AssertSqlSafe, Column, Decode, Encode, PgConnection, Postgres, Row, Type};

use super::parts::renumber;

/// Gathered by [`add_read!`], and asked by [`Reads::ask_all`].
#[derive(Default)]
pub struct Reads {
    questions: Vec<Question>,
    arguments: PgArguments,
    fault: Option<BoxDynError>,
}

struct Question {
    /// Expressions for a `WITH RECURSIVE`, whose names no other question has, or nothing
    with: &'static str,
    select: &'static str,
    /// How many arguments stand before its own
    before: usize,
}

/// Where the answer to a question will be, in rows of `T`.
pub struct Asked<T> {
    question: usize,
    read: fn(&Fields<'_>) -> sqlx::Result<T>,
}

/// The fields of a row, counted from 0.
pub struct Fields<'r> {
    row: &'r PgRow,
    from: usize,
}

/// What was answered to all of them.
pub struct Answers {
    rows: Vec<PgRow>,
    /// Where the fields of each question begin, and before them the number of its row; alone, it has none.
    starts: Vec<usize>,
}

/// `add_read!(reads, "SELECT …", [argument, …], |row| …)` adds a question to [`Reads`] and says how a row of its answer is
/// read; `with = "name AS (…), …"` before the statement are expressions that it selects from. It is checked when it is
/// compiled, as by `sqlx::query!`, but for the types of its columns.
macro_rules! add_read {
    ($reads:expr, with = $with:literal, $select:literal, [$($argument:expr),*], $read:expr) => {{
        // Nobody calls it: it is there to be checked.
        let _ = || sqlx::query!("WITH RECURSIVE " + $with + " " + $select $(, $argument)*);
        $crate::platform::db::add_read!(@add $reads, $with, $select, [$($argument),*], $read)
    }};
    ($reads:expr, $select:literal, [$($argument:expr),*], $read:expr) => {{
        let _ = || sqlx::query!($select $(, $argument)*);
        $crate::platform::db::add_read!(@add $reads, "", $select, [$($argument),*], $read)
    }};
    (@add $reads:expr, $with:literal, $select:literal, [$($argument:expr),*], $read:expr) => {{
        let reads: &mut $crate::platform::db::Reads = $reads;
        let asked = reads.add($with, $select, $read);
        $(reads.bind($argument);)*
        asked
    }};
}
pub(crate) use add_read;

impl Reads {
    pub fn add<T>(
        &mut self,
        with: &'static str,
        select: &'static str,
        read: fn(&Fields<'_>) -> sqlx::Result<T>,
    ) -> Asked<T> {
        self.questions.push(Question { with, select, before: self.arguments.len() });
        Asked { question: self.questions.len() - 1, read }
    }

    pub fn bind<'q, A: Encode<'q, Postgres> + Type<Postgres>>(&mut self, argument: A) {
        if let Err(fault) = self.arguments.add(argument) {
            self.fault.get_or_insert(fault);
        }
    }

    /// Asks what was gathered; where that is nothing, nobody is asked.
    pub async fn ask_all(self, conn: &mut PgConnection) -> sqlx::Result<Answers> {
        if let Some(fault) = self.fault {
            return Err(sqlx::Error::Encode(fault));
        }
        if self.questions.is_empty() {
            return Ok(Answers { rows: Vec::new(), starts: Vec::new() });
        }
        let sql = as_one(&self.questions);
        let rows = sqlx::query_with(AssertSqlSafe(sql), self.arguments).fetch_all(conn).await?;
        let starts = match (rows.first(), self.questions.len()) {
            (None, several) => vec![0; several],
            (Some(_), 1) => vec![0],
            (Some(row), several) => (0..several).map(|n| row.column(&*number(n)).ordinal() + 1).collect(),
        };
        Ok(Answers { rows, starts })
    }
}

impl Answers {
    /// The rows of an answer, in the order of its question.
    pub fn of<T>(&self, asked: &Asked<T>) -> sqlx::Result<Vec<T>> {
        let from = self.starts[asked.question];
        if from == 0 {
            return self.rows.iter().map(|row| (asked.read)(&Fields { row, from })).collect();
        }
        let mut answered = Vec::with_capacity(self.rows.len());
        for row in &self.rows {
            // Who has fewer rows than another has no number in the rest of them.
            if let Some(number) = row.try_get::<Option<i64>, _>(from - 1)? {
                answered.push((number, (asked.read)(&Fields { row, from })?));
            }
        }
        answered.sort_unstable_by_key(|(number, _)| *number);
        Ok(answered.into_iter().map(|(_, row)| row).collect())
    }
}

impl<'r> Fields<'r> {
    pub fn get<T: Decode<'r, Postgres> + Type<Postgres>>(&self, n: usize) -> sqlx::Result<T> {
        self.row.try_get(self.from + n)
    }
}

/// The name of the column that numbers the rows of a question.
fn number(n: usize) -> String {
    format!("#{n}")
}

fn as_one(questions: &[Question]) -> String {
    let text = questions.iter().map(|question| question.with.len() + question.select.len() + 128).sum();
    let mut sql = String::with_capacity(text);
    let mut separator = "WITH RECURSIVE ";
    for question in questions.iter().filter(|question| !question.with.is_empty()) {
        sql.push_str(separator);
        renumber(&mut sql, question.with, question.before);
        separator = ", ";
    }
    if let [alone] = questions {
        sql.push_str(if sql.is_empty() { "" } else { " " });
        renumber(&mut sql, alone.select, alone.before);
        return sql;
    }
    for (n, question) in questions.iter().enumerate() {
        let _ = write!(
            sql,
            "{separator}q{n} AS MATERIALIZED (SELECT row_number() OVER () AS \"{}\", q.* FROM (",
            number(n)
        );
        renumber(&mut sql, question.select, question.before);
        sql.push_str(") q");
        if let Some(earlier) = n.checked_sub(1) {
            // Known before the first row is looked for, so the earlier one is answered by then.
            let _ = write!(sql, " WHERE (SELECT count(*) FROM q{earlier}) >= 0");
        }
        sql.push(')');
        separator = ", ";
    }
    sql.push_str(" SELECT * FROM q0");
    for n in 1..questions.len() {
        let earlier: Vec<String> = (0..n).map(|n| format!("\"{}\"", number(n))).collect();
        let _ = write!(sql, " FULL JOIN q{n} ON \"{}\" = coalesce({})", number(n), earlier.join(", "));
    }
    sql
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_alone_is_asked_as_it_is() {
        let alone = Question { with: "", select: "SELECT a FROM b WHERE c = $1", before: 0 };
        assert_eq!(as_one(&[alone]), "SELECT a FROM b WHERE c = $1");
        let alone = Question { with: "a AS (DELETE FROM b WHERE c = $1)", select: "SELECT $2", before: 0 };
        assert_eq!(as_one(&[alone]), "WITH RECURSIVE a AS (DELETE FROM b WHERE c = $1) SELECT $2");
    }

    #[test]
    fn several_stand_side_by_side() {
        let questions = [
            Question { with: "", select: "SELECT $1", before: 0 },
            Question { with: "a AS (SELECT $1)", select: "SELECT * FROM a, b WHERE c = $2", before: 1 },
            Question { with: "", select: "SELECT d", before: 3 },
        ];
        assert_eq!(
            as_one(&questions),
            "WITH RECURSIVE a AS (SELECT $2), \
             q0 AS MATERIALIZED (SELECT row_number() OVER () AS \"#0\", q.* FROM (SELECT $1) q), \
             q1 AS MATERIALIZED (SELECT row_number() OVER () AS \"#1\", q.* FROM (SELECT * FROM a, b WHERE c = $3) q \
             WHERE (SELECT count(*) FROM q0) >= 0), \
             q2 AS MATERIALIZED (SELECT row_number() OVER () AS \"#2\", q.* FROM (SELECT d) q \
             WHERE (SELECT count(*) FROM q1) >= 0) \
             SELECT * FROM q0 FULL JOIN q1 ON \"#1\" = coalesce(\"#0\") FULL JOIN q2 ON \"#2\" = coalesce(\"#0\", \"#1\")"
        );
    }
}
