//! Where shipments are, and what is stuck on them. Pure.

pub mod label;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::orders::Shipment;
use crate::platform::clock::Timestamp;

/// Where a shipment is, in the words that all carriers' reports are brought to
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TrackingStatus {
    /// Announced, and not with the carrier yet
    PreTransit,
    InTransit,
    OutForDelivery,
    Delivered,
    /// It waits where the customer fetches it
    AvailableForPickup,
    ReturnToSender,
    Failure,
    Cancelled,
    Unknown,
}

impl TrackingStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PreTransit => "pre_transit",
            Self::InTransit => "in_transit",
            Self::OutForDelivery => "out_for_delivery",
            Self::Delivered => "delivered",
            Self::AvailableForPickup => "available_for_pickup",
            Self::ReturnToSender => "return_to_sender",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
        }
    }

    /// In words for customers.
    pub fn told(self) -> &'static str {
        match self {
            Self::PreTransit => "Announced to the carrier",
            Self::InTransit => "On its way",
            Self::OutForDelivery => "Out for delivery",
            Self::Delivered => "Delivered",
            Self::AvailableForPickup => "Ready to be picked up",
            Self::ReturnToSender => "On its way back to us",
            Self::Failure => "Could not be delivered",
            Self::Cancelled => "Cancelled",
            Self::Unknown => "Handed to the carrier",
        }
    }
}

/// What is known of where a shipment is
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"status": "in_transit", "at": "2026-11-23T09:30:00.000Z", "description": "Sorted", "place": "Leeds"}))]
pub struct NewTracking {
    pub status: TrackingStatus,
    /// When it was there, if not now
    pub at: Option<Timestamp>,
    #[schema(min_length = 1, max_length = 500)]
    pub description: Option<String>,
    #[schema(min_length = 1, max_length = 200)]
    pub place: Option<String>,
}

/// A report of where a shipment was
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({"status": "in_transit", "at": "2026-11-23T09:30:00.000Z", "description": "Sorted", "place": "Leeds"}))]
pub struct TrackingEvent {
    pub status: TrackingStatus,
    pub at: Timestamp,
    pub description: Option<String>,
    pub place: Option<String>,
}

/// Where a shipment is, and was
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ShipmentTracking, example = json!({
    "order_id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b", "shipment_id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1d", "carrier": "DPD",
    "tracking_number": "15501234567890", "tracking_url": "https://tracking.dpd.de/status/en_US/parcel/15501234567890",
    "status": "in_transit", "delivered_at": null,
    "events": [{"status": "in_transit", "at": "2026-11-23T09:30:00.000Z", "description": "Sorted", "place": "Leeds"}]
}))]
pub struct Tracking {
    pub order_id: Uuid,
    pub shipment_id: Uuid,
    pub carrier: Option<String>,
    pub tracking_number: Option<String>,
    /// At the carrier's, where it is one of `GET /v1/carriers`
    pub tracking_url: Option<String>,
    /// That of the newest report; `unknown` before the first
    pub status: TrackingStatus,
    pub delivered_at: Option<Timestamp>,
    /// The newest first
    pub events: Vec<TrackingEvent>,
}

impl Tracking {
    /// `events` has the newest first.
    pub fn new(shipment: &Shipment, url: Option<String>, events: Vec<TrackingEvent>) -> Self {
        Self {
            order_id: shipment.order_id,
            shipment_id: shipment.id,
            carrier: shipment.carrier.clone(),
            tracking_number: shipment.tracking_number.clone(),
            tracking_url: url,
            status: events.first().map_or(TrackingStatus::Unknown, |newest| newest.status),
            delivered_at: shipment.delivered_at,
            events,
        }
    }
}

/// Where customers see how their order goes
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({"url": "https://shop.example.com/track/dGhpcyBpcyBub3QgYSByZWFsIHRva2VuLCBidXQgbG9uZw"}))]
pub struct TrackingLink {
    /// Below `public_url`; a path, where that is not set
    pub url: String,
}
