//! `GET /v1/customers`

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::customers::Customers;
use crate::customers::model::{Filter, KnownCustomer};
use crate::platform::extract::Query;
use crate::platform::page::{Page, PageRequest};
use crate::platform::problem::Problem;
use crate::platform::reply::Reply;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListCustomers {
    /// Compared without case
    #[param(max_length = 254, example = "ada@example.com")]
    email: Option<String>,
    #[param(max_length = 200, example = "C-17")]
    reference: Option<String>,
    /// How the name, the email or the reference begins, whatever the case
    #[param(min_length = 1, max_length = 200, example = "ada")]
    q: Option<String>,
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// `next_cursor` of the page before
    #[param(max_length = 1000)]
    cursor: Option<String>,
}

/// List customers
///
/// The newest first.
#[utoipa::path(get, path = "/v1/customers", tag = "customers", security(("key" = ["orders:read"])),
    params(ListCustomers),
    responses((status = 200, description = "A page of customers", body = Page<KnownCustomer>)))]
pub(super) async fn list_customers(
    State(customers): State<Customers>,
    Query(query): Query<ListCustomers>,
) -> Result<Reply, Problem> {
    let page = PageRequest::new(query.limit, query.cursor.as_deref())?;
    let filter = Filter { email: query.email, reference: query.reference, begins: query.q };
    Ok(Reply::ok(&customers.list(&filter, page).await?))
}
