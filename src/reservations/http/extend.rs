//! `POST /v1/reservations/{id}/extend`

use axum::extract::State;
use futures::future::BoxFuture;
use serde::Deserialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::Limits;
use crate::platform::coalesce::Keys;
use crate::platform::command::{Command, Member, Outcomes, Together, Work};
use crate::platform::db::{Answers, Asked, Reads, Writes};
use crate::platform::extract::{Json, Path};
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::platform::sift::sift;
use crate::reservations::{Reservation, Reservations, for_each};

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
    Queue::new("extend", SHAPE, reservations.db.clone(), Extend(reservations))
}

struct Extend(Reservations);

impl Work<Json<Extension>, (Uuid, Limits)> for Extend {
    type Asked = Asked<Reservation>;

    fn ask(&self, reads: &mut Reads, members: &[&Member<Json<Extension>, (Uuid, Limits)>]) -> Asked<Reservation> {
        self.0.ask_for(reads, members.iter().map(|member| member.context.0))
    }

    fn carry_out<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        writes: &'a mut Writes,
        members: &'a [&'a Member<Json<Extension>, (Uuid, Limits)>],
        asked: &'a Asked<Reservation>,
        answers: &'a Answers,
    ) -> BoxFuture<'a, Outcomes> {
        Box::pin(async move {
            let each = for_each(answers.of(asked)?, members.iter().map(|m| (m.context.0, &m.context.1)));
            let found = members.iter().zip(each).map(|(member, found)| {
                let found = found?;
                member.command.was(&found);
                Ok((found, member.command.body.0.ttl_seconds))
            });
            let (extensions, refused) = sift(found);
            let outcomes = refused.weave(self.0.extend_in_tx(conn, writes, &extensions).await?);
            Ok(outcomes.into_iter().map(|outcome| Ok(Reply::resource(&outcome?))).collect())
        })
    }
}
