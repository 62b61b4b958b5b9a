//! Endpoints of the feed.

mod list;
mod stream;

use serde::Deserialize;
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Events, FilterQuery};
use crate::lifecycle::Shutdown;

pub fn router(events: Events, shutdown: Shutdown) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list::list_events))
        .with_state(events.clone())
        .merge(OpenApiRouter::new().routes(routes!(stream::stream_events)).with_state((events, shutdown)))
}

/// A call's own parameters, and the filter's.
#[derive(Deserialize)]
struct Filtered<T> {
    #[serde(flatten)]
    own: T,
    #[serde(flatten)]
    filter: FilterQuery,
}

impl<T: IntoParams> IntoParams for Filtered<T> {
    fn into_params(place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let mut parameters = T::into_params(&place);
        parameters.extend(FilterQuery::into_params(place));
        parameters
    }
}
