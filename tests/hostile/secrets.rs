//! What must stay secret, planted: a key of the set-up, keys that were made, keys that are wrong, and the password of the
//! database. None of it is in the log, however talkative, nor in an answer.

use std::fs;
use std::net::SocketAddr;

use rustix::process::Signal;

use crate::client::{Connection, request};
use crate::server::{LONG, Process, Server, place, postmaster, serve_command, signal, within};
use crate::{Form, House, runtime};

const SET_UP: &str = "planted-set-up-key-4c1f9b7e2d60a83512";
const WRONG: &str = "planted-wrong-key-77d1c0ffee77d1c0ffee";
const PASSWORD: &str = "planted-password-0b5e9d";

pub fn run(_: Form) {
    // Its Postgres is the database that the watched server is given by address and password.
    let owner = House::open(&[]);
    let password = fs::read_to_string(owner.data.join("postgres-password")).unwrap().trim().to_owned();
    let socket = owner.data.join("run").display().to_string().replace('/', "%2F");
    let address = |password: &str| format!("postgres://stockhold:{password}@{socket}/stockhold");
    let home = place();
    let watched = |database: &str| {
        let mut command = serve_command(home.path(), &home.path().join("data"));
        command.env("STOCKHOLD_LOG", "trace").env("STOCKHOLD_ADMIN_KEY", SET_UP);
        command.env("STOCKHOLD_DATABASE_URL", database);
        command
    };

    let server = Server::run(watched(&address(&password)), home.path());
    let mut answers = String::new();
    let made = server.post("/v1/keys", SET_UP, r#"{"name": "made", "scopes": ["admin:write"]}"#).1;
    let made = made["key"].as_str().expect("a key is shown once").to_owned();
    runtime().block_on(async {
        for key in [SET_UP, &made, WRONG, "sh_AAAAAAAA_planted-wrong-key-77d1c0ffee"] {
            answers.push_str(&mistreat(server.address, key).await);
        }
    });
    // The database goes away in the middle: errors that come from deep inside.
    signal(postmaster(&owner.data), Signal::KILL);
    runtime().block_on(async { answers.push_str(&mistreat(server.address, &made).await) });
    within(LONG, "ready again", || server.is_ready());

    let mut logs = server.process.said() + &server.process.printed();
    let databases = [
        address(PASSWORD),
        format!("postgres://stockhold:{PASSWORD}@127.0.0.1:1/stockhold"),
        format!("postgres://stockhold:{PASSWORD}@[::1/stockhold"),
        format!("postgres://stockhold:{PASSWORD}@localhost/x?sslmode=nonsense"),
    ];
    let started: Vec<Process> =
        databases.iter().map(|database| Process::start(watched(database), home.path())).collect();
    for mut refused in started {
        within(LONG, "a server without its database says so", || !refused.said().is_empty());
        if refused.has_ended().is_none() {
            refused.kill();
        }
        logs += &(refused.said() + &refused.printed());
    }

    let secrets = [SET_UP, WRONG, PASSWORD, &password, &made, "planted-wrong-key"];
    for secret in secrets {
        for (place, text) in [("log", &logs), ("answers", &answers)] {
            let line = text.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "the {place} has {secret}: {}", line.unwrap_or_default());
        }
    }
    // There was something to look through: the log tells of every request and of statements, the answers of faults.
    let ids: Vec<&str> = answers.lines().filter_map(|line| line.trim_end().strip_prefix("x-request-id: ")).collect();
    let untold = ids.iter().find(|id| !logs.contains(**id));
    assert!(ids.len() > 4 * REQUESTS.len() && untold.is_none(), "{} answers, {untold:?} is not in the log", ids.len());
    assert!(logs.contains(" DEBUG ") && logs.contains("COMMIT"), "the log is not talkative");
    assert!(answers.contains("/problems/"), "nothing went wrong");
    println!(
        "  {} secrets, none of them in {} lines of log at level trace or in {} bytes of answers",
        secrets.len(),
        logs.lines().count(),
        answers.len()
    );
}

/// Requests of all sorts that go wrong, and some that do not.
const REQUESTS: &[(&str, &str, &str)] = &[
    ("GET", "/v1/products", ""),
    ("GET", "/v1/orders/none", ""),
    ("GET", "/metrics", ""),
    ("GET", "/nowhere", ""),
    ("DELETE", "/v1/products", ""),
    ("POST", "/v1/products", "{"),
    ("POST", "/v1/products", r#"{"sku": 7}"#),
    ("POST", "/v1/reservations", r#"{"lines": [{"sku": "NONE", "quantity": 1}]}"#),
    ("POST", "/v1/keys", r#"{"name": 1}"#),
];

async fn mistreat(at: SocketAddr, key: &str) -> String {
    let mut answers = String::new();
    for (method, path, body) in REQUESTS {
        let Ok(mut connection) = Connection::open(at).await else { continue };
        if connection.send(&request(method, path, key, body)).await.is_ok()
            && let Ok(answer) = connection.answer().await
        {
            answers.push_str(&answer.head);
            answers.push_str(&String::from_utf8_lossy(&answer.body));
            answers.push('\n');
        }
    }
    answers
}
