//! Request bodies and query parameters are checked against the very schemas that the OpenAPI
//! document publishes. So the document's limits are the server's limits, and one pass finds every
//! fault with its pointer.

use std::collections::HashMap;
use std::sync::OnceLock;

use jsonschema::error::{ValidationError, ValidationErrorKind};
use jsonschema::{Draft, Registry, Validator};
use serde_json::{Value, json};
use utoipa::openapi::path::Parameter;

use super::problem::Fault;

/// The faults listed for one request; more help nobody.
const MAX_FAULTS: usize = 100;

/// Where the document's components are, for schemas that refer to them. A validator keeps a copy of what is beside its
/// schema: with the components there, each would be two megabytes.
const DOCUMENT: &str = "stockhold:openapi";

/// A validator for each schema of the document, by its component name.
pub struct Schemas {
    /// Deeper documents are refused.
    pub max_depth: usize,
    components: Registry<'static>,
    /// Compiled when first asked for: a hundred of them would be most of a server's start.
    by_name: HashMap<String, OnceLock<Validator>>,
}

impl Schemas {
    pub fn from_document(document: &utoipa::openapi::OpenApi, max_depth: usize) -> Self {
        let mut document = serde_json::to_value(document).expect("the document is plain data");
        Self::of(document["components"].take(), max_depth)
    }

    /// From the document's components as they are written.
    pub fn of(components: Value, max_depth: usize) -> Self {
        let names = components["schemas"].as_object().into_iter().flatten().map(|(name, _)| name.clone());
        let by_name = names.map(|name| (name, OnceLock::new())).collect();
        let document = json!({"components": components});
        let components = Registry::new().draft(Draft::Draft202012).add(DOCUMENT, document).and_then(|it| it.prepare());
        let components =
            components.unwrap_or_else(|error| panic!("the components refer to what is not there: {error}"));
        Self { max_depth, components, by_name }
    }

    /// Every fault of `value` as a `name`; empty when it is valid. Panics when a schema of ours is no schema:
    /// a programming error, which the tests of every body find.
    pub fn faults(&self, name: &str, value: &Value) -> Vec<Fault> {
        let slot =
            self.by_name.get(name).unwrap_or_else(|| panic!("request type {name} is not in the OpenAPI document"));
        let validator =
            slot.get_or_init(|| self.compile(&json!({"$ref": format!("{DOCUMENT}#/components/schemas/{name}")})));
        faults_of(validator, value)
    }

    /// A validator for the query parameters of one operation, as one object.
    pub fn query_validator(&self, parameters: &[Parameter]) -> Validator {
        let properties: serde_json::Map<_, _> = parameters.iter().map(|p| (p.name.clone(), schema_of(p))).collect();
        let required: Vec<_> =
            parameters.iter().filter(|p| p.required == utoipa::openapi::Required::True).map(|p| &p.name).collect();
        self.compile(&json!({
            "type": "object", "properties": properties, "required": required, "additionalProperties": false,
        }))
    }

    fn compile(&self, schema: &Value) -> Validator {
        jsonschema::options()
            .with_draft(Draft::Draft202012)
            .with_registry(&self.components)
            .should_validate_formats(true)
            .build(schema)
            .unwrap_or_else(|error| panic!("a schema of the OpenAPI document is no schema: {error}"))
    }
}

/// A parameter's schema, outside of the document.
fn schema_of(parameter: &Parameter) -> Value {
    let mut schema = serde_json::to_value(&parameter.schema).unwrap_or_default();
    link(&mut schema);
    schema
}

fn link(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(link)) = members.get_mut("$ref") {
                link.insert_str(0, DOCUMENT);
            }
            members.values_mut().for_each(link);
        }
        Value::Array(items) => items.iter_mut().for_each(link),
        _ => {}
    }
}

pub fn faults_of(validator: &Validator, value: &Value) -> Vec<Fault> {
    let mut faults = Vec::new();
    // To know that there is none takes a fraction of the time that it takes to tell them.
    if !validator.is_valid(value) {
        for error in validator.iter_errors(value) {
            explain(&error, &mut faults);
            if faults.len() >= MAX_FAULTS {
                break;
            }
        }
    }
    find_nul(value, &mut String::new(), &mut faults);
    faults
}

/// Turns a validation error into faults. Of an optional object the schema says "null, or this": what
/// the caller needs to hear is what is wrong with "this".
fn explain(error: &ValidationError<'_>, faults: &mut Vec<Fault>) {
    let pointer = error.instance_path().to_string();
    match error.kind() {
        ValidationErrorKind::OneOfNotValid { context } | ValidationErrorKind::AnyOf { context } => {
            let meant = context.iter().filter(|branch| !branch.iter().any(|e| is_wrong_type_at(e, &pointer)));
            match meant.min_by_key(|branch| branch.len()) {
                Some(branch) => branch.iter().for_each(|e| explain(e, faults)),
                None => faults.push(Fault::new(pointer, "type", error.to_string())),
            }
        }
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            faults.extend(unexpected.iter().map(|name| unknown_field(&pointer, name)));
        }
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            faults.push(Fault::new(format!("{pointer}/{}", escape(name)), "required", "this field is required"));
        }
        kind => {
            // What somebody means as a password is not repeated, for answers are logged and kept.
            let secret = pointer.ends_with("password");
            let detail = if secret { error.masked().to_string() } else { error.to_string() };
            faults.push(Fault::new(pointer, &snake_case(kind.keyword()), detail));
        }
    }
}

/// The fault of a member that nobody knows, of the object at `pointer`.
pub fn unknown_field(pointer: &str, name: &str) -> Fault {
    Fault::new(format!("{pointer}/{}", escape(name)), "unknown_field", "this field is not known here")
}

fn is_wrong_type_at(error: &ValidationError<'_>, pointer: &str) -> bool {
    matches!(error.kind(), ValidationErrorKind::Type { .. }) && error.instance_path().to_string() == pointer
}

/// Postgres text cannot hold U+0000, and nothing that people name contains it.
fn find_nul(value: &Value, pointer: &mut String, faults: &mut Vec<Fault>) {
    let length = pointer.len();
    match value {
        Value::String(text) if text.contains('\0') => {
            faults.push(Fault::new(pointer.clone(), "nul", "the character U+0000 is not allowed"));
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointer.push_str(&format!("/{index}"));
                find_nul(item, pointer, faults);
                pointer.truncate(length);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                pointer.push_str(&format!("/{}", escape(name)));
                if name.contains('\0') {
                    faults.push(Fault::new(pointer.clone(), "nul", "the character U+0000 is not allowed"));
                }
                find_nul(member, pointer, faults);
                pointer.truncate(length);
            }
        }
        _ => {}
    }
}

/// Escapes a member's name for a JSON pointer (RFC 6901).
pub fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn snake_case(keyword: &str) -> String {
    keyword.chars().fold(String::new(), |mut out, c| {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(value: Value) -> Vec<(String, String)> {
        let schemas = Schemas::of(
            json!({"schemas": {
                "Product": {
                    "type": "object",
                    "required": ["sku"],
                    "additionalProperties": false,
                    "properties": {
                        "sku": {"type": "string", "maxLength": 3},
                        "price": {"oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/Money"}]},
                        "lines": {"type": "array", "items": {"type": "integer", "minimum": 1}},
                    },
                },
                "Money": {"type": "object", "required": ["amount"], "properties": {"amount": {"type": "integer"}}},
            }}),
            32,
        );
        schemas.faults("Product", &value).into_iter().map(|f| (f.pointer, f.code)).collect()
    }

    #[test]
    fn every_fault_is_found_with_its_pointer() {
        let found = faults(json!({"price": {"amount": "x"}, "lines": [1, 0, "a\u{0}"], "a/b": 1}));
        for expected in [
            ("/sku", "required"),
            ("/price/amount", "type"),
            ("/lines/1", "minimum"),
            ("/lines/2", "type"),
            ("/lines/2", "nul"),
            ("/a~1b", "unknown_field"),
        ] {
            assert!(found.contains(&(expected.0.into(), expected.1.into())), "{expected:?} missing in {found:?}");
        }
    }

    #[test]
    fn valid_documents_have_none() {
        assert_eq!(faults(json!({"sku": "A", "price": null, "lines": []})), []);
    }
}
