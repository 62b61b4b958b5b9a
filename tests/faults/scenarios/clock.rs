//! Scenario 5: the clock of one server's machine is an hour off. It decides nothing.

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use stockhold::platform::clock::Timestamp;

use crate::Run;
use crate::audit::{Tail, audit};
use crate::client::{Answer, Client};
use crate::journal::{Journal, PLACED};
use crate::postgres::Postgres;
use crate::report::{Result, Verdict};
use crate::server::place;
use crate::stage::{Node, PATIENCE, Stage};

const SKU: &str = "ON-TIME";
const TTL: TimeDelta = TimeDelta::seconds(3);
/// What the machine and the network may take.
const SLACK: TimeDelta = TimeDelta::seconds(1);

/// The server with the right clock, and the one with the wrong one.
const RIGHT: usize = 0;
const WRONG: usize = 1;

pub async fn play(run: Run) -> Result<Verdict> {
    let Some(library) = libfaketime() else {
        return Ok(Verdict::skipped("libfaketime is not there; Debian has it in the package faketime"));
    };
    let home = place();
    let postgres = Postgres::create(home.path()).await?;
    // Nobody but the server with the wrong clock ends what has expired.
    let right = Node::new(&postgres)?.setting("STOCKHOLD_SWEEP_INTERVAL_MS", 0);
    let wrong = Node::new(&postgres)?
        .setting("LD_PRELOAD", library.display())
        .setting("FAKETIME_DONT_FAKE_MONOTONIC", 1)
        .setting("FAKETIME", "+1h");
    let mut stage = Stage::of(home, postgres, vec![right, wrong]).await?;
    stage.stock(vec![(SKU.to_owned(), 1000)]).await?;
    let (journal, tail) = (Journal::default(), Tail::start(&stage.client()?));
    let mut verdict = Verdict::default();
    let mut wrong = Vec::new();
    for (round, offset) in run.scaled(&["+1h", "-1h"][..], &["+1h"]).iter().enumerate() {
        if round > 0 {
            stage.servers[WRONG].terminate().await?;
            stage.servers[WRONG].set("FAKETIME", offset);
            stage.start(WRONG)?;
            stage.servers[WRONG].until_ready(PATIENCE).await?;
        }
        verdict.note("the wrong clock is off by, in minutes", minutes_off(&stage)?);
        let client = stage.client()?;
        for maker in [RIGHT, WRONG] {
            let lives = lifetimes(&client, maker, &journal, run.scaled(20, 4)).await?;
            wrong.extend(lives.into_iter().map(|it| format!("{offset}, made by server {maker}: {it}")));
        }
        let keys = keys(&client, round).await?;
        wrong.extend(keys.into_iter().map(|it| format!("{offset}: {it}")));
    }
    verdict.none("times that were not kept", &wrong);
    audit(&stage.client()?, &journal, tail, &mut verdict).await?;
    stage.doctor(&mut verdict).await?;
    stage.deadlocks(&mut verdict).await?;
    Ok(verdict)
}

fn libfaketime() -> Option<PathBuf> {
    let dirs = std::fs::read_dir("/usr/lib").ok()?.flatten();
    dirs.map(|dir| dir.path().join("faketime/libfaketimeMT.so.1")).find(|path| path.exists())
}

/// By the first line of its log; the scenario proves nothing if the clock is right.
fn minutes_off(stage: &Stage) -> Result<i64> {
    let said = stage.servers[WRONG].said();
    let first = said.split_whitespace().next().ok_or("a server that is ready has logged something")?;
    let theirs: DateTime<Utc> = first.parse().map_err(|_| format!("a log line begins with the time: {first}"))?;
    let off = (theirs - Timestamp::now().0).num_minutes();
    if off.abs() < 55 { Err(format!("the clock is off by {off} minutes only").into()) } else { Ok(off) }
}

/// Holds made through one server live exactly as long at both, and are announced when they end.
async fn lifetimes(client: &Client, maker: usize, journal: &Journal, count: usize) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    let mut made = Vec::new();
    for _ in 0..count {
        let body = json!({"lines": [{"sku": SKU, "quantity": 1}], "ttl_seconds": TTL.num_seconds()});
        let held = client.only(maker).insist("POST", "/v1/reservations", None, Some(&body)).await?.expect(201)?;
        let (created, expires) = (time(&held, "created_at")?, time(&held, "expires_at")?);
        if expires - created != TTL || (Timestamp::now().0 - created).abs() > SLACK {
            wrong.push(format!("it is {}, and this was made: {held}", Timestamp::now().0));
        }
        let id = held["id"].as_str().unwrap_or_default().to_owned();
        journal.reservation(&id, "expired");
        made.push((id, expires));
    }
    // A quarter is bought at each server while it lives; a quarter is asked for at each when it is over.
    for (n, (id, _)) in made.iter().enumerate().filter(|(n, _)| n % 4 < 2) {
        let body = json!({"reservation_id": id});
        let answer = client.only(n % 2).insist("POST", "/v1/orders", None, Some(&body)).await?;
        match bought(&answer, journal, id) {
            Ok(()) if (Timestamp::now().0 - time(&answer.json, "placed_at")?).abs() <= SLACK => {}
            Ok(()) => wrong.push(format!("placed at the wrong time: {}", answer.json)),
            Err(what) => wrong.push(format!("alive and refused: {what}")),
        }
    }
    let last = made.iter().map(|(_, expires)| *expires).max().ok_or("some were made")?;
    tokio::time::sleep((last - Timestamp::now().0).to_std().unwrap_or_default()).await;
    for (n, (id, _)) in made.iter().enumerate().filter(|(n, _)| n % 4 >= 2) {
        let body = json!({"reservation_id": id});
        let answer = client.only(n % 2).insist("POST", "/v1/orders", None, Some(&body)).await?;
        if bought(&answer, journal, id).is_ok() {
            wrong.push(format!("over and sold: {}", answer.json));
        }
    }
    let expected = journal.told().reservations.values().filter(|status| **status == "expired").count();
    tokio::time::sleep((last + SLACK - Timestamp::now().0).to_std().unwrap_or_default()).await;
    let announced = client.events("reservation.expired").await?;
    if announced != expected {
        wrong.push(format!("{announced} expiries were announced a second later, of {expected}"));
    }
    Ok(wrong)
}

fn time(json: &Value, name: &str) -> Result<DateTime<Utc>> {
    Ok(json[name].as_str().unwrap_or_default().parse()?)
}

fn bought(answer: &Answer, journal: &Journal, reservation: &str) -> std::result::Result<(), String> {
    if answer.status != 201 {
        return Err(format!("{} {}", answer.status, answer.json));
    }
    journal.reservation(reservation, "committed");
    journal.order(&answer.id(), PLACED);
    Ok(())
}

/// An API key ends when it says, and an Idempotency-Key is remembered, whichever server is asked.
async fn keys(client: &Client, round: usize) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    let expires_at = Timestamp::now().plus_seconds(3);
    let body = json!({"name": "for three seconds", "scopes": ["stock:read"], "expires_at": expires_at});
    let issued = client.only(WRONG).insist("POST", "/v1/keys", None, Some(&body)).await?.expect(201)?;
    let brief = issued["key"].as_str().ok_or("a new key is shown")?;
    for server in [RIGHT, WRONG] {
        let status = client.only(server).status_with(brief, &format!("/v1/stock/{SKU}")).await?;
        if status != 200 {
            wrong.push(format!("a key that is valid: {status} at server {server}"));
        }
    }
    let key = format!("kept-{round}");
    let body = json!({"sku": SKU, "name": "the same again"});
    let first = client.only(WRONG).insist("POST", "/v1/products", Some(&key), Some(&body)).await?;
    let again = client.only(RIGHT).insist("POST", "/v1/products", Some(&key), Some(&body)).await?;
    if first.json != again.json {
        wrong.push(format!("an Idempotency-Key is forgotten: {} and {}", first.json, again.json));
    }
    // Half a second longer is a key believed that was valid when it was looked up.
    let over = expires_at.0 + TimeDelta::milliseconds(800) - Timestamp::now().0;
    tokio::time::sleep(over.to_std().unwrap_or_default().max(Duration::from_millis(1))).await;
    for server in [RIGHT, WRONG] {
        let status = client.only(server).status_with(brief, &format!("/v1/stock/{SKU}")).await?;
        if status != 401 {
            wrong.push(format!("a key that has expired: {status} at server {server}"));
        }
    }
    Ok(wrong)
}
