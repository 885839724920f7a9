//! The `claims` parameter (OpenID Connect Core §5.5): single claims asked for by name, each in the ID token
//! or at userinfo.
//!
//! It is JSON from outside, so it is read strictly and bounded: no repeated members (JO-02), no other
//! targets than the two, no more claims than anybody could mean. Claims that this server does not have
//! are kept out here already; asking for them is no error (Core §5.5.1).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{claims::claim_names, json};

/// The longest `claims` that is read, in bytes.
pub const MAX_CLAIMS_BYTES: usize = 8 * 1024;
/// So many claims may be asked for in one place.
const MAX_CLAIMS: usize = 64;
/// So many `values` may be listed for one claim.
const MAX_VALUES: usize = 32;

/// Claims about the authentication itself; they are always in the ID token, and only conditions on them
/// matter. `sub` names the person.
const OF_THE_EVENT: [&str; 3] = ["sub", "acr", "auth_time"];

/// What is wrong with a `claims` parameter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimsFault {
    /// No JSON object, or one that repeats a member.
    #[error("claims is not a JSON object without repeated members")]
    Json,
    /// Over 8 KiB, over 64 claims in one place, or over 32 values of one claim.
    #[error("claims is too large")]
    TooLarge,
    /// A target is neither null nor an object.
    #[error("a member of claims is no object")]
    Target,
    /// What is said about a claim is neither null nor an object with well-formed members.
    #[error("a claim in claims is malformed")]
    Member,
}

/// How a claim is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The person is better served with it. Only conditions on `sub` and `acr` make it a demand.
    #[serde(default, skip_serializing_if = "is_false")]
    pub essential: bool,
    /// The values that are wanted, preferred first; any where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<Value>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde calls")]
const fn is_false(value: &bool) -> bool {
    !*value
}

impl Asked {
    /// The wanted values that are text.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.values.iter().filter_map(Value::as_str)
    }
}

/// What a request asks for by name, as far as this server has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimsRequest {
    /// At userinfo.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub userinfo: BTreeMap<String, Asked>,
    /// In the ID token.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub id_token: BTreeMap<String, Asked>,
}

impl ClaimsRequest {
    /// Reads the parameter.
    ///
    /// # Errors
    /// [`ClaimsFault`].
    pub fn parse(text: &str) -> Result<Self, ClaimsFault> {
        if text.len() > MAX_CLAIMS_BYTES {
            return Err(ClaimsFault::TooLarge);
        }
        Self::read(&json::from_slice(text.as_bytes()).map_err(|_| ClaimsFault::Json)?)
    }

    fn read(members: &Map<String, Value>) -> Result<Self, ClaimsFault> {
        // Members that are not understood are ignored (Core §5.5).
        Ok(Self { userinfo: target(members.get("userinfo"))?, id_token: target(members.get("id_token"))? })
    }

    /// Nothing that this server has.
    pub fn is_empty(&self) -> bool {
        self.userinfo.is_empty() && self.id_token.is_empty()
    }

    /// The subjects that the person must be one of; `None` where no one is demanded. A demand in either
    /// place counts (Core §5.5.1, §3.1.2.2).
    pub fn subjects(&self) -> Option<Vec<&str>> {
        let demands = [&self.id_token, &self.userinfo].into_iter().filter_map(|target| target.get("sub"));
        let mut demands = demands.filter(|asked| !asked.values.is_empty());
        let first: Vec<&str> = demands.next()?.texts().collect();
        Some(demands.fold(first, |left, other| {
            left.into_iter().filter(|subject| other.texts().any(|text| text == *subject)).collect()
        }))
    }

    /// How `acr` is asked for in the ID token (Core §5.5.1.1).
    pub fn acr(&self) -> Option<&Asked> {
        self.id_token.get("acr")
    }

    /// The claims about the person, of both places, each once.
    pub fn personal(&self) -> impl Iterator<Item = &'static str> {
        claim_names().filter(|name| self.userinfo.contains_key(*name) || self.id_token.contains_key(*name))
    }
}

fn target(value: Option<&Value>) -> Result<BTreeMap<String, Asked>, ClaimsFault> {
    let members = match value {
        None | Some(Value::Null) => return Ok(BTreeMap::new()),
        Some(Value::Object(members)) => members,
        Some(_) => return Err(ClaimsFault::Target),
    };
    if members.len() > MAX_CLAIMS {
        return Err(ClaimsFault::TooLarge);
    }
    let mut claims = BTreeMap::new();
    for (name, value) in members {
        let asked = asked(value)?;
        // `name#zh-Hant` asks for a script or language (Core §5.2); ours have none.
        if OF_THE_EVENT.contains(&name.as_str()) || claim_names().any(|known| known == name) {
            claims.insert(name.clone(), asked);
        }
    }
    Ok(claims)
}

fn asked(value: &Value) -> Result<Asked, ClaimsFault> {
    let members = match value {
        Value::Null => return Ok(Asked::default()),
        Value::Object(members) => members,
        _ => return Err(ClaimsFault::Member),
    };
    let essential = match members.get("essential") {
        None => false,
        Some(Value::Bool(essential)) => *essential,
        Some(_) => return Err(ClaimsFault::Member),
    };
    let values = match (members.get("value"), members.get("values")) {
        (None, None) => Vec::new(),
        (Some(value), None) => vec![value.clone()],
        (None, Some(Value::Array(values))) if values.len() > MAX_VALUES => return Err(ClaimsFault::TooLarge),
        (None, Some(Value::Array(values))) if !values.is_empty() => values.clone(),
        // One value or several, not both (Core §5.5.1).
        _ => return Err(ClaimsFault::Member),
    };
    Ok(Asked { essential, values })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn parse(value: &Value) -> Result<ClaimsRequest, ClaimsFault> {
        ClaimsRequest::parse(&value.to_string())
    }

    /// The example of Core §5.5.
    #[test]
    fn oc_18_both_targets_essential_value_and_values() {
        let request = parse(&json!({
            "userinfo": {
                "given_name": {"essential": true},
                "nickname": null,
                "email": {"essential": true},
                "email_verified": {"essential": true},
                "picture": null,
                "http://example.info/claims/groups": null
            },
            "id_token": {
                "auth_time": {"essential": true},
                "acr": {"values": ["urn:mace:incommon:iap:silver"]},
                "sub": {"value": "248289761001"}
            },
            "elsewhere": 3
        }))
        .unwrap();
        let names: Vec<_> = request.userinfo.keys().map(String::as_str).collect();
        assert_eq!(names, ["email", "email_verified", "given_name", "nickname", "picture"]);
        assert!(request.userinfo["email"].essential && !request.userinfo["nickname"].essential);
        assert_eq!(request.subjects(), Some(vec!["248289761001"]));
        assert_eq!(request.acr().unwrap().texts().collect::<Vec<_>>(), ["urn:mace:incommon:iap:silver"]);
        assert!(request.id_token["auth_time"].essential);
        assert_eq!(request.personal().count(), 5);
        let stored: ClaimsRequest = serde_json::from_value(serde_json::to_value(&request).unwrap()).unwrap();
        assert_eq!(stored, request);
    }

    #[rstest]
    #[case("", ClaimsFault::Json)]
    #[case("[]", ClaimsFault::Json)]
    #[case(r#"{"userinfo":{},"userinfo":{}}"#, ClaimsFault::Json)]
    #[case(r#"{"id_token":{"email":null,"email":{"essential":true}}}"#, ClaimsFault::Json)]
    #[case(r#"{"id_token":{"sub":{"value":"a","value":"b"}}}"#, ClaimsFault::Json)]
    #[case(r#"{"id_token":["email"]}"#, ClaimsFault::Target)]
    #[case(r#"{"id_token":{"email":true}}"#, ClaimsFault::Member)]
    #[case(r#"{"id_token":{"email":{"essential":"yes"}}}"#, ClaimsFault::Member)]
    #[case(r#"{"id_token":{"sub":{"values":"a"}}}"#, ClaimsFault::Member)]
    #[case(r#"{"id_token":{"sub":{"values":[]}}}"#, ClaimsFault::Member)]
    #[case(r#"{"id_token":{"sub":{"value":"a","values":["a"]}}}"#, ClaimsFault::Member)]
    fn oc_18_jo_02_malformed_claims_are_refused(#[case] text: &str, #[case] fault: ClaimsFault) {
        assert_eq!(ClaimsRequest::parse(text), Err(fault));
    }

    #[test]
    fn oc_18_the_size_is_bounded() {
        let many: Map<String, Value> = (0..65).map(|n| (format!("c{n}"), Value::Null)).collect();
        assert_eq!(parse(&json!({"userinfo": many})), Err(ClaimsFault::TooLarge));
        let values: Vec<u32> = (0..33).collect();
        assert_eq!(parse(&json!({"id_token": {"acr": {"values": values}}})), Err(ClaimsFault::TooLarge));
        let long = json!({"userinfo": {"x": {"value": "x".repeat(MAX_CLAIMS_BYTES)}}});
        assert_eq!(parse(&long), Err(ClaimsFault::TooLarge));
        let deep = format!("{}{}", r#"{"userinfo":"#.repeat(200), "}".repeat(200));
        assert_eq!(ClaimsRequest::parse(&deep), Err(ClaimsFault::Json));
    }

    #[test]
    fn oc_18_demands_for_a_subject_add_up() {
        let subjects = |value: Value| {
            parse(&value)
                .unwrap()
                .subjects()
                .map(|list| list.into_iter().map(str::to_owned).collect::<Vec<_>>())
        };
        assert_eq!(subjects(json!({"id_token": {"sub": null}})), None);
        assert_eq!(subjects(json!({"userinfo": {"sub": {"value": "a"}}})), Some(vec!["a".into()]));
        let both = json!({"id_token": {"sub": {"values": ["a", "b"]}}, "userinfo": {"sub": {"value": "b"}}});
        assert_eq!(subjects(both), Some(vec!["b".into()]));
        // A subject that is no text is nobody.
        assert_eq!(subjects(json!({"id_token": {"sub": {"value": 7}}})), Some(vec![]));
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "[ -~]{0,80}") {
            let _ = ClaimsRequest::parse(&text);
        }
    }
}
