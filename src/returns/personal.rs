//! What returns hold of persons: what they wrote of them.

use futures::future::BoxFuture;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::ReturnRequest;
use super::{Returns, repo};
use crate::customers::{Person, PersonalData};
use crate::platform::db::json::to_json;

impl ReturnRequest {
    /// As it may be told for ever: without what an erasure takes out.
    pub(super) fn trace(&self) -> Self {
        let mut trace = self.clone();
        trace.note = None;
        trace.reason = None;
        for line in &mut trace.lines {
            line.reason = None;
        }
        trace
    }
}

impl PersonalData for Returns {
    fn name(&self) -> &'static str {
        "returns"
    }

    fn export<'a>(&'a self, conn: &'a mut PgConnection, who: &'a Person) -> BoxFuture<'a, sqlx::Result<Vec<Value>>> {
        Box::pin(async move {
            let orders = self.orders.of_customer(conn, who.id).await?;
            repo::of_orders(conn, &orders).await?.iter().map(to_json).collect()
        })
    }

    fn erase_in_tx<'a>(&'a self, conn: &'a mut PgConnection, who: &'a Person) -> BoxFuture<'a, sqlx::Result<()>> {
        Box::pin(async move {
            let orders = self.orders.of_customer(conn, who.id).await?;
            repo::erase(conn, &orders).await
        })
    }

    /// Whoever sends goods back waits for their money.
    fn unfinished<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        who: &'a Person,
    ) -> BoxFuture<'a, sqlx::Result<Vec<String>>> {
        Box::pin(async move {
            let orders = self.orders.of_customer(conn, who.id).await?;
            let requests = repo::of_orders(conn, &orders).await?;
            let open = requests.iter().filter(|request| request.status.is_open());
            Ok(open.map(|request| format!("return request {}", request.id)).collect())
        })
    }

    /// Their orders tell.
    fn active<'a>(
        &'a self,
        _conn: &'a mut PgConnection,
        _customers: &'a [Uuid],
        _days: i32,
    ) -> BoxFuture<'a, sqlx::Result<Vec<Uuid>>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}
