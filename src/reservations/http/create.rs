//! `POST /v1/reservations`

use axum::extract::State;
use futures::future::BoxFuture;
use sqlx::PgConnection;

use crate::access::Limits;
use crate::platform::command::{Command, Member, Outcomes, Together, Work};
use crate::platform::db::{Answers, Reads, Writes};
use crate::platform::extract::Json;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;
use crate::reservations::{Error, NewReservation, Reservation, Reservations, ToCreate};

use super::SHAPE;

/// Reserve stock
///
/// Holds all lines or none (with `allow_partial`, what there is). Which warehouses serve is decided by the
/// channel's sourcing rules; one line may be served by several. When stock is short, `shortages` names each short
/// product, what is available, when the next hold expires, and what is in stock instead.
#[utoipa::path(post, path = "/v1/reservations", tag = "reservations",
    security(("key" = ["reservations:write"])), extensions(("x-limitable-by" = json!(["warehouse", "channel"]))),
    request_body = NewReservation, responses(
    (status = 201, description = "Held", body = Reservation),
    (status = 409, description = "Not enough stock (`insufficient-stock`), the replaced reservation was committed (`reservation-ended`), or the owner has too many (`too-many-holds`)", body = ProblemDocument),
))]
pub(super) async fn create_reservation(
    State(reservations): State<Reservations>,
    State(queue): State<Queue>,
    limits: Limits,
    mut command: Command<Json<NewReservation>>,
) -> Result<Reply, Problem> {
    command.body.0.keep_within(&limits)?;
    if command.body.0.replace.is_none() {
        let keys = command.body.0.keys();
        return queue.run(keys, command, limits).await;
    }
    // One that is replaced may be sold meanwhile, and then the whole transaction is in vain.
    let run = command.run((reservations, limits), |tx, (reservations, limits), command| {
        Box::pin(async move {
            let mut writes = Writes::default();
            let mut outcomes = reservations.create_in_tx(tx, &mut writes, &[(&command.body.0, limits)]).await?;
            writes.write_out(tx).await?;
            reply(outcomes.pop().expect("one was asked for"))
        })
    });
    run.await
}

pub(super) type Queue = Together<Json<NewReservation>, Limits>;

pub(super) fn queue(reservations: Reservations) -> Queue {
    Queue::new("reserve", SHAPE, reservations.db.clone(), Reserve(reservations))
}

struct Reserve(Reservations);

impl Work<Json<NewReservation>, Limits> for Reserve {
    type Asked = ToCreate;

    fn ask(&self, reads: &mut Reads, members: &[&Member<Json<NewReservation>, Limits>]) -> ToCreate {
        self.0.ask_to_create(reads, members.iter().map(|member| &member.command.body.0), Vec::new())
    }

    fn carry_out<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        writes: &'a mut Writes,
        members: &'a [&'a Member<Json<NewReservation>, Limits>],
        asked: &'a ToCreate,
        answers: &'a Answers,
    ) -> BoxFuture<'a, Outcomes> {
        Box::pin(async move {
            let requests: Vec<_> = members.iter().map(|member| (&member.command.body.0, &member.context)).collect();
            let outcomes = self.0.create_as_asked(conn, writes, &requests, (asked, answers)).await?;
            Ok(outcomes.into_iter().map(reply).collect())
        })
    }
}

fn reply(outcome: Result<Reservation, Error>) -> Result<Reply, Problem> {
    let reservation = outcome?;
    Ok(Reply::created(format!("/v1/reservations/{}", reservation.id), &reservation))
}
