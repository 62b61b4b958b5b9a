//! `POST /v1/users`

use axum::extract::State;

use crate::access::{Access, NewUser, User};
use crate::platform::command::Command;
use crate::platform::extract::Json;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Make a user
///
/// They can log in once they have a password (`PUT /v1/users/{id}/password`).
#[utoipa::path(post, path = "/v1/users", tag = "access", security(("key" = ["admin:write"])),
    request_body = NewUser, responses(
    (status = 201, description = "Made", body = User),
    (status = 409, description = "Another user has this login (`already-exists`)", body = ProblemDocument),
))]
pub(super) async fn create_user(
    State(access): State<Access>,
    command: Command<Json<NewUser>>,
) -> Result<Reply, Problem> {
    let run = command.run(access, |tx, access, command| {
        Box::pin(async move {
            let user = access.create_user_in_tx(tx, &command.body.0, &command.caller.name).await?;
            Ok(Reply::created(user.address(), &user))
        })
    });
    run.await
}
