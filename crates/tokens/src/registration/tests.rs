#![allow(clippy::unwrap_used)]
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

fn policy() -> RegistrationPolicy {
    RegistrationPolicy {
        name: "partners".into(),
        scopes: Some("openid offline_access accounts:read".parse().unwrap()),
        grant_types: [GrantType::AuthorizationCode, GrantType::RefreshToken].into(),
        response_types: [ResponseType::Code].into(),
        auth_methods: [AuthMethod::None, AuthMethod::ClientSecretBasic, AuthMethod::PrivateKeyJwt].into(),
        detail_types: ["account_information".to_owned()].into(),
        redirect_hosts: vec![HostRule::parse("*.apps.example").unwrap()],
        native: false,
        link_hosts: vec![HostRule::parse("legal.example").unwrap()],
        pkce_exempt: false,
        secret_lifetime: None,
        consent_lifetime: Some(TimeDelta::days(90)),
        unused_lifetime: None,
    }
}

/// Accounts may be read; payments are financial.
fn declared() -> Catalogue {
    let scope = |name: &str, financial: bool| {
        let (title, description) = (name, name);
        json!({ "name": name, "title": title, "description": description, "financial": financial })
    };
    let scopes = [scope("accounts:read", false), scope("payments:write", true)];
    Catalogue::new(scopes.map(|scope| serde_json::from_value(scope).unwrap()), []).unwrap()
}

#[expect(clippy::needless_pass_by_value, reason = "a literal of JSON is written where it is used")]
fn wish(more: Value) -> RegistrationRequest {
    let mut members = json!({ "redirect_uris": ["https://a.apps.example/cb"] });
    members.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    RegistrationRequest::parse(members.to_string().as_bytes()).unwrap()
}

#[test]
fn dr_02_defaults_are_spelt_out() {
    let (metadata, settings) = settle(&wish(json!({})), &policy(), &declared(), None).unwrap();
    assert_eq!(metadata.token_endpoint_auth_method, Some(AuthMethod::ClientSecretBasic));
    assert_eq!(metadata.grant_types, Some(vec![GrantType::AuthorizationCode]));
    assert_eq!(metadata.response_types, Some(vec![ResponseType::Code]));
    assert_eq!(metadata.id_token_signed_response_alg.as_deref(), Some("RS256"));
    // Without a refresh token `offline_access` means nothing.
    assert_eq!(metadata.scope.unwrap().to_string(), "accounts:read openid");
    assert_eq!(settings.consent_lifetime, Some(90 * 86_400));
    let grants = json!({ "grant_types": ["authorization_code", "refresh_token"] });
    let (metadata, _) = settle(&wish(grants), &policy(), &declared(), None).unwrap();
    assert!(metadata.scope.unwrap().contains("offline_access"));
}

#[rstest]
#[case::scope(json!({ "scope": "openid payments:write" }), "scope")]
#[case::undeclared(json!({ "scope": "openid root" }), "scope")]
#[case::grant(json!({ "grant_types": ["client_credentials"] }), "grant_types")]
#[case::method(json!({ "token_endpoint_auth_method": "client_secret_post" }), "token_endpoint_auth_method")]
#[case::details(json!({ "authorization_details_types": ["account_information", "payment"] }), "authorization_details_types")]
#[case::native(json!({ "application_type": "native" }), "application_type")]
fn dr_10_the_policy_bounds_every_wish(#[case] more: Value, #[case] member: &str) {
    match settle(&wish(more), &policy(), &declared(), None) {
        Err(RegistrationFault::NotAllowed { member: found, .. }) => assert_eq!(found, member),
        other => panic!("{other:?}"),
    }
}

#[test]
fn dr_10_settings_come_from_the_policy_alone() {
    let greedy = json!({
        "first_party": true, "require_pkce": false, "profile": "general", "second_factor": "if-enrolled",
        "consent_lifetime": 1, "trusted": true,
    });
    let (_, settings) = settle(&wish(greedy.clone()), &policy(), &declared(), None).unwrap();
    let plain = ClientSettings { consent_lifetime: Some(90 * 86_400), ..ClientSettings::default() };
    assert_eq!(settings, plain);
    let lenient = RegistrationPolicy { pkce_exempt: true, ..policy() };
    assert!(!settle(&wish(greedy), &lenient, &declared(), None).unwrap().1.require_pkce);
    // A public client is never exempt, whatever the policy says.
    let public = wish(json!({ "token_endpoint_auth_method": "none" }));
    assert!(settle(&public, &lenient, &declared(), None).unwrap().1.require_pkce);
}

#[rstest]
#[case::both(json!({ "jwks": { "keys": [] }, "jwks_uri": "https://a.apps.example/k" }), RegistrationFault::KeysTwice)]
#[case::private(
    json!({ "jwks": { "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A" }] } }),
    RegistrationFault::Keys("key 0 of the set: the key contains the private member \"d\"; send only the public key".into())
)]
fn dr_04_keys_come_once_and_public(#[case] more: Value, #[case] expected: RegistrationFault) {
    assert_eq!(settle(&wish(more), &policy(), &declared(), None), Err(expected));
}

#[rstest]
#[case("https://a.apps.example/cb", true)]
#[case("https://b.a.apps.example/cb", true)]
#[case("https://apps.example/cb", false)]
#[case("https://evilapps.example/cb", false)]
#[case("https://a.apps.example.evil.example/cb", false)]
#[case("HTTPS://evil.example/cb", false)]
#[case("Https://a.apps.example/cb", true)]
fn dr_10_redirect_hosts_are_those_of_the_policy(#[case] uri: &str, #[case] allowed: bool) {
    let settled = settle(&wish(json!({ "redirect_uris": [uri] })), &policy(), &declared(), None);
    assert_eq!(settled.is_ok(), allowed, "{settled:?}");
}

#[rstest]
#[case("https://a.apps.example/about", true)]
#[case("https://legal.example/terms", true)]
#[case("https://b.apps.example/about", false)]
#[case("https://a.apps.example@evil.example/", false)]
fn dr_06_pages_are_on_hosts_of_the_client(#[case] link: &str, #[case] allowed: bool) {
    for member in ["client_uri", "logo_uri", "policy_uri", "tos_uri"] {
        let settled = settle(&wish(json!({ (member): link })), &policy(), &declared(), None);
        assert_eq!(settled.is_ok(), allowed, "{member}: {settled:?}");
    }
}

#[test]
fn f2_34_dr_10_a_financial_client_gets_its_profile_and_what_that_signs_with() {
    let policy = RegistrationPolicy { scopes: None, ..policy() };
    let ask = |scope: &str, method: AuthMethod| {
        let wish = wish(json!({ "scope": scope, "token_endpoint_auth_method": method.as_str() }));
        let (metadata, settings) = settle(&wish, &policy, &declared(), None).unwrap();
        (settings.profile, metadata.id_token_signed_response_alg.unwrap())
    };
    let fapi = Some(Profile::Fapi2);
    assert_eq!(ask("openid payments:write", AuthMethod::PrivateKeyJwt), (fapi, "ES256".into()));
    assert_eq!(ask("openid accounts:read", AuthMethod::PrivateKeyJwt), (None, "RS256".into()));
    // Who can't have the profile gets at money only where the policy names the scope.
    let public = json!({ "token_endpoint_auth_method": "none" });
    let (metadata, _) = settle(&wish(public), &policy, &declared(), None).unwrap();
    assert!(!metadata.scope.unwrap().contains("payments:write"));
    let asking = json!({ "token_endpoint_auth_method": "none", "scope": "openid payments:write" });
    let refused = settle(&wish(asking.clone()), &policy, &declared(), None);
    assert!(matches!(refused, Err(RegistrationFault::NotAllowed { member: "scope", .. })), "{refused:?}");
    let named = RegistrationPolicy { scopes: Some("openid payments:write".parse().unwrap()), ..policy };
    assert_eq!(settle(&wish(asking), &named, &declared(), None).unwrap().1.profile, None);
}

/// What a wish makes of a client that has come with another one before.
fn updated(before: &ClientRecord, policy: &RegistrationPolicy, wish: Value) -> ClientRecord {
    let (metadata, _) = settle(&self::wish(wish), policy, &declared(), before.settings.profile).unwrap();
    let settings = policy.replaced(before, &metadata, &declared());
    ClientRecord { metadata, settings, ..before.clone() }
}

#[test]
fn f2_08_dr_08_an_update_never_puts_off_the_profile() {
    // What the policy derives from the profile follows it too, so that the client can go on under it.
    let policy = RegistrationPolicy { scopes: None, pkce_exempt: true, ..policy() };
    let keys = crate::profile::tests::financial().metadata.jwks;
    let asking = |scope: &str| json!({ "token_endpoint_auth_method": "private_key_jwt", "jwks": keys, "scope": scope });
    let (metadata, settings) =
        settle(&wish(asking("openid payments:write")), &policy, &declared(), None).unwrap();
    let before = ClientRecord { metadata, settings, secrets: Vec::new(), ..crate::client::tests::record() };
    assert_eq!(before.settings.profile, Some(Profile::Fapi2));
    let after = updated(&before, &policy, asking("openid accounts:read"));
    assert_eq!(after.settings.profile, Some(Profile::Fapi2));
    assert!(after.settings.require_pkce);
    assert_eq!(after.metadata.id_token_signed_response_alg.as_deref(), Some("ES256"));
    crate::client::Client::parse(&after).unwrap();
    for method in ["none", "client_secret_basic"] {
        let wish = json!({ "token_endpoint_auth_method": method, "scope": "openid accounts:read" });
        let after = updated(&before, &policy, wish);
        assert_eq!(after.settings.profile, Some(Profile::Fapi2), "{method}");
        assert!(crate::client::Client::parse(&after).is_err(), "{method}");
    }
}

#[test]
fn f2_08_dr_08_who_asks_for_money_later_gets_the_profile_then() {
    let policy = RegistrationPolicy { scopes: None, ..policy() };
    let asking = |scope: &str| json!({ "token_endpoint_auth_method": "private_key_jwt", "scope": scope });
    let (metadata, settings) =
        settle(&wish(asking("openid accounts:read")), &policy, &declared(), None).unwrap();
    let mut before = ClientRecord { metadata, settings, ..crate::client::tests::record() };
    assert_eq!(before.settings.profile, None);
    // Registered before what it asked for was called financial.
    before.metadata.scope = Some("openid payments:write".parse().unwrap());
    let after = updated(&before, &policy, asking("openid payments:write"));
    assert_eq!(after.settings.profile, Some(Profile::Fapi2));
    // An operator may have said otherwise.
    before.settings.profile = Some(Profile::General);
    let after = updated(&before, &policy, asking("openid payments:write"));
    assert_eq!(after.settings.profile, Some(Profile::General));
}

#[test]
fn dr_06_a_private_use_redirect_makes_nobodys_host_the_clients_own() {
    let native = RegistrationPolicy { native: true, ..policy() };
    let wish = wish(json!({
        "application_type": "native", "redirect_uris": ["com.evil.app://login.bank.example/cb"],
        "tos_uri": "https://login.bank.example/terms",
    }));
    assert_eq!(settle(&wish, &native, &declared(), None), Err(RegistrationFault::LinkHost("tos_uri")));
}

#[test]
fn oc_21_pairwise_subjects_beside_the_device_flow_need_a_sector_document() {
    let mut policy = policy();
    policy.grant_types.insert(GrantType::DeviceCode);
    let ask = |grants: Value, sector: Option<&str>| {
        let wish = wish(json!({
            "subject_type": "pairwise", "grant_types": grants, "sector_identifier_uri": sector,
        }));
        settle(&wish, &policy, &declared(), None).map(drop)
    };
    let device = json!(["authorization_code", GrantType::DeviceCode.as_str()]);
    assert!(matches!(ask(device.clone(), None), Err(RegistrationFault::Sector(_))));
    assert_eq!(ask(device, Some("https://a.apps.example/sector")), Ok(()));
    assert_eq!(ask(json!(["authorization_code"]), None), Ok(()));
}

#[test]
fn dr_08_dr_10_an_update_leaves_what_an_operator_has_set() {
    let (lenient, catalogue) = (RegistrationPolicy { pkce_exempt: true, ..policy() }, Catalogue::default());
    let (metadata, settings) = settle(&wish(json!({})), &lenient, &declared(), None).unwrap();
    assert!(!settings.require_pkce);
    let mut before = crate::client::tests::record();
    before.metadata = metadata.clone();
    before.settings = settings.clone();
    // What the policy decided follows the metadata.
    assert_eq!(lenient.replaced(&before, &metadata, &catalogue), settings);
    let public = ClientMetadata { token_endpoint_auth_method: Some(AuthMethod::None), ..metadata.clone() };
    assert!(lenient.replaced(&before, &public, &catalogue).require_pkce);
    // What an operator decided since does not.
    before.settings = ClientSettings {
        require_pkce: true,
        profile: Some(Profile::Fapi2),
        second_factor: Some(mfa::SecondFactorPolicy::Required),
        consent_lifetime: Some(60),
        may_act: Some("gateway".parse().unwrap()),
        ..settings
    };
    assert_eq!(lenient.replaced(&before, &metadata, &catalogue), before.settings);
}

#[test]
fn dr_10_host_rules_are_hosts() {
    for text in ["", "*.", "https://a.example", "A.example", "a example", "**"] {
        assert_eq!(HostRule::parse(text), None, "{text}");
    }
    assert_eq!(HostRule::parse("*"), Some(HostRule::Any));
}

#[test]
fn out_01_urls_that_would_be_asked_are_named() {
    let wish = wish(json!({
        "jwks_uri": "https://a.apps.example/k", "sector_identifier_uri": "https://a.apps.example/s",
        "request_uris": ["https://a.apps.example/r"], "backchannel_logout_uri": "https://a.apps.example/l",
    }));
    assert_eq!(asked(&wish.metadata).count(), 4);
}
