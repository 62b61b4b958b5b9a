//! `GET /v1/jobs`

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::ops::Ops;
use crate::platform::extract::Query;
use crate::platform::jobs::{Job, JobStatus};
use crate::platform::page::{Page, PageRequest};
use crate::platform::problem::Problem;
use crate::platform::reply::Reply;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListJobs {
    #[param(inline)]
    status: Option<JobStatus>,
    #[param(max_length = 100, example = "mail")]
    kind: Option<String>,
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// `next_cursor` of the page before
    #[param(max_length = 1000)]
    cursor: Option<String>,
}

/// List jobs
///
/// What the server does beside the calls, mails for instance. The newest first; kept for 14 days after they ended.
#[utoipa::path(get, path = "/v1/jobs", tag = "operations", security(("key" = ["admin:read"])), params(ListJobs),
    responses((status = 200, description = "A page of jobs", body = Page<Job>)))]
pub(super) async fn list_jobs(State(ops): State<Ops>, Query(query): Query<ListJobs>) -> Result<Reply, Problem> {
    let page = PageRequest::new(query.limit, query.cursor.as_deref())?;
    Ok(Reply::ok(&ops.jobs.list(query.status, query.kind.as_deref(), page).await?))
}
