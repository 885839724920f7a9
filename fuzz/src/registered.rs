//! What clients register and present: metadata, key sets, credentials.

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::DateTime;
use consent::Catalogue;
use jose::KeySet;
use protocol::{
    client::{AuthMethod, ClientMetadata, GrantType, ResponseType},
    json,
    params::Params,
    registration::{RegistrationRequest, members_of},
    uri::ApplicationType,
};
use serde_json::{Map, Value};
use tokens::{
    client::{Client, ClientRecord, ClientSettings, SecretDigest},
    client_auth::Presented,
    registration::{HostRule, RegistrationPolicy, settle},
};

use crate::halves;

/// The body of a registration (RFC 7591 §3.1): what is read and told reads the same, a statement's values win,
/// and no policy lets a client be more than it says (DR-05, DR-10).
pub fn registration(bytes: &[u8]) {
    let Ok(request) = RegistrationRequest::parse(bytes) else { return };
    let told = members_of(&request.metadata);
    let again = RegistrationRequest::read(told.clone()).expect("what is told reads again");
    let fraction = request.metadata.jwks.as_ref().is_some_and(has_fraction);
    assert!(fraction || members_of(&again.metadata) == told);
    let stated = Map::from_iter([("client_name".to_owned(), Value::from("Stated"))]);
    let overridden = request.overridden_by(stated).expect("a name can be stated");
    assert_eq!(overridden.metadata.client_name.as_deref(), Some("Stated"), "DR-05");
    let policy = RegistrationPolicy {
        name: "fuzz".to_owned(),
        scopes: None,
        grant_types: [GrantType::AuthorizationCode].into(),
        response_types: [ResponseType::Code].into(),
        auth_methods: [AuthMethod::None, AuthMethod::ClientSecretBasic].into(),
        detail_types: BTreeSet::new(),
        redirect_hosts: vec![HostRule::Below(".example".to_owned())],
        native: false,
        link_hosts: Vec::new(),
        pkce_exempt: true,
        secret_lifetime: None,
        consent_lifetime: None,
        unused_lifetime: None,
    };
    let catalogue = Catalogue::default();
    let declared = catalogue.supported().cloned().collect();
    let Ok((metadata, settings)) = settle(&request, &policy, &catalogue, None) else { return };
    assert!(!settings.first_party, "DR-10");
    assert!(metadata.scope.is_some_and(|scope| scope.is_subset(&declared)));
    let public = metadata.token_endpoint_auth_method == Some(AuthMethod::None);
    assert!(!public || settings.require_pkce, "O21-01");
    assert!(metadata.jwks.is_none() || metadata.jwks_uri.is_none(), "DR-04");
    let urls = metadata.redirect_uris.iter().filter_map(|uri| Some((uri, url::Url::parse(uri).ok()?)));
    for (uri, url) in urls.filter(|(_, url)| url.scheme() == "https") {
        assert!(url.host_str().is_some_and(|host| host.ends_with(".example")), "{uri}");
    }
}

/// Client metadata (RFC 7591 §2): what is written reads the same, and a client that may be registered
/// obeys every rule (DR-04, CC-01, O21-01).
pub fn metadata(bytes: &[u8]) {
    let Ok(metadata) = json::from_slice::<ClientMetadata>(bytes) else { return };
    if metadata.jwks.as_ref().is_some_and(has_fraction) {
        // Fractions may change in their last digit when they are written; keys have none.
        return;
    }
    let text = serde_json::to_vec(&metadata).expect("metadata is JSON");
    assert_eq!(json::from_slice::<ClientMetadata>(&text).expect("and reads again"), metadata);
    let method = metadata.token_endpoint_auth_method.unwrap_or(AuthMethod::ClientSecretBasic);
    let has_secret = matches!(method, AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost);
    let secret = SecretDigest { digest: jose::digest::sha256("a secret of tests"), expires_at: None };
    let record = ClientRecord {
        id: "client".parse().expect("a client id"),
        metadata,
        settings: ClientSettings::default(),
        secrets: if has_secret { vec![secret] } else { Vec::new() },
        disabled: false,
        created_at: DateTime::UNIX_EPOCH,
        updated_at: DateTime::UNIX_EPOCH,
    };
    let client = match Client::parse(&record) {
        Ok(client) => client,
        Err(faults) => {
            assert!(!faults.is_empty(), "a refusal has a reason");
            assert!(faults.iter().all(|fault| !fault.to_string().is_empty()));
            return;
        }
    };
    assert_eq!(client.authentication.method(), method);
    assert!((1..=100).contains(&client.name.chars().count()) && !client.name.contains(char::is_control));
    let public = method == AuthMethod::None;
    assert!(!(public && client.grant_types.contains(&GrantType::ClientCredentials)), "CC-01");
    if client.grant_types.contains(&GrantType::AuthorizationCode) {
        assert!(!client.redirect_uris.is_empty());
    }
    for uri in client.redirect_uris.iter().chain(&client.post_logout_redirect_uris) {
        let web = client.application_type == ApplicationType::Web;
        assert!(!web || uri.as_str().to_ascii_lowercase().starts_with("https:"), "{uri}");
    }
    for link in [&client.links.home, &client.links.policy, &client.links.terms].into_iter().flatten() {
        assert!(protocol::uri::is_https_url(link), "DR-06");
    }
    let stored = serde_json::to_vec(&record).expect("a record is stored as JSON");
    let again: ClientRecord = serde_json::from_slice(&stored).expect("and read back");
    assert!(again == record && Client::parse(&again).is_ok());
}

fn has_fraction(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(has_fraction),
        Value::Object(members) => members.values().any(has_fraction),
        _ => false,
    }
}

/// Key sets (RFC 7517): only public members are kept, and what we publish is what we read (DR-04, F2-35).
pub fn keys(bytes: &[u8]) {
    let Ok(set) = KeySet::from_slice(bytes) else { return };
    let text = set.to_json();
    let again = KeySet::from_slice(text.as_bytes()).expect("what is published can be read");
    assert_eq!(again, set);
    assert_eq!(again.to_json(), text, "one spelling");
    for (key, twin) in set.keys().iter().zip(again.keys()) {
        assert_eq!(key.thumbprint(), twin.thumbprint());
        assert_eq!(key.algorithms().collect::<Vec<_>>(), twin.algorithms().collect::<Vec<_>>());
        let Value::Object(members) = key.to_value() else { panic!("a key is an object") };
        const PUBLIC: [&str; 10] = ["kty", "n", "e", "crv", "x", "y", "kid", "use", "key_ops", "alg"];
        assert!(members.keys().all(|name| PUBLIC.contains(&name.as_str())), "{members:?}");
        assert!(jose::Algorithm::ALL.iter().all(|alg| {
            let listed = key.algorithms().any(|own| own == *alg);
            !listed || set.supports(*alg)
        }));
    }
}

/// Client credentials (RFC 6749 §2.3): the first line is the `Authorization` header, the rest the form.
/// Never two methods at once, never two names (OC-23).
pub fn credentials(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (header, form) = halves(text);
    let Ok(params) = Params::parse(form.as_bytes()) else { return };
    let header = (!header.is_empty()).then_some(header);
    if let Ok(presented) = Presented::parse(header, &params) {
        let id = presented.client_id();
        assert!(!id.contains('\0'));
        assert!(params.get("client_id").is_none_or(|named| named == id), "one name");
        assert_eq!(presented.used_basic(), header.is_some());
        let used =
            [header, params.get("client_secret"), params.get("client_assertion")].into_iter().flatten();
        assert!(used.count() <= 1, "one method");
        if let (false, Some((_, secret))) = (presented.used_basic(), presented.secret()) {
            assert_eq!(Some(secret.expose()), params.get("client_secret"));
        }
        let shown = format!("{presented:?}");
        let secrets = [params.get("client_secret"), params.get("client_assertion")].into_iter().flatten();
        for secret in secrets.filter(|secret| secret.len() > 24 && !id.contains(*secret)) {
            assert!(!shown.contains(secret), "BCP-17");
        }
    }
    // Whatever name and secret a client has, it can present them in the header.
    let (Some(user), Some(secret)) = (params.get("client_id"), params.get("client_secret")) else { return };
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let basic = format!("Basic {}", STANDARD.encode(format!("{}:{}", encode(user), encode(secret))));
    let presented = Presented::parse(Some(&basic), &Params::default()).expect("well-formed credentials");
    assert_eq!(presented.client_id(), user);
    assert_eq!(presented.secret().map(|(_, secret)| secret.expose()), Some(secret));
}
