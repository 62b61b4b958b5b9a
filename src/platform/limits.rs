//! How much of everything the server takes: the settings `limits.*`. `docs/limits.md` has them in one table, with
//! those that the API's schemas state.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Units are in the names; what counts has none.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Connections in all. Where there are more, the one that has kept the server waiting longest has to go.
    pub connections: usize,
    /// Connections of one address.
    pub connections_per_address: usize,
    /// Header fields of a request.
    pub headers: usize,
    /// Request line and header fields of a request, in bytes.
    pub header_bytes: usize,
    /// From the first byte that is waited for to the last of the header.
    pub header_seconds: u64,
    /// Between two requests on one connection.
    pub idle_seconds: u64,
    /// For a body to arrive, and a second more for each `body_pace` bytes that have.
    pub body_seconds: u64,
    /// The least that a body must bring in a second, in bytes, once `body_seconds` are over.
    pub body_pace: usize,
    /// For all bodies together that are being received, in bytes.
    pub body_memory: usize,
    /// From the last byte of the request to the first of the answer.
    pub request_seconds: u64,
    /// For the client to take what was written.
    pub write_seconds: u64,
    /// Levels of arrays and objects in a body.
    pub json_depth: usize,
    /// Requests in work at once; 0 takes 24 for each connection to the database.
    pub requests_in_work: usize,
    /// How long a request may wait until it is taken into work.
    pub queue_ms: u64,
    /// Readers that follow the event feed at once.
    pub streams: usize,
    /// Requests of one key at once.
    pub requests_per_key: usize,
    /// Requests of one key in a second; 0 for no limit.
    pub key_rate: u32,
    /// Requests from one address in a second; 0 for no limit.
    pub address_rate: u32,
    /// Requests from one address in a minute that are refused for want of a valid key; 0 for no limit.
    pub failed_keys: u32,
    /// Whether the limits on addresses leave the loopback address alone.
    pub exempt_loopback: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 8192,
            connections_per_address: 1024,
            headers: 100,
            header_bytes: 16 * 1024,
            header_seconds: 10,
            idle_seconds: 75,
            body_seconds: 10,
            body_pace: 16 * 1024,
            body_memory: 64 * 1024 * 1024,
            request_seconds: 60,
            write_seconds: 30,
            json_depth: 32,
            requests_in_work: 0,
            queue_ms: 50,
            streams: 4096,
            requests_per_key: 512,
            key_rate: 0,
            address_rate: 10_000,
            failed_keys: 30,
            exempt_loopback: true,
        }
    }
}

impl Limits {
    /// What is wrong with these, in words.
    pub fn check(&self, body_limit: usize) -> Result<(), String> {
        let least = [
            ("connections", self.connections, 1),
            ("connections_per_address", self.connections_per_address, 1),
            ("headers", self.headers, 16),
            ("header_bytes", self.header_bytes, 8192),
            ("header_seconds", self.header_seconds as usize, 1),
            ("idle_seconds", self.idle_seconds as usize, 1),
            ("body_seconds", self.body_seconds as usize, 1),
            ("body_pace", self.body_pace, 1),
            ("body_memory", self.body_memory, body_limit),
            ("request_seconds", self.request_seconds as usize, 1),
            ("write_seconds", self.write_seconds as usize, 1),
            ("json_depth", self.json_depth, 8),
            ("requests_per_key", self.requests_per_key, 1),
        ];
        if let Some((name, _, least)) = least.into_iter().find(|(_, value, least)| value < least) {
            return Err(format!("limits.{name} must be {least} or more"));
        }
        if self.json_depth > MAX_JSON_DEPTH {
            return Err(format!("limits.json_depth must be {MAX_JSON_DEPTH} or less"));
        }
        if u32::try_from(self.body_memory).is_err() {
            return Err("limits.body_memory must be less than 4 GiB".to_owned());
        }
        Ok(())
    }

    pub fn request_time(&self) -> Duration {
        Duration::from_secs(self.request_seconds)
    }
}

/// Beyond this, the parser itself refuses.
const MAX_JSON_DEPTH: usize = 127;
