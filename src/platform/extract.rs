//! What handlers take: bodies, query parameters and path segments, read and checked in one place.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, RwLock};

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use jsonschema::Validator;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::problem::{BODY_TOO_LARGE, Fault, MALFORMED, Problem, UNSUPPORTED_MEDIA_TYPE};
use super::{Platform, schema};

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
        let value = if body.is_empty() { Value::Object(Map::new()) } else { parse_json(headers, body)? };
        checked(schemas, value).map(Self)
    }
}

/// A JSON merge patch (RFC 7396) to a `T`.
pub struct Patch<T> {
    patch: Value,
    of: std::marker::PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned + serde::Serialize + ToSchema + Send + Sync + 'static> Input for Patch<T> {
    fn read(schemas: &schema::Schemas, headers: &HeaderMap, body: &Bytes) -> Result<Self, Problem> {
        let patch = parse_json(headers, body)?;
        let Value::Object(members) = &patch else {
            return Err(Problem::fault("", "type", "a merge patch is a JSON object"));
        };
        // What the members hold is checked when they are merged (`apply`): below the top, null removes.
        let unknown = members.keys().filter(|name| !schemas.has_property(&T::name(), name));
        let faults: Vec<Fault> = unknown.map(|name| schema::unknown_field("", name)).collect();
        if !faults.is_empty() {
            return Err(Problem::validation(faults));
        }
        Ok(Self { patch, of: std::marker::PhantomData })
    }
}

impl<T: DeserializeOwned + serde::Serialize + ToSchema> Patch<T> {
    /// `current` with the patch applied, checked like a whole `T`.
    pub fn apply(&self, schemas: &schema::Schemas, current: &T) -> Result<T, Problem> {
        let mut merged = serde_json::to_value(current).expect("resources are plain data");
        merge(&mut merged, &self.patch);
        checked(schemas, merged)
    }
}

/// The schema of a patch: that of `T` with nothing required and `null` allowed, to set back a field.
impl<T: ToSchema> utoipa::PartialSchema for Patch<T> {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::RefOr;
        use utoipa::openapi::schema::{AdditionalProperties, OneOfBuilder, Schema, SchemaType, Type};
        let RefOr::T(Schema::Object(mut object)) = T::schema() else { panic!("patches are of plain objects") };
        object.required.clear();
        object.default = None;
        object.description =
            Some("A JSON merge patch (RFC 7396): null sets a field back, what is left out stays".into());
        for property in object.properties.values_mut() {
            match property {
                RefOr::T(Schema::Object(inner)) => {
                    allow_null(inner);
                    // In a map, null takes an entry away.
                    if let Some(entries) = &mut inner.additional_properties
                        && let AdditionalProperties::RefOr(RefOr::T(Schema::Object(entry))) = entries.as_mut()
                    {
                        allow_null(entry);
                    }
                }
                RefOr::T(Schema::Array(inner)) => {
                    inner.schema_type = SchemaType::Array(vec![Type::Array, Type::Null]);
                }
                RefOr::T(Schema::OneOf(_)) => {}
                other => {
                    let null = utoipa::openapi::schema::ObjectBuilder::new().schema_type(Type::Null);
                    *other = RefOr::T(Schema::OneOf(OneOfBuilder::new().item(null).item(other.clone()).build()));
                }
            }
        }
        RefOr::T(Schema::Object(object))
    }
}

fn allow_null(object: &mut utoipa::openapi::schema::Object) {
    use utoipa::openapi::schema::{SchemaType, Type};
    if let SchemaType::Type(kind) = &object.schema_type {
        object.schema_type = SchemaType::Array(vec![kind.clone(), Type::Null]);
    }
}

impl<T: ToSchema> ToSchema for Patch<T> {
    fn name() -> std::borrow::Cow<'static, str> {
        format!("{}Patch", T::name()).into()
    }

    /// The whole's own schema goes into the document too: what a patch makes of it is checked against it.
    fn schemas(schemas: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::schema::Schema>)>) {
        schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(schemas);
    }
}

/// RFC 7396: members replace, null removes, objects merge.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let members = target.as_object_mut().expect("made an object above");
    for (name, change) in patch {
        if change.is_null() {
            members.remove(name);
        } else {
            merge(members.entry(name.clone()).or_insert(Value::Null), change);
        }
    }
}

pub(super) fn parse_json(headers: &HeaderMap, body: &Bytes) -> Result<Value, Problem> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence != "application/json" && essence != "application/merge-patch+json" {
        let detail = format!("Content-Type is '{content_type}'; send application/json");
        return Err(Problem::new(&UNSUPPORTED_MEDIA_TYPE, detail));
    }
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| Problem::new(&MALFORMED, format!("the body is not valid JSON: {error}")))?;
    if schema::depth(&value) > schema::MAX_DEPTH {
        let detail = format!("the body is nested deeper than {} levels", schema::MAX_DEPTH);
        return Err(Problem::new(&MALFORMED, detail));
    }
    Ok(value)
}

fn checked<T: DeserializeOwned + ToSchema>(schemas: &schema::Schemas, value: Value) -> Result<T, Problem> {
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

/// Reads the whole body, within the limit that the router sets.
pub async fn read_body<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(&BODY_TOO_LARGE, "the body is larger than this server takes"),
        _ => Problem::new(&MALFORMED, "the body was cut off"),
    })
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
        let mut value = Map::new();
        let mut faults = Vec::new();
        for (name, text) in url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
            let schema = parameters.iter().find(|p| p.name == name).and_then(|p| serde_json::to_value(&p.schema).ok());
            if value.insert(name.clone().into_owned(), typed(&text, schema.as_ref())).is_some() {
                let pointer = format!("/query/{}", schema::escape(&name));
                faults.push(Fault::new(pointer, "repeated", "give this parameter once"));
            }
        }
        let value = Value::Object(value);
        let found = QUERY_VALIDATORS.read().expect("never poisoned").get(&TypeId::of::<T>()).cloned();
        let validator = found.unwrap_or_else(|| {
            let made = Arc::new(platform(parts).schemas.query_validator(&parameters));
            QUERY_VALIDATORS.write().expect("never poisoned").insert(TypeId::of::<T>(), made.clone());
            made
        });
        let found = schema::faults_of(&validator, &value);
        faults.extend(found.into_iter().map(|f| Fault { pointer: format!("/query{}", f.pointer), ..f }));
        if !faults.is_empty() {
            return Err(Problem::validation(faults));
        }
        deserialize(value, "/query").map(Self)
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn merge_follows_the_examples_of_rfc_7396() {
        for (mut target, patch, expected) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            merge(&mut target, &patch);
            assert_eq!(target, expected);
        }
    }
}
