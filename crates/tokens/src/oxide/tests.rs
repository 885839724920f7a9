use proptest::prelude::*;
use protocol::secret::CodeVerifierText;

use super::*;
use crate::{
    checks::tests::request,
    client::tests::client,
    grant::tests::{line, now},
};

// RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn scope(text: &str) -> Scope {
    text.parse().unwrap()
}

pub(crate) fn code() -> CodeRecord {
    CodeRecord {
        digest: jose::digest::sha256("x"),
        grant: line().grant.id,
        client: "app".parse().unwrap(),
        redirect_uri: "https://app.example/cb".into(),
        code_challenge: Some(CHALLENGE.to_owned().try_into().unwrap()),
        nonce: None,
        dpop_jkt: None,
        issued_at: now(),
        expires_at: now(),
        keep_until: now(),
        consumed_at: None,
    }
}

fn verifier(text: &str) -> Option<CodeVerifier> {
    Some(CodeVerifier::parse(CodeVerifierText::new(text).expose()).unwrap())
}

fn redeems(code: &CodeRecord, verifier: Option<&CodeVerifier>) -> Result<(), CodeFault> {
    redeem(&client(), code, &scope("openid"), verifier)
}

#[test]
fn the_authorization_machine_grants_what_our_checks_left() {
    let left = scope("accounts:read openid");
    assert_eq!(authorize(&request(), &client(), &left), Ok(left));
    // The client's own loopback port is the requested one; nothing is compared but what came.
    let native =
        AuthorizationRequest { redirect_uri: Some("http://127.0.0.1:51004/cb?x=1".into()), ..request() };
    assert!(authorize(&native, &client(), &scope("openid")).is_ok());
    let private_use = AuthorizationRequest { redirect_uri: Some("com.example.app:/cb".into()), ..request() };
    assert!(authorize(&private_use, &client(), &scope("openid")).is_ok());
}

#[test]
fn bcp_04_the_authorization_machine_knows_pkce_too() {
    let bare = AuthorizationRequest { code_challenge: None, ..request() };
    assert_eq!(authorize(&bare, &client(), &scope("openid")), Err(AuthorizationFault::Core));
    let mut exempt = client();
    exempt.settings.require_pkce = false;
    assert_eq!(authorize(&bare, &exempt, &scope("openid")), Ok(scope("openid")));
}

#[test]
fn bcp_05_bcp_20_the_access_token_machine_binds_code_client_and_verifier() {
    assert_eq!(redeems(&code(), verifier(VERIFIER).as_ref()), Ok(()));
    assert_eq!(redeems(&code(), verifier(&"a".repeat(43)).as_ref()), Err(CodeFault::VerifierWrong));
    assert_eq!(redeems(&code(), None), Err(CodeFault::VerifierWrong));
    let anothers = CodeRecord { client: "other".parse().unwrap(), ..code() };
    assert_eq!(redeems(&anothers, verifier(VERIFIER).as_ref()), Err(CodeFault::Core));
    let without_pkce = CodeRecord { code_challenge: None, ..code() };
    assert_eq!(redeems(&without_pkce, None), Ok(()));
}

#[test]
fn rf_01_the_refresh_machine_narrows_and_tells_what_is_wider() {
    let granted = scope("accounts:read openid");
    let narrowed = |requested: Option<&str>| refresh(&client(), &granted, requested.map(scope).as_ref());
    assert_eq!(narrowed(None), Ok(granted.clone()));
    assert_eq!(narrowed(Some("openid")), Ok(scope("openid")));
    assert_eq!(narrowed(Some("openid accounts:read")), Ok(granted.clone()));
    assert_eq!(narrowed(Some("openid email")), Err(RefreshFault::ScopeWider));
}

proptest! {
    #[test]
    fn scopes_survive_the_library(text in "[!#-\\[\\]-~]{1,8}( [!#-\\[\\]-~]{1,8}){0,4}") {
        let ours = scope(&text);
        prop_assert!(our_scope(&oxide_scope(&ours).unwrap()) == ours);
        prop_assert!(client_credentials(&client(), &ours));
        prop_assert_eq!(authorize(&request(), &client(), &ours), Ok(ours));
    }

    /// RF-01: the answer is what was asked, and only ever part of what was granted.
    #[test]
    fn rf_01_a_refresh_never_widens(
        granted in proptest::sample::subsequence(vec!["a", "b", "c", "d"], 1..=4),
        requested in proptest::sample::subsequence(vec!["a", "b", "c", "d"], 1..=4),
    ) {
        let (granted, requested) = (scope(&granted.join(" ")), scope(&requested.join(" ")));
        let expected = if requested.is_subset(&granted) { Ok(requested.clone()) } else { Err(RefreshFault::ScopeWider) };
        prop_assert_eq!(refresh(&client(), &granted, Some(&requested)), expected);
    }
}
