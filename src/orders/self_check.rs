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
}
