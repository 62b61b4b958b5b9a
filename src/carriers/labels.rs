//! Labels as they are asked for: made here, or written down to be bought by a job.

use sqlx::PgConnection;
use uuid::Uuid;

use super::model::label::{
    KeptRate, Label, LabelFilter, LabelProvider, LabelStatus, NewLabel, NewRates, ShippingRate, ShippingRates,
    check_open, lacking,
};
use super::papers::{self, LabelPaper, Party};
use super::provider::{Consignment, Provider, ProviderError, Sender};
use super::repo::labels as repo;
use super::{Carriers, Error, Result, bring_on, events};
use crate::access::Limits;
use crate::events::Events;
use crate::orders::Order;
use crate::platform::id;
use crate::platform::jobs::enqueue_in_tx;
use crate::platform::page::{Page, PageRequest};
use crate::platform::problem::Fault;
use crate::warehouses::Warehouse;

/// Days for which rates are kept.
const RATES_DAYS: i32 = 7;

impl Carriers {
    /// Asks what carriers would bring a parcel for. The provider is called, so no transaction may be open.
    pub(super) async fn rates(&self, order: &str, new: &NewRates, limits: &Limits) -> Result<ShippingRates> {
        let faults = new.parcel.faults("/parcel");
        if !faults.is_empty() {
            return Err(Error::Invalid(faults));
        }
        let order = self.orders.get(order, limits).await?;
        check_open(&order)?;
        let mut conn = self.db.conn().await?;
        let from = self.sender(&mut conn, &new.warehouse.0).await?;
        drop(conn);
        let to = recipient(&order)?;
        let Some(easypost) = &self.easypost else {
            return Ok(ShippingRates { items: Vec::new(), messages: Vec::new() });
        };
        let busy = || ProviderError::Again("too many ask for rates just now: try again in a moment".to_owned());
        let _place = self.asking.try_acquire().map_err(|_| Error::Provider(busy()))?;
        let reference = format!("order {} from {}", order.head.number, new.warehouse.0);
        let consignment = Consignment { from: &from, to: &to, parcel: &new.parcel, reference };
        let quotes = easypost.rates(&consignment).await.map_err(Error::Provider)?;
        let mut rates: Vec<KeptRate> = quotes
            .rates
            .into_iter()
            .map(|quote| KeptRate {
                id: id::new(),
                order_id: order.head.id,
                warehouse: new.warehouse.0.clone(),
                shipment_reference: quotes.shipment.clone(),
                rate_reference: quote.reference,
                carrier: quote.carrier,
                service: quote.service,
                price: quote.price,
                delivery_days: quote.delivery_days,
                parcel: new.parcel.clone(),
            })
            .collect();
        rates.sort_by(|one, other| one.price.amount.cmp(&other.price.amount).then(one.id.cmp(&other.id)));
        let mut tx = self.db.begin().await?;
        repo::insert_rates(&mut tx, &rates, RATES_DAYS).await?;
        tx.commit().await?;
        Ok(ShippingRates { items: rates.iter().map(ShippingRate::from).collect(), messages: quotes.messages })
    }

    /// Makes a label of the shop's own, or writes down which is to be bought. The order's row is locked.
    pub(super) async fn make_label_in_tx(
        &self,
        conn: &mut PgConnection,
        order: &Order,
        new: &NewLabel,
        limits: &Limits,
    ) -> Result<Label> {
        let faults = new.faults();
        if !faults.is_empty() {
            return Err(Error::Invalid(faults));
        }
        check_open(order)?;
        let (label, rate) = match new.rate_id {
            None => (Label::manual(order, new), None),
            Some(rate) => {
                let rate = self.rate_to_buy(conn, order, rate, limits).await?;
                (Label::at_rate(order, &rate), Some(rate.rate_reference))
            }
        };
        self.sender(conn, &label.warehouse).await?;
        recipient(order)?;
        repo::insert(conn, &label, order.head.customer_id, rate.as_deref()).await?;
        match label.status {
            LabelStatus::Buying => enqueue_in_tx(conn, &[bring_on::job(label.id)]).await?,
            _ => self.tell_of_label_in_tx(conn, "label.bought", label.id).await?,
        }
        self.label_in_tx(conn, label.id).await
    }

    async fn rate_to_buy(
        &self,
        conn: &mut PgConnection,
        order: &Order,
        rate: Uuid,
        limits: &Limits,
    ) -> Result<KeptRate> {
        let fault = |code, detail: String| Error::Invalid(vec![Fault::new("/rate_id", code, detail)]);
        if self.easypost.is_none() {
            let detail = "EasyPost is not set up here: give the server STOCKHOLD_CARRIERS_EASYPOST_API_KEY";
            return Err(Error::Invalid(vec![Fault::new("/provider", "unavailable", detail)]));
        }
        let found = repo::find_rate(conn, rate).await?;
        let found = found.filter(|it| it.order_id == order.head.id && limits.warehouses.allows(&it.warehouse));
        let found = found.ok_or_else(|| {
            fault("unknown", format!("there is no rate {rate} for this order, or it is too old: ask for rates again"))
        })?;
        if let Some(label) = repo::of_shipment(conn, &found.shipment_reference).await? {
            let detail = format!("the label {label} is for the same parcel: ask for rates again for another parcel");
            return Err(Error::State(detail));
        }
        Ok(found)
    }

    pub(super) async fn list_labels(&self, filter: &LabelFilter, page: PageRequest<Uuid>) -> Result<Page<Label>> {
        let rows = repo::list(&mut *self.db.conn().await?, filter, page.after, page.fetch()).await?;
        Ok(page.page(rows, |label| label.id))
    }

    pub(super) async fn label(&self, id: Uuid, limits: &Limits) -> Result<Label> {
        within(self.label_in_tx(&mut *self.db.conn().await?, id).await?, limits)
    }

    pub(super) async fn label_in_tx(&self, conn: &mut PgConnection, id: Uuid) -> Result<Label> {
        repo::find(conn, id).await?.ok_or(Error::NoLabel(id))
    }

    /// Locks the order of a label, and so the label.
    pub(super) async fn lock_label_in_tx(&self, conn: &mut PgConnection, id: Uuid, limits: &Limits) -> Result<Label> {
        let label = within(self.label_in_tx(conn, id).await?, limits)?;
        // It belongs to the order's warehouse of its time, and may do so still when nothing of the order is there any more.
        self.orders.lock_in_tx(conn, &label.order_id.to_string(), &Limits::default()).await?;
        self.label_in_tx(conn, id).await
    }

    /// Takes a label back, or writes down that its provider is to. The order is locked.
    pub(super) async fn void_label_in_tx(&self, conn: &mut PgConnection, label: &Label) -> Result<Label> {
        let status = label.to_void()?;
        repo::set_status(conn, label.id, status, None).await?;
        match status {
            LabelStatus::Voiding => enqueue_in_tx(conn, &[bring_on::job(label.id)]).await?,
            _ => self.tell_of_label_in_tx(conn, "label.voided", label.id).await?,
        }
        self.label_in_tx(conn, label.id).await
    }

    pub(super) async fn tell_of_label_in_tx(
        &self,
        conn: &mut PgConnection,
        r#type: &'static str,
        id: Uuid,
    ) -> Result<()> {
        let label = self.label_in_tx(conn, id).await?;
        Ok(Events::publish_in_tx(conn, &[events::of_label(r#type, &label)]).await?)
    }

    /// A label as PDF: the provider's, or drawn of the order as it is now.
    pub(super) async fn label_pdf(&self, id: Uuid, limits: &Limits) -> Result<(Label, Vec<u8>)> {
        let label = self.label(id, limits).await?;
        label.check_printable()?;
        if label.provider == LabelProvider::Easypost {
            let pdf = repo::pdf(&mut *self.db.conn().await?, id).await?;
            let gone = || Error::State("the label was erased with its customer".to_owned());
            return Ok((label, pdf.ok_or_else(gone)?));
        }
        let order = self.orders.get(&label.order_id.to_string(), &Limits::default()).await?;
        let mut conn = self.db.conn().await?;
        let from = self.sender(&mut conn, &label.warehouse).await?.party;
        drop(conn);
        let to = recipient(&order)?.party;
        let drawn = tokio::task::spawn_blocking(move || {
            let pdf = papers::label(&LabelPaper {
                from,
                to,
                order_number: label.order_number,
                carrier: &label.carrier,
                service: label.service.as_deref(),
                tracking_number: label.tracking_number.as_deref(),
                weight: label.parcel.as_ref().map(|parcel| parcel.weight),
            });
            (label, pdf)
        });
        Ok(drawn.await.expect("drawing does not panic"))
    }

    pub(super) async fn warehouse(&self, conn: &mut PgConnection, code: &str) -> Result<Warehouse> {
        let directory = self.warehouses.directory(conn).await?;
        let unknown = || Fault::new("/warehouse", "unknown", format!("there is no warehouse {code}"));
        directory.warehouse(code).cloned().ok_or_else(|| Error::Invalid(vec![unknown()]))
    }

    /// Who sends what leaves a warehouse.
    async fn sender(&self, conn: &mut PgConnection, code: &str) -> Result<Sender> {
        let fields = self.warehouse(conn, code).await?.fields;
        let lacking = lacking(&fields.address);
        if !lacking.is_empty() {
            let (what, path) = (lacking.join(", "), format!("PATCH /v1/warehouses/{code}"));
            let detail = format!("the address of {code} lacks {what}: give it with {path}");
            return Err(Error::Invalid(vec![Fault::new("/warehouse", "no_address", detail)]));
        }
        let name = if self.shop_name.is_empty() { fields.name } else { self.shop_name.to_string() };
        let party = Party { name: Some(name), address: fields.address };
        Ok(Sender { party, email: None, phone: None })
    }
}

/// Where an order goes.
fn recipient(order: &Order) -> Result<Sender> {
    let address = order.head.shipping_address.clone().unwrap_or_default();
    let lacking = lacking(&address);
    if !lacking.is_empty() {
        let detail = format!("the order's shipping address lacks {}, so a carrier cannot find it", lacking.join(", "));
        return Err(Error::State(detail));
    }
    let customer = order.head.customer.clone();
    Ok(Sender { party: Party { name: customer.name, address }, email: customer.email, phone: customer.phone })
}

/// One outside the limits is as good as none.
fn within(label: Label, limits: &Limits) -> Result<Label> {
    let is_within = limits.reach(label.channel.as_deref(), [label.warehouse.as_str()]);
    if is_within { Ok(label) } else { Err(Error::NoLabel(label.id)) }
}

impl From<&KeptRate> for ShippingRate {
    fn from(rate: &KeptRate) -> Self {
        Self {
            rate_id: rate.id,
            provider: LabelProvider::Easypost,
            carrier: rate.carrier.clone(),
            service: rate.service.clone(),
            price: rate.price.clone(),
            delivery_days: rate.delivery_days,
        }
    }
}
