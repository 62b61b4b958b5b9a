//! `POST /v1/reservations`

use axum::extract::State;

use crate::platform::command::Command;
use crate::platform::extract::Json;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::reservations::{NewReservation, Reservation, Reservations};

/// Reserve stock
///
/// Holds all lines or none (with `allow_partial`, what there is). Which warehouses serve is decided by the
/// channel's sourcing rules; one line may be served by several. When stock is short, `shortages` names each short
/// product, what is available, when the next hold expires, and what is in stock instead.
#[utoipa::path(post, path = "/v1/reservations", tag = "reservations", request_body = NewReservation, responses(
    (status = 201, description = "Held", body = Reservation),
    (status = 409, description = "Not enough stock (`insufficient-stock`), the replaced reservation was committed (`reservation-ended`), or the owner has too many (`too-many-holds`)", body = ProblemDocument),
))]
pub(super) async fn create_reservation(
    State(reservations): State<Reservations>,
    command: Command<Json<NewReservation>>,
) -> Result<Reply, Problem> {
    let run = command.run(reservations, |tx, reservations, command| {
        Box::pin(async move {
            let request = std::slice::from_ref(&command.body.0);
            let mut outcomes = reservations.create_in_tx(tx, request).await?;
            let reservation = outcomes.pop().expect("one was asked for")?;
            Ok(Reply::created(format!("/v1/reservations/{}", reservation.id), &reservation))
        })
    });
    run.await
}
