//! What orders hold of persons: for a known customer it is shown, and taken out.

use futures::future::BoxFuture;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::Return;
use super::{Customer, Order, Orders, Shipment, repo};
use crate::customers::{Person, PersonalData};
use crate::platform::db::json::to_json;
use crate::warehouses::Address;

impl Order {
    /// As it may be told for ever: without what an erasure takes out.
    pub fn trace(&self) -> Self {
        let mut trace = self.clone();
        let head = &mut trace.head;
        head.customer = Customer::default();
        head.shipping_address =
            head.shipping_address.take().map(|it| Address { country: it.country, ..Address::default() });
        head.note = None;
        head.cancel_reason = None;
        trace.shipments = trace.shipments.iter().map(Shipment::trace).collect();
        trace.returns = trace.returns.iter().map(Return::trace).collect();
        trace
    }
}

impl Shipment {
    /// As it may be told for ever: without the number by which its carrier knows where it went.
    pub fn trace(&self) -> Self {
        Self { tracking_number: None, ..self.clone() }
    }
}

impl Orders {
    /// The orders of a known customer, the oldest first.
    pub async fn of_customer(&self, conn: &mut PgConnection, customer: Uuid) -> sqlx::Result<Vec<Uuid>> {
        Ok(repo::personal::of_customer(conn, customer).await?.iter().map(|head| head.id).collect())
    }
}

impl Return {
    /// As it may be told for ever: without what was written freely.
    pub fn trace(&self) -> Self {
        Self { reason: None, ..self.clone() }
    }
}

impl PersonalData for Orders {
    fn name(&self) -> &'static str {
        "orders"
    }

    fn export<'a>(&'a self, conn: &'a mut PgConnection, who: &'a Person) -> BoxFuture<'a, sqlx::Result<Vec<Value>>> {
        Box::pin(async move {
            let heads = repo::personal::of_customer(conn, who.id).await?;
            let orders = self.assemble(conn, heads).await.map_err(|error| sqlx::Error::Decode(error.into()))?;
            orders.iter().map(to_json).collect()
        })
    }

    /// They keep what was bought, what it cost, and the country that it went to.
    fn erase_in_tx<'a>(&'a self, conn: &'a mut PgConnection, who: &'a Person) -> BoxFuture<'a, sqlx::Result<()>> {
        Box::pin(repo::personal::erase(conn, who.id))
    }

    fn unfinished<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        who: &'a Person,
    ) -> BoxFuture<'a, sqlx::Result<Vec<String>>> {
        Box::pin(async move {
            let numbers = repo::personal::open(conn, who.id).await?;
            Ok(numbers.into_iter().map(|number| format!("order {number}")).collect())
        })
    }

    fn active<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        customers: &'a [Uuid],
        days: i32,
    ) -> BoxFuture<'a, sqlx::Result<Vec<Uuid>>> {
        Box::pin(repo::personal::active(conn, customers, days))
    }
}
