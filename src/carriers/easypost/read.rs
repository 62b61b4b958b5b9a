//! EasyPost's words, in ours. Pure.

use chrono::{DateTime, NaiveDateTime};
use serde_json::Value;

use crate::carriers::model::label::minor;
use crate::carriers::model::{NewTracking, TrackingStatus};
use crate::carriers::provider::{Books, Bought, News, Quote, Quotes, Refund};
use crate::platform::clock::Timestamp;

/// Of what a carrier says of a parcel, what is kept, in characters.
const DESCRIPTION: usize = 500;
const PLACE: usize = 200;

/// Of names of carriers and services.
const NAME: usize = 100;

/// Messages that are passed on.
const MESSAGES: usize = 20;

/// Whether something can be an id of EasyPost's: it goes into addresses.
pub fn is_name(id: &str) -> bool {
    (1..=255).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

/// A shipment that is not bought.
pub fn quotes(shipment: &Value) -> Option<Quotes> {
    let id = shipment["id"].as_str().filter(|id| is_name(id))?;
    let rates = shipment["rates"].as_array().into_iter().flatten().filter_map(quote).collect();
    let messages = shipment["messages"].as_array().into_iter().flatten().filter_map(|message| {
        let told = message["message"].as_str()?;
        let carrier = message["carrier"].as_str().unwrap_or("a carrier");
        Some(short(&format!("{carrier}: {told}"), DESCRIPTION))
    });
    Some(Quotes { shipment: id.to_owned(), rates, messages: messages.take(MESSAGES).collect() })
}

/// None of a rate that we could not keep as it is.
fn quote(rate: &Value) -> Option<Quote> {
    let text = |name: &str| rate[name].as_str().map(|text| short(text, NAME)).filter(|text| !text.is_empty());
    let days = rate["delivery_days"].as_i64().or_else(|| rate["est_delivery_days"].as_i64());
    Some(Quote {
        reference: rate["id"].as_str().filter(|id| is_name(id))?.to_owned(),
        carrier: text("carrier")?,
        service: text("service")?,
        price: minor(rate["rate"].as_str()?, rate["currency"].as_str()?)?,
        delivery_days: days.and_then(|days| i32::try_from(days).ok()).filter(|days| *days >= 0),
    })
}

/// A shipment, however far it is.
pub fn books(shipment: &Value) -> Books {
    let refund = match shipment["refund_status"].as_str() {
        Some("submitted") => Some(Refund::UnderWay),
        // Of what is paid when it is scanned, there is nothing to pay back.
        Some("refunded" | "not_applicable") => Some(Refund::Granted),
        Some("rejected") => Some(Refund::Rejected),
        _ => None,
    };
    let reports = match tracker(&shipment["tracker"]) {
        Some(News::Reports { reports, .. }) => reports,
        _ => Vec::new(),
    };
    Books { bought: bought(shipment), refund, reports }
}

fn bought(shipment: &Value) -> Option<Bought> {
    let label = &shipment["postage_label"];
    let paper = label["label_pdf_url"].as_str().or_else(|| label["label_url"].as_str())?;
    let rate = quote(&shipment["selected_rate"])?;
    let number = shipment["tracking_code"].as_str().map(|number| short(number, NAME)).filter(|it| !it.is_empty());
    Some(Bought {
        carrier: rate.carrier,
        service: rate.service,
        tracking_number: number,
        cost: Some(rate.price),
        paper: paper.to_owned(),
    })
}

/// Where a parcel was; none of what has no number.
pub fn tracker(tracker: &Value) -> Option<News> {
    let number = tracker["tracking_code"].as_str().filter(|number| (1..=NAME).contains(&number.chars().count()))?;
    let details = tracker["tracking_details"].as_array().into_iter().flatten();
    let reports = details.filter_map(report).collect();
    Some(News::Reports { tracking_number: number.to_owned(), reports })
}

/// None of what has no time: it would count anew each time.
fn report(detail: &Value) -> Option<NewTracking> {
    let at = time(detail["datetime"].as_str()?)?;
    let place = &detail["tracking_location"];
    let parts = ["city", "state", "country"].iter().filter_map(|name| place[name].as_str()).filter(|it| !it.is_empty());
    let place = parts.collect::<Vec<_>>().join(", ");
    let description = detail["message"].as_str().or_else(|| detail["description"].as_str()).unwrap_or_default();
    let some = |text: &str, most| Some(short(text, most)).filter(|text| !text.is_empty());
    Some(NewTracking {
        status: status(detail["status"].as_str().unwrap_or_default()),
        at: Some(at),
        description: some(description, DESCRIPTION),
        place: some(&place, PLACE),
    })
}

fn status(word: &str) -> TrackingStatus {
    match word {
        "pre_transit" => TrackingStatus::PreTransit,
        "in_transit" => TrackingStatus::InTransit,
        "out_for_delivery" => TrackingStatus::OutForDelivery,
        "delivered" => TrackingStatus::Delivered,
        "available_for_pickup" => TrackingStatus::AvailableForPickup,
        "return_to_sender" => TrackingStatus::ReturnToSender,
        "failure" | "error" => TrackingStatus::Failure,
        "cancelled" => TrackingStatus::Cancelled,
        _ => TrackingStatus::Unknown,
    }
}

/// Some carriers name no zone.
fn time(text: &str) -> Option<Timestamp> {
    let zoned = DateTime::parse_from_rfc3339(text).map(|time| time.to_utc());
    let time =
        zoned.or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").map(|time| time.and_utc()));
    // To the millisecond, as all times are.
    DateTime::from_timestamp_millis(time.ok()?.timestamp_millis()).map(Timestamp)
}

fn short(text: &str, most: usize) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(most).collect();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_word_is_known() {
        let words = [
            ("unknown", "unknown"),
            ("pre_transit", "pre_transit"),
            ("in_transit", "in_transit"),
            ("out_for_delivery", "out_for_delivery"),
            ("delivered", "delivered"),
            ("available_for_pickup", "available_for_pickup"),
            ("return_to_sender", "return_to_sender"),
            ("failure", "failure"),
            ("cancelled", "cancelled"),
            ("error", "failure"),
            ("whatever comes", "unknown"),
        ];
        for (word, ours) in words {
            assert_eq!(status(word).as_str(), ours, "{word}");
        }
    }

    #[test]
    fn a_tracker_is_read_as_far_as_it_makes_sense() {
        let details = json!([
            {"message": "Accepted\0 ", "status": "in_transit", "datetime": "2026-01-02T10:00:00Z",
             "tracking_location": {"city": "Leeds", "state": null, "country": "GB"}},
            {"message": "", "status": "delivered", "datetime": "2026-01-03T10:00:00"},
            {"message": "never", "status": "delivered", "datetime": null},
        ]);
        let Some(News::Reports { tracking_number, reports }) =
            tracker(&json!({"tracking_code": "EZ1", "tracking_details": details}))
        else {
            panic!("it has a number")
        };
        assert_eq!((tracking_number.as_str(), reports.len()), ("EZ1", 2));
        assert_eq!(reports[0].description.as_deref(), Some("Accepted"));
        assert_eq!(reports[0].place.as_deref(), Some("Leeds, GB"));
        assert_eq!((reports[1].description.as_deref(), reports[1].place.as_deref()), (None, None));
        assert!(tracker(&json!({"tracking_code": ""})).is_none() && tracker(&Value::Null).is_none());
    }

    #[test]
    fn a_shipment_is_bought_when_it_has_a_label() {
        let rate = json!({"id": "rate_1", "carrier": "USPS", "service": "First", "rate": "5.49", "currency": "USD"});
        let mut shipment =
            json!({"id": "shp_1", "rates": [rate, {"id": "rate_2", "rate": "free"}], "postage_label": null});
        assert!(books(&shipment).bought.is_none());
        assert_eq!(quotes(&shipment).map(|quotes| quotes.rates.len()), Some(1), "what makes no sense is left out");
        shipment["selected_rate"] = rate;
        shipment["tracking_code"] = json!("EZ1");
        shipment["postage_label"] = json!({"label_url": "https://x/1.pdf"});
        let bought = books(&shipment).bought.unwrap();
        assert_eq!((bought.paper.as_str(), bought.cost.map(|cost| cost.amount)), ("https://x/1.pdf", Some(549)));
        assert!(quotes(&json!({"id": "../x"})).is_none());
    }
}
