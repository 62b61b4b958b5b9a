//! The composition root: builds the modules in order, merges their routers, starts the workers.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use tokio::net::TcpListener;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;

use crate::access::{Access, Guard};
use crate::at_risk::AtRisk;
use crate::brokers::Brokers;
use crate::carriers::Carriers;
use crate::carts::Carts;
use crate::config::Config;
use crate::customers::{Customers, Holders};
use crate::events::Events;
use crate::feeds::Feeds;
use crate::imports::Imports;
use crate::inventory::Inventory;
use crate::lifecycle::{Shutdown, Workers};
use crate::notices::Notices;
use crate::ops::{Ops, Parts, SelfCheck};
use crate::orders::Orders;
use crate::payments::Payments;
use crate::platform::db::Db;
use crate::platform::edge::Edge;
use crate::platform::intake::{self, Api, Intake};
use crate::platform::jobs::{Handlers, Jobs};
use crate::platform::schema::Schemas;
use crate::platform::server::{Certificates, Server};
use crate::platform::{Platform, audit, command, edge, memory};
use crate::reservations::Reservations;
use crate::returns::Returns;
use crate::transfers::Transfers;
use crate::warehouses::Warehouses;
use crate::webhooks::Webhooks;
use crate::workflows::Workflows;
use crate::{
    access, asyncapi, at_risk, brokers, carriers, carts, customers, events, feeds, imports, inventory, notices,
    openapi, ops, orders, payments, reservations, returns, telemetry, transfers, warehouses, webhooks, workflows,
};

/// How long requests in flight may take to end once the server stops.
const DRAIN: Duration = Duration::from_secs(8);

/// How often to see whether the database is there: the longest that anybody waits for one that is away.
const LOOK: Duration = Duration::from_millis(250);

/// What the intake cannot tell from a request's method.
const API: Api = Api { reading: &["/v1/stock/query"], patient: &["/v1/self-check"] };

/// The modules, each behind its facade.
#[derive(Clone)]
pub struct App {
    pub db: Db,
    pub access: Access,
    pub events: Events,
    pub warehouses: Warehouses,
    pub inventory: Inventory,
    pub transfers: Transfers,
    pub feeds: Feeds,
    pub customers: Customers,
    pub reservations: Reservations,
    pub orders: Orders,
    pub carts: Carts,
    pub webhooks: Webhooks,
    pub brokers: Brokers,
    pub notices: Notices,
    pub carriers: Carriers,
    pub payments: Payments,
    pub workflows: Workflows,
    pub imports: Imports,
    pub at_risk: AtRisk,
    pub returns: Returns,
    pub jobs: Jobs,
}

impl App {
    /// With the settings as they are where nobody changes them.
    pub fn new(db: Db) -> Self {
        Self::configured(db, &Config::default())
    }

    pub fn configured(db: Db, config: &Config) -> Self {
        let access = Access::new(db.clone(), config.access());
        let events = Events::new(db.clone(), config.limits.streams);
        let warehouses = Warehouses::new(db.clone());
        let inventory = Inventory::new(db.clone(), events.clone(), warehouses.clone());
        let transfers = Transfers::new(db.clone(), inventory.clone(), warehouses.clone());
        let feeds = Feeds::new(db.clone(), inventory.clone(), warehouses.clone());
        let reservations = Reservations::new(db.clone(), inventory.clone());
        let customers = Customers::new(db.clone());
        let orders = Orders::new(db.clone(), customers.clone(), reservations.clone(), inventory.clone());
        let carts = Carts::new(db.clone(), inventory.clone(), reservations.clone(), orders.clone());
        let webhooks = Webhooks::new(db.clone(), events.clone(), config.webhooks.clone());
        let brokers = Brokers::new(db.clone(), events.clone(), feeds.clone(), config.brokers());
        let (settings, smtp) = (config.notices.clone(), &config.smtp);
        let (inv, ord) = (inventory.clone(), orders.clone());
        let notices = Notices::new(db.clone(), events.clone(), customers.clone(), inv, ord, settings, smtp);
        let (settings, url) = (config.carriers.clone(), config.public_url.clone());
        let carriers = Carriers::new(db.clone(), orders.clone(), inventory.clone(), warehouses.clone(), settings, url);
        let payments = Payments::new(db.clone(), events.clone(), orders.clone(), config.stripe.clone());
        let workflows = Workflows::new(db.clone(), events.clone(), orders.clone(), payments.clone());
        let (inv, ord) = (inventory.clone(), orders.clone());
        let at_risk = AtRisk::new(db.clone(), ord, inv, payments.clone(), workflows.clone());
        let imports = Imports::new(orders.clone(), payments.clone());
        let returns = Returns::new(db.clone(), orders.clone());
        let jobs = Jobs::new(db.clone());
        Self {
            db,
            access,
            events,
            warehouses,
            inventory,
            transfers,
            feeds,
            customers,
            reservations,
            orders,
            carts,
            webhooks,
            brokers,
            notices,
            carriers,
            payments,
            workflows,
            at_risk,
            imports,
            returns,
            jobs,
        }
    }

    /// All routes with their documentation.
    fn routes(&self, shutdown: Shutdown) -> OpenApiRouter {
        OpenApiRouter::with_openapi(openapi::base())
            .merge(access::router(self.access.clone()))
            .merge(warehouses::router(self.warehouses.clone(), Arc::new(self.inventory.clone())))
            .merge(inventory::router(self.inventory.clone()))
            .merge(transfers::router(self.transfers.clone()))
            .merge(feeds::router(self.feeds.clone()))
            .merge(reservations::router(self.reservations.clone()))
            .merge(customers::router(self.customers.clone(), self.holders()))
            .merge(orders::router(self.orders.clone(), Arc::new(self.workflows.clone())))
            .merge(carts::router(self.carts.clone()))
            .merge(events::router(self.events.clone(), shutdown.clone()))
            .merge(webhooks::router(self.webhooks.clone()))
            .merge(brokers::router(self.brokers.clone()))
            .merge(notices::router(self.notices.clone()))
            .merge(carriers::router(self.carriers.clone()))
            .merge(payments::router(self.payments.clone()))
            .merge(workflows::router(self.workflows.clone()))
            .merge(at_risk::router(self.at_risk.clone()))
            .merge(imports::router(self.imports.clone()))
            .merge(returns::router(self.returns.clone()))
            .merge(ops::router(Ops::new(self.db.clone(), self.self_check(), self.jobs.clone(), shutdown)))
    }

    pub fn self_check(&self) -> SelfCheck {
        let Self { db, inventory, transfers, reservations, orders, carts, payments, returns, .. } = self.clone();
        SelfCheck::new(db, Parts { inventory, transfers, reservations, orders, carts, payments, returns })
    }

    /// Those who hold data of persons besides the customers themselves.
    fn holders(&self) -> Holders {
        vec![
            Arc::new(self.orders.clone()),
            Arc::new(self.notices.clone()),
            Arc::new(self.carriers.clone()),
            Arc::new(self.returns.clone()),
        ]
    }

    /// The OpenAPI document of this server.
    pub fn document(&self) -> utoipa::openapi::OpenApi {
        openapi::finish(self.routes(Shutdown::default()).into_openapi())
    }

    /// The AsyncAPI document of this server.
    pub fn events_document(&self) -> serde_json::Value {
        asyncapi::document(&self.document())
    }

    pub fn router(&self, config: &Config, shutdown: Shutdown) -> Router {
        let (routes, document) = self.routes(shutdown.clone()).split_for_parts();
        let document = openapi::finish(document);
        let events_document = asyncapi::document(&document);
        let guard = Guard::new(self.access.clone(), &document);
        let schemas = Arc::new(Schemas::from_document(&document, config.limits.json_depth));
        let platform = Platform { db: self.db.clone(), schemas };
        let intake = Arc::new(Intake::new(&config.limits, config.body_limit, config.database_connections, API));
        let edge = Arc::new(Edge {
            trusted: config.trusted_proxies.clone(),
            forwarded: config.forwarded_header,
            tls: config.tls_cert.is_some(),
        });
        // The outermost first. All in one: each layer that is put on by itself is boxed, and copied with all within it for
        // each request.
        let layers = ServiceBuilder::new()
            .layer(from_fn_with_state(edge, edge::edge))
            .layer(from_fn_with_state(shutdown, ops::close_when_stopping))
            .layer(CatchPanicLayer::custom(edge::panicked))
            .layer(DefaultBodyLimit::disable()) // the intake has received the body, within the limit
            .layer(axum::Extension(platform))
            .layer(from_fn_with_state(intake.clone(), intake::meet))
            .layer(from_fn_with_state(guard, access::guard))
            .layer(from_fn_with_state(intake, intake::admit));
        routes
            .merge(ops::documents(document, &events_document))
            .fallback(edge::nothing_here)
            .method_not_allowed_fallback(edge::method_not_allowed)
            .layer(layers)
    }

    /// Who does which jobs.
    fn handlers(&self) -> Handlers {
        let handlers = self.carriers.add_handlers(self.notices.add_handlers(Handlers::default()));
        self.workflows.add_handlers(self.payments.add_handlers(handlers))
    }

    /// Starts what runs beside the requests.
    pub fn start_workers(&self, config: &Config, shutdown: &Shutdown) -> Workers {
        let mut workers = Workers::default();
        let db = self.db.clone();
        workers.every("database", LOOK, shutdown.clone(), move || {
            let db = db.clone();
            async move { db.ping().await.map(|()| false) }
        });
        let reservations = self.reservations.clone();
        let pause = Duration::from_millis(config.sweep_interval_ms);
        if !pause.is_zero() {
            workers.every("sweeper", pause, shutdown.clone(), move || {
                let reservations = reservations.clone();
                async move { reservations.expire_due().await }
            });
        }
        let carts = self.carts.clone();
        workers.every("carts", Duration::from_millis(500), shutdown.clone(), move || {
            let carts = carts.clone();
            async move { carts.abandon_due().await }
        });
        let (carts, days) = (self.carts.clone(), config.cart_days);
        workers.every("old carts", Duration::from_secs(600), shutdown.clone(), move || {
            let carts = carts.clone();
            async move { carts.forget_old(days).await }
        });
        let (app, days) = (self.clone(), config.customer_days);
        if days > 0 {
            workers.every("old customers", Duration::from_secs(60), shutdown.clone(), move || {
                let app = app.clone();
                async move { app.customers.erase_old(days, &app.holders()).await }
            });
        }
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
        let access = self.access.clone();
        workers.every("sessions", Duration::from_secs(60), shutdown.clone(), move || {
            let access = access.clone();
            async move { access.forget_old_sessions().await }
        });
        let events = self.events.clone();
        workers.every("feed", events::PAUSE, shutdown.clone(), move || {
            let events = events.clone();
            async move { events.follow().await }
        });
        let events = self.events.clone();
        let days = config.events_days;
        workers.every("days of the feed", Duration::from_secs(600), shutdown.clone(), move || {
            let events = events.clone();
            async move { events.turn_days(days).await }
        });
        let webhooks = self.webhooks.clone();
        workers.every("webhooks", Duration::from_millis(100), shutdown.clone(), move || {
            let webhooks = webhooks.clone();
            async move { webhooks.fan_out().await }
        });
        workers.run(self.webhooks.clone().deliver(shutdown.clone()));
        let webhooks = self.webhooks.clone();
        workers.every("log of webhooks", Duration::from_secs(600), shutdown.clone(), move || {
            let webhooks = webhooks.clone();
            async move { webhooks.forget_old().await }
        });
        let notices = self.notices.clone();
        workers.every("notices", Duration::from_millis(250), shutdown.clone(), move || {
            let notices = notices.clone();
            async move { notices.follow().await }
        });
        let notices = self.notices.clone();
        workers.every("old notices", Duration::from_secs(600), shutdown.clone(), move || {
            let notices = notices.clone();
            async move { notices.forget_old().await }
        });
        let payments = self.payments.clone();
        workers.every("payments", Duration::from_millis(250), shutdown.clone(), move || {
            let payments = payments.clone();
            async move { payments.follow().await }
        });
        let payments = self.payments.clone();
        workers.every("unconfirmed payments", Duration::from_secs(30), shutdown.clone(), move || {
            let payments = payments.clone();
            async move { payments.watch().await }
        });
        let carriers = self.carriers.clone();
        workers.every("labels without news", Duration::from_secs(60), shutdown.clone(), move || {
            let carriers = carriers.clone();
            async move { carriers.watch().await }
        });
        let workflows = self.workflows.clone();
        workers.every("workflows", Duration::from_millis(250), shutdown.clone(), move || {
            let workflows = workflows.clone();
            async move { workflows.follow().await }
        });
        let workflows = self.workflows.clone();
        workers.every("deadlines of workflows", Duration::from_secs(1), shutdown.clone(), move || {
            let workflows = workflows.clone();
            async move { workflows.wake().await }
        });
        let stopping = shutdown.clone();
        workers.run(self.jobs.clone().work(self.handlers(), async move { stopping.started().await }));
        let jobs = self.jobs.clone();
        workers.every("old jobs", Duration::from_secs(15), shutdown.clone(), move || {
            let jobs = jobs.clone();
            async move { jobs.tidy().await }
        });
        let feeds = self.feeds.clone();
        workers.every("feeds", Duration::from_secs(60), shutdown.clone(), move || {
            let feeds = feeds.clone();
            async move { feeds.forget_old().await }
        });
        let (app, depth) = (self.clone(), config.limits.json_depth);
        let schemas = move || Arc::new(Schemas::from_document(&app.document(), depth));
        workers.run(self.brokers.clone().run(schemas, shutdown.clone()));
        let db = self.db.clone();
        let days = config.audit_days;
        workers.every("audit", Duration::from_secs(3600), shutdown.clone(), move || {
            let db = db.clone();
            async move { audit::turn_months(&db, days).await.map(|()| false) }
        });
        // First of what the start took, and later of what a busy time did.
        workers.every("memory", Duration::from_secs(3600), shutdown.clone(), || async {
            memory::give_back_the_rest();
            Ok::<_, Infallible>(false)
        });
        workers.every("metrics", telemetry::GATHER, shutdown.clone(), || async {
            telemetry::metrics().run_upkeep();
            Ok::<_, Infallible>(false)
        });
        workers
    }

    /// Serves until the shutdown starts and the last request is answered.
    pub async fn serve(&self, listener: TcpListener, config: &Config, shutdown: Shutdown) -> std::io::Result<()> {
        let tls = match (&config.tls_cert, &config.tls_key) {
            (Some(chain), Some(key)) => Some(Certificates::open(chain, key).map_err(std::io::Error::other)?),
            _ => None,
        };
        let router = self.router(config, shutdown.clone());
        let workers = self.start_workers(config, &shutdown);
        let (limits, trusted) = (config.limits.clone(), config.trusted_proxies.clone());
        let server = Server { limits, trusted, tls, drain: DRAIN };
        // First it is not ready, and only when proxies have had the time to see it, it takes no more connections.
        let (stopping, delay) = (shutdown.clone(), Duration::from_millis(config.drain_delay_ms));
        let drained = async move {
            stopping.started().await;
            tokio::time::sleep(delay).await;
        };
        server.serve(listener, router, drained).await;
        shutdown.start();
        workers.join().await;
        Ok(())
    }
}
