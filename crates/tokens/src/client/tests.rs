use jose::digest::sha256;
use rstest::rstest;

use super::*;
use crate::grant::tests::now;

/// A public client with the id `app`.
pub(crate) fn record() -> ClientRecord {
    ClientRecord {
        id: "app".parse().unwrap(),
        metadata: ClientMetadata {
            client_name: Some("App".into()),
            redirect_uris: vec!["https://app.example/cb".into()],
            post_logout_redirect_uris: vec!["https://app.example/bye".into()],
            token_endpoint_auth_method: Some(AuthMethod::None),
            grant_types: Some(vec![GrantType::AuthorizationCode, GrantType::RefreshToken]),
            scope: Some("openid profile accounts:read offline_access".parse().unwrap()),
            ..ClientMetadata::default()
        },
        settings: ClientSettings::default(),
        secrets: Vec::new(),
        disabled: false,
        created_at: now(),
        updated_at: now(),
    }
}

pub(crate) fn client() -> Client {
    Client::parse(&record()).unwrap()
}

/// The same with the secret `s3cret`.
pub(crate) fn confidential(method: AuthMethod) -> Client {
    let mut record = record();
    record.metadata.token_endpoint_auth_method = Some(method);
    record.secrets = vec![SecretDigest { digest: sha256("s3cret"), expires_at: None }];
    Client::parse(&record).unwrap()
}

fn faults(change: impl FnOnce(&mut ClientRecord)) -> Vec<String> {
    let mut record = record();
    change(&mut record);
    Client::parse(&record).err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

#[rstest]
#[case(|r: &mut ClientRecord| r.metadata.redirect_uris = vec!["http://app.example/cb".into()], "redirect_uris")]
#[case(|r: &mut ClientRecord| r.metadata.redirect_uris = vec!["javascript:alert(1)".into()], "redirect_uris")]
#[case(|r: &mut ClientRecord| r.metadata.redirect_uris.clear(), "redirect_uris")]
#[case(|r: &mut ClientRecord| r.metadata.post_logout_redirect_uris = vec!["data:x".into()], "post_logout")]
#[case(|r: &mut ClientRecord| r.metadata.grant_types = Some(vec![GrantType::ClientCredentials]), "client_credentials")]
#[case(|r: &mut ClientRecord| r.metadata.grant_types = Some(vec![GrantType::RefreshToken]), "refresh_token needs")]
#[case(|r: &mut ClientRecord| r.metadata.response_types = Some(vec![]), "response_types")]
#[case(|r: &mut ClientRecord| r.settings.require_pkce = false, "require_pkce")]
#[case(|r: &mut ClientRecord| r.metadata.token_endpoint_auth_method = None, "needs a client secret")]
#[case(|r: &mut ClientRecord| r.metadata.token_endpoint_auth_method = Some(AuthMethod::PrivateKeyJwt), "jwks")]
#[case(|r: &mut ClientRecord| r.metadata.id_token_signed_response_alg = Some("none".into()), "id_token_signed")]
#[case(|r: &mut ClientRecord| r.metadata.id_token_signed_response_alg = Some("HS256".into()), "id_token_signed")]
#[case(|r: &mut ClientRecord| r.metadata.client_uri = Some("javascript:alert(1)".into()), "client_uri")]
#[case(|r: &mut ClientRecord| r.metadata.default_acr_values = vec!["gold".into()], "default_acr_values")]
#[case(|r: &mut ClientRecord| r.metadata.client_name = Some("a\u{202e}\nb".into()), "client_name")]
fn dr_04_registration_rules(#[case] change: fn(&mut ClientRecord), #[case] says: &str) {
    let faults = faults(change);
    assert!(faults.iter().any(|fault| fault.contains(says)), "{faults:?}");
}

#[test]
fn o21_01_a_confidential_client_may_be_exempt_from_pkce() {
    let mut record = record();
    record.metadata.token_endpoint_auth_method = Some(AuthMethod::ClientSecretBasic);
    record.secrets = vec![SecretDigest { digest: sha256("s3cret"), expires_at: None }];
    record.settings.require_pkce = false;
    assert!(!Client::parse(&record).unwrap().settings.require_pkce);
}

#[test]
fn every_fault_is_reported_at_once() {
    let found = faults(|record| {
        record.metadata.redirect_uris = vec!["http://a.example/".into()];
        record.metadata.client_uri = Some("ftp://a.example/".into());
    });
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn oc_01_id_tokens_default_to_rs256() {
    assert_eq!(client().id_token_algorithm, Algorithm::Rs256);
}
