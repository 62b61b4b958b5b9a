//! `POST /v1/reservations/{id}/extend`

use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::platform::command::Command;
use crate::platform::extract::{Json, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::reservations::{Reservation, Reservations};

/// How long a reservation is to live from now
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"ttl_seconds": 900}))]
pub(super) struct Extension {
    /// Seconds from now, up to a week
    #[schema(minimum = 1, maximum = 604_800)]
    ttl_seconds: i64,
}

/// Extend a reservation
///
/// It then lives `ttl_seconds` from now, and never shorter than it would anyway.
#[utoipa::path(post, path = "/v1/reservations/{id}/extend", tag = "reservations", params(("id" = Uuid, Path)),
    request_body = Extension, responses(
    (status = 200, description = "The reservation as it is now", body = Reservation),
    (status = 404, description = "No such reservation", body = ProblemDocument),
    (status = 409, description = "It has ended (`reservation-ended`)", body = ProblemDocument),
))]
pub(super) async fn extend_reservation(
    State(reservations): State<Reservations>,
    Path(id): Path<Uuid>,
    command: Command<Json<Extension>>,
) -> Result<Reply, Problem> {
    let run = command.run((reservations, id), |tx, (reservations, id), command| {
        Box::pin(
            async move { Ok(Reply::resource(&reservations.extend_in_tx(tx, *id, command.body.0.ttl_seconds).await?)) },
        )
    });
    run.await
}
