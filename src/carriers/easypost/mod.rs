//! EasyPost: a shipment is made for a parcel, has rates, and is bought at one of them. It is bought once at most.

mod call;
mod read;
mod signature;

use bytes::Bytes;
use serde_json::{Value, json};

use super::model::label::Parcel;
use super::provider::{Books, Bought, Consignment, Message, News, Provider, ProviderError, Quotes, Sender};
use super::settings::Settings;
use call::Calls;

type Result<T> = std::result::Result<T, ProviderError>;

pub struct EasyPost {
    calls: Calls,
    webhook_secret: String,
}

impl EasyPost {
    pub fn new(settings: &Settings) -> Self {
        Self { calls: Calls::new(settings), webhook_secret: settings.easypost_webhook_secret.clone() }
    }
}

impl Provider for EasyPost {
    async fn rates(&self, it: &Consignment<'_>) -> Result<Quotes> {
        let shipment = json!({
            "from_address": address(it.from), "to_address": address(it.to), "parcel": parcel(it.parcel),
            "reference": it.reference, "options": {"label_format": "PDF", "label_size": "4x6"},
        });
        let made = self.calls.post("/v2/shipments", &json!({ "shipment": shipment })).await?;
        read::quotes(&made).ok_or_else(|| ProviderError::Again("the shipment cannot be read".to_owned()))
    }

    async fn buy_label(&self, shipment: &str, rate: &str) -> Result<Books> {
        let bought = self.calls.post(&format!("/v2/shipments/{shipment}/buy"), &json!({"rate": {"id": rate}})).await?;
        Ok(read::books(&bought))
    }

    async fn void(&self, shipment: &str) -> Result<Books> {
        let asked = self.calls.post(&format!("/v2/shipments/{shipment}/refund"), &json!({})).await?;
        Ok(read::books(&asked))
    }

    async fn track(&self, shipment: &str) -> Result<Books> {
        Ok(read::books(&self.calls.get(&format!("/v2/shipments/{shipment}")).await?))
    }

    async fn paper(&self, bought: &Bought) -> Result<Bytes> {
        self.calls.document(&bought.paper).await
    }

    fn verify_webhook(&self, signature: &str, body: &[u8]) -> std::result::Result<Message, &'static str> {
        signature::verify(&self.webhook_secret, signature, body)?;
        let event: Value = serde_json::from_slice(body).map_err(|_| "it is no JSON")?;
        let id = event["id"].as_str().filter(|id| read::is_name(id)).ok_or("it has no id")?;
        let result = &event["result"];
        let news = match result["object"].as_str() {
            Some("Tracker") => read::tracker(result),
            Some("Refund") => result["shipment_id"].as_str().map(|id| News::Shipment(id.to_owned())),
            // A shipment that was invoiced, say.
            _ => None,
        };
        Ok(Message { id: id.to_owned(), news: news.unwrap_or(News::Other) })
    }
}

fn address(of: &Sender) -> Value {
    let address = &of.party.address;
    json!({
        "name": of.party.name, "street1": address.line1, "street2": address.line2, "city": address.city,
        "state": address.region, "zip": address.postal_code, "country": address.country,
        "phone": of.phone, "email": of.email,
    })
}

/// In ounces and inches, to a tenth and up, as EasyPost takes them.
fn parcel(of: &Parcel) -> Value {
    let up = |value: f64| (value * 10.0 - 1e-9).ceil() / 10.0;
    let inches = |mm: Option<i64>| mm.map(|mm| up(mm as f64 / 25.4));
    let mut parcel = json!({"weight": up(of.weight as f64 / 28.349_523_125)});
    for (name, side) in [("length", of.length), ("width", of.width), ("height", of.height)] {
        if let Some(side) = inches(side) {
            parcel[name] = json!(side);
        }
    }
    parcel
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parcel_is_never_told_smaller_than_it_is() {
        let of = |weight, side| parcel(&Parcel { weight, length: side, width: side, height: side });
        assert_eq!(of(454, None), json!({"weight": 16.1}));
        assert_eq!(of(1, Some(254)), json!({"weight": 0.1, "length": 10.0, "width": 10.0, "height": 10.0}));
    }
}
