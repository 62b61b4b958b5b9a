//! `GET /v1/reservations/{id}`

use axum::extract::State;
use uuid::Uuid;

use crate::access::Limits;
use crate::platform::extract::Path;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::reservations::{Reservation, Reservations};

/// Read a reservation
#[utoipa::path(get, path = "/v1/reservations/{id}", tag = "reservations",
    security(("key" = ["reservations:read"])), extensions(("x-limitable-by" = json!(["warehouse", "channel"]))),
    params(("id" = Uuid, Path)), responses(
    (status = 200, description = "The reservation", body = Reservation),
    (status = 404, description = "No such reservation", body = ProblemDocument),
))]
pub(super) async fn get_reservation(
    State(reservations): State<Reservations>,
    Path(id): Path<Uuid>,
    limits: Limits,
) -> Result<Reply, Problem> {
    Ok(Reply::resource(&reservations.get(id, &limits).await?))
}
