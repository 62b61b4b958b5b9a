//! What is sold.

use std::collections::{BTreeMap, HashSet};

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};

use super::state::Policy;
use crate::platform::clock::Timestamp;
use crate::platform::money::Money;
use crate::platform::problem::Fault;
use crate::platform::quantity::Quantity;

/// Identifies a product: visible characters, no spaces; case-sensitive
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(
    pattern = r"^[^\s\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]{1,64}$",
    min_length = 1,
    max_length = 64,
    example = "TEA-1"
)]
pub struct Sku(pub String);

/// How many base units a pack holds
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "case", "quantity": 12}))]
pub struct Pack {
    #[schema(min_length = 1, max_length = 50)]
    pub name: String,
    pub quantity: Quantity,
}

/// Which units of a product can be told apart
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tracking {
    #[default]
    None,
    Lot,
    Serial,
}

impl Tracking {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Lot => "lot",
            Self::Serial => "serial",
        }
    }

    pub fn parse(text: &str) -> Self {
        match text {
            "lot" => Self::Lot,
            "serial" => Self::Serial,
            _ => Self::None,
        }
    }
}

/// How a product is sold.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    pub price: Option<Money>,
    /// When it comes out, or came, if that is known
    pub release_date: Option<NaiveDate>,
}

/// Sale before the release
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"release_date": "2027-02-01", "limit": 200}))]
pub struct Preorder {
    pub release_date: NaiveDate,
    /// Units that may be promised before the release
    #[schema(minimum = 0, maximum = 1_000_000_000_000i64)]
    pub limit: i64,
}

/// How the product may be sold beyond what is in stock
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"backorder_limit": 50}))]
pub struct Availability {
    /// Units that may be promised while there is no stock; 0 for none
    #[schema(minimum = 0, maximum = 1_000_000_000_000i64, default = 0)]
    pub backorder_limit: i64,
    /// Sale before the release; its limit takes the place of `backorder_limit` until then
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preorder: Option<Preorder>,
    /// What is left may be sold, nothing beyond it
    #[schema(default = false)]
    pub discontinued: bool,
}

impl Availability {
    pub fn policy(&self) -> Policy {
        Policy {
            backorder_limit: self.backorder_limit,
            preorder: self.preorder.as_ref().map(|p| (p.release_date, p.limit)),
            discontinued: self.discontinued,
        }
    }
}

fn default_unit() -> String {
    "each".to_owned()
}

/// Words that stand where a sku could, in `/v1/products/…` and `/v1/stock/…`, or that clients resolve away.
const RESERVED: &[&str] = &["batch", "query", "movements", "adjustments", "condition-changes", "snapshot", ".", ".."];

fn attributes_schema() -> Schema {
    let any = ObjectBuilder::new().schema_type(SchemaType::AnyValue);
    object_of(any, 100, "Whatever describes it: any JSON values by name, up to 100")
}

fn options_schema() -> Schema {
    let text = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)).max_length(Some(100));
    object_of(text, 10, "In what a variant differs, by name: size, colour")
}

fn object_of(values: ObjectBuilder, most: usize, description: &str) -> Schema {
    let object = ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::Object))
        .additional_properties(Some(Schema::Object(values.build())))
        .max_properties(Some(most))
        .default(Some(serde_json::json!({})))
        .description(Some(description));
    Schema::Object(object.build())
}

/// What is sold
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "sku": "TEA-1", "name": "Assam tea, 250 g", "category": "tea", "attributes": {"origin": "India", "organic": true},
    "barcodes": ["4006381333931"], "packs": [{"name": "case", "quantity": 12}], "price": {"amount": 599, "currency": "EUR"},
    "availability": {"backorder_limit": 20}
}))]
pub struct NewProduct {
    pub sku: Sku,
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
    #[serde(default)]
    #[schema(max_length = 10_000, default = "")]
    pub description: String,
    #[serde(default)]
    #[schema(min_length = 1, max_length = 100)]
    pub category: Option<String>,
    /// Whatever describes it: any JSON values by name
    #[serde(default)]
    #[schema(schema_with = attributes_schema)]
    pub attributes: Map<String, Value>,
    /// GTIN-8, -12, -13 and -14 with a right check digit, or free codes with a letter or another length. Each belongs to one product
    #[serde(default)]
    #[schema(max_items = 20, default = json!([]))]
    pub barcodes: Vec<Barcode>,
    /// Base unit in which all quantities are counted: each, g, ml, mm
    #[serde(default = "default_unit")]
    #[schema(pattern = "^[a-z][a-z0-9_]{0,15}$", default = "each")]
    pub unit: String,
    #[serde(default)]
    #[schema(max_items = 20, default = json!([]))]
    pub packs: Vec<Pack>,
    #[serde(default)]
    pub price: Option<Money>,
    #[serde(default)]
    pub tracking: Tracking,
    /// The product that this is a variant of
    #[serde(default)]
    pub parent: Option<Sku>,
    /// In what a variant differs: size, colour
    #[serde(default)]
    #[schema(schema_with = options_schema)]
    pub options: BTreeMap<String, String>,
    /// Products to offer when this one is short, the best first
    #[serde(default)]
    #[schema(max_items = 20, default = json!([]))]
    pub substitutes: Vec<Sku>,
    #[serde(default)]
    pub availability: Availability,
}

/// A code printed on the product
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(pattern = "^[!-~]{1,48}$", example = "4006381333931")]
pub struct Barcode(pub String);

impl NewProduct {
    /// What a schema cannot say.
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        if RESERVED.contains(&self.sku.0.as_str()) {
            let detail = "this word has a meaning of its own in addresses: choose another sku";
            faults.push(Fault::new("/sku", "reserved", detail));
        }
        let mut seen = HashSet::new();
        for (i, barcode) in self.barcodes.iter().enumerate() {
            let pointer = format!("/barcodes/{i}");
            if !has_right_check_digit(&barcode.0) {
                faults.push(Fault::new(pointer, "check_digit", "the GTIN's last digit does not fit the others"));
            } else if !seen.insert(barcode) {
                faults.push(Fault::new(pointer, "repeated", "this barcode is listed already"));
            }
        }
        let mut seen = HashSet::new();
        for (i, pack) in self.packs.iter().enumerate() {
            if !seen.insert(&pack.name) {
                faults.push(Fault::new(format!("/packs/{i}/name"), "repeated", "there is a pack of this name already"));
            }
        }
        if self.parent.as_ref() == Some(&self.sku) {
            faults.push(Fault::new("/parent", "self", "a product cannot be its own parent"));
        }
        let mut seen = HashSet::new();
        for (i, substitute) in self.substitutes.iter().enumerate() {
            let pointer = format!("/substitutes/{i}");
            if substitute == &self.sku {
                faults.push(Fault::new(pointer, "self", "a product cannot be its own substitute"));
            } else if !seen.insert(substitute) {
                faults.push(Fault::new(pointer, "repeated", "this substitute is listed already"));
            }
        }
        faults
    }

    /// Other products that this one names, with the pointers to them.
    pub fn named(&self) -> Vec<(String, &str)> {
        let parent = self.parent.iter().map(|sku| ("/parent".to_owned(), sku.0.as_str()));
        let substitutes = self.substitutes.iter().enumerate();
        let substitutes = substitutes.map(|(i, sku)| (format!("/substitutes/{i}"), sku.0.as_str()));
        parent.chain(substitutes).collect()
    }
}

/// What has the form of a GTIN (8, 12, 13 or 14 digits) must have its check digit (GS1 General
/// Specifications, section 7.9); other codes are free.
fn has_right_check_digit(code: &str) -> bool {
    if !matches!(code.len(), 8 | 12 | 13 | 14) || !code.bytes().all(|b| b.is_ascii_digit()) {
        return true;
    }
    let weighted = code.bytes().rev().enumerate().map(|(i, b)| u32::from(b - b'0') * if i % 2 == 1 { 3 } else { 1 });
    weighted.sum::<u32>() % 10 == 0
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Product {
    #[serde(flatten)]
    pub fields: NewProduct,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_digits() {
        for good in ["4006381333931", "96385074", "036000291452", "10012345678902", "ABC-12345", "12345"] {
            assert!(has_right_check_digit(good), "{good}");
        }
        for bad in ["4006381333932", "96385075", "036000291453", "10012345678903"] {
            assert!(!has_right_check_digit(bad), "{bad}");
        }
    }
}
