//! What labels hold of persons: the provider's picture has an address on it, and a number leads to one.

use futures::future::BoxFuture;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Carriers;
use super::model::Tracking;
use super::model::label::{Label, LabelStatus};
use super::repo::labels as repo;
use crate::customers::{Person, PersonalData};
use crate::platform::db::json::to_json;

impl Label {
    /// As it may be told for ever: without what an erasure takes out.
    pub fn trace(&self) -> Self {
        Self { tracking_number: None, last_error: None, ..self.clone() }
    }
}

impl Tracking {
    /// As it may be told for ever: without the number by which its carrier knows where it went.
    pub fn trace(&self) -> Self {
        Self { tracking_number: None, tracking_url: None, ..self.clone() }
    }
}

impl PersonalData for Carriers {
    fn name(&self) -> &'static str {
        "labels"
    }

    fn export<'a>(&'a self, conn: &'a mut PgConnection, who: &'a Person) -> BoxFuture<'a, sqlx::Result<Vec<Value>>> {
        Box::pin(async move { repo::of_customer(conn, who.id).await?.iter().map(to_json).collect() })
    }

    fn erase_in_tx<'a>(&'a self, conn: &'a mut PgConnection, who: &'a Person) -> BoxFuture<'a, sqlx::Result<()>> {
        Box::pin(repo::erase(conn, who.id))
    }

    /// What is being bought comes with an address.
    fn unfinished<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        who: &'a Person,
    ) -> BoxFuture<'a, sqlx::Result<Vec<String>>> {
        Box::pin(async move {
            let labels = repo::of_customer(conn, who.id).await?;
            let buying = labels.iter().filter(|label| label.status == LabelStatus::Buying);
            Ok(buying.map(|label| format!("label {}", label.id)).collect())
        })
    }

    /// Their orders tell.
    fn active<'a>(&'a self, _: &'a mut PgConnection, _: &'a [Uuid], _: i32) -> BoxFuture<'a, sqlx::Result<Vec<Uuid>>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}
