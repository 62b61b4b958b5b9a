//! `GET /problems/{slug}`

use serde::Serialize;
use utoipa::ToSchema;

use crate::platform::extract::Path;
use crate::platform::problem::{KINDS, Problem, ProblemDocument};
use crate::platform::reply::Reply;

/// What a kind of problem means and what to do about it
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "type": "/problems/stale-quantity", "title": "The stock is not what you expected", "status": 409,
    "explanation": "Read the level, decide again, and repeat the call."
}))]
pub(super) struct ProblemKind {
    r#type: String,
    title: &'static str,
    status: u16,
    explanation: &'static str,
}

/// Explain a kind of problem
///
/// The `type` of every problem document is an address here.
#[utoipa::path(get, path = "/problems/{slug}", tag = "operations", params(("slug" = String, Path, example = "stale-quantity")), responses(
    (status = 200, description = "The explanation", body = ProblemKind),
    (status = 404, description = "No such kind", body = ProblemDocument, content_type = "application/problem+json"),
))]
pub(super) async fn get_problem(Path(slug): Path<String>) -> Result<Reply, Problem> {
    let kind = KINDS.iter().find(|kind| kind.slug == slug).ok_or_else(|| Problem::not_found("problem", slug))?;
    Ok(Reply::ok(&ProblemKind {
        r#type: format!("/problems/{}", kind.slug),
        title: kind.title,
        status: kind.status.as_u16(),
        explanation: kind.explanation,
    }))
}
