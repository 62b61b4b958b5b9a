//! `POST /v1/feeds/{source}/stock`

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Limits;
use crate::feeds::take::is_of_a_change;
use crate::feeds::{Feeds, NewReport, Reported};
use crate::platform::batch::{Batch, BatchResult};
use crate::platform::command::Command;
use crate::platform::extract::Path;
use crate::platform::problem::{Problem, ProblemDocument};
use crate::platform::reply::Reply;

type ReportBatch = Batch<NewReport>;

/// What became of the reports
#[derive(Serialize, ToSchema)]
#[schema(as = StockReportAnswer)]
pub(super) struct ReportAnswer {
    /// One for each report, in the order of the request
    #[schema(value_type = Vec<ReportResult>)]
    results: Vec<BatchResult>,
}

/// What became of one report: a `body` when it was taken, a `problem` when it was refused
#[derive(ToSchema)]
#[schema(as = StockReportResult)]
#[expect(dead_code, reason = "it tells the document what the body of a batch's result is here")]
struct ReportResult {
    /// 200, or the status of the refusal
    #[schema(minimum = 200, maximum = 499)]
    status: u16,
    #[schema(nullable = false)]
    body: Option<Reported>,
    /// Its pointers begin at the batch: `/items/0/sku`
    #[schema(nullable = false)]
    problem: Option<ProblemDocument>,
}

/// Report stock
///
/// Up to 1,000 reports, each on its own, in order; what was made of each stands in its `body` (`StockReport`). They may
/// come late, in any order and more than once. A count is held against what was on hand at its time by the books, and
/// the difference is booked; a change is booked unless a newer count has seen it. Whatever disagrees with the books is
/// listed as a discrepancy, also a change that is refused because less is free to go (`insufficient-stock`): send it
/// again under its number.
#[utoipa::path(post, path = "/v1/feeds/{source}/stock", tag = "feeds",
    security(("key" = ["stock:write"])), extensions(("x-limitable-by" = json!(["warehouse"]))),
    params(("source" = String, Path, example = "scales")),
    request_body = ReportBatch, responses(
    (status = 200, description = "What became of each, in order", body = ReportAnswer),
    (status = 404, description = "No such source", body = ProblemDocument),
))]
pub(super) async fn report_stock(
    State(feeds): State<Feeds>,
    Path(source): Path<String>,
    limits: Limits,
    mut command: Command<ReportBatch>,
) -> Result<Reply, Problem> {
    command.body.refuse(|report| match &report.warehouse {
        Some(code) => limits.warehouses.check(&code.0),
        None => Ok(()), // the source's own, which is known later
    });
    let run = command.run((feeds, source, limits), |tx, (feeds, source, limits), command| {
        Box::pin(async move {
            let reports = command.body.valid();
            let outcomes = feeds.report_in_tx(tx, source, reports, &limits.warehouses, command.caller.id).await?;
            let changes = outcomes.iter().any(is_of_a_change);
            let results = command.body.answer_ok(outcomes)?.results;
            let reply = Reply::ok(&ReportAnswer { results });
            Ok(if changes { reply } else { reply.of_no_change() })
        })
    });
    run.await
}
