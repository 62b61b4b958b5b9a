//! A Postgres of the harness's own, durable as one in production, which scenarios stop, kill and starve.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions};

use crate::report::Result;
use crate::server::signal;

/// Postgres refuses to run as root, so root runs it as this user.
const NOBODY: u32 = 65534;

const DATABASE: &str = "stockhold";

pub struct Postgres {
    programs: PathBuf,
    dir: PathBuf,
    port: u16,
    process: Option<Child>,
}

impl Postgres {
    /// Makes a cluster in `dir`, which others must be able to pass through, and starts it.
    pub async fn create(dir: &Path) -> Result<Self> {
        let mut postgres = Self { programs: programs()?, dir: dir.join("cluster"), port: free_port()?, process: None };
        fs::create_dir(&postgres.dir)?;
        if rustix::process::geteuid().is_root() {
            chown(&postgres.dir, Some(NOBODY), Some(NOBODY))?;
        }
        let mut initdb = postgres.command("initdb");
        initdb.args(["--no-sync", "--no-locale", "--encoding=UTF8", "--data-checksums", "--auth=trust"]);
        initdb.args(["--username=stockhold", "--no-instructions", "--pgdata"]).arg(&postgres.dir);
        let made = initdb.output()?;
        if !made.status.success() {
            return Err(format!("initdb: {}", String::from_utf8_lossy(&made.stderr)).into());
        }
        fs::write(postgres.dir.join("pg_hba.conf"), "host all all 127.0.0.1/32 trust\n")?;
        postgres.start().await?;
        postgres.run_on("postgres", &format!("CREATE DATABASE {DATABASE}")).await?;
        Ok(postgres)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir("/").stdin(Stdio::null());
        if rustix::process::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    fn spawn(&mut self) -> Result<()> {
        let log = self.dir.with_extension("log");
        let log = File::options().create(true).append(true).open(log)?;
        let mut command = self.command("postgres");
        command.arg("-D").arg(&self.dir).args(["-p", &self.port.to_string()]);
        for setting in [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "max_connections=100",
            "shared_buffers=64MB",
            // What is on trial is that nothing is lost: as durable as Postgres can be.
            "fsync=on",
            "full_page_writes=on",
            "synchronous_commit=on",
            "min_wal_size=32MB",
            "max_wal_size=64MB",
        ] {
            command.args(["-c", setting]);
        }
        self.process = Some(command.stdout(log.try_clone()?).stderr(log).spawn()?);
        Ok(())
    }

    /// Starts it, and returns how long it took until it answered.
    pub async fn start(&mut self) -> Result<Duration> {
        let begun = Instant::now();
        self.spawn()?;
        while self.connect_to("postgres").await.is_err() {
            if begun.elapsed() > Duration::from_secs(60) || self.has_ended() {
                return Err(format!("Postgres does not start: {}", self.said()).into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(begun.elapsed())
    }

    /// Starts it again whenever it has ended, as a service manager does; true when it had.
    pub fn keep_running(&mut self) -> Result<bool> {
        let ended = self.has_ended();
        if ended {
            self.spawn()?;
        }
        Ok(ended)
    }

    pub fn has_ended(&mut self) -> bool {
        match &mut self.process {
            Some(process) => process.try_wait().is_ok_and(|status| status.is_some()),
            None => true,
        }
    }

    /// `immediate`: as after a loss of power, the log is replayed at the next start.
    pub fn stop_immediately(&mut self) {
        if let Some(mut process) = self.process.take() {
            if let Ok(None) = process.try_wait() {
                signal(i32::try_from(process.id()).expect("process ids are small"), Signal::QUIT);
            }
            let _ = process.wait();
        }
    }

    pub fn url(&self) -> String {
        format!("postgres://stockhold@127.0.0.1:{}/{DATABASE}", self.port)
    }

    pub async fn connect(&self) -> Result<PgConnection> {
        self.connect_to(DATABASE).await
    }

    async fn connect_to(&self, database: &str) -> Result<PgConnection> {
        let options = PgConnectOptions::from_str(&self.url())?.database(database);
        Ok(tokio::time::timeout(Duration::from_secs(5), options.connect()).await??)
    }

    /// Runs SQL behind the servers' backs.
    pub async fn run(&self, sql: &str) -> Result<()> {
        self.run_on(DATABASE, sql).await
    }

    async fn run_on(&self, database: &str, sql: &str) -> Result<()> {
        let mut conn = self.connect_to(database).await?;
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut conn).await?;
        Ok(())
    }

    /// How many deadlocks it had to break. A session reports what it saw when it ends: stop the servers first.
    pub async fn deadlocks(&self) -> Result<i64> {
        let mut conn = self.connect_to("postgres").await?;
        let sql = "SELECT (SELECT count(*) FROM pg_stat_activity WHERE datname = $1),
                          (SELECT deadlocks FROM pg_stat_database WHERE datname = $1)";
        loop {
            let (sessions, deadlocks): (i64, i64) = sqlx::query_as(sql).bind(DATABASE).fetch_one(&mut conn).await?;
            if sessions == 0 {
                return Ok(deadlocks);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The last words of its log.
    pub fn said(&self) -> String {
        let log = fs::read_to_string(self.dir.with_extension("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop_immediately();
    }
}

/// A port that is free now.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Where `postgres` and `initdb` are: in PATH, where Debian has them, or where the tests unpacked a build.
fn programs() -> Result<PathBuf> {
    let mut dirs: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    let builds = Path::new(env!("CARGO_TARGET_TMPDIR")).join("postgres-builds");
    for parent in [Path::new("/usr/lib/postgresql"), &builds] {
        let versions = fs::read_dir(parent).into_iter().flatten().flatten();
        dirs.extend(versions.map(|version| version.path().join("bin")));
    }
    let complete = |dir: &PathBuf| dir.join("initdb").exists() && dir.join("postgres").exists();
    dirs.into_iter()
        .find(complete)
        .ok_or_else(|| "the programs of Postgres are needed, in PATH or /usr/lib/postgresql".into())
}
