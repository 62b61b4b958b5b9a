//! `POST /v1/reservations/batch`

use axum::extract::State;

use crate::platform::batch::{Batch, BatchAnswer};
use crate::platform::command::Command;
use crate::platform::problem::Problem;
use crate::platform::reply::Reply;
use crate::reservations::{NewReservation, Reservations};

type ReservationBatch = Batch<NewReservation>;

/// Reserve stock many times
///
/// Up to 1,000 reservations, each on its own, in order: one that cannot be met does not fail its neighbours.
#[utoipa::path(post, path = "/v1/reservations/batch", tag = "reservations", request_body = ReservationBatch,
    responses((status = 200, description = "What became of each, in order", body = BatchAnswer)))]
pub(super) async fn create_reservations_batch(
    State(reservations): State<Reservations>,
    command: Command<ReservationBatch>,
) -> Result<Reply, Problem> {
    let run = command.run(reservations, |tx, reservations, command| {
        Box::pin(async move {
            let outcomes = reservations.create_in_tx(tx, command.body.valid()).await?;
            Ok(Reply::ok(&command.body.answer(outcomes)?))
        })
    });
    run.await
}
