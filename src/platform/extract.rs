//! What handlers take: bodies, query parameters and path segments, read and checked in one place.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, RwLock};

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use jsonschema::Validator;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use utoipa::openapi::path::Parameter;
use utoipa::{IntoParams, ToSchema};

use super::problem::{Fault, MALFORMED, Problem, UNSUPPORTED_MEDIA_TYPE};
use super::{Platform, json, schema};

/// The platform rides on every request; a request without it is a wiring error of ours.
pub fn platform(parts: &Parts) -> &Platform {
    parts.extensions.get::<Platform>().expect("app.rs lays the platform on every request")
}

/// Something that a request's body can be read into.
pub trait Input: Sized + Send + Sync + 'static {
    fn read(schemas: &schema::Schemas, headers: &HeaderMap, body: &Bytes) -> Result<Self, Problem>;
}

/// No body is asked for; what comes is ignored.
pub struct NoBody;

impl Input for NoBody {
    fn read(_: &schema::Schemas, _: &HeaderMap, _: &Bytes) -> Result<Self, Problem> {
        Ok(Self)
    }
}

/// A JSON body. One that is missing altogether counts as `{}`, for calls whose fields are all optional.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned + ToSchema + Send + Sync + 'static> Input for Json<T> {
    fn read(schemas: &schema::Schemas, headers: &HeaderMap, body: &Bytes) -> Result<Self, Problem> {
        let value = if body.is_empty() { Value::Object(Map::new()) } else { parse_json(schemas, headers, body)? };
        checked(schemas, value).map(Self)
    }
}

pub(super) fn parse_json(schemas: &schema::Schemas, headers: &HeaderMap, body: &Bytes) -> Result<Value, Problem> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence != "application/json" && essence != "application/merge-patch+json" {
        let detail = format!("Content-Type is '{content_type}'; send application/json");
        return Err(Problem::new(&UNSUPPORTED_MEDIA_TYPE, detail));
    }
    json(schemas, body)
}

/// A JSON document, however it came.
pub fn json(schemas: &schema::Schemas, body: &[u8]) -> Result<Value, Problem> {
    json::parse(body, schemas.max_depth)
        .map_err(|error| Problem::new(&MALFORMED, format!("the body cannot be read as JSON: {error}")))
}

pub(super) fn checked<T: DeserializeOwned + ToSchema>(schemas: &schema::Schemas, value: Value) -> Result<T, Problem> {
    let faults = schemas.faults(&T::name(), &value);
    if !faults.is_empty() {
        return Err(Problem::validation(faults));
    }
    deserialize(value, "")
}

/// What the schema let pass and serde still refuses: 1.0 where an integer is meant, say.
pub(super) fn deserialize<T: DeserializeOwned>(value: Value, prefix: &str) -> Result<T, Problem> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string().replace(['.', '['], "/").replace(']', "");
        let pointer = if path == "/" { prefix.to_owned() } else { format!("{prefix}/{path}") };
        Problem::fault(pointer, "type", error.into_inner().to_string())
    })
}

/// The whole body. The intake has received it already, within the limits.
pub async fn read_body<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state).await.map_err(|_| Problem::new(&MALFORMED, "the body was cut off"))
}

/// A JSON body of a call that changes nothing (`POST /v1/stock/query`).
impl<S: Send + Sync, T: DeserializeOwned + ToSchema + Send + Sync + 'static> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let headers = request.headers().clone();
        let schemas = request.extensions().get::<Platform>().expect("app.rs lays the platform on every request");
        let schemas = schemas.schemas.clone();
        let body = read_body(request, state).await?;
        Self::read(&schemas, &headers, &body)
    }
}

/// Query parameters. Unknown ones are refused: a mistyped filter must not silently list everything.
pub struct Query<T>(pub T);

static QUERY_VALIDATORS: LazyLock<RwLock<HashMap<TypeId, Arc<Validator>>>> = LazyLock::new(RwLock::default);

impl<S: Send + Sync, T: DeserializeOwned + IntoParams + 'static> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let parameters = T::into_params(|| None);
        let found = QUERY_VALIDATORS.read().expect("never poisoned").get(&TypeId::of::<T>()).cloned();
        let validator = found.unwrap_or_else(|| {
            let made = Arc::new(platform(parts).schemas.query_validator(&parameters));
            QUERY_VALIDATORS.write().expect("never poisoned").insert(TypeId::of::<T>(), made.clone());
            made
        });
        read_query(parts.uri.query().unwrap_or_default(), &parameters, &validator).map(Self)
    }
}

pub(crate) fn read_query<T: DeserializeOwned>(
    query: &str,
    parameters: &[Parameter],
    validator: &Validator,
) -> Result<T, Problem> {
    let mut value = Map::new();
    let mut faults = Vec::new();
    for (name, text) in url::form_urlencoded::parse(query.as_bytes()) {
        let schema = parameters.iter().find(|p| p.name == name).and_then(|p| serde_json::to_value(&p.schema).ok());
        if value.insert(name.clone().into_owned(), typed(&text, schema.as_ref())).is_some() {
            let pointer = format!("/query/{}", schema::escape(&name));
            faults.push(Fault::new(pointer, "repeated", "give this parameter once"));
        }
    }
    let value = Value::Object(value);
    let found = schema::faults_of(validator, &value);
    faults.extend(found.into_iter().map(|f| Fault { pointer: format!("/query{}", f.pointer), ..f }));
    if faults.is_empty() { deserialize(value, "/query") } else { Err(Problem::validation(faults)) }
}

/// A query parameter's text as what its schema says it is; text that is none of it stays text and fails the check.
fn typed(text: &str, schema: Option<&Value>) -> Value {
    let is = |kind: &str| match schema.map(|s| &s["type"]) {
        Some(Value::String(one)) => one == kind,
        Some(Value::Array(many)) => many.iter().any(|k| k == kind),
        _ => false,
    };
    if is("integer") {
        if let Ok(number) = text.parse::<i64>() {
            return number.into();
        }
    } else if is("boolean")
        && let Ok(flag) = text.parse::<bool>()
    {
        return flag.into();
    }
    text.into()
}

/// The segments of the path, in order. What cannot name anything (an id that is no UUID) is not found.
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: FromSegments> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let nothing = || Problem::new(&super::problem::NOT_FOUND, "nothing stands at this address");
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| nothing())?;
        let segments: Vec<&str> = params.iter().map(|(_, value)| value).collect();
        if segments.iter().any(|s| s.contains('\0')) {
            return Err(nothing());
        }
        T::from_segments(&segments).map(Self).ok_or_else(nothing)
    }
}

pub trait FromSegments: Sized {
    fn from_segments(segments: &[&str]) -> Option<Self>;
}

impl FromSegments for String {
    fn from_segments(segments: &[&str]) -> Option<Self> {
        segments.first().map(|s| (*s).to_owned())
    }
}

impl FromSegments for uuid::Uuid {
    fn from_segments(segments: &[&str]) -> Option<Self> {
        segments.first()?.parse().ok()
    }
}

impl<A: FromSegments, B: FromSegments> FromSegments for (A, B) {
    fn from_segments(segments: &[&str]) -> Option<Self> {
        Some((A::from_segments(segments)?, B::from_segments(segments.get(1..)?)?))
    }
}
