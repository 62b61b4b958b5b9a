//! What notices hold of persons: the addresses that wait for products.

use futures::future::BoxFuture;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Notices, repo};
use crate::customers::{Person, PersonalData};
use crate::platform::db::json::to_json;

impl PersonalData for Notices {
    fn name(&self) -> &'static str {
        "subscriptions"
    }

    fn export<'a>(&'a self, conn: &'a mut PgConnection, who: &'a Person) -> BoxFuture<'a, sqlx::Result<Vec<Value>>> {
        Box::pin(async move {
            let Some(email) = &who.email else { return Ok(Vec::new()) };
            repo::subscriptions::by_email(conn, email).await?.iter().map(to_json).collect()
        })
    }

    /// Nothing of a subscription is of use without its address, so it goes whole.
    fn erase_in_tx<'a>(&'a self, conn: &'a mut PgConnection, who: &'a Person) -> BoxFuture<'a, sqlx::Result<()>> {
        Box::pin(async move {
            let Some(email) = &who.email else { return Ok(()) };
            repo::subscriptions::delete_by_email(conn, email).await
        })
    }

    fn unfinished<'a>(&'a self, _: &'a mut PgConnection, _: &'a Person) -> BoxFuture<'a, sqlx::Result<Vec<String>>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn active<'a>(&'a self, _: &'a mut PgConnection, _: &'a [Uuid], _: i32) -> BoxFuture<'a, sqlx::Result<Vec<Uuid>>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}
