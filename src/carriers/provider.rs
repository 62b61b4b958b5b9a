//! What a provider of labels has to be able to do. Nothing of it is called while a transaction is open.

use bytes::Bytes;

use super::model::NewTracking;
use super::model::label::Parcel;
use super::papers::Party;
use crate::platform::money::Money;

/// Why a provider did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It will not be done, however often it is asked for: there is no such address, say
    #[error("{0}")]
    Refused(String),
    /// Another attempt may go better, and what became of this one may not be known
    #[error("{0}")]
    Again(String),
}

/// What is to be sent.
#[derive(Debug)]
pub struct Consignment<'a> {
    pub from: &'a Sender,
    pub to: &'a Sender,
    pub parcel: &'a Parcel,
    /// By which whoever reads the provider's books knows it again
    pub reference: String,
}

/// Somebody, and how he is reached.
#[derive(Debug)]
pub struct Sender {
    pub party: Party,
    pub email: Option<String>,
    pub phone: Option<String>,
}

/// What a provider would do for how much.
#[derive(Debug)]
pub struct Quotes {
    /// What the provider calls the parcel
    pub shipment: String,
    pub rates: Vec<Quote>,
    /// Why some carriers have none
    pub messages: Vec<String>,
}

#[derive(Debug)]
pub struct Quote {
    pub reference: String,
    pub carrier: String,
    pub service: String,
    pub price: Money,
    pub delivery_days: Option<i32>,
}

/// A parcel by the provider's books.
#[derive(Debug, Default)]
pub struct Books {
    /// None until a label is bought
    pub bought: Option<Bought>,
    /// None until it is asked for
    pub refund: Option<Refund>,
    /// Where it was, in any order
    pub reports: Vec<NewTracking>,
}

#[derive(Clone, Debug)]
pub struct Bought {
    pub carrier: String,
    pub service: String,
    pub tracking_number: Option<String>,
    pub cost: Option<Money>,
    /// Where the label is to be fetched, as PDF
    pub paper: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refund {
    UnderWay,
    Granted,
    Rejected,
}

/// A message of a provider that is its own.
#[derive(Debug)]
pub struct Message {
    pub id: String,
    pub news: News,
}

#[derive(Debug)]
pub enum News {
    /// Where a parcel was, all that is known of it
    Reports { tracking_number: String, reports: Vec<NewTracking> },
    /// Something of a shipment, by what the provider calls it, may be new
    Shipment(String),
    /// Nothing that matters here
    Other,
}

type Result<T> = std::result::Result<T, ProviderError>;

/// A provider sells a shipment one label at most; so whoever reads its books first never buys twice.
pub trait Provider {
    /// Makes the parcel known. Nothing is bought.
    fn rates(&self, consignment: &Consignment<'_>) -> impl Future<Output = Result<Quotes>> + Send;
    fn buy_label(&self, shipment: &str, rate: &str) -> impl Future<Output = Result<Books>> + Send;
    fn void(&self, shipment: &str) -> impl Future<Output = Result<Books>> + Send;
    /// How it stands with a shipment: whether its label is bought, or taken back, and where it is.
    fn track(&self, shipment: &str) -> impl Future<Output = Result<Books>> + Send;
    /// The label itself.
    fn paper(&self, bought: &Bought) -> impl Future<Output = Result<Bytes>> + Send;
    /// In words, why a message is not the provider's.
    fn verify_webhook(&self, signature: &str, body: &[u8]) -> std::result::Result<Message, &'static str>;
}
