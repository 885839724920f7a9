//! The token endpoint (RFC 6749 §3.2, §4.1.3, §4.4, §5; RFC 7636 §4.6; RFC 8707): which codes give tokens,
//! to whom, and how refusals look.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::json;
use testkit::{Answer, Browser, claims_of};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::{
    bank::{Bank, ENGINES},
    steps::{answer, code_for, tokens_for},
};

const CARDS: &str = "https://cards.bank.example";
const ACCOUNTS: &str = "https://api.bank.example";

#[tokio::test]
async fn f2_07_o21_02_passwords_are_no_grant_and_tokens_no_response() {
    let bank = Bank::open().await;
    let app = bank.app("web-app");
    let password =
        [("grant_type", "password"), ("username", "alice"), ("password", "harbour-lantern-violet")];
    app.token(&password).await.expect_error(400, "unsupported_grant_type");
    for response_type in ["token", "id_token", "code token"] {
        let attempt = app.attempt("openid").with("response_type", response_type);
        let page = Browser::new().open(attempt.url()).await;
        assert_eq!(page.departed().error(), "unsupported_response_type", "{response_type}");
    }
    assert_eq!(bank.audited(audit::EventKind::TokenIssued).await, 0);
}

#[tokio::test]
async fn f2_14_a_code_lives_for_less_than_a_minute() {
    let bank = Bank::open().await;
    let app = bank.app("web-app");
    let (attempt, code) = code_for(&bank, &app, "openid").await;
    bank.advance(TimeDelta::seconds(59));
    app.redeem(&attempt, &code).await.expect(200);
    let (attempt, code) = code_for(&bank, &app, "openid").await;
    bank.advance(TimeDelta::seconds(60));
    app.redeem(&attempt, &code).await.expect_error(400, "invalid_grant");
}

#[tokio::test]
async fn f2_25_a_replayed_code_ends_everything_that_it_gave() {
    let bank = Bank::open().await;
    let (app, api) = (bank.app("web-app"), bank.api("accounts-api"));
    let (attempt, code) = code_for(&bank, &app, "openid accounts:read offline_access").await;
    let tokens = app.redeem(&attempt, &code).await.expect(200);
    let other = tokens_for(&bank, &app, "openid accounts:read offline_access").await;
    assert!(api.is_active(tokens.str("access_token")).await);

    // Later than the code's own life, too: what it gave may still live.
    bank.advance(TimeDelta::minutes(3));
    app.redeem(&attempt, &code).await.expect_error(400, "invalid_grant");
    assert!(!api.is_active(tokens.str("access_token")).await);
    app.userinfo(tokens.str("access_token")).await.expect(401);
    app.refresh(tokens.str("refresh_token")).await.expect_error(400, "invalid_grant");
    assert!(api.is_active(other.str("access_token")).await, "another grant of the same app lives on");
    assert_eq!(bank.audited(audit::EventKind::CodeReplayed).await, 1);
}

#[tokio::test]
async fn bcp_05_verifier_and_challenge_belong_together() {
    let bank = Bank::open().await;
    let app = bank.app("web-app");
    let redirect = ("redirect_uri", app.redirect_uri.as_str());
    let grant = ("grant_type", "authorization_code");

    let (attempt, code) = code_for(&bank, &app, "openid").await;
    let without = [grant, ("code", &code), redirect];
    app.token(&without).await.expect_error(400, "invalid_grant");
    let wrong = app.attempt("openid").verifier;
    for verifier in [wrong.as_str(), "short", "", &"~".repeat(129)] {
        let fields = [grant, ("code", &code), redirect, ("code_verifier", verifier)];
        app.token(&fields).await.expect_error(400, "invalid_grant");
    }
    // None of this spent the code: who holds the verifier still gets the tokens.
    app.redeem(&attempt, &code).await.expect(200);

    // An exempt client: a verifier without a challenge is a downgrade that somebody forced.
    let legacy = bank.app("legacy-app");
    let attempt = legacy.attempt("openid").without("code_challenge").without("code_challenge_method");
    let departure = bank.connect(&mut bank.person("alice"), &Browser::new(), attempt.url()).await;
    let code = attempt.code(&departure);
    legacy.redeem(&attempt, &code).await.expect_error(400, "invalid_grant");
    let plain = [grant, ("code", &code), ("redirect_uri", &legacy.redirect_uri)];
    legacy.token(&plain).await.expect(200);
}

#[tokio::test]
async fn o21_01_pkce_is_waived_by_registration_alone() {
    let bank = Bank::open().await;
    for id in ["web-app", "native-app", "spa"] {
        // A nonce is there and counts for nothing.
        let attempt =
            bank.app(id).attempt("openid").without("code_challenge").without("code_challenge_method");
        let page = Browser::new().open(attempt.url()).await;
        assert_eq!(page.departed().error(), "invalid_request", "{id}");
    }
    let public = "[[client]]\nclient_id = \"lax\"\ntoken_endpoint_auth_method = \"none\"\n\
                  redirect_uris = [\"https://lax.example/cb\"]\nrequire_pkce = false\nscope = \"openid\"";
    let fault = bank.declare(public).await.unwrap_err();
    assert!(fault.contains("PKCE"), "{fault}");
}

#[tokio::test]
async fn bcp_20_dp_15_strangers_neither_use_nor_spoil_a_code_or_refresh_token() {
    let bank = Bank::open().await;
    let (app, thief) = (bank.app("web-app"), bank.app("own-app"));
    let (attempt, code) = code_for(&bank, &app, "openid offline_access").await;
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", app.redirect_uri.as_str()),
        ("code_verifier", attempt.verifier.as_str()),
    ];
    thief.token(&fields).await.expect_error(400, "invalid_grant");
    let mut liar = app.clone();
    liar.auth = testkit::ClientAuth::Basic("not-the-secret".into());
    liar.token(&fields).await.expect_error(401, "invalid_client");
    let tokens = app.token(&fields).await.expect(200);

    let refresh = tokens.str("refresh_token");
    thief.refresh(refresh).await.expect_error(400, "invalid_grant");
    liar.refresh(refresh).await.expect_error(401, "invalid_client");
    bank.app("native-app").refresh(refresh).await.expect_error(400, "invalid_grant");
    // A spent code in the wrong hands is no replay either.
    thief.token(&fields).await.expect_error(400, "invalid_grant");
    app.refresh(refresh).await.expect(200);
    assert_eq!(bank.audited(audit::EventKind::CodeReplayed).await, 0);

    // The same for a token that rotates.
    let native = bank.app("native-app");
    let rotating = tokens_for(&bank, &native, "openid offline_access").await;
    bank.app("spa").refresh(rotating.str("refresh_token")).await.expect_error(400, "invalid_grant");
    native.refresh(rotating.str("refresh_token")).await.expect(200);
}

#[tokio::test]
async fn bcp_18_er_03_f2_36_token_responses_are_complete_unguessable_and_never_stored() {
    let bank = Bank::open().await;
    let app = bank.app("web-app");
    let (attempt, code) = code_for(&bank, &app, "openid cards:read offline_access").await;
    let redeemed = app.redeem(&attempt, &code).await.expect(200);
    let refreshed = app.refresh(redeemed.str("refresh_token")).await.expect(200);
    let own = bank.app("batch-job").client_credentials("accounts:read").await.expect(200);
    let refused = app.refresh("nonsense").await;
    for answer in [&redeemed, &refreshed, &own] {
        assert_eq!(answer["token_type"], "Bearer");
        assert_eq!(answer["expires_in"], 300);
    }
    for answer in [&redeemed, &refreshed, &own, &refused] {
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    // F2-36: 128 random bits are 22 characters of base64url; a UUID would be fewer.
    let again = tokens_for(&bank, &app, "openid cards:read offline_access").await;
    // The session and browser cookies are bearer values like these.
    let browser = Browser::new();
    bank.connect(&mut bank.person("alice"), &browser, app.attempt("openid").url()).await;
    for name in ["chancery-session-dev", "chancery-browser-dev"] {
        assert!(browser.cookie(&bank.issuer, name).unwrap().len() >= 43, "{name}");
    }
    let values =
        [&code, redeemed.str("access_token"), redeemed.str("refresh_token"), again.str("access_token")];
    for value in values {
        assert!(value.len() >= 43 && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
        let same = values.iter().filter(|other| other[..8] == value[..8]).count();
        assert_eq!(same, 1, "no two begin alike");
    }
}

/// A thief who replays a code and hangs up at once does not keep what the code gave (RFC 6749 §4.1.2).
#[tokio::test]
async fn f2_25_hanging_up_does_not_undo_what_a_refusal_does() {
    for engine in ENGINES {
        let bank = Bank::on(engine).await;
        let app = bank.app("spa");
        let (attempt, code) = code_for(&bank, &app, "openid accounts:read").await;
        let tokens = app.redeem(&attempt, &code).await.expect(200);
        let api = bank.api("accounts-api");
        assert!(api.is_active(tokens.str("access_token")).await);
        let endpoint = app.endpoint("/token");
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("grant_type", "authorization_code"), ("code", &code), ("client_id", "spa")])
            .extend_pairs([("redirect_uri", &app.redirect_uri), ("code_verifier", &attempt.verifier)])
            .finish();
        let address = (endpoint.host_str().unwrap(), endpoint.port().unwrap());
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: {}:{}\r\ncontent-type: application/x-www-form-urlencoded\r\n\
             content-length: {}\r\n\r\n",
            endpoint.path(),
            address.0,
            address.1,
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        drop(stream);
        let dead = async {
            while api.is_active(tokens.str("access_token")).await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(10), dead).await.is_ok(), "{engine:?}");
    }
}

#[tokio::test]
async fn o21_04_repeated_empty_and_unknown_parameters() {
    let bank = Bank::open().await;
    let (app, batch) = (bank.app("web-app"), bank.app("batch-job"));
    let grant = ("grant_type", "client_credentials");
    for (name, value) in [("grant_type", "client_credentials"), ("scope", "accounts:read"), ("x", "1")] {
        let repeated = [grant, ("scope", "accounts:read"), ("x", "1"), (name, value)];
        batch.token(&repeated).await.expect_error(400, "invalid_request");
    }
    let harmless = [grant, ("scope", "accounts:read"), ("scope", ""), ("x", "1"), ("resource", "")];
    batch.token(&harmless).await.expect(200);
    let resources = [grant, ("scope", "accounts:read"), ("resource", ACCOUNTS), ("resource", ACCOUNTS)];
    batch.token(&resources).await.expect(200);

    app.token(&[("grant_type", "")]).await.expect_error(400, "invalid_request");
    app.token(&[("grant_type", "authorization_code")]).await.expect_error(400, "invalid_request");
    app.token(&[("grant_type", "refresh_token"), ("refresh_token", "")])
        .await
        .expect_error(400, "invalid_request");
    // The refusal comes before the code is looked at.
    let (attempt, code) = code_for(&bank, &app, "openid").await;
    let twice = [("grant_type", "authorization_code"), ("code", code.as_str()), ("code", "x")];
    app.token(&twice).await.expect_error(400, "invalid_request");
    app.redeem(&attempt, &code).await.expect(200);
}

#[tokio::test]
async fn o21_05_redirect_uri_at_the_token_endpoint() {
    let bank = Bank::open().await;
    let app = bank.app("web-app");
    let (attempt, code) = code_for(&bank, &app, "openid").await;
    let base = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("code_verifier", attempt.verifier.as_str()),
    ];
    for wrong in ["https://web.example/cb?tenant=1", "https://web.example/cb/", "https://evil.example/cb"] {
        let fields = [&base[..], &[("redirect_uri", wrong)]].concat();
        app.token(&fields).await.expect_error(400, "invalid_grant");
    }
    app.token(&base).await.expect(200);

    let legacy = bank.app("legacy-app");
    let attempt = legacy.attempt("openid").without("code_challenge").without("code_challenge_method");
    let departure = bank.connect(&mut bank.person("alice"), &Browser::new(), attempt.url()).await;
    let code = attempt.code(&departure);
    let fields = [("grant_type", "authorization_code"), ("code", code.as_str())];
    legacy.token(&fields).await.expect_error(400, "invalid_grant");
    let fields = [&fields[..], &[("redirect_uri", legacy.redirect_uri.as_str())]].concat();
    legacy.token(&fields).await.expect(200);
}

#[tokio::test]
async fn cc_01_client_credentials_are_for_confidential_clients_and_give_one_token() {
    let bank = Bank::open().await;
    let tokens = bank.app("batch-job").client_credentials("accounts:read").await.expect(200);
    let members: Vec<&String> = tokens.json.as_object().unwrap().keys().collect();
    assert!(members.iter().all(|name| *name != "refresh_token" && *name != "id_token"), "{members:?}");
    let claims = claims_of(tokens.str("access_token"));
    assert_eq!((&claims["sub"], &claims["client_id"]), (&json!("batch-job"), &json!("batch-job")));
    assert_eq!(claims.get("auth_time"), None);

    for id in ["web-app", "native-app", "spa"] {
        let refused = bank.app(id).client_credentials("accounts:read").await;
        refused.expect_error(400, "unauthorized_client");
    }
    for scope in ["openid", "profile", "payments:write", "no-such-scope"] {
        bank.app("batch-job").client_credentials(scope).await.expect_error(400, "invalid_scope");
    }
    let public = "[[client]]\nclient_id = \"robot\"\ntoken_endpoint_auth_method = \"none\"\n\
                  grant_types = [\"client_credentials\"]\nscope = \"accounts:read\"";
    assert!(bank.declare(public).await.is_err(), "a public client can't even be declared so");
}

#[tokio::test]
async fn ri_01_at_03_resources_narrow_and_choose_the_audience() {
    let bank = Bank::open().await;
    let app = bank.app("web-app");
    // Scope over two resource servers, none named.
    let ambiguous = app.attempt("openid accounts:read cards:read");
    let page = Browser::new().open(ambiguous.url()).await;
    assert_eq!(page.departed().error(), "invalid_target");
    for (resource, error) in [
        ("https://elsewhere.example", "invalid_target"),
        ("https://api.bank.example/", "invalid_target"),
        ("https://api.bank.example#part", "invalid_target"),
        ("/accounts", "invalid_target"),
        (CARDS, "invalid_scope"),
    ] {
        let attempt = app.attempt("openid accounts:read").with("resource", resource);
        let page = Browser::new().open(attempt.url()).await;
        assert_eq!(page.departed().error(), error, "{resource}");
    }
    // Both named: one token for each, and none for both.
    let attempt = ambiguous.also("resource", ACCOUNTS).also("resource", CARDS);
    let departure = bank.connect(&mut bank.person("alice"), &Browser::new(), attempt.url()).await;
    let code = attempt.code(&departure);
    let base = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("code_verifier", attempt.verifier.as_str()),
    ];
    app.token(&base).await.expect_error(400, "invalid_target");
    let foreign = [&base[..], &[("resource", "https://elsewhere.example")]].concat();
    app.token(&foreign).await.expect_error(400, "invalid_target");
    let accounts = app.token(&[&base[..], &[("resource", ACCOUNTS)]].concat()).await.expect(200);
    let claims = claims_of(accounts.str("access_token"));
    assert_eq!(claims["aud"], json!([ACCOUNTS, bank.issuer]), "userinfo is open beside the API");
    assert_eq!(claims["scope"], "accounts:read openid");
    let refresh = accounts.str("refresh_token");
    let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh), ("resource", CARDS)];
    let cards = app.token(&fields).await.expect(200);
    assert!(bank.api("cards-api").is_active(cards.str("access_token")).await);
    assert!(!bank.api("accounts-api").is_active(cards.str("access_token")).await);
    // Without `openid` the resource server is the only audience.
    let single = tokens_for(&bank, &app, "accounts:read").await;
    assert_eq!(claims_of(single.str("access_token"))["aud"], ACCOUNTS);
}

#[tokio::test]
async fn er_01_er_02_how_refusals_look() {
    let bank = Bank::open().await;
    let app = bank.app("web-app");
    let url = || app.http().post(app.endpoint("/token"));
    let form = [("grant_type", "client_credentials")];
    let basic = answer(url().basic_auth("web-app", Some("wrong")).form(&form)).await;
    basic.expect_error(401, "invalid_client");
    assert!(basic.header("www-authenticate").unwrap().starts_with("Basic realm="));
    let ghost = answer(url().basic_auth("ghost", Some("wrong")).form(&form)).await;
    assert_eq!(
        (ghost.status, &ghost.text),
        (basic.status, &basic.text),
        "whether a client exists is not said"
    );
    let post = [("client_id", "legacy-app"), ("client_secret", "wrong"), form[0]];
    let posted = answer(url().form(&post)).await;
    posted.expect_error(401, "invalid_client");

    let hostile = "\"\\\u{e9}\u{4e2d}\r\nX: y";
    let quoted = answer(url().form(&[(hostile, "1"), (hostile, "2"), form[0]])).await;
    let invalid = app.token(&[("grant_type", hostile)]).await;
    for refusal in [&basic, &posted, &quoted, &invalid] {
        assert_described(refusal);
    }
    // The redirect of an error carries nothing else, in whatever language the browser is.
    let attempt = app.attempt("openid").with("prompt", hostile).with("ui_locales", "zh-Hant");
    let page = Browser::new().open(attempt.url()).await;
    let mut names: Vec<&str> = page.departed().parameters.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["error", "error_description", "iss", "session_state", "state"]);
    let description = page.departed().parameter("error_description").unwrap();
    assert!(description.bytes().all(allowed), "{description}");
}

/// A JSON error with a code and an ASCII text (RFC 6749 §5.2).
fn assert_described(refusal: &Answer) {
    let description = refusal.str("error_description");
    assert!(!description.is_empty() && description.bytes().all(allowed), "{description}");
    assert!(refusal.json.as_object().unwrap().keys().all(|name| name.starts_with("error")));
}

fn allowed(byte: u8) -> bool {
    matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e)
}
