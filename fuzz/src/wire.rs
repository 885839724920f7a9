//! Requests, and the values in them: everything in `protocol` that reads bytes.

use std::{collections::BTreeMap, fmt, str::FromStr};

use jose::{Algorithm, Digest};
use protocol::{
    ClientId, Description, Scope, ScopeToken, UserId,
    acr::Acr,
    authorization::{AuthorizationRequest, MAX_LOGIN_HINT, MAX_STATE, Prompt},
    client::{GrantType, ResponseMode},
    introspection::IntrospectionRequest,
    json,
    logout::EndSessionRequest,
    params::{MAX_NAME, MAX_PARAMETERS, MAX_VALUE, Params, basic_credentials},
    pkce::{CodeChallenge, CodeVerifier},
    revocation::RevocationRequest,
    token::TokenRequest,
    uri::{ApplicationType, RedirectUri, is_https_url, is_resource_indicator},
};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;
use url::Url;

use crate::halves;

/// Form bodies and queries: agrees with the URL standard's own reader, keeps duplicates visible, and
/// writes what reads the same (O21-04, OC-08).
pub fn params(bytes: &[u8]) {
    let Ok(params) = Params::parse(bytes) else { return };
    let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in url::form_urlencoded::parse(bytes) {
        assert!(!value.contains('\0') && !name.contains('\0'));
        assert!(name.len() <= MAX_NAME && value.len() <= MAX_VALUE);
        if !value.is_empty() {
            expected.entry(name.into_owned()).or_default().push(value.into_owned());
        }
    }
    assert!(expected.len() <= MAX_PARAMETERS);
    assert_eq!(params.names().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, values) in &expected {
        assert_eq!(params.get(name), values.first().map(String::as_str));
        let repeatable = name == "resource" || name == "audience";
        assert_eq!(params.is_repeated(name), values.len() > 1 && !repeatable);
        let all: Vec<&str> = params.all(name).collect();
        let kept = if repeatable { values.len() } else { 1 };
        assert_eq!(all, values[..kept]);
    }
    assert_eq!(params.repeated().is_some(), expected.keys().any(|name| params.is_repeated(name)));
    let again = Params::parse(params.to_query().as_bytes()).expect("what was read can be read again");
    assert_eq!(again, params);
    let stored = serde_json::to_vec(&params).expect("parameters are stored as JSON");
    assert_eq!(serde_json::from_slice::<Params>(&stored).expect("and read back"), params);
    // A name that is quoted back to a developer stays in the alphabet of an error description (ER-01).
    for name in params.names() {
        let shown = Description::from(name.to_owned());
        assert!(shown.as_str().bytes().all(|byte| matches!(byte, 0x20..=0x7e) && !b"\"\\".contains(&byte)));
    }
}

/// JSON in which equal members stay visible, and whether a text holds U+0000.
enum Tree {
    Leaf,
    Text(bool),
    List(Vec<Tree>),
    Members(Vec<(String, Tree)>),
}

impl Tree {
    fn refused(&self) -> bool {
        match self {
            Self::Leaf => false,
            Self::Text(nul) => *nul,
            Self::List(items) => items.iter().any(Self::refused),
            Self::Members(members) => {
                let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
                names.sort_unstable();
                names.windows(2).any(|pair| pair[0] == pair[1])
                    || members.iter().any(|(name, value)| name.contains('\0') || value.refused())
            }
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Tree;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }
            fn visit_bool<E>(self, _: bool) -> Result<Tree, E> {
                Ok(Tree::Leaf)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Tree, E> {
                Ok(Tree::Leaf)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Tree, E> {
                Ok(Tree::Leaf)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Tree, E> {
                Ok(Tree::Leaf)
            }
            fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
                Ok(Tree::Text(text.contains('\0')))
            }
            fn visit_unit<E>(self) -> Result<Tree, E> {
                Ok(Tree::Leaf)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Tree::List(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Tree, A::Error> {
                let mut map = Vec::new();
                while let Some(member) = members.next_entry()? {
                    map.push(member);
                }
                Ok(Tree::Members(map))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// The strict JSON reader: accepts exactly what `serde_json` accepts, repeats no member at any
/// level and holds no U+0000, and reads it to the same value (JO-02).
pub fn json(bytes: &[u8]) {
    let strict = json::from_slice::<Value>(bytes);
    let tree = serde_json::from_slice::<Tree>(bytes);
    assert_eq!(strict.is_ok(), tree.is_ok_and(|tree| !tree.refused()));
    let Ok(value) = strict else { return };
    let usual: Value = serde_json::from_slice(bytes).expect("the strict reader accepts only JSON");
    assert_eq!(value, usual);
    let text = serde_json::to_vec(&value).expect("a JSON value is JSON text");
    json::from_slice::<Value>(&text).expect("what is written repeats nothing");
}

/// Whatever reads from a text and writes to one: what was written reads as the same value.
fn round_trip<T: FromStr + fmt::Display + PartialEq + fmt::Debug>(text: &str) -> Option<T> {
    let value: T = text.parse().ok()?;
    let again = value.to_string().parse::<T>().ok();
    assert_eq!(again.as_ref(), Some(&value), "{text:?}");
    Some(value)
}

/// The words of the protocol: scopes, identifiers, classes, algorithms, challenges.
pub fn words(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (one, other) = halves(text);
    if let Some(scope) = round_trip::<Scope>(one) {
        let tokens: Vec<&str> = one.split(' ').filter(|token| !token.is_empty()).collect();
        assert!(tokens.iter().all(|token| scope.contains(token)));
        assert!(scope.iter().all(|token| tokens.contains(&token.as_str())));
        if let Some(second) = round_trip::<Scope>(other) {
            let (both, either, left) =
                (scope.intersection(&second), scope.union(&second), scope.difference(&second));
            assert!(both.is_subset(&scope) && both.is_subset(&second));
            assert!(scope.is_subset(&either) && second.is_subset(&either));
            assert_eq!(left.union(&both), scope);
            assert!(left.intersection(&second).is_empty());
        }
    }
    if let Some(token) = round_trip::<ScopeToken>(one) {
        assert!(!token.as_str().contains([' ', '"', '\\']) && token.as_str().is_ascii());
    }
    if let Some(client) = round_trip::<ClientId>(one) {
        assert!((1..=255).contains(&client.as_str().len()));
        assert!(client.as_str().parse::<UserId>().is_err(), "BCP-11: a client must not look like a person");
    }
    if let Some(user) = round_trip::<UserId>(one) {
        assert_eq!(user.to_string().len(), 36);
    }
    round_trip::<Acr>(one);
    round_trip::<Algorithm>(one);
    round_trip::<Digest>(one);
    round_trip::<consent::Role>(one);
    round_trip::<keys::KeyState>(one);
    if let Some(mode) = ResponseMode::parse(one) {
        assert_eq!(mode.as_str(), one);
    }
    if let Ok(challenge) = CodeChallenge::try_from(one.to_owned()) {
        assert_eq!((challenge.as_str(), one.len()), (one, 43));
    }
    if let Some(verifier) = CodeVerifier::parse(one) {
        assert!((43..=128).contains(&verifier.expose().len()));
    }
    if let Some((user, password)) = basic_credentials(one) {
        assert!(!user.is_empty() && !user.contains('\0') && !password.expose().contains('\0'));
    }
}

/// URIs that a person or a browser may be sent to (BCP-01, BCP-02, BCP-21, BCP-22).
pub fn uris(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (one, other) = halves(text);
    for application in [ApplicationType::Web, ApplicationType::Native] {
        let Ok(uri) = RedirectUri::register(one, application) else { continue };
        assert_eq!(uri.as_str(), one);
        let url = Url::parse(one).expect("what was registered is a URL");
        assert!(url.fragment().is_none() && url.username().is_empty() && url.password().is_none());
        assert!(application == ApplicationType::Native || url.scheme() == "https");
        assert!(!matches!(url.scheme(), "javascript" | "data" | "vbscript" | "file" | "blob"));
        if url.scheme() == "https" || url.scheme() == "http" {
            // Without the slashes a browser would take it for a path of the page it stands on.
            let slashes = one.get(url.scheme().len()..).is_some_and(|rest| rest.starts_with("://"));
            assert!(slashes && !one.contains('\\'), "{one:?}");
        }
        let source = RedirectUri::csp_source(one).expect("a registered URI has a source expression");
        assert!(!source.contains(|c: char| c.is_whitespace() || c.is_control()), "{source:?}");
        assert!(uri.admits(one, application));
        if one != other && uri.admits(other, application) {
            assert_eq!(application, ApplicationType::Native, "web clients' URIs are compared as text");
            let asked = Url::parse(other).expect("what is admitted is a URL");
            assert_eq!((url.scheme(), asked.scheme()), ("http", "http"));
            assert!(matches!(asked.host_str(), Some("127.0.0.1" | "[::1]")));
            assert_eq!(url.host_str(), asked.host_str());
            assert_eq!((url.path(), url.query()), (asked.path(), asked.query()));
            assert!(asked.username().is_empty() && asked.password().is_none());
            assert!(asked.fragment().is_none() || asked.fragment() == url.fragment());
        }
    }
    if is_https_url(one) {
        let url = Url::parse(one).expect("an https URL is a URL");
        assert!(url.scheme() == "https" && url.has_host() && url.username().is_empty());
    }
    if is_resource_indicator(one) {
        let url = Url::parse(one).expect("a resource indicator is an absolute URI");
        assert!(url.fragment().is_none() && one.len() <= 2000);
    }
}

/// The authorization request: everything that it keeps is what came, and a stored one reads the same.
pub fn authorization(bytes: &[u8]) {
    let Ok(params) = Params::parse(bytes) else { return };
    let addressee = AuthorizationRequest::addressee(&params);
    let parsed = AuthorizationRequest::parse(&params);
    let query = Params::parse(params.to_query().as_bytes()).expect("what was read can be read again");
    assert_eq!(AuthorizationRequest::parse(&query), parsed, "a request survives its way through a query");
    let Ok(request) = parsed else { return };
    assert!(params.repeated().is_none(), "O21-04");
    assert_eq!(addressee.client_id, Some(request.client_id.as_str()));
    assert_eq!(addressee.redirect_uri, request.redirect_uri.as_deref());
    assert_eq!(addressee.state, request.state.as_deref());
    assert_eq!(addressee.response_mode, request.response_mode);
    assert_eq!(addressee.front_channel, request.response_type.has_id_token());
    for (name, kept) in [("state", &request.state), ("nonce", &request.nonce)] {
        assert_eq!(kept.as_deref(), params.get(name), "F2-29: unmodified");
        assert!(kept.as_ref().is_none_or(|text| text.len() <= MAX_STATE));
    }
    assert!(request.login_hint.as_ref().is_none_or(|hint| hint.len() <= MAX_LOGIN_HINT));
    assert!(!request.prompt.contains(&Prompt::None) || request.prompt.len() == 1, "OC-06");
    assert_eq!(request.code_challenge.is_some(), params.get("code_challenge").is_some());
    assert!(request.code_challenge.is_none() || params.get("code_challenge_method") == Some("S256"));
    assert!(request.resources.iter().all(|resource| is_resource_indicator(resource)));
    for refused in ["request", "request_uri", "registration"] {
        assert_eq!(params.get(refused), None);
    }
    let stored = serde_json::to_vec(&request).expect("a request is stored as JSON");
    let again: AuthorizationRequest = serde_json::from_slice(&stored).expect("and read back");
    assert_eq!(again, request);
}

/// The requests of the other endpoints: token, introspection, revocation, logout.
pub fn requests(bytes: &[u8]) {
    let Ok(params) = Params::parse(bytes) else { return };
    let token = TokenRequest::parse(&params);
    let introspection = IntrospectionRequest::parse(&params);
    let revocation = RevocationRequest::parse(&params);
    let logout = EndSessionRequest::parse(&params);
    if params.repeated().is_some() {
        assert!(token.is_err() && introspection.is_err() && revocation.is_err() && logout.is_err());
        return;
    }
    if let Ok(request) = token {
        assert_eq!(Some(request.grant_type().as_str()), params.get("grant_type"));
        let (shown, resources, secrets) = match &request {
            TokenRequest::AuthorizationCode(code) => {
                assert_eq!(code.redirect_uri.as_deref(), params.get("redirect_uri"));
                assert_eq!(Some(code.code.expose()), params.get("code"));
                (format!("{code:?}"), Some(&code.resources), ["code", "code_verifier"])
            }
            TokenRequest::RefreshToken(refresh) => {
                assert_eq!(Some(refresh.refresh_token.expose()), params.get("refresh_token"));
                (format!("{refresh:?}"), Some(&refresh.resources), ["refresh_token", "refresh_token"])
            }
            TokenRequest::ClientCredentials(own) => {
                assert_eq!(request.grant_type(), GrantType::ClientCredentials);
                (format!("{own:?}"), Some(&own.resources), ["code", "code"])
            }
            TokenRequest::DeviceCode(poll) => {
                assert_eq!(Some(poll.device_code.expose()), params.get("device_code"));
                (format!("{poll:?}"), Some(&poll.resources), ["device_code", "device_code"])
            }
            TokenRequest::TokenExchange(exchange) => {
                assert_eq!(Some(exchange.subject.token.expose()), params.get("subject_token"));
                assert_eq!(exchange.actor.is_some(), params.get("actor_token").is_some(), "TX-01");
                let mut asked: Vec<&str> = params.all("audience").chain(params.all("resource")).collect();
                asked.sort_unstable();
                asked.dedup();
                assert_eq!(exchange.targets, asked);
                (format!("{exchange:?}"), None, ["subject_token", "actor_token"])
            }
            TokenRequest::JwtBearer(bearer) => {
                assert_eq!(Some(bearer.assertion.expose()), params.get("assertion"));
                (format!("{bearer:?}"), Some(&bearer.resources), ["assertion", "assertion"])
            }
        };
        if let Some(resources) = resources {
            assert_eq!(resources.iter().collect::<Vec<_>>(), params.all("resource").collect::<Vec<_>>());
        }
        // BCP-17: a long secret is never shown, unless it also stands where nothing is secret.
        let open = ["redirect_uri", "scope", "resource", "audience"];
        for secret in secrets.iter().filter_map(|name| params.get(name)).filter(|secret| secret.len() > 24) {
            let elsewhere = open.iter().any(|name| params.all(name).any(|text| text.contains(secret)));
            assert!(elsewhere || !shown.contains(secret), "{shown}");
        }
    }
    assert_eq!(introspection.is_ok(), params.get("token").is_some());
    assert_eq!(revocation.is_ok(), params.get("token").is_some());
    let logout = logout.expect("nothing is repeated");
    assert_eq!(logout.state.as_deref(), params.get("state"));
}
