//! What a transaction gathers to be written.

use sqlx::Executor;
use stockhold::platform::db::{Db, Writes};

use crate::cluster::{self, Database};

const CONNECTIONS: u32 = 2;

#[tokio::test]
async fn what_is_gathered_is_written_all_together_or_not() {
    let _room = cluster::room_for(CONNECTIONS + 1).await;
    let database = Database::create().await;
    let db = Db::new(database.options(), CONNECTIONS);
    let mut tx = db.begin().await.unwrap();
    tx.execute("CREATE TABLE rows (n int PRIMARY KEY, state text); INSERT INTO rows VALUES (1, 'old'), (2, 'old')")
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let rows = async || -> Vec<(i32, String)> {
        let mut conn = db.conn().await.unwrap();
        sqlx::query_as("SELECT n, state FROM rows ORDER BY n").fetch_all(&mut *conn).await.unwrap()
    };
    let gather = |inserted: &[i32], wanted: i32, rows: usize| {
        let mut writes = Writes::default();
        if !inserted.is_empty() {
            writes.add("INSERT INTO rows SELECT n, $2 FROM unnest($1::int[]) AS n");
            writes.bind(inserted);
            writes.bind("new");
        }
        writes.add("UPDATE rows SET state = $2 WHERE n = $1");
        writes.bind(wanted);
        writes.bind("changed");
        writes.of_rows(rows);
        writes
    };
    let mut tx = db.begin().await.unwrap();
    let mut writes = gather(&[3, 4], 1, 1);
    writes.write_out(&mut tx).await.unwrap();
    // What was written is not there to be written again.
    writes.write_out(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    let expected = [(1, "changed"), (2, "old"), (3, "new"), (4, "new")].map(|(n, state)| (n, state.to_owned()));
    assert_eq!(rows().await, expected);
    // A key that is there already; a row that is not, together with others and alone.
    for (inserted, wanted) in [(&[5, 1][..], 2), (&[5], 9), (&[], 9)] {
        let mut tx = db.begin().await.unwrap();
        assert!(gather(inserted, wanted, 1).write_out(&mut tx).await.is_err(), "{inserted:?} {wanted}");
        drop(tx);
        assert_eq!(rows().await, expected);
    }
    db.close().await;
}
