//! What a provider says about one of its people, and what of it counts here.

use chrono::{DateTime, Utc};
use protocol::{
    acr::{Acr, Amr},
    claims::StandardClaims,
};
use serde_json::{Map, Value};

use crate::config::UpstreamConfig;

/// A subject of a provider, as its verified ID token describes it. Who that is here, a link says:
/// nothing but issuer and subject identifies anybody.
#[derive(Clone, Debug)]
pub struct UpstreamIdentity {
    /// The provider's issuer.
    pub issuer: String,
    /// Its subject: never reassigned there, compared byte for byte.
    pub subject: String,
    /// When it authenticated the person.
    pub auth_time: DateTime<Utc>,
    /// What its `acr` is worth here.
    pub acr: Acr,
    /// Those of its methods that have a name here.
    pub amr: Vec<Amr>,
    /// Its session, for back-channel logout.
    pub sid: Option<String>,
    /// The ID token, for the hint of a logout there. A bearer of claims: sealed before it is stored.
    pub id_token: String,
    /// Standard claims that the operator wants copied.
    pub claims: StandardClaims,
    /// A name for people who are told whom they link; never an identifier.
    pub label: Option<String>,
    /// Roles by the operator's table; `None` where there is no table.
    pub roles: Option<Vec<String>>,
}

/// The methods that have a name here. `mfa` is claimed only where the operator's table says that the
/// context class is worth two factors.
pub(crate) fn methods(claims: &Map<String, Value>, acr: Acr) -> Vec<Amr> {
    let said = claims.get("amr").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let says = |amr: &Amr| said.iter().any(|value| value.as_str() == Some(amr.as_str()));
    let mut methods: Vec<Amr> = [Amr::Pwd, Amr::Otp].into_iter().filter(says).collect();
    if acr == Acr::StrongCustomerAuthentication {
        methods.push(Amr::Mfa);
    }
    methods
}

/// The roles that a claim gives by the operator's table.
pub(crate) fn roles(config: &UpstreamConfig, claims: &Map<String, Value>) -> Option<Vec<String>> {
    let name = config.roles.claim.as_deref()?;
    let found = match name.strip_prefix('/') {
        None => claims.get(name),
        Some(path) => {
            let mut steps = path.split('/');
            let first = steps.next().and_then(|step| claims.get(step));
            steps.fold(first, |value, step| value?.get(step))
        }
    };
    let values = match found {
        Some(Value::String(value)) => vec![value.as_str()],
        Some(Value::Array(values)) => values.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let mut roles: Vec<_> =
        values.into_iter().filter_map(|value| config.roles.roles.get(value).cloned()).collect();
    roles.sort_unstable();
    roles.dedup();
    Some(roles)
}

/// Texts longer than this are not copied.
const MAX_TEXT: usize = 256;

/// The standard claims that the operator wants copied. Of the wrong type, or endless, they count as
/// absent; an address counts as verified only where the provider says so.
pub(crate) fn copied(config: &UpstreamConfig, claims: &Map<String, Value>) -> StandardClaims {
    let wanted = |name: &str| config.claims.iter().any(|claim| claim == name);
    let text = |name: &str| {
        let value = claims.get(name).filter(|_| wanted(name))?.as_str()?.trim();
        let odd = value.is_empty() || value.len() > MAX_TEXT || value.contains(char::is_control);
        (!odd).then(|| value.to_owned())
    };
    let truth = |name: &str, of: &str| {
        (wanted(of) && claims.contains_key(of)).then(|| claims.get(name) == Some(&Value::Bool(true)))
    };
    StandardClaims {
        name: text("name"),
        given_name: text("given_name"),
        family_name: text("family_name"),
        middle_name: text("middle_name"),
        nickname: text("nickname"),
        preferred_username: text("preferred_username"),
        email: text("email"),
        email_verified: truth("email_verified", "email"),
        birthdate: text("birthdate"),
        zoneinfo: text("zoneinfo"),
        locale: text("locale"),
        phone_number: text("phone_number"),
        phone_number_verified: truth("phone_number_verified", "phone_number"),
        ..StandardClaims::default()
    }
}

/// How a person recognizes the account there.
pub(crate) fn label(claims: &Map<String, Value>) -> Option<String> {
    let names = ["preferred_username", "email", "name"];
    let texts = names.into_iter().filter_map(|name| claims.get(name)?.as_str().map(str::trim));
    let mut texts = texts.filter(|text| !text.is_empty() && !text.contains(char::is_control));
    texts.next().map(|text| text.chars().take(100).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use jose::Algorithm;
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::config::{ClientProof, RoleMap};

    fn config(claim: &str) -> UpstreamConfig {
        let proof = ClientProof::OwnKey(Algorithm::Es256);
        let roles = [("staff", "teller"), ("boss", "manager")];
        let roles = roles.map(|(value, role)| (value.to_owned(), role.to_owned())).into();
        UpstreamConfig {
            roles: RoleMap { claim: Some(claim.to_owned()), roles },
            ..UpstreamConfig::new("n".parse().unwrap(), "https://n.example", "us", proof)
        }
    }

    fn object(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[rstest]
    #[case("groups", json!({"groups": ["staff", "boss", "staff", 7, "manager"]}), &["manager", "teller"])]
    #[case("groups", json!({"groups": "staff"}), &["teller"])]
    #[case("groups", json!({"groups": {"staff": true}}), &[])]
    #[case("groups", json!({}), &[])]
    #[case("/realm/roles", json!({"realm": {"roles": ["boss"]}}), &["manager"])]
    #[case("/realm/roles", json!({"realm": ["boss"]}), &[])]
    fn roles_come_from_the_table_only(#[case] claim: &str, #[case] claims: Value, #[case] expected: &[&str]) {
        assert_eq!(roles(&config(claim), &object(&claims)).unwrap(), expected);
    }

    #[test]
    fn methods_claim_no_more_than_the_class() {
        let said = object(&json!({"amr": ["pwd", "mfa", "otp", "telepathy"]}));
        assert_eq!(methods(&said, Acr::CustomerAuthentication), [Amr::Pwd, Amr::Otp]);
        assert_eq!(methods(&said, Acr::StrongCustomerAuthentication), [Amr::Pwd, Amr::Otp, Amr::Mfa]);
        assert_eq!(methods(&Map::new(), Acr::CustomerAuthentication), []);
    }

    #[test]
    fn claims_are_copied_by_configuration() {
        let said = object(&json!({
            "name": "Alice", "email": "a@n.example", "email_verified": "true", "phone_number": "+1",
            "given_name": 7, "family_name": "x".repeat(300), "nickname": "Al"
        }));
        let copied = copied(&config("groups"), &said);
        assert_eq!(copied.name.as_deref(), Some("Alice"));
        assert_eq!((copied.email.as_deref(), copied.email_verified), (Some("a@n.example"), Some(false)));
        assert_eq!((copied.given_name, copied.family_name), (None, None));
        assert_eq!((copied.nickname, copied.phone_number), (None, None), "nobody asked for these");
    }
}
