//! What a provider of payments has to be able to do. Nothing of it is called while a transaction is open.

use uuid::Uuid;

use crate::platform::clock::Timestamp;

/// Why a provider did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It will not be done, however often it is asked for: a declined card, say
    #[error("{0}")]
    Declined(String),
    /// Another attempt may go better, and what became of this one may not be known
    #[error("{0}")]
    Again(String),
}

/// What is to be authorised.
#[derive(Debug)]
pub struct Asked<'a> {
    pub payment: Uuid,
    pub order: Uuid,
    pub operation: Uuid,
    pub amount: i64,
    pub currency: &'a str,
    pub payment_method: Option<&'a str>,
}

/// What a payment is called at the provider, and what the shopper's browser needs for it.
#[derive(Debug)]
pub struct Opened {
    pub reference: String,
    pub client_secret: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It waits to be confirmed by us
    Unconfirmed,
    /// It waits for the shopper, or the provider is at it
    Waiting,
    Declined(String),
    Authorised,
    Captured,
    /// Somebody gave it up
    Cancelled,
    /// The authorisation ran out
    Expired,
}

/// How it stands with a payment by the provider's books.
#[derive(Clone, Debug)]
pub struct Report {
    pub phase: Phase,
    pub amount: i64,
    /// In capitals
    pub currency: String,
    /// What was taken
    pub received: i64,
    /// When the authorisation runs out
    pub expires_at: Option<Timestamp>,
}

/// A message of a provider that is its own: something may be new.
#[derive(Debug)]
pub struct Hint {
    pub id: String,
    /// The payment that it is about, if any
    pub reference: Option<String>,
}

type Result<T> = std::result::Result<T, ProviderError>;

/// Each call names the operation it is made for, so that the provider, and whoever reads its books, knows it again.
pub trait Provider {
    /// Makes the payment known; nothing is charged. Done twice, one of the two is never confirmed.
    fn open(&self, asked: &Asked<'_>) -> impl Future<Output = Result<Opened>> + Send;
    fn authorise(&self, reference: &str, operation: Uuid) -> impl Future<Output = Result<Report>> + Send;
    fn capture(&self, reference: &str, operation: Uuid, amount: i64) -> impl Future<Output = Result<Report>> + Send;
    fn void(&self, reference: &str, operation: Uuid) -> impl Future<Output = Result<Report>> + Send;
    /// What the provider calls the refund.
    fn refund(&self, reference: &str, operation: Uuid, amount: i64) -> impl Future<Output = Result<String>> + Send;
    /// The refund that was made for an operation, if it was.
    fn refund_of(&self, reference: &str, operation: Uuid) -> impl Future<Output = Result<Option<String>>> + Send;
    fn fetch(&self, reference: &str) -> impl Future<Output = Result<Report>> + Send;
    /// `now`: seconds since 1970. In words, why a message is not the provider's.
    fn verify_webhook(&self, signature: &str, body: &[u8], now: i64) -> std::result::Result<Hint, &'static str>;
}
