//! The types of authorization details (RFC 9396 §2): each has a JSON Schema that says what may be asked,
//! and a resource server that understands it.
//!
//! Two types ship with Chancery, account information and payment initiation; a bank adds its own by
//! configuration. What a client asks must fit the schema of its type exactly: an unknown member is refused,
//! because a person can't consent to what nobody understands (RAR-01).

use std::{collections::BTreeMap, fmt, sync::Arc};

use jsonschema::Validator;
use protocol::authorization_details::{AuthorizationDetail, AuthorizationDetails};
use serde_json::Value;

/// The type that asks to see accounts. A detail without `accounts` is filled with those that the person
/// chooses.
pub const ACCOUNT_INFORMATION: &str = "account_information";
/// The type that asks to pay once.
pub const PAYMENT_INITIATION: &str = "payment_initiation";

const SHIPPED: [(&str, &str); 2] = [
    (ACCOUNT_INFORMATION, include_str!("../schemas/account_information.json")),
    (PAYMENT_INITIATION, include_str!("../schemas/payment_initiation.json")),
];

/// One type.
#[derive(Clone)]
pub struct DetailType {
    /// What `type` says.
    pub name: String,
    /// The audience of the resource server that understands it: its tokens alone carry such details (RAR-05).
    pub audience: String,
    schema: Arc<Validator>,
}

/// A schema that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the JSON Schema of the type {name:?} is wrong: {why}")]
pub struct SchemaFault {
    /// Of which type.
    pub name: String,
    /// What is wrong with it.
    pub why: String,
}

/// Why details are refused: `invalid_authorization_details` (RFC 9396 §5). The text names the place, never
/// the content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DetailFault {
    /// No such type here (RAR-01), or not one of the client's (RAR-02).
    #[error("authorization detail {index} is of a type that is not known, or not allowed to this client")]
    Type {
        /// Position, from 0.
        index: usize,
    },
    /// It does not fit the schema of its type.
    #[error("authorization detail {index} is not what its type demands, at {place:?}")]
    Schema {
        /// Position, from 0.
        index: usize,
        /// Where in it, as a JSON pointer.
        place: String,
    },
    /// It asks for more than was granted (RAR-04).
    #[error("authorization detail {index} asks for more than was granted")]
    Wider {
        /// Position, from 0.
        index: usize,
    },
}

/// Every type that this server knows.
#[derive(Clone, Debug, Default)]
pub struct DetailTypes(BTreeMap<String, DetailType>);

impl DetailType {
    /// A type with a schema of its own.
    ///
    /// # Errors
    /// [`SchemaFault`]. References to other documents are not followed.
    pub fn new(name: &str, audience: &str, schema: &Value) -> Result<Self, SchemaFault> {
        let fault = |error: jsonschema::ValidationError<'_>| SchemaFault {
            name: name.to_owned(),
            why: error.to_string(),
        };
        let schema = jsonschema::options().should_validate_formats(true).build(schema).map_err(fault)?;
        Ok(Self { name: name.to_owned(), audience: audience.to_owned(), schema: Arc::new(schema) })
    }

    /// One of the types that ship with Chancery, for this resource server; `None` for any other name.
    pub fn shipped(name: &str, audience: &str) -> Option<Self> {
        let (_, schema) = SHIPPED.iter().find(|(shipped, _)| *shipped == name)?;
        let schema = serde_json::from_str(schema).expect("a schema that ships is JSON");
        Some(Self::new(name, audience, &schema).expect("a schema that ships is right"))
    }

    fn check(&self, index: usize, detail: &AuthorizationDetail) -> Result<(), DetailFault> {
        let value = Value::Object(detail.members().clone());
        match self.schema.validate(&value) {
            Ok(()) => Ok(()),
            Err(error) => Err(DetailFault::Schema { index, place: error.instance_path().to_string() }),
        }
    }
}

impl fmt::Debug for DetailType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DetailType({} for {})", self.name, self.audience)
    }
}

impl FromIterator<DetailType> for DetailTypes {
    fn from_iter<I: IntoIterator<Item = DetailType>>(types: I) -> Self {
        Self(types.into_iter().map(|kind| (kind.name.clone(), kind)).collect())
    }
}

impl DetailTypes {
    /// The type of that name.
    pub fn get(&self, name: &str) -> Option<&DetailType> {
        self.0.get(name)
    }

    /// The names, for metadata (RFC 9396 §10).
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Checks what a client asks for: known types that it may ask for, each as its schema says.
    ///
    /// # Errors
    /// [`DetailFault`] of the first detail that is wrong.
    pub fn check(&self, asked: &AuthorizationDetails, allowed: &[String]) -> Result<(), DetailFault> {
        asked.iter().enumerate().try_for_each(|(index, detail)| {
            let kind = self.get(detail.kind()).filter(|kind| allowed.contains(&kind.name));
            kind.ok_or(DetailFault::Type { index })?.check(index, detail)
        })
    }

    /// What a token for one resource server says: the details of its types (RAR-05).
    #[must_use]
    pub fn for_audience(&self, details: &AuthorizationDetails, audience: &str) -> AuthorizationDetails {
        details.filtered(|detail| self.get(detail.kind()).is_some_and(|kind| kind.audience == audience))
    }
}

/// What a token request asks for out of what was granted: everything, if it says nothing (RFC 9396 §6).
///
/// # Errors
/// [`DetailFault::Wider`].
pub fn narrowed(
    granted: &AuthorizationDetails,
    asked: Option<&AuthorizationDetails>,
) -> Result<AuthorizationDetails, DetailFault> {
    let Some(asked) = asked else { return Ok(granted.clone()) };
    match asked.iter().position(|detail| !granted.iter().any(|granted| detail.is_within(granted))) {
        Some(index) => Err(DetailFault::Wider { index }),
        None => Ok(asked.clone()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    const API: &str = "https://api.example";

    fn types() -> DetailTypes {
        [ACCOUNT_INFORMATION, PAYMENT_INITIATION]
            .into_iter()
            .map(|name| DetailType::shipped(name, API).unwrap())
            .chain([DetailType::new("card", "https://cards.example", &json!({"type": "object"})).unwrap()])
            .collect()
    }

    fn details(value: Value) -> AuthorizationDetails {
        AuthorizationDetails::from_value(value).unwrap()
    }

    fn payment(change: &Value) -> AuthorizationDetails {
        let mut payment = json!({
            "type": PAYMENT_INITIATION, "instructedAmount": {"currency": "EUR", "amount": "123.50"},
            "creditorName": "Merchant A", "creditorAccount": {"iban": "DE02100100109307118603"},
        });
        for (name, value) in change.as_object().unwrap() {
            match value {
                Value::Null => drop(payment.as_object_mut().unwrap().remove(name)),
                value => payment[name] = value.clone(),
            }
        }
        details(json!([payment]))
    }

    #[test]
    fn rar_01_details_fit_their_schema_to_the_letter() {
        let allowed = [PAYMENT_INITIATION.to_owned(), ACCOUNT_INFORMATION.to_owned()];
        let check = |asked: &AuthorizationDetails| types().check(asked, &allowed);
        assert_eq!(check(&payment(&json!({}))), Ok(()));
        assert_eq!(
            check(&details(json!([{"type": ACCOUNT_INFORMATION, "actions": ["read_balances"]}]))),
            Ok(())
        );
        let amount = |amount: Value| json!({"instructedAmount": {"currency": "EUR", "amount": amount}});
        for wrong in [
            json!({"unknown": 1}),
            json!({"creditorName": null}),
            json!({"creditorName": ""}),
            json!({"creditorAccount": {"iban": "no iban"}}),
            json!({"instructedAmount": {"currency": "euro", "amount": "1"}}),
            amount(json!("1e3")),
            amount(json!(1e3)),
            amount(json!(12)),
            amount(json!("-1")),
            amount(json!("0.00")),
            amount(json!("1,5")),
            amount(json!("01")),
            amount(json!("１")),
        ] {
            let refused = check(&payment(&wrong));
            assert!(matches!(refused, Err(DetailFault::Schema { index: 0, .. })), "{wrong}: {refused:?}");
        }
    }

    #[test]
    fn rar_02_types_outside_the_clients_list_are_refused() {
        let only_accounts = [ACCOUNT_INFORMATION.to_owned()];
        assert_eq!(types().check(&payment(&json!({})), &only_accounts), Err(DetailFault::Type { index: 0 }));
        let unknown = details(json!([{"type": "unknown"}]));
        assert_eq!(types().check(&unknown, &["unknown".to_owned()]), Err(DetailFault::Type { index: 0 }));
    }

    #[test]
    fn rar_05_each_resource_server_sees_its_own_details() {
        let both = details(json!([
            {"type": "card", "number": "1"}, {"type": ACCOUNT_INFORMATION, "actions": ["list_accounts"]},
        ]));
        let seen = |audience| {
            let seen = types().for_audience(&both, audience);
            seen.iter().map(|detail| detail.kind().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(seen(API), [ACCOUNT_INFORMATION]);
        assert_eq!(seen("https://cards.example"), ["card"]);
        assert!(seen("https://other.example").is_empty());
    }

    #[test]
    fn rar_04_a_token_request_narrows_and_never_widens() {
        let granted =
            details(json!([{"type": ACCOUNT_INFORMATION, "actions": ["list_accounts", "read_balances"]}]));
        let fewer = details(json!([{"type": ACCOUNT_INFORMATION, "actions": ["list_accounts"]}]));
        assert_eq!(narrowed(&granted, None), Ok(granted.clone()));
        assert_eq!(narrowed(&granted, Some(&fewer)), Ok(fewer.clone()));
        assert_eq!(narrowed(&fewer, Some(&granted)), Err(DetailFault::Wider { index: 0 }));
    }

    #[test]
    fn a_schema_that_is_none_is_named() {
        let fault = DetailType::new("odd", API, &json!({"type": "nothing"})).unwrap_err();
        assert_eq!(fault.name, "odd");
    }
}
