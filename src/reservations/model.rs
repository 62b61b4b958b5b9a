//! Reservations as they are asked for, and as they are.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Error;
use crate::access::Limits;
use crate::inventory::{Demand, Held, HeldBy, HoldRequest, Sku, Sourced, Wish};
use crate::platform::clock::Timestamp;
use crate::platform::coalesce::Keys;
use crate::platform::problem::Problem;
use crate::platform::quantity::Quantity;
use crate::warehouses::{Code, Location};

/// How long a reservation lives when the call does not say, in seconds.
const DEFAULT_TTL: i64 = 900;

fn default_ttl() -> i64 {
    DEFAULT_TTL
}

/// What is to be held
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"sku": "TEA-1", "quantity": 2}))]
pub struct NewReservationLine {
    pub sku: Sku,
    pub quantity: Quantity,
    /// Only from this warehouse
    pub warehouse: Option<Code>,
}

/// Stock to hold for a while
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"lines": [{"sku": "TEA-1", "quantity": 2}], "ttl_seconds": 900, "owner": "cart-4711"}))]
pub struct NewReservation {
    /// Several lines may name one product
    #[schema(min_items = 1, max_items = 1000)]
    pub lines: Vec<NewReservationLine>,
    /// How long it lives, in seconds on the database's clock: up to a week
    #[serde(default = "default_ttl")]
    #[schema(minimum = 1, maximum = 604_800, default = 900)]
    pub ttl_seconds: i64,
    /// For whom: a cart, a session, a till. Up to 100 reservations of one owner may be alive
    #[schema(min_length = 1, max_length = 128)]
    pub owner: Option<String>,
    /// A reservation of the same owner whose stock is given up for this one, in one step. If this one is
    /// refused, that one stays
    pub replace: Option<Uuid>,
    /// The channel that sells: its warehouses, buffers and sourcing rules apply
    pub channel: Option<Code>,
    /// Hold what there is when there is not enough, rather than nothing
    #[serde(default)]
    #[schema(default = false)]
    pub allow_partial: bool,
    /// Whatever you call it
    #[schema(min_length = 1, max_length = 200)]
    pub reference: Option<String>,
    /// Where the goods will go, for sourcing by distance
    pub ship_to: Option<Location>,
}

impl NewReservation {
    pub(super) fn hold(&self, reservation_id: Uuid) -> HoldRequest {
        let demands = self.lines.iter().map(|line| Demand {
            sku: line.sku.0.clone(),
            quantity: line.quantity.0,
            warehouse: line.warehouse.as_ref().map(|code| code.0.clone()),
        });
        let wish = Wish {
            demands: demands.collect(),
            channel: self.channel.as_ref().map(|code| code.0.clone()),
            ship_to: self.ship_to.clone().unwrap_or_default(),
        };
        HoldRequest {
            reservation_id,
            wish,
            ttl_seconds: self.ttl_seconds,
            allow_partial: self.allow_partial,
            replaces: self.replace.into_iter().collect(),
        }
    }

    /// Keeps the request to what its caller is limited to, and fills in what leaves no choice.
    pub(super) fn keep_within(&mut self, limits: &Limits) -> Result<(), Problem> {
        self.channel = limits.channels.choose(self.channel.take().map(|code| code.0))?.map(Code);
        for line in &mut self.lines {
            line.warehouse = limits.warehouses.choose(line.warehouse.take().map(|code| code.0))?.map(Code);
        }
        Ok(())
    }

    /// Whether this may replace what it names, as far as that is `known` to its caller. One that has
    /// expired or was released has nothing left to give up, and does not stand in the way.
    pub(super) fn check_replacing(&self, known: Option<&Reservation>) -> Result<(), Error> {
        let Some(id) = self.replace else { return Ok(()) };
        let Some(owner) = &self.owner else { return Err(Error::ReplaceNeedsOwner) };
        match known {
            Some(old) if old.owner.as_ref() != Some(owner) => Err(Error::NotYours(id)),
            Some(old) if old.status == Status::Committed => Err(Error::Ended(old.status)),
            Some(_) => Ok(()),
            None => Err(Error::NotYours(id)),
        }
    }

    /// What is locked for it: its products, and its owner.
    pub(super) fn skus(&self) -> impl Iterator<Item = String> {
        self.lines.iter().map(|line| line.sku.0.clone())
    }

    pub(super) fn keys(&self) -> Keys {
        let products = self.lines.iter().map(|line| ("product", line.sku.0.as_str()));
        Keys::of(products.chain(self.owner.as_deref().map(|owner| ("owner", owner)))).gathered()
    }
}

/// Where a reservation is in its life
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ReservationStatus)]
pub enum Status {
    Active,
    /// It became an order
    Committed,
    Released,
    Expired,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Committed => "committed",
            Self::Released => "released",
            Self::Expired => "expired",
        }
    }

    /// Text of our own column, which a CHECK keeps to these four.
    pub(super) fn parse(text: &str) -> Self {
        match text {
            "committed" => Self::Committed,
            "released" => Self::Released,
            "expired" => Self::Expired,
            _ => Self::Active,
        }
    }
}

/// Units held in one warehouse
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"warehouse": "LONDON", "quantity": 2}))]
pub struct HeldPart {
    pub warehouse: String,
    pub quantity: i64,
}

/// What a line holds
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"sku": "TEA-1", "quantity": 2, "requested": 2, "allocations": [{"warehouse": "LONDON", "quantity": 2}], "backordered": 0}))]
pub struct ReservationLine {
    pub sku: String,
    /// Units held
    pub quantity: i64,
    /// Units asked for: more than held only after `allow_partial`
    pub requested: i64,
    pub allocations: Vec<HeldPart>,
    /// Units promised beyond what is in stock
    pub backordered: i64,
    /// The warehouse that the line insists on
    #[serde(default)]
    pub warehouse: Option<String>,
}

impl ReservationLine {
    fn new(demand: &Demand, sourced: &Sourced) -> Self {
        let parts = sourced.parts.iter();
        Self {
            sku: demand.sku.clone(),
            quantity: sourced.quantity(),
            requested: demand.quantity,
            allocations: parts.map(|p| HeldPart { warehouse: p.warehouse.clone(), quantity: p.quantity }).collect(),
            backordered: sourced.backordered,
            warehouse: demand.warehouse.clone(),
        }
    }
}

/// Stock held for a while
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b", "status": "active", "owner": "cart-4711", "channel": null, "reference": null,
    "created_at": "2026-11-23T09:30:00.000Z", "expires_at": "2026-11-23T09:45:00.000Z", "ended_at": null, "order_id": null,
    "lines": [{"sku": "TEA-1", "quantity": 2, "requested": 2, "allocations": [{"warehouse": "LONDON", "quantity": 2}], "backordered": 0, "warehouse": null}]
}))]
pub struct Reservation {
    pub id: Uuid,
    pub status: Status,
    pub owner: Option<String>,
    pub channel: Option<String>,
    pub reference: Option<String>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    /// The order that it became
    pub order_id: Option<Uuid>,
    pub lines: Vec<ReservationLine>,
}

impl Reservation {
    /// What was made of a request, by what is held for it.
    pub(super) fn new(request: &NewReservation, hold: &HoldRequest, held: &Held) -> Self {
        let demands = &hold.wish.demands;
        Self {
            id: hold.reservation_id,
            status: Status::Active,
            owner: request.owner.clone(),
            channel: request.channel.as_ref().map(|code| code.0.clone()),
            reference: request.reference.clone(),
            created_at: held.now,
            expires_at: held.expires_at,
            ended_at: None,
            order_id: None,
            lines: demands.iter().zip(&held.lines).map(|(d, s)| ReservationLine::new(d, s)).collect(),
        }
    }

    /// Whether a caller with these limits may see and touch it: all of it lies inside.
    pub(super) fn is_within(&self, limits: &Limits) -> bool {
        limits.channels.reaches(self.channel.as_deref())
            && self.lines.iter().all(|line| {
                let held = line.allocations.iter().all(|part| limits.warehouses.allows(&part.warehouse));
                held && (line.backordered == 0 || limits.warehouses.reaches(line.warehouse.as_deref()))
            })
    }

    /// Each product once. A sku has no space in it.
    pub(super) fn skus(&self) -> String {
        let skus: BTreeSet<&str> = self.lines.iter().map(|line| line.sku.as_str()).collect();
        skus.into_iter().collect::<Vec<_>>().join(" ")
    }

    /// What inventory holds for it while it is alive.
    pub(super) fn held_by(&self) -> HeldBy {
        let rows = |line: &ReservationLine| line.allocations.len() + usize::from(line.backordered > 0);
        HeldBy {
            reservation_id: self.id,
            skus: self.lines.iter().map(|line| line.sku.clone()).collect(),
            rows: self.lines.iter().map(rows).sum(),
        }
    }

    /// It, while it is alive.
    pub fn alive(self) -> Result<Self, super::Error> {
        if self.status == Status::Active { Ok(self) } else { Err(super::Error::Ended(self.status)) }
    }

    /// How it ended, for a call that found it ended: what still reads as active has expired in the meantime.
    pub(super) fn ended_status(&self) -> Status {
        if self.status == Status::Active { Status::Expired } else { self.status }
    }
}

/// What to list.
#[derive(Debug, Default)]
pub struct Filter {
    pub owner: Option<String>,
    pub status: Option<Status>,
    pub sku: Option<String>,
    /// Through any of these
    pub channels: Option<Vec<String>>,
}
