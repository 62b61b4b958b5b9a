//! Endpoints of payments.

mod capture;
mod get;
mod hear;
mod list;
mod pay;
mod refund;
mod void;

use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Payments;
use super::model::{OperationState, PaymentDetail};
use crate::platform::reply::Reply;

pub fn router(payments: Payments) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list::list_payments, pay::create_payment))
        .routes(routes!(get::get_payment))
        .routes(routes!(capture::capture_payment))
        .routes(routes!(void::void_payment))
        .routes(routes!(refund::refund_payment))
        .routes(routes!(hear::hear_provider))
        .with_state(payments)
}

/// What was asked for is done, or under way at the provider.
fn asked(payment: &PaymentDetail) -> Reply {
    let is_under_way = payment.operations.iter().any(|operation| operation.status == OperationState::Pending);
    Reply::json(if is_under_way { StatusCode::ACCEPTED } else { StatusCode::OK }, payment)
}
