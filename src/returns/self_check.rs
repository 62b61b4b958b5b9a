//! What returns prove of themselves.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::{Result, Returns, repo};

impl Returns {
    /// Units that came of what was asked for, by (order, product).
    pub async fn received(&self, conn: &mut PgConnection) -> Result<BTreeMap<(Uuid, String), i64>> {
        Ok(repo::received(conn).await?)
    }
}
