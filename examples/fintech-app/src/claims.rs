//! Claims laid open for reading: name, value in words, and what the claim means.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::DateTime;
use serde_json::{Map, Value};

/// One line of a table of claims.
#[derive(Debug, PartialEq)]
pub(crate) struct Claim {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) meaning: &'static str,
}

/// The claims of a JWT, unverified, for display only: an access token is opaque to a client, and what these
/// apps rely on comes from the verified ID token. `None` when the token is not a JWT.
pub(crate) fn of_jwt(token: &str) -> Option<Vec<Claim>> {
    let payload = token.split('.').nth(1)?;
    let json = URL_SAFE_NO_PAD.decode(payload).ok()?;
    serde_json::from_slice(&json).ok().map(|claims: Map<String, Value>| of(&claims))
}

/// The claims of a JSON object.
pub(crate) fn of_json(claims: &Value) -> Vec<Claim> {
    claims.as_object().map(of).unwrap_or_default()
}

fn of(claims: &Map<String, Value>) -> Vec<Claim> {
    claims
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| Claim {
            name: name.clone(),
            value: in_words(name, value),
            meaning: meaning(name),
        })
        .collect()
}

fn in_words(name: &str, value: &Value) -> String {
    let is_time = matches!(name, "exp" | "iat" | "nbf" | "auth_time" | "updated_at");
    match value {
        Value::Number(seconds) if is_time => seconds
            .as_i64()
            .and_then(|seconds| DateTime::from_timestamp(seconds, 0))
            .map_or_else(|| seconds.to_string(), |time| time.format("%-d %B %Y, %H:%M:%S UTC").to_string()),
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
        }
        other => serde_json::to_string_pretty(other).unwrap_or_default(),
    }
}

fn meaning(name: &str) -> &'static str {
    match name {
        "iss" => "who issued it",
        "sub" => "the customer, as the bank names them",
        "aud" => "for whom it is meant",
        "exp" => "valid until",
        "iat" => "issued at",
        "nbf" => "not valid before",
        "auth_time" => "when the customer signed in",
        "nonce" => "ties it to this app's request",
        "acr" => "how strong the sign-in was",
        "amr" => "with what the customer signed in",
        "azp" => "for which app it was issued",
        "sid" => "the customer's session at the bank",
        "at_hash" => "ties it to the access token",
        "jti" => "its own unique name",
        "client_id" => "which app may use it",
        "scope" => "what it allows",
        "roles" => "what the customer may do at this API",
        "cnf" => "the key without which it is worth nothing",
        "grant_id" => "what it was issued under",
        "name" => "full name",
        "given_name" => "first name",
        "family_name" => "last name",
        "preferred_username" => "user name",
        "email" => "e-mail address",
        "email_verified" => "the bank has checked that address",
        "updated_at" => "these details last changed",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn claims_are_put_in_words() {
        let table = [
            ("exp", json!(1_800_000_000), "15 January 2027, 08:00:00 UTC"),
            ("exp", json!(i64::MAX), "9223372036854775807"),
            ("aud", json!(["a", "b"]), "a, b"),
            ("email_verified", json!(true), "yes"),
            ("count", json!(3), "3"),
        ];
        for (name, value, words) in table {
            assert_eq!(in_words(name, &value), words);
        }
        assert!(of_json(&json!({ "nothing": null })).is_empty());
    }

    #[test]
    fn only_a_jwt_has_claims() {
        let jwt = format!("e30.{}.x", URL_SAFE_NO_PAD.encode(r#"{"sub":"s"}"#));
        assert_eq!(of_jwt(&jwt).unwrap()[0].value, "s");
        for opaque in ["", "opaque", "a.b", "a.!.c", "e30.W10.x"] {
            assert!(of_jwt(opaque).is_none(), "{opaque}");
        }
    }
}
