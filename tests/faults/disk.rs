//! A small disk of its own, and a way to fill it.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::report::Result;

pub struct Disk {
    path: PathBuf,
}

impl Disk {
    /// A tmpfs of so many MiB at `path`; the reason when this machine does not let us have one.
    pub fn mount(path: &Path, mib: u32) -> std::result::Result<Self, String> {
        let doing = |what: &str, error: &dyn std::fmt::Display| format!("{what} {}: {error}", path.display());
        fs::create_dir(path).map_err(|error| doing("create", &error))?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={mib}m,mode=755"), "stockhold-faults"]).arg(path);
        let output = mount.output().map_err(|error| doing("mount", &error))?;
        if output.status.success() {
            return Ok(Self { path: path.to_owned() });
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(doing("a tmpfs cannot be mounted (root may) at", &said.trim()))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }

    /// Leaves no room for anything.
    pub fn fill(&self) -> Result<()> {
        let mut file = File::options().create(true).append(true).open(self.ballast())?;
        for size in [1024 * 1024, 4096] {
            let chunk = vec![0; size];
            while file.write_all(&chunk).is_ok() {}
        }
        Ok(())
    }

    /// Makes room again.
    pub fn free(&self) -> Result<()> {
        Ok(fs::remove_file(self.ballast())?)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: what still runs on it has a moment to end.
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}
