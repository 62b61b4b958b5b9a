//! `DELETE /v1/reservations/{id}`

use axum::extract::State;
use uuid::Uuid;

use crate::platform::command::Command;
use crate::platform::extract::{NoBody, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::reservations::Reservations;

/// Release a reservation
///
/// Gives the stock back at once. Releasing twice is fine.
#[utoipa::path(delete, path = "/v1/reservations/{id}", tag = "reservations", params(("id" = Uuid, Path)), responses(
    (status = 204, description = "Released"),
    (status = 404, description = "No such reservation", body = ProblemDocument),
    (status = 409, description = "It was committed, or has expired (`reservation-ended`)", body = ProblemDocument),
))]
pub(super) async fn release_reservation(
    State(reservations): State<Reservations>,
    Path(id): Path<Uuid>,
    command: Command<NoBody>,
) -> Result<Reply, Problem> {
    let run = command.run((reservations, id), |tx, (reservations, id), command| {
        Box::pin(async move {
            command.check_match(&reservations.get_in_tx(tx, *id).await?)?;
            reservations.release_in_tx(tx, *id).await?;
            Ok(Reply::no_content())
        })
    });
    run.await
}
