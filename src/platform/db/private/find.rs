//! Finding `postgres` and `initdb`, always as a pair from one directory.
//!
//! A pair, because an `initdb` of one version makes a cluster that a `postgres` of another refuses.
//! The search looks where distributions put them, since most (Debian, Fedora's own repository,
//! Alpine) keep server binaries out of PATH.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::error::PrivateError;
use super::{Options, packages};

/// The oldest major version the server's SQL is written for.
pub(super) const OLDEST_MAJOR: u32 = 15;

/// A `postgres` and the `initdb` beside it.
#[derive(Debug, Clone)]
pub(super) struct Binaries {
    pub dir: PathBuf,
    pub major: u32,
}

impl Binaries {
    pub fn postgres(&self) -> PathBuf {
        self.dir.join("postgres")
    }

    pub fn initdb(&self) -> PathBuf {
        self.dir.join("initdb")
    }
}

/// The newest pair that will do, or an error that names what was seen and what to do.
///
/// `needed` is the major version of the data directory, when there is one already.
pub(super) fn find(options: &Options, cluster: &Path, needed: Option<u32>) -> Result<Binaries, PrivateError> {
    let seen = if let Some(dir) = &options.bin_dir {
        vec![named(dir)?]
    } else {
        places(options).iter().filter_map(|dir| inspect(dir)).collect()
    };
    if let Some(binaries) = pick(&seen, needed) {
        return Ok(binaries.clone());
    }
    let command = packages::one_line(needed);
    Err(match needed {
        Some(needed) => {
            PrivateError::WrongMajor { cluster: cluster.to_owned(), needed, found: describe(&seen), command }
        }
        None => PrivateError::NotFound {
            wanted: format!("{OLDEST_MAJOR} or newer"),
            seen: format!("found: {}", describe(&seen)),
            command,
        },
    })
}

/// The first of the highest major version: among equals the order of `places` decides, so what the
/// administrator put in PATH wins over what a package left behind.
fn pick(seen: &[Binaries], needed: Option<u32>) -> Option<&Binaries> {
    let fits = |it: &&Binaries| match needed {
        Some(needed) => it.major == needed,
        None => it.major >= OLDEST_MAJOR,
    };
    seen.iter().filter(fits).reduce(|best, it| if it.major > best.major { it } else { best })
}

fn describe(seen: &[Binaries]) -> String {
    if seen.is_empty() {
        return "none".into();
    }
    let each: Vec<String> = seen.iter().map(|it| format!("{} in {}", it.major, it.dir.display())).collect();
    each.join(", ")
}

/// Where to look, in order of preference, each directory once.
fn places(options: &Options) -> Vec<PathBuf> {
    let mut places = Vec::new();
    match &options.search_path {
        Some(instead) => places.extend(absolute_entries(instead)),
        None => {
            places.extend(absolute_entries(&std::env::var_os("PATH").unwrap_or_default()));
            places.extend(package_dirs());
        }
    }
    places.extend(expand(&options.builds_dir(), "", "bin"));
    let mut once = Vec::new();
    for place in places {
        // Resolved first: a link such as /usr/local/bin/postgres leads to the directory that
        // really holds the pair and, beside it, the files Postgres reads relative to itself.
        let resolved = resolve(&place);
        if !once.contains(&resolved) {
            once.push(resolved);
        }
    }
    once
}

/// A relative entry in PATH means something else in every working directory: skipped.
fn absolute_entries(list: &OsStr) -> impl Iterator<Item = PathBuf> {
    std::env::split_paths(list).filter(|dir| dir.is_absolute())
}

fn package_dirs() -> Vec<PathBuf> {
    // (directory, start of the version directory's name, tail below it)
    const PATTERNS: [(&str, &str, &str); 9] = [
        ("/usr/lib/postgresql", "", "bin"),         // Debian, Ubuntu
        ("/usr", "pgsql-", "bin"),                  // Fedora, RHEL: the project's packages
        ("/usr/lib", "postgresql", "bin"),          // openSUSE, older Alpine
        ("/usr/libexec", "postgresql", ""),         // Alpine
        ("/opt/homebrew/opt", "postgresql", "bin"), // Homebrew on Apple silicon
        ("/usr/local/opt", "postgresql", "bin"),    // Homebrew on Intel
        ("/home/linuxbrew/.linuxbrew/opt", "postgresql", "bin"),
        ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
        ("/opt/local/lib", "postgresql", "bin"), // MacPorts
    ];
    let mut dirs: Vec<PathBuf> =
        PATTERNS.iter().flat_map(|(dir, start, tail)| expand(Path::new(dir), start, tail)).collect();
    dirs.extend(["/usr/bin", "/usr/local/bin", "/usr/local/pgsql/bin"].map(PathBuf::from));
    dirs
}

/// `dir/{start}*/tail` for what exists, sorted so that a search is repeatable.
fn expand(dir: &Path, start: &str, tail: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with(start) && !name.starts_with('.')
        })
        .map(|entry| entry.path().join(tail))
        .collect();
    found.sort();
    found
}

/// The directory where the pair really lies, following a linked `postgres`.
fn resolve(dir: &Path) -> PathBuf {
    let real = fs::canonicalize(dir.join("postgres"));
    match real.as_deref().ok().and_then(Path::parent) {
        Some(parent) if is_program(&parent.join("initdb")) && parent.join("postgres").exists() => parent.to_owned(),
        _ => dir.to_owned(),
    }
}

/// The directory the administrator named: anything wrong with it is an error, not a reason to look
/// elsewhere.
fn named(dir: &Path) -> Result<Binaries, PrivateError> {
    let resolved = resolve(dir);
    inspect(&resolved).ok_or_else(|| PrivateError::BinDir {
        dir: dir.to_owned(),
        missing: if is_program(&resolved.join("initdb")) { "`postgres`" } else { "`initdb`" },
    })
}

/// The pair in `dir`, if both are there and `postgres` runs.
pub(super) fn inspect(dir: &Path) -> Option<Binaries> {
    let postgres = dir.join("postgres");
    if !is_program(&postgres) || !is_program(&dir.join("initdb")) {
        return None;
    }
    let output = Command::new(&postgres).arg("--version").stdin(Stdio::null()).output().ok()?;
    let major = parse_major(&String::from_utf8_lossy(&output.stdout))?;
    Some(Binaries { dir: dir.to_owned(), major })
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}

/// `postgres (PostgreSQL) 15.18 (Debian …)`, `… 19beta1`, `… 16devel` → the leading number.
fn parse_major(version: &str) -> Option<u32> {
    let after = version.split("(PostgreSQL)").nth(1)?.trim_start();
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(major: u32, dir: &str) -> Binaries {
        Binaries { dir: dir.into(), major }
    }

    #[test]
    fn versions_of_every_shape_are_read() {
        assert_eq!(parse_major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(parse_major("postgres (PostgreSQL) 19beta1"), Some(19));
        assert_eq!(parse_major("postgres (PostgreSQL) 9.6.24"), Some(9));
        assert_eq!(parse_major("something else 12"), None);
    }

    #[test]
    fn newest_wins_and_the_first_among_equals() {
        let seen = [pair(15, "/a"), pair(17, "/b"), pair(17, "/c"), pair(13, "/d")];
        assert_eq!(pick(&seen, None).unwrap().dir, Path::new("/b"));
        assert_eq!(pick(&seen, Some(15)).unwrap().dir, Path::new("/a"));
        assert!(pick(&seen, Some(16)).is_none());
        assert!(pick(&seen[3..], None).is_none());
    }
}
