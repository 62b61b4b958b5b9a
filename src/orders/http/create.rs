//! `POST /v1/orders`

use axum::extract::State;

use crate::orders::Orders;
use crate::orders::model::{NewOrder, Order};
use crate::platform::command::Command;
use crate::platform::extract::Json;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Place an order
///
/// From a reservation, whose stock it takes over in one step, or from lines, which are all allocated (or
/// backordered, where the product allows it) or none. One line may be served by several warehouses.
#[utoipa::path(post, path = "/v1/orders", tag = "orders", request_body = NewOrder, responses(
    (status = 201, description = "Placed", body = Order),
    (status = 409, description = "The reservation has ended (`reservation-ended`), or there is not enough stock (`insufficient-stock`)", body = ProblemDocument),
))]
pub(super) async fn create_order(
    State(orders): State<Orders>,
    command: Command<Json<NewOrder>>,
) -> Result<Reply, Problem> {
    let run = command.run(orders, |tx, orders, command| {
        Box::pin(async move {
            let order = orders.place_in_tx(tx, &command.body.0).await?;
            Ok(Reply::created(format!("/v1/orders/{}", order.head.id), &order))
        })
    });
    run.await
}
