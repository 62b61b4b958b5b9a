//! Money for orders: what was promised, taken and given back, by whom.
//!
//! - **Invariant:** of each payment, `amount ≥ authorised ≥ captured ≥ refunded ≥ 0`, and no more is asked of a provider than
//!   that leaves: of a payment, one operation is under way at a time.
//! - **Invariant:** what the payments of an order claim together is never more than its total was when they were made.
//! - **Invariant:** an operation has its effect at the provider once, whatever is killed or cut off when: it is written down
//!   before anything is asked for, and the provider's books are read before it is asked for again.
//!
//! The order's row is locked before its payments are looked at. No provider is called while a transaction is open.

mod error;
mod events;
mod http;
mod judge;
mod late;
mod look;
mod model;
mod operate;
mod provider;
mod repo;
mod self_check;
mod settings;
mod standing;
mod stripe;

use std::sync::Arc;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::access::Limits;
use crate::events::{Events, Follower};
use crate::orders::{self, Orders, Payable};
use crate::platform::db::Db;
use crate::platform::jobs::{Handlers, enqueue_in_tx};
use crate::platform::page::{Page, PageRequest};
use crate::platform::problem::Fault;

pub use error::Error;
pub use http::router;
pub use settings::Settings;
pub use standing::{OperationNote, RunningOut, Standing};

use model::{
    CaptureMode, Filter, NewPayment, OperationKind, OperationState, Payment, PaymentDetail, PaymentOperation,
    PaymentState, ProviderName,
};
use stripe::Stripe;

type Result<T> = std::result::Result<T, Error>;

#[derive(Clone)]
pub struct Payments {
    db: Db,
    events: Events,
    orders: Orders,
    stripe: Option<Arc<Stripe>>,
    settings: Arc<Settings>,
    follower: Arc<Follower>,
}

impl Payments {
    pub fn new(db: Db, events: Events, orders: Orders, settings: Settings) -> Self {
        let stripe = settings.is_on().then(|| Arc::new(Stripe::new(&settings)));
        Self { db, events, orders, stripe, settings: Arc::new(settings), follower: late::follower().into() }
    }

    /// Its jobs; those for a provider are done by servers that know how to call it.
    pub fn add_handlers(&self, handlers: Handlers) -> Handlers {
        let late = self.clone();
        let handlers = handlers.with(late::KIND, late::TERMS, move |job| {
            let payments = late.clone();
            async move { payments.give_up(&job).await }
        });
        let Some(stripe) = self.stripe.clone() else { return handlers };
        let (operating, looking) = ((self.clone(), stripe.clone()), (self.clone(), stripe));
        handlers
            .with(operate::KIND, operate::terms(&self.settings), move |job| {
                let (payments, stripe) = operating.clone();
                async move { payments.operate(&*stripe, &job).await }
            })
            .with(look::KIND, operate::terms(&self.settings), move |job| {
                let (payments, stripe) = looking.clone();
                async move { payments.look(&*stripe, &job).await }
            })
    }

    /// Makes a payment of an order. What a provider has to do for it is written down, to be done by a job.
    async fn pay_in_tx(&self, conn: &mut PgConnection, new: &NewPayment, limits: &Limits) -> Result<PaymentDetail> {
        let mut faults = new.faults();
        if new.provider == ProviderName::Stripe && self.stripe.is_none() {
            let detail = "Stripe is not set up here: give the server STOCKHOLD_STRIPE_SECRET_KEY";
            faults.push(Fault::new("/provider", "unavailable", detail));
        }
        if !faults.is_empty() {
            return Err(Error::Invalid(faults));
        }
        let order = self.orders.lock_payable_in_tx(conn, new.order_id, limits).await.map_err(|error| match error {
            orders::Error::NotFound(_) => Error::Invalid(vec![Fault::new("/order_id", "unknown", error.to_string())]),
            other => other.into(),
        })?;
        let others = repo::of_order(conn, order.id).await?;
        let mut payment = model::begin(new, &order, &others)?;
        let id = payment.id;
        if payment.provider == ProviderName::Stripe {
            repo::insert(conn, &payment, new).await?;
            let amount = payment.amount;
            self.ask_in_tx(conn, payment, OperationKind::Authorise, amount, None).await?;
            return self.detail(conn, id).await;
        }
        // Somebody's word: it is promised, or paid.
        let done: &[OperationKind] = match payment.capture {
            CaptureMode::Manual => &[OperationKind::Authorise],
            CaptureMode::Automatic => &[OperationKind::Authorise, OperationKind::Capture],
        };
        let news: Vec<&'static str> = done.iter().map(|kind| payment.book(*kind, payment.amount)).collect();
        repo::insert(conn, &payment, new).await?;
        for kind in done {
            let operation = PaymentOperation::new(*kind, payment.amount, OperationState::Succeeded, None);
            repo::insert_operation(conn, id, &operation).await?;
        }
        self.tell_in_tx(conn, &payment, &news).await?;
        self.detail(conn, id).await
    }

    async fn list(&self, filter: &Filter, page: PageRequest<Uuid>) -> Result<Page<Payment>> {
        let rows = repo::list(&mut *self.db.conn().await?, filter, page.after, page.fetch()).await?;
        Ok(page.page(rows, |payment| payment.id))
    }

    async fn get(&self, id: Uuid, limits: &Limits) -> Result<PaymentDetail> {
        let mut conn = self.db.snapshot().await?;
        let mut detail = self.detail(&mut conn, id).await?;
        if !limits.channels.reaches(detail.payment.channel.as_deref()) {
            return Err(Error::NotFound(id));
        }
        if detail.payment.status == PaymentState::Pending {
            detail.client_secret = repo::private(&mut conn, id).await?.client_secret;
        }
        Ok(detail)
    }

    /// Without what only the shopper's browser may know.
    async fn detail(&self, conn: &mut PgConnection, id: Uuid) -> Result<PaymentDetail> {
        let payment = repo::find(conn, id).await?.ok_or(Error::NotFound(id))?;
        let operations = repo::operations_of(conn, id).await?;
        Ok(PaymentDetail { payment, operations, client_secret: None })
    }

    /// Locks the order of a payment, and so the payment.
    async fn lock_in_tx(&self, conn: &mut PgConnection, id: Uuid, limits: &Limits) -> Result<(Payable, Payment)> {
        let order = repo::find(conn, id).await?.ok_or(Error::NotFound(id))?.order_id;
        let order = self.orders.lock_payable_in_tx(conn, order, limits).await.map_err(|error| match error {
            orders::Error::NotFound(_) => Error::NotFound(id),
            other => other.into(),
        })?;
        let payment = repo::find(conn, id).await?.ok_or(Error::NotFound(id))?;
        Ok((order, payment))
    }

    /// Does an operation where somebody's word is enough; else writes down that a provider is to do it. The order is locked.
    async fn ask_in_tx(
        &self,
        conn: &mut PgConnection,
        mut payment: Payment,
        kind: OperationKind,
        amount: i64,
        reason: Option<&str>,
    ) -> Result<()> {
        self.make_room_in_tx(conn, &payment, kind).await?;
        let is_manual = payment.provider == ProviderName::Manual;
        let status = if is_manual { OperationState::Succeeded } else { OperationState::Pending };
        let operation = PaymentOperation::new(kind, amount, status, reason);
        repo::insert_operation(conn, payment.id, &operation).await?;
        if is_manual {
            let news = payment.book(kind, amount);
            repo::save(conn, &payment).await?;
            return self.tell_in_tx(conn, &payment, &[news]).await;
        }
        let job = operate::job(payment.id, operation.id);
        Ok(enqueue_in_tx(conn, &[job]).await?)
    }

    /// One operation at a time; only what waits for a shopper can be given up.
    async fn make_room_in_tx(&self, conn: &mut PgConnection, payment: &Payment, kind: OperationKind) -> Result<()> {
        let Some(mut pending) = repo::pending_of(conn, payment.id).await? else { return Ok(()) };
        let gives_up = kind == OperationKind::Void && pending.kind == OperationKind::Authorise;
        // What is not known to the provider yet cannot be given up there.
        if !gives_up || payment.provider_reference.is_none() {
            let detail =
                "the provider is asked for something else of this payment just now: try again when that has ended";
            return Err(Error::State(detail.to_owned()));
        }
        pending.status = OperationState::Failed;
        pending.error = Some("it was given up before anybody confirmed it".to_owned());
        Ok(repo::end_operation(conn, &pending).await?)
    }

    /// Publishes what happened to a payment, and lets its order know what it comes to.
    async fn tell_in_tx(&self, conn: &mut PgConnection, payment: &Payment, news: &[&'static str]) -> Result<()> {
        let written = repo::find(conn, payment.id).await?.ok_or(Error::NotFound(payment.id))?;
        let news: Vec<_> = news.iter().map(|r#type| events::of(r#type, &written)).collect();
        Events::publish_in_tx(conn, &news).await?;
        let paid = model::paid(&repo::of_order(conn, payment.order_id).await?);
        Ok(self.orders.settle_in_tx(conn, payment.order_id, paid).await?)
    }
}
