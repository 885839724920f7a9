//! The types of authorization details (RFC 9396 §2): each has a JSON Schema that says what may be asked,
//! words for people, and resource servers that understand it.
//!
//! Two types ship with Chancery, account information and payment initiation; a bank declares which of them
//! it has, and may add its own. What a client asks must fit the schema of its type exactly: an unknown
//! member is refused, because a person can't consent to what nobody understands (RAR-01).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use jsonschema::Validator;
use protocol::authorization_details::{AuthorizationDetail, AuthorizationDetails};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    catalogue::{Role, ScopeText, text_in},
    details::{ACCOUNT_INFORMATION, DetailFault, PAYMENT_INITIATION},
};

const SHIPPED: [(&str, &str); 2] = [
    (ACCOUNT_INFORMATION, include_str!("../schemas/account_information.json")),
    (PAYMENT_INITIATION, include_str!("../schemas/payment_initiation.json")),
];

/// A type as an operator declared it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetailTypeDefinition {
    /// What `type` says.
    #[serde(rename = "type")]
    pub name: String,
    /// What it is, in the bank's default language: the heading on the consent page.
    pub title: String,
    /// One or two sentences about it; may be empty.
    #[serde(default)]
    pub description: String,
    /// The resource servers that understand it: their tokens alone carry such details (RAR-05). A detail may
    /// name some of them in `locations`.
    pub locations: Vec<String>,
    /// The roles that it stands for. A person may consent only if they hold all of them.
    #[serde(default)]
    pub roles: BTreeSet<Role>,
    /// Whether every request is asked about, whatever was allowed before. Payments always are.
    #[serde(default)]
    pub always_ask: bool,
    /// Whether it takes two factors to authorize it (PSD2 article 97).
    #[serde(default)]
    pub second_factor_required: bool,
    /// Whether it reaches money, so that a new client that may ask for it has the FAPI 2.0 profile. The types
    /// that ship do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub financial: bool,
    /// Whether a client may have it for itself, without a person.
    #[serde(default)]
    pub client_credentials: bool,
    /// The JSON Schema; absent for the types that ship.
    #[serde(default)]
    pub schema: Option<Value>,
    /// Title and description by language tag, such as `zh-Hant`.
    #[serde(default)]
    pub translations: BTreeMap<String, ScopeText>,
}

/// One type, its schema compiled.
#[derive(Clone)]
pub struct DetailType {
    definition: DetailTypeDefinition,
    document: Arc<Value>,
    schema: Arc<Validator>,
}

/// Why a declaration makes no type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("authorization details of type `{name}`: {why}")]
pub struct TypeFault {
    /// Which type.
    pub name: String,
    /// What is wrong with it.
    pub why: String,
}

/// Every type that this server knows.
#[derive(Clone, Debug, Default)]
pub struct DetailTypes(BTreeMap<String, DetailType>);

impl DetailType {
    /// Compiles a declaration. References of a schema to other documents are not followed.
    ///
    /// # Errors
    /// [`TypeFault`].
    pub fn new(definition: DetailTypeDefinition) -> Result<Self, TypeFault> {
        let fault = |why: String| TypeFault { name: definition.name.clone(), why };
        if definition.name.is_empty() || definition.name.len() > 256 {
            return Err(fault("a name has 1 to 256 bytes".to_owned()));
        }
        if definition.locations.is_empty() {
            return Err(fault("locations must name at least one resource server".to_owned()));
        }
        let shipped = SHIPPED.iter().find(|(shipped, _)| *shipped == definition.name);
        let document = match (shipped, &definition.schema) {
            (Some((_, text)), None) => serde_json::from_str(text).expect("a schema that ships is JSON"),
            (Some(_), Some(_)) => {
                return Err(fault("the type ships with its schema and takes no other".to_owned()));
            }
            (None, None) => return Err(fault("it needs a JSON Schema".to_owned())),
            (None, Some(schema)) => schema.clone(),
        };
        let closed = ["additionalProperties", "unevaluatedProperties"]
            .iter()
            .any(|member| document.get(member) == Some(&Value::Bool(false)));
        if !closed {
            let why = "the schema must say \"additionalProperties\": false, so that nobody is asked about members \
                       that nobody understands";
            return Err(fault(why.to_owned()));
        }
        let schema = jsonschema::options().should_validate_formats(true).build(&document);
        let schema = schema.map_err(|error| fault(format!("the JSON Schema is wrong: {error}")))?;
        Ok(Self { definition, document: Arc::new(document), schema: Arc::new(schema) })
    }

    /// What was declared.
    pub const fn definition(&self) -> &DetailTypeDefinition {
        &self.definition
    }

    /// Whether every request is asked about.
    pub fn always_asks(&self) -> bool {
        self.definition.always_ask || self.definition.name == PAYMENT_INITIATION
    }

    /// Whether it reaches money.
    pub fn is_financial(&self) -> bool {
        self.definition.financial || SHIPPED.iter().any(|(shipped, _)| *shipped == self.definition.name)
    }

    /// Title and description in the first of `languages` that there is a translation for.
    pub fn text<'a>(&'a self, languages: &[&str]) -> (&'a str, &'a str) {
        let default = (self.definition.title.as_str(), self.definition.description.as_str());
        text_in(languages, &self.definition.translations, default)
    }

    /// What the schema calls a member, for people; the name of the member where it says nothing.
    pub fn label<'a>(&'a self, member: &'a str) -> &'a str {
        let title = self.document.get("properties").and_then(|known| known.get(member)?.get("title"));
        title.and_then(Value::as_str).unwrap_or(member)
    }

    /// The resource servers that one detail of the type is for: those that it names, else all.
    pub fn locations<'a>(&'a self, detail: &'a AuthorizationDetail) -> impl Iterator<Item = &'a String> {
        let named = detail.get("locations").and_then(Value::as_array);
        let is_named = move |location: &&String| {
            named.is_none_or(|named| named.iter().any(|value| value.as_str() == Some(location.as_str())))
        };
        self.definition.locations.iter().filter(is_named)
    }

    fn check(&self, index: usize, detail: &AuthorizationDetail) -> Result<(), DetailFault> {
        let value = Value::Object(detail.members().clone());
        if let Err(error) = self.schema.validate(&value) {
            return Err(DetailFault::Schema { index, place: error.instance_path().to_string() });
        }
        let known = |value: &Value| {
            self.definition.locations.iter().any(|location| Some(location.as_str()) == value.as_str())
        };
        match detail.get("locations").and_then(Value::as_array) {
            Some(named) if named.is_empty() || !named.iter().all(known) => {
                Err(DetailFault::Schema { index, place: "/locations".to_owned() })
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for DetailType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DetailType({} for {})", self.definition.name, self.definition.locations.join(" "))
    }
}

impl FromIterator<DetailType> for DetailTypes {
    fn from_iter<I: IntoIterator<Item = DetailType>>(types: I) -> Self {
        Self(types.into_iter().map(|kind| (kind.definition.name.clone(), kind)).collect())
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

    /// Every type, by name.
    pub fn iter(&self) -> impl Iterator<Item = &DetailType> {
        self.0.values()
    }

    /// Checks what a client asks for: known types that it may ask for, each as its schema says.
    ///
    /// # Errors
    /// [`DetailFault`] of the first detail that is wrong.
    pub fn check(&self, asked: &AuthorizationDetails, allowed: &[String]) -> Result<(), DetailFault> {
        asked.iter().enumerate().try_for_each(|(index, detail)| {
            let known = self.get(detail.kind());
            let kind = known.filter(|kind| allowed.contains(&kind.definition.name));
            kind.ok_or(DetailFault::Type { index })?.check(index, detail)
        })
    }

    /// Whether a detail means something at a resource server.
    pub fn reaches(&self, detail: &AuthorizationDetail, audience: &str) -> bool {
        self.get(detail.kind())
            .is_some_and(|kind| kind.locations(detail).any(|location| location == audience))
    }

    /// What a token for one resource server says: the details that mean something there (RAR-05).
    #[must_use]
    pub fn for_audience(&self, details: &AuthorizationDetails, audience: &str) -> AuthorizationDetails {
        details.filtered(|detail| self.reaches(detail, audience))
    }

    /// The details that a person with these roles may give away: of known types, whose roles they hold.
    #[must_use]
    pub fn held_to(&self, details: &AuthorizationDetails, held: &[Role]) -> AuthorizationDetails {
        details.filtered(|detail| {
            let kind = self.get(detail.kind());
            kind.is_some_and(|kind| kind.definition.roles.iter().all(|role| held.contains(role)))
        })
    }

    /// Whether some detail takes two factors to authorize.
    pub fn demand_second_factor(&self, details: &AuthorizationDetails) -> bool {
        details
            .iter()
            .any(|detail| self.get(detail.kind()).is_some_and(|kind| kind.definition.second_factor_required))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::testing::{BANK, CARDS};

    pub(crate) fn declared(name: &str, locations: &[&str]) -> DetailTypeDefinition {
        serde_json::from_value(json!({
            "type": name, "title": format!("Title of {name}"), "locations": locations,
        }))
        .unwrap()
    }

    pub(crate) fn types() -> DetailTypes {
        let schema = json!({
            "type": "object", "required": ["type", "number"], "additionalProperties": false,
            "properties": {"type": {}, "number": {"title": "Card number"}, "locations": {"type": "array"}},
        });
        let card = DetailTypeDefinition { schema: Some(schema), ..declared("card", &[CARDS, BANK]) };
        [declared(ACCOUNT_INFORMATION, &[BANK]), declared(PAYMENT_INITIATION, &[BANK]), card]
            .into_iter()
            .map(|definition| DetailType::new(definition).unwrap())
            .collect()
    }

    pub(crate) fn details(value: Value) -> AuthorizationDetails {
        AuthorizationDetails::from_value(value).unwrap()
    }

    pub(crate) fn payment(change: &Value) -> AuthorizationDetails {
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
        assert_eq!(check(&payment(&json!({"locations": [BANK]}))), Ok(()));
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
            json!({"locations": [BANK, "https://elsewhere.example"]}),
            json!({"locations": []}),
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
        let all = details(json!([
            {"type": "card", "number": "1", "locations": [CARDS]}, {"type": "card", "number": "2"},
            {"type": ACCOUNT_INFORMATION, "actions": ["list_accounts"]},
        ]));
        let seen = |audience: &str| types().for_audience(&all, audience).iter().cloned().collect::<Vec<_>>();
        let expected = |indices: &[usize]| -> Vec<_> {
            indices.iter().map(|index| all.iter().nth(*index).unwrap().clone()).collect()
        };
        assert_eq!(seen(BANK), expected(&[1, 2]));
        assert_eq!(seen(CARDS), expected(&[0, 1]));
        assert_eq!(seen("https://other.example"), []);
    }

    #[test]
    fn declarations_that_make_no_type_are_named() {
        let with = |name: &str, schema: Option<Value>| {
            DetailType::new(DetailTypeDefinition { schema, ..declared(name, &[BANK]) }).unwrap_err().why
        };
        assert!(with("odd", None).contains("needs a JSON Schema"));
        assert!(with("odd", Some(json!({"type": "object"}))).contains("additionalProperties"));
        let wrong = json!({"type": "nothing", "additionalProperties": false});
        assert!(with("odd", Some(wrong)).contains("is wrong"));
        assert!(with(PAYMENT_INITIATION, Some(json!({}))).contains("ships with its schema"));
        assert!(DetailType::new(declared(PAYMENT_INITIATION, &[])).is_err());
    }

    #[test]
    fn f2_28_members_have_names_for_people() {
        let types = types();
        let card = types.get("card").unwrap();
        assert_eq!((card.label("number"), card.label("limit")), ("Card number", "limit"));
        assert_eq!(card.text(&["fr"]).0, "Title of card");
    }
}
