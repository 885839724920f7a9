//! From the parameters that came to the parameters that count (RFC 9101 §6.3, OpenID Connect Core §6).
//!
//! Beside a request object nothing outside counts (MS-04): what the client did not sign may have been
//! put there by somebody else. Outside must stand `client_id`, because without it nobody knows whose
//! keys to take (JAR-02); a `response_type` outside must be the one inside (OpenID Connect Core §6.1).

use jose::RequestObject;
use protocol::params::{MAX_PARAMETERS, MAX_VALUE, Params};
use serde_json::{Map, Value};

/// Why a request object, or what came instead of one, is refused. The text is for the log; the wire says
/// less where the rest is nobody's business.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestObjectRefusal {
    /// `request` beside `request_uri` (JAR-01).
    #[error("request and request_uri exclude each other")]
    Both,
    /// None came, and the client's requests are signed or refused (JAR-07, MS-01).
    #[error("the request must be signed")]
    Unsigned,
    /// The object is no request of the client for us, now (JAR-08).
    #[error("the request object is not acceptable: {0}")]
    Invalid(String),
    /// `request_uri` is none that the client registered (OC-25, JAR-06).
    #[error("request_uri is not registered for this client")]
    UriNotRegistered,
    /// Nothing could be had from it; why is not for the world to know (JAR-08).
    #[error("request_uri cannot be fetched: {0}")]
    UriNotFetched(String),
    /// The client's keys could not be had.
    #[error("the keys of the client are not available: {0}")]
    KeysUnavailable(String),
    /// A parameter stands outside with another value than inside.
    #[error("{0} differs from the one in the request object")]
    Differs(&'static str),
    /// A parameter came twice beside the object (O21-04).
    #[error("parameter {0} is repeated")]
    Repeated(String),
}

/// The parameters of a request object in place of those that came with it.
///
/// # Errors
/// [`RequestObjectRefusal::Differs`], [`RequestObjectRefusal::Repeated`], and
/// [`RequestObjectRefusal::Invalid`] for values that no parameter can have.
pub fn effective(outer: &Params, object: &RequestObject) -> Result<Params, RequestObjectRefusal> {
    if let Some(name) = outer.repeated() {
        return Err(RequestObjectRefusal::Repeated(name.to_owned()));
    }
    let params = parameters(&object.parameters)?;
    for name in ["client_id", "response_type"] {
        let (outside, inside) = (outer.get(name), params.get(name));
        if outside.is_some() && inside.is_some() && outside != inside {
            return Err(RequestObjectRefusal::Differs(name));
        }
    }
    Ok(params)
}

/// The members of a signed object as parameters: numbers and truth values as they are written, objects
/// such as `claims` and arrays such as `authorization_details` as JSON text, `resource` once for each of
/// its values (RFC 9101 §4, RFC 8707 §2.1). A member that is `null` is absent.
fn parameters(members: &Map<String, Value>) -> Result<Params, RequestObjectRefusal> {
    let unfit = |name: &str| {
        let name: String = name.chars().take(32).collect();
        RequestObjectRefusal::Invalid(format!("the member {name} has no acceptable value"))
    };
    let mut pairs: Vec<(String, String)> = Vec::with_capacity(members.len());
    for (name, value) in members {
        match value {
            Value::Null => {}
            Value::String(text) => pairs.push((name.clone(), text.clone())),
            Value::Array(items) if name == "resource" => {
                for item in items {
                    let text = item.as_str().ok_or_else(|| unfit(name))?;
                    pairs.push((name.clone(), text.to_owned()));
                }
            }
            other => pairs.push((name.clone(), other.to_string())),
        }
    }
    if pairs.len() > MAX_PARAMETERS {
        return Err(RequestObjectRefusal::Invalid("it has too many members".to_owned()));
    }
    let bad = |value: &str| value.len() > MAX_VALUE || value.contains('\0');
    if let Some((name, _)) = pairs.iter().find(|(name, value)| bad(value) || name.contains('\0')) {
        return Err(unfit(name));
    }
    Ok(pairs.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use jose::{
        Algorithm, KeySet, PrivateKey, RequestObjectPolicy, SigningKey, jwe::Accepted, open_request_object,
    };
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::grant::tests::now;

    /// As it comes out of a verification; nothing else makes one.
    #[expect(clippy::needless_pass_by_value, reason = "a literal of JSON is written where it is used")]
    fn object(members: Value) -> RequestObject {
        let key = SigningKey::new(&PrivateKey::generate(Algorithm::EdDsa).unwrap()).unwrap();
        let token = key.sign("JWT", &members).unwrap();
        let policy = RequestObjectPolicy {
            client_id: "app",
            issuer: "https://as.example",
            algorithms: &Algorithm::ALL,
            bounded: false,
            leeway: RequestObjectPolicy::LEEWAY,
        };
        let opened = open_request_object(&token, &[], &Accepted::ALL).unwrap();
        opened.verify(&KeySet::new(vec![key.public().clone()]), &policy, now()).unwrap()
    }

    fn merged(outer: &str, members: Value) -> Result<Params, RequestObjectRefusal> {
        effective(&Params::parse(outer.as_bytes()).unwrap(), &object(members))
    }

    #[test]
    fn ms_04_what_stands_only_outside_is_ignored() {
        let outer = "client_id=app&request=x&scope=openid+admin&state=theirs&nonce=theirs&response_type=code\
                     &redirect_uri=https://evil.example";
        let inner = json!({
            "client_id": "app", "response_type": "code", "scope": "openid", "max_age": 300, "prompt": null,
            "claims": {"id_token": {"acr": null}}, "resource": ["https://a.example", "https://b.example"],
            "exp": 4_000_000_000_i64, "iss": "app",
        });
        let params = merged(outer, inner).unwrap();
        let names: Vec<_> = params.names().collect();
        assert_eq!(names, ["claims", "client_id", "max_age", "resource", "response_type", "scope"]);
        assert_eq!(params.get("scope"), Some("openid"));
        assert_eq!(params.get("max_age"), Some("300"));
        assert_eq!(params.get("claims"), Some(r#"{"id_token":{"acr":null}}"#));
        assert_eq!(params.all("resource").collect::<Vec<_>>(), ["https://a.example", "https://b.example"]);
    }

    #[rstest]
    #[case("client_id=app&response_type=code+id_token", json!({}), RequestObjectRefusal::Differs("response_type"))]
    #[case("client_id=app&state=a&state=b", json!({}), RequestObjectRefusal::Repeated("state".into()))]
    fn jar_02_o21_04_outside_may_not_contradict(
        #[case] outer: &str,
        #[case] more: Value,
        #[case] refusal: RequestObjectRefusal,
    ) {
        let mut inner = json!({"client_id": "app", "response_type": "code"});
        inner.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(merged(outer, inner), Err(refusal));
    }

    #[rstest]
    #[case(json!({"client_id": "app", "resource": [1]}))]
    fn what_no_parameter_can_be_is_refused(#[case] inner: Value) {
        assert!(matches!(merged("client_id=app", inner), Err(RequestObjectRefusal::Invalid(_))));
    }

    #[test]
    fn an_empty_member_counts_as_absent() {
        let params = merged("client_id=app", json!({"client_id": "app", "state": ""})).unwrap();
        assert_eq!(params.get("state"), None);
    }
}
