//! JSON as a request brings it, read strictly: a document that two readers could understand differently
//! (a member given twice) is refused, and so is one that is nested deeper than anything asks for. 2.0 is the
//! integer 2, as JSON Schema has it.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// serde_json takes an object with such a member for something of its own: it would read it as the JSON within the
/// member's text, past all that is checked here.
const MISREAD: &str = "$serde_json::private";

/// Up to here, every whole number is a float exactly.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Reads one whole document of at most `depth` levels; the error says what is wrong with it, and where.
pub fn parse(text: &[u8], depth: usize) -> serde_json::Result<Value> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = Strict { levels: depth, depth }.deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// Reads a value with at most so many levels of containers.
#[derive(Clone, Copy)]
struct Strict {
    levels: usize,
    /// Of the whole document
    depth: usize,
}

impl Strict {
    fn inside<E: Error>(self) -> Result<Self, E> {
        let Self { levels, depth } = self;
        let too_deep = || E::custom(format_args!("it is nested deeper than {depth} levels"));
        levels.checked_sub(1).map(|levels| Self { levels, depth }).ok_or_else(too_deep)
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        if value.fract() == 0.0 && value.abs() <= EXACT {
            return Ok((value as i64).into());
        }
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number is out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inside)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if name.starts_with(MISREAD) {
                return Err(A::Error::custom(format_args!("the field {name:?} is not allowed")));
            }
            if object.contains_key(&name) {
                return Err(A::Error::custom(format_args!("the field {name:?} is given twice")));
            }
            object.insert(name, members.next_value_seed(inside)?);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const MAX_DEPTH: usize = 32;

    fn parse(text: &[u8]) -> serde_json::Result<Value> {
        super::parse(text, MAX_DEPTH)
    }

    fn error(text: &str) -> String {
        parse(text.as_bytes()).expect_err(text).to_string()
    }

    #[test]
    fn a_member_given_twice_is_refused_at_any_depth() {
        assert!(error(r#"{"a": 1, "a": 1}"#).starts_with(r#"the field "a" is given twice at line 1"#));
        assert!(error(r#"[{"b": {"x": 1, "\u0078": 2}}]"#).contains(r#""x" is given twice"#));
        assert_eq!(parse(br#"[{"a": 1}, {"a": 2}]"#).expect("different objects"), json!([{"a": 1}, {"a": 2}]));
    }

    #[test]
    fn depth_counts_containers() {
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(nested(MAX_DEPTH).as_bytes()).is_ok());
        for depth in [MAX_DEPTH + 1, 100_000] {
            assert!(error(&nested(depth)).contains("deeper than 32 levels"));
        }
        assert!(error(&(r#"{"a":"#.repeat(40) + "1" + &"}".repeat(40))).contains("deeper than 32 levels"));
    }

    #[test]
    fn whole_numbers_are_integers_however_they_are_written() {
        let numbers = parse(b"[2.0, -0.0, 1e3, 2.5, 9007199254740993, 1e300]").expect("numbers");
        assert_eq!(numbers, json!([2, 0, 1000, 2.5, 9_007_199_254_740_993i64, 1e300]));
    }

    #[test]
    fn what_only_looks_like_json_is_refused() {
        for text in [
            "",
            "{} {}",
            "[1,]",
            "nul",
            "NaN",
            "1e999",
            r#""\ud800""#,
            "\"\u{1}\"",
            "'a'",
            "{\"a\"}",
            r#"{"$serde_json::private::RawValue": "[]"}"#,
        ] {
            error(text);
        }
        assert!(parse(b"\"\xff\"").is_err());
    }

    proptest! {
        /// Other than in what it refuses, it agrees with serde_json.
        #[test]
        fn it_reads_what_serde_json_reads(text in r#"[\[\]{}",:0-9a-c.eE+\- ntrufls]{0,40}"#) {
            if let Ok(value) = parse(text.as_bytes()) {
                let theirs: Value = serde_json::from_str(&text).expect("as we read it");
                let same = jsonschema::validator_for(&json!({"const": theirs})).expect("a schema").is_valid(&value);
                prop_assert!(same, "{value} is not {theirs}");
            }
        }
    }
}
