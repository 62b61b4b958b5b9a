//! What EasyPost says of parcels: late, twice, and in any order.

use sqlx::PgConnection;
use uuid::Uuid;

use super::model::label::LabelProvider;
use super::model::{NewTracking, TrackingStatus};
use super::provider::{News, Provider};
use super::repo::labels as repo;
use super::{Carriers, Error, Result, bring_on};
use crate::access::Limits;
use crate::platform::db::text::to_text;
use crate::platform::jobs::enqueue_in_tx;

impl Carriers {
    /// Takes a message of EasyPost's: what it reports is kept, and of all else its books are asked.
    pub(super) async fn hear_easypost(&self, signature: &str, body: &[u8]) -> Result<()> {
        let easypost = self.easypost.as_ref().ok_or(Error::NoProvider)?;
        let message = easypost.verify_webhook(signature, body).map_err(Error::Forged)?;
        let mut tx = self.db.begin().await?;
        if repo::note_message(&mut tx, &to_text(LabelProvider::Easypost), &message.id).await? {
            match &message.news {
                News::Reports { tracking_number, reports } => {
                    self.hear_reports_in_tx(&mut tx, tracking_number, reports).await?;
                }
                // What is not known by that name is none of ours.
                News::Shipment(shipment) => {
                    if let Some(label) = repo::of_shipment(&mut tx, shipment).await? {
                        enqueue_in_tx(&mut tx, &[bring_on::job(label)]).await?;
                    }
                }
                News::Other => {}
            }
        }
        Ok(tx.commit().await?)
    }

    /// Keeps what is reported of the shipments with a tracking number. One that has not left yet hears of it another time: each
    /// message tells all that is known.
    pub(super) async fn hear_reports_in_tx(
        &self,
        conn: &mut PgConnection,
        number: &str,
        reports: &[NewTracking],
    ) -> Result<()> {
        let everybody = Limits::default();
        let shipments: Vec<(Uuid, Uuid)> = self.orders.shipments_numbered(conn, number).await?;
        for (order, shipment) in shipments {
            for report in reports {
                // As the one before has left it.
                let order = self.orders.lock_in_tx(conn, &order.to_string(), &everybody).await?;
                match self.report_in_tx(conn, &order, shipment, report, &everybody).await {
                    // A clock may be ahead; by the next time it is not.
                    Ok(_) | Err(Error::Invalid(_)) => {}
                    Err(Error::TooMany(_)) => break,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

/// Whether nothing more is to be expected after these.
pub fn is_over(reports: &[NewTracking]) -> bool {
    let newest = reports.iter().filter(|report| report.at.is_some()).max_by_key(|report| report.at.map(|at| at.0));
    newest.is_some_and(|report| matches!(report.status, TrackingStatus::Delivered | TrackingStatus::Cancelled))
}
