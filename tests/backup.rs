//! `stockhold backup` and `stockhold restore`: the real binary, a real Postgres, damaged files and killed processes.

#![cfg(target_os = "linux")] // the support looks into /proc

#[path = "support/server.rs"]
mod server;

#[path = "backup/shop.rs"]
mod shop;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::RngExt;
use serde_json::{Value, json};
use server::{LONG, Process, Server, command, place, within};
use shop::{Caller, OPENING, Postgres};

/// Runs `stockhold` to its end.
fn stockhold(home: &Path, args: &[&str]) -> Output {
    command(home).args(args).output().expect("the binary starts")
}

fn done(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stdout));
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

fn refused(output: &Output) -> String {
    assert!(!output.status.success(), "it should have refused: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the test's own paths are text")
}

/// A directory with a shop in it, its server, and who calls it.
async fn shop(home: &Path) -> (PathBuf, Server, Caller) {
    let data = home.join("data");
    let server = Server::start(home, &data);
    let caller = Caller::new(&server, server.key.as_deref().expect("a first start prints a key"));
    caller.shop().await;
    (data, server, caller)
}

/// A backup that is taken while clients write shows one moment, and life goes on from there.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_is_one_moment_from_which_the_restored_shop_goes_on() {
    let home = place();
    let (data, mut server, caller) = shop(home.path()).await;
    let key = server.key.clone().expect("a first start prints a key");
    let order = json!({"lines": [{"sku": "TEA", "quantity": 2}]});
    let (status, placed, _) = caller.post("/v1/orders", "the-order", &order).await;
    assert_eq!(status, 201, "{placed}");
    let (_, cursor) = caller.feed("").await;

    // Four clients write before, while and after it is taken.
    let stop = AtomicBool::new(false);
    let write = async |writer: usize| {
        let mut n = 0;
        while !stop.load(Ordering::SeqCst) {
            caller.receive(&format!("{writer}-{n}")).await;
            n += 1;
        }
    };
    let take = async {
        within_async(|| caller.received()[0] > 20).await;
        let [least, _] = caller.received();
        let (home, data) = (home.path().to_owned(), data.clone());
        let args = move || done(&stockhold(&home, &["backup", "shop.backup", "--data-dir", text(&data), "--json"]));
        let made = tokio::task::spawn_blocking(args).await.expect("it does not panic");
        let [now, most] = caller.received();
        within_async(|| caller.received()[0] > now + 20).await;
        stop.store(true, Ordering::SeqCst);
        (least, most, made)
    };
    let (_, _, _, _, (least, most, made)) = tokio::join!(write(0), write(1), write(2), write(3), take);
    let (told, ahead) = caller.feed(&cursor).await;
    server.process.stop();

    let restored = done(&stockhold(home.path(), &["restore", "shop.backup", "--data-dir", "copy", "--json"]));
    assert_eq!(restored["self_check"]["differences"], json!([]));
    assert_eq!(restored["totals"]["rows"], made["rows"]);
    assert_eq!(restored["taken_at"], made["taken_at"]);

    let mut copy = Server::start(home.path(), &home.path().join("copy"));
    assert_eq!(copy.key, None, "the key is that of the backup");
    let again = Caller::new(&copy, &key);
    let received = again.get("/v1/stock/TEA").await["on_hand"].as_i64().expect("a number") - OPENING;
    assert!((least..=most).contains(&received), "{least} to {most} were received, and it has {received}");
    assert_eq!(again.post("/v1/orders", "the-order", &order).await, (status, placed, true));

    // The old cursor goes on without a gap: what was told before, up to the moment, and that it was restored.
    let (mut retold, _) = again.feed(&cursor).await;
    let mark = retold.pop().expect("an event says so");
    assert_eq!(mark["type"], "instance.restored");
    assert_eq!(retold[..], told[..retold.len()], "the same events under the same ids");
    assert_eq!(mark["data"]["backup_taken_at"], made["taken_at"]);
    assert_eq!(retold.iter().filter(|event| event["type"] == "stock.level_changed").count() as i64, received);
    // A reader who had gone on past the moment has seen what never happened here: it is told so, and how to begin again.
    let problem = again.refused(&format!("/v1/events?after={ahead}")).await;
    assert_eq!(
        (&problem["type"], &problem["resync"]),
        (&json!("/problems/stale-cursor"), &json!("/v1/stock/snapshot"))
    );
    assert_eq!(again.get("/v1/self-check").await["differences"], json!([]));
    assert!(copy.process.stop().success());
}

async fn within_async(mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < LONG, "not within {LONG:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Every row of every table is there, and so is a backup of an older version, brought up to date.
#[tokio::test(flavor = "multi_thread")]
async fn every_table_comes_back_also_from_an_older_version_into_a_postgres_of_ones_own() {
    let home = place();
    let (data, _server, caller) = shop(home.path()).await;
    for n in 0..5 {
        let line = json!({"lines": [{"sku": "TEA", "quantity": n + 1}], "owner": format!("cart-{n}")});
        assert_eq!(caller.post("/v1/reservations", &format!("r-{n}"), &line).await.0, 201);
    }
    let postgres = Postgres::of(&data);
    let mut conn = postgres.connect("stockhold").await;
    // The directory is a row that a migration puts in: the backup's replaces it.
    let rules = "UPDATE warehouses.directory SET rules = ARRAY['most_stock'], version = 7";
    sqlx::query(rules).execute(&mut conn).await.expect("its one row");
    // Whoever follows the feed has read all of it, so nothing moves any more.
    let behind = "SELECT count(*) <> 2 OR min(position) < (SELECT max(id) FROM events.outbox) FROM events.followers";
    let begun = Instant::now();
    while sqlx::query_scalar::<_, bool>(behind).fetch_one(&mut conn).await.expect("an answer") {
        assert!(begun.elapsed() < LONG, "the followers do not come to the end of the feed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (from, to) = (postgres.url("stockhold"), postgres.create("other").await);
    let made = done(&stockhold(home.path(), &["backup", "all.backup", "--database-url", &from, "--json"]));
    done(&stockhold(home.path(), &["restore", "all.backup", "--database-url", &to]));
    let (mut before, mut after) = (postgres.digests("stockhold").await, postgres.digests("other").await);
    // The feed has one event more and begins anew, and the audit trail has one row, which say so.
    let count = |digest: &str| digest.split(' ').next().and_then(|n| n.parse::<u64>().ok()).expect("a number");
    for table in ["events.history", "events.outbox", "platform.audit"] {
        let [was, is] = [&mut before, &mut after].map(|it| it.remove(table).expect("a table"));
        assert_eq!(count(&is), count(&was) + 1, "{table}");
    }
    assert_eq!(after, before);
    let tables = made["tables"].as_u64().expect("a number");
    assert_eq!(tables, before.len() as u64 + 2, "all but the list of migrations, with the feed and the trail");

    // The schema as the first release had it.
    let old = postgres.create("old").await;
    let mut conn = postgres.connect("old").await;
    let all = sqlx::migrate::Migrator::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations")).await;
    let first = all.expect("readable").iter().filter(|m| m.version <= 6).cloned().collect();
    sqlx::migrate::Migrator::with_migrations(first).run(&mut conn).await.expect("a fresh database");
    let row = "INSERT INTO warehouses.warehouses (code, name) VALUES ('OLD', 'Of the first release')";
    sqlx::query(row).execute(&mut conn).await.expect("a row");
    done(&stockhold(home.path(), &["backup", "old.backup", "--database-url", &old]));
    let new = postgres.create("new").await;
    done(&stockhold(home.path(), &["restore", "old.backup", "--database-url", &new]));
    let mut conn = postgres.connect("new").await;
    let name: String =
        sqlx::query_scalar("SELECT name FROM warehouses.warehouses").fetch_one(&mut conn).await.expect("an answer");
    assert_eq!(name, "Of the first release");
    let digests = postgres.digests("new").await;
    assert_eq!(digests["public._sqlx_migrations"], before["public._sqlx_migrations"]);
    assert_eq!(digests.keys().collect::<BTreeSet<_>>(), postgres.digests("other").await.keys().collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_do_harm_is_refused() {
    let home = place();
    let (data, mut server, _) = shop(home.path()).await;
    let run = |args: &[&str]| stockhold(home.path(), args);
    let data = text(&data);

    let nothing = refused(&run(&["backup", "none.backup", "--data-dir", "nowhere"]));
    assert!(nothing.contains("nothing to back up"), "{nothing}");
    assert!(!home.path().join("nowhere").exists() && !home.path().join("none.backup").exists());

    done(&run(&["backup", "shop.backup", "--data-dir", data]));
    let file = home.path().join("shop.backup");
    assert_eq!(fs::metadata(&file).expect("it is there").permissions().mode() & 0o777, 0o600);
    done(&run(&["backup", "--verify", "shop.backup"]));
    let before = fs::read(&file).expect("readable");
    let there = refused(&run(&["backup", "shop.backup", "--data-dir", data]));
    assert!(there.contains("exists") && there.contains("--force"), "{there}");
    assert_eq!(fs::read(&file).expect("readable"), before);
    done(&run(&["backup", "shop.backup", "--data-dir", data, "--force"]));
    assert_ne!(fs::read(&file).expect("readable"), before);
    let parts = fs::read_dir(home.path()).expect("readable").flatten();
    assert_eq!(parts.filter(|it| it.file_name().to_string_lossy().ends_with(".part")).count(), 0);

    let piped = run(&["backup", "-", "--data-dir", data]);
    assert!(piped.status.success());
    fs::write(home.path().join("piped.backup"), &piped.stdout).expect("writable");
    done(&run(&["backup", "--verify", "piped.backup"]));

    // Beside the server, over what it left, and over a database of one's own that was used.
    let running = refused(&run(&["restore", "shop.backup", "--data-dir", data]));
    assert!(running.contains("is in use by another stockhold process"), "{running}");
    let own =
        refused(&run(&["restore", "shop.backup", "--database-url", &Postgres::of(Path::new(data)).url("stockhold")]));
    assert!(own.contains("is not empty"), "{own}");
    server.process.stop();
    let used = refused(&run(&["restore", "shop.backup", "--data-dir", data]));
    assert!(used.contains("is not empty"), "{used}");
    // A stopped instance can be backed up all the same, and is what it was.
    done(&run(&["backup", "stopped.backup", "--data-dir", data]));
    let [running, stopped] = ["shop.backup", "stopped.backup"]
        .map(|file| done(&run(&["backup", "--verify", file, "--json"]))["rows"].clone());
    assert_eq!(running, stopped);
}

/// A bit flipped or a cut at any place is found before anything is touched.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_refused_with_nothing_changed() {
    let home = place();
    let (data, mut server, _) = shop(home.path()).await;
    done(&stockhold(home.path(), &["backup", "shop.backup", "--data-dir", text(&data)]));
    server.process.stop();
    let whole = fs::read(home.path().join("shop.backup")).expect("readable");
    let damaged = home.path().join("damaged.backup");
    let mut rng = rand::rng();
    for n in 0..100 {
        let at = rng.random_range(0..whole.len());
        let mut bytes = whole.clone();
        if n % 2 == 0 {
            bytes.truncate(at);
        } else {
            bytes[at] ^= 1 << rng.random_range(0..8);
        }
        fs::write(&damaged, &bytes).expect("writable");
        let why = refused(&stockhold(home.path(), &["restore", text(&damaged), "--data-dir", "copy"]));
        assert!(why.contains("is refused"), "byte {at} of {}: {why}", whole.len());
        assert!(!home.path().join("copy").exists(), "byte {at}: something was touched");
    }
    done(&stockhold(home.path(), &["restore", "shop.backup", "--data-dir", "copy"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_is_killed_leaves_the_instance_empty() {
    let home = place();
    let (data, mut server, _) = shop(home.path()).await;
    Postgres::of(&data).fill(2_000).await;
    done(&stockhold(home.path(), &["backup", "shop.backup", "--data-dir", text(&data)]));
    server.process.stop();
    let restore = |copy: &Path| {
        let mut restore = command(home.path());
        restore.args(["restore", "shop.backup", "--data-dir", text(copy)]);
        let process = Process::start(restore, home.path());
        within(LONG, "its Postgres runs", || copy.join("postgres/postmaster.pid").exists());
        (process, Instant::now())
    };
    let (mut whole, begun) = restore(&home.path().join("whole"));
    assert!(whole.ended().success(), "{}", whole.said());
    let takes = begun.elapsed();
    let mut cut = 0;
    for tenths in [3, 6, 8] {
        let copy = home.path().join(format!("copy-{tenths}"));
        let (mut process, begun) = restore(&copy);
        tokio::time::sleep((takes * tenths / 10).saturating_sub(begun.elapsed())).await;
        let ended = process.has_ended().is_some();
        process.kill();
        let after = stockhold(home.path(), &["backup", "after.backup", "--force", "--data-dir", text(&copy)]);
        if ended || after.status.success() {
            // It was done after all, wholly, with an event, a new feed and a row of the audit trail that say so.
            let rows =
                |file: &str| done(&stockhold(home.path(), &["backup", "--verify", "--json", file]))["rows"].clone();
            assert_eq!(rows("after.backup").as_u64(), rows("shop.backup").as_u64().map(|rows| rows + 3));
        } else {
            cut += 1;
            assert!(refused(&after).contains("nothing to back up"));
            done(&stockhold(home.path(), &["restore", "shop.backup", "--data-dir", text(&copy)]));
        }
    }
    assert!(cut > 0, "it was never cut in the middle, in {takes:?}");
}

/// A backup that is told to stop leaves nothing behind.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_stopped_leaves_no_file() {
    let home = place();
    let (data, mut server, _) = shop(home.path()).await;
    Postgres::of(&data).fill(10_000).await;
    let out = home.path().join("out");
    fs::create_dir(&out).expect("writable");
    let mut backup = command(home.path());
    backup.args(["backup", "out/shop.backup", "--data-dir", text(&data)]);
    let mut process = Process::start(backup, home.path());
    let files = || fs::read_dir(&out).expect("readable").count();
    within(LONG, "it has begun", || files() == 1);
    assert!(!process.stop().success(), "it was too quick to be stopped");
    assert!(process.said().contains("stopped before it was done"), "{}", process.said());
    assert_eq!(files(), 0);
    assert!(server.is_ready());
    server.process.stop();
}

/// Sizes and times for docs/reliability.md, of the demo's shop and of one with many orders:
/// `ORDERS=200000 cargo test --release --test backup -- --ignored --nocapture`
#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes minutes; it prints figures, and holds memory to its bound"]
async fn sizes_and_times() {
    let orders = std::env::var("ORDERS").map_or(200_000, |orders| orders.parse().expect("a number"));
    println!("| shop | rows | database | backup | backing up | verifying | restoring with self-check | memory |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for (name, orders) in [("demo".to_owned(), 0), (format!("{orders} orders"), orders)] {
        let home = place();
        let data = home.path().join("data");
        let server = Server::start(home.path(), &data);
        let postgres = Postgres::of(&data);
        if orders == 0 {
            let (url, key) =
                (format!("http://{}", server.address), server.key.clone().expect("a first start prints it"));
            done(&stockhold(home.path(), &["demo", "--url", &url, "--key", &key]));
        } else {
            postgres.fill(orders).await;
        }
        let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / 1024.0 / 1024.0);
        let size = postgres.size().await;
        let (peak, up) = peak_and_time(home.path(), &["backup", "shop.backup", "--data-dir", text(&data)]);
        let made = done(&stockhold(home.path(), &["backup", "--verify", "shop.backup", "--json"]));
        let restored = done(&stockhold(home.path(), &["restore", "shop.backup", "--data-dir", "copy", "--json"]));
        assert_eq!(restored["self_check"]["ok"], true);
        println!(
            "| {name} | {} | {} | {} | {:.1} s | {:.1} s | {:.1} s | {} |",
            made["rows"],
            mib(size),
            mib(made["file_bytes"].as_u64().expect("a number")),
            up.as_secs_f64(),
            made["seconds"].as_f64().expect("a number"),
            restored["seconds"].as_f64().expect("a number"),
            mib(peak)
        );
        assert!(peak < 100 * 1024 * 1024, "a backup takes little memory, whatever the size of the shop");
    }
}

/// The most memory that a run of `stockhold` had, and how long it took.
fn peak_and_time(home: &Path, args: &[&str]) -> (u64, Duration) {
    let mut run = command(home);
    run.args(args);
    let begun = Instant::now();
    let mut process = Process::start(run, home);
    let mut peak = 0;
    while process.has_ended().is_none() {
        let status = fs::read_to_string(format!("/proc/{}/status", process.pid())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        peak = kib.map_or(peak, |kib| kib * 1024);
        #[allow(clippy::disallowed_methods)] // a test's thread is its own
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(process.ended().success(), "{}", process.said());
    (peak, begun.elapsed())
}
