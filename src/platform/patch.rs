//! JSON merge patches (RFC 7396): what they may hold, and what they make of a thing.

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::http::HeaderMap;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use utoipa::openapi::schema::{AdditionalProperties, Object, ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::extract::{Input, checked, parse_json};
use super::problem::Problem;
use super::schema::Schemas;

/// A JSON merge patch to a `T`.
pub struct Patch<T> {
    patch: Value,
    of: std::marker::PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned + Serialize + ToSchema + Send + Sync + 'static> Input for Patch<T> {
    fn read(schemas: &Schemas, headers: &HeaderMap, body: &Bytes) -> Result<Self, Problem> {
        let patch = parse_json(schemas, headers, body)?;
        let faults = schemas.faults(&Self::name(), &patch);
        if !faults.is_empty() {
            return Err(Problem::validation(faults));
        }
        Ok(Self { patch, of: std::marker::PhantomData })
    }
}

impl<T: DeserializeOwned + Serialize + ToSchema> Patch<T> {
    /// `current` with the patch applied, checked like a whole `T`.
    pub fn apply(&self, schemas: &Schemas, current: &T) -> Result<T, Problem> {
        let mut merged = serde_json::to_value(current).expect("resources are plain data");
        merge(&mut merged, &self.patch);
        checked(schemas, merged)
    }
}

/// Members replace, null removes, objects merge.
pub(crate) fn merge(target: &mut Value, patch: &Value) {
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

impl<T: ToSchema> PartialSchema for Patch<T> {
    fn schema() -> RefOr<Schema> {
        let RefOr::T(Schema::Object(object)) = T::schema() else { panic!("patches are of plain objects") };
        RefOr::T(Schema::Object(patch_of(object, &parts_of::<T>())))
    }
}

impl<T: ToSchema> ToSchema for Patch<T> {
    fn name() -> Cow<'static, str> {
        patch_name(&T::name()).into()
    }

    /// The whole's own schema goes into the document too: what a patch makes of it is checked against it.
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(schemas);
        let parts = parts_of::<T>();
        for (name, part) in &parts {
            schemas.push((patch_name(name), RefOr::T(Schema::Object(patch_of(part.clone(), &parts)))));
        }
    }
}

/// The objects that a `T` holds by name, directly or further down: within them, a patch is a patch again.
type Parts = BTreeMap<String, Object>;

fn parts_of<T: ToSchema>() -> Parts {
    let mut schemas = Vec::new();
    T::schemas(&mut schemas);
    let schemas: BTreeMap<_, _> = schemas.into_iter().collect();
    let RefOr::T(Schema::Object(whole)) = T::schema() else { panic!("patches are of plain objects") };
    let mut parts = Parts::new();
    let mut ahead = vec![whole];
    while let Some(object) = ahead.pop() {
        for name in object.properties.values().flat_map(names_in) {
            if let Some(RefOr::T(Schema::Object(part))) = schemas.get(name)
                && !part.properties.is_empty()
                && parts.insert(name.to_owned(), part.clone()).is_none()
            {
                ahead.push(part.clone());
            }
        }
    }
    parts
}

/// The schemas that a property names: what it is, or what it is if not null.
fn names_in(property: &RefOr<Schema>) -> Vec<&str> {
    match property {
        RefOr::Ref(link) => component(link).into_iter().collect(),
        RefOr::T(Schema::OneOf(choice)) => choice.items.iter().flat_map(names_in).collect(),
        RefOr::T(_) => Vec::new(),
    }
}

fn component(link: &Ref) -> Option<&str> {
    link.ref_location.strip_prefix("#/components/schemas/")
}

fn patch_name(name: &str) -> String {
    format!("{name}Patch")
}

/// Nothing is required, and null sets back what the whole does not require.
fn patch_of(mut object: Object, parts: &Parts) -> Object {
    let required = std::mem::take(&mut object.required);
    object.default = None;
    object.description = Some("A JSON merge patch (RFC 7396): null sets a field back, what is left out stays".into());
    for (name, property) in &mut object.properties {
        patch_in_turn(property, parts);
        if !required.contains(name) {
            allow_null(property);
        }
    }
    object
}

/// What is left out of a patch stays, so there are no defaults; an object within is patched in its turn.
fn patch_in_turn(property: &mut RefOr<Schema>, parts: &Parts) {
    match property {
        RefOr::Ref(link) => {
            if let Some(name) = component(link).filter(|name| parts.contains_key(*name)) {
                *link = Ref::from_schema_name(patch_name(name));
            }
        }
        RefOr::T(Schema::OneOf(choice)) => {
            choice.default = None;
            choice.items.iter_mut().for_each(|item| patch_in_turn(item, parts));
        }
        RefOr::T(Schema::Array(array)) => array.default = None,
        RefOr::T(Schema::Object(inner)) => {
            inner.default = None;
            // In a map, null takes an entry away.
            if let Some(entries) = &mut inner.additional_properties
                && let AdditionalProperties::RefOr(entry) = entries.as_mut()
            {
                allow_null(entry);
            }
        }
        RefOr::T(_) => {}
    }
}

fn allow_null(schema: &mut RefOr<Schema>) {
    match schema {
        RefOr::T(Schema::Object(object)) => add_null(&mut object.schema_type),
        RefOr::T(Schema::Array(array)) => add_null(&mut array.schema_type),
        RefOr::T(Schema::OneOf(choice)) if choice.items.iter().any(is_null) => {}
        other => {
            let null = ObjectBuilder::new().schema_type(Type::Null);
            *other = RefOr::T(Schema::OneOf(OneOfBuilder::new().item(null).item(other.clone()).build()));
        }
    }
}

fn add_null(kind: &mut SchemaType) {
    match kind {
        SchemaType::Type(one) => *kind = SchemaType::Array(vec![one.clone(), Type::Null]),
        SchemaType::Array(several) if !several.contains(&Type::Null) => several.push(Type::Null),
        SchemaType::Array(_) | SchemaType::AnyValue => {}
    }
}

fn is_null(schema: &RefOr<Schema>) -> bool {
    matches!(schema, RefOr::T(Schema::Object(object)) if object.schema_type == SchemaType::Type(Type::Null))
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
