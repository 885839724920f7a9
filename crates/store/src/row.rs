//! From column to type: what every row's parser shares. A value that does not parse is reported
//! with its table, key and column.

use std::{fmt::Display, str::FromStr};

use chrono::{DateTime, SubsecRound, Utc};
use jose::Digest;
use protocol::authorization_details::AuthorizationDetails;
use protocol::members::names_of;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::types::Json;

use crate::error::{Result, StoreError};

/// The row that is being parsed.
pub(crate) struct Row<'a> {
    table: &'static str,
    key: &'a dyn Display,
}

impl<'a> Row<'a> {
    pub(crate) const fn new(table: &'static str, key: &'a dyn Display) -> Self {
        Self { table, key }
    }

    pub(crate) fn corrupt(&self, column: &str, why: impl Display) -> StoreError {
        let why = format!("column {column}: {why}");
        StoreError::Corrupt { table: self.table, key: self.key.to_string(), why }
    }

    /// A text with a grammar of its own.
    pub(crate) fn parse<T: FromStr<Err: Display>>(&self, column: &str, text: &str) -> Result<T> {
        text.parse().map_err(|fault| self.corrupt(column, fault))
    }

    /// A text of a closed set.
    pub(crate) fn known<T>(&self, column: &str, text: &str, value: Option<T>) -> Result<T> {
        value.ok_or_else(|| self.corrupt(column, format_args!("unknown value {text:?}")))
    }

    /// A document.
    pub(crate) fn document<T: DeserializeOwned>(&self, column: &str, value: Json<Value>) -> Result<T> {
        serde_json::from_value(value.0).map_err(|fault| self.corrupt(column, fault))
    }

    /// A JSON document that a later release may have written. Members that this release does not know are
    /// passed over, so that nodes of both can serve side by side while one replaces the other; but not
    /// those that the rule holds back, for which the row is refused: what can't be honoured is not ignored.
    pub(crate) fn later_document<T: DeserializeOwned>(
        &self,
        column: &str,
        Json(mut value): Json<Value>,
        passed_over: impl Fn(&Value) -> bool,
    ) -> Result<T> {
        if let Value::Object(members) = &mut value {
            let known = names_of::<T>();
            members.retain(|name, value| known.contains(&name.as_str()) || !passed_over(value));
        }
        self.document(column, Json(value))
    }

    /// A document that may be absent.
    pub(crate) fn maybe<T: DeserializeOwned + Default>(
        &self,
        column: &str,
        value: Option<Json<Value>>,
    ) -> Result<T> {
        value.map_or_else(|| Ok(T::default()), |value| self.document(column, value))
    }

    /// A digest.
    pub(crate) fn digest(&self, column: &str, bytes: &[u8]) -> Result<Digest> {
        bytes.try_into().map_err(|fault| self.corrupt(column, fault))
    }
}

/// What a client or a scope can do beyond what this release knows. Demands are members that are true:
/// `require_…`, `…_required`, `…_bound_…`.
pub(crate) fn is_no_demand(value: &Value) -> bool {
    *value != Value::Bool(true)
}

/// What an operator sets may be a bound of any form, so only what says nothing counts as nothing.
pub(crate) fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Number(_) => false,
    }
}

/// The digest that a row is found by, as it may be logged: its first characters only.
pub(crate) fn shown(bytes: &[u8]) -> String {
    Digest::try_from(bytes).map_or_else(|_| "(no digest)".to_owned(), |digest| format!("{digest:?}"))
}

/// Authorization details as a column: absent where there are none.
pub(crate) fn some_details(details: &AuthorizationDetails) -> Option<Json<&AuthorizationDetails>> {
    (!details.is_empty()).then_some(Json(details))
}

/// Times as both engines keep them. PostgreSQL counts microseconds; SQLite keeps text of any
/// precision, so that an untruncated time would compare differently there.
pub(crate) trait Micros {
    /// Cuts to whole microseconds.
    fn us(self) -> Self;
}

impl Micros for DateTime<Utc> {
    fn us(self) -> Self {
        self.trunc_subsecs(6)
    }
}

impl Micros for Option<DateTime<Utc>> {
    fn us(self) -> Self {
        self.map(Micros::us)
    }
}

/// A row that may be missing from a join. Its columns are found under their names with a prefix.
pub(crate) trait Joined<R>: Sized {
    /// `None` where the join found nothing.
    fn joined(row: &R) -> sqlx::Result<Option<Self>>;
}

/// Reads the named fields of a row struct from a join; `$key` is never null in a row that is there.
macro_rules! joined {
    ($row:ident, $prefix:literal, $key:literal, { $($field:ident),* $(,)? }) => {
        joined!(@ sqlx::postgres::PgRow, $row, $prefix, $key, { $($field),* });
        joined!(@ sqlx::sqlite::SqliteRow, $row, $prefix, $key, { $($field),* });
    };
    (@ $from:ty, $row:ident, $prefix:literal, $key:literal, { $($field:ident),* }) => {
        impl $crate::row::Joined<$from> for $row {
            fn joined(row: &$from) -> sqlx::Result<Option<Self>> {
                use sqlx::Row as _;
                if row.try_get::<Option<uuid::Uuid>, _>($key)?.is_none() {
                    return Ok(None);
                }
                Ok(Some(Self { $($field: row.try_get(concat!($prefix, stringify!($field)))?),* }))
            }
        }
    };
}

pub(crate) use joined;
