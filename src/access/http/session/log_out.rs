//! `DELETE /v1/session`

use axum::extract::State;
use axum::http::header::SET_COOKIE;
use serde_json::json;

use crate::access::http::browser;
use crate::access::{Access, OpenSession};
use crate::platform::command::Command;
use crate::platform::extract::NoBody;
use crate::platform::problem::Problem;
use crate::platform::reply::Reply;

/// Log out
#[utoipa::path(delete, path = "/v1/session", tag = "access", security(("session" = [])),
    responses((status = 204, description = "The session is over, and its cookie gone")))]
pub(super) async fn log_out(
    State(access): State<Access>,
    session: OpenSession,
    command: Command<NoBody>,
) -> Result<Reply, Problem> {
    let run = command.run((access.clone(), session.id), |tx, (access, id), command| {
        Box::pin(async move {
            command.was(&json!({ "id": id }));
            access.end_session_in_tx(tx, *id).await?;
            Ok(Reply::no_content())
        })
    });
    let mut reply = run.await?;
    access.forget_session(session.id);
    reply.headers.push((SET_COOKIE, browser::drop()));
    Ok(reply)
}
