//! Carriers: what is stuck on parcels and lies in them, and where they are, for the shop and for its customers.
//!
//! - **Invariant:** what is reported of a shipment counts once, in whatever order it comes; the newest of it is where the
//!   shipment is.
//! - **Invariant:** of the order, a tracking page tells its number and its parcels alone: no name, no address, nothing that was
//!   bought. Beside that it shows what is reported of the parcels, in the words of who reports it.
//! - **Invariant:** a label is bought once at most, whatever is killed or cut off when: it is written down before anything is
//!   asked for, and the provider's books are read before it is asked for again.
//!
//! The order's row is locked before its labels are looked at. No provider is called while a transaction is open.

mod bring_on;
mod directory;
mod easypost;
mod error;
mod events;
mod hear;
mod http;
mod labels;
mod model;
mod page;
mod papers;
mod personal;
mod provider;
mod repo;
mod settings;
mod slips;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sqlx::PgConnection;
use tokio::sync::Semaphore;
use url::Url;
use uuid::Uuid;

use crate::access::Limits;
use crate::events::Events;
use crate::inventory::Inventory;
use crate::orders::{self, Order, Orders, Shipment};
use crate::platform::db::Db;
use crate::platform::id;
use crate::platform::jobs::Handlers;
use crate::platform::problem::Fault;
use crate::warehouses::Warehouses;

pub use error::Error;
pub use http::router;
pub use settings::Settings;

use directory::{Carrier, Directory};
use easypost::EasyPost;
use model::{NewTracking, Tracking, TrackingLink, TrackingStatus};

type Result<T> = std::result::Result<T, Error>;

/// Reports kept of one shipment.
const MOST: usize = 1000;

/// Calls of one server that ask for rates at once.
const ASKING: usize = 4;

#[derive(Clone)]
pub struct Carriers {
    db: Db,
    orders: Orders,
    inventory: Inventory,
    warehouses: Warehouses,
    directory: Arc<Directory>,
    easypost: Option<Arc<EasyPost>>,
    /// Who asks for rates keeps a place of the server's while the provider thinks, so not all may
    asking: Arc<Semaphore>,
    settings: Arc<Settings>,
    shop_name: Arc<str>,
    public_url: Option<Url>,
}

impl Carriers {
    pub fn new(
        db: Db,
        orders: Orders,
        inventory: Inventory,
        warehouses: Warehouses,
        settings: Settings,
        public_url: Option<Url>,
    ) -> Self {
        let directory = Arc::new(Directory::new(settings.own().unwrap_or_default()));
        let easypost = settings.buys().then(|| Arc::new(EasyPost::new(&settings)));
        let shop_name = settings.shop_name.as_str().into();
        let settings = Arc::new(settings);
        let asking = Arc::new(Semaphore::new(ASKING));
        Self { db, orders, inventory, warehouses, directory, easypost, asking, settings, shop_name, public_url }
    }

    /// Its jobs, which are done by servers that know how to call the provider.
    pub fn add_handlers(&self, handlers: Handlers) -> Handlers {
        let Some(easypost) = self.easypost.clone() else { return handlers };
        let carriers = self.clone();
        handlers.with(bring_on::KIND, bring_on::terms(&self.settings), move |job| {
            let (carriers, easypost) = (carriers.clone(), easypost.clone());
            async move { carriers.bring_on(&*easypost, &job).await }
        })
    }

    fn list(&self) -> &[Carrier] {
        self.directory.all()
    }

    async fn tracking(&self, order: &str, shipment: Uuid, limits: &Limits) -> Result<Tracking> {
        let order = self.orders.get(order, limits).await?;
        let shipment = shipment_of(&order, shipment, limits)?;
        let mut conn = self.db.conn().await?;
        self.tracking_of(&mut conn, shipment).await
    }

    async fn tracking_of(&self, conn: &mut PgConnection, shipment: &Shipment) -> Result<Tracking> {
        Ok(self.tracking_of_all(conn, std::slice::from_ref(shipment)).await?.pop().expect("one for one"))
    }

    async fn tracking_of_all(&self, conn: &mut PgConnection, shipments: &[Shipment]) -> Result<Vec<Tracking>> {
        let ids: Vec<Uuid> = shipments.iter().map(|shipment| shipment.id).collect();
        let mut events = repo::events_of(conn, &ids).await?;
        let tracked = shipments.iter().map(|shipment| {
            let url = self.directory.link(shipment.carrier.as_deref(), shipment.tracking_number.as_deref());
            Tracking::new(shipment, url, events.remove(&shipment.id).unwrap_or_default())
        });
        Ok(tracked.collect())
    }

    /// Takes note of a report, and says what it changed: before and after. The order's row is locked.
    async fn report_in_tx(
        &self,
        conn: &mut PgConnection,
        order: &Order,
        shipment: Uuid,
        new: &NewTracking,
        limits: &Limits,
    ) -> Result<(Tracking, Tracking)> {
        let now = repo::clock(conn).await?;
        if new.at.is_some_and(|at| at.is_after(now)) {
            return Err(Error::Invalid(vec![Fault::new("/at", "future", "this is in the future")]));
        }
        let shipment = shipment_of(order, shipment, limits)?;
        let before = self.tracking_of(conn, shipment).await?;
        let at = new.at.unwrap_or(now).min(now);
        if !repo::insert(conn, id::new(), shipment, new, at).await? {
            return Ok((before.clone(), before));
        }
        if before.events.len() >= MOST {
            return Err(Error::TooMany(MOST));
        }
        let mut after = self.tracking_of(conn, shipment).await?;
        if after.status != before.status {
            Events::publish_in_tx(conn, &[events::changed(order, &after)]).await?;
        }
        if new.status == TrackingStatus::Delivered {
            self.orders.deliver_in_tx(conn, order, shipment.id, &limits.warehouses, Some(at)).await?;
            after.delivered_at = after.delivered_at.or(Some(at));
        }
        Ok((before, after))
    }

    /// The link to an order's page, and whether it is new. The order's row is locked.
    async fn link_in_tx(&self, conn: &mut PgConnection, order: &Order) -> Result<(TrackingLink, bool)> {
        let known = repo::token_of(conn, order.head.id).await?;
        let is_new = known.is_none();
        let token = match known {
            Some(token) => token,
            None => {
                let token = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
                repo::insert_token(conn, order.head.id, &token).await?;
                token
            }
        };
        let path = format!("/track/{token}");
        let url = self.public_url.as_ref().and_then(|base| base.join(&path).ok()).map_or(path, String::from);
        Ok((TrackingLink { url }, is_new))
    }

    /// The page behind a link; none where the link is not one of ours.
    async fn page(&self, token: &str) -> Result<Option<String>> {
        let mut conn = self.db.conn().await?;
        let Some(order) = repo::order_of(&mut conn, token).await? else { return Ok(None) };
        drop(conn);
        let order = self.orders.get(&order.to_string(), &Limits::default()).await?;
        let mut conn = self.db.conn().await?;
        let tracked = self.tracking_of_all(&mut conn, &order.shipments).await?;
        Ok(Some(page::of(&self.shop_name, &order, &tracked)))
    }
}

/// One outside the limits is as good as none.
fn shipment_of<'a>(order: &'a Order, shipment: Uuid, limits: &Limits) -> Result<&'a Shipment> {
    let found = order.shipments.iter().find(|it| it.id == shipment && limits.warehouses.allows(&it.warehouse));
    Ok(found.ok_or(orders::Error::NoShipment(shipment))?)
}
