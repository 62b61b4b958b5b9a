//! `POST /v1/orders`

use std::time::Duration;

use axum::extract::State;
use futures::future::BoxFuture;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::access::Limits;
use crate::orders::model::{NewOrder, Order};
use crate::orders::{Error, Orders, Reserved, ToPlace};
use crate::platform::coalesce::{Keys, Shape};
use crate::platform::command::{Command, Member, Outcomes, Together, Work};
use crate::platform::db::{Answers, Reads, Writes};
use crate::platform::extract::Json;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Place an order
///
/// From a reservation, whose stock it takes over in one step, or from lines, which are all allocated (or
/// backordered, where the product allows it) or none. One line may be served by several warehouses.
#[utoipa::path(post, path = "/v1/orders", tag = "orders",
    security(("key" = ["orders:write"])), extensions(("x-limitable-by" = json!(["warehouse", "channel"]))),
    request_body = NewOrder, responses(
    (status = 201, description = "Placed", body = Order),
    (status = 409, description = "The reservation has ended (`reservation-ended`), or there is not enough stock (`insufficient-stock`)", body = ProblemDocument),
))]
pub(super) async fn create_order(
    State(orders): State<Orders>,
    State(queue): State<Queue>,
    limits: Limits,
    mut command: Command<Json<NewOrder>>,
) -> Result<Reply, Problem> {
    command.body.0.keep_within(&limits)?;
    if let Some(reservation) = command.body.0.reservation_id {
        return queue.run(Keys::of([reservation]), command, (reservation, limits)).await;
    }
    let run = command.run(orders, |tx, orders, command| {
        Box::pin(async move { reply(orders.place_in_tx(tx, &command.body.0).await) })
    });
    run.await
}

/// Of orders from reservations.
pub(super) type Queue = Together<Json<NewOrder>, (Uuid, Limits)>;

const SHAPE: Shape = Shape {
    lanes: 2,
    crowd: 20,
    patience: Duration::from_millis(10),
    gather: Duration::from_millis(1),
    batch: 128,
    waiting: 2048,
};

pub(super) fn queue(orders: Orders) -> Queue {
    Queue::new("order", SHAPE, orders.db.clone(), Place(orders))
}

struct Place(Orders);

impl Work<Json<NewOrder>, (Uuid, Limits)> for Place {
    type Asked = ToPlace;

    fn ask(&self, reads: &mut Reads, members: &[&Member<Json<NewOrder>, (Uuid, Limits)>]) -> ToPlace {
        self.0.ask_to_place(reads, members.iter().map(|member| member.context.0))
    }

    fn carry_out<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        writes: &'a mut Writes,
        members: &'a [&'a Member<Json<NewOrder>, (Uuid, Limits)>],
        asked: &'a ToPlace,
        answers: &'a Answers,
    ) -> BoxFuture<'a, Outcomes> {
        Box::pin(async move {
            let requests = members.iter().map(|member| {
                let (reservation, limits) = (member.context.0, &member.context.1);
                Reserved { new: &member.command.body.0, reservation, limits, terms: None }
            });
            let requests: Vec<Reserved> = requests.collect();
            let outcomes = self.0.place_reserved_in_tx(conn, writes, &requests, asked, answers).await?;
            Ok(outcomes.into_iter().map(reply).collect())
        })
    }
}

fn reply(outcome: Result<Order, Error>) -> Result<Reply, Problem> {
    let order = outcome?;
    Ok(Reply::created(format!("/v1/orders/{}", order.head.id), &order).told_as(&order.trace()))
}
