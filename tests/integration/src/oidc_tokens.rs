//! ID tokens and userinfo (OpenID Connect Core §2, §5.3, §5.4, §12.2): what they say, and what they
//! keep to themselves.

use chrono::TimeDelta;
use serde_json::{Value, json};
use testkit::{Browser, claims_of};

use crate::{
    bank::Bank,
    steps::{answer, header_of, tokens_for},
};

fn names(claims: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = claims.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn oc_01_oc_02_oc_30_oc_35_an_id_token_says_what_it_must_and_no_more() {
    let bank = Bank::open().await;
    let (browser, mut alice) = (Browser::new(), bank.person("alice"));
    let app = bank.app("web-app");
    let attempt = app.attempt("openid profile email address phone accounts:read");
    let departure = bank.connect(&mut alice, &browser, attempt.url()).await;
    let tokens = app.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
    let jwt = tokens.str("id_token");
    let header = header_of(jwt);
    assert_eq!((&header["alg"], &header["typ"]), (&json!("RS256"), &json!("JWT")), "the default (OC-01)");
    let keys = app.get("/jwks").await.expect(200);
    assert!(keys["keys"].as_array().unwrap().iter().any(|key| key["kid"] == header["kid"]));

    let claims = claims_of(jwt);
    let expected = ["acr", "amr", "at_hash", "aud", "auth_time", "exp", "iat", "iss", "nonce", "sid", "sub"];
    assert_eq!(names(&claims), expected, "no roles, no profile (OC-17, OC-30)");
    assert_eq!((claims["iss"].as_str(), claims["aud"].as_str()), (Some(&*bank.issuer), Some("web-app")));
    let now = bank.now().timestamp();
    assert_eq!((&claims["iat"], &claims["auth_time"]), (&json!(now), &json!(now)));
    assert!(claims["exp"].as_i64().unwrap() > now);
    let sub = claims["sub"].as_str().unwrap();
    assert!(sub.len() <= 255 && sub.is_ascii() && !sub.contains("alice"));

    // The same person and the same browser session at another app: the same sub and sid (OC-35).
    let legacy = bank.app("legacy-app");
    let attempt = legacy.attempt("openid");
    let departure = bank.connect(&mut alice, &browser, attempt.url()).await;
    let second = legacy.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
    let other = claims_of(second.str("id_token"));
    assert_eq!((&other["sub"], &other["sid"]), (&claims["sub"], &claims["sid"]));
    assert_eq!(header_of(second.str("id_token"))["alg"], "ES256", "as registered");
    // Another session is another sid, and another person another sub.
    let again = claims_of(tokens_for(&bank, &app, "openid").await.str("id_token"));
    assert_eq!(again["sub"], claims["sub"]);
    assert_ne!(again["sid"], claims["sid"]);
}

#[tokio::test]
async fn oc_10_without_openid_there_is_no_id_token_and_no_userinfo() {
    let bank = Bank::open().await;
    let app = bank.app("web-app");
    let tokens = tokens_for(&bank, &app, "accounts:read").await;
    assert_eq!(tokens.json.get("id_token"), None);
    let refused = app.userinfo(tokens.str("access_token")).await;
    refused.expect_error(403, "insufficient_scope");
    assert!(refused.header("www-authenticate").unwrap().contains("error=\"insufficient_scope\""));
    let own = bank.app("batch-job").client_credentials("accounts:read").await.expect(200);
    app.userinfo(own.str("access_token")).await.expect(403);
}

#[tokio::test]
async fn oc_14_a_refreshed_id_token_is_about_the_same_login() {
    let bank = Bank::open().await;
    let app = bank.app("web-app");
    let tokens = tokens_for(&bank, &app, "openid offline_access").await;
    let first = claims_of(tokens.str("id_token"));
    bank.advance(TimeDelta::hours(2));
    let refreshed = app.refresh(tokens.str("refresh_token")).await.expect(200);
    let second = claims_of(refreshed.str("id_token"));
    for kept in ["iss", "sub", "aud", "auth_time", "acr", "amr", "sid"] {
        assert_eq!(second[kept], first[kept], "{kept}");
    }
    assert_eq!(second["iat"], json!(bank.now().timestamp()));
    assert_ne!(second["at_hash"], first["at_hash"]);
    assert_eq!((second.get("nonce"), second.get("azp")), (None, first.get("azp")));
}

#[tokio::test]
async fn oc_16_f2_38_o21_03_userinfo_takes_the_token_from_header_or_form_only() {
    let bank = Bank::open().await;
    let app = bank.app("web-app");
    let tokens = tokens_for(&bank, &app, "openid profile").await;
    let (token, sub) = (tokens.str("access_token"), claims_of(tokens.str("id_token"))["sub"].clone());
    let url = app.endpoint("/userinfo");
    let get = answer(app.http().get(url.clone()).bearer_auth(token)).await;
    let post = answer(app.http().post(url.clone()).bearer_auth(token)).await;
    let form = answer(app.http().post(url.clone()).form(&[("access_token", token)])).await;
    let lower = answer(app.http().get(url.clone()).header("authorization", format!("bearer {token}"))).await;
    for found in [&get, &post, &form, &lower] {
        assert_eq!((found.status, &found["sub"], found["name"].as_str()), (200, &sub, Some("Alice Example")));
        assert_eq!(found.header("cache-control"), Some("no-store"));
    }

    let mut query = url.clone();
    query.query_pairs_mut().append_pair("access_token", token);
    let bare = answer(app.http().get(query.clone())).await.expect(401);
    let challenge = bare.header("www-authenticate").unwrap();
    assert!(challenge.starts_with("Bearer") && !challenge.contains("error"), "no error without a token");
    answer(app.http().post(query)).await.expect(401);
    // Two at once are one too many (RFC 6750 §2).
    let both = app.http().post(url.clone()).bearer_auth(token).form(&[("access_token", token)]);
    answer(both).await.expect_error(400, "invalid_request");
    let twice = app.http().post(url.clone()).form(&[("access_token", token), ("access_token", token)]);
    answer(twice).await.expect_error(400, "invalid_request");
    for dead in ["nonsense", "a.b.c", tokens.str("id_token")] {
        let refused = app.userinfo(dead).await;
        refused.expect_error(401, "invalid_token");
        assert!(refused.header("www-authenticate").unwrap().contains("error=\"invalid_token\""));
    }
    // Expiry and the account's end are seen at each call.
    bank.advance(TimeDelta::minutes(5));
    app.userinfo(token).await.expect_error(401, "invalid_token");
}

#[tokio::test]
async fn oc_17_oc_30_scopes_release_their_claims_and_missing_ones_are_left_out() {
    let bank = Bank::open().await;
    let app = bank.app("web-app");
    for (scope, expected) in [
        ("openid", vec!["sub"]),
        ("openid email", vec!["email", "email_verified", "sub"]),
        ("openid phone", vec!["phone_number", "phone_number_verified", "sub"]),
        ("openid address", vec!["address", "sub"]),
        ("openid profile", vec!["birthdate", "family_name", "given_name", "locale", "name", "sub"]),
        // Roles are the resource servers' business.
        ("openid accounts:read", vec!["sub"]),
    ] {
        let tokens = tokens_for(&bank, &app, scope).await;
        let found = app.userinfo(tokens.str("access_token")).await.expect(200);
        assert_eq!(names(&found.json), expected, "{scope}");
    }
}

#[tokio::test]
async fn oc_31_a_user_record_holds_every_standard_claim() {
    let bank = Bank::open().await;
    let claims = json!({
        "name": "Eve Standard", "given_name": "Eve", "family_name": "Standard", "middle_name": "M",
        "nickname": "evie", "preferred_username": "eve", "profile": "https://eve.example/p",
        "picture": "https://eve.example/p.png", "website": "https://eve.example",
        "gender": "female", "birthdate": "1990-02-28", "zoneinfo": "Pacific/Auckland", "locale": "en-NZ",
        "updated_at": 1_700_000_000,
        "email": "eve@bank.example", "email_verified": true,
        "phone_number": "+6440000001", "phone_number_verified": true,
        "address": {
            "formatted": "2 Quay Street\nWellington", "street_address": "2 Quay Street",
            "locality": "Wellington", "region": "Wellington", "postal_code": "6011", "country": "NZ"
        },
    });
    let user = flows::declare::DeclaredUser {
        username: "eve".parse().unwrap(),
        password: Some(flows::declare::DeclaredPassword::Plain("orchard-velvet-signal".to_owned().into())),
        roles: Vec::new(),
        claims: serde_json::from_value(claims.clone()).unwrap(),
        second_factor: None,
        accounts: Vec::new(),
    };
    let declared = flows::declare::Declared { users: vec![user], ..Default::default() };
    bank.service.declare(&declared).await.unwrap().unwrap();

    let app = bank.app("web-app");
    let attempt = app.attempt("openid profile email address phone");
    let mut eve = testkit::Person::new("eve", "orchard-velvet-signal");
    let departure = bank.connect(&mut eve, &Browser::new(), attempt.url()).await;
    let tokens = app.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
    let mut found = app.userinfo(tokens.str("access_token")).await.expect(200).json;
    found.as_object_mut().unwrap().remove("sub");
    assert_eq!(found, claims);
    // Every one of them is advertised.
    let metadata = app.get("/.well-known/openid-configuration").await.expect(200);
    let advertised = metadata["claims_supported"].as_array().unwrap();
    for name in claims.as_object().unwrap().keys() {
        assert!(advertised.contains(&json!(name)), "{name}");
    }
}

#[tokio::test]
async fn oc_02_a_subject_is_never_reassigned() {
    let bank = Bank::open().await;
    let app = bank.app("web-app");
    let before = claims_of(tokens_for(&bank, &app, "openid").await.str("id_token"));
    // Declared again, with other claims: the same person.
    let again = "[[user]]\nusername = \"alice\"\npassword = \"harbour-lantern-violet\"\n\
                 roles = [\"account-viewer\"]\n[user.claims]\nname = \"Alice Renamed\"";
    bank.declare(again).await.unwrap();
    let after = claims_of(tokens_for(&bank, &app, "openid").await.str("id_token"));
    assert_eq!(before["sub"], after["sub"]);
}
