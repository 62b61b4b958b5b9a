//! The real binary, as a process with a data directory of its own.

#![allow(dead_code, reason = "each test uses its part")]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take on a busy machine.
pub const LONG: Duration = Duration::from_secs(60);

/// A directory that other users can pass through, as /var/lib is: root's Postgres runs as another user.
pub fn place() -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
    dir
}

/// The binary with nothing of the caller's environment that would change what it does.
pub fn command(home: &Path) -> Command {
    command_of(Path::new(env!("CARGO_BIN_EXE_stockhold")), home)
}

pub fn command_of(program: &Path, home: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name == "DATABASE_URL" || (name.starts_with("STOCKHOLD_") && name != "STOCKHOLD_INSTALL_POSTGRES") {
            command.env_remove(name);
        }
    }
    let builds = Path::new(env!("CARGO_TARGET_TMPDIR")).join("postgres-builds");
    command.env("STOCKHOLD_POSTGRES_BUILDS_DIR", builds).env("NO_COLOR", "1").current_dir(home).stdin(Stdio::null());
    command
}

pub fn serve_command(home: &Path, data: &Path) -> Command {
    let mut command = command(home);
    command.arg("--data-dir").arg(data).args(["--listen", "127.0.0.1:0"]);
    command
}

/// A process whose output goes to files, killed when the test is over.
pub struct Process {
    pub child: Child,
    said: PathBuf,
    printed: PathBuf,
}

impl Process {
    pub fn start(mut command: Command, home: &Path) -> Self {
        let new = |name: &str| (1..).map(|n| home.join(format!("{name}.{n}"))).find(|path| !path.exists());
        let (said, printed) = (new("stderr").expect("a free name"), new("stdout").expect("a free name"));
        let file = |path| File::create(path).expect("the test's own directory is writable");
        let child = command.stdout(file(&printed)).stderr(file(&said)).spawn().expect("the binary starts");
        Self { child, said, printed }
    }

    /// What it wrote to standard error so far.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.said).expect("readable")
    }

    /// What it wrote to standard output so far.
    pub fn printed(&self) -> String {
        fs::read_to_string(&self.printed).expect("readable")
    }

    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it is our child")
    }

    pub fn ended(&mut self) -> ExitStatus {
        within(LONG, "the process ends", || self.child.try_wait().expect("it is our child").is_some());
        self.child.wait().expect("it is our child")
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("process ids are small")
    }

    /// Ends it as a service manager would.
    pub fn stop(&mut self) -> ExitStatus {
        signal(self.pid(), Signal::TERM);
        self.ended()
    }

    pub fn kill(&mut self) {
        self.child.kill().expect("it is our child");
        self.child.wait().expect("it is our child");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that listens.
pub struct Server {
    pub process: Process,
    pub address: SocketAddr,
    pub key: Option<String>,
}

impl Server {
    pub fn start(home: &Path, data: &Path) -> Self {
        Self::run(serve_command(home, data), home)
    }

    pub fn run(command: Command, home: &Path) -> Self {
        let mut process = Process::start(command, home);
        let mut address = None;
        within(LONG, "the server listens", || {
            if let Some(status) = process.has_ended() {
                panic!("the server ended ({status}): {}", process.said());
            }
            address = listening(&process.said());
            address.is_some()
        });
        let key = process.printed().split_whitespace().find(|word| word.starts_with("sh_")).map(str::to_owned);
        Self { process, address: address.expect("waited for"), key }
    }

    pub fn get(&self, path: &str, key: &str) -> (u16, Value) {
        call(self.address, "GET", path, key, "").unwrap_or((0, Value::Null))
    }

    pub fn post(&self, path: &str, key: &str, body: &str) -> (u16, Value) {
        call(self.address, "POST", path, key, body).unwrap_or((0, Value::Null))
    }

    #[allow(dead_code, reason = "not every test that starts the server puts")]
    pub fn put(&self, path: &str, key: &str, body: &str) -> (u16, Value) {
        call(self.address, "PUT", path, key, body).unwrap_or((0, Value::Null))
    }

    pub fn is_ready(&self) -> bool {
        self.get("/readyz", "").0 == 200
    }
}

/// The address in the line that says so.
fn listening(said: &str) -> Option<SocketAddr> {
    let line = said.lines().find(|line| line.contains("listening on http"))?;
    line.split("://").nth(1)?.split([' ', '/']).next()?.parse().ok()
}

fn call(at: SocketAddr, method: &str, path: &str, key: &str, body: &str) -> std::io::Result<(u16, Value)> {
    let mut stream = TcpStream::connect(at)?;
    stream.set_read_timeout(Some(LONG))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok((status, serde_json::from_str(body).unwrap_or(Value::Null)))
}

pub fn signal(pid: i32, signal: Signal) {
    let pid = Pid::from_raw(pid).expect("a process id");
    kill_process(pid, signal).expect("the process is there");
}

/// The postmaster's process id, by its own file.
pub fn postmaster(data: &Path) -> i32 {
    let file = fs::read_to_string(data.join("postgres/postmaster.pid")).expect("Postgres runs");
    file.lines().next().and_then(|line| line.parse().ok()).expect("the first line is the process id")
}

/// The `postgres` processes at work in the cluster; one that has ended has no working directory.
pub fn at_work(data: &Path) -> Vec<i32> {
    let cluster = data.canonicalize().unwrap_or_else(|_| data.to_owned()).join("postgres");
    let processes = fs::read_dir("/proc").expect("Linux has it").flatten();
    processes
        .filter(|it| fs::read_link(it.path().join("cwd")).is_ok_and(|cwd| cwd == cluster))
        .filter_map(|it| it.file_name().to_str()?.parse().ok())
        .collect()
}

/// Waits until `done`, and fails when that takes longer than `limit`.
pub fn within(limit: Duration, what: &str, mut done: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < limit, "{what}: not within {limit:?}");
        #[allow(clippy::disallowed_methods)] // a test's thread is its own
        std::thread::sleep(Duration::from_millis(20));
    }
    begun.elapsed()
}
