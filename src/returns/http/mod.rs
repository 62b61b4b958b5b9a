//! Endpoints of returns that are asked for.

mod approve;
mod cancel;
mod close;
mod exchange;
mod get;
mod list;
mod receive;
mod reject;
mod request;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Returns;
use super::model::ReturnRequest;
use crate::platform::reply::Reply;

/// 200 with the return as it is now.
fn changed(request: &ReturnRequest) -> Reply {
    Reply::resource(request).told_as(&request.trace())
}

pub fn router(returns: Returns) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(request::request_return))
        .routes(routes!(list::list_return_requests))
        .routes(routes!(get::get_return_request))
        .routes(routes!(approve::approve_return))
        .routes(routes!(reject::reject_return))
        .routes(routes!(receive::receive_return))
        .routes(routes!(exchange::exchange_return))
        .routes(routes!(close::close_return))
        .routes(routes!(cancel::cancel_return))
        .with_state(returns)
}
