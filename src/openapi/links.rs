//! Where an answer leads: every operation on the thing that was answered, with the parameters that name it.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::openapi::link::{Link, LinkBuilder};
use utoipa::openapi::path::{Operation, ParameterIn, PathItem};
use utoipa::openapi::{OpenApi, Ref, RefOr, Response};

use super::{inline, operations_mut};

/// A thing that is answered, the addresses at which it stands, and where the answer has what they are made of.
struct Resource {
    schema: &'static str,
    stands_at: &'static [&'static str],
    /// Path parameters, and the runtime expressions that give them
    named_by: &'static [(&'static str, &'static str)],
}

const fn resource(
    schema: &'static str,
    stands_at: &'static [&'static str],
    named_by: &'static [(&'static str, &'static str)],
) -> Resource {
    Resource { schema, stands_at, named_by }
}

const RESOURCES: &[Resource] = &[
    resource("Warehouse", &["/v1/warehouses/{code}"], &[("code", "$response.body#/code")]),
    resource("Channel", &["/v1/channels/{code}"], &[("code", "$response.body#/code")]),
    resource("Product", &["/v1/products/{sku}", "/v1/stock/{sku}"], &[("sku", "$response.body#/sku")]),
    resource("StockView", &["/v1/products/{sku}", "/v1/stock/{sku}"], &[("sku", "$response.body#/sku")]),
    resource(
        "Booked",
        &["/v1/stock/{sku}"],
        &[("sku", "$response.body#/movement/sku"), ("warehouse", "$response.body#/level/warehouse")],
    ),
    resource("Reservation", &["/v1/reservations/{id}"], &[("id", "$response.body#/id")]),
    resource("Cart", &["/v1/carts/{id}"], &[("id", "$response.body#/id"), ("line_id", "$response.body#/lines/0/id")]),
    resource("KnownCustomer", &["/v1/customers/{id}"], &[("id", "$response.body#/id")]),
    resource("Order", &["/v1/orders/{id}"], &[("id", "$response.body#/id"), ("line_id", "$response.body#/lines/0/id")]),
    resource("Shipment", &["/v1/orders/{id}"], &[("id", "$request.path.id"), ("shipment_id", "$response.body#/id")]),
    resource(
        "ShipmentTracking",
        &["/v1/orders/{id}"],
        &[("id", "$request.path.id"), ("shipment_id", "$response.body#/shipment_id")],
    ),
    resource("Label", &["/v1/labels/{id}"], &[("id", "$response.body#/id")]),
    resource("PaymentDetail", &["/v1/payments/{id}"], &[("id", "$response.body#/id")]),
    resource("Workflow", &["/v1/workflows/{code}"], &[("code", "$response.body#/code")]),
    resource("WorkflowRun", &["/v1/orders/{id}"], &[("id", "$response.body#/order_id")]),
    resource("ReturnRequest", &["/v1/return-requests/{id}"], &[("id", "$response.body#/id")]),
    resource("Return", &["/v1/orders/{id}"], &[("id", "$request.path.id")]),
    resource("Transfer", &["/v1/transfers/{id}"], &[("id", "$response.body#/id")]),
    resource("FeedSource", &["/v1/feeds/{source}"], &[("source", "$response.body#/code")]),
    resource("Key", &["/v1/keys/{id}"], &[("id", "$response.body#/id")]),
    resource("User", &["/v1/users/{id}"], &[("id", "$response.body#/id")]),
    resource("Role", &["/v1/roles/{name}"], &[("name", "$response.body#/name")]),
    resource("IssuedKey", &["/v1/keys/{id}"], &[("id", "$response.body#/id")]),
    resource("Webhook", &["/v1/webhooks/{id}"], &[("id", "$response.body#/id")]),
    resource("Subscription", &["/v1/subscriptions/{id}"], &[("id", "$response.body#/id")]),
    resource("Job", &["/v1/jobs/{id}"], &[("id", "$response.body#/id")]),
    resource("JobDetail", &["/v1/jobs/{id}"], &[("id", "$response.body#/id")]),
    resource("IssuedWebhook", &["/v1/webhooks/{id}"], &[("id", "$response.body#/id")]),
    resource(
        "WebhookDelivery",
        &["/v1/webhooks/{id}"],
        &[("id", "$request.path.id"), ("delivery", "$response.body#/id")],
    ),
];

pub(super) fn add(document: &mut OpenApi) {
    let targets: Vec<Target> = document.paths.paths.iter().flat_map(|(path, item)| targets_at(path, item)).collect();
    for (_, _, operation) in operations_mut(document) {
        let own = operation.operation_id.clone().unwrap_or_default();
        let pages = operation.parameters.iter().flatten().filter_map(inline).any(|p| p.name == "cursor");
        for (status, response) in &mut operation.responses.responses {
            let RefOr::T(response) = response else { continue };
            if !status.starts_with('2') {
                continue;
            }
            if pages {
                let next = BTreeMap::from([("cursor".to_owned(), "$response.body#/next_cursor".into())]);
                response.links.insert("next_page".to_owned(), link(&own, next));
            }
            let Some(resource) = answered(response) else { continue };
            for target in targets.iter().filter(|target| target.id != own) {
                if let Some(parameters) = target.parameters_from(resource) {
                    response.links.insert(target.id.clone(), link(&target.id, parameters));
                }
            }
        }
    }
}

/// An operation that a link may lead to.
struct Target {
    id: String,
    path: String,
    in_path: Vec<String>,
}

fn targets_at(path: &str, item: &PathItem) -> Vec<Target> {
    let operations = [&item.get, &item.post, &item.put, &item.patch, &item.delete];
    let target = |operation: &Operation| Target {
        id: operation.operation_id.clone().unwrap_or_default(),
        path: path.to_owned(),
        in_path: operation
            .parameters
            .iter()
            .flatten()
            .filter_map(inline)
            .filter(|parameter| parameter.parameter_in == ParameterIn::Path)
            .map(|parameter| parameter.name.clone())
            .collect(),
    };
    operations.into_iter().flatten().map(target).collect()
}

impl Target {
    /// All of its path parameters, if it is about `resource` and the answer has them all.
    fn parameters_from(&self, resource: &Resource) -> Option<BTreeMap<String, Value>> {
        let about = |address: &&str| {
            self.path.strip_prefix(*address).is_some_and(|rest| matches!(rest.bytes().next(), None | Some(b'/')))
        };
        if !resource.stands_at.iter().any(about) {
            return None;
        }
        let given = |name: &String| {
            let (_, expression) = resource.named_by.iter().find(|(parameter, _)| parameter == name)?;
            Some((name.clone(), Value::from(*expression)))
        };
        self.in_path.iter().map(given).collect()
    }
}

fn answered(response: &Response) -> Option<&'static Resource> {
    let RefOr::T(content) = response.content.get("application/json")? else { return None };
    let RefOr::Ref(Ref { ref_location, .. }) = content.schema.as_ref()? else { return None };
    let name = ref_location.strip_prefix("#/components/schemas/")?;
    RESOURCES.iter().find(|resource| resource.schema == name)
}

fn link(operation_id: &str, parameters: BTreeMap<String, Value>) -> RefOr<Link> {
    let link = LinkBuilder::new().operation_id(operation_id);
    RefOr::T(parameters.into_iter().fold(link, |link, (name, value)| link.parameter(name, value)).build())
}
