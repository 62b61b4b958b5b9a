//! One file per scenario, and the list of them.

mod clock;
mod cuts;
mod disk_full;
mod expiry;
mod feed;
mod kills;
mod lives;
mod notices;
mod payments;
mod postgres_stops;
mod readers;
mod rolling_restarts;
mod shuffled_orders;
mod webhooks;

use futures::future::BoxFuture;

use crate::Run;
use crate::linearizability;
use crate::model;
use crate::report::{Result, Verdict};

pub struct Scenario {
    pub name: &'static str,
    pub about: &'static str,
    pub play: fn(Run) -> BoxFuture<'static, Result<Verdict>>,
}

/// In the order in which they are played.
pub const ALL: &[Scenario] = &[
    Scenario {
        name: "kills",
        about: "64 clients race for the last 500 units while the servers are killed in turn",
        play: |run| Box::pin(kills::play(run)),
    },
    Scenario {
        name: "postgres-stops",
        about: "the same race while Postgres is stopped five times as by a loss of power",
        play: |run| Box::pin(postgres_stops::play(run)),
    },
    Scenario {
        name: "shuffled-orders",
        about: "32 clients place orders of 20 lines over 40 products, each in an order of its own",
        play: |run| Box::pin(shuffled_orders::play(run)),
    },
    Scenario {
        name: "expiry",
        about: "holds are bought within 50 ms of their expiry, with the sweeper and without",
        play: |run| Box::pin(expiry::play(run)),
    },
    Scenario {
        name: "clock",
        about: "the clock of one server is an hour off, ahead and behind",
        play: |run| Box::pin(clock::play(run)),
    },
    Scenario {
        name: "disk-full",
        about: "the disk of Postgres is full for a while: of one's own, and of the private one",
        play: |run| Box::pin(disk_full::play(run)),
    },
    Scenario {
        name: "rolling-restarts",
        about: "the servers are restarted in turn behind a proxy that watches their readiness",
        play: |run| Box::pin(rolling_restarts::play(run)),
    },
    Scenario {
        name: "linearizability",
        about: "what five clients of two servers see of one product, held against one that acts alone",
        play: |run| Box::pin(linearizability::play(run)),
    },
    Scenario {
        name: "model",
        about: "sequences of fifty calls, held against a model of the shop in memory",
        play: |run| Box::pin(model::play(run)),
    },
    Scenario {
        name: "cuts",
        about: "connections are cut at random points, and every request is repeated under its key",
        play: |run| Box::pin(cuts::play(run)),
    },
    Scenario {
        name: "feed",
        about: "writers hold their transactions, a reader is killed, and one transaction does not end",
        play: |run| Box::pin(feed::play(run)),
    },
    Scenario {
        name: "readers",
        about: "many follow the feed while much is written",
        play: |run| Box::pin(readers::play(run)),
    },
    Scenario {
        name: "webhooks",
        about: "a receiver fails and hangs, and the servers are killed while they send to it",
        play: |run| Box::pin(webhooks::play(run)),
    },
    Scenario {
        name: "notices",
        about: "mails are sent by servers that are killed, to a mail server that comes and goes",
        play: |run| Box::pin(notices::play(run)),
    },
    Scenario {
        name: "payments",
        about: "cards are charged and paid back by servers that are killed, and calls and answers are lost",
        play: |run| Box::pin(payments::play(run)),
    },
    Scenario {
        name: "lives",
        about: "orders live through any sequence of calls, from a cart to a return, on servers that are killed",
        play: |run| Box::pin(lives::play(run)),
    },
];
