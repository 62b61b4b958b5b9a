//! Customers as they are given, and as they are.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use uuid::Uuid;

use crate::platform::clock::Timestamp;
use crate::platform::problem::Fault;
use crate::warehouses::Address;

/// Where a customer lives, works or has goods sent to
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"label": "Home", "address": {"line1": "1 Mill Lane", "city": "York", "country": "GB"}, "default_shipping": true, "default_billing": true}))]
pub struct CustomerAddress {
    #[schema(min_length = 1, max_length = 100)]
    pub label: Option<String>,
    pub address: Address,
    /// Where orders go that name no address; one of them at most
    #[serde(default)]
    #[schema(default = false)]
    pub default_shipping: bool,
    /// One of them at most
    #[serde(default)]
    #[schema(default = false)]
    pub default_billing: bool,
}

/// Which mails a customer agrees to; each change is written down, with its time and source
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"marketing": true, "order_updates": true, "source": "checkout"}))]
pub struct Consent {
    /// Offers and news
    #[schema(default = false)]
    pub marketing: bool,
    /// How the orders go
    #[schema(default = true)]
    pub order_updates: bool,
    /// Where the customer said so: a form, a till, a letter. It is kept for good, so it names no person
    #[schema(pattern = "^[A-Za-z0-9_.:/-]{1,64}$")]
    pub source: Option<String>,
}

impl Default for Consent {
    fn default() -> Self {
        Self { marketing: false, order_updates: true, source: None }
    }
}

impl Consent {
    /// What an erased customer agrees to.
    pub(super) fn withdrawn() -> Self {
        Self { marketing: false, order_updates: false, source: Some("erasure".to_owned()) }
    }

    /// What is to be written down: of a new customer both, later what is another than it was.
    pub(super) fn changes(&self, before: Option<&Self>) -> Vec<(&'static str, bool)> {
        let of = |consent: &Self| [("marketing", consent.marketing), ("order_updates", consent.order_updates)];
        let before: Vec<(&str, bool)> = before.map(of).into_iter().flatten().collect();
        of(self).into_iter().filter(|now| !before.contains(now)).collect()
    }
}

/// What of a customer can be given and changed
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({
    "reference": "C-17", "name": "Ada Shopper", "email": "ada@example.com", "phone": "+44 20 7946 0000", "language": "en-GB",
    "addresses": [{"label": "Home", "address": {"line1": "1 Mill Lane", "city": "York", "country": "GB"}, "default_shipping": true}],
    "consent": {"marketing": false, "order_updates": true, "source": "checkout"}, "attributes": {"tier": "gold"}
}))]
pub struct CustomerFields {
    /// Whatever you call this customer; no two have the same
    #[schema(min_length = 1, max_length = 200)]
    pub reference: Option<String>,
    #[schema(min_length = 1, max_length = 200)]
    pub name: Option<String>,
    /// Compared without case; several customers may share one
    #[schema(max_length = 254, pattern = r"^[^@\s]+@[^@\s]+$")]
    pub email: Option<String>,
    #[schema(min_length = 1, max_length = 50)]
    pub phone: Option<String>,
    /// A language tag (BCP 47)
    #[schema(max_length = 35, pattern = "^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$")]
    pub language: Option<String>,
    #[schema(max_items = 20)]
    pub addresses: Vec<CustomerAddress>,
    pub consent: Consent,
    #[schema(max_length = 2000)]
    pub note: Option<String>,
    #[schema(schema_with = attributes_schema)]
    pub attributes: Map<String, Value>,
}

fn attributes_schema() -> Schema {
    let any = ObjectBuilder::new().schema_type(SchemaType::AnyValue);
    let object = ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::Object))
        .additional_properties(Some(Schema::Object(any.build())))
        .max_properties(Some(50))
        .default(Some(serde_json::json!({})))
        .description(Some("Whatever else you keep of a customer: any JSON values by name, up to 50 and 16 KiB"));
    Schema::Object(object.build())
}

/// What is wrong with marking these addresses so, of which one may be.
fn one_of(mark: &str, marked: impl Iterator<Item = bool>) -> Vec<Fault> {
    let second = marked.enumerate().filter(|(_, is_marked)| *is_marked).skip(1);
    let fault = |n| Fault::new(format!("/addresses/{n}/{mark}"), "repeated", "another address is the default already");
    second.map(|(n, _)| fault(n)).collect()
}

/// Of all attributes, in bytes of JSON.
const MOST_ATTRIBUTES: usize = 16 * 1024;

impl CustomerFields {
    pub(super) fn faults(&self) -> Vec<Fault> {
        let addresses = || self.addresses.iter();
        let mut faults = one_of("default_shipping", addresses().map(|it| it.default_shipping));
        faults.extend(one_of("default_billing", addresses().map(|it| it.default_billing)));
        let bytes = serde_json::to_vec(&self.attributes).expect("attributes are plain data").len();
        if bytes > MOST_ATTRIBUTES {
            faults.push(Fault::new("/attributes", "too_large", format!("{bytes} bytes of {MOST_ATTRIBUTES}")));
        }
        faults
    }

    /// What remains of an erased customer.
    pub(super) fn erased() -> Self {
        Self { consent: Consent::withdrawn(), ..Self::default() }
    }

    /// The names of what is another than it was.
    pub(super) fn changes(&self, before: &Self) -> BTreeSet<String> {
        let of = |fields: &Self| serde_json::to_value(fields).expect("fields are plain data");
        let (now, before) = (of(self), of(before));
        let all = now.as_object().into_iter().flatten();
        all.filter(|(name, value)| before[name.as_str()] != **value).map(|(name, _)| name.clone()).collect()
    }
}

/// A customer who is known by an id
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct KnownCustomer {
    pub id: Uuid,
    #[serde(flatten)]
    pub fields: CustomerFields,
    /// When all that is personal was taken out
    pub erased_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl KnownCustomer {
    /// Where orders go that name no address.
    pub fn shipping_address(&self) -> Option<&Address> {
        self.fields.addresses.iter().find(|it| it.default_shipping).map(|it| &it.address)
    }

    pub(super) fn person(&self) -> Person {
        Person { id: self.id, email: self.fields.email.clone() }
    }

    /// What may be kept of it elsewhere: by the audit trail, and with an Idempotency-Key.
    pub(super) fn trace(&self) -> Trace<'_> {
        let Self { id, fields, erased_at, created_at, updated_at } = self;
        Trace { id, consent: &fields.consent, erased_at, created_at, updated_at }
    }
}

#[derive(Serialize)]
pub(super) struct Trace<'a> {
    id: &'a Uuid,
    consent: &'a Consent,
    erased_at: &'a Option<Timestamp>,
    created_at: &'a Timestamp,
    updated_at: &'a Timestamp,
}

/// By what others know somebody whose data they hold.
#[derive(Clone, Debug)]
pub struct Person {
    pub id: Uuid,
    pub email: Option<String>,
}

/// A customer said yes or no to something
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({"purpose": "marketing", "granted": true, "source": "checkout", "by_kind": "key", "by_id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1c", "at": "2026-11-23T10:00:00.000Z"}))]
pub struct ConsentChange {
    /// `marketing` or `order_updates`
    pub purpose: String,
    pub granted: bool,
    /// Where the customer said so
    pub source: Option<String>,
    /// Who wrote it down: `key`, `user`, or `server` for an erasure of its own accord
    pub by_kind: String,
    pub by_id: Option<Uuid>,
    pub at: Timestamp,
}

/// All that is held of a customer
#[derive(Debug, Serialize, ToSchema)]
pub struct CustomerExport {
    pub customer: KnownCustomer,
    /// The oldest first
    pub consents: Vec<ConsentChange>,
    /// By where they are: `orders`, and `subscriptions` to products that are awaited by this email
    pub records: BTreeMap<String, Vec<Value>>,
}

/// What to list.
#[derive(Debug, Default)]
pub(super) struct Filter {
    pub email: Option<String>,
    pub reference: Option<String>,
    /// How a name, an email or a reference begins
    pub begins: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(json: Value) -> CustomerFields {
        serde_json::from_value(json).expect("fields")
    }

    #[test]
    fn one_address_is_the_default() {
        let at = |shipping: bool| json!({"address": {}, "default_shipping": shipping, "default_billing": true});
        let faults = fields(json!({"addresses": [at(true), at(false), at(true)]})).faults();
        let at: Vec<&str> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(
            at,
            ["/addresses/2/default_shipping", "/addresses/1/default_billing", "/addresses/2/default_billing"]
        );
    }

    #[test]
    fn attributes_are_bounded() {
        assert_eq!(fields(json!({"attributes": {"a": "x".repeat(16000)}})).faults().len(), 0);
        assert_eq!(fields(json!({"attributes": {"a": "x".repeat(17000)}})).faults().len(), 1);
    }

    #[test]
    fn what_was_consented_to_is_written_down_once() {
        let yes = Consent { marketing: true, ..Consent::default() };
        assert_eq!(yes.changes(None), [("marketing", true), ("order_updates", true)]);
        assert_eq!(yes.changes(Some(&Consent::default())), [("marketing", true)]);
        assert_eq!(yes.changes(Some(&yes)), []);
        assert_eq!(Consent::withdrawn().changes(Some(&yes)), [("marketing", false), ("order_updates", false)]);
    }

    #[test]
    fn changes_are_told_by_name_alone() {
        let (was, is) = (fields(json!({"name": "Ada"})), fields(json!({"name": "Eve", "note": "x"})));
        assert_eq!(is.changes(&was).into_iter().collect::<Vec<_>>(), ["name", "note"]);
    }
}
