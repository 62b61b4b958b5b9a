//! `POST /v1/carts/{id}/checkout`

use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::Limits;
use crate::carts::Carts;
use crate::orders::{Customer, NewOrder, Order, ShippingPrice};
use crate::platform::clock::Timestamp;
use crate::platform::command::Command;
use crate::platform::extract::{Json, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::warehouses::Address;

/// What an order needs besides what is in the cart
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"customer": {"name": "Ada Shopper", "email": "ada@example.com"}, "reference": "WEB-1002"}))]
pub(super) struct CheckOut {
    /// Who buys, if known by an id, as for `POST /v1/orders`
    customer_id: Option<Uuid>,
    customer: Option<Customer>,
    shipping_address: Option<Address>,
    /// That of the cart when left out
    shipping_price: Option<ShippingPrice>,
    /// Whatever you call the order
    #[schema(min_length = 1, max_length = 200)]
    reference: Option<String>,
    #[schema(max_length = 2000)]
    note: Option<String>,
    /// Whether nothing is sent while some of it waits for stock
    #[serde(default)]
    #[schema(default = false)]
    ship_together: bool,
    /// When the customer placed it, if not now
    placed_at: Option<Timestamp>,
}

impl CheckOut {
    fn order(&self) -> NewOrder {
        let CheckOut {
            customer_id,
            customer,
            shipping_address,
            shipping_price,
            reference,
            note,
            ship_together,
            placed_at,
        } = self.clone();
        NewOrder {
            reservation_id: None,
            lines: None,
            channel: None,
            customer_id,
            customer,
            shipping_address,
            shipping_price,
            prices_include_tax: true,
            ship_together,
            reference,
            note,
            placed_at,
        }
    }
}

/// Check a cart out
///
/// It becomes an order at the cart's prices, with the stock that it holds, in one step; discounts of the whole cart are in
/// the lines of the order. Should its time have run out, it gets what can be had now, all of it or nothing.
#[utoipa::path(post, path = "/v1/carts/{id}/checkout", tag = "carts",
    security(("key" = ["orders:write"])), extensions(("x-limitable-by" = json!(["warehouse", "channel"]))),
    params(("id" = Uuid, Path)), request_body = CheckOut, responses(
    (status = 201, description = "The order", body = Order),
    (status = 404, description = "No such cart", body = ProblemDocument),
    (status = 409, description = "The cart is empty or has ended (`invalid-state`), or its time ran out and there is not enough stock any more (`insufficient-stock`)", body = ProblemDocument),
))]
pub(super) async fn check_out_cart(
    State(carts): State<Carts>,
    Path(id): Path<Uuid>,
    limits: Limits,
    command: Command<Json<CheckOut>>,
) -> Result<Reply, Problem> {
    let run = command.run((carts, id, limits), |tx, (carts, id, limits), command| {
        Box::pin(async move {
            let cart = carts.lock_in_tx(tx, *id, limits).await?;
            command.was(&cart);
            let new = command.body.0.order();
            new.keep_customers_within(limits)?;
            let order = carts.check_out_in_tx(tx, cart, new, limits).await?;
            Ok(Reply::created(format!("/v1/orders/{}", order.head.id), &order).told_as(&order.trace()))
        })
    });
    run.await
}
