//! ID tokens and userinfo as a client registered them: signed, encrypted, or both (OpenID Connect Core
//! §5.3.2, §16.14).

use jose::{
    DecryptionKey, KeySet, PrivateDecryptionKey,
    jwe::{Accepted, Decrypted, EncryptionKeyType, decrypt},
};
use rstest::rstest;
use serde_json::{Value, json};
use testkit::{Answer, Browser, ClientAuth, RelyingParty, claims_of};

use crate::{
    bank::{Bank, Engine},
    publisher::Publisher,
};

/// A client with an encryption key of its own.
struct Client {
    private: PrivateDecryptionKey,
    key: DecryptionKey,
}

impl Client {
    fn new(key_type: EncryptionKeyType) -> Self {
        let private = PrivateDecryptionKey::generate(key_type).unwrap();
        let key = DecryptionKey::new(&private).unwrap();
        Self { private, key }
    }

    fn jwks(&self) -> Value {
        json!(KeySet::new(vec![self.private.public().clone()]))
    }

    fn open(&self, token: &str) -> Decrypted {
        decrypt(token, std::slice::from_ref(&self.key), &Accepted::ALL).unwrap()
    }

    /// The signed token within.
    fn unwrap(&self, token: &str) -> String {
        let opened = self.open(token);
        assert_eq!(opened.content_type.as_deref(), Some("JWT"), "nested (RFC 7519 §5.2)");
        String::from_utf8(opened.plain.to_vec()).unwrap()
    }

    /// Its declaration.
    fn toml(&self, more: &str) -> String {
        let key = self.jwks()["keys"][0].clone();
        let members: Vec<String> =
            key.as_object().unwrap().iter().map(|(name, value)| format!("{name} = {value}")).collect();
        declaration(&format!("jwks = {{ keys = [{{ {} }}] }}\n{more}", members.join(", ")))
    }
}

fn declaration(more: &str) -> String {
    format!(
        "[[client]]\nclient_id = 'sealed'\ntoken_endpoint_auth_method = 'none'\n\
         redirect_uris = ['https://sealed.example/cb']\nscope = 'openid email profile'\n\
         grant_types = ['authorization_code', 'refresh_token']\n{more}\n"
    )
}

fn party(bank: &Bank) -> RelyingParty {
    RelyingParty::new(&bank.issuer, "sealed", ClientAuth::None, "https://sealed.example/cb")
}

/// Goes all the way to the answer of the token endpoint.
async fn tokens(bank: &Bank) -> Answer {
    let (browser, mut alice, party) = (Browser::new(), bank.person("alice"), party(bank));
    let attempt = party.attempt("openid email");
    let departure = bank.connect(&mut alice, &browser, attempt.url()).await;
    party.redeem(&attempt, &attempt.code(&departure)).await
}

#[rstest]
#[case("RSA-OAEP-256", "A256GCM", EncryptionKeyType::Rsa)]
#[case("ECDH-ES", "A256GCM", EncryptionKeyType::P256)]
#[case("ECDH-ES+A128KW", "A128GCM", EncryptionKeyType::P256)]
#[case("ECDH-ES+A256KW", "A256GCM", EncryptionKeyType::P256)]
#[tokio::test]
async fn oc_02_id_tokens_are_signed_then_encrypted(
    #[case] alg: &str,
    #[case] enc: &str,
    #[case] key_type: EncryptionKeyType,
) {
    let (bank, client) = (Bank::open().await, Client::new(key_type));
    let members =
        format!("id_token_encrypted_response_alg = '{alg}'\nid_token_encrypted_response_enc = '{enc}'");
    bank.declare(&client.toml(&members)).await.unwrap();
    let answer = tokens(&bank).await.expect(200);
    let token = answer.str("id_token");
    let opened = client.open(token);
    assert_eq!(opened.encryption.key_management.as_str(), alg);
    assert_eq!(opened.encryption.content.as_str(), enc);
    let inner = client.unwrap(token);
    let claims = claims_of(&inner);
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!(bank.issuer), &json!("sealed")));
    // The signature within is ours, and the access token is not encrypted: it is for the APIs.
    let keys = party(&bank).get("/jwks").await.expect(200);
    let keys = KeySet::from_slice(keys.text.as_bytes()).unwrap();
    assert!(jose::verify_id_token_hint(&inner, &keys, &bank.issuer).is_ok());
    assert_eq!(answer.str("access_token").split('.').count(), 3);
    // A refreshed one as well.
    let renewed = party(&bank).refresh(answer.str("refresh_token")).await.expect(200);
    assert_eq!(claims_of(&client.unwrap(renewed.str("id_token")))["sub"], claims["sub"]);
}

#[tokio::test]
async fn oc_20_userinfo_is_signed_as_the_client_registered() {
    let bank = Bank::open().await;
    bank.declare(&declaration("userinfo_signed_response_alg = 'ES256'")).await.unwrap();
    let answer = tokens(&bank).await.expect(200);
    let userinfo = party(&bank).userinfo(answer.str("access_token")).await.expect(200);
    assert_eq!(userinfo.header("content-type"), Some("application/jwt"));
    let claims = claims_of(&userinfo.text);
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!(bank.issuer), &json!("sealed")));
    assert_eq!(claims["sub"], claims_of(answer.str("id_token"))["sub"]);
    assert_eq!(claims["email"], "alice@bank.example");
    // It is no ID token, although we signed it.
    let keys = party(&bank).get("/jwks").await.expect(200);
    let keys = KeySet::from_slice(keys.text.as_bytes()).unwrap();
    let verified = jose::verify(&userinfo.text, &keys, &jose::Algorithm::ALL).unwrap();
    assert_eq!(verified.algorithm, jose::Algorithm::Es256);
    assert!(jose::verify_id_token_hint(&userinfo.text, &keys, &bank.issuer).is_err());
    // Others still get JSON.
    let (browser, mut alice, app) = (Browser::new(), bank.person("alice"), bank.app("web-app"));
    let attempt = app.attempt("openid");
    let departure = bank.connect(&mut alice, &browser, attempt.url()).await;
    let plain = app.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
    let plain = app.userinfo(plain.str("access_token")).await.expect(200);
    assert_eq!(plain.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn oc_20_userinfo_is_encrypted_with_or_without_a_signature() {
    let (bank, client) = (Bank::open().await, Client::new(EncryptionKeyType::P256));
    let encrypted =
        "userinfo_encrypted_response_alg = 'ECDH-ES+A256KW'\nuserinfo_encrypted_response_enc = 'A256GCM'\n";
    bank.declare(&client.toml(encrypted)).await.unwrap();
    let answer = tokens(&bank).await.expect(200);
    let userinfo = party(&bank).userinfo(answer.str("access_token")).await.expect(200);
    assert_eq!(userinfo.header("content-type"), Some("application/jwt"));
    let opened = client.open(&userinfo.text);
    let claims: Value = serde_json::from_slice(&opened.plain).unwrap();
    assert_eq!((&claims["email"], opened.content_type), (&json!("alice@bank.example"), None));
    // Signed and encrypted.
    let both = client.toml(&format!("{encrypted}userinfo_signed_response_alg = 'RS256'"));
    bank.declare(&both).await.unwrap();
    let userinfo = party(&bank).userinfo(answer.str("access_token")).await.expect(200);
    assert_eq!(claims_of(&client.unwrap(&userinfo.text))["aud"], "sealed");
}

#[tokio::test]
async fn an_unusable_key_is_refused_where_it_is_registered() {
    let (bank, client) = (Bank::open().await, Client::new(EncryptionKeyType::P256));
    let pair = |alg: &str, enc: &str| {
        format!("id_token_encrypted_response_alg = '{alg}'\nid_token_encrypted_response_enc = '{enc}'")
    };
    for (declared, words) in [
        (declaration(&pair("ECDH-ES", "A256GCM")), "no key that ECDH-ES could encrypt to"),
        (client.toml(&pair("RSA-OAEP-256", "A256GCM")), "no key that RSA-OAEP-256 could encrypt to"),
        (client.toml(&pair("RSA1_5", "A256GCM")), "RSA1_5 is not a supported algorithm"),
        (client.toml(&pair("ECDH-ES", "A128CBC-HS256")), "A128CBC-HS256 is not a supported algorithm"),
        (client.toml("id_token_encrypted_response_alg = 'ECDH-ES'"), "id_token_encrypted_response_enc"),
        (client.toml("userinfo_signed_response_alg = 'none'"), "none is not a supported algorithm"),
        (
            client.toml("userinfo_signed_response_alg = 'EdDSA'"),
            "userinfo_signed_response_alg: EdDSA is not among keys.algorithms",
        ),
        (
            client.toml("authorization_signed_response_alg = 'EdDSA'"),
            "authorization_signed_response_alg: EdDSA is not among keys.algorithms",
        ),
    ] {
        let refused = bank.declare(&declared).await.unwrap_err();
        assert!(refused.contains(words), "{refused}");
    }
}

/// The key is fetched; when there is none, nothing leaves readable, and the code can be used once there is.
#[tokio::test]
async fn without_a_key_nothing_is_sent_readable() {
    let (publisher, client) = (Publisher::open().await, Client::new(EncryptionKeyType::P256));
    let policy = publisher.policy();
    let bank = Bank::with(Engine::Sqlite, |policies| policies.outbound = policy).await;
    let more = format!(
        "jwks_uri = '{}'\nid_token_encrypted_response_alg = 'ECDH-ES'\n\
         id_token_encrypted_response_enc = 'A256GCM'\nuserinfo_encrypted_response_alg = 'ECDH-ES'\n\
         userinfo_encrypted_response_enc = 'A256GCM'",
        publisher.url("/jwks")
    );
    bank.declare(&declaration(&more)).await.unwrap();
    publisher.publish("/jwks", &json!({"keys": []}));
    let (browser, mut alice, party) = (Browser::new(), bank.person("alice"), party(&bank));
    let attempt = party.attempt("openid email");
    let departure = bank.connect(&mut alice, &browser, attempt.url()).await;
    let code = attempt.code(&departure);
    let refused = party.redeem(&attempt, &code).await;
    refused.expect_error(400, "invalid_request");
    assert!(!refused.text.contains("eyJ") && !refused.text.contains("alice"), "{}", refused.text);
    assert_eq!(bank.audited(audit::EventKind::TokenRefused).await, 1);
    // The client publishes its key; the code was not used up.
    publisher.publish("/jwks", &client.jwks());
    bank.advance(chrono::TimeDelta::seconds(45));
    let answer = party.redeem(&attempt, &code).await.expect(200);
    assert_eq!(claims_of(&client.unwrap(answer.str("id_token")))["aud"], "sealed");
    let userinfo = party.userinfo(answer.str("access_token")).await.expect(200);
    assert!(String::from_utf8_lossy(&client.open(&userinfo.text).plain).contains("alice@bank.example"));
}

#[tokio::test]
async fn oc_26_metadata_names_the_algorithms_that_can_be_registered() {
    let bank = Bank::open().await;
    let metadata = bank.app("web-app").get("/.well-known/openid-configuration").await.expect(200);
    for of in ["id_token", "userinfo"] {
        let algs = &metadata[&*format!("{of}_encryption_alg_values_supported")];
        assert_eq!(*algs, json!(["RSA-OAEP-256", "ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A256KW"]));
        let encs = &metadata[&*format!("{of}_encryption_enc_values_supported")];
        assert_eq!(*encs, json!(["A256GCM", "A128GCM"]));
    }
    let signing = &metadata["userinfo_signing_alg_values_supported"];
    assert_eq!(*signing, metadata["id_token_signing_alg_values_supported"]);
    assert_eq!(metadata["subject_types_supported"], json!(["public", "pairwise"]));
}
