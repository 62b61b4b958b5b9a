//! Instants as the API shows them: RFC 3339, UTC, milliseconds.
//!
//! What decides anything (expiry, order of backorders) reads the database's clock instead, so that
//! several servers with clocks of their own agree.

use chrono::{DateTime, Datelike, SecondsFormat, TimeDelta, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};

/// How far a caller's clock may be ahead of ours.
const MAX_SKEW: TimeDelta = TimeDelta::minutes(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, sqlx::Type)]
#[sqlx(transparent)]
pub struct Timestamp(pub DateTime<Utc>);

impl Timestamp {
    #[allow(clippy::disallowed_methods)] // the one place that reads the process's clock
    pub fn now() -> Self {
        Self(Utc::now())
    }

    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0 + TimeDelta::seconds(seconds))
    }

    /// Later than `now` by more than clocks may differ.
    pub fn is_after(self, now: Timestamp) -> bool {
        self.0 > now.0 + MAX_SKEW
    }
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let time = DateTime::<Utc>::deserialize(deserializer)?;
        // An offset can lead out of the years that RFC 3339 can write.
        if !(0..=9999).contains(&time.year()) {
            return Err(serde::de::Error::custom("in UTC, this is not in the years 0000 to 9999"));
        }
        Ok(Self(time))
    }
}

impl utoipa::PartialSchema for Timestamp {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("RFC 3339; answers are in UTC with milliseconds"))
            .examples(["2026-11-23T09:30:00.000Z"])
            .into()
    }
}
impl utoipa::ToSchema for Timestamp {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_can_be_written_as_it_was_read() {
        let read = |text: &str| serde_json::from_value::<Timestamp>(text.into()).map(|time| time.to_string());
        assert_eq!(read("2026-11-23T10:30:00+01:00").ok().as_deref(), Some("2026-11-23T09:30:00.000Z"));
        assert_eq!(read("0000-01-01T00:00:00Z").ok().as_deref(), Some("0000-01-01T00:00:00.000Z"));
        for outside in ["0000-01-01T00:00:00+23:59", "9999-12-31T23:59:59-00:01"] {
            assert!(read(outside).is_err(), "{outside}");
        }
    }
}
