//! What orders hold of persons: for a known customer it is shown, and taken out.

use futures::future::BoxFuture;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Orders, repo};
use crate::customers::{Person, PersonalData};
use crate::platform::db::json::to_json;

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
