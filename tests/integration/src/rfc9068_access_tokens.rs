//! JWT access tokens (RFC 9068) and opaque ones: what they say, who believes them, and what is never
//! believed in their place.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use jose::Algorithm;
use josekit::{
    jwk::Jwk,
    jws::{self, JwsVerifier},
};
use serde_json::{Value, json};
use testkit::{Answer, Browser, claims_of};

use crate::{
    bank::Bank,
    steps::{declare_client, header_of, new_key, signed_as_is, signing_client, tokens_for},
};

/// Verifies a token as a resource server would that knows nothing but the published keys.
fn verify(jwks: &Answer, token: &str) -> Value {
    let header = header_of(token);
    let keys = jwks["keys"].as_array().unwrap();
    let key = keys.iter().find(|key| key["kid"] == header["kid"]).expect("the kid is published");
    assert_eq!(key["alg"], header["alg"]);
    let jwk = Jwk::from_map(key.as_object().unwrap().clone()).unwrap();
    let verifier: Box<dyn JwsVerifier> = match header["alg"].as_str().unwrap() {
        "ES256" => Box::new(jws::ES256.verifier_from_jwk(&jwk).unwrap()),
        "RS256" => Box::new(jws::RS256.verifier_from_jwk(&jwk).unwrap()),
        "PS256" => Box::new(jws::PS256.verifier_from_jwk(&jwk).unwrap()),
        "EdDSA" => Box::new(jws::EdDSA.verifier_from_jwk(&jwk).unwrap()),
        other => panic!("{other} is no asymmetric algorithm of ours"),
    };
    let (payload, _) = jws::deserialize_compact(token, &*verifier).unwrap();
    serde_json::from_slice(&payload).unwrap()
}

#[tokio::test]
async fn at_01_at_02_a_jwt_says_who_for_whom_and_until_when() {
    for algorithm in Algorithm::ALL {
        let bank = Bank::with(crate::bank::Engine::Sqlite, |policies| {
            policies.tokens.access_token_algorithm = algorithm;
            let days = TimeDelta::days(1);
            let algorithms = [Algorithm::Rs256, Algorithm::Es256, algorithm];
            policies.rotation = keys::RotationPolicy::new(&algorithms, days * 90, days, days * 7).unwrap();
        })
        .await;
        let app = bank.app("web-app");
        let jwks = app.get("/jwks").await.expect(200);
        let tokens = tokens_for(&bank, &app, "openid profile accounts:read").await;
        let token = tokens.str("access_token");
        let header = header_of(token);
        assert_eq!((&header["typ"], &header["alg"]), (&json!("at+jwt"), &json!(algorithm.as_str())));
        let claims = verify(&jwks, token);
        let id_token = verify(&jwks, tokens.str("id_token"));
        let now = bank.now().timestamp();
        let expected = json!({
            "iss": bank.issuer, "sub": id_token["sub"], "aud": ["https://api.bank.example", bank.issuer],
            "client_id": "web-app", "iat": now, "exp": now + 300, "scope": "accounts:read openid profile",
            "auth_time": id_token["auth_time"], "acr": id_token["acr"], "amr": id_token["amr"],
            "roles": ["account-viewer"], "jti": claims["jti"], "grant_id": claims["grant_id"],
        });
        assert_eq!(claims, expected);
        assert_eq!(claims["jti"].as_str().unwrap().len(), 36);
        assert!(bank.api("accounts-api").is_active(token).await);
        // No name, no address: excessive data is a defect.
        assert!(!claims.to_string().contains("Alice"));

        let again = tokens_for(&bank, &app, "openid profile accounts:read").await;
        assert_ne!(claims_of(again.str("access_token"))["jti"], claims["jti"]);
    }
}

#[tokio::test]
async fn at_02_strong_authentication_is_mirrored() {
    let bank = Bank::open().await;
    let app = bank.app("web-app");
    let attempt = app.attempt("openid payments:write");
    let departure = bank.connect(&mut bank.person("carol"), &Browser::new(), attempt.url()).await;
    let tokens = app.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
    let claims = claims_of(tokens.str("access_token"));
    assert_eq!(claims["acr"], "urn:openbanking:psd2:sca");
    let amr: Vec<&str> = claims["amr"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(["pwd", "otp", "mfa"].iter().all(|method| amr.contains(method)), "{amr:?}");
    assert_eq!(claims["roles"], json!(["payment-initiator"]));
}

#[tokio::test]
async fn at_01_an_opaque_token_says_nothing_and_means_the_same() {
    let bank = Bank::open().await;
    let app = bank.app("web-app");
    let tokens = tokens_for(&bank, &app, "openid profile cards:read").await;
    let token = tokens.str("access_token");
    assert!(!token.contains('.') && token.len() == 43, "by the choice of the resource server");
    assert!(bank.api("cards-api").is_active(token).await);
    let found = app.userinfo(token).await.expect(200);
    assert_eq!(found["name"], "Alice Example");
    assert_eq!(claims_of(tokens.str("id_token"))["sub"], found["sub"]);
    bank.advance(TimeDelta::seconds(300));
    app.userinfo(token).await.expect(401);

    // By the choice of the client.
    let key = new_key(Algorithm::Es256);
    declare_client(&bank, "signing-app", signing_client(&[&key])).await.unwrap();
    let text = "[[client]]\nclient_id = \"quiet-app\"\nclient_secret = \"quiet-app-secret-0123456789a\"\n\
                grant_types = [\"client_credentials\"]\nscope = \"accounts:read\"\n\
                access_token_format = \"opaque\"";
    bank.declare(text).await.unwrap();
    let mut quiet = bank.app("batch-job");
    quiet.client_id = "quiet-app".into();
    quiet.auth = testkit::ClientAuth::Basic("quiet-app-secret-0123456789a".into());
    let own = quiet.client_credentials("accounts:read").await.expect(200);
    assert!(!own.str("access_token").contains('.'));
    assert!(bank.api("accounts-api").is_active(own.str("access_token")).await);
}

/// What the server itself signs with its own keys, or could sign one day for other purposes.
#[tokio::test]
async fn at_04_jo_03_another_kind_of_jwt_is_no_access_token() {
    let bank = Bank::open().await;
    let (app, api) = (bank.app("web-app"), bank.api("accounts-api"));
    let tokens = tokens_for(&bank, &app, "openid accounts:read").await;
    api.introspect(tokens.str("id_token")).await.expect(200);
    assert!(!api.is_active(tokens.str("id_token")).await);
    app.userinfo(tokens.str("id_token")).await.expect(401);

    let claims = claims_of(tokens.str("access_token"));
    let declared = bank.service.declared();
    for algorithm in [Algorithm::Es256, Algorithm::Rs256] {
        let key = declared.keyring.signer(algorithm).unwrap();
        // The type is compared as a media type: these are the same (JO-03).
        for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"] {
            let token = key.sign(typ, &claims).unwrap();
            assert!(api.is_active(&token).await, "{typ}");
            app.userinfo(&token).await.expect(200);
        }
        for typ in [
            "JWT",
            "logout+jwt",
            "token-introspection+jwt",
            "oauth-authz-req+jwt",
            "dpop+jwt",
            "jwt",
            "at",
            "x/at+jwt",
            "application/x/at+jwt",
            "",
        ] {
            let token = key.sign(typ, &claims).unwrap();
            assert!(!api.is_active(&token).await, "{typ}");
            app.userinfo(&token).await.expect_error(401, "invalid_token");
            app.revoke(&token).await.expect(200);
        }
        for (name, value) in [
            ("iss", json!("https://elsewhere.example")),
            ("aud", json!("https://cards.bank.example")),
            ("exp", json!(bank.now().timestamp())),
            ("exp", Value::Null),
            ("jti", Value::Null),
            ("client_id", Value::Null),
            ("grant_id", json!("00000000-0000-7000-8000-000000000000")),
            ("iat", json!(bank.now().timestamp() + 61)),
        ] {
            let mut changed = claims.clone();
            match value {
                Value::Null => drop(changed.as_object_mut().unwrap().remove(name)),
                value => changed[name] = value,
            }
            assert!(!api.is_active(&key.sign("at+jwt", &changed).unwrap()).await, "{name}");
        }
    }
    assert!(api.is_active(tokens.str("access_token")).await, "revoking lookalikes revoked nothing");
}

#[tokio::test]
async fn jo_01_jo_02_forged_and_ambiguous_tokens_are_refused() {
    let bank = Bank::open().await;
    let (app, api) = (bank.app("web-app"), bank.api("accounts-api"));
    let tokens = tokens_for(&bank, &app, "openid accounts:read").await;
    let token = tokens.str("access_token");
    let claims = claims_of(token).to_string();
    let kid = header_of(token)["kid"].as_str().unwrap().to_owned();
    let jwks = app.get("/jwks").await.expect(200);
    let public = jwks["keys"].as_array().unwrap().iter().find(|key| key["kid"] == *kid).unwrap();

    let hmac = jws::HS256.signer_from_bytes(public.to_string()).unwrap();
    let stranger = new_key(Algorithm::Es256);
    let dead = |name: &str, token: String| (name.to_owned(), token);
    let header = |alg: &str| json!({ "typ": "at+jwt", "alg": alg, "kid": kid }).to_string();
    let [head, payload, signature]: [&str; 3] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
    // The same token under another spelling: duplicate members in its header, by a splice that keeps
    // the signature, and other encodings of the same bytes.
    let doubled = URL_SAFE_NO_PAD.encode(header("ES256").replacen('{', r#"{"alg":"ES256","#, 1));
    for (name, forged) in [
        dead("none", signed_as_is(&header("none"), &claims, |_| Vec::new())),
        dead("None", signed_as_is(&header("None"), &claims, |_| Vec::new())),
        dead("hs256", {
            use josekit::jws::JwsSigner;
            signed_as_is(&header("HS256"), &claims, |it| hmac.sign(it).unwrap())
        }),
        dead("stranger", stranger.sign("at+jwt", &claims_of(token)).unwrap()),
        dead("doubled header", format!("{doubled}.{payload}.{signature}")),
        dead("no signature", format!("{head}.{payload}.")),
        dead("two parts", format!("{head}.{payload}")),
        dead("four parts", format!("{token}.x")),
        dead("padded", format!("{token}=")),
        dead("spaced", format!("{token} x")),
        dead("swapped", format!("{payload}.{head}.{signature}")),
        dead("encrypted", "e30.e30.e30.e30.e30".to_owned()),
        dead("long", format!("{head}.{}.{signature}", "A".repeat(20_000))),
    ] {
        assert!(!api.is_active(&forged).await, "{name}");
        let refused = app.userinfo(&forged).await.status;
        // A header of this length is refused before anybody reads it.
        assert!(refused == 401 || (name == "long" && refused == 431), "{name}: {refused}");
    }
    // RFC 8725 §3.6: nothing is inflated.
    let zipped = json!({ "typ": "at+jwt", "alg": "ES256", "kid": kid, "zip": "DEF" }).to_string();
    let zipped = format!("{}.{payload}.{signature}", URL_SAFE_NO_PAD.encode(zipped));
    assert!(!api.is_active(&zipped).await);
    assert!(api.is_active(token).await);
}
