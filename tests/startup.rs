//! Starting, stopping and being killed: the real binary against a real Postgres of its own.

#![cfg(target_os = "linux")] // it looks into /proc

#[path = "support/server.rs"]
mod server;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use server::{LONG, Process, Server, at_work, command, place, postmaster, serve_command, signal, within};

const WAREHOUSE: &str = r#"{"code": "KEPT", "name": "What must survive"}"#;

/// Something that must be there later.
fn keep(server: &Server) -> String {
    let key = server.key.clone().expect("a first start prints a key");
    assert_eq!(server.post("/v1/warehouses", &key, WAREHOUSE).0, 201);
    key
}

fn is_kept(server: &Server, key: &str) -> bool {
    server.get("/v1/warehouses/KEPT", key).1["code"] == "KEPT"
}

fn wait_until_gone(data: &Path) {
    within(LONG, "Postgres is gone", || at_work(data).is_empty());
}

/// Runs what is expected to fail, and gives what it said.
fn refusal(command: std::process::Command, home: &Path) -> String {
    let mut process = Process::start(command, home);
    assert!(!process.ended().success(), "it should have refused: {}", process.said());
    process.said()
}

#[test]
fn the_first_start_says_all_that_is_needed_and_the_second_keeps_the_secret() {
    let home = place();
    let data = home.path().join("data");
    let mut first = Server::start(home.path(), &data);
    let (printed, address) = (first.process.printed(), first.address);
    for wanted in [format!("http://{address}/v1"), format!("http://{address}/docs/")] {
        assert!(printed.contains(&wanted), "{printed}");
    }
    let key = keep(&first);
    assert_eq!(printed.lines().filter(|line| line.contains("Admin key") && line.contains(&key)).count(), 1);
    assert!(!first.process.said().contains(&key), "the log has the key");
    assert_eq!(first.get("/readyz", "").0, 200);
    assert_eq!(first.get("/v1/warehouses", "").0, 401);
    assert_eq!(first.get("/openapi.json", "").1["openapi"], "3.1.0");
    let begun = std::time::Instant::now();
    assert!(first.process.stop().success());
    assert!(begun.elapsed() < Duration::from_secs(20), "it took {:?} to stop", begun.elapsed());
    assert!(at_work(&data).is_empty() && !data.join("postgres/postmaster.pid").exists());

    let second = Server::start(home.path(), &data);
    assert_eq!(second.process.printed(), "");
    assert!(is_kept(&second, &key));
}

#[test]
fn a_killed_server_takes_postgres_along_and_loses_nothing() {
    let home = place();
    let data = home.path().join("data");
    let mut server = Server::start(home.path(), &data);
    let key = keep(&server);
    server.process.kill();
    wait_until_gone(&data);

    // Both at once, Postgres first, so that it has no time to react.
    let mut server = Server::start(home.path(), &data);
    assert!(is_kept(&server, &key));
    signal(postmaster(&data), Signal::KILL);
    server.process.kill();

    // The postmaster is killed and its children are frozen: left-overs that cannot go by themselves.
    let mut server = Server::start(home.path(), &data);
    assert!(is_kept(&server, &key));
    let first = postmaster(&data);
    let frozen: Vec<i32> = at_work(&data).into_iter().filter(|pid| *pid != first).collect();
    frozen.iter().for_each(|pid| signal(*pid, Signal::STOP));
    server.process.kill();
    if at_work(&data).contains(&first) {
        signal(first, Signal::KILL);
    }
    let server = Server::start(home.path(), &data);
    assert!(is_kept(&server, &key));
    assert!(at_work(&data).iter().all(|pid| !frozen.contains(pid)));
}

#[test]
fn a_killed_postgres_comes_back_under_the_same_server() {
    let home = place();
    let data = home.path().join("data");
    let mut server = Server::start(home.path(), &data);
    let key = keep(&server);
    for _ in 0..2 {
        let before = postmaster(&data);
        signal(before, Signal::KILL);
        within(LONG, "another Postgres", || {
            let file = fs::read_to_string(data.join("postgres/postmaster.pid")).unwrap_or_default();
            file.lines().next().is_some_and(|pid| pid != before.to_string())
        });
        within(LONG, "ready again", || server.is_ready());
        assert!(is_kept(&server, &key));
    }
    assert!(server.process.has_ended().is_none());
    assert!(server.process.said().contains("starting it again"));
    assert!(server.process.stop().success());
    assert!(at_work(&data).is_empty());
}

#[test]
fn a_start_cut_short_at_any_moment_does_no_harm() {
    for pause in [100, 400, 900] {
        let home = place();
        let data = home.path().join("data");
        let mut process = Process::start(serve_command(home.path(), &data), home.path());
        within(LONG, "a cluster is being made", || data.join("postgres.partial").exists());
        let begun = std::time::Instant::now();
        within(LONG, "the pause is over", || begun.elapsed() > Duration::from_millis(pause));
        process.kill();
        let server = Server::start(home.path(), &data);
        assert!(!data.join("postgres.partial").exists());
        assert!(server.is_ready());
    }
}

#[test]
fn a_data_directory_has_one_server() {
    let home = place();
    let data = home.path().join("data");
    let first = Server::start(home.path(), &data);
    let said = refusal(serve_command(home.path(), &data), home.path());
    assert!(said.contains("is in use") && said.contains(&format!("pid {}", first.process.pid())), "{said}");
    assert!(said.contains("--data-dir"), "it says what to do: {said}");
    assert!(first.is_ready(), "the first is not disturbed");
}

#[test]
fn a_directory_of_something_else_is_left_alone() {
    let home = place();
    let data = home.path().join("data");
    fs::create_dir_all(data.join("postgres")).unwrap();
    fs::write(data.join("postgres/mine"), "").unwrap();
    let said = refusal(serve_command(home.path(), &data), home.path());
    assert!(said.contains("is not a PostgreSQL data directory"), "{said}");
    fs::write(data.join("postgres/PG_VERSION"), "9\n").unwrap();
    let said = refusal(serve_command(home.path(), &data), home.path());
    assert!(said.contains("written by PostgreSQL 9"), "{said}");
    assert!(data.join("postgres/mine").exists());
    let said = refusal(serve_command(home.path(), Path::new("/proc/stockhold")), home.path());
    assert!(said.contains("cannot be written"), "{said}");
}

#[test]
fn without_postgres_and_without_consent_it_says_what_to_do() {
    let home = place();
    let mut command = serve_command(home.path(), &home.path().join("data"));
    command.env("STOCKHOLD_POSTGRES_SEARCH_PATH", "/nonexistent").env_remove("STOCKHOLD_INSTALL_POSTGRES");
    command.env("STOCKHOLD_POSTGRES_BUILDS_DIR", home.path().join("builds"));
    let said = refusal(command, home.path());
    for wanted in
        ["no PostgreSQL 15 or newer", "--install-postgres", "STOCKHOLD_INSTALL_POSTGRES=1", "--postgres-bin-dir"]
    {
        assert!(said.contains(wanted), "{said}");
    }
    let mut command = serve_command(home.path(), &home.path().join("data"));
    command.arg("--postgres-bin-dir").arg(home.path()).arg("--install-postgres");
    let said = refusal(command, home.path());
    assert!(said.contains("which has no `initdb`"), "a directory that is named is the one that is used: {said}");
}

#[test]
fn consent_changes_nothing_where_postgres_is() {
    let home = place();
    let data = home.path().join("data");
    let mut command = serve_command(home.path(), &data);
    command.env("STOCKHOLD_INSTALL_POSTGRES", "1");
    let server = Server::run(command, home.path());
    assert!(!server.process.said().contains("installing"));
    assert!(!data.join("postgres-builds").exists());
}

#[test]
fn settings_that_are_wrong_are_named() {
    let home = place();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let wrong = [
        ("STOCKHOLD_LISTN", "127.0.0.1:0", "listn"),
        ("STOCKHOLD_DATABASE_CONNECTIONS", "2", "database_connections must be 3 to 1000"),
        ("STOCKHOLD_DATABASE_CONNECTIONS", "many", "DATABASE_CONNECTIONS"),
        ("STOCKHOLD_INSTALL_POSTGRES", "perhaps", "INSTALL_POSTGRES"),
        ("STOCKHOLD_LOG_FORMAT", "xml", "LOG_FORMAT"),
        ("STOCKHOLD_SWEEP_INTERVAL_MS", "5", "sweep_interval_ms must be 10 to 1000"),
        ("STOCKHOLD_DRAIN_DELAY_MS", "60001", "drain_delay_ms must be 60000 or less"),
        ("STOCKHOLD_ALLOW_UNSAFE_DATABASE", "perhaps", "ALLOW_UNSAFE_DATABASE"),
        ("STOCKHOLD_ADMIN_KEY", "short", "at least 32 characters"),
        ("STOCKHOLD_OIDC_ISSUER", "https://id.example.com", "client_id"),
        ("STOCKHOLD_OIDC_CLIENT_SECRETS", "0123", "client_secrets"),
        ("STOCKHOLD_LISTEN", "nowhere", "nowhere"),
        ("STOCKHOLD_LISTEN", &taken, "cannot listen on"),
    ];
    for (name, value, wanted) in wrong {
        let mut command = command(home.path());
        command.arg("--data-dir").arg(home.path().join("data")).env(name, value);
        let said = refusal(command, home.path());
        assert!(said.contains(wanted), "{name}={value}: {said}");
    }
    assert!(!home.path().join("data").exists(), "nothing was begun");
}

#[test]
fn flags_come_before_variables_and_variables_before_files() {
    let home = place();
    fs::create_dir(home.path().join("config")).unwrap();
    let file = "listen = \"127.0.0.1:1\"\nlog = \"debug\"\nadmin_key = \"of a file, thirty-two characters it has\"\n";
    fs::write(home.path().join("config/server.toml"), file).unwrap();
    let mut command = serve_command(home.path(), &home.path().join("data"));
    let given = "12345678901234567890123456789012345678";
    command.env("STOCKHOLD_LISTEN", "127.0.0.1:2").env("STOCKHOLD_ADMIN_KEY", given);
    let server = Server::run(command, home.path());
    assert_eq!(server.process.printed(), "", "a key that is given is not shown");
    assert_eq!(server.get("/v1/warehouses", given).0, 200);
    assert_eq!(server.get("/v1/warehouses", "of a file, thirty-two characters it has").0, 401);
    assert!(server.process.said().contains("DEBUG"));
}

#[test]
fn a_database_that_is_given_is_used_and_waited_for() {
    let home = place();
    let data = home.path().join("data");
    let mut first = Server::start(home.path(), &data);
    let key = keep(&first);
    assert!(first.process.stop().success());

    let password = fs::read_to_string(data.join("postgres-password")).unwrap();
    let url = format!("postgres://stockhold:{password}@localhost/stockhold?host={}", data.join("run").display());
    let unused = home.path().join("unused");
    let mut command = serve_command(home.path(), &unused);
    command.env("DATABASE_URL", &url);
    let mut waiting = Process::start(command, home.path());
    within(LONG, "it waits", || waiting.said().contains("waiting for the database"));
    assert!(waiting.has_ended().is_none());

    let first = Server::start(home.path(), &data);
    within(LONG, "it listens", || waiting.said().contains("listening on"));
    drop(waiting);
    let mut command = serve_command(home.path(), &unused);
    command.env("STOCKHOLD_DATABASE_URL", &url);
    let second = Server::run(command, home.path());
    assert!(is_kept(&second, &key) && is_kept(&first, &key), "both serve one database");
    assert!(!unused.exists());

    let mut command = serve_command(home.path(), &unused);
    command.arg("--database-url").arg(url.replace(&password, "wrong"));
    let said = refusal(command, home.path());
    assert!(said.contains("password authentication failed"), "{said}");
    assert!(!said.contains("wrong@"), "no address with a password is repeated: {said}");
}

#[test]
fn a_database_that_forgets_is_refused_unless_one_insists() {
    let home = place();
    let data = home.path().join("data");
    let first = Server::start(home.path(), &data);
    let password = fs::read_to_string(data.join("postgres-password")).unwrap();
    let run = data.join("run");
    let url = format!("postgres://stockhold:{password}@localhost/stockhold?host={}", run.display());
    let forgetful = |flags: &[&str]| {
        let mut command = serve_command(home.path(), &home.path().join("unused"));
        command.args(flags).env("DATABASE_URL", format!("{url}&options[synchronous_commit]=off"));
        command
    };
    let said = refusal(forgetful(&[]), home.path());
    for wanted in ["synchronous_commit off", "would be lost", "--allow-unsafe-database"] {
        assert!(said.contains(wanted), "{said}");
    }
    let second = Server::run(forgetful(&["--allow-unsafe-database"]), home.path());
    assert!(second.process.said().contains("ERROR") && second.process.said().contains("NOT DURABLE"));
    assert!(second.is_ready());
    assert!(!first.process.said().contains("NOT DURABLE"), "the private one is durable");
}

#[test]
fn a_server_that_stops_serves_on_until_proxies_have_seen_it() {
    let home = place();
    let data = home.path().join("data");
    let mut command = serve_command(home.path(), &data);
    command.env("STOCKHOLD_DRAIN_DELAY_MS", "1500");
    let mut server = Server::run(command, home.path());
    let key = keep(&server);
    let begun = std::time::Instant::now();
    signal(server.process.pid(), Signal::TERM);
    within(LONG, "it is not ready", || server.get("/readyz", "").0 == 503);
    assert!(begun.elapsed() < Duration::from_millis(1000), "it says so at once");
    assert!(is_kept(&server, &key), "it serves all the same");
    assert!(server.process.ended().success());
    assert!((1500..10_000).contains(&begun.elapsed().as_millis()), "it took {:?}", begun.elapsed());
}

#[test]
fn a_closed_or_long_way_to_the_data_is_no_obstacle() {
    let closed = tempfile::tempdir().unwrap();
    let data = closed.path().join("data");
    let mut server = Server::start(closed.path(), &data);
    let key = keep(&server);
    server.process.kill();
    wait_until_gone(&data);
    // Opened, the next start may hand the cluster to another account; closed again, it takes it back.
    for mode in [0o755, 0o700] {
        fs::set_permissions(closed.path(), fs::Permissions::from_mode(mode)).unwrap();
        let mut server = Server::start(closed.path(), &data);
        assert!(is_kept(&server, &key));
        assert!(server.process.stop().success());
    }
    let long = closed.path().join("long-directory-name".repeat(8)).join("it's, a \"place\"");
    let mut server = Server::start(closed.path(), &long);
    let file = fs::read_to_string(long.join("postgres/postmaster.pid")).unwrap();
    let socket = file.lines().nth(4).unwrap().to_owned();
    assert!(server.is_ready());
    assert!(server.process.stop().success());
    fs::remove_dir(socket).unwrap();
}

#[test]
fn an_ordinary_user_can_run_it_and_root_take_it_over() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let home = place();
    let (program, data) = (home.path().join("stockhold"), home.path().join("data"));
    fs::copy(env!("CARGO_BIN_EXE_stockhold"), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(&data).unwrap();
    chown(&data, Some(65534), Some(65534)).unwrap();
    let as_user = |uid: u32| {
        let mut command = server::command_of(&program, home.path());
        command.arg("--data-dir").arg(&data).args(["--listen", "127.0.0.1:0"]).uid(uid).gid(uid);
        command
    };
    for uid in [65534, 65534, 0] {
        let mut server = Server::run(as_user(uid), home.path());
        assert!(server.is_ready());
        assert!(server.process.stop().success());
    }
    let said = refusal(as_user(65534), home.path());
    assert!(said.contains("chown") || said.contains("cannot be written"), "{said}");
}

/// Runs `stockhold keys …` on the data directory, and gives what it printed.
fn keys(home: &Path, data: &Path, args: &[&str]) -> String {
    let mut command = server::command(home);
    command.arg("keys").arg("--data-dir").arg(data).args(args);
    let mut process = Process::start(command, home);
    assert!(process.ended().success(), "{}", process.said());
    process.printed()
}

#[test]
fn keys_are_made_and_revoked_on_the_command_line_beside_the_server_and_without_it() {
    let home = place();
    let data = home.path().join("data");
    let mut server = Server::start(home.path(), &data);
    let (home, data) = (home.path(), data.as_path());
    let key = keys(home, data, &["create", "Web shop", "--scope", "stock:read", "--expires-in", "90d"]);
    assert_eq!(server.get("/v1/warehouses", key.trim()).0, 200);
    assert_eq!(server.get("/v1/orders", key.trim()).0, 403);
    let listed: serde_json::Value = serde_json::from_str(&keys(home, data, &["list", "--json"])).expect("JSON");
    assert_eq!((&listed[0]["name"], &listed[0]["created_by"]), (&"Web shop".into(), &"command line".into()));
    let id = listed[0]["id"].as_str().expect("an id").to_owned();
    let rotated = keys(home, data, &["rotate", &id, "--overlap", "0s"]);
    within(LONG, "the old secret is refused", || server.get("/v1/warehouses", key.trim()).0 == 401);
    assert_eq!(server.get("/v1/warehouses", rotated.trim()).0, 200);
    assert!(server.process.stop().success());

    assert!(keys(home, data, &["revoke", &id]).contains("is revoked"));
    let server = Server::start(home, data);
    assert_eq!(server.get("/v1/warehouses", rotated.trim()).0, 401);
    assert!(!keys(home, data, &["list"]).contains("Web shop"));
    assert!(keys(home, data, &["list", "--all"]).contains("Web shop"));
}

/// Runs `stockhold users …` with this on its standard input; whether it succeeded, and what it printed and said.
fn users(home: &Path, data: &Path, input: &str, args: &[&str]) -> (bool, String) {
    let given = home.join("input");
    fs::write(&given, input).expect("the test's own directory is writable");
    let mut command = server::command(home);
    command.arg("users").arg("--data-dir").arg(data).args(args).stdin(fs::File::open(&given).expect("just written"));
    let mut process = Process::start(command, home);
    let done = process.ended().success();
    (done, process.printed() + &process.said())
}

#[test]
fn the_first_user_is_made_on_the_command_line_beside_the_server_and_without_it() {
    let home = place();
    let data = home.path().join("data");
    let mut server = Server::start(home.path(), &data);
    let run = |input: &str, args: &[&str]| users(home.path(), &data, input, args);
    let log_in = |server: &Server, login: &str, password: &str| {
        server.post("/v1/session", "", &format!(r#"{{"login": "{login}", "password": "{password}"}}"#))
    };
    let password = "correct horse battery staple";
    let create = ["create", "Anna@example.com", "--role", "admin", "--name", "Anna", "--password-stdin"];
    let (done, made) = run(&format!("{password}\n"), &create);
    assert!(done && made.contains("anna@example.com"), "{made}");
    let session = log_in(&server, "anna@example.com", password);
    assert_eq!((session.0, &session.1["user"]["name"]), (201, &"Anna".into()), "{session:?}");

    for (input, login, role) in [
        (password, "anna@example.com", "admin"),
        ("too short", "berta", "admin"),
        (password, "berta", "boss"),
        (password, "ber ta", "admin"),
    ] {
        let (done, said) = run(input, &["create", login, "--role", role, "--password-stdin"]);
        assert!(!done && !said.contains(input), "{said}");
    }
    let (done, said) = run("", &["create", "c", "--role", "viewer"]);
    assert!(!done && said.contains("--password-stdin"), "{said}");

    assert!(run("another horse, another staple", &["password", "anna@example.com", "--password-stdin"]).0);
    assert_eq!(log_in(&server, "anna@example.com", password).0, 401);
    assert_eq!(log_in(&server, "anna@example.com", "another horse, another staple").0, 201);
    assert!(!server.process.said().contains("horse"), "the log has a password");
    assert!(server.process.stop().success());

    assert!(run("", &["disable", "ANNA@example.com"]).1.contains("is disabled"));
    let server = Server::start(home.path(), &data);
    assert_eq!(log_in(&server, "anna@example.com", "another horse, another staple").0, 401);
    assert_eq!(run("", &["list"]).1, "");
    let (_, listed) = run("", &["list", "--all", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
    assert_eq!((&listed[0]["disabled"], &listed[0]["created_by"]), (&true.into(), &"command line".into()));
}
