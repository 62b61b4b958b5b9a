//! `PUT /v1/session/password`

use axum::extract::State;

use crate::access::{Access, OpenSession, OwnPassword};
use crate::platform::command::Command;
use crate::platform::extract::Json;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// Change one's own password
///
/// All other sessions of the user end, on every server, within a second.
#[utoipa::path(put, path = "/v1/session/password", tag = "access", security(("session" = [])),
    request_body = OwnPassword, responses(
    (status = 204, description = "Changed"),
    (status = 422, description = "The present password is another one (`validation`)", body = ProblemDocument),
    (status = 429, description = "Too many wrong passwords in a row (`too-many-logins`); see `Retry-After`", body = ProblemDocument),
))]
pub(super) async fn set_own_password(
    State(access): State<Access>,
    session: OpenSession,
    command: Command<Json<OwnPassword>>,
) -> Result<Reply, Problem> {
    let OwnPassword { present_password, password } = &command.body.0;
    let hash = access.replace_password(session.user, present_password.clone(), password.clone()).await?;
    let run = command.run((access, session, hash), |tx, (access, session, hash), command| {
        Box::pin(async move {
            let user = access.lock_user_in_tx(tx, session.user).await?;
            command.on(&user)?;
            command.about(user.address());
            access.set_password_in_tx(tx, session.user, hash, Some(session)).await?;
            Ok(Reply::no_content())
        })
    });
    run.await
}
