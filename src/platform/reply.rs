//! An answer as bytes, so that it can be stored beside its effect and given again.

use axum::body::Body;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde::Serialize;
use sha2::{Digest, Sha256};

#[derive(Clone, Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: Vec<(HeaderName, String)>,
    pub body: Bytes,
    /// What is kept in place of a body that must not be kept.
    remembered: Option<Bytes>,
    /// What the audit trail keeps in place of a body that ends before it does.
    told: Option<Bytes>,
    /// Whether anything was changed, for the audit trail.
    changes: bool,
}

impl Reply {
    pub fn new(status: StatusCode, headers: Vec<(HeaderName, String)>, body: Bytes) -> Self {
        Self { status, headers, body, remembered: None, told: None, changes: true }
    }

    /// 200 with a body that is not one addressable resource: a list, a report.
    pub fn ok<T: Serialize>(value: &T) -> Self {
        Self::json(StatusCode::OK, value)
    }

    /// 200 with one resource and its `ETag`.
    pub fn resource<T: Serialize>(value: &T) -> Self {
        Self::ok(value).with_etag()
    }

    /// 201 with the resource made, where it is found, and its `ETag`.
    pub fn created<T: Serialize>(location: String, value: &T) -> Self {
        let mut reply = Self::json(StatusCode::CREATED, value).with_etag();
        reply.headers.push((header::LOCATION, location));
        reply
    }

    /// 201 for something booked that has no address of its own.
    pub fn booked<T: Serialize>(value: &T) -> Self {
        Self::json(StatusCode::CREATED, value)
    }

    pub fn no_content() -> Self {
        Self::new(StatusCode::NO_CONTENT, Vec::new(), Bytes::new())
    }

    pub fn json<T: Serialize>(status: StatusCode, value: &T) -> Self {
        let headers = vec![(header::CONTENT_TYPE, "application/json".to_owned())];
        Self::new(status, headers, bytes_of(value))
    }

    /// Whoever repeats the call gets this instead: for a secret that is told once and not kept.
    pub fn remembered_as<T: Serialize>(mut self, value: &T) -> Self {
        self.headers.retain(|(name, _)| name != header::ETAG);
        self.headers.push((header::CACHE_CONTROL, "no-store".to_owned()));
        self.remembered = Some(bytes_of(value));
        self
    }

    /// The audit trail tells no more than this of it: for what is personal, which it would keep for ever.
    pub fn told_as<T: Serialize>(self, value: &T) -> Self {
        Self { told: Some(bytes_of(value)), ..self }
    }

    /// Of a call that could have changed something, and did not.
    pub fn of_no_change(self) -> Self {
        Self { changes: false, ..self }
    }

    pub fn is_of_a_change(&self) -> bool {
        self.changes
    }

    /// The body as it may be stored.
    pub fn body_to_keep(&self) -> &Bytes {
        self.remembered.as_ref().unwrap_or(&self.body)
    }

    /// The body as the audit trail may tell it.
    pub fn body_to_tell(&self) -> &Bytes {
        self.told.as_ref().unwrap_or_else(|| self.body_to_keep())
    }

    fn with_etag(mut self) -> Self {
        self.headers.push((header::ETAG, etag_of_bytes(&self.body)));
        self
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut builder = Response::builder().status(self.status);
        for (name, value) in self.headers {
            builder = builder.header(name, value);
        }
        builder.body(Body::from(self.body)).expect("header values are made of visible characters")
    }
}

/// The `ETag` of a resource is the digest of its representation: no version column to forget, and
/// two servers agree. `If-Match` compares it under the row lock.
pub fn etag<T: Serialize>(value: &T) -> String {
    etag_of_bytes(&bytes_of(value))
}

fn bytes_of<T: Serialize>(value: &T) -> Bytes {
    serde_json::to_vec(value).expect("answers are plain data, which always serialises").into()
}

fn etag_of_bytes(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    format!("\"{}\"", URL_SAFE_NO_PAD.encode(&digest[..12]))
}
