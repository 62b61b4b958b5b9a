//! `GET /track/{token}`

use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::carriers::{Carriers, page};
use crate::platform::extract::Path;
use crate::platform::problem::Problem;
use crate::platform::reply::Reply;

/// Show a customer where an order is
///
/// A page for browsers, without login or script; `POST /v1/orders/{id}/tracking-link` gives its address.
#[utoipa::path(get, path = "/track/{token}", tag = "carriers",
    params(("token" = String, Path, description = "As the link has it")), responses(
    (status = 200, description = "The page", body = String, content_type = "text/html"),
    (status = 404, description = "A page that says that the link is none", body = String, content_type = "text/html"),
))]
pub(super) async fn track(State(carriers): State<Carriers>, Path(token): Path<String>) -> Result<Reply, Problem> {
    let found = carriers.page(&token).await?;
    let status = if found.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
    let html = found.unwrap_or_else(|| page::nothing_here(&carriers.shop_name));
    let style = STANDARD.encode(Sha256::digest(page::STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    );
    let headers = vec![
        (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::CACHE_CONTROL, "private, no-store".to_owned()),
        (HeaderName::from_static("x-robots-tag"), "noindex, nofollow".to_owned()),
    ];
    Ok(Reply::new(status, headers, html.into()))
}
