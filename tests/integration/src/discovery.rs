//! Metadata and keys (OpenID Connect Discovery, RFC 8414, RFC 7517): complete, truthful, and the same from
//! wherever they are read.

use std::{collections::BTreeSet, sync::Arc};

use chrono::TimeDelta;
use jose::Algorithm;
use keys::RotationPolicy;
use serde_json::{Value, json};
use testkit::{Answer, Browser, ClientAuth, RelyingParty, ResourceServer, claims_of};

use crate::{
    bank::{Bank, Engine},
    steps::{answer, declare_client, header_of, new_key, signing_client, tokens_for},
};

const OIDC: &str = "/.well-known/openid-configuration";
const OAUTH: &str = "/.well-known/oauth-authorization-server";

/// Every member that the "OAuth Authorization Server Metadata" registry had for what this server does.
const REGISTERED: &[&str] = &[
    "issuer",
    "authorization_endpoint",
    "token_endpoint",
    "jwks_uri",
    "registration_endpoint",
    "scopes_supported",
    "response_types_supported",
    "response_modes_supported",
    "grant_types_supported",
    "token_endpoint_auth_methods_supported",
    "token_endpoint_auth_signing_alg_values_supported",
    "service_documentation",
    "ui_locales_supported",
    "op_policy_uri",
    "op_tos_uri",
    "revocation_endpoint",
    "revocation_endpoint_auth_methods_supported",
    "revocation_endpoint_auth_signing_alg_values_supported",
    "introspection_endpoint",
    "introspection_endpoint_auth_methods_supported",
    "introspection_endpoint_auth_signing_alg_values_supported",
    "introspection_signing_alg_values_supported",
    "introspection_encryption_alg_values_supported",
    "introspection_encryption_enc_values_supported",
    "code_challenge_methods_supported",
    "signed_metadata",
    "authorization_response_iss_parameter_supported",
    "userinfo_endpoint",
    "acr_values_supported",
    "subject_types_supported",
    "id_token_signing_alg_values_supported",
    "id_token_encryption_alg_values_supported",
    "id_token_encryption_enc_values_supported",
    "userinfo_signing_alg_values_supported",
    "userinfo_encryption_alg_values_supported",
    "userinfo_encryption_enc_values_supported",
    "display_values_supported",
    "claim_types_supported",
    "claims_supported",
    "claims_locales_supported",
    "claims_parameter_supported",
    "request_parameter_supported",
    "request_uri_parameter_supported",
    "require_request_uri_registration",
    "end_session_endpoint",
    "device_authorization_endpoint",
    "pushed_authorization_request_endpoint",
    "require_pushed_authorization_requests",
    "dpop_signing_alg_values_supported",
    "check_session_iframe",
    "backchannel_logout_supported",
    "backchannel_logout_session_supported",
    "frontchannel_logout_supported",
    "frontchannel_logout_session_supported",
    "prompt_values_supported",
    "protected_resources",
    "request_object_signing_alg_values_supported",
    "request_object_encryption_alg_values_supported",
    "request_object_encryption_enc_values_supported",
    "authorization_signing_alg_values_supported",
    "authorization_encryption_alg_values_supported",
    "authorization_encryption_enc_values_supported",
];

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|item| item.as_str().unwrap()).collect()
}

#[tokio::test]
async fn f2_06_both_documents_are_the_same_and_match_their_address() {
    let bank = Bank::open().await;
    let app = bank.app("web-app");
    let (oidc, oauth) = (app.get(OIDC).await.expect(200), app.get(OAUTH).await.expect(200));
    assert_eq!(oidc.text, oauth.text);
    for document in [&oidc, &oauth] {
        assert_eq!(document.header("content-type"), Some("application/json"));
        assert!(document.header("cache-control").unwrap().contains("max-age="));
        assert_eq!(document["issuer"], bank.issuer, "OC-26: the URL it came from");
    }
    // Host headers and forwarding headers of strangers change nothing (BCP-15).
    let mut urls = 0;
    for (name, value) in [
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "host=evil.example;proto=https"),
        ("x-original-url", "/evil"),
    ] {
        let bent = answer(app.http().get(app.endpoint(OIDC)).header(name, value)).await.expect(200);
        assert_eq!(bent.text, oidc.text, "{name}");
    }
    for (name, value) in oidc.json.as_object().unwrap() {
        if let Some(url) = value.as_str().filter(|text| text.contains("://")) {
            urls += 1;
            assert!(url == bank.issuer || url.starts_with(&format!("{}/", bank.issuer)), "{name} {url}");
        }
    }
    assert!(urls >= 9, "the issuer and eight endpoints that every installation has, not {urls}");
}

#[tokio::test]
async fn oc_26_metadata_of_an_https_issuer_is_https_only() {
    let bank =
        Bank::with(Engine::Sqlite, |policies| policies.issuer = "https://id.bank.example".into()).await;
    let found = bank.app("web-app").get(OIDC).await.expect(200);
    assert_eq!(found["issuer"], "https://id.bank.example");
    assert!(!found.text.contains("http://"), "{}", found.text);
}

#[tokio::test]
async fn oc_28_oc_30_members_are_registered_and_defaults_are_said() {
    let bank = Bank::open().await;
    let found = bank.app("web-app").get(OIDC).await.expect(200);
    for (name, value) in found.json.as_object().unwrap() {
        assert!(REGISTERED.contains(&name.as_str()), "{name} is in no registry");
        assert!(!value.is_null() && *value != json!([]) && *value != json!(""), "{name} says nothing");
    }
    for name in
        ["request_parameter_supported", "request_uri_parameter_supported", "require_request_uri_registration"]
    {
        assert_eq!(found[name], json!(true), "{name}");
    }
    for (name, value) in
        found.json.as_object().unwrap().iter().filter(|(name, _)| name.contains("_signing_alg_"))
    {
        for algorithm in strings(value) {
            assert!(algorithm.parse::<Algorithm>().is_ok(), "{name} lists {algorithm}");
        }
    }
    let signed = strings(&found["request_object_signing_alg_values_supported"]);
    assert_eq!(signed, Algorithm::ALL.map(Algorithm::as_str), "and never none");
    let required =
        ["response_types_supported", "subject_types_supported", "id_token_signing_alg_values_supported"];
    assert!(required.iter().all(|name| found.json.get(*name).is_some()));
    assert!(strings(&found["id_token_signing_alg_values_supported"]).contains(&"RS256"));
}

#[tokio::test]
async fn oc_26_every_advertised_endpoint_answers() {
    let bank = Bank::open().await;
    let app = bank.app("web-app");
    let found = app.get(OIDC).await.expect(200);
    let http = app.http();
    let form: [(&str, &str); 0] = [];
    for (member, post, expected) in [
        ("authorization_endpoint", false, 400),
        ("authorization_endpoint", true, 303),
        ("token_endpoint", true, 400),
        ("userinfo_endpoint", false, 401),
        ("userinfo_endpoint", true, 401),
        ("jwks_uri", false, 200),
        ("introspection_endpoint", true, 401),
        ("revocation_endpoint", true, 401),
        ("end_session_endpoint", false, 303),
        ("check_session_iframe", false, 200),
        ("device_authorization_endpoint", true, 401),
        ("pushed_authorization_request_endpoint", true, 401),
    ] {
        let url = found.str(member);
        let request = if post { http.post(url).form(&form) } else { http.get(url) };
        let status = answer(request).await.status;
        let alike = status == expected || (expected >= 400 && (400..=401).contains(&status));
        assert!(alike, "{member}: {status} where {expected} was expected");
    }
}

#[tokio::test]
async fn oc_26_every_advertised_value_of_the_authorization_endpoint_works() {
    let bank = Bank::open().await;
    let app = bank.app("web-app");
    let found = app.get(OIDC).await.expect(200);
    assert_eq!(strings(&found["response_types_supported"]), ["code", "code id_token"]);
    assert_eq!(strings(&found["code_challenge_methods_supported"]), ["S256"]);
    assert_eq!(strings(&found["subject_types_supported"]), ["public", "pairwise"]);
    assert_eq!(found["authorization_response_iss_parameter_supported"], json!(true));
    let (browser, mut carol) = (Browser::new(), bank.person("carol"));
    for mode in strings(&found["response_modes_supported"]) {
        let attempt = app.attempt("openid").with("response_mode", mode);
        let departure = bank.connect(&mut carol, &browser, attempt.url()).await;
        let in_query = matches!(mode, "query" | "jwt" | "query.jwt");
        assert_eq!(departure.url.query().is_some(), in_query, "{mode}");
        let code = match departure.parameter("response") {
            Some(jwt) if mode.ends_with("jwt") => claims_of(jwt)["code"].as_str().unwrap().to_owned(),
            _ => attempt.code(&departure),
        };
        app.redeem(&attempt, &code).await.expect(200);
    }
    for acr in strings(&found["acr_values_supported"]) {
        let attempt = app.attempt("openid").with("acr_values", acr);
        let departure = bank.connect(&mut carol, &browser, attempt.url()).await;
        let tokens = app.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
        // Two factors are more than one; nobody is asked for less.
        assert_eq!(claims_of(tokens.str("id_token"))["acr"], "urn:openbanking:psd2:sca", "{acr}");
    }
    let attempt = app.attempt("openid").with("acr_values", "urn:openbanking:psd2:ca");
    let departure = bank.connect(&mut bank.person("bob"), &Browser::new(), attempt.url()).await;
    let tokens = app.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
    assert_eq!(claims_of(tokens.str("id_token"))["acr"], "urn:openbanking:psd2:ca");
    for scope in strings(&found["scopes_supported"]) {
        let attempt = app.attempt(&format!("openid {scope}"));
        let departure = bank.connect(&mut carol, &browser, attempt.url()).await;
        let tokens = app.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
        assert!(tokens.str("scope").split(' ').any(|granted| granted == scope), "{scope}");
    }
    let mut titles = BTreeSet::new();
    let locales = strings(&found["ui_locales_supported"]);
    for locale in &locales {
        let page = Browser::new().open(app.attempt("openid").with("ui_locales", locale).url()).await;
        titles.insert(page.texts("h1").join(" "));
    }
    assert_eq!(titles.len(), locales.len(), "each language is one: {titles:?}");
    let advertised: BTreeSet<&str> = strings(&found["claims_supported"]).into_iter().collect();
    let tokens = tokens_for(&bank, &app, "openid profile email address phone").await;
    let userinfo = app.userinfo(tokens.str("access_token")).await.expect(200);
    let told = claims_of(tokens.str("id_token"));
    // `aud`, `exp`, `iat` and `at_hash` are of the token, not about the person.
    let about_the_token = ["aud", "exp", "iat", "at_hash"];
    let names = told.as_object().unwrap().keys().chain(userinfo.json.as_object().unwrap().keys());
    for name in names.filter(|name| !about_the_token.contains(&name.as_str())) {
        assert!(advertised.contains(name.as_str()), "{name}");
    }
}

#[tokio::test]
async fn oc_26_every_advertised_way_to_authenticate_and_to_sign_works() {
    let bank = Bank::open().await;
    let app = bank.app("web-app");
    let found = app.get(OIDC).await.expect(200);
    let grants: BTreeSet<&str> = strings(&found["grant_types_supported"]).into_iter().collect();
    let exchanging =
        ["urn:ietf:params:oauth:grant-type:token-exchange", "urn:ietf:params:oauth:grant-type:jwt-bearer"];
    let device = "urn:ietf:params:oauth:grant-type:device_code";
    let plain = ["authorization_code", "client_credentials", "implicit", "refresh_token", device];
    assert_eq!(grants, plain.into_iter().chain(exchanging).collect());
    // Known to the endpoint, though not allowed to this client; what comes of them has its own tests.
    let subject = [("subject_token", "x"), ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt")];
    for grant in exchanging {
        let fields = [&[("grant_type", grant), ("assertion", "x")][..], &subject].concat();
        app.token(&fields).await.expect_error(400, "unauthorized_client");
    }
    let tokens = tokens_for(&bank, &app, "openid offline_access").await;
    app.refresh(tokens.str("refresh_token")).await.expect(200);
    bank.app("batch-job").client_credentials("accounts:read").await.expect(200);

    let legacy_tokens = tokens_for(&bank, &bank.app("legacy-app"), "openid").await;
    let public_tokens = tokens_for(&bank, &bank.app("spa"), "openid").await;
    for member in ["token_endpoint_auth_methods_supported", "revocation_endpoint_auth_methods_supported"] {
        for method in strings(&found[member]) {
            match method {
                "client_secret_basic" => app.revoke("x").await.expect(200),
                "client_secret_post" => {
                    bank.app("legacy-app").revoke(legacy_tokens.str("access_token")).await.expect(200)
                }
                "none" => bank.app("spa").revoke(public_tokens.str("access_token")).await.expect(200),
                "private_key_jwt" => continue,
                other => panic!("{member} lists {other}, which no test uses"),
            };
        }
    }
    for algorithm in strings(&found["token_endpoint_auth_signing_alg_values_supported"]) {
        let signer = signing_app(&bank, algorithm).await;
        signer.client_credentials("accounts:read").await.expect(200);
    }
    for algorithm in strings(&found["revocation_endpoint_auth_signing_alg_values_supported"]) {
        signing_app(&bank, algorithm).await.revoke("x").await.expect(200);
    }
    let secret = "accounts-api-secret-0123456789";
    for method in strings(&found["introspection_endpoint_auth_methods_supported"]) {
        let auth = match method {
            "client_secret_basic" => ClientAuth::Basic(secret.into()),
            "client_secret_post" => ClientAuth::Post(secret.into()),
            other => panic!("introspection lists {other}, which no test uses"),
        };
        ResourceServer::new(&bank.issuer, "accounts-api", auth).introspect("x").await.expect(200);
    }
    for algorithm in strings(&found["id_token_signing_alg_values_supported"]) {
        let metadata = json!({
            "token_endpoint_auth_method": "none", "redirect_uris": ["https://spa.example/cb"],
            "scope": "openid", "id_token_signed_response_alg": algorithm,
        });
        declare_client(&bank, "spa", metadata).await.unwrap();
        let tokens = tokens_for(&bank, &bank.app("spa"), "openid").await;
        assert_eq!(header_of(tokens.str("id_token"))["alg"], algorithm);
    }
}

/// A client that signs its assertions with a new key of this algorithm.
async fn signing_app(bank: &Bank, algorithm: &str) -> RelyingParty {
    let key = new_key(algorithm.parse().unwrap());
    declare_client(bank, "signing-app", signing_client(&[&key])).await.unwrap();
    let (issuer, exp) = (bank.issuer.clone(), bank.now().timestamp() + 60);
    let mut app = bank.app("batch-job");
    app.auth = ClientAuth::Assertion(Arc::new(move || {
        let jti =
            uuid::Uuid::from_u128(u128::from(RANDOM.fetch_add(1, std::sync::atomic::Ordering::Relaxed)));
        let claims =
            json!({ "iss": "signing-app", "sub": "signing-app", "aud": issuer, "jti": jti, "exp": exp });
        key.sign("JWT", &claims).unwrap()
    }));
    app
}

static RANDOM: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);

#[tokio::test]
async fn oc_26_what_is_not_advertised_is_refused() {
    let bank = Bank::open().await;
    let app = bank.app("web-app");
    for (name, value, error) in [
        ("response_type", "id_token", "unsupported_response_type"),
        ("response_mode", "web_message", "invalid_request"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("request", "e30.e30.", "invalid_request_object"),
        ("request_uri", "https://web.example/r", "invalid_request_uri"),
        ("registration", "{}", "registration_not_supported"),
    ] {
        let page = Browser::new().open(app.attempt("openid").with(name, value).url()).await;
        assert_eq!(page.departed().error(), error, "{name}={value}");
    }
    for grant in [
        "password",
        "implicit",
        "urn:ietf:params:oauth:grant-type:saml2-bearer",
        "urn:openid:params:grant-type:ciba",
    ] {
        app.token(&[("grant_type", grant)]).await.expect_error(400, "unsupported_grant_type");
    }
    let metadata = json!({ "token_endpoint_auth_method": "client_secret_jwt" });
    assert!(serde_json::from_value::<protocol::client::ClientMetadata>(metadata).is_err());
    for path in ["/register", "/checksession", "/bc-authorize"] {
        answer(app.http().post(bank.url(path)).form(&[("a", "b")])).await.expect(404);
    }
}

fn keys_of(jwks: &Answer) -> Vec<&serde_json::Map<String, Value>> {
    jwks["keys"].as_array().unwrap().iter().map(|key| key.as_object().unwrap()).collect()
}

#[tokio::test]
async fn f2_37_f2_35_published_keys_are_public_strong_and_named_apart() {
    let bank = Bank::with(Engine::Sqlite, |policies| {
        let days = TimeDelta::days(1);
        policies.rotation = RotationPolicy::new(&Algorithm::ALL, days * 90, days, days * 7).unwrap();
    })
    .await;
    let jwks = bank.app("web-app").get("/jwks").await.expect(200);
    assert_eq!(jwks.header("content-type"), Some("application/jwk-set+json"));
    let keys = keys_of(&jwks);
    assert_eq!(keys.len(), 4);
    let kids: BTreeSet<&str> = keys.iter().map(|key| key["kid"].as_str().unwrap()).collect();
    assert_eq!(kids.len(), keys.len());
    let public = ["kty", "kid", "use", "alg", "key_ops", "crv", "x", "y", "n", "e"];
    for key in keys {
        assert!(key.keys().all(|name| public.contains(&name.as_str())), "{:?}", key.keys());
        assert_eq!(key["use"], "sig");
        assert!(key["alg"].as_str().unwrap().parse::<Algorithm>().is_ok());
        if key["kty"] == "RSA" {
            // 2048 bits are 342 characters of base64url.
            assert!(key["n"].as_str().unwrap().len() >= 342);
        }
    }
}

#[tokio::test]
async fn oc_22_keys_rotate_without_a_token_that_nobody_can_verify() {
    let bank = Bank::with(Engine::Sqlite, |policies| {
        let days = TimeDelta::days(1);
        let algorithms = [Algorithm::Rs256, Algorithm::Es256];
        policies.rotation = RotationPolicy::new(&algorithms, days * 10, days, days * 7).unwrap();
    })
    .await;
    let (batch, api) = (bank.app("batch-job"), bank.api("accounts-api"));
    let mut known: BTreeSet<String> = BTreeSet::new();
    let mut signers = Vec::new();
    let mut most = 0;
    for step in 0..60 {
        // Somebody who read the keys half a day ago can verify what is signed now.
        let token =
            batch.client_credentials("accounts:read").await.expect(200).str("access_token").to_owned();
        let kid = header_of(&token)["kid"].as_str().unwrap().to_owned();
        assert!(step == 0 || known.contains(&kid), "step {step}: the signer's key was not announced");
        if signers.last() != Some(&kid) {
            signers.push(kid.clone());
        }
        bank.service.tend_signing_keys().await.unwrap();
        bank.service.reload().await.unwrap();
        // A change of keys does not end what the old key signed.
        assert!(api.is_active(&token).await, "step {step}");
        let jwks = batch.get("/jwks").await.expect(200);
        known = keys_of(&jwks).iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect();
        assert!(known.contains(&kid), "step {step}: the key is withdrawn while its token lives");
        most = most.max(known.len());
        bank.advance(TimeDelta::hours(12));
    }
    assert!(signers.len() >= 3, "thirty days are three periods: {signers:?}");
    assert!(!known.contains(&signers[0]), "a retired key is withdrawn in the end");
    assert!(most <= 6, "two algorithms: active, announced, retired");
}

/// The documents are rendered once and named by their content: who has them is told so, until what they
/// say has changed.
#[tokio::test]
async fn oc_22_oc_26_documents_are_revalidated_until_they_change() {
    let bank = Bank::with(Engine::Sqlite, |policies| {
        let days = TimeDelta::days(1);
        let algorithms = [Algorithm::Rs256, Algorithm::Es256];
        policies.rotation = RotationPolicy::new(&algorithms, days * 10, days, days * 7).unwrap();
    })
    .await;
    let app = bank.app("web-app");
    let ask = async |path: &str, known: &str| {
        answer(app.http().get(app.endpoint(path)).header("if-none-match", known)).await
    };
    let mut tags = Vec::new();
    for path in [OIDC, OAUTH, "/jwks"] {
        let full = app.get(path).await.expect(200);
        let tag = full.header("etag").unwrap().to_owned();
        let known = ask(path, &format!("\"other\", {tag}")).await.expect(304);
        assert!(known.text.is_empty());
        for name in ["etag", "cache-control", "x-content-type-options", "access-control-allow-origin"] {
            assert_eq!(known.header(name), full.header(name), "{path} {name}");
        }
        assert_eq!(ask(path, "\"other\"").await.expect(200).text, full.text);
        tags.push(tag);
    }
    assert_eq!(tags[0], tags[1]);
    assert_ne!(tags[0], tags[2]);

    // A scope is new in the metadata, and not in the keys.
    let scope = "[[scope]]\nname = 'new:scope'\ntitle = 'New'\ndescription = 'New.'\n\
                 audience = 'https://api.bank.example'\nroles = ['account-viewer']\n";
    bank.declare(scope).await.unwrap();
    let fresh = ask(OIDC, &tags[0]).await.expect(200);
    assert!(strings(&fresh["scopes_supported"]).contains(&"new:scope"));
    assert_ne!(fresh.header("etag"), Some(tags[0].as_str()));
    ask("/jwks", &tags[2]).await.expect(304);

    // Keys are announced in the keys, and not in the metadata.
    bank.advance(TimeDelta::days(9));
    bank.service.tend_signing_keys().await.unwrap();
    bank.service.reload().await.unwrap();
    let keys = ask("/jwks", &tags[2]).await.expect(200);
    assert_eq!(keys_of(&keys).len(), 4, "two active, two announced");
    ask(OIDC, fresh.header("etag").unwrap()).await.expect(304);
}
