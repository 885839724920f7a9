//! The strict reader of JSON from outside (JO-02, RFC 7515 §4, RFC 7519 §4).
//!
//! `serde_json` silently keeps the last of two equal members, so a check and the code behind it
//! could see different documents. This reader builds a value and refuses the second member. Depth
//! is bounded by `serde_json` (128 levels). U+0000 is refused too, however it is written: no text of a
//! protocol has it, and not every database keeps it.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// Why a JSON document was refused. The text names the place, never the content.
#[derive(Debug, thiserror::Error)]
#[error("not acceptable JSON: {0}")]
pub struct JsonFault(#[from] serde_json::Error);

/// Reads a `T` from JSON text, refusing duplicate members and U+0000 at every level.
///
/// # Errors
/// [`JsonFault`] for text that is no JSON, repeats a member, has U+0000, or does not fit `T`.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonFault> {
    let Strict(value) = serde_json::from_slice(bytes)?;
    Ok(serde_json::from_value(value)?)
}

/// A JSON value in which no object repeats a member and no text has U+0000.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without duplicate members")
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }
    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number out of range"))
    }
    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        without_nul(value)?;
        Ok(Value::String(value.to_owned()))
    }
    fn visit_string<E: serde::de::Error>(self, value: String) -> Result<Value, E> {
        without_nul(&value)?;
        Ok(Value::String(value))
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            without_nul(&name)?;
            let Strict(value) = members.next_value()?;
            if map.insert(name, value).is_some() {
                return Err(A::Error::custom("a member is repeated"));
            }
        }
        Ok(Value::Object(map))
    }
}

fn without_nul<E: serde::de::Error>(text: &str) -> Result<(), E> {
    if text.contains('\0') { Err(E::custom("U+0000 in a text")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(r#"{"a":1,"a":2}"#)]
    #[case(r#"{"x":[{"a":1,"\u0061":2}]}"#)]
    #[case(r#"{"a":1} trailing"#)]
    #[case(r#"{"a":"#)]
    fn jo_02_duplicates_and_garbage_are_refused(#[case] text: &str) {
        assert!(from_slice::<Value>(text.as_bytes()).is_err());
    }

    #[rstest]
    #[case(r#""\u0000""#)]
    #[case(r#"{"a":["b\u0000c"]}"#)]
    #[case(r#"{"a":{"\u0000":1}}"#)]
    fn jo_02_u_0000_is_refused(#[case] text: &str) {
        assert!(from_slice::<Value>(text.as_bytes()).is_err());
        assert!(from_slice::<Value>(text.replace("u0000", "u0001").as_bytes()).is_ok());
    }

    #[test]
    fn depth_is_bounded() {
        assert!(from_slice::<Value>("[".repeat(100_000).as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = from_slice::<Value>(&bytes);
        }

        #[test]
        fn ordinary_documents_read_as_serde_json_reads_them(keys in proptest::collection::btree_set("[a-z]{1,4}", 0..6)) {
            let document: Map<String, Value> = keys.into_iter().map(|k| (k, serde_json::json!([1, null, "x", -2.5]))).collect();
            let text = serde_json::to_vec(&document).unwrap();
            prop_assert_eq!(from_slice::<Value>(&text).unwrap(), Value::Object(document));
        }
    }
}
