//! The system's package manager: which one it is, and running it.

use std::process::{Command, Output, Stdio};

/// The one command that a person would type here.
pub(super) fn one_line(needed: Option<u32>) -> String {
    match Manager::detect() {
        Some(manager) => {
            let sudo = if manager.wants_root() && !is_root() { "sudo " } else { "" };
            manager.one_line(sudo, needed)
        }
        None => match needed {
            Some(major) => format!("PostgreSQL {major}, with this system's package manager"),
            None => "PostgreSQL 15 or newer, with this system's package manager".into(),
        },
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manager {
    Apt,
    Dnf,
    Apk,
    Brew,
}

impl Manager {
    fn detect() -> Option<Manager> {
        [("apt-get", Manager::Apt), ("dnf", Manager::Dnf), ("apk", Manager::Apk), ("brew", Manager::Brew)]
            .into_iter()
            .find(|(program, _)| is_on_path(program))
            .map(|(_, manager)| manager)
    }

    /// Homebrew alone refuses root; the others need it.
    fn wants_root(self) -> bool {
        self != Manager::Brew
    }

    fn packages(self, needed: Option<u32>) -> String {
        match (self, needed) {
            (Manager::Apt, None) => "postgresql".into(),
            (Manager::Apt, Some(major)) => format!("postgresql-{major}"),
            (Manager::Dnf, _) => "postgresql-server postgresql-contrib".into(),
            (Manager::Apk, None) => "postgresql postgresql-contrib".into(),
            (Manager::Apk, Some(major)) => format!("postgresql{major} postgresql{major}-contrib"),
            (Manager::Brew, needed) => format!("postgresql@{}", needed.unwrap_or(17)),
        }
    }

    fn one_line(self, sudo: &str, needed: Option<u32>) -> String {
        let packages = self.packages(needed);
        match self {
            Manager::Apt => format!("{sudo}apt-get update && {sudo}apt-get install -y {packages}"),
            Manager::Dnf => format!("{sudo}dnf install -y {packages}"),
            Manager::Apk => format!("{sudo}apk add {packages}"),
            Manager::Brew => format!("brew install {packages}"),
        }
    }

    fn script(self, needed: Option<u32>) -> String {
        let packages = self.packages(needed);
        match self {
            // Debian's package would also create and start a server of its own on port 5432, which
            // nobody asked for. Its settings are touched only where we are the first to install it.
            Manager::Apt => format!(
                "set -e; export DEBIAN_FRONTEND=noninteractive\n\
                 settings=/etc/postgresql-common/createcluster.conf\n\
                 apt_install='apt-get -q -y -o DPkg::Lock::Timeout=120 install --no-install-recommends'\n\
                 apt-get -q update\n\
                 if [ ! -e $settings ]; then\n\
                 $apt_install postgresql-common\n\
                 echo 'create_main_cluster = false' >> $settings\n\
                 fi\n\
                 $apt_install {packages}"
            ),
            Manager::Dnf | Manager::Apk | Manager::Brew => self.one_line("", needed),
        }
    }
}

/// Installs by the system's package manager; the error is one line.
pub(super) fn install(needed: Option<u32>) -> Result<(), String> {
    let manager = Manager::detect().ok_or("no package manager known to us is here")?;
    let mut command = match (manager.wants_root(), is_root()) {
        (true, false) if passwordless_sudo() => {
            let mut sudo = Command::new("sudo");
            sudo.args(["-n", "sh", "-c"]);
            sudo
        }
        (true, false) => return Err("installing packages needs root or passwordless sudo".into()),
        (false, true) => return Err("Homebrew does not run as root".into()),
        _ => {
            let mut sh = Command::new("sh");
            sh.arg("-c");
            sh
        }
    };
    command.arg(manager.script(needed));
    tracing::info!(
        packages = manager.packages(needed),
        "installing PostgreSQL from the system's packages; this can take some minutes"
    );
    run(command).map(drop).map_err(|why| format!("the package manager failed: {why}"))
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn passwordless_sudo() -> bool {
    let mut sudo = Command::new("sudo");
    sudo.args(["-n", "true"]);
    run(sudo).is_ok()
}

pub(super) fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

/// Runs a command to its end; a failure is told in one short line.
pub(super) fn run(mut command: Command) -> Result<Output, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|cause| format!("{program}: {cause}"))?;
    if output.status.success() {
        return Ok(output);
    }
    let said = [&output.stderr[..], &output.stdout[..]].concat();
    Err(format!("{program}: {}, {}", output.status, last_words(&said)))
}

/// The end of what a tool said, on one line, short enough for an error message. Addresses are left
/// out: a private mirror's may carry credentials.
pub(super) fn last_words(said: &[u8]) -> String {
    const KEEP: usize = 600;
    let said = String::from_utf8_lossy(said);
    let words: Vec<&str> =
        said.split_whitespace().map(|word| if word.contains("://") { "(address)" } else { word }).collect();
    let line = words.join(" ");
    let skip = line.chars().count().saturating_sub(KEEP);
    line.chars().skip(skip).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_commands_name_the_version_that_the_data_needs() {
        assert_eq!(
            Manager::Apt.one_line("sudo ", Some(16)),
            "sudo apt-get update && sudo apt-get install -y postgresql-16"
        );
        assert_eq!(Manager::Apk.one_line("", None), "apk add postgresql postgresql-contrib");
        assert_eq!(Manager::Brew.one_line("", Some(18)), "brew install postgresql@18");
    }

    #[test]
    fn last_words_are_short_and_hide_addresses() {
        let said = format!("{} failed scheme://user:secret@host/x end", "x ".repeat(900));
        let words = last_words(said.as_bytes());
        assert!(words.len() <= 600 && words.ends_with("failed (address) end"), "{words}");
    }
}
