//! Labels: what is stuck on a parcel before it leaves. Pure.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::carriers::Error;
use crate::orders::{Order, OrderStatus};
use crate::platform::clock::Timestamp;
use crate::platform::db::text::to_text;
use crate::platform::id;
use crate::platform::money::Money;
use crate::platform::problem::Fault;
use crate::warehouses::{Address, Code};

/// Of what a provider says, what is kept.
const ERROR_KEPT: usize = 1000;

/// Who makes a label
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LabelProvider {
    /// The shop itself, with or without a number of a carrier's
    Manual,
    Easypost,
}

/// Where a label is in its life
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LabelStatus {
    /// The provider is asked for it
    Buying,
    /// It can be printed
    Bought,
    /// The provider refused, and nothing was paid
    Failed,
    /// The provider is asked to take it back, which may take it weeks
    Voiding,
    /// It must not be used
    Voided,
}

/// What is sent, as it stands on the scales
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"weight": 1200, "length": 300, "width": 200, "height": 120}))]
pub struct Parcel {
    /// In grams
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub weight: i64,
    /// In millimetres; give all three, or none
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 10_000)]
    pub length: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 10_000)]
    pub width: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 10_000)]
    pub height: Option<i64>,
}

/// A parcel to ask rates for
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"warehouse": "LONDON", "parcel": {"weight": 1200, "length": 300, "width": 200, "height": 120}}))]
pub struct NewRates {
    /// Where it leaves
    pub warehouse: Code,
    pub parcel: Parcel,
}

/// What a carrier would bring a parcel for
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "rate_id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a30", "provider": "easypost", "carrier": "RoyalMail", "service": "Tracked48",
    "price": {"amount": 549, "currency": "GBP"}, "delivery_days": 2
}))]
pub struct ShippingRate {
    /// With which the label is bought, for a week; what the price holds for is the carrier's to say
    pub rate_id: Uuid,
    pub provider: LabelProvider,
    pub carrier: String,
    pub service: String,
    pub price: Money,
    /// Estimated
    pub delivery_days: Option<i32>,
}

/// What carriers would bring a parcel for, the cheapest first
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ShippingRates {
    pub items: Vec<ShippingRate>,
    /// Why some carriers have none, in their words
    pub messages: Vec<String>,
}

/// A label to make: of the shop's own, or at a rate
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"provider": "manual", "warehouse": "LONDON", "carrier": "Royal Mail", "tracking_number": "RM123456789GB"}))]
pub struct NewLabel {
    pub provider: LabelProvider,
    /// At which it is bought, of `POST /v1/orders/{id}/labels/rates`: all else follows from it
    pub rate_id: Option<Uuid>,
    /// Where the parcel leaves; only for `manual`, as all that follows
    pub warehouse: Option<Code>,
    #[schema(min_length = 1, max_length = 100)]
    pub carrier: Option<String>,
    #[schema(min_length = 1, max_length = 100)]
    pub service: Option<String>,
    /// Visible characters of ASCII and spaces, so that it can be a barcode; without one, that is the order's number
    #[schema(pattern = "^[!-~]([ -~]{0,38}[!-~])?$", max_length = 40)]
    pub tracking_number: Option<String>,
    pub parcel: Option<Parcel>,
}

/// What is stuck on a parcel
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a31", "order_id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b", "order_number": 1001,
    "channel": "web", "warehouse": "LONDON", "provider": "manual", "status": "bought", "carrier": "Royal Mail", "service": null,
    "tracking_number": "RM123456789GB", "cost": null, "parcel": null, "provider_reference": null, "last_error": null,
    "created_at": "2026-11-23T09:30:00.000Z", "updated_at": "2026-11-23T09:30:00.000Z"
}))]
pub struct Label {
    pub id: Uuid,
    pub order_id: Uuid,
    pub order_number: i64,
    /// Of its order
    pub channel: Option<String>,
    /// Where the parcel leaves
    pub warehouse: String,
    pub provider: LabelProvider,
    pub status: LabelStatus,
    pub carrier: String,
    pub service: Option<String>,
    /// Known when it is bought
    pub tracking_number: Option<String>,
    /// What the provider asks for it; not known of the shop's own
    pub cost: Option<Money>,
    pub parcel: Option<Parcel>,
    /// What the provider calls it
    pub provider_reference: Option<String>,
    pub last_error: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A rate as it was kept, with what the provider needs to know it again.
#[derive(Clone, Debug)]
pub struct KeptRate {
    pub id: Uuid,
    pub order_id: Uuid,
    pub warehouse: String,
    pub shipment_reference: String,
    pub rate_reference: String,
    pub carrier: String,
    pub service: String,
    pub price: Money,
    pub delivery_days: Option<i32>,
    pub parcel: Parcel,
}

/// What to list.
#[derive(Debug, Default)]
pub struct LabelFilter {
    pub order_id: Option<Uuid>,
    pub status: Option<LabelStatus>,
    pub warehouses: Option<Vec<String>>,
    pub channels: Option<Vec<String>>,
}

type Result<T> = std::result::Result<T, Error>;

impl Parcel {
    pub fn faults(&self, pointer: &str) -> Vec<Fault> {
        let given = [self.length, self.width, self.height].iter().flatten().count();
        let detail = "give length, width and height, or none of them";
        (!given.is_multiple_of(3)).then(|| Fault::new(pointer, "incomplete", detail)).into_iter().collect()
    }
}

impl NewLabel {
    /// What is missing, and what is too much.
    pub fn faults(&self) -> Vec<Fault> {
        let is_manual = self.provider == LabelProvider::Manual;
        let fields = [
            ("rate_id", self.rate_id.is_some(), !is_manual, !is_manual),
            ("warehouse", self.warehouse.is_some(), is_manual, is_manual),
            ("carrier", self.carrier.is_some(), is_manual, is_manual),
            ("service", self.service.is_some(), is_manual, false),
            ("tracking_number", self.tracking_number.is_some(), is_manual, false),
            ("parcel", self.parcel.is_some(), is_manual, false),
        ];
        let provider = to_text(self.provider);
        let faults = fields.into_iter().filter_map(|(name, is_given, is_known, is_needed)| {
            let pointer = format!("/{name}");
            match (is_given, is_known, is_needed) {
                (true, false, _) => {
                    Some(Fault::new(pointer, "unexpected", format!("this does not go with the provider {provider}")))
                }
                (false, _, true) => Some(Fault::new(pointer, "required", format!("a label by {provider} needs it"))),
                _ => None,
            }
        });
        let of_parcel = self.parcel.iter().flat_map(|parcel| parcel.faults("/parcel"));
        faults.chain(of_parcel).collect()
    }
}

impl Label {
    /// One of the shop's own. `new` has no faults.
    pub fn manual(order: &Order, new: &NewLabel) -> Self {
        Self {
            status: LabelStatus::Bought,
            service: new.service.clone(),
            tracking_number: new.tracking_number.clone(),
            parcel: new.parcel.clone(),
            ..Self::of(
                order,
                LabelProvider::Manual,
                new.warehouse.as_ref().map(|code| code.0.clone()).unwrap_or_default(),
                new.carrier.clone().unwrap_or_default(),
            )
        }
    }

    /// One that is to be bought.
    pub fn at_rate(order: &Order, rate: &KeptRate) -> Self {
        Self {
            service: Some(rate.service.clone()),
            cost: Some(rate.price.clone()),
            parcel: Some(rate.parcel.clone()),
            provider_reference: Some(rate.shipment_reference.clone()),
            ..Self::of(order, LabelProvider::Easypost, rate.warehouse.clone(), rate.carrier.clone())
        }
    }

    fn of(order: &Order, provider: LabelProvider, warehouse: String, carrier: String) -> Self {
        let now = Timestamp::now();
        Self {
            id: id::new(),
            order_id: order.head.id,
            order_number: order.head.number,
            channel: order.head.channel.clone(),
            warehouse,
            provider,
            status: LabelStatus::Buying,
            carrier,
            service: None,
            tracking_number: None,
            cost: None,
            parcel: None,
            provider_reference: None,
            last_error: None,
            created_at: now,
            updated_at: now,
        }
    }

    /// What a void makes of it.
    pub fn to_void(&self) -> Result<LabelStatus> {
        match (self.status, self.provider) {
            (LabelStatus::Bought, LabelProvider::Manual) => Ok(LabelStatus::Voided),
            (LabelStatus::Bought, LabelProvider::Easypost) => Ok(LabelStatus::Voiding),
            (status, _) => Err(Error::State(format!("a label that is {} cannot be voided", to_text(status)))),
        }
    }

    pub fn check_printable(&self) -> Result<()> {
        if self.status == LabelStatus::Bought {
            return Ok(());
        }
        Err(Error::State(format!("there is nothing to print of a label that is {}", to_text(self.status))))
    }
}

/// Whether parcels of an order may be got ready.
pub fn check_open(order: &Order) -> Result<()> {
    match (order.head.status, &order.head.held_for) {
        (OrderStatus::Cancelled | OrderStatus::Draft, _) => {
            Err(Error::State("the order is cancelled, or not placed yet: there is nothing to send".to_owned()))
        }
        (_, Some(why)) => Err(Error::State(format!("it must not be shipped yet: {why}"))),
        _ => Ok(()),
    }
}

/// What an address lacks that a carrier needs.
pub fn lacking(address: &Address) -> Vec<&'static str> {
    let fields = [("line1", &address.line1), ("city", &address.city), ("country", &address.country)];
    let is_empty = |field: &Option<String>| field.as_deref().is_none_or(|text| text.trim().is_empty());
    fields.into_iter().filter(|(_, field)| is_empty(field)).map(|(name, _)| name).collect()
}

/// As it is kept.
pub fn kept(error: &str) -> String {
    error.replace('\0', "\u{fffd}").chars().take(ERROR_KEPT).collect()
}

/// An amount as providers write it ("5.49"), in minor units of its currency; none where it is not one.
pub fn minor(amount: &str, currency: &str) -> Option<Money> {
    let decimals = match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "VND" | "VUV"
        | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    };
    let (whole, part) = amount.split_once('.').unwrap_or((amount, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(part) || currency.len() != 3 {
        return None;
    }
    // What is less than a minor unit is rounded up: it is paid.
    let (kept, rest) = part.split_at(part.len().min(decimals));
    let units: i128 = format!("{whole}{kept:0<decimals$}").parse().ok()?;
    let more = rest.bytes().any(|digit| digit != b'0');
    Money::sum(units + i128::from(more), currency)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_in_minor_units() {
        let amount = |text: &str, currency: &str| minor(text, currency).map(|money| money.amount);
        assert_eq!(amount("5.49", "USD"), Some(549));
        assert_eq!(amount("5.5", "EUR"), Some(550));
        assert_eq!(amount("5", "GBP"), Some(500));
        assert_eq!(amount("5.494", "USD"), Some(550));
        assert_eq!(amount("5.4900", "USD"), Some(549));
        assert_eq!((amount("700.00", "JPY"), amount("1.2345", "KWD")), (Some(700), Some(1235)));
        for wrong in ["", "-1", "1e3", "1,5", ".5", "x", "99999999999999999999999999999999999999999"] {
            assert_eq!(amount(wrong, "USD"), None, "{wrong}");
        }
        assert_eq!(amount("1", "US"), None);
    }

    #[test]
    fn each_provider_has_fields_of_its_own() {
        let new = |value| serde_json::from_value::<NewLabel>(value).unwrap();
        let codes = |value| {
            let faults = new(value).faults();
            faults.iter().map(|fault| format!("{} {}", fault.pointer, fault.code)).collect::<Vec<_>>().join(", ")
        };
        let rate = Uuid::nil();
        assert_eq!(codes(serde_json::json!({"provider": "manual", "warehouse": "A", "carrier": "DPD"})), "");
        assert_eq!(codes(serde_json::json!({"provider": "easypost", "rate_id": rate})), "");
        assert_eq!(
            codes(serde_json::json!({"provider": "manual", "rate_id": rate, "parcel": {"weight": 1, "width": 1}})),
            "/rate_id unexpected, /warehouse required, /carrier required, /parcel incomplete"
        );
        assert_eq!(
            codes(serde_json::json!({"provider": "easypost", "service": "x", "warehouse": "A"})),
            "/rate_id required, /warehouse unexpected, /service unexpected"
        );
    }
}
