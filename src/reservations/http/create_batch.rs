//! `POST /v1/reservations/batch`

use axum::extract::State;

use crate::access::Limits;
use crate::platform::batch::{Batch, BatchAnswer};
use crate::platform::command::Command;
use crate::platform::db::Writes;
use crate::platform::problem::Problem;
use crate::platform::reply::Reply;
use crate::reservations::{NewReservation, Reservations};

type ReservationBatch = Batch<NewReservation>;

/// Reserve stock many times
///
/// Up to 1,000 reservations, each on its own, in order: one that cannot be met does not fail its neighbours.
#[utoipa::path(post, path = "/v1/reservations/batch", tag = "reservations",
    security(("key" = ["reservations:write"])), extensions(("x-limitable-by" = json!(["warehouse", "channel"]))),
    request_body = ReservationBatch,
    responses((status = 200, description = "What became of each, in order", body = BatchAnswer)))]
pub(super) async fn create_reservations_batch(
    State(reservations): State<Reservations>,
    limits: Limits,
    mut command: Command<ReservationBatch>,
) -> Result<Reply, Problem> {
    command.body.refuse(|reservation| reservation.keep_within(&limits));
    let run = command.run((reservations, limits), |tx, (reservations, limits), command| {
        Box::pin(async move {
            let requests: Vec<_> = command.body.valid().iter().map(|request| (request, limits)).collect();
            let mut writes = Writes::default();
            let outcomes = reservations.create_in_tx(tx, &mut writes, &requests).await?;
            writes.write_out(tx).await?;
            Ok(command.body.answer(outcomes)?.reply())
        })
    });
    run.await
}
