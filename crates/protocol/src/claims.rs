//! The standard claims about a person (OpenID Connect Core §5.1).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Everything that a user record can say in the standard's words (OC-31). Absent members are
/// omitted on the wire, never `null` (OC-17).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StandardClaims {
    /// Full name in displayable form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Given name or names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given_name: Option<String>,
    /// Surname or family name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family_name: Option<String>,
    /// Middle name or names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub middle_name: Option<String>,
    /// Casual name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nickname: Option<String>,
    /// Shorthand by which the person wishes to be referred to; neither unique nor stable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_username: Option<String>,
    /// URL of the profile page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// URL of the profile picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
    /// URL of the web page or blog.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub website: Option<String>,
    /// Preferred e-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Whether the address is known to belong to the person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email_verified: Option<bool>,
    /// Gender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gender: Option<String>,
    /// Birthday, `YYYY-MM-DD`, `0000-MM-DD` or `YYYY`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub birthdate: Option<String>,
    /// Time zone name, such as `Europe/Paris`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zoneinfo: Option<String>,
    /// Language tag (RFC 5646).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// Telephone number, E.164 recommended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone_number: Option<String>,
    /// Whether the number is known to belong to the person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone_number_verified: Option<bool>,
    /// Postal address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
    /// When the record last changed, in seconds since 1970-01-01 UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<i64>,
}

/// A postal address (OpenID Connect Core §5.1.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// The whole address, formatted for a label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub formatted: Option<String>,
    /// Street, house number and the like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub street_address: Option<String>,
    /// City.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locality: Option<String>,
    /// State, province or region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Postal code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<String>,
    /// Country.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
}

/// The claims that a scope value asks for (OpenID Connect Core §5.4); none for other scopes.
pub fn claims_of_scope(scope: &str) -> &'static [&'static str] {
    match scope {
        "profile" => &[
            "name",
            "family_name",
            "given_name",
            "middle_name",
            "nickname",
            "preferred_username",
            "profile",
            "picture",
            "website",
            "gender",
            "birthdate",
            "zoneinfo",
            "locale",
            "updated_at",
        ],
        "email" => &["email", "email_verified"],
        "address" => &["address"],
        "phone" => &["phone_number", "phone_number_verified"],
        _ => &[],
    }
}

/// Every claim name that some scope releases, for `claims_supported`.
pub fn claim_names() -> impl Iterator<Item = &'static str> {
    ["profile", "email", "address", "phone"].into_iter().flat_map(claims_of_scope).copied()
}

/// How a single claim stands in a consent: `claim:` and its name, beside the scopes.
const CLAIM_PREFIX: &str = "claim:";

/// The entry of a consent that allows one claim.
pub fn claim_entry(claim: &str) -> String {
    format!("{CLAIM_PREFIX}{claim}")
}

/// The claim that an entry of a consent allows; `None` for scopes and for claims that there are none of.
pub fn claim_of_entry(entry: &str) -> Option<&'static str> {
    let name = entry.strip_prefix(CLAIM_PREFIX)?;
    claim_names().find(|known| *known == name)
}

/// Whether a name is kept free for entries of consents, so that no scope may have it.
pub fn is_claim_entry(name: &str) -> bool {
    name.starts_with(CLAIM_PREFIX) || name.starts_with("claim@")
}

/// The scope that releases a claim.
pub fn scope_of_claim(claim: &str) -> Option<&'static str> {
    ["profile", "email", "address", "phone"].into_iter().find(|scope| claims_of_scope(scope).contains(&claim))
}

/// The claims that an entry of a consent allows, be it a scope or a single claim.
pub fn claims_of_entry(entry: &str) -> Vec<&'static str> {
    claim_of_entry(entry).map_or_else(|| claims_of_scope(entry).to_vec(), |claim| vec![claim])
}

/// Whether a consent with this scope lets a claim out: by its name, or by the scope that it belongs to.
pub fn is_allowed(claim: &str, consented: &crate::Scope) -> bool {
    consented.contains(&claim_entry(claim))
        || scope_of_claim(claim).is_some_and(|scope| consented.contains(scope))
}

impl StandardClaims {
    /// Only the members that `scope` releases (OC-17).
    pub fn released_by(&self, scope: &crate::Scope) -> Map<String, Value> {
        let wanted: Vec<&str> =
            scope.iter().flat_map(|token| claims_of_scope(token.as_str())).copied().collect();
        self.named(|name| wanted.contains(&name))
    }

    /// Only the members that are named (OC-18).
    pub fn named(&self, wanted: impl Fn(&str) -> bool) -> Map<String, Value> {
        let Ok(Value::Object(all)) = serde_json::to_value(self) else {
            return Map::new();
        };
        all.into_iter().filter(|(name, _)| wanted(name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oc_17_a_scope_releases_its_claims_and_no_others() {
        let claims = StandardClaims {
            name: Some("A".into()),
            email: Some("a@example.com".into()),
            email_verified: Some(true),
            ..StandardClaims::default()
        };
        let released = claims.released_by(&"openid email".parse().unwrap());
        assert_eq!(released.keys().collect::<Vec<_>>(), ["email", "email_verified"]);
        assert!(claims.released_by(&"openid phone".parse().unwrap()).is_empty());
    }

    #[test]
    fn oc_31_every_claim_of_a_scope_can_be_held() {
        let document: Map<String, Value> = claim_names()
            .map(|name| {
                let value = match name {
                    "address" => serde_json::json!({"country": "NZ"}),
                    "updated_at" => serde_json::json!(1),
                    verified if verified.ends_with("_verified") => serde_json::json!(true),
                    _ => serde_json::json!("x"),
                };
                (name.to_owned(), value)
            })
            .collect();
        let claims: StandardClaims = serde_json::from_value(Value::Object(document.clone())).unwrap();
        assert_eq!(serde_json::to_value(claims).unwrap(), Value::Object(document));
    }
}
