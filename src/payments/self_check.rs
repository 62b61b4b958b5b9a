//! What payments prove of themselves.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::{Payments, Result, repo};
use crate::orders::Paid;
use crate::platform::difference::Difference;

impl Payments {
    /// What the payments of each order come to.
    pub async fn paid(&self, conn: &mut PgConnection) -> Result<BTreeMap<Uuid, Paid>> {
        Ok(repo::paid_of_all(conn).await?)
    }

    /// Amounts against the operations that made them.
    pub async fn self_check(&self, conn: &mut PgConnection) -> Result<Vec<Difference>> {
        let unequal = repo::unequal(conn).await?.into_iter().flat_map(|it| {
            let subject = format!("payment {}", it.id);
            let captured = (it.said_captured != it.captured)
                .then(|| Difference::new("captured_equals_operations", subject.clone(), it.said_captured, it.captured));
            let refunded = (it.said_refunded != it.refunded)
                .then(|| Difference::new("refunded_equals_operations", subject, it.said_refunded, it.refunded));
            captured.into_iter().chain(refunded)
        });
        Ok(unequal.collect())
    }
}
