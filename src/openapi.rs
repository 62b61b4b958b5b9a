//! The OpenAPI document: what every operation shares is written here, once.

mod links;

use std::collections::BTreeMap;

use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::ArrayItems;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, HttpMethod, InfoBuilder, LicenseBuilder, ObjectBuilder, OpenApi, OpenApiBuilder,
    Ref, RefOr, Required, Response, ResponseBuilder, Schema, SchemaFormat, Type,
};
use utoipa::{PartialSchema, ToSchema};

use crate::platform::command::IDEMPOTENCY_KEY_PATTERN;
use crate::platform::entity_tag;
use crate::platform::problem::{Fault, ProblemDocument};

const DESCRIPTION: &str = "Inventory, warehouses, reservations and orders.

Programs send a key as `Authorization: Bearer <key>`; people log in with `POST /v1/session`. Every POST that changes \
something takes an `Idempotency-Key`: the same key and body give the first answer again. Errors are problem details (RFC 9457) that list every fault with a JSON \
pointer. Lists page by `cursor`. Quantities are whole numbers of the product's base unit; money is in minor units; times \
are RFC 3339 in UTC. The character U+0000 is refused everywhere.";

const TAGS: &[(&str, &str)] = &[
    ("products", "What is sold"),
    ("stock", "Levels, the ledger, and what is available"),
    ("reservations", "Holds with a time-to-live"),
    ("carts", "What shoppers are about to buy, held for them"),
    ("orders", "From the sale to the doorstep, and back"),
    ("customers", "Who buys, what they consented to, and what is held of them"),
    ("warehouses", "Places that hold stock"),
    ("channels", "Places that sell, and how their orders find a warehouse"),
    ("transfers", "Goods between warehouses"),
    ("feeds", "What other systems report of stock"),
    ("events", "What happened"),
    ("notices", "Mails to who waits for a product"),
    ("payments", "Money for orders"),
    ("returns", "Goods that come back"),
    ("workflows", "The steps that orders go through"),
    ("labels", "What is stuck on parcels, and lies in them"),
    ("carriers", "Where shipments are"),
    ("access", "Who may call, and what"),
    ("operations", "Health, metrics, jobs and the self-check"),
];

/// What the routers' operations are added to.
pub fn base() -> OpenApi {
    let key = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("An API key")).build();
    let session = "The session of a user, which `POST /v1/session` opens";
    let session = ApiKeyValue::with_description("__Host-stockhold", session);
    let csrf = "For changes in a session: the token that the log-in and `GET /v1/session` give";
    let csrf = ApiKeyValue::with_description("X-CSRF-Token", csrf);
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("stockhold")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(DESCRIPTION))
                .license(Some(
                    LicenseBuilder::new().name("MIT OR Apache-2.0").identifier(Some("MIT OR Apache-2.0")).build(),
                )),
        )
        .tags(Some(TAGS.iter().map(|(name, text)| TagBuilder::new().name(*name).description(Some(*text)).build())))
        .components(Some(
            ComponentsBuilder::new()
                .security_scheme("key", SecurityScheme::Http(key))
                .security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(session)))
                .security_scheme("csrf", SecurityScheme::ApiKey(ApiKey::Header(csrf)))
                .schema(ProblemDocument::name(), ProblemDocument::schema())
                .schema(Fault::name(), Fault::schema())
                .build(),
        ))
        .build()
}

/// Adds to each operation what follows from its method, its body and its parameters.
pub fn finish(mut document: OpenApi) -> OpenApi {
    merge_parts(&mut document);
    for (path, method, operation) in operations_mut(&mut document) {
        let api = path.starts_with("/v1/") || path == "/metrics";
        let callers = if api { callers(operation) } else { Callers::Everybody };
        operation.security = Some(callers.security(&method));
        if api {
            share(operation, &method, path, &callers);
        }
    }
    links::add(&mut document);
    document
}

fn operations_mut(document: &mut OpenApi) -> impl Iterator<Item = (&str, HttpMethod, &mut Operation)> {
    document.paths.paths.iter_mut().flat_map(|(path, item)| {
        let methods = [
            (HttpMethod::Get, &mut item.get),
            (HttpMethod::Post, &mut item.post),
            (HttpMethod::Put, &mut item.put),
            (HttpMethod::Patch, &mut item.patch),
            (HttpMethod::Delete, &mut item.delete),
        ];
        methods.into_iter().filter_map(|(method, operation)| Some((path.as_str(), method, operation.as_mut()?)))
    })
}

/// Whom an operation is for, as it says in its `security`.
enum Callers {
    Everybody,
    /// Users who have logged in, whatever they may do
    Users,
    /// Keys and users with this scope
    With(String),
}

fn callers(operation: &Operation) -> Callers {
    let security = serde_json::to_value(&operation.security).expect("the document is plain data");
    match security[0]["key"][0].as_str() {
        Some(scope) => Callers::With(scope.to_owned()),
        None if security[0].get("session").is_some() => Callers::Users,
        // `security(())`: with none at all, the guard would not know.
        None => Callers::Everybody,
    }
}

impl Callers {
    /// Any one of these opens. What browsers send by themselves is not enough for more than reading.
    fn security(&self, method: &HttpMethod) -> Vec<SecurityRequirement> {
        let session = |scope: Option<&String>| {
            let session = SecurityRequirement::new("session", scope);
            if *method == HttpMethod::Get { session } else { session.add("csrf", None::<String>) }
        };
        match self {
            Self::Everybody => Vec::new(),
            Self::Users => vec![session(None)],
            Self::With(scope) => vec![SecurityRequirement::new("key", [scope]), session(Some(scope))],
        }
    }
}

/// What consists of several schemas becomes one: each of them forbids members that it does not know, and
/// so, side by side, they forbid each other's.
fn merge_parts(document: &mut OpenApi) {
    let Some(components) = &mut document.components else { return };
    let known = components.schemas.clone();
    components.schemas.values_mut().for_each(|schema| merge_parts_of(schema, &known));
}

fn merge_parts_of(schema: &mut RefOr<Schema>, known: &BTreeMap<String, RefOr<Schema>>) {
    let RefOr::T(own) = schema else { return };
    match own {
        Schema::Object(object) => object.properties.values_mut().for_each(|property| merge_parts_of(property, known)),
        Schema::Array(array) => {
            if let ArrayItems::RefOrSchema(items) = &mut array.items {
                merge_parts_of(items, known);
            }
        }
        Schema::AllOf(parts) => {
            let mut whole =
                ObjectBuilder::new().schema_type(Type::Object).description(parts.description.clone()).build();
            for part in &parts.items {
                let part = match part {
                    RefOr::Ref(link) => known.get(link.ref_location.trim_start_matches("#/components/schemas/")),
                    own => Some(own),
                };
                if let Some(RefOr::T(Schema::Object(part))) = part {
                    whole.properties.extend(part.properties.clone());
                    whole.required.extend(part.required.clone());
                }
            }
            *own = Schema::Object(whole);
        }
        _ => {}
    }
}

/// What is posted and changes nothing.
const ASKING: [&str; 2] = ["/v1/stock/query", "/v1/orders/{id}/labels/rates"];

fn share(operation: &mut Operation, method: &HttpMethod, path: &str, callers: &Callers) {
    let known = !matches!(callers, Callers::Everybody);
    let changes = *method != HttpMethod::Get && !ASKING.contains(&path) && known;
    let has_body = operation.request_body.is_some();
    let parameters: Vec<&Parameter> = operation.parameters.iter().flatten().filter_map(inline).collect();
    let has_query = parameters.iter().any(|p| p.parameter_in == ParameterIn::Query);
    let has_cursor = parameters.iter().any(|p| p.name == "cursor" || p.name == "after");
    if changes && *method == HttpMethod::Post {
        let description = "Makes the call safe to repeat: the same key and body give the first answer again, with \
                           `Idempotency-Replayed: true`. Kept for a day at least";
        header(operation, "Idempotency-Key", description, IDEMPOTENCY_KEY_PATTERN, None);
        problem(
            operation,
            "409",
            "A request with the same Idempotency-Key is still running (`idempotency-in-progress`)",
        );
        problem(
            operation,
            "422",
            "A field is not valid (`validation`), or the Idempotency-Key belongs to another request (`idempotency-key-reused`)",
        );
    }
    if changes && *method != HttpMethod::Post {
        let description = "The `ETag` of the version that the change is meant for";
        header(operation, "If-Match", description, entity_tag::PATTERN, Some(entity_tag::FORMAT));
        problem(operation, "422", "`If-Match` is no list of versions (`validation`)");
        problem(operation, "412", "It has changed meanwhile (`precondition-failed`)");
    }
    if has_body {
        problem(operation, "400", "The body could not be read (`malformed-request`)");
        problem(operation, "408", "The body took too long to arrive (`request-timeout`)");
        problem(operation, "413", "The body is too large (`body-too-large`)");
        problem(operation, "415", "The body is not JSON (`unsupported-media-type`)");
    }
    if has_cursor {
        problem(operation, "400", "The cursor is not one of ours (`invalid-cursor`)");
    }
    if has_body || has_query {
        problem(operation, "422", "A field or parameter is not valid (`validation`): `errors` lists every fault");
    }
    if known {
        problem(operation, "401", "A valid key or session is needed (`unauthenticated`)");
        problem(operation, "403", "The scope is missing, or the caller is limited to other places (`forbidden`)");
    }
    if known && *method != HttpMethod::Get {
        problem(operation, "403", "In a session, the X-CSRF-Token is missing or wrong (`csrf`)");
    }
    problem(
        operation,
        "429",
        "Too many requests of this key or address (`too-many-requests`); see `Retry-After` and `RateLimit`",
    );
    problem(operation, "500", "The server failed (`internal`)");
    problem(
        operation,
        "503",
        "The database is away, or the server is stopping (`unavailable`), has too much to do (`overloaded`), or took too long (`timed-out`); see `Retry-After`",
    );
    let responses = operation.responses.responses.iter_mut();
    for (status, response) in responses {
        if let RefOr::T(response) = response
            && (status.starts_with('4') || status.starts_with('5'))
        {
            as_problem(response);
        }
    }
    // Refused before it is a request: the one error without a problem document.
    problem(operation, "431", "The request line and the header fields are larger than the server allows; no body");
}

fn inline(parameter: &RefOr<Parameter>) -> Option<&Parameter> {
    match parameter {
        RefOr::T(parameter) => Some(parameter),
        RefOr::Ref(_) => None,
    }
}

fn header(operation: &mut Operation, name: &str, description: &str, pattern: &str, format: Option<&str>) {
    let format = format.map(|name| SchemaFormat::Custom(name.to_owned()));
    let text = ObjectBuilder::new().schema_type(Type::String).format(format).pattern(Some(pattern));
    let parameter = ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(RefOr::T(Schema::Object(text.build()))))
        .build();
    operation.parameters.get_or_insert_default().push(RefOr::T(parameter));
}

/// Documents an error, beside what the operation itself says of that status.
fn problem(operation: &mut Operation, status: &str, description: &str) {
    match operation.responses.responses.get_mut(status) {
        Some(RefOr::T(response)) if response.description != description => {
            response.description = format!("{}. {description}", response.description.trim_end_matches('.'));
        }
        Some(_) => {}
        None => {
            let response = ResponseBuilder::new().description(description).build();
            operation.responses.responses.insert(status.to_owned(), RefOr::T(response));
        }
    }
}

fn as_problem(response: &mut Response) {
    // What is shown to people is a page, also where it is none.
    if response.content.contains_key("text/html") {
        return;
    }
    let schema = Ref::from_schema_name(ProblemDocument::name());
    let content = ContentBuilder::new().schema(Some(schema)).build();
    response.content.clear();
    response.content.insert("application/problem+json".to_owned(), RefOr::T(content));
}
