//! `stockhold backup`

use std::error::Error as StdError;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use serde::Serialize;
use tempfile::NamedTempFile;

use super::database::Database;
use super::{Outcome, block_on, load, unless_stopped};
use crate::app::App;
use crate::config::{Config, Flags};
use crate::platform::db::Db;
use crate::platform::db::backup::{self, Header, Intact, Made, Totals};
use crate::platform::db::private::PrivatePostgres;
use crate::telemetry;

/// Write everything into one file, while the server works
///
/// The file shows one moment, whatever is written meanwhile, and has checksums by which a copy that
/// was damaged or cut is told. It holds all there is to know of the shop: only its owner can read it.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    flags: Flags,
    /// Where to write it, or what to verify; - is standard output
    file: PathBuf,
    /// Write it in place of a file of that name
    #[arg(long)]
    force: bool,
    /// Write nothing: check that the file is a whole and undamaged backup
    #[arg(long, conflicts_with = "force")]
    verify: bool,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Outcome {
    let begun = Instant::now();
    if args.verify {
        let Intact { header, totals, length, .. } = verify(&args.file)?;
        return Summary::new(args, &header, totals, length, begun).print();
    }
    if args.to_stdout() && io::stdout().is_terminal() {
        return Err("a backup is not for a terminal: name a file, or pipe it to a program".into());
    }
    if !args.to_stdout() && !args.force && args.file.exists() {
        return Err(exists(&args.file));
    }
    let config = load(&args.flags)?;
    telemetry::init_logs(if config.log == "info" { "warn" } else { &config.log }, config.log_format);
    let Made { header, totals, length } = block_on(back_up(&config, args))??;
    Summary::new(args, &header, totals, length, begun).print()
}

async fn back_up(config: &Config, args: &Args) -> Result<Made, Box<dyn StdError>> {
    if config.database_url.is_none() && !PrivatePostgres::exists(&config.data_dir) {
        return Err(format!("{}: {}", config.data_dir.display(), backup::Error::Nothing).into());
    }
    let database = Database::connect_beside_server(config).await?;
    let outcome = unless_stopped(write(&database.db, args)).await;
    database.close().await;
    outcome
}

async fn write(db: &Db, args: &Args) -> Result<Made, Box<dyn StdError>> {
    let bar = ProgressBar::new_spinner();
    bar.set_style(ProgressStyle::with_template("{spinner} {bytes:>10} {binary_bytes_per_sec:>14}  {msg}")?);
    bar.enable_steady_tick(Duration::from_millis(250));
    let mut before = 0;
    let progress = |table: &backup::Table, bytes: u64| {
        if bytes == 0 {
            bar.set_message(format!("{}.{}", table.schema, table.name));
            before = 0;
        }
        bar.inc(bytes - before);
        before = bytes;
    };
    // Before the moment that the backup shows, so that it has all up to there.
    backup::check_any(db).await?;
    let feed_position = App::new(db.clone()).events.settled_position().await?;
    let made = if args.to_stdout() {
        backup::take(db, feed_position, BufWriter::new(io::stdout().lock()), progress).await?.1
    } else {
        let (part, made) = backup::take(db, feed_position, BufWriter::new(part_beside(&args.file)?), progress).await?;
        keep(part.into_inner()?, &args.file, args.force)?;
        made
    };
    bar.finish_and_clear();
    Ok(made)
}

/// A file under another name until it is whole, for nobody else to read. It goes when it is dropped.
fn part_beside(file: &Path) -> Result<NamedTempFile, Box<dyn StdError>> {
    let name = file.file_name().ok_or_else(|| format!("{} names no file", file.display()))?;
    let part = tempfile::Builder::new().prefix(name).suffix(".part").tempfile_in(directory(file));
    part.map_err(|why| format!("{} cannot be written: {why}", file.display()).into())
}

/// Gives the file its name once it is on disk, so that whoever sees the name sees all of it.
fn keep(part: NamedTempFile, file: &Path, force: bool) -> Result<(), Box<dyn StdError>> {
    part.as_file().sync_all()?;
    let kept = if force { part.persist(file) } else { part.persist_noclobber(file) };
    kept.map_err(|why| match why.error.kind() {
        io::ErrorKind::AlreadyExists => exists(file),
        _ => why.into(),
    })?;
    File::open(directory(file))?.sync_all()?;
    Ok(())
}

fn directory(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn exists(file: &Path) -> Box<dyn StdError> {
    format!("{} exists: name another file, or say --force to write it anew", file.display()).into()
}

/// Reads a backup to its end, and refuses one that is not whole.
pub(super) fn verify(file: &Path) -> Result<Intact, Box<dyn StdError>> {
    let (from, bar) = open(file, "verifying")?;
    let intact = backup::verify(from, |bytes| bar.set_position(bytes));
    bar.finish_and_clear();
    intact.map_err(|why| format!("{} is refused: {}", file.display(), super::with_causes(&why)).into())
}

/// Opens a backup to read, with a bar that shows how far.
pub(super) fn open(file: &Path, doing: &'static str) -> Result<(BufReader<File>, ProgressBar), Box<dyn StdError>> {
    let unreadable = |why| format!("{} cannot be read: {why}", file.display());
    let from = File::open(file).map_err(unreadable)?;
    let bar = ProgressBar::new(from.metadata().map_err(unreadable)?.len());
    bar.set_style(ProgressStyle::with_template("{msg:10} {wide_bar} {binary_bytes}/{binary_total_bytes}")?);
    bar.enable_steady_tick(Duration::from_millis(250));
    bar.set_message(doing);
    Ok((BufReader::with_capacity(256 * 1024, from), bar))
}

/// What there is to say of a backup.
#[derive(Serialize)]
struct Summary<'a> {
    file: &'a Path,
    taken_at: &'a str,
    /// The version that made it.
    stockhold: &'a str,
    #[serde(flatten)]
    totals: Totals,
    file_bytes: u64,
    seconds: f64,
    #[serde(skip)]
    args: &'a Args,
}

impl<'a> Summary<'a> {
    fn new(args: &'a Args, header: &'a Header, totals: Totals, file_bytes: u64, begun: Instant) -> Self {
        let (taken_at, stockhold) = (header.taken_at.as_str(), header.stockhold.as_str());
        Self { file: &args.file, taken_at, stockhold, totals, file_bytes, seconds: begun.elapsed().as_secs_f64(), args }
    }

    fn print(&self) -> Outcome {
        let text = if self.args.json {
            serde_json::to_string_pretty(self)?
        } else {
            let Self { file, taken_at, stockhold, totals, file_bytes, seconds, args } = self;
            let (name, size) = (file.display(), HumanBytes(*file_bytes));
            let whole = if args.verify { "is whole and undamaged: " } else { "" };
            format!(
                "{name}: {whole}{} rows of {} tables as of {taken_at}, by stockhold {stockhold}; {size} in {seconds:.1} s",
                totals.rows, totals.tables
            )
        };
        if self.args.to_stdout() {
            eprintln!("{text}");
        } else {
            println!("{text}");
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Args {
    fn to_stdout(&self) -> bool {
        self.file.as_os_str() == "-"
    }
}
