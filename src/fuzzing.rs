//! What the fuzz targets in `fuzz/` run, each with what has to hold for any input. They are here and not there, so that
//! `cargo test` replays their corpora too. Built for that and for them alone.

use std::path::Path;
use std::sync::LazyLock;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use figment::Figment;
use figment::providers::{Format, Serialized, Toml};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::cli::replay::file;
use crate::config::Config;
use crate::platform::clock::Timestamp;
use crate::platform::command::{IDEMPOTENCY_KEY_PATTERN, idempotency_key, if_match};
use crate::platform::db::private::unpack::links_of;
use crate::platform::extract::{Input, Json, read_query};
use crate::platform::page::{TextKey, decode, encode};
use crate::platform::patch::{Patch, merge};
use crate::platform::schema::Schemas;
use crate::platform::{entity_tag, json, problem};
use crate::reservations::NewReservation;
use crate::warehouses::{NewChannel, NewWarehouse};

/// What is to hold for any input: it panics where it does not.
pub type Target = fn(&[u8]);

/// All targets by name, which is also that of their file in `fuzz/fuzz_targets` and of their corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("bodies", bodies),
    ("config", config),
    ("cursors", cursors),
    ("headers", headers),
    ("links", links),
    ("merge_patch", merge_patch),
    ("query", query),
    ("replay", replay),
    ("strict_json", strict_json),
    ("timestamps", timestamps),
];

/// As the settings have it where nobody says otherwise.
const MAX_DEPTH: usize = 32;

/// What is read is what serde_json reads, never too deep, and reads the same when written again.
pub fn strict_json(data: &[u8]) {
    let Ok(value) = json::parse(data, MAX_DEPTH) else { return };
    let written = serde_json::to_vec(&value).expect("a value can be written");
    assert_eq!(json::parse(&written, MAX_DEPTH).expect("what we wrote"), value);
    let theirs: Value = serde_json::from_slice(data).expect("it read it, too");
    assert!(is_same(&value, &theirs), "{value} is not {theirs}");
}

/// Equal but for 2.0, which we read as 2.
fn is_same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| is_same(a, b)))
        }
        (a, b) => a == b,
    }
}

static SCHEMAS: LazyLock<Schemas> = LazyLock::new(|| {
    let mut document: Value =
        serde_json::from_str(include_str!("../openapi/openapi.json")).expect("the committed document");
    Schemas::of(document["components"].take(), MAX_DEPTH)
});

/// The first byte chooses what the rest is read as. What passes the schema can be read: any other refusal is of the syntax.
pub fn bodies(data: &[u8]) {
    let Some((&kind, body)) = data.split_first() else { return };
    match kind % 3 {
        0 => drop(body_of::<Json<NewReservation>>(body)),
        1 => drop(body_of::<Json<NewChannel>>(body)),
        _ => {
            let Some(patch) = body_of::<Patch<NewWarehouse>>(body) else { return };
            let current = serde_json::json!({"code": "LONDON", "name": "London", "address": {"city": "London"}});
            let current = serde_json::from_value(current).expect("a warehouse");
            if let Ok(patched) = patch.apply(&SCHEMAS, &current) {
                let again = patch.apply(&SCHEMAS, &patched).expect("the same patch");
                assert_eq!(serde_json::to_value(again).ok(), serde_json::to_value(patched).ok());
            }
        }
    }
}

fn body_of<T: Input>(body: &[u8]) -> Option<T> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    match T::read(&SCHEMAS, &headers, &Bytes::copy_from_slice(body)) {
        Ok(read) => Some(read),
        Err(problem) => {
            let document = problem.document(None);
            let faults = document["errors"].as_array().map_or(0, Vec::len);
            assert!(faults > 0 || problem.kind().slug == problem::MALFORMED.slug, "{document}");
            // serde says "invalid type" where no schema said so before: the two disagree.
            assert!(!document.to_string().contains("invalid type"), "{document}");
            None
        }
    }
}

/// Two documents, a line each: applying a patch twice is applying it once.
pub fn merge_patch(data: &[u8]) {
    let Some(newline) = data.iter().position(|byte| *byte == b'\n') else { return };
    let (Ok(mut target), Ok(patch)) =
        (json::parse(&data[..newline], MAX_DEPTH), json::parse(&data[newline + 1..], MAX_DEPTH))
    else {
        return;
    };
    merge(&mut target, &patch);
    let once = target.clone();
    merge(&mut target, &patch);
    assert_eq!(target, once);
}

/// Whatever decodes comes from a cursor that means the same, and has no NUL.
pub fn cursors(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    cursor_of::<i64>(text);
    cursor_of::<Uuid>(text);
    if let Some(key) = cursor_of::<TextKey>(text) {
        assert!(!key.0.contains('\0'));
    }
}

fn cursor_of<K: Serialize + DeserializeOwned>(text: &str) -> Option<K> {
    let key = decode::<K>(text).ok()?;
    let again = decode::<K>(&encode(&key)).expect("a cursor of ours");
    assert_eq!(encode(&again), encode(&key));
    Some(key)
}

/// `If-Match` and `Idempotency-Key` are taken exactly when they fit the pattern that the document gives.
pub fn headers(data: &[u8]) {
    static PATTERNS: LazyLock<[jsonschema::Validator; 2]> = LazyLock::new(|| {
        let compile = |pattern| jsonschema::validator_for(&serde_json::json!({"pattern": pattern})).expect("a pattern");
        [compile(entity_tag::PATTERN), compile(IDEMPOTENCY_KEY_PATTERN)]
    });
    let Ok(value) = HeaderValue::from_bytes(data) else { return };
    let text = value.to_str().ok().map(|text| Value::from(text.trim_matches([' ', '\t'])));
    let [versions, key] = &*PATTERNS;
    let alone = |name: HeaderName| HeaderMap::from_iter([(name, value.clone())]);
    let fits = text.as_ref().is_some_and(|text| versions.is_valid(text));
    assert_eq!(if_match(&alone(header::IF_MATCH)).is_ok(), fits, "{value:?}");
    let fits = value.to_str().is_ok_and(|text| key.is_valid(&text.into()));
    assert_eq!(idempotency_key(&alone(HeaderName::from_static("idempotency-key"))).is_ok(), fits, "{value:?}");
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Parameters {
    active: Option<bool>,
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    #[param(max_length = 10)]
    cursor: Option<String>,
    from: Option<Timestamp>,
}

/// What is read is within the limits of the parameters.
pub fn query(data: &[u8]) {
    static PARAMETERS: LazyLock<(Vec<utoipa::openapi::path::Parameter>, jsonschema::Validator)> = LazyLock::new(|| {
        let parameters = Parameters::into_params(|| None);
        let validator = SCHEMAS.query_validator(&parameters);
        (parameters, validator)
    });
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (parameters, validator) = &*PARAMETERS;
    match read_query::<Parameters>(text, parameters, validator) {
        Ok(read) => {
            assert!(read.limit.is_none_or(|limit| (1..=200).contains(&limit)));
            assert!(read.cursor.is_none_or(|cursor| cursor.chars().count() <= 10 && !cursor.contains('\0')));
            let _ = (read.active, read.from);
        }
        Err(problem) => assert_eq!(problem.kind().slug, problem::VALIDATION.slug),
    }
}

/// What the document calls a date-time is one for us, and is the same one when it is shown and read again.
pub fn timestamps(data: &[u8]) {
    static FORMAT: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
        let schema = serde_json::json!({"format": "date-time"});
        jsonschema::options().should_validate_formats(true).build(&schema).expect("a schema")
    });
    let Ok(text) = std::str::from_utf8(data) else { return };
    let value = Value::from(text);
    if !FORMAT.is_valid(&value) {
        return;
    }
    let Ok(read) = serde_json::from_value::<Timestamp>(value) else {
        assert!(text.starts_with("0000-01-01") || text.starts_with("9999-12-31"), "{text}");
        return;
    };
    let shown = read.to_string();
    assert!(FORMAT.is_valid(&shown.as_str().into()), "{shown}");
    let again: Timestamp = serde_json::from_value(shown.as_str().into()).expect("as we show it");
    assert_eq!(again.to_string(), shown);
}

/// Every line of a file of invoices is a row or is said to be none.
pub fn replay(data: &[u8]) {
    let Ok(file) = file::read(Path::new("invoices.csv"), data) else { return };
    assert!(file.unreadable.iter().all(|line| !line.reason.is_empty()));
    assert!(file.rows.len() + file.unreadable.len() <= data.iter().filter(|b| matches!(b, b'\n' | b'\r')).count() + 1);
}

/// Settings are read or refused.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let figment = Figment::from(Serialized::defaults(Config::default())).merge(Toml::string(text));
    if let Ok(config) = figment.extract::<Config>()
        && config.check().is_ok()
    {
        assert!(config.idempotency_hours >= 24 && config.admin_key.is_none_or(|key| key.len() >= 32));
    }
}

/// No link of a downloaded build leads out of it.
pub fn links(data: &[u8]) {
    for (name, link) in links_of(Path::new("/package"), data).into_iter().flatten() {
        let inside = link.strip_prefix("/package").expect("below the package");
        assert!(inside.components().all(|part| matches!(part, std::path::Component::Normal(_))));
        assert!(Path::new(&name).components().count() == 1, "{}", name.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the fuzzers found worth keeping, for every target.
    #[test]
    fn the_corpora_pass() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        for (name, target) in TARGETS {
            assert!(root.join("fuzz_targets").join(format!("{name}.rs")).is_file(), "{name} has no target");
            let inputs = std::fs::read_dir(root.join("corpus").join(name)).expect(name);
            let mut count = 0;
            for input in inputs {
                target(&std::fs::read(input.expect("listed").path()).expect("readable"));
                count += 1;
            }
            assert!(count > 0, "{name} has no corpus");
        }
    }
}
