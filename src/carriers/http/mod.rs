//! Endpoints of carriers, labels and packing slips, and the page for customers.

mod ask_rates;
mod get_label;
mod get_tracking;
mod hear_easypost;
mod list_carriers;
mod list_labels;
mod make_label;
mod make_link;
mod print_label;
mod report_tracking;
mod slip_of_shipment;
mod slip_to_pack;
mod track;
mod void_label;

use axum::http::{StatusCode, header};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Carriers;
use crate::platform::reply::Reply;

pub fn router(carriers: Carriers) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list_carriers::list_carriers))
        .routes(routes!(get_tracking::get_tracking, report_tracking::report_tracking))
        .routes(routes!(make_link::make_tracking_link))
        .routes(routes!(track::track))
        .routes(routes!(ask_rates::ask_rates))
        .routes(routes!(make_label::make_label))
        .routes(routes!(list_labels::list_labels))
        .routes(routes!(get_label::get_label))
        .routes(routes!(void_label::void_label))
        .routes(routes!(print_label::print_label))
        .routes(routes!(slip_to_pack::slip_to_pack))
        .routes(routes!(slip_of_shipment::slip_of_shipment))
        .routes(routes!(hear_easypost::hear_easypost))
        .with_state(carriers)
}

/// A document to print
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "it says in the document what is answered")]
struct PdfDocument(Vec<u8>);

/// It has an address on it, so nobody on the way keeps it.
fn pdf(name: &str, bytes: Vec<u8>) -> Reply {
    let headers = vec![
        (header::CONTENT_TYPE, "application/pdf".to_owned()),
        (header::CONTENT_DISPOSITION, format!("inline; filename=\"{name}.pdf\"")),
        (header::CACHE_CONTROL, "private, no-store".to_owned()),
    ];
    Reply::new(StatusCode::OK, headers, bytes.into())
}
