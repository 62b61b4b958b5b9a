//! Real brokers, each with a port and a store of its own, that can be killed and started again.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::harness::DEADLINE;

/// A broker's process; killed when the test is over.
pub struct Broker {
    program: &'static str,
    arguments: Vec<String>,
    pub port: u16,
    home: TempDir,
    child: Option<Child>,
}

impl Broker {
    /// NATS with JetStream, and these lines in its configuration.
    pub async fn nats(config: &str) -> Self {
        Self::start("nats-server", |port, home| {
            let store = home.join("store");
            let text = format!("host: 127.0.0.1\nport: {port}\njetstream {{ store_dir: {store:?} }}\n{config}\n");
            fs::write(home.join("nats.conf"), text).unwrap();
            vec!["-c".to_owned(), home.join("nats.conf").display().to_string()]
        })
        .await
    }

    /// Mosquitto, which keeps what waits for a subscriber across a restart, and these lines in its configuration.
    pub async fn mosquitto(config: &str) -> Self {
        Self::start("mosquitto", |port, home| {
            let text = format!(
                "listener {port} 127.0.0.1\npersistence true\npersistence_location {}/\nmax_queued_messages 0\n\
                 user root\nlog_dest stderr\n{config}\n",
                home.display()
            );
            fs::write(home.join("mosquitto.conf"), text).unwrap();
            vec!["-c".to_owned(), home.join("mosquitto.conf").display().to_string()]
        })
        .await
    }

    async fn start(program: &'static str, configure: impl FnOnce(u16, &Path) -> Vec<String>) -> Self {
        let home = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let arguments = configure(port, home.path());
        let mut broker = Self { program, arguments, port, home, child: None };
        broker.start_again().await;
        broker
    }

    pub async fn start_again(&mut self) {
        let path = installed(self.program)
            .unwrap_or_else(|| panic!("{0} is not here; on Debian: apt-get install {0}", self.program));
        let log = File::options().create(true).append(true).open(self.home.path().join("log")).unwrap();
        let mut command = Command::new(path);
        command.args(&self.arguments).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().unwrap());
        let listens = async {
            while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
                let ended = self.child.as_mut().unwrap().try_wait().unwrap();
                assert!(ended.is_none(), "{} ended: {}", self.program, self.log());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let in_time = tokio::time::timeout(DEADLINE, listens).await;
        in_time.unwrap_or_else(|_| panic!("{} does not listen", self.program));
    }

    fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }

    /// As a power cut would end it.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// As a service manager would end it.
    pub fn stop(&mut self) {
        self.signal(Signal::TERM);
        self.child.take().expect("it runs").wait().unwrap();
    }

    pub fn signal(&self, signal: Signal) {
        let pid = self.child.as_ref().expect("it runs").id();
        kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal).unwrap();
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Debian has servers where only root's PATH leads.
fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")]);
    places.map(|place| place.join(program)).find(|file| file.is_file())
}
