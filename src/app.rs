//! The composition root: builds the modules in order, merges their routers, starts the workers.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use tokio::net::TcpListener;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;

use crate::access::Access;
use crate::config::Config;
use crate::events::Events;
use crate::inventory::Inventory;
use crate::lifecycle::{Shutdown, Workers};
use crate::ops::{Ops, SelfCheck};
use crate::orders::Orders;
use crate::platform::db::Db;
use crate::platform::schema::Schemas;
use crate::platform::{Platform, command, edge};
use crate::reservations::Reservations;
use crate::transfers::Transfers;
use crate::warehouses::Warehouses;
use crate::{access, events, inventory, openapi, ops, orders, reservations, transfers, warehouses};

/// How long requests in flight may take to end once the server stops.
const DRAIN: Duration = Duration::from_secs(8);

/// The modules, each behind its facade.
#[derive(Clone)]
pub struct App {
    pub db: Db,
    pub access: Access,
    pub events: Events,
    pub warehouses: Warehouses,
    pub inventory: Inventory,
    pub transfers: Transfers,
    pub reservations: Reservations,
    pub orders: Orders,
}

impl App {
    pub fn new(db: Db) -> Self {
        let access = Access::new(db.clone());
        let events = Events::new(db.clone());
        let warehouses = Warehouses::new(db.clone());
        let inventory = Inventory::new(db.clone(), warehouses.clone());
        let transfers = Transfers::new(db.clone(), inventory.clone(), warehouses.clone());
        let reservations = Reservations::new(db.clone(), inventory.clone());
        let orders = Orders::new(db.clone(), reservations.clone(), inventory.clone());
        Self { db, access, events, warehouses, inventory, transfers, reservations, orders }
    }

    /// All routes with their documentation.
    fn routes(&self, shutdown: Shutdown) -> OpenApiRouter {
        OpenApiRouter::with_openapi(openapi::base())
            .merge(warehouses::router(self.warehouses.clone(), Arc::new(self.inventory.clone())))
            .merge(inventory::router(self.inventory.clone()))
            .merge(transfers::router(self.transfers.clone()))
            .merge(reservations::router(self.reservations.clone()))
            .merge(orders::router(self.orders.clone()))
            .merge(events::router(self.events.clone()))
            .merge(ops::router(Ops::new(self.db.clone(), self.self_check(), shutdown)))
    }

    pub fn self_check(&self) -> SelfCheck {
        let Self { db, inventory, transfers, reservations, orders, .. } = self.clone();
        SelfCheck::new(db, inventory, transfers, reservations, orders)
    }

    /// The OpenAPI document of this server.
    pub fn document(&self) -> utoipa::openapi::OpenApi {
        openapi::finish(self.routes(Shutdown::default()).into_openapi())
    }

    pub fn router(&self, config: &Config, shutdown: Shutdown) -> Router {
        let (routes, document) = self.routes(shutdown).split_for_parts();
        let document = openapi::finish(document);
        let platform = Platform { db: self.db.clone(), schemas: Arc::new(Schemas::from_document(&document)) };
        routes
            .merge(ops::documents(document))
            .fallback(edge::nothing_here)
            .method_not_allowed_fallback(edge::method_not_allowed)
            .layer(from_fn_with_state(self.access.clone(), access::authenticate))
            .layer(axum::Extension(platform))
            .layer(DefaultBodyLimit::max(config.body_limit))
            .layer(CatchPanicLayer::custom(edge::panicked))
            .layer(from_fn(edge::edge))
    }

    /// Starts what runs beside the requests.
    pub fn start_workers(&self, config: &Config, shutdown: &Shutdown) -> Workers {
        let mut workers = Workers::default();
        let reservations = self.reservations.clone();
        let pause = Duration::from_millis(config.sweep_interval_ms);
        workers.every("sweeper", pause, shutdown.clone(), move || {
            let reservations = reservations.clone();
            async move { reservations.expire_due().await }
        });
        let inventory = self.inventory.clone();
        workers.every("backlog", Duration::from_secs(1), shutdown.clone(), move || {
            let inventory = inventory.clone();
            async move { inventory.serve_after_change().await }
        });
        let db = self.db.clone();
        let hours = config.idempotency_hours;
        workers.every("idempotency", Duration::from_secs(60), shutdown.clone(), move || {
            let db = db.clone();
            async move {
                let limit = 5000;
                let forgotten = command::forget_old(&mut *db.conn().await?, hours, limit).await?;
                Ok::<_, sqlx::Error>(forgotten == limit.unsigned_abs())
            }
        });
        workers
    }

    /// Serves until the shutdown starts and the last request is answered.
    pub async fn serve(&self, listener: TcpListener, config: &Config, shutdown: Shutdown) -> std::io::Result<()> {
        use axum::serve::ListenerExt;
        let listener = listener.tap_io(|stream| {
            // Answers are small: waiting to fill a packet only adds latency. A socket that refuses is served all the same.
            let _ = stream.set_nodelay(true);
        });
        let workers = self.start_workers(config, &shutdown);
        let router = self.router(config, shutdown.clone());
        let stopping = shutdown.clone();
        let served = axum::serve(listener, router).with_graceful_shutdown(async move { stopping.started().await });
        let overdue = async {
            shutdown.started().await;
            tokio::time::sleep(DRAIN).await;
        };
        let outcome = tokio::select! {
            outcome = served => outcome,
            () = overdue => {
                tracing::warn!("cutting off connections that did not end in time");
                Ok(())
            }
        };
        shutdown.start();
        workers.join().await;
        outcome
    }
}
