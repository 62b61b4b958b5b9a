//! Installing Postgres, by consent alone.
//!
//! A server that installs packages unasked would be a bad guest, so without `--install-postgres`
//! the error only names that flag and the command. With it, the system's package manager comes
//! first (its builds get security updates), and a pinned build, unpacked into a directory of our
//! own, where the rights for that are missing or it has nothing new enough.

use std::path::Path;

use super::Options;
use super::error::PrivateError;
use super::find::{self, Binaries};
use super::{packages, unpack};

/// Installs Postgres and returns the pair to use.
pub(super) fn install(options: &Options, cluster: &Path, needed: Option<u32>) -> Result<Binaries, PrivateError> {
    let mut tried = Vec::new();
    // A search path hides the system's directories, so a package would stay hidden as well.
    if options.search_path.is_none() {
        match packages::install(needed) {
            Ok(()) => match find::find(options, cluster, needed) {
                Ok(binaries) => return Ok(binaries),
                Err(_) => tried.push("the system's packages hold no version that fits".to_owned()),
            },
            Err(reason) => tried.push(reason),
        }
        tracing::info!(reason = tried.join("; "), "unpacking a build of our own instead");
    }
    match unpack::unpack(&options.builds_dir(), needed) {
        Ok(binaries) => Ok(binaries),
        Err(reason) => {
            tried.push(reason);
            Err(PrivateError::Install { tried: tried.join("; "), command: packages::one_line(needed) })
        }
    }
}
