//! PKCE (RFC 7636) as RFC 9700 §2.1.1 wants it: S256, for everybody, and never half of it.

use rstest::rstest;
use testkit::{Attempt, Browser};

use crate::bank::Bank;

/// RFC 7636 Appendix B.
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn without_pkce(attempt: Attempt) -> Attempt {
    attempt.without("code_challenge").without("code_challenge_method")
}

#[tokio::test]
async fn bcp_04_pkce_works_for_every_kind_of_client() {
    let (bank, browser) = (Bank::open().await, Browser::new());
    let mut bob = bank.person("bob");
    for id in ["web-app", "legacy-app", "native-app", "spa"] {
        let app = bank.app(id);
        let attempt = app.attempt("openid");
        let code = attempt.code(&bank.connect(&mut bob, &browser, attempt.url()).await);
        app.redeem(&attempt, &code).await.expect(200);
    }
}

#[rstest]
#[case::public_and_native("native-app")]
#[case::public_in_a_browser("spa")]
#[case::confidential("web-app")]
#[tokio::test]
async fn bcp_04_pkce_is_compulsory(#[case] id: &str) {
    let (bank, browser) = (Bank::open().await, Browser::new());
    // O21-01: a nonce is not taken in its place.
    let attempt = without_pkce(bank.app(id).attempt("openid"));
    assert!(attempt.parameters.iter().any(|(name, _)| name == "nonce"));
    let page = browser.open(attempt.url()).await;
    assert_eq!(page.departed().error(), "invalid_request");
}

#[tokio::test]
async fn bcp_04_only_a_confidential_client_can_be_exempt() {
    let bank = Bank::open().await;
    let client = |method: &str, secret: &str| {
        format!(
            "[[client]]\nclient_id = 'another'\n{secret}\ntoken_endpoint_auth_method = '{method}'\n\
             redirect_uris = ['https://new.example/cb']\nscope = 'openid'\nrequire_pkce = false\n"
        )
    };
    let secret = "client_secret = 'another-secret-0123456789abcd'";
    assert!(bank.declare(&client("none", "")).await.is_err());
    bank.declare(&client("client_secret_basic", secret)).await.unwrap();

    let (app, browser) = (bank.app("legacy-app"), Browser::new());
    let attempt = without_pkce(app.attempt("openid"));
    let code = attempt.code(&bank.connect(&mut bank.person("bob"), &browser, attempt.url()).await);
    let fields = [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", &app.redirect_uri)];
    app.token(&fields).await.expect(200);
}

/// Name, and the parameter that is wrong.
const NOT_S256: &[(&str, &str, &str)] = &[
    ("plain", "code_challenge_method", "plain"),
    ("plain_by_default", "code_challenge_method", ""),
    ("lower_case", "code_challenge_method", "s256"),
    ("other_hash", "code_challenge_method", "S512"),
    ("method_alone", "code_challenge", ""),
    ("too_short", "code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-c"),
    ("too_long", "code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cMM"),
    ("padded", "code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM="),
    ("other_alphabet", "code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM"),
];

#[tokio::test]
async fn bcp_06_only_s256_is_taken() {
    let (bank, browser) = (Bank::open().await, Browser::new());
    for &(case, name, value) in NOT_S256 {
        for id in ["web-app", "legacy-app", "spa"] {
            let attempt = bank.app(id).attempt("openid").with("code_challenge", CHALLENGE);
            let page = browser.open(attempt.with(name, value).url()).await;
            assert_eq!(page.departed().error(), "invalid_request", "{id}: {case}");
        }
    }
}

#[tokio::test]
async fn bcp_06_metadata_lists_s256_alone() {
    let bank = Bank::open().await;
    let metadata = bank.app("spa").get("/.well-known/openid-configuration").await.expect(200);
    assert_eq!(metadata["code_challenge_methods_supported"], serde_json::json!(["S256"]));
}

#[tokio::test]
async fn bcp_05_a_challenge_wants_its_verifier() {
    let (bank, browser) = (Bank::open().await, Browser::new());
    let mut bob = bank.person("bob");
    let verifiers = [
        None,
        Some(String::new()),
        Some(CHALLENGE.to_owned()),
        Some("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned()),
        Some("short".to_owned()),
        Some("狀".repeat(43)),
    ];
    for id in ["web-app", "legacy-app", "spa"] {
        let app = bank.app(id);
        for verifier in &verifiers {
            let attempt = app.attempt("openid");
            let code = attempt.code(&bank.connect(&mut bob, &browser, attempt.url()).await);
            let mut fields = vec![
                ("grant_type", "authorization_code"),
                ("code", &code),
                ("redirect_uri", &app.redirect_uri),
            ];
            fields.extend(verifier.as_deref().map(|verifier| ("code_verifier", verifier)));
            app.token(&fields).await.expect_error(400, "invalid_grant");
        }
    }
    assert_eq!(bank.audited(audit::EventKind::TokenIssued).await, 0);
}

#[tokio::test]
async fn bcp_05_a_verifier_wants_its_challenge() {
    let (bank, browser) = (Bank::open().await, Browser::new());
    let app = bank.app("legacy-app");
    // RFC 9700 §4.8.2: whoever strips the challenge from the request gains nothing.
    let attempt = without_pkce(app.attempt("openid"));
    let code = attempt.code(&bank.connect(&mut bank.person("bob"), &browser, attempt.url()).await);
    app.redeem(&attempt, &code).await.expect_error(400, "invalid_grant");
    assert_eq!(bank.audited(audit::EventKind::TokenIssued).await, 0);
}
