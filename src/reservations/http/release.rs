//! `DELETE /v1/reservations/{id}`

use axum::extract::State;
use uuid::Uuid;

use crate::access::Limits;
use crate::platform::coalesce::Keys;
use crate::platform::command::{Command, Together};
use crate::platform::extract::{NoBody, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::platform::sift::sift;
use crate::reservations::Reservations;

use super::SHAPE;

/// Release a reservation
///
/// Gives the stock back at once. Releasing twice is fine.
#[utoipa::path(delete, path = "/v1/reservations/{id}", tag = "reservations",
    security(("key" = ["reservations:write"])), extensions(("x-limitable-by" = json!(["warehouse", "channel"]))),
    params(("id" = Uuid, Path)), responses(
    (status = 204, description = "Released"),
    (status = 404, description = "No such reservation", body = ProblemDocument),
    (status = 409, description = "It was committed, or has expired (`reservation-ended`)", body = ProblemDocument),
))]
pub(super) async fn release_reservation(
    State(queue): State<Queue>,
    Path(id): Path<Uuid>,
    limits: Limits,
    command: Command<NoBody>,
) -> Result<Reply, Problem> {
    queue.run(Keys::of([id]), command, (id, limits)).await
}

pub(super) type Queue = Together<NoBody, (Uuid, Limits)>;

pub(super) fn queue(reservations: Reservations) -> Queue {
    Queue::new("release", SHAPE, reservations.db.clone(), move |tx, writes, members| {
        let reservations = reservations.clone();
        Box::pin(async move {
            let asked: Vec<(Uuid, &Limits)> = members.iter().map(|m| (m.context.0, &m.context.1)).collect();
            let found = members.iter().zip(reservations.find_each(tx, &asked).await?).map(|(member, found)| {
                let found = found?;
                member.command.on(&found)?;
                Ok(found)
            });
            let (found, refused) = sift::<_, Problem>(found);
            let released = reservations.release_in_tx(tx, writes, &found).await?.into_iter();
            Ok(refused.weave(released.map(|released| Ok(released.map(|()| Reply::no_content())?))))
        })
    })
}
