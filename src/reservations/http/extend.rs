//! `POST /v1/reservations/{id}/extend`

use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::Limits;
use crate::platform::coalesce::Keys;
use crate::platform::command::{Command, Together};
use crate::platform::extract::{Json, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::platform::sift::sift;
use crate::reservations::{Reservation, Reservations};

use super::SHAPE;

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
#[utoipa::path(post, path = "/v1/reservations/{id}/extend", tag = "reservations",
    security(("key" = ["reservations:write"])), extensions(("x-limitable-by" = json!(["warehouse", "channel"]))),
    params(("id" = Uuid, Path)),
    request_body = Extension, responses(
    (status = 200, description = "The reservation as it is now", body = Reservation),
    (status = 404, description = "No such reservation", body = ProblemDocument),
    (status = 409, description = "It has ended (`reservation-ended`)", body = ProblemDocument),
))]
pub(super) async fn extend_reservation(
    State(queue): State<Queue>,
    Path(id): Path<Uuid>,
    limits: Limits,
    command: Command<Json<Extension>>,
) -> Result<Reply, Problem> {
    queue.run(Keys::of([id]), command, (id, limits)).await
}

pub(super) type Queue = Together<Json<Extension>, (Uuid, Limits)>;

pub(super) fn queue(reservations: Reservations) -> Queue {
    Queue::new("extend", SHAPE, reservations.db.clone(), move |tx, writes, members| {
        let reservations = reservations.clone();
        Box::pin(async move {
            let asked: Vec<(Uuid, &Limits)> = members.iter().map(|m| (m.context.0, &m.context.1)).collect();
            let found = members.iter().zip(reservations.find_each(tx, &asked).await?).map(|(member, found)| {
                let found = found?;
                member.command.was(&found);
                Ok((found, member.command.body.0.ttl_seconds))
            });
            let (extensions, refused) = sift(found);
            let outcomes = refused.weave(reservations.extend_in_tx(tx, writes, &extensions).await?);
            Ok(outcomes.into_iter().map(|outcome| Ok(Reply::resource(&outcome?))).collect())
        })
    })
}
