//! What orders prove of themselves.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::{Orders, Result, repo};
use crate::platform::difference::Difference;

impl Orders {
    /// Units that lines still have to get, by (line, product).
    pub async fn open_quantities(&self, conn: &mut PgConnection) -> Result<BTreeMap<(Uuid, String), i64>> {
        Ok(repo::check::open_quantities(conn).await?)
    }

    /// Lines against their shipments and returns.
    pub async fn self_check(&self, conn: &mut PgConnection) -> Result<Vec<Difference>> {
        Ok(repo::check::lines_against_shipments(conn).await?)
    }

    /// What came of returns that were asked for is part of what came back, by (order, product).
    pub async fn self_check_received(
        &self,
        conn: &mut PgConnection,
        received: &BTreeMap<(Uuid, String), i64>,
    ) -> Result<Vec<Difference>> {
        let returned = repo::check::returned_quantities(conn).await?;
        let differences = received.iter().filter_map(|((order, sku), units)| {
            let back = returned.get(&(*order, sku.clone())).copied().unwrap_or_default();
            let subject = format!("order {order}, {sku}");
            (*units > back).then(|| Difference::new("received_within_returned", subject, back, *units))
        });
        Ok(differences.collect())
    }
}
