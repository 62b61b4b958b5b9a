//! Futures that use the database may be dropped at any point: a client that hangs up does that to every read.
//! No connection may come back to the pool inside a transaction.

use futures::FutureExt;
use std::task::Poll;
use std::time::Duration;

use rand::RngExt;
use sqlx::{ConnectOptions, Connection, Executor, Row};
use stockhold::platform::db::Db;

use crate::cluster::{self, Database};
use crate::harness::{Server, eventually};

const CONNECTIONS: u32 = 8;

/// Polls it as often at most, then drops it wherever it is. True when it came to its end.
async fn cut_short(polls: u32, work: impl Future<Output = sqlx::Result<()>>) -> bool {
    let mut work = std::pin::pin!(work);
    let mut left = polls;
    let outcome = std::future::poll_fn(|context| {
        let Some(fewer) = left.checked_sub(1) else { return Poll::Ready(None) };
        left = fewer;
        work.as_mut().poll(context).map(Some)
    });
    match outcome.await {
        Some(Ok(())) => true,
        Some(Err(error)) => panic!("{error}"),
        None => false,
    }
}

/// Fifty transactions, each dropped somewhere. How many came to their end.
async fn begin_and_drop(db: Db, reads: bool) -> u32 {
    let mut finished = 0;
    for _ in 0..50 {
        let polls = rand::rng().random_range(0..10);
        let work = async {
            if reads {
                let mut tx = db.snapshot().await?;
                sqlx::query("SELECT true").execute(&mut *tx).await?;
                tx.commit().await
            } else {
                let mut tx = db.begin().await?;
                sqlx::query("SELECT true").execute(&mut *tx).await?;
                tx.commit().await
            }
        };
        finished += u32::from(cut_short(polls, work).await);
    }
    finished
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_dropped_while_it_begins_leaves_no_transaction_behind() {
    let _room = cluster::room_for(CONNECTIONS + 1).await;
    let database = Database::create().await;
    let db = Db::new(database.options(), CONNECTIONS);
    let mut finished = 0;
    // In rounds, for whoever begins a transaction within another ends both, and hides what happened before.
    for _ in 0..20 {
        let workers: Vec<_> = (0..8).map(|n| tokio::spawn(begin_and_drop(db.clone(), n % 2 == 0))).collect();
        for worker in workers {
            finished += worker.await.unwrap();
        }
        eventually("no session stands in a transaction", async || database.left_in_transaction().await == 0).await;
    }
    assert!((1..8_000).contains(&finished), "{finished} of 8,000 came to their end");
    // And every connection there is does what it is told, outside of any transaction.
    let mut all = Vec::new();
    for n in 0..i32::try_from(CONNECTIONS / 4).unwrap() {
        let mut conn = db.conn().await.unwrap();
        let answer: i32 = sqlx::query_scalar("SELECT $1::int").bind(n).fetch_one(&mut *conn).await.unwrap();
        let row = conn.fetch_one(sqlx::raw_sql("SELECT now() = statement_timestamp()")).await.unwrap();
        assert_eq!((answer, row.get(0)), (n, true));
        all.push(conn);
    }
    let now: chrono::DateTime<chrono::Utc> =
        sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(&mut *all[0]).await.unwrap();
    let mut begun = Vec::new();
    for _ in 0..CONNECTIONS - CONNECTIONS / 4 - CONNECTIONS / 8 {
        let mut tx = db.begin().await.unwrap();
        let begins_now: bool = sqlx::query_scalar("SELECT now() > $1").bind(now).fetch_one(&mut *tx).await.unwrap();
        assert!(begins_now, "it stood in a transaction already");
        begun.push(tx);
    }
    drop((all, begun));
    db.close().await;
}

#[tokio::test]
async fn a_transaction_within_another_is_undone_alone() {
    let _room = cluster::room_for(CONNECTIONS + 1).await;
    let database = Database::create().await;
    let db = Db::new(database.options(), CONNECTIONS);
    let mut tx = db.begin().await.unwrap();
    tx.execute("CREATE TABLE rows (n int); INSERT INTO rows VALUES (1)").await.unwrap();
    let mut within = tx.begin().await.unwrap();
    within.execute("INSERT INTO rows VALUES (2)").await.unwrap();
    within.commit().await.unwrap();
    let mut within = tx.begin().await.unwrap();
    within.execute("INSERT INTO rows VALUES (3)").await.unwrap();
    within.rollback().await.unwrap();
    let rows = "SELECT count(*) FROM rows";
    assert_eq!(sqlx::query_scalar::<_, i64>(rows).fetch_one(&mut *tx).await.unwrap(), 2);
    drop(tx);
    let mut tx = db.begin().await.unwrap();
    assert!(sqlx::query_scalar::<_, i64>(rows).fetch_one(&mut *tx).await.is_err(), "what was within stayed");
    drop(tx);
    db.close().await;
}

#[tokio::test]
async fn connections_that_ended_cost_nobody_a_transaction_or_an_answer() {
    let _room = cluster::room_for(2 * CONNECTIONS + 1).await;
    let database = Database::create().await;
    // An eighth of them, two, are to look up with.
    let db = Db::new(database.options(), 2 * CONNECTIONS);
    let mut postgres = database.options().connect().await.unwrap();
    for _ in 0..5 {
        let mut open = Vec::new();
        for _ in 0..CONNECTIONS / 2 {
            let mut tx = db.begin().await.unwrap();
            sqlx::query("SELECT 1").execute(&mut *tx).await.unwrap();
            open.push(tx);
        }
        for tx in open {
            tx.commit().await.unwrap();
        }
        db.snapshot().await.unwrap().commit().await.unwrap();
        let look = || db.look_up(|conn| sqlx::query_scalar("SELECT 1").fetch_one(conn).boxed());
        let seen: (i32, i32) = futures::future::try_join(look(), look()).await.unwrap();
        assert_eq!(seen, (1, 1));
        eventually("all of them rest", async || db.connections().1 == db.connections().0 as usize).await;
        let ended: i64 = sqlx::query_scalar(
            "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .fetch_one(&mut postgres)
        .await
        .unwrap();
        assert!(ended > i64::from(CONNECTIONS / 2), "{ended} ended");
    }
    db.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_hang_up_while_they_read_leave_no_transaction_behind() {
    let server = Server::start().await;
    server.shop(&[("TEA", 5)]).await;
    let order = server.order("TEA", 1).await;
    let paths =
        [format!("/v1/orders/{}", order["number"]), "/v1/orders".to_owned(), "/v1/stock/TEA/explain".to_owned()];
    let impatient = (0..8).map(|n| {
        let (server, path) = (&server, &paths[n % paths.len()]);
        async move {
            for _ in 0..150 {
                let after = Duration::from_micros(rand::rng().random_range(0..8_000));
                // Dropping the request closes its connection, whereupon the server drops the handler.
                let _ = tokio::time::timeout(after, server.get(path)).await;
            }
        }
    });
    futures::future::join_all(impatient).await;
    eventually("no session stands in a transaction", async || server.left_in_transaction().await == 0).await;
    server.assert_clean().await;
}
