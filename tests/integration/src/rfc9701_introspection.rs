//! Signed introspection answers (RFC 9701), and that no JWT of ours is taken for another.

use jose::{
    Algorithm, DecryptionKey, KeySet, PrivateDecryptionKey,
    jwe::{Accepted, EncryptionKeyType, decrypt},
    verify,
};
use serde_json::{Value, json};
use testkit::{Answer, claims_of};

use crate::{
    bank::Bank,
    steps::{answer, header_of, tokens_for},
};

pub const TYPE: &str = "application/token-introspection+jwt";
const API: &str = "https://api.bank.example";

/// The accounts API asks, with this `Accept`.
pub async fn ask(bank: &Bank, accept: &str, token: &str) -> Answer {
    let app = bank.app("web-app");
    let request = app.http().post(app.endpoint("/introspect"));
    let request = request.basic_auth("accounts-api", Some("accounts-api-secret-0123456789"));
    answer(request.header("accept", accept).form(&[("token", token)])).await
}

async fn keys(bank: &Bank) -> KeySet {
    let jwks = bank.app("web-app").get("/jwks").await.expect(200);
    KeySet::from_published(jwks.text.as_bytes()).unwrap()
}

#[tokio::test]
async fn in_05_in_06_an_answer_is_signed_for_whom_asked() {
    let bank = Bank::open().await;
    let tokens = tokens_for(&bank, &bank.app("web-app"), "openid accounts:read").await;
    let token = tokens.str("access_token");
    let plain = bank.api("accounts-api").introspect(token).await.expect(200);
    for accept in [
        TYPE,
        "application/json;q=0.5, application/token-introspection+jwt",
        "Application/Token-Introspection+JWT;q=1",
    ] {
        let signed = ask(&bank, accept, token).await.expect(200);
        assert_eq!(signed.header("content-type"), Some(TYPE), "{accept}");
        assert_eq!(signed.header("cache-control"), Some("no-store"));
        let verified = verify(&signed.text, &keys(&bank).await, &Algorithm::ALL).unwrap();
        assert!(verified.typ_is("token-introspection+jwt"));
        assert_eq!(verified.algorithm, Algorithm::Rs256, "the default of RFC 9701 §6");
        let expected = json!({
            "iss": bank.issuer, "aud": API, "iat": bank.now().timestamp(), "token_introspection": plain.json,
        });
        assert_eq!(Value::Object(verified.claims.into_map()), expected, "no sub or exp at the top");
    }
    // Inactive is signed just so, and says nothing else.
    let dead = ask(&bank, TYPE, "nonsense").await.expect(200);
    assert_eq!(claims_of(&dead.text)["token_introspection"], json!({ "active": false }));
    // Whoever does not ask for it gets JSON.
    for accept in [
        "application/json",
        "*/*",
        "application/*",
        "application/jwt",
        "application/token-introspection+jwt;q=0",
    ] {
        let plain = ask(&bank, accept, token).await.expect(200);
        assert_eq!(
            (plain.header("content-type"), &plain["active"]),
            (Some("application/json"), &json!(true))
        );
    }
    // Only resource servers get them.
    let app = bank.app("web-app");
    let request = app.http().post(app.endpoint("/introspect")).header("accept", TYPE);
    let request = request.basic_auth("web-app", Some("web-app-secret-0123456789abcd"));
    let refused = answer(request.form(&[("token", token)])).await;
    refused.expect_error(401, "invalid_client");
}

#[tokio::test]
async fn in_07_ms_10_algorithm_and_encryption_are_as_registered() {
    let bank = Bank::open().await;
    let metadata = bank.app("web-app").get("/.well-known/oauth-authorization-server").await.expect(200);
    for (member, value) in [
        ("introspection_signing_alg_values_supported", "ES256"),
        ("introspection_encryption_alg_values_supported", "ECDH-ES"),
        ("introspection_encryption_enc_values_supported", "A256GCM"),
    ] {
        assert!(metadata[member].as_array().unwrap().contains(&json!(value)), "{member}");
    }
    let tokens = tokens_for(&bank, &bank.app("web-app"), "openid accounts:read").await;
    for (kind, alg) in [(EncryptionKeyType::P256, "ECDH-ES"), (EncryptionKeyType::Rsa, "RSA-OAEP-256")] {
        let key = PrivateDecryptionKey::generate(kind).unwrap();
        let directory = testkit::tempdir().unwrap();
        let file = directory.path().join("keys.json");
        std::fs::write(&file, json!({ "keys": [key.public().to_value()] }).to_string()).unwrap();
        bank.declare(&format!(
            "[[resource_server]]\naudience = \"{API}\"\nname = \"Accounts API\"\n\
             [resource_server.introspection]\nid = \"accounts-api\"\n\
             secret = \"accounts-api-secret-0123456789\"\nsigned_response_alg = \"ES256\"\n\
             encrypted_response_alg = \"{alg}\"\nencrypted_response_enc = \"A256GCM\"\n\
             jwks_file = \"{}\"\n",
            file.display()
        ))
        .await
        .unwrap();
        let sealed = ask(&bank, TYPE, tokens.str("access_token")).await.expect(200);
        assert_eq!(sealed.text.split('.').count(), 5);
        let header = header_of(&sealed.text);
        assert_eq!(
            (&header["alg"], &header["enc"], &header["cty"]),
            (&json!(alg), &json!("A256GCM"), &json!("JWT"))
        );
        let opened = decrypt(&sealed.text, &[DecryptionKey::new(&key).unwrap()], &Accepted::ALL).unwrap();
        let inner = String::from_utf8(opened.plain.to_vec()).unwrap();
        let verified = verify(&inner, &keys(&bank).await, &Algorithm::ALL).unwrap();
        assert_eq!(verified.algorithm, Algorithm::Es256);
        assert_eq!(verified.claims.get("token_introspection").unwrap()["active"], true);
    }
    // What can't be done is refused when it is declared.
    for line in [
        "signed_response_alg = \"none\"",
        "encrypted_response_alg = \"ECDH-ES\"",
        "signed_response_alg = \"HS256\"",
    ] {
        let text = format!(
            "[[resource_server]]\naudience = \"{API}\"\nname = \"x\"\n[resource_server.introspection]\n\
             id = \"accounts-api\"\nsecret = \"accounts-api-secret-0123456789\"\n{line}\n"
        );
        assert!(bank.declare(&text).await.is_err(), "{line}");
    }
}

/// Every kind of JWT that this server signs, at the top as much like an access token as it can be.
#[tokio::test]
async fn at_04_in_06_no_other_jwt_of_ours_is_an_access_token() {
    let bank = Bank::open().await;
    let (app, api) = (bank.app("web-app"), bank.api("accounts-api"));
    let tokens = tokens_for(&bank, &app, "openid accounts:read").await;
    let access = claims_of(tokens.str("access_token"));
    let introspected = ask(&bank, TYPE, tokens.str("access_token")).await.expect(200).text;
    let declared = bank.service.declared();
    let key = declared.keyring.signer(Algorithm::Es256).unwrap();
    let mut kinds = vec![
        ("ID token".to_owned(), tokens.str("id_token").to_owned()),
        ("introspection".to_owned(), introspected),
    ];
    // The same claims under every type that we, or others for us, sign.
    for typ in [
        "JWT",
        "logout+jwt",
        "token-introspection+jwt",
        "oauth-authz-req+jwt",
        "oauth-authz-resp+jwt",
        "authorization-grant+jwt",
        "client-authentication+jwt",
        "dpop+jwt",
        "userinfo+jwt",
    ] {
        kinds.push((typ.to_owned(), key.sign(typ, &access).unwrap()));
    }
    for (kind, token) in kinds {
        assert!(!api.is_active(&token).await, "{kind} at introspection");
        app.userinfo(&token).await.expect_error(401, "invalid_token");
        let exchange = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token", &token),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ];
        assert_eq!(app.token(&exchange).await.status, 400, "{kind} at token exchange");
    }
    assert!(api.is_active(tokens.str("access_token")).await);
}
