//! `stockhold demo`: fills an empty instance with a small living shop.

mod changes;
mod data;
mod fill;
mod life;
mod places;

use std::process::ExitCode;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use self::data::Data;
use self::fill::Filler;
use self::life::Shown;
use self::places::{FIRST_WAREHOUSE, SECOND_WAREHOUSE};
use super::client::{self, Client, Page};

/// Fill an empty instance with a small living shop
///
/// 300 products of a real gift shop, three warehouses, three channels, stock, customers, four weeks of orders that
/// end today, with payments, orders of a marketplace, a workflow for trade customers, parcels on their way,
/// a changed order and its label, returns, an exchange, transfers, damaged goods and carts. It refuses an instance that has products
/// of its own; cut off, it goes on where it stopped when run again within a day.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    server: client::Server,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Client(#[from] client::Error),
    #[error("the demo's data could not be read")]
    Data(#[from] csv::Error),
    #[error("{step}: {problem}")]
    Item { step: String, problem: String },
    #[error(
        "this instance is not empty: the demo wants one without products and without a warehouse {FIRST_WAREHOUSE}"
    )]
    NotEmpty,
}

pub async fn run(args: Args) -> Result<ExitCode, Error> {
    let client = Client::new(&args.server)?;
    let data = Data::read()?;
    refuse_foreign_products(&client).await?;

    let bar = ProgressBar::new(data.orders.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{msg:15} {wide_bar} {human_pos}/{human_len} orders") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(250));
    bar.set_message("places");
    let filler = Filler::begin(&client, &data, &bar, data::edition()).await?;
    filler.places().await?;
    bar.set_message("products");
    filler.products().await?;
    bar.set_message("stock");
    filler.stock().await?;
    bar.set_message("customers");
    let customers = filler.customers().await?;
    bar.set_message("orders");
    let orders = filler.orders(&customers).await?;
    filler.oversell().await?;
    bar.set_message("parcels");
    let tracking = filler.tracking(&orders).await?;
    bar.set_message("returns");
    filler.returns(&orders).await?;
    filler.return_requests(&orders).await?;
    bar.set_message("transfers");
    filler.transfers().await?;
    filler.conditions().await?;
    bar.set_message("changes");
    let changed = filler.change(&customers).await?;
    bar.set_message("carts");
    let to_review = filler.trade(&customers).await?;
    filler.carts(&customers).await?;
    bar.finish_and_clear();

    print!("{}", what_next(&data, client.base(), &Shown { changed, tracking, to_review }));
    Ok(ExitCode::SUCCESS)
}

/// Products without the demo's first warehouse are somebody's own. With it, the keys decide: only a
/// run of the demo whose keys the server still knows is taken up.
async fn refuse_foreign_products(client: &Client) -> Result<(), Error> {
    let page: Page<Value> = client.get(&["products"], &[("limit", "1")]).await?;
    if page.items.is_empty() {
        return Ok(());
    }
    match client.get::<Value>(&["warehouses", FIRST_WAREHOUSE], &[]).await {
        Ok(_) => Ok(()),
        Err(error) if error.is("not-found") => Err(Error::NotEmpty),
        Err(error) => Err(error.into()),
    }
}

fn what_next(data: &Data, url: &str, shown: &Shown) -> String {
    let sku_where = |wanted: &dyn Fn(&data::Product) -> bool| {
        data.products.iter().find(|product| wanted(product)).map_or("", |product| product.sku.as_str())
    };
    let backordered = sku_where(&|product| product.backorder_limit.is_some());
    let preorder = sku_where(&|product| product.preorder_limit.is_some());
    let (products, customers, orders) = (data.products.len(), data.customers.len(), data.orders.len());
    let calls = [
        (format!("stock/{backordered}"), "a product on backorder, and where it stands"),
        (format!("stock/{preorder}"), "one that can be ordered before its release"),
        (format!("stock/{backordered}/explain?channel=WEB"), "why so many are available, and no more"),
        ("orders?status=placed&limit=5".into(), "orders that wait to be shipped"),
        ("orders/at-risk?limit=5".into(), "orders that will miss what was promised, and what can be done"),
        ("transfers?status=in_transit".into(), "goods between warehouses"),
        ("carts?status=open".into(), "carts that hold stock; or abandoned, checked_out"),
        ("customers?q=a&limit=5".into(), "who buys"),
        ("payments?status=authorised".into(), "money that is promised; or captured, voided"),
        ("orders?channel=MARKET&limit=5".into(), "orders that a marketplace brought"),
        ("events?type=order.flagged".into(), "one of them was sold twice: somebody has to look"),
        ("workflow-runs?status=running".into(), "orders on their way through a workflow"),
        (format!("orders/{}/timeline", shown.to_review), "one that waits to be reviewed"),
        (format!("orders/{}", shown.changed.order), "one that its customer changed in every way"),
        ("events?type=order.updated".into(), "how it was changed"),
        ("labels?status=bought".into(), "the label of its parcel"),
        ("return-requests?status=requested".into(), "returns that wait for a decision; or any other state"),
        ("events?type=return.exchanged".into(), "for one of them, something else is sent"),
        ("stock/movements?limit=10".into(), "the end of the ledger"),
        ("self-check".into(), "whether every number adds up"),
    ];
    let mut text = format!(
        "The shop is open: {products} products, 3 warehouses, 3 channels, {customers} customers, {orders} orders of four weeks.\n\n\
         All calls, to try out:  {url}/docs\n\n  auth=\"Authorization: Bearer $STOCKHOLD_KEY\"\n"
    );
    for (path, meaning) in calls {
        text.push_str(&format!("  curl -sH \"$auth\" '{url}/v1/{path}'   # {meaning}\n"));
    }
    // It is a path where the server does not know what it is called outside.
    let page =
        if shown.tracking.starts_with('/') { format!("{url}{}", shown.tracking) } else { shown.tracking.clone() };
    let papers = [
        (format!("labels/{}/pdf", shown.changed.label), "label.pdf", "what is stuck on the parcel"),
        (
            format!("orders/{}/packing-slip?warehouse={SECOND_WAREHOUSE}", shown.changed.order),
            "slip.pdf",
            "what is put into it",
        ),
    ];
    text.push_str("\nTo be printed:\n\n");
    for (path, file, meaning) in papers {
        text.push_str(&format!("  curl -sfH \"$auth\" '{url}/v1/{path}' -o {file}   # {meaning}\n"));
    }
    text.push_str(&format!("\nWhere a customer sees a parcel, without a login:  {page}\n"));
    text
}
