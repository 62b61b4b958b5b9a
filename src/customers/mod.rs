//! Customers: who they are, what they consented to, and what they are owed by law: to see what is held of them, and
//! to have it erased.
//!
//! **Invariant:** whoever changes a customer locks its row; whoever orders for one shares that lock, so nobody orders for
//! a customer who is being erased.
//!
//! **Invariant:** of an erased customer nothing personal is left here, nor where [`PersonalData`] is held. Events, the
//! audit trail and idempotency records never had any from here.

mod error;
mod events;
mod http;
mod model;
mod repo;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::events::Events;
use crate::platform::Caller;
use crate::platform::db::Db;
use crate::platform::id;
use crate::platform::page::{Page, PageRequest};

pub use error::Error;
pub use http::router;
pub use model::{KnownCustomer, Person};

use model::{CustomerExport, CustomerFields, Filter};

/// Customers whose retention is looked at in one transaction.
const LOOKED_AT_ONCE: i64 = 50;

/// What stands above this module and holds data of a person.
pub trait PersonalData: Send + Sync {
    /// How an export calls it.
    fn name(&self) -> &'static str;

    /// All that is held of somebody.
    fn export<'a>(&'a self, conn: &'a mut PgConnection, who: &'a Person) -> BoxFuture<'a, sqlx::Result<Vec<Value>>>;

    /// Takes out what is personal, or all of it.
    fn erase_in_tx<'a>(&'a self, conn: &'a mut PgConnection, who: &'a Person) -> BoxFuture<'a, sqlx::Result<()>>;

    /// Why somebody cannot be erased yet, in words.
    fn unfinished<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        who: &'a Person,
    ) -> BoxFuture<'a, sqlx::Result<Vec<String>>>;

    /// Those of these customers who did something here within so many days, or still have to.
    fn active<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        customers: &'a [Uuid],
        days: i32,
    ) -> BoxFuture<'a, sqlx::Result<Vec<Uuid>>>;
}

/// All who hold data of persons.
pub type Holders = Vec<Arc<dyn PersonalData>>;

#[derive(Clone)]
pub struct Customers {
    db: Db,
}

type Result<T> = std::result::Result<T, Error>;

impl Customers {
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    async fn list(&self, filter: &Filter, page: PageRequest<Uuid>) -> Result<Page<KnownCustomer>> {
        let rows = repo::list(&mut *self.db.conn().await?, filter, page.after, page.fetch()).await?;
        Ok(page.page(rows, |row| row.id))
    }

    async fn get(&self, id: Uuid) -> Result<KnownCustomer> {
        repo::find(&mut *self.db.conn().await?, id).await?.ok_or(Error::NotFound(id))
    }

    /// Locks the customer's row, and reads it.
    async fn lock_in_tx(&self, conn: &mut PgConnection, id: Uuid) -> Result<KnownCustomer> {
        repo::lock(conn, id).await?.ok_or(Error::NotFound(id))
    }

    async fn create_in_tx(
        &self,
        conn: &mut PgConnection,
        fields: &CustomerFields,
        by: &Caller,
    ) -> Result<KnownCustomer> {
        check(fields)?;
        let now = repo::clock(conn).await?;
        let fields = fields.clone();
        let customer = KnownCustomer { id: id::new(), fields, erased_at: None, created_at: now, updated_at: now };
        save(conn, &customer).await?;
        repo::add_consents(conn, &customer, &customer.fields.consent.changes(None), Some(by)).await?;
        Events::publish_in_tx(conn, &[events::created(customer.id)]).await?;
        Ok(customer)
    }

    async fn change_in_tx(
        &self,
        conn: &mut PgConnection,
        current: KnownCustomer,
        fields: CustomerFields,
        by: &Caller,
    ) -> Result<KnownCustomer> {
        if current.erased_at.is_some() {
            return Err(Error::Erased);
        }
        check(&fields)?;
        let changed = fields.changes(&current.fields);
        if changed.is_empty() {
            return Ok(current);
        }
        let consents = fields.consent.changes(Some(&current.fields.consent));
        let customer = KnownCustomer { fields, updated_at: repo::clock(conn).await?, ..current };
        save(conn, &customer).await?;
        repo::add_consents(conn, &customer, &consents, Some(by)).await?;
        Events::publish_in_tx(conn, &[events::updated(customer.id, &changed)]).await?;
        Ok(customer)
    }

    /// All that is held of a customer, here and above, at one moment.
    async fn export(&self, id: Uuid, holders: &Holders) -> Result<CustomerExport> {
        let mut conn = self.db.snapshot().await?;
        let customer = repo::find(&mut conn, id).await?.ok_or(Error::NotFound(id))?;
        let consents = repo::consents(&mut conn, id).await?;
        let mut export = CustomerExport { consents, records: BTreeMap::new(), customer };
        let person = export.customer.person();
        for holder in holders {
            let held = holder.export(&mut conn, &person).await?;
            export.records.insert(holder.name().to_owned(), held);
        }
        Ok(export)
    }

    /// Takes out all that is personal, here and above. By the server of its own accord when there is no caller.
    async fn erase_in_tx(
        &self,
        conn: &mut PgConnection,
        current: KnownCustomer,
        holders: &Holders,
        by: Option<&Caller>,
    ) -> Result<KnownCustomer> {
        let person = current.person();
        let mut open = Vec::new();
        for holder in holders {
            open.extend(holder.unfinished(conn, &person).await?);
        }
        if !open.is_empty() {
            return Err(Error::Open(open));
        }
        for holder in holders {
            holder.erase_in_tx(conn, &person).await?;
        }
        let now = repo::clock(conn).await?;
        let fields = CustomerFields::erased();
        let withdrawn = fields.consent.changes(Some(&current.fields.consent));
        let customer = KnownCustomer { fields, erased_at: Some(now), updated_at: now, ..current };
        save(conn, &customer).await?;
        repo::add_consents(conn, &customer, &withdrawn, by).await?;
        Events::publish_in_tx(conn, &[events::erased(customer.id)]).await?;
        Ok(customer)
    }

    /// Erases some of those who have neither changed nor ordered for so many days. True when there may be more.
    pub async fn erase_old(&self, days: i32, holders: &Holders) -> Result<bool> {
        let mut tx = self.db.begin().await?;
        let old = repo::take_old(&mut tx, days, LOOKED_AT_ONCE).await?;
        let mut active = HashSet::new();
        for holder in holders {
            active.extend(holder.active(&mut tx, &old, days).await?);
        }
        for id in old.iter().filter(|id| !active.contains(*id)) {
            let customer = self.lock_in_tx(&mut tx, *id).await?;
            self.erase_in_tx(&mut tx, customer, holders, None).await?;
        }
        tx.commit().await?;
        Ok(!old.is_empty())
    }

    /// Those of these that exist and are not erased; nor can they be, until this ends. Called before anything else is
    /// locked but a cart.
    pub async fn pin_in_tx(&self, conn: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<HashMap<Uuid, KnownCustomer>> {
        if ids.is_empty() { Ok(HashMap::new()) } else { repo::pin(conn, ids).await }
    }

    /// Those of these who want no mails on their orders.
    pub async fn refusing_updates(&self, conn: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<Uuid>> {
        repo::refusing_updates(conn, ids).await
    }
}

fn check(fields: &CustomerFields) -> Result<()> {
    let faults = fields.faults();
    if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults)) }
}

/// Of what is unique, only the reference is given from outside.
async fn save(conn: &mut PgConnection, customer: &KnownCustomer) -> Result<()> {
    repo::save(conn, customer).await.map_err(|error| match &error {
        sqlx::Error::Database(cause) if cause.is_unique_violation() => Error::ReferenceTaken,
        _ => error.into(),
    })
}
