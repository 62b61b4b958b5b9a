//! The Postgres that all tests share, and a database for each of them.
//!
//! The server's own supervisor starts it, so nothing needs to be installed or configured, and it ends
//! with this process however that ends; what it leaves behind is removed then.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Sender, channel};

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use stockhold::app::App;
use stockhold::platform::db::private::{Options, PrivatePostgres};
use stockhold::platform::db::{Application, Db};
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};

/// A key that every test database knows.
pub const ADMIN_KEY: &str = "the-key-of-the-tests-which-is-long-enough";

/// Connections that the servers of all tests may have open together.
const MAX_CONNECTIONS: u32 = 200;
static CONNECTIONS: Semaphore = Semaphore::const_new(MAX_CONNECTIONS as usize);

const TEMPLATE: &str = "template_stockhold";

struct Cluster {
    /// Kept, because dropping it would stop Postgres.
    _postgres: PrivatePostgres,
    options: PgConnectOptions,
}

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();

/// Databases of tests that have ended, on their way out.
static DROPPED: LazyLock<Sender<(PgConnectOptions, String)>> = LazyLock::new(start_dropping);

async fn cluster() -> &'static Cluster {
    CLUSTER.get_or_init(start).await
}

async fn start() -> Cluster {
    let dir = base_dir().join(format!("stockhold-tests-{}", std::process::id()));
    remove_at_our_end(&dir);
    let mut options = Options::from_env(&dir);
    options.install = true;
    options.builds_dir = Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("postgres-builds"));
    options.max_connections = MAX_CONNECTIONS + 40;
    options.memory_bytes = Some(1024 * 1024 * 1024);
    let postgres = PrivatePostgres::start(options).await.expect("a private Postgres starts");
    let connection = postgres.connection();
    // Losing the last moments of a test when the machine fails is fine; waiting for the disk is not.
    let options = PgConnectOptions::new_without_pgpass()
        .socket(&connection.socket_dir)
        .port(connection.port)
        .username(&connection.user)
        .password(&connection.password)
        .database(&connection.database)
        .options([("synchronous_commit", "off")]);
    for sql in
        ["ALTER SYSTEM SET min_wal_size = '80MB'", "ALTER SYSTEM SET max_wal_size = '256MB'", "SELECT pg_reload_conf()"]
    {
        run(&options, sql).await;
    }
    make_template(&options).await;
    Cluster { _postgres: postgres, options }
}

/// Memory where there is enough of it: every database is made of hundreds of files that are synced on their own.
fn base_dir() -> PathBuf {
    const ENOUGH: u64 = 2 * 1024 * 1024 * 1024;
    let memory = Path::new("/dev/shm");
    let room = rustix::fs::statvfs(memory).map_or(0, |it| it.f_bavail * it.f_frsize);
    if room >= ENOUGH { memory.to_owned() } else { PathBuf::from(env!("CARGO_TARGET_TMPDIR")) }
}

/// Leaves somebody behind who waits until this process and its Postgres have ended, and clears up.
#[allow(clippy::zombie_processes)] // it outlives us: that is its purpose
fn remove_at_our_end(dir: &Path) {
    let script = r#"while kill -0 "$1" 2>&-; do sleep 0.5; done; sleep 1; rm -rf "$2""#;
    let mut cleaner = Command::new("sh");
    cleaner.args(["-c", script, "sh", &std::process::id().to_string()]).arg(dir);
    // In a group of its own, so that Ctrl-C does not end it too early.
    cleaner.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    cleaner.spawn().expect("there is a shell");
}

async fn make_template(options: &PgConnectOptions) {
    run(options, &format!("CREATE DATABASE {TEMPLATE}")).await;
    let db = Db::new(options.clone().database(TEMPLATE), 2);
    db.migrate().await.expect("the migrations run");
    db.for_application(Application::TakeOn, 2).await.expect("the application's role is made").close().await;
    App::new(db.clone()).access.bootstrap(Some(ADMIN_KEY)).await.expect("a key is made");
    db.close().await;
}

async fn run(options: &PgConnectOptions, sql: &str) {
    let mut conn: PgConnection = options.connect().await.expect("the test database takes connections");
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut conn).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    conn.close().await.expect("the connection closes");
}

/// A database of one test; dropped when the test ends.
pub struct Database {
    name: String,
    admin: PgConnectOptions,
}

impl Database {
    pub async fn create() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let admin = cluster().await.options.clone();
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        run(&admin, &format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY file_copy")).await;
        Self { name, admin }
    }

    pub fn options(&self) -> PgConnectOptions {
        self.admin.clone().database(&self.name)
    }

    /// Sessions of servers that are neither idle nor at work: they stand in a transaction.
    pub async fn left_in_transaction(&self) -> i64 {
        let mut conn = self.admin.connect().await.unwrap();
        let sql = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = $1 AND application_name = 'stockhold' AND state LIKE 'idle in transaction%'";
        sqlx::query_scalar(sql).bind(&self.name).fetch_one(&mut conn).await.unwrap()
    }

    /// Waits until nobody is connected any more, then tells how many deadlocks Postgres had to break.
    /// (A session adds what it saw to the statistics when it ends.)
    pub async fn deadlocks(&self) -> i64 {
        let mut conn = self.admin.connect().await.unwrap();
        loop {
            let sql = "SELECT (SELECT count(*) FROM pg_stat_activity WHERE datname = $1),
                              (SELECT deadlocks FROM pg_stat_database WHERE datname = $1)";
            let (sessions, deadlocks): (i64, i64) =
                sqlx::query_as(sql).bind(&self.name).fetch_one(&mut conn).await.unwrap();
            if sessions == 0 {
                return deadlocks;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // Nobody is left to tell when the process is ending.
        let _ = DROPPED.send((self.admin.clone(), self.name.clone()));
    }
}

/// Drops databases beside the tests, which need not wait for it.
fn start_dropping() -> Sender<(PgConnectOptions, String)> {
    let (sender, receiver) = channel::<(PgConnectOptions, String)>();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for (options, name) in receiver {
            runtime.block_on(run(&options, &format!("DROP DATABASE {name} WITH (FORCE)")));
        }
    });
    sender
}

/// Room for a server's pool. However many tests run at once, Postgres has a connection for each that is asked for.
pub async fn room_for(connections: u32) -> SemaphorePermit<'static> {
    CONNECTIONS.acquire_many(connections).await.expect("never closed")
}
