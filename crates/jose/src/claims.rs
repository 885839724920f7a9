//! The claims of a JWT (RFC 7519 §4), read with their types.
//!
//! A claim that is present with the wrong type is a fault, never treated as absent.

use std::fmt;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

/// The end of the year 9999: later times are mistakes (often milliseconds for seconds).
const LAST_SECOND: i64 = 253_402_300_799;

/// The claims of a verified token. `Debug` shows the names only, because values may be personal.
#[derive(Clone, PartialEq)]
pub struct Claims(Map<String, Value>);

/// What is wrong with a claim.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimFault {
    /// A claim that this use requires is absent.
    #[error("the claim {0:?} is missing")]
    Missing(&'static str),
    /// A claim has the wrong JSON type or is empty.
    #[error("the claim {0:?} has the wrong type")]
    WrongType(&'static str),
    /// A time that is negative, or after the year 9999.
    #[error("the time in the claim {0:?} is out of range")]
    OutOfRange(&'static str),
}

/// The `aud` claim (RFC 7519 §4.1.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audience {
    /// The audiences, in their order; one for a plain string.
    pub values: Vec<String>,
    /// Was it written as an array? FAPI 2.0 refuses that in client assertions (F2-12).
    pub was_array: bool,
}

impl Audience {
    /// Is `audience` one of the values?
    pub fn contains(&self, audience: &str) -> bool {
        self.values.iter().any(|value| value == audience)
    }
}

impl Claims {
    pub(crate) fn new(map: Map<String, Value>) -> Self {
        Self(map)
    }

    /// Every claim.
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    /// Every claim, to be taken apart.
    pub fn into_map(self) -> Map<String, Value> {
        self.0
    }

    /// A claim of any type.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// A claim that must be a non-empty string if it is present.
    ///
    /// # Errors
    /// [`ClaimFault::WrongType`].
    pub fn text(&self, name: &'static str) -> Result<Option<&str>, ClaimFault> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
            Some(_) => Err(ClaimFault::WrongType(name)),
        }
    }

    /// A claim that must be a NumericDate (RFC 7519 §2) if it is present; fractions of a second
    /// are dropped.
    ///
    /// # Errors
    /// [`ClaimFault::WrongType`] or [`ClaimFault::OutOfRange`].
    pub fn time(&self, name: &'static str) -> Result<Option<DateTime<Utc>>, ClaimFault> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let Value::Number(number) = value else { return Err(ClaimFault::WrongType(name)) };
        let seconds = match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole,
            // Guarded, because a cast of a float out of range saturates.
            (None, Some(float)) if (0.0..=LAST_SECOND as f64).contains(&float) => float as i64,
            _ => return Err(ClaimFault::OutOfRange(name)),
        };
        if !(0..=LAST_SECOND).contains(&seconds) {
            return Err(ClaimFault::OutOfRange(name));
        }
        DateTime::from_timestamp(seconds, 0).map(Some).ok_or(ClaimFault::OutOfRange(name))
    }

    /// `iss`, the issuer (RFC 7519 §4.1.1).
    ///
    /// # Errors
    /// [`ClaimFault::WrongType`].
    pub fn iss(&self) -> Result<Option<&str>, ClaimFault> {
        self.text("iss")
    }

    /// `sub`, the subject (RFC 7519 §4.1.2).
    ///
    /// # Errors
    /// [`ClaimFault::WrongType`].
    pub fn sub(&self) -> Result<Option<&str>, ClaimFault> {
        self.text("sub")
    }

    /// `jti`, the token's id (RFC 7519 §4.1.7).
    ///
    /// # Errors
    /// [`ClaimFault::WrongType`].
    pub fn jti(&self) -> Result<Option<&str>, ClaimFault> {
        self.text("jti")
    }

    /// `aud`, the audience (RFC 7519 §4.1.3): a string or an array of strings.
    ///
    /// # Errors
    /// [`ClaimFault::WrongType`], also for an empty array.
    pub fn aud(&self) -> Result<Option<Audience>, ClaimFault> {
        let fault = || ClaimFault::WrongType("aud");
        let Some(Value::Array(items)) = self.0.get("aud") else {
            let single = self.text("aud")?;
            return Ok(single.map(|text| Audience { values: vec![text.to_owned()], was_array: false }));
        };
        if items.is_empty() {
            return Err(fault());
        }
        let values = items
            .iter()
            .map(|item| item.as_str().filter(|text| !text.is_empty()).map(str::to_owned))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(fault)?;
        Ok(Some(Audience { values, was_array: true }))
    }

    /// `exp`, when the token ends (RFC 7519 §4.1.4).
    ///
    /// # Errors
    /// As [`Claims::time`].
    pub fn exp(&self) -> Result<Option<DateTime<Utc>>, ClaimFault> {
        self.time("exp")
    }

    /// `nbf`, when the token begins (RFC 7519 §4.1.5).
    ///
    /// # Errors
    /// As [`Claims::time`].
    pub fn nbf(&self) -> Result<Option<DateTime<Utc>>, ClaimFault> {
        self.time("nbf")
    }

    /// `iat`, when the token was made (RFC 7519 §4.1.6).
    ///
    /// # Errors
    /// As [`Claims::time`].
    pub fn iat(&self) -> Result<Option<DateTime<Utc>>, ClaimFault> {
        self.time("iat")
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claims")?;
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn claims(value: &Value) -> Claims {
        Claims::new(value.as_object().unwrap().clone())
    }

    #[rstest]
    #[case(json!(1_300_819_380), Ok(Some(1_300_819_380)))]
    #[case(json!(1_300_819_380.9), Ok(Some(1_300_819_380)))]
    #[case(json!(0), Ok(Some(0)))]
    #[case(json!(-1), Err(ClaimFault::OutOfRange("exp")))]
    #[case(json!(-0.5), Err(ClaimFault::OutOfRange("exp")))]
    #[case(json!(1e300), Err(ClaimFault::OutOfRange("exp")))]
    #[case(json!(u64::MAX), Err(ClaimFault::OutOfRange("exp")))]
    #[case(json!(1_300_819_380_000_i64), Err(ClaimFault::OutOfRange("exp")))]
    #[case(json!("1300819380"), Err(ClaimFault::WrongType("exp")))]
    #[case(json!(null), Err(ClaimFault::WrongType("exp")))]
    fn numeric_dates(#[case] value: Value, #[case] expected: Result<Option<i64>, ClaimFault>) {
        let read = claims(&json!({ "exp": value })).exp();
        assert_eq!(read.map(|time| time.map(|time| time.timestamp())), expected);
    }

    #[rstest]
    #[case(json!({"aud": "a"}), Ok(Some((vec!["a"], false))))]
    #[case(json!({"aud": ["a", "b"]}), Ok(Some((vec!["a", "b"], true))))]
    #[case(json!({"aud": []}), Err(ClaimFault::WrongType("aud")))]
    #[case(json!({"aud": ["a", 1]}), Err(ClaimFault::WrongType("aud")))]
    #[case(json!({"aud": ""}), Err(ClaimFault::WrongType("aud")))]
    #[case(json!({"aud": {"a": 1}}), Err(ClaimFault::WrongType("aud")))]
    #[case(json!({}), Ok(None))]
    fn audiences(#[case] value: Value, #[case] expected: Result<Option<(Vec<&str>, bool)>, ClaimFault>) {
        let read = claims(&value).aud();
        let expected = expected.map(|found| {
            found.map(|(values, was_array)| Audience {
                values: values.into_iter().map(str::to_owned).collect(),
                was_array,
            })
        });
        assert_eq!(read, expected);
    }

    #[test]
    fn debug_shows_no_values() {
        let shown = format!("{:?}", claims(&json!({"email": "alice@example.org"})));
        assert_eq!(shown, r#"Claims{"email"}"#);
    }
}
