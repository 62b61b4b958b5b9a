//! `DELETE /v1/reservations/{id}`

use axum::extract::State;
use futures::future::BoxFuture;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::access::Limits;
use crate::platform::coalesce::Keys;
use crate::platform::command::{Command, Member, Outcomes, Together, Work};
use crate::platform::db::{Answers, Asked, Reads, Writes};
use crate::platform::extract::{NoBody, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::platform::sift::sift;
use crate::reservations::{Reservation, Reservations, for_each};

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
    Queue::new("release", SHAPE, reservations.db.clone(), Release(reservations))
}

struct Release(Reservations);

impl Work<NoBody, (Uuid, Limits)> for Release {
    type Asked = Asked<Reservation>;

    fn ask(&self, reads: &mut Reads, members: &[&Member<NoBody, (Uuid, Limits)>]) -> Asked<Reservation> {
        self.0.ask_for(reads, members.iter().map(|member| member.context.0))
    }

    fn carry_out<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        writes: &'a mut Writes,
        members: &'a [&'a Member<NoBody, (Uuid, Limits)>],
        asked: &'a Asked<Reservation>,
        answers: &'a Answers,
    ) -> BoxFuture<'a, Outcomes> {
        Box::pin(async move {
            let each = for_each(answers.of(asked)?, members.iter().map(|m| (m.context.0, &m.context.1)));
            let found = members.iter().zip(each).map(|(member, found)| {
                let found = found?;
                member.command.on(&found)?;
                Ok(found)
            });
            let (found, refused) = sift::<_, Problem>(found);
            let released = self.0.release_in_tx(conn, writes, &found).await?.into_iter();
            Ok(refused.weave(released.map(|released| Ok(released.map(|()| Reply::no_content())?))))
        })
    }
}
