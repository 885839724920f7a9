//! What a client registered about its keys and its request objects.

use std::sync::Arc;

use jose::{Algorithm, ContentEncryption, KeyManagement, KeySet, jwe::Accepted};
use protocol::{
    client::{AuthMethod, ClientMetadata},
    uri::is_https_url,
};

use super::{ClientFault, algorithm};
use crate::profile::Protection;

/// The longest `request_uri`, in bytes (JAR-06, RFC 9101 §5.2).
pub const MAX_REQUEST_URI: usize = 512;
/// No client has more of them.
const MAX_REQUEST_URIS: usize = 100;

/// Where the public keys of a client are.
#[derive(Clone, Debug, Default)]
pub enum ClientKeys {
    /// It registered none.
    #[default]
    None,
    /// By value, parsed.
    Registered(Arc<KeySet>),
    /// By reference: whoever needs them asks the cache of `flows` (OUT-04).
    At(String),
}

impl ClientKeys {
    pub(super) fn parse(metadata: &ClientMetadata, faults: &mut Vec<ClientFault>) -> Self {
        match (&metadata.jwks, &metadata.jwks_uri) {
            (Some(_), Some(_)) => faults.push(ClientFault::KeysTwice),
            (Some(jwks), None) => match KeySet::from_value(jwks) {
                Ok(keys) => return Self::Registered(Arc::new(keys)),
                Err(fault) => faults.push(ClientFault::Keys(fault.to_string())),
            },
            (None, Some(uri)) if !is_https_url(uri) => faults.push(ClientFault::Link("jwks_uri")),
            (None, Some(uri)) => return Self::At(uri.clone()),
            (None, None) => {
                let method = metadata.token_endpoint_auth_method;
                if let Some(method @ (AuthMethod::PrivateKeyJwt | AuthMethod::SelfSignedTlsClientAuth)) =
                    method
                {
                    faults.push(ClientFault::Keys(format!("{method} needs public keys")));
                }
            }
        }
        Self::None
    }

    /// Whether there can be any.
    pub const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

/// How a client may pass its authorization requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestRules {
    /// What it may sign request objects with (JAR-03).
    pub algorithms: Vec<Algorithm>,
    /// The key management that its encrypted ones must have; any, where it registered none (JAR-04).
    pub key_management: Vec<KeyManagement>,
    /// The content encryption that they must have.
    pub content: Vec<ContentEncryption>,
    /// Whether requests that are not signed are refused (JAR-07, MS-01).
    pub signed_only: bool,
    /// Whether request objects say when they begin and end, and for whom they are (MS-02, MS-03).
    pub bounded: bool,
    uris: Vec<String>,
}

impl RequestRules {
    pub(super) fn parse(
        metadata: &ClientMetadata,
        protection: &Protection,
        keys: &ClientKeys,
        faults: &mut Vec<ClientFault>,
    ) -> Self {
        const SIGNING: &str = "request_object_signing_alg";
        let allowed = protection.rules().algorithms;
        let algorithms = match &metadata.request_object_signing_alg {
            None => allowed.to_vec(),
            Some(name) => algorithm(name, SIGNING).map(|one| vec![one]).unwrap_or_else(|fault| {
                faults.push(fault);
                Vec::new()
            }),
        };
        let profile = protection.rules();
        let signed_only = metadata.require_signed_request_object || profile.signed_requests;
        if signed_only && keys.is_none() && !faults.contains(&ClientFault::KeysTwice) {
            let wanted = "require_signed_request_object needs public keys";
            faults.push(ClientFault::Keys(wanted.into()));
        }
        let unfit = |uri: &String| uri.len() > MAX_REQUEST_URI || !uri.is_ascii() || !is_https_url(uri);
        if metadata.request_uris.len() > MAX_REQUEST_URIS || metadata.request_uris.iter().any(unfit) {
            faults.push(ClientFault::RequestUris);
        }
        Self {
            algorithms,
            key_management: named(
                &metadata.request_object_encryption_alg,
                "request_object_encryption_alg",
                &KeyManagement::ALL,
                faults,
            ),
            content: named(
                &metadata.request_object_encryption_enc,
                "request_object_encryption_enc",
                &ContentEncryption::ALL,
                faults,
            ),
            signed_only,
            bounded: profile.bounded_requests,
            uris: metadata.request_uris.iter().map(|uri| without_fragment(uri).to_owned()).collect(),
        }
    }

    /// What its encrypted request objects must be encrypted with.
    pub fn encryption(&self) -> Accepted<'_> {
        Accepted { key_management: &self.key_management, content: &self.content }
    }

    /// Where to fetch a request object that the client names, if it is one of those that it registered.
    /// The fragment names a version of the object and plays no part (OC-25): it is neither compared nor
    /// sent.
    pub fn admits<'a>(&self, request_uri: &'a str) -> Option<&'a str> {
        let fits = request_uri.len() <= MAX_REQUEST_URI && request_uri.is_ascii();
        let place = without_fragment(request_uri);
        (fits && self.uris.iter().any(|uri| uri == place)).then_some(place)
    }
}

fn without_fragment(uri: &str) -> &str {
    uri.split_once('#').map_or(uri, |(place, _)| place)
}

fn named<T: std::str::FromStr + Copy>(
    name: &Option<String>,
    member: &'static str,
    all: &[T],
    faults: &mut Vec<ClientFault>,
) -> Vec<T> {
    let Some(name) = name else { return all.to_vec() };
    name.parse().map(|one| vec![one]).unwrap_or_else(|_| {
        faults.push(ClientFault::Algorithm { member, value: name.clone() });
        Vec::new()
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::client::{Client, ClientRecord, tests::record};

    fn jwks() -> serde_json::Value {
        json!({"keys": [{
            "kty": "EC", "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
        }]})
    }

    #[rstest]
    #[case(|r: &mut ClientRecord| { r.metadata.jwks = Some(jwks()); r.metadata.jwks_uri = Some("https://a.example/k".into()) }, "jwks_uri")]
    #[case(|r: &mut ClientRecord| r.metadata.jwks_uri = Some("http://a.example/k".into()), "jwks_uri")]
    #[case(|r: &mut ClientRecord| r.metadata.jwks_uri = Some("https://u@a.example/k".into()), "jwks_uri")]
    #[case(|r: &mut ClientRecord| r.metadata.request_object_signing_alg = Some("none".into()), "request_object_signing_alg")]
    #[case(|r: &mut ClientRecord| r.metadata.request_object_signing_alg = Some("HS256".into()), "request_object_signing_alg")]
    #[case(|r: &mut ClientRecord| r.metadata.request_object_encryption_alg = Some("RSA1_5".into()), "request_object_encryption_alg")]
    #[case(|r: &mut ClientRecord| r.metadata.request_object_encryption_enc = Some("A128CBC-HS256".into()), "request_object_encryption_enc")]
    #[case(|r: &mut ClientRecord| r.metadata.require_signed_request_object = true, "needs public keys")]
    #[case(|r: &mut ClientRecord| r.metadata.request_uris = vec!["http://a.example/r".into()], "request_uris")]
    #[case(|r: &mut ClientRecord| r.metadata.request_uris = vec![format!("https://a.example/{}", "r".repeat(512))], "request_uris")]
    fn dr_04_jar_06_oc_28_what_may_not_be_registered(
        #[case] change: fn(&mut ClientRecord),
        #[case] says: &str,
    ) {
        let mut record = record();
        change(&mut record);
        let faults: Vec<String> =
            Client::parse(&record).err().unwrap_or_default().iter().map(ToString::to_string).collect();
        assert!(faults.iter().any(|fault| fault.contains(says)), "{faults:?}");
    }

    #[test]
    fn oc_25_jar_06_only_registered_references_whatever_their_fragment() {
        let mut record = record();
        record.metadata.request_uris =
            vec!["https://a.example/r?x=1".into(), "https://a.example/v#abc".into()];
        let rules = Client::parse(&record).unwrap().requests;
        assert_eq!(rules.admits("https://a.example/r?x=1"), Some("https://a.example/r?x=1"));
        assert_eq!(rules.admits("https://a.example/r?x=1#v2"), Some("https://a.example/r?x=1"));
        assert_eq!(rules.admits("https://a.example/v"), Some("https://a.example/v"));
        assert_eq!(rules.admits("https://a.example/v#other"), Some("https://a.example/v"));
        for other in
            ["https://a.example/r", "https://a.example/r?x=1&y", "https://A.example/v", "https://b.example/v"]
        {
            assert_eq!(rules.admits(other), None, "{other}");
        }
        let long = format!("https://a.example/v#{}", "x".repeat(MAX_REQUEST_URI));
        assert_eq!(rules.admits(&long), None);
        assert_eq!(rules.admits("https://a.example/v#é"), None);
    }

    #[test]
    fn jar_03_jar_07_rules_follow_the_registration() {
        let mut record = record();
        record.metadata.jwks = Some(jwks());
        record.metadata.require_signed_request_object = true;
        record.metadata.request_object_signing_alg = Some("ES256".into());
        record.metadata.request_object_encryption_alg = Some("ECDH-ES".into());
        let rules = Client::parse(&record).unwrap().requests;
        assert_eq!(rules.algorithms, [Algorithm::Es256]);
        assert!(rules.signed_only && !rules.bounded);
        assert_eq!(rules.encryption().key_management, [KeyManagement::EcdhEs]);
        assert_eq!(rules.encryption().content, ContentEncryption::ALL);
    }
}
