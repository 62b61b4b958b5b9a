//! Many readers of one stream: what they cost in memory, and whether writers feel them.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::DateTime;
use flate2::write::GzDecoder;
use serde_json::{Value, json};
use stockhold::platform::clock::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::Run;
use crate::postgres::Postgres;
use crate::report::{Result, Verdict, spread};
use crate::server::place;
use crate::stage::{KEY, Node, PATIENCE, Stage};

/// Events of one write.
const BATCH: usize = 50;

/// Readers that look at what they read; the others only take it.
const LOOKING: usize = 5;

pub async fn play(run: Run) -> Result<Verdict> {
    let home = place();
    let postgres = Postgres::create(home.path()).await?;
    let node = Node::new(&postgres)?.setting("STOCKHOLD_LIMITS_CONNECTIONS_PER_ADDRESS", 4096);
    let mut stage = Stage::of(home, postgres, vec![node]).await?;
    stage.stock((0..BATCH).map(|n| (format!("P-{n}"), 1)).collect()).await?;
    let (readers, a_second) = run.scaled((1000, 1000), (100, 200));
    let (rounds, duration) = run.scaled((9, Duration::from_secs(5)), (1, Duration::from_secs(5)));
    let mut verdict = Verdict::default();
    verdict.note("readers", readers);

    write(&stage, a_second, duration / 2).await?; // so that all are measured warm
    for coding in [Coding::Gzip, Coding::Plain] {
        verdict.note("readers who take", format!("{coding:?}"));
        // In rounds, each beside what was just before and after, for a shop gets slower as it fills, and a machine wavers
        // for seconds on end. A round that such a time falls into says nothing, and the one in the middle stands for all.
        let mut before = write(&stage, a_second, duration).await?;
        let (mut alone, mut beside, mut slower) = (before.clone(), Written::default(), Vec::new());
        let mut read = Read::default();
        for _ in 0..rounds {
            let written = write_beside(&stage, readers, coding, a_second, duration, &mut read).await?;
            let after = write(&stage, a_second, duration).await?;
            let without = middle([before.latencies, after.latencies.clone()].concat());
            slower.push((middle(written.latencies.clone()).div_duration_f64(without) - 1.0) * 100.0);
            alone.add(after.clone());
            beside.add(written);
            before = after;
        }
        verdict.note("  events a second", format!("{:.0}", beside.events as f64 / beside.took.as_secs_f64()));
        let read_a_second = read.bytes as f64 / 1048576.0 / beside.took.as_secs_f64();
        verdict.note("  read a second, all together", format!("{read_a_second:.1} MiB"));
        verdict.exactly("  readers that were cut", read.cut, 0);
        verdict.exactly("  events that a reader missed, or had twice", read.wrong, 0);
        verdict.note("  from the event's time to a reader", spread(read.lags.clone()));
        read.lags.sort_unstable();
        let late = read.lags.get(read.lags.len() * 99 / 100).copied().unwrap_or(Duration::MAX);
        verdict.within("    p99", late, Duration::from_secs(1));
        let of_all = middle(beside.latencies.clone()).div_duration_f64(middle(alone.latencies.clone()));
        verdict.note("  writes without them, before and after", spread(alone.latencies));
        verdict.note("  writes beside them", spread(beside.latencies));
        slower.sort_unstable_by(f64::total_cmp);
        verdict.note("    slower by, in percent of p50, all rounds as one", ((of_all - 1.0) * 100.0).round() + 0.0);
        let (least, most) = (slower[0], slower[slower.len() - 1]);
        verdict.note("    slower by, in percent of p50, in each round", format!("{least:.0} to {most:.0}"));
        let slower = slower[slower.len() / 2].round() + 0.0; // never "-0"
        match run.scaled(Some(10.0), None) {
            Some(bar) => verdict.at_most("    in the middle one", slower, bar),
            None => verdict.note("    in the middle one", slower),
        }
    }
    verdict.within_mib("memory of the server at most", memory(stage.servers[0].pid()?)?, 256);
    stage.doctor(&mut verdict).await?;
    stage.deadlocks(&mut verdict).await?;
    Ok(verdict)
}

/// What readers ask for: browsers and most libraries take gzip.
#[derive(Clone, Copy, Debug)]
enum Coding {
    Gzip,
    Plain,
}

#[derive(Clone, Default)]
struct Written {
    events: usize,
    took: Duration,
    latencies: Vec<Duration>,
}

impl Written {
    fn add(&mut self, other: Self) {
        self.events += other.events;
        self.took += other.took;
        self.latencies.extend(other.latencies);
    }
}

/// What all readers had.
#[derive(Default)]
struct Read {
    bytes: u64,
    cut: usize,
    /// Events that a reader who looks did not get, or twice
    wrong: usize,
    lags: Vec<Duration>,
}

/// Writes while so many read.
async fn write_beside(
    stage: &Stage,
    readers: usize,
    coding: Coding,
    a_second: usize,
    duration: Duration,
    all: &mut Read,
) -> Result<Written> {
    let (stop, got) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
    let mut reading = JoinSet::new();
    for n in 0..readers {
        let stream = follow(stage.servers[0].address(), coding).await?;
        reading.spawn(take(stream, (n < LOOKING).then_some(coding), stop.clone(), got.clone()));
    }
    let written = write(stage, a_second, duration).await?;
    tokio::time::sleep(Duration::from_secs(2)).await; // the last of it arrives
    stop.store(true, Ordering::SeqCst);
    while let Some(taken) = reading.join_next().await {
        let taken = taken??;
        all.cut += usize::from(taken.was_cut);
        if let Some(lags) = taken.lags {
            all.wrong += written.events.abs_diff(lags.len());
            all.lags.extend(lags);
        }
    }
    all.bytes += got.load(Ordering::Relaxed);
    Ok(written)
}

/// So many events a second, whatever each write takes.
async fn write(stage: &Stage, a_second: usize, duration: Duration) -> Result<Written> {
    let (client, begun) = (stage.client()?, tokio::time::Instant::now());
    let items: Vec<Value> = (0..BATCH)
        .map(|n| json!({"sku": format!("P-{n}"), "warehouse": "MAIN", "change": 1, "reason": "found"}))
        .collect();
    let body = json!({"items": items});
    let between = Duration::from_secs_f64(BATCH as f64 / a_second as f64);
    let mut written = Written::default();
    let mut next = begun;
    while begun.elapsed() < duration {
        tokio::time::sleep_until(next).await;
        next += between;
        let sent = Instant::now();
        client.insist("POST", "/v1/stock/adjustments/batch", None, Some(&body)).await?.expect(200)?;
        written.latencies.push(sent.elapsed());
        written.events += BATCH;
    }
    written.took = begun.elapsed();
    Ok(written)
}

fn middle(mut latencies: Vec<Duration>) -> Duration {
    latencies.sort_unstable();
    latencies.get(latencies.len() / 2).copied().unwrap_or_default()
}

/// A connection that follows; its first piece has come, and the bytes of it that are no head.
async fn follow(at: std::net::SocketAddr, coding: Coding) -> Result<(TcpStream, Vec<u8>)> {
    let mut stream = TcpStream::connect(at).await?;
    let takes = match coding {
        Coding::Gzip => "Accept-Encoding: gzip\r\n",
        Coding::Plain => "",
    };
    let request = format!(
        "GET /v1/events/stream?type=stock.level_changed HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n{takes}\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut came = vec![0; 4096];
    let read = tokio::time::timeout(PATIENCE, stream.read(&mut came)).await??;
    came.truncate(read);
    let end = came.windows(4).position(|bytes| bytes == b"\r\n\r\n").ok_or("its head is cut")?;
    let body = came.split_off(end + 4);
    let head = String::from_utf8_lossy(&came).into_owned();
    if head.starts_with("HTTP/1.1 200") { Ok((stream, body)) } else { Err(head.into()) }
}

struct Taken {
    was_cut: bool,
    lags: Option<Vec<Duration>>,
}

async fn take(
    (mut stream, first): (TcpStream, Vec<u8>),
    looks: Option<Coding>,
    stop: Arc<AtomicBool>,
    got: Arc<AtomicU64>,
) -> Result<Taken> {
    let mut buffer = vec![0; 16 * 1024];
    let mut look = looks.map(Look::new);
    if let Some(look) = &mut look {
        look.at(&first)?;
    }
    loop {
        let read = tokio::time::timeout(Duration::from_millis(500), stream.read(&mut buffer)).await;
        let was_cut = matches!(read, Ok(Ok(0) | Err(_)));
        if was_cut || (read.is_err() && stop.load(Ordering::SeqCst)) {
            return Ok(Taken { was_cut, lags: look.map(|look| look.lags) });
        }
        let Ok(Ok(read)) = read else { continue };
        got.fetch_add(read as u64, Ordering::Relaxed);
        if let Some(look) = &mut look {
            look.at(&buffer[..read])?;
        }
    }
}

/// What a reader sees who looks.
struct Look {
    chunked: Vec<u8>,
    unpacker: Option<GzDecoder<Vec<u8>>>,
    text: Vec<u8>,
    lags: Vec<Duration>,
}

impl Look {
    fn new(coding: Coding) -> Self {
        let unpacker = matches!(coding, Coding::Gzip).then(|| GzDecoder::new(Vec::new()));
        Self { chunked: Vec::new(), unpacker, text: Vec::new(), lags: Vec::new() }
    }

    /// Takes the chunks apart (RFC 9112, 7.1), and notes how old each event is.
    fn at(&mut self, bytes: &[u8]) -> Result<()> {
        let now = Timestamp::now().0;
        self.chunked.extend_from_slice(bytes);
        while let Some(line) = self.chunked.windows(2).position(|bytes| bytes == b"\r\n") {
            let size = usize::from_str_radix(std::str::from_utf8(&self.chunked[..line])?, 16)?;
            let (begin, end) = (line + 2, line + 2 + size);
            if self.chunked.len() < end + 2 {
                break;
            }
            match &mut self.unpacker {
                None => self.text.extend_from_slice(&self.chunked[begin..end]),
                Some(unpacker) => {
                    unpacker.write_all(&self.chunked[begin..end])?;
                    unpacker.flush()?;
                    self.text.append(unpacker.get_mut());
                }
            }
            self.chunked.drain(..end + 2);
        }
        let whole = self.text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let rest = self.text.split_off(whole);
        for line in std::mem::replace(&mut self.text, rest).split(|byte| *byte == b'\n') {
            if let Some(data) = line.strip_prefix(b"data: ") {
                let event: Value = serde_json::from_slice(data)?;
                let at = DateTime::parse_from_rfc3339(event["time"].as_str().unwrap_or_default())?;
                self.lags.push(now.signed_duration_since(at).to_std().unwrap_or_default());
            }
        }
        Ok(())
    }
}

/// The most that a process had in memory, in MiB.
fn memory(pid: i32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("it says so")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
}
