//! Jobs: each is done once, whatever becomes of the transaction that made it and of the server that takes it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use stockhold::platform::db::Db;
use stockhold::platform::jobs::{Failure, Handlers, Jobs, NewJob, Running, Terms, enqueue_in_tx};
use tokio::sync::oneshot;

use crate::harness::{Server, each, eventually};

const TERMS: Terms = Terms { at_once: 4, timeout: Duration::from_secs(5), retry: Duration::from_millis(50) };

/// A worker of the kind `test`, as a server has one, until it is dropped.
struct Worker(#[allow(dead_code)] oneshot::Sender<()>);

impl Worker {
    fn start<F, Fut>(server: &Server, terms: Terms, work: F) -> Self
    where
        F: Fn(Running) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        let (stop, stopped) = oneshot::channel();
        let jobs = Jobs::new(server.app.db.clone());
        let handlers = Handlers::default().with("test", terms, work);
        tokio::spawn(jobs.work(handlers, async move {
            let _ = stopped.await;
        }));
        Self(stop)
    }
}

/// What handlers have seen, in order.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<Value>>>);

impl Seen {
    fn add(&self, job: &Running) -> Value {
        let payload: Value = job.payload().unwrap();
        self.0.lock().unwrap().push(payload.clone());
        payload
    }

    fn all(&self) -> Vec<Value> {
        self.0.lock().unwrap().clone()
    }
}

async fn enqueue(db: &Db, new: &[NewJob]) {
    let mut tx = db.begin().await.unwrap();
    enqueue_in_tx(&mut tx, new).await.unwrap();
    tx.commit().await.unwrap();
}

fn job(n: i64) -> NewJob {
    NewJob::new("test", &json!({ "n": n }))
}

async fn all(server: &Server, status: &str) -> Vec<Value> {
    server.list(&format!("/v1/jobs?kind=test&status={status}")).await
}

fn path(job: &Value, below: &str) -> String {
    format!("/v1/jobs/{}{below}", job["id"].as_str().unwrap())
}

#[tokio::test]
async fn what_is_rolled_back_never_runs_and_the_rest_runs_once_with_two_servers() {
    let [one, two] = Server::pair().await;
    let seen = Seen::default();
    let workers = [&one, &two].map(|server| {
        let seen = seen.clone();
        Worker::start(server, TERMS, move |job| {
            seen.add(&job);
            async { Ok(()) }
        })
    });
    let mut tx = one.app.db.begin().await.unwrap();
    enqueue_in_tx(&mut tx, &[job(-1)]).await.unwrap();
    tx.rollback().await.unwrap();
    for n in 0..20 {
        let jobs: Vec<NewJob> = (0..10).map(|m| job(n * 10 + m)).collect();
        enqueue(&[&one, &two][usize::try_from(n % 2).unwrap()].app.db, &jobs).await;
    }
    eventually("all are done", async || all(&two, "done").await.len() == 200).await;
    let mut numbers: Vec<i64> = seen.all().iter().map(|payload| payload["n"].as_i64().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..200).collect::<Vec<_>>());
    let metrics = String::from_utf8(one.get("/metrics").await.bytes).unwrap();
    assert!(metrics.contains(r#"stockhold_jobs_total{kind="test",outcome="done"}"#), "{metrics}");
    drop(workers);
    one.assert_clean().await;
}

#[tokio::test]
async fn what_fails_comes_again_until_it_is_given_up_or_cancelled() {
    let server = Server::start().await;
    let seen = Seen::default();
    let heard = seen.clone();
    let _worker = Worker::start(&server, TERMS, move |job| {
        let payload = heard.add(&job);
        async move {
            match payload["n"].as_i64() {
                Some(1) if job.attempt == 3 => Ok(()),
                Some(3) => Err(Failure::Final("nobody of this name".to_owned())),
                Some(4) => panic!("as it was told"),
                _ => Err(Failure::Again("not yet".to_owned())),
            }
        }
    });
    let few = |n, max_attempts| NewJob { max_attempts, ..job(n) };
    enqueue(&server.app.db, &[few(1, 5), few(2, 2), few(3, 5), few(4, 1)]).await;
    eventually("all have ended", async || all(&server, "pending").await.is_empty()).await;
    let done = all(&server, "done").await;
    assert_eq!((done.len(), &done[0]["attempts"]), (1, &json!(3)));
    let dead = all(&server, "dead").await;
    assert_eq!(each(&dead, "attempts"), [1, 1, 2], "the newest first");
    let errors = ["the handler panicked; the log has the cause", "nobody of this name", "not yet"];
    assert_eq!(each(&dead, "last_error"), errors);

    let before = seen.all().len();
    let again = server.post(&path(&dead[2], "/retry"), json!({})).await.expect(200);
    assert_eq!((&again["status"], &again["attempts"]), (&json!("pending"), &json!(0)));
    eventually("it had its attempts", async || seen.all().len() == before + 2).await;
    server.post(&path(&done[0], "/retry"), json!({})).await.refused(409, "invalid-state");
    server.post(&path(&dead[1], "/cancel"), json!({})).await.refused(409, "invalid-state");

    enqueue(&server.app.db, &[NewJob { after: Duration::from_secs(3600), ..job(5) }]).await;
    let waits = all(&server, "pending").await.remove(0);
    assert_eq!((&waits["attempts"], &waits["under_way"]), (&json!(0), &json!(false)));
    let cancelled = server.post(&path(&waits, "/cancel"), json!({})).await.expect(200);
    assert_eq!((&cancelled["status"], &cancelled["run_at"]), (&json!("cancelled"), &Value::Null));
    server.post(&path(&waits, "/retry"), json!({})).await.expect(200);
    eventually("it runs after all", async || seen.all().contains(&json!({"n": 5}))).await;
    let read = server.get(&path(&waits, "")).await.expect(200);
    assert_eq!(read["payload"], json!({"n": 5}));
    server.assert_clean().await;
}

#[tokio::test]
async fn a_lease_that_runs_out_is_taken_over_and_who_had_it_cannot_say_how_it_went() {
    let [one, two] = Server::pair().await;
    let (slow, quick) = (Seen::default(), Seen::default());
    enqueue(&one.app.db, &[job(1)]).await;
    let (heard, db) = (slow.clone(), one.app.db.clone());
    let ended = Arc::new(Mutex::new(None));
    let (told, release) = (ended.clone(), Arc::new(tokio::sync::Notify::new()));
    let waits = release.clone();
    // It has no room for a second attempt beside the first, so that it is the other that takes the job over.
    let busy = Terms { at_once: 1, timeout: Duration::from_secs(60), ..TERMS };
    let first = Worker::start(&one, busy, move |job| {
        heard.add(&job);
        let (db, told, waits) = (db.clone(), told.clone(), waits.clone());
        async move {
            waits.notified().await;
            let mut tx = db.begin().await?;
            let is_ours = job.finish_in_tx(&mut tx).await?;
            tx.rollback().await?;
            *told.lock().unwrap() = Some(is_ours);
            Ok(())
        }
    });
    eventually("it is under way", async || slow.all().len() == 1).await;
    let under_way = all(&one, "pending").await.remove(0);
    assert_eq!(under_way["under_way"], true);
    one.post(&path(&under_way, "/retry"), json!({})).await.refused(409, "invalid-state");
    // As if its server had been stopped for longer than the lease.
    one.sql("UPDATE platform.jobs SET run_at = clock_timestamp()").await.unwrap();
    let (heard, db) = (quick.clone(), two.app.db.clone());
    let _second = Worker::start(&two, TERMS, move |job| {
        heard.add(&job);
        let db = db.clone();
        async move {
            let mut tx = db.begin().await?;
            assert!(job.finish_in_tx(&mut tx).await?);
            tx.commit().await?;
            Ok(())
        }
    });
    eventually("it is done", async || all(&two, "done").await.len() == 1).await;
    release.notify_one();
    eventually("the first has ended", async || ended.lock().unwrap().is_some()).await;
    assert_eq!(*ended.lock().unwrap(), Some(false), "it is not its own any more");
    let done = all(&two, "done").await.remove(0);
    assert_eq!(done["attempts"], 2);
    assert_eq!((slow.all().len(), quick.all().len()), (1, 1));
    drop(first);
    one.assert_clean().await;
}

#[tokio::test]
async fn of_a_key_one_waits_and_a_new_one_is_made_as_soon_as_it_has_ended() {
    let server = Server::start().await;
    let keyed = |n| NewJob { key: Some("all".to_owned()), after: Duration::from_secs(3600), ..job(n) };
    enqueue(&server.app.db, &[keyed(1), keyed(2)]).await;
    enqueue(&server.app.db, &[keyed(3), job(4)]).await;
    let waiting = all(&server, "pending").await;
    assert_eq!(waiting.len(), 2);
    let of_the_key = waiting.iter().find(|job| job["key"] == "all").unwrap();
    server.post(&path(of_the_key, "/cancel"), json!({})).await.expect(200);
    enqueue(&server.app.db, &[keyed(5)]).await;
    assert_eq!(all(&server, "pending").await.len(), 2);
    server.post(&path(of_the_key, "/retry"), json!({})).await.refused(409, "invalid-state");
    server.assert_clean().await;
}
