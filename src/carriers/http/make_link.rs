//! `POST /v1/orders/{id}/tracking-link`

use axum::extract::State;

use crate::access::Limits;
use crate::carriers::Carriers;
use crate::carriers::model::TrackingLink;
use crate::platform::command::Command;
use crate::platform::extract::{NoBody, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Make the link to an order's tracking page
///
/// For the customer, who needs no login: whoever has the link sees the order's number and where its shipments are, and
/// nothing else. An order has one link, however often it is asked for.
#[utoipa::path(post, path = "/v1/orders/{id}/tracking-link", tag = "carriers",
    security(("key" = ["orders:write"])), extensions(("x-limitable-by" = json!(["warehouse", "channel"]))),
    params(("id" = String, Path, description = "Its id or its number", example = "1001")), responses(
    (status = 200, description = "The link that there was", body = TrackingLink),
    (status = 201, description = "The link", body = TrackingLink),
    (status = 404, description = "No such order", body = ProblemDocument),
))]
pub(super) async fn make_tracking_link(
    State(carriers): State<Carriers>,
    Path(id): Path<String>,
    limits: Limits,
    command: Command<NoBody>,
) -> Result<Reply, Problem> {
    let run = command.run((carriers, id, limits), |tx, (carriers, id, limits), command| {
        Box::pin(async move {
            let order = carriers.orders.lock_in_tx(tx, id, limits).await?;
            command.was(&order.trace());
            let (link, is_new) = carriers.link_in_tx(tx, &order).await?;
            Ok(if is_new { Reply::booked(&link) } else { Reply::ok(&link).of_no_change() })
        })
    });
    run.await
}
