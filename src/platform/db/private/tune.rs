//! Settings for a small business' machine that Postgres shares with the server and more.
//!
//! Two kinds. What the supervisor's promises rest on (durability, no network, where the log goes)
//! is given on the command line, which nothing overrides. What is a matter of taste stands in
//! `stockhold.conf`, which the administrator overrides with `ALTER SYSTEM`.

use std::fs;
use std::path::Path;

use super::layout::{Layout, PORT};

const MIB: u64 = 1024 * 1024;

/// `stockhold.conf`: rewritten at every start, since the machine may have got more memory.
pub(super) fn conf(memory_bytes: u64, max_connections: u32) -> String {
    let memory = memory_bytes / MIB;
    let shared_buffers = (memory / 4).clamp(128, 2048);
    let effective_cache_size = (memory / 2).max(2 * shared_buffers);
    // A query may use this several times over, and every connection may run one.
    let work_mem = (memory / 8 / u64::from(max_connections.max(1))).clamp(4, 32);
    let maintenance_work_mem = (memory / 16).clamp(64, 512);
    let parallel = if small_shared_memory() { 0 } else { 2 };
    format!(
        "# Written by stockhold at every start. Override a setting with ALTER SYSTEM.\n\
         include 'postgres/postgresql.conf'\n\
         max_connections = {max_connections}\n\
         shared_buffers = {shared_buffers}MB\n\
         effective_cache_size = {effective_cache_size}MB\n\
         work_mem = {work_mem}MB\n\
         maintenance_work_mem = {maintenance_work_mem}MB\n\
         max_parallel_workers_per_gather = {parallel}\n\
         max_wal_size = 2GB\n\
         min_wal_size = 256MB\n\
         wal_compression = on\n\
         checkpoint_timeout = 15min\n\
         checkpoint_completion_target = 0.9\n\
         random_page_cost = 1.1\n\
         jit = off\n\
         timezone = 'UTC'\n\
         log_timezone = 'UTC'\n\
         log_min_duration_statement = 1s\n\
         log_checkpoints = off\n\
         log_line_prefix = '%m [%p] '\n"
    )
}

/// The settings that are not up for change, as `-c` arguments.
pub(super) fn invariants(layout: &Layout, socket_dir: &Path) -> Vec<String> {
    // A list of directories: quoted, so that a comma in the path does not make two of one.
    let socket_dir = socket_dir.display().to_string().replace('"', "\"\"");
    vec![
        format!("config_file={}", layout.conf.display()),
        format!("hba_file={}", layout.hba.display()),
        "fsync=on".into(),
        "full_page_writes=on".into(),
        "synchronous_commit=on".into(),
        "listen_addresses=".into(),
        format!("port={PORT}"),
        format!("unix_socket_directories=\"{socket_dir}\""),
        "unix_socket_permissions=0700".into(),
        "password_encryption=scram-sha-256".into(),
        "log_destination=stderr".into(),
        "logging_collector=off".into(),
    ]
}

/// Containers often get 64 MB of /dev/shm, where a parallel query fails rather than slows down.
fn small_shared_memory() -> bool {
    const ENOUGH: u64 = 256 * MIB;
    rustix::fs::statvfs("/dev/shm").is_ok_and(|it| it.f_blocks * it.f_frsize < ENOUGH)
}

/// The memory that is ours to use: the machine's, or the container's where that is less.
pub(super) fn memory_bytes() -> u64 {
    const UNKNOWN: u64 = 1024 * MIB;
    let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let limit = limits.iter().filter_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok()).min();
    let machine = machine_memory_bytes().unwrap_or(UNKNOWN);
    limit.map_or(machine, |limit: u64| limit.min(machine))
}

#[cfg(target_os = "linux")]
fn machine_memory_bytes() -> Option<u64> {
    let info = rustix::system::sysinfo();
    // The type of the field is the platform's.
    #[allow(clippy::useless_conversion)]
    let total = u64::from(info.totalram);
    total.checked_mul(u64::from(info.mem_unit))
}

#[cfg(not(target_os = "linux"))]
fn machine_memory_bytes() -> Option<u64> {
    let output = std::process::Command::new("sysctl").args(["-n", "hw.memsize"]).output().ok()?;
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_follow_memory_between_the_bounds() {
        assert!(conf(4096 * MIB, 40).contains("shared_buffers = 1024MB"));
        assert!(conf(64 * 1024 * MIB, 40).contains("shared_buffers = 2048MB"));
        assert!(conf(256 * MIB, 40).contains("shared_buffers = 128MB"));
        assert!(conf(0, 0).contains("work_mem = 4MB"));
    }

    #[test]
    fn memory_is_found_here() {
        assert!(memory_bytes() > 64 * MIB);
    }

    #[test]
    fn a_comma_or_quote_in_the_socket_directory_is_quoted() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::create(dir.path()).unwrap();
        let list = invariants(&layout, Path::new("/a,\"b"));
        assert!(list.contains(&"unix_socket_directories=\"/a,\"\"b\"".to_owned()), "{list:?}");
    }
}
