//! Clients that are a document on the web (Client ID Metadata Documents,
//! draft-ietf-oauth-client-id-metadata-document): the `client_id` is the https URL of the client's
//! metadata, and whoever controls the URL is the client.
//!
//! Nobody looked at such a client before it came. So it can have no secret, its answers go to its own host
//! or to the person's own machine, and the consent page shows the host.

use chrono::{DateTime, Utc};
use consent::Catalogue;
use protocol::{
    ClientId,
    client::{ApplicationType, AuthMethod},
    registration::{RegistrationFormFault, RegistrationRequest},
};
use url::{Host, Url};

use crate::{
    client::{Client, ClientFault, ClientRecord},
    registration::{RegistrationFault, RegistrationPolicy, is_on_the_web, settle},
};

/// Why a document is no client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentFault {
    /// Its `client_id` is not the URL that it was read from, letter by letter.
    #[error("client_id is not the document's own URL")]
    OtherClient,
    /// It says a secret, or asks for a method that needs one.
    #[error("a client that is a document can have no secret")]
    Secret,
    /// A redirect URI on another host.
    #[error("redirect_uris: {0} is on another host")]
    Redirect(String),
    /// Rules that hold for every client, or for all of this kind.
    #[error(transparent)]
    Registration(#[from] RegistrationFault),
}

impl From<RegistrationFormFault> for DocumentFault {
    fn from(fault: RegistrationFormFault) -> Self {
        RegistrationFault::Form(fault).into()
    }
}

/// The host of a `client_id` that is the URL of a document; `None` for every other one. Such a URL is https,
/// is written as a browser would write it, and has a path, but no user, no fragment and no dots in the path.
pub fn document_host(client_id: &str) -> Option<String> {
    if !client_id.starts_with("https://") {
        return None;
    }
    let url = Url::parse(client_id).ok()?;
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    // What the parser would have mended (dot segments, capitals, a default port) names another document.
    let exact = url.as_str() == client_id && url.path() != "/";
    let Some(Host::Domain(host)) = url.host() else { return None };
    (plain && exact).then(|| match url.port() {
        None => host.to_owned(),
        Some(port) => format!("{host}:{port}"),
    })
}

/// Reads the document of a client.
///
/// # Errors
/// [`DocumentFault`].
pub fn read_document(
    id: &ClientId,
    body: &[u8],
    policy: &RegistrationPolicy,
    catalogue: &Catalogue,
    now: DateTime<Utc>,
) -> Result<ClientRecord, DocumentFault> {
    let mut request = RegistrationRequest::parse(body)?;
    if request.named.client_id.as_deref() != Some(id.as_str()) {
        return Err(DocumentFault::OtherClient);
    }
    if request.named.client_secret.is_some() || request.named.read_only == Some("client_secret_expires_at") {
        return Err(DocumentFault::Secret);
    }
    match request.metadata.token_endpoint_auth_method {
        None => request.metadata.token_endpoint_auth_method = Some(AuthMethod::None),
        Some(AuthMethod::None | AuthMethod::PrivateKeyJwt) => {}
        Some(_) => return Err(DocumentFault::Secret),
    }
    // Such documents seldom say that the client is an app; its redirect URIs do.
    if !request.has("application_type") && request.metadata.redirect_uris.iter().all(|uri| is_native(uri)) {
        request.metadata.application_type = ApplicationType::Native;
    }
    let own = document_host(id.as_str());
    for uri in request.metadata.redirect_uris.iter().filter(|uri| !is_native(uri)) {
        let url = Url::parse(uri).ok();
        let host = url.as_ref().and_then(|url| match (url.host_str(), url.port()) {
            (Some(host), Some(port)) => Some(format!("{host}:{port}")),
            (host, _) => host.map(str::to_owned),
        });
        if host.is_none() || host != own {
            return Err(DocumentFault::Redirect(uri.clone()));
        }
    }
    let (metadata, settings) = settle(&request, policy, catalogue, None)?;
    let record = ClientRecord {
        id: id.clone(),
        metadata,
        settings,
        secrets: Vec::new(),
        disabled: false,
        created_at: now,
        updated_at: now,
    };
    Client::parse(&record).map_err(|faults: Vec<ClientFault>| RegistrationFault::Rules(faults))?;
    Ok(record)
}

/// Whether an answer stays on the person's own machine. Whether it may is decided with all redirect URIs.
fn is_native(uri: &str) -> bool {
    !is_on_the_web(uri)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use protocol::client::{GrantType, ResponseType};
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::registration::HostRule;

    const ID: &str = "https://app.example/oauth/client.json";

    #[expect(clippy::needless_pass_by_value, reason = "a literal of JSON is written where it is used")]
    fn read(more: Value) -> Result<ClientRecord, DocumentFault> {
        let mut document = json!({
            "client_id": ID, "client_name": "Agent", "redirect_uris": ["https://app.example/cb"],
        });
        document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let policy = RegistrationPolicy {
            name: "documents".into(),
            scopes: None,
            grant_types: [GrantType::AuthorizationCode, GrantType::RefreshToken].into(),
            response_types: [ResponseType::Code].into(),
            auth_methods: [AuthMethod::None, AuthMethod::PrivateKeyJwt].into(),
            detail_types: BTreeSet::new(),
            redirect_hosts: vec![HostRule::Any],
            native: true,
            link_hosts: Vec::new(),
            pkce_exempt: false,
            secret_lifetime: None,
            consent_lifetime: None,
            unused_lifetime: None,
        };
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let declared = Catalogue::default();
        read_document(&ID.parse().unwrap(), document.to_string().as_bytes(), &policy, &declared, now)
    }

    #[rstest]
    #[case("https://app.example/client.json", Some("app.example"))]
    #[case("https://app.example/?id=1", None)]
    #[case("https://app.example:8443/c", Some("app.example:8443"))]
    #[case("https://app.example:443/c", None)]
    #[case("https://app.example", None)]
    #[case("https://app.example/", None)]
    #[case("http://app.example/c", None)]
    #[case("https://u@app.example/c", None)]
    #[case("https://app.example/c#x", None)]
    #[case("https://app.example/a/../c", None)]
    #[case("https://APP.example/c", None)]
    #[case("https://127.0.0.1/c", None)]
    #[case("https://[::1]/c", None)]
    #[case("web-app", None)]
    fn dr_01_which_identifiers_are_documents(#[case] id: &str, #[case] host: Option<&str>) {
        assert_eq!(document_host(id).as_deref(), host);
    }

    #[test]
    fn dr_10_a_document_makes_a_public_client_with_pkce() {
        let record = read(json!({})).unwrap();
        assert_eq!(record.metadata.token_endpoint_auth_method, Some(AuthMethod::None));
        assert!(record.settings.require_pkce && !record.settings.first_party && record.secrets.is_empty());
        let native = read(json!({ "redirect_uris": ["http://127.0.0.1/cb", "http://[::1]/cb"] })).unwrap();
        assert_eq!(native.metadata.application_type, ApplicationType::Native);
    }

    #[rstest]
    #[case(json!({ "client_id": "https://app.example/oauth/client.json?" }), DocumentFault::OtherClient)]
    #[case(json!({ "client_id": null }), DocumentFault::OtherClient)]
    #[case(json!({ "client_secret": "s3cret" }), DocumentFault::Secret)]
    #[case(json!({ "client_secret_expires_at": 0 }), DocumentFault::Secret)]
    #[case(json!({ "token_endpoint_auth_method": "client_secret_basic" }), DocumentFault::Secret)]
    #[case(
        json!({ "redirect_uris": ["https://app.example/cb", "https://evil.example/cb"] }),
        DocumentFault::Redirect("https://evil.example/cb".into())
    )]
    #[case(
        json!({ "redirect_uris": ["http://127.0.0.1/cb", "HTTPS://evil.example/cb"] }),
        DocumentFault::Redirect("HTTPS://evil.example/cb".into())
    )]
    #[case(
        json!({ "redirect_uris": ["https://app.example:8443/cb"] }),
        DocumentFault::Redirect("https://app.example:8443/cb".into())
    )]
    fn dr_10_what_a_document_may_not_say(#[case] more: Value, #[case] expected: DocumentFault) {
        assert_eq!(read(more), Err(expected));
    }

    #[rstest]
    #[case(json!({ "redirect_uris": [] }))]
    #[case(json!({ "redirect_uris": ["http://app.example/cb"] }))]
    #[case(json!({ "redirect_uris": ["javascript:alert(1)"] }))]
    #[case(json!({ "token_endpoint_auth_method": "private_key_jwt" }))]
    #[case(json!({ "scope": "openid root" }))]
    #[case(json!({ "client_uri": "https://bank.example/" }))]
    fn dr_03_the_rules_of_every_client_hold(#[case] more: Value) {
        assert!(matches!(read(more), Err(DocumentFault::Registration(_))));
    }
}
