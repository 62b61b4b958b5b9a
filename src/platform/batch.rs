//! Batches: the same call many times over, `{"items": […]}` in and each item's own answer out.
//!
//! The envelope is refused as a whole; what is wrong within an item is that item's answer alone.

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::extract::{self, Input};
use super::problem::{Fault, Problem};
use super::reply::Reply;
use super::schema::{self, Schemas};

/// The most items that one batch takes.
pub const MAX_ITEMS: usize = 1000;

/// The body of a batch call: 1 to [`MAX_ITEMS`] items, each checked on its own.
///
/// ```ignore
/// let outcomes = service.create_in_tx(tx, command.body.valid()).await?;
/// Ok(command.body.answer(outcomes)?.reply())
/// ```
pub struct Batch<T> {
    valid: Vec<T>,
    /// What is wrong with the others, by their place in the request
    refused: BTreeMap<usize, Problem>,
}

impl<T> Batch<T> {
    fn gather(items: impl Iterator<Item = Result<T, Problem>>) -> Self {
        let (mut valid, mut refused) = (Vec::new(), BTreeMap::new());
        for (n, item) in items.enumerate() {
            match item {
                Ok(item) => valid.push(item),
                Err(problem) => {
                    refused.insert(n, problem);
                }
            }
        }
        Self { valid, refused }
    }

    /// Looks at each item that is as its schema asks, and refuses those that `check` refuses.
    pub fn refuse(&mut self, mut check: impl FnMut(&mut T) -> Result<(), Problem>) {
        let places: Vec<usize> =
            (0..self.valid.len() + self.refused.len()).filter(|n| !self.refused.contains_key(n)).collect();
        let items = std::mem::take(&mut self.valid);
        for (n, mut item) in places.into_iter().zip(items) {
            match check(&mut item) {
                Ok(()) => self.valid.push(item),
                Err(problem) => {
                    self.refused.insert(n, problem);
                }
            }
        }
    }

    /// The items that are as their schema asks, in the order of the request.
    pub fn valid(&self) -> &[T] {
        &self.valid
    }

    /// Weaves the outcomes of the [`valid`](Self::valid) items, one for each and in their order, with the
    /// refusals of the others. Fails when an outcome is a failure of the server: nothing may be
    /// committed then, and nothing acknowledged.
    pub fn answer<A: Serialize, E: Into<Problem>>(&self, outcomes: Vec<Result<A, E>>) -> Result<BatchAnswer, Problem> {
        self.answer_as(StatusCode::CREATED, outcomes)
    }

    /// The same, of calls that make nothing: 200 is the status of those that succeeded.
    pub fn answer_ok<A: Serialize, E: Into<Problem>>(
        &self,
        outcomes: Vec<Result<A, E>>,
    ) -> Result<BatchAnswer, Problem> {
        self.answer_as(StatusCode::OK, outcomes)
    }

    fn answer_as<A: Serialize, E: Into<Problem>>(
        &self,
        done: StatusCode,
        outcomes: Vec<Result<A, E>>,
    ) -> Result<BatchAnswer, Problem> {
        assert_eq!(outcomes.len(), self.valid.len(), "every valid item of a batch has an outcome");
        let mut outcomes = outcomes.into_iter();
        let woven = (0..self.valid.len() + self.refused.len()).map(|n| match self.refused.get(&n) {
            Some(problem) => Err(problem.clone()),
            None => outcomes.next().expect("counted above").map_err(Into::into),
        });
        BatchAnswer::from(woven.collect(), done.as_u16())
    }
}

impl<T: DeserializeOwned + ToSchema + Send + Sync + 'static> Input for Batch<T> {
    fn read(schemas: &Schemas, headers: &HeaderMap, body: &Bytes) -> Result<Self, Problem> {
        Self::of(schemas, extract::parse_json(schemas, headers, body)?)
    }
}

impl<T: DeserializeOwned + ToSchema> Batch<T> {
    /// From a document that was read.
    pub fn of(schemas: &Schemas, body: Value) -> Result<Self, Problem> {
        let items = items_of(body)?;
        let name = T::name();
        Ok(Self::gather(items.into_iter().map(|item| {
            let faults = schemas.faults(&name, &item);
            if faults.is_empty() { extract::deserialize(item, "") } else { Err(Problem::validation(faults)) }
        })))
    }
}

/// Opens the envelope, with every fault of it; what is in the items is left for later.
fn items_of(body: Value) -> Result<Vec<Value>, Problem> {
    let Value::Object(mut members) = body else {
        return Err(Problem::fault("", "type", "a batch is an object with items"));
    };
    let items = members.remove("items");
    let mut faults: Vec<Fault> = members.keys().map(|name| schema::unknown_field("", name)).collect();
    let (code, detail) = match items {
        Some(Value::Array(items)) if (1..=MAX_ITEMS).contains(&items.len()) => {
            return if faults.is_empty() { Ok(items) } else { Err(Problem::validation(faults)) };
        }
        Some(Value::Array(items)) if items.is_empty() => ("min_items", "at least one item is needed".to_owned()),
        Some(Value::Array(items)) => {
            ("max_items", format!("{} items are more than the {MAX_ITEMS} that one batch takes", items.len()))
        }
        Some(_) => ("type", "items is a list".to_owned()),
        None => ("required", "this field is required".to_owned()),
    };
    faults.push(Fault::new("/items", code, detail));
    Err(Problem::validation(faults))
}

impl<T: ToSchema> PartialSchema for Batch<T> {
    fn schema() -> RefOr<Schema> {
        let items =
            ArrayBuilder::new().items(Ref::from_schema_name(T::name())).min_items(Some(1)).max_items(Some(MAX_ITEMS));
        let example = match T::schema() {
            RefOr::T(Schema::Object(item)) => item.example.map(|item| serde_json::json!({ "items": [item] })),
            _ => None,
        };
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .examples(example)
            .description(Some("Each item is done or refused on its own"))
            .property("items", items)
            .required("items")
            .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)))
            .into()
    }
}

/// The items' own schema goes into the document too: they are checked against it by its name.
impl<T: ToSchema> ToSchema for Batch<T> {
    fn name() -> Cow<'static, str> {
        format!("{}Batch", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(schemas);
    }
}

/// What became of the items of a batch
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"results": [
    {"status": 201, "body": {"sku": "TEA-1"}},
    {"status": 409, "problem": {
        "type": "/problems/already-exists", "title": "It exists already", "status": 409,
        "detail": "there is a product TEA-2 already"
    }}
]}))]
pub struct BatchAnswer {
    /// One for each item, in the order of the request
    pub results: Vec<BatchResult>,
}

/// What became of one item: a `body` when it was done, a `problem` when it was refused
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"status": 201, "body": {"sku": "TEA-1"}}))]
pub struct BatchResult {
    /// The status that the call for this item alone would have had
    #[schema(minimum = 200, maximum = 499)]
    pub status: u16,
    /// The answer that the call for this item alone would have had
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// A problem document; its pointers begin at the batch: `/items/0/sku`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Value>,
}

impl BatchAnswer {
    /// Where every item was refused, nothing was changed.
    pub fn reply(&self) -> Reply {
        let reply = Reply::ok(self);
        if self.results.iter().any(|result| result.body.is_some()) { reply } else { reply.of_no_change() }
    }

    /// The outcomes of all items in order; `done` is the status of those that succeeded. Fails when one
    /// is a failure of the server: a batch must not pass that off as an answer.
    pub fn from<A: Serialize>(outcomes: Vec<Result<A, Problem>>, done: u16) -> Result<Self, Problem> {
        let results = outcomes.into_iter().enumerate().map(|(n, outcome)| match outcome {
            Ok(body) => {
                let body = serde_json::to_value(&body).expect("answers are plain data, which always serialises");
                Ok(BatchResult { status: done, body: Some(body), problem: None })
            }
            Err(problem) if problem.status().is_server_error() => Err(problem),
            Err(problem) => {
                let (status, problem) = (problem.status().as_u16(), problem.at(&format!("/items/{n}")));
                Ok(BatchResult { status, body: None, problem: Some(problem.document(None)) })
            }
        });
        Ok(Self { results: results.collect::<Result<Vec<BatchResult>, Problem>>()? })
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, header};
    use serde::Deserialize;
    use serde_json::json;
    use utoipa::openapi::{ComponentsBuilder, OpenApiBuilder};

    use super::*;
    use crate::platform::problem::{IN_USE, UNAVAILABLE};

    #[derive(Debug, PartialEq, Serialize, Deserialize, ToSchema)]
    #[serde(deny_unknown_fields)]
    struct Thing {
        #[schema(minimum = 1)]
        size: i64,
    }

    fn read(body: &Value) -> Result<Batch<Thing>, Problem> {
        let components = ComponentsBuilder::new()
            .schema(Thing::name(), Thing::schema())
            .schema(Batch::<Thing>::name(), Batch::<Thing>::schema())
            .build();
        let schemas = Schemas::from_document(&OpenApiBuilder::new().components(Some(components)).build(), 32);
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Batch::read(&schemas, &headers, &Bytes::from(body.to_string()))
    }

    #[test]
    fn a_bad_envelope_is_refused_with_every_fault() {
        let many = vec![json!({"size": 1}); MAX_ITEMS + 1];
        for (body, expected) in [
            (json!([]), vec![("", "type")]),
            (json!({}), vec![("/items", "required")]),
            (json!({"items": {}}), vec![("/items", "type")]),
            (json!({"items": []}), vec![("/items", "min_items")]),
            (json!({"items": many}), vec![("/items", "max_items")]),
            (json!({"items": [], "a/b": 1}), vec![("/a~1b", "unknown_field"), ("/items", "min_items")]),
            (json!({"items": [{"size": 1}], "x": 1}), vec![("/x", "unknown_field")]),
        ] {
            let problem = read(&body).err().expect("refused").document(None);
            let errors = problem["errors"].as_array().expect("faults").iter();
            let found: Vec<_> = errors.map(|e| (e["pointer"].as_str(), e["code"].as_str())).collect();
            let expected: Vec<_> = expected.into_iter().map(|(pointer, code)| (Some(pointer), Some(code))).collect();
            assert_eq!(found, expected, "{body}");
        }
    }

    #[test]
    fn each_item_is_answered_on_its_own_and_in_order() {
        let batch =
            read(&json!({"items": [{"size": 0}, {"size": 2}, "x", {"size": 3}]})).expect("the envelope is fine");
        assert_eq!(batch.valid(), [Thing { size: 2 }, Thing { size: 3 }]);
        let outcomes = vec![Ok(&batch.valid()[0]), Err(Problem::new(&IN_USE, "no"))];
        let results = batch.answer(outcomes).expect("nothing failed").results;
        assert_eq!(results.iter().map(|r| r.status).collect::<Vec<_>>(), [422, 201, 422, 409]);
        assert_eq!(results[1].body, Some(json!({"size": 2})));
        let pointer = |n: usize| results[n].problem.as_ref().map(|p| p["errors"][0]["pointer"].clone());
        assert_eq!((pointer(0), pointer(2)), (Some(json!("/items/0/size")), Some(json!("/items/2"))));
    }

    #[test]
    fn a_failure_of_the_server_fails_the_batch() {
        let batch = read(&json!({"items": [{"size": 1}, {"size": 2}]})).expect("valid");
        let outcomes = vec![Ok(1), Err(Problem::new(&UNAVAILABLE, "away"))];
        assert_eq!(batch.answer(outcomes).err().map(|p| p.status()), Some(StatusCode::SERVICE_UNAVAILABLE));
    }
}
