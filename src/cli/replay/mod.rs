//! `stockhold replay`: drives a shop's file of invoices through the public HTTP API, then asks the
//! server whether all of it is there.

pub(crate) mod file;
mod goods;
mod keys;
mod money;
mod plan;
mod products;
mod readback;
mod run;
mod setup;
mod summary;
mod unmapped;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use self::keys::Keys;
use self::plan::{Count, Plan};
use self::run::{Driver, Failure, Places};
use self::summary::{Cancellations, Summary};
use self::unmapped::Reason;
use super::client::{self, Client};

/// Replay a file of invoices through the API of a running server
///
/// FILE is CSV, plain or gzipped, with the columns of the "Online Retail" data set: InvoiceNo,
/// StockCode, Description, Quantity, InvoiceDate (Europe/London), UnitPrice, CustomerID, Country.
/// The replay makes its own warehouses and channel, the products and their opening stock, then for
/// each invoice a cart, which is checked out into an order, paid by hand and shipped, for each cancellation
/// the returns and refunds, for each write-off an adjustment. Customers are those that the file has a number
/// for; others are guests. Prices with a fraction of a penny are rounded line by line, and the summary says by how
/// much. Idempotency keys follow from the file: run it again after a crash, within
/// a day, and it goes on where it stopped.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file of invoices
    file: PathBuf,
    #[command(flatten)]
    server: client::Server,
    /// How many customers are served at a time
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    concurrency: u16,
    /// Code of a warehouse to keep the stock in, created if absent; may be given several times
    #[arg(long = "warehouse", value_name = "CODE", default_values = ["REPLAY-1", "REPLAY-2"])]
    warehouses: Vec<String>,
    /// Code of the channel to sell in, created if absent
    #[arg(long, value_name = "CODE", default_value = "REPLAY")]
    channel: String,
    /// Replay the first N invoices only
    #[arg(long, value_name = "N")]
    limit_invoices: Option<usize>,
    /// Write the lines that are not mapped to this file, as CSV
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Read the whole ledger back too, page by page, and compare it
    #[arg(long)]
    ledger: bool,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    File(#[from] file::Error),
    #[error(transparent)]
    Client(#[from] client::Error),
    #[error("the report could not be written to {path}")]
    Report { path: String, source: io::Error },
    #[error("the summary could not be written")]
    Summary(#[from] serde_json::Error),
    #[error(
        "the channel {channel} has orders of this file, and the server no longer knows their idempotency keys; choose another --channel and --warehouse"
    )]
    Forgotten { channel: String },
}

pub async fn run(args: Args) -> Result<ExitCode, Error> {
    let started = Instant::now();
    let client = Client::new(&args.server)?;
    let text = file::text(&args.file)?;
    let file = file::read(&args.file, &text)?;
    let sold_by_the_file = file::sold(&text, args.limit_invoices);
    drop(text);
    let plan = plan::build(&file, args.limit_invoices);
    if let Some(path) = &args.report {
        unmapped::write_report(path, &plan.unmapped)
            .map_err(|source| Error::Report { path: path.display().to_string(), source })?;
    }
    let places = Places { warehouses: args.warehouses, channel: args.channel };
    let settings: Vec<&str> = places.warehouses.iter().chain([&places.channel]).map(String::as_str).collect();
    let keys = Keys::new(&file.fingerprint, &settings);
    drop(file);

    let failures = drive(&client, &plan, &places, &keys, usize::from(args.concurrency)).await?;
    let (elapsed_s, calls) = (started.elapsed().as_secs_f64(), client.calls());

    let spinner = bar(None);
    spinner.set_message("reading back");
    let (server, placed) = readback::orders(&client, &plan, &places).await?;
    let money = money::read(&client, &plan, &places, &placed).await?;
    let ledger = if args.ledger { Some(readback::ledger(&client, &places).await?) } else { None };
    spinner.set_message("self-check");
    let self_check = readback::self_check(&client).await?;
    spinner.finish_and_clear();

    let mut summary = Summary {
        file: args.file.display().to_string(),
        ok: false,
        faults: Vec::new(),
        products: plan.products.len(),
        units_sold_by_the_file: sold_by_the_file.units,
        pence_sold_by_the_file: sold_by_the_file.pence(plan.totals.rounded_hundredths),
        server,
        money,
        ledger,
        self_check,
        cancellations: cancellations(&plan),
        unmapped: unmapped::by_reason(&plan.unmapped),
        failures,
        calls,
        elapsed_s,
        calls_per_s: calls.sent as f64 / elapsed_s,
        orders_per_s: plan.totals.orders as f64 / elapsed_s,
        plan: plan.totals,
    };
    summary.judge();
    if args.json {
        println!("{}", serde_json::to_string_pretty(&summary)?);
    } else {
        print!("{summary}");
    }
    Ok(if summary.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn drive(
    client: &Client,
    plan: &Plan,
    places: &Places,
    keys: &Keys,
    workers: usize,
) -> Result<Vec<Failure>, Error> {
    let bar = bar(Some(plan.events.len()));
    let driver = Driver::new(client, plan, places, keys, &bar);
    bar.set_message("places");
    driver.places().await?;
    bar.set_message("products");
    driver.products().await?;
    bar.set_message("opening stock");
    driver.opening_stock().await?;
    bar.set_message("invoices");
    bar.reset_eta();
    driver.events(workers).await?;
    bar.finish_and_clear();
    Ok(driver.into_failures())
}

/// A progress bar on standard error; it hides itself where that is no terminal.
fn bar(length: Option<usize>) -> ProgressBar {
    let Some(length) = length else {
        let spinner = ProgressBar::new_spinner();
        spinner.enable_steady_tick(Duration::from_millis(120));
        return spinner;
    };
    let bar = ProgressBar::new(length as u64);
    let style = ProgressStyle::with_template("{msg:13} {wide_bar} {human_pos}/{human_len} {per_sec} {eta} left");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

fn cancellations(plan: &Plan) -> Cancellations {
    let mut unmatched = Count::default();
    for line in &plan.unmapped {
        if matches!(line.reason, Reason::CancelledWithoutCustomer | Reason::CancelledWithoutOrder) {
            unmatched.add(line.units, line.pence);
        }
    }
    Cancellations { matched: plan.totals.returned, matched_in_part: plan.totals.returned_in_part, unmatched }
}
