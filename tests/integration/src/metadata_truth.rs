//! Metadata that tells the truth: the discovery document is walked member by member, and each value of each
//! list is tried. What is advertised works; what exists elsewhere in the world and is not advertised is
//! refused. A member that nobody tries fails here, so nothing is advertised that no test knows.

use std::fs;

use flows::{client_documents::DocumentRules, policies::MutualTls};
use jose::{Algorithm, certificate::Authorities};
use serde_json::{Value, json};
use testkit::{Answer, Browser, Departure, RelyingParty, claims_of};
use tokens::registration::HostRule;

use crate::{
    bank::{Bank, Engine},
    rfc7591_registration::{app, register, rules},
    steps::{answer, new_key},
};

/// Members that another test shows, by its name; that it exists is checked.
const ELSEWHERE: &[(&str, &str)] = &[
    ("scopes_supported", "oc_26_every_advertised_value_of_the_authorization_endpoint_works"),
    ("acr_values_supported", "oc_26_every_advertised_value_of_the_authorization_endpoint_works"),
    ("ui_locales_supported", "oc_26_every_advertised_value_of_the_authorization_endpoint_works"),
    ("claims_supported", "oc_26_every_advertised_value_of_the_authorization_endpoint_works"),
    ("introspection_endpoint_auth_methods_supported", WAYS),
    ("introspection_endpoint_auth_signing_alg_values_supported", WAYS),
    ("revocation_endpoint_auth_methods_supported", WAYS),
    ("revocation_endpoint_auth_signing_alg_values_supported", WAYS),
    ("introspection_signing_alg_values_supported", "in_05_in_06_an_answer_is_signed_for_whom_asked"),
    (
        "introspection_encryption_alg_values_supported",
        "in_07_ms_10_algorithm_and_encryption_are_as_registered",
    ),
    (
        "introspection_encryption_enc_values_supported",
        "in_07_ms_10_algorithm_and_encryption_are_as_registered",
    ),
    ("require_pushed_authorization_requests", "par_07_the_server_may_demand_it_of_everybody"),
    ("dpop_signing_alg_values_supported", "dp_10_bcp_23_what_metadata_and_scripts_learn"),
    ("tls_client_certificate_bound_access_tokens", CERTIFICATES),
    ("mtls_endpoint_aliases", CERTIFICATES),
    ("client_id_metadata_document_supported", "dr_10_a_person_lets_a_document_in_and_sees_its_host"),
    ("backchannel_logout_supported", "bl_02_every_ending_tells_exactly_the_clients_of_that_session"),
    (
        "backchannel_logout_session_supported",
        "bl_01_bl_03_oc_35_a_logout_token_names_the_session_of_the_id_token",
    ),
    ("frontchannel_logout_supported", "fl_01_each_client_of_the_session_is_framed_with_iss_and_sid"),
    ("frontchannel_logout_session_supported", "fl_01_each_client_of_the_session_is_framed_with_iss_and_sid"),
];
const CERTIFICATES: &str =
    "mt_06_mt_07_metadata_says_where_certificates_are_asked_for_and_all_of_it_works_there";
const WAYS: &str = "oc_26_every_advertised_way_to_authenticate_and_to_sign_works";

/// Lists whose values are registered as a member of the client, and what else there is in the world.
const REGISTERED_AS: &[(&str, &str, &[&str])] = &[
    ("id_token_signing_alg_values_supported", "id_token_signed_response_alg", SIGNATURES),
    ("userinfo_signing_alg_values_supported", "userinfo_signed_response_alg", SIGNATURES),
    ("authorization_signing_alg_values_supported", "authorization_signed_response_alg", SIGNATURES),
    ("request_object_signing_alg_values_supported", "request_object_signing_alg", SIGNATURES),
    ("token_endpoint_auth_signing_alg_values_supported", "token_endpoint_auth_signing_alg", SIGNATURES),
    ("id_token_encryption_alg_values_supported", "id_token_encrypted_response_alg", KEY_MANAGEMENT),
    ("userinfo_encryption_alg_values_supported", "userinfo_encrypted_response_alg", KEY_MANAGEMENT),
    ("authorization_encryption_alg_values_supported", "authorization_encrypted_response_alg", KEY_MANAGEMENT),
    ("request_object_encryption_alg_values_supported", "request_object_encryption_alg", KEY_MANAGEMENT),
    ("id_token_encryption_enc_values_supported", "id_token_encrypted_response_enc", CONTENT),
    ("userinfo_encryption_enc_values_supported", "userinfo_encrypted_response_enc", CONTENT),
    ("authorization_encryption_enc_values_supported", "authorization_encrypted_response_enc", CONTENT),
    ("request_object_encryption_enc_values_supported", "request_object_encryption_enc", CONTENT),
    ("subject_types_supported", "subject_type", &["public", "pairwise", "ephemeral"]),
    (
        "token_endpoint_auth_methods_supported",
        "token_endpoint_auth_method",
        &[
            "none",
            "client_secret_basic",
            "client_secret_post",
            "client_secret_jwt",
            "private_key_jwt",
            "tls_client_auth",
            "self_signed_tls_client_auth",
        ],
    ),
];
const SIGNATURES: &[&str] = &[
    "none", "HS256", "RS256", "RS384", "RS512", "PS256", "PS512", "ES256", "ES384", "ES512", "ES256K",
    "EdDSA",
];
const KEY_MANAGEMENT: &[&str] = &[
    "RSA1_5",
    "RSA-OAEP",
    "RSA-OAEP-256",
    "ECDH-ES",
    "ECDH-ES+A128KW",
    "ECDH-ES+A256KW",
    "A128KW",
    "A256GCMKW",
    "dir",
    "PBES2-HS256+A128KW",
];
const CONTENT: &[&str] = &["A128CBC-HS256", "A256CBC-HS512", "A128GCM", "A192GCM", "A256GCM"];

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|item| item.as_str().unwrap()).collect()
}

/// Every bit of it switched on, so that every member is there.
async fn whole_bank() -> Bank {
    Bank::with(Engine::Sqlite, |policies| {
        let registration = rules(true);
        let policy = registration.policy("open").unwrap().clone();
        policies.client_documents = Some(DocumentRules { policy, hosts: vec![HostRule::Any] });
        policies.registration = Some(registration);
        let authority = crate::mutual::Authority::new().pem();
        policies.mutual_tls = MutualTls {
            enabled: true,
            alias: Some("https://mtls.bank.example".to_owned()),
            authorities: Authorities::from_pem(authority.as_bytes()).unwrap(),
        };
    })
    .await
}

/// A client for anything, with keys to sign and to encrypt to.
fn wish() -> Value {
    let public = |algorithm: Algorithm, usage: &str| {
        let mut key = new_key(algorithm).public().to_value();
        let members = key.as_object_mut().unwrap();
        members.retain(|name, _| !["alg", "key_ops", "use", "kid"].contains(&name.as_str()));
        members.insert("use".into(), usage.into());
        members.insert("kid".into(), format!("{algorithm}-{usage}").into());
        key
    };
    let keys = [
        public(Algorithm::Rs256, "sig"),
        public(Algorithm::Es256, "sig"),
        public(Algorithm::EdDsa, "sig"),
        public(Algorithm::Rs256, "enc"),
        public(Algorithm::Es256, "enc"),
    ];
    json!({ "redirect_uris": ["https://any.example/cb"], "jwks": { "keys": keys } })
}

/// Everything that came back, wherever it stood: query, form, fragment, or a JWT in one of them.
fn parameters(departure: &Departure) -> Vec<(String, String)> {
    let mut found = departure.parameters.clone();
    if let Some(fragment) = departure.url.fragment() {
        found.extend(url::form_urlencoded::parse(fragment.as_bytes()).into_owned());
    }
    let jwt = found.iter().find(|(name, _)| name == "response").map(|(_, jwt)| claims_of(jwt));
    if let Some(Value::Object(claims)) = jwt {
        found.extend(claims.into_iter().filter_map(|(name, value)| Some((name, value.as_str()?.to_owned()))));
    }
    found
}

/// The error of a request that is fine but for nobody being signed in, or of one that is not.
async fn error_of(app: &RelyingParty, name: &str, value: &str, more: &[(&str, &str)]) -> String {
    let mut attempt = app.attempt("openid").with("prompt", "none").with(name, value);
    for (name, value) in more {
        attempt = attempt.with(name, value);
    }
    let browser = Browser::new();
    let page = browser.open(attempt.url()).await;
    // A form that posts itself where there are scripts.
    let page = match page.form_to_another_site() {
        Some(form) => browser.send(form).await,
        None => page,
    };
    let found = parameters(page.departed());
    found.into_iter().find(|(name, _)| name == "error").unwrap_or_else(|| panic!("{name}={value}")).1
}

#[tokio::test]
async fn oc_26_oc_28_oc_30_every_member_of_the_metadata_is_tried() {
    let bank = whole_bank().await;
    let found = bank.app("web-app").get("/.well-known/openid-configuration").await.expect(200);
    let wish = wish();
    let mut hybrid = wish.clone();
    hybrid["response_types"] = json!(["code", "code id_token"]);
    hybrid["grant_types"] = json!(["authorization_code", "implicit", "refresh_token"]);
    let hybrid = register(&bank, None, &hybrid).await.expect(201);
    let app = app(&bank, &hybrid);
    for (member, value) in found.json.as_object().unwrap() {
        if let Some((_, test)) = ELSEWHERE.iter().find(|(name, _)| name == member) {
            assert!(is_a_test(test), "{member} is shown by {test}, which is no test");
        } else if let Some((_, registered, world)) = REGISTERED_AS.iter().find(|(name, ..)| name == member) {
            lists(&bank, &wish, member, strings(value), registered, world).await;
        } else {
            tried(&bank, &app, &found, member, value).await;
        }
    }
}

/// One member that is neither registered nor shown elsewhere.
#[expect(clippy::too_many_lines, clippy::cognitive_complexity, reason = "one line per member")]
async fn tried(bank: &Bank, app: &RelyingParty, found: &Answer, member: &str, value: &Value) {
    match member {
        "issuer" => assert_eq!(*value, bank.issuer),
        "authorization_endpoint" | "end_session_endpoint" | "jwks_uri" | "check_session_iframe" => {
            let got = answer(app.http().get(value.as_str().unwrap())).await;
            assert!(![404, 405, 500].contains(&got.status), "{member}: {}", got.status);
        }
        _ if member.ends_with("_endpoint") => {
            let got = answer(app.http().post(value.as_str().unwrap()).form(&[("a", "b")])).await;
            assert!((400..500).contains(&got.status) && ![404, 405].contains(&got.status), "{member}");
            let other = answer(app.http().delete(value.as_str().unwrap())).await;
            assert_eq!(other.status, 405, "{member}: the right method matters");
        }
        "response_types_supported" => {
            for kind in ["code", "code id_token", "id_token", "token", "code token", "id_token token", "none"]
            {
                let error = error_of(app, "response_type", kind, &[("nonce", "n")]).await;
                let expected = if strings(value).contains(&kind) {
                    "login_required"
                } else {
                    "unsupported_response_type"
                };
                assert_eq!(error, expected, "{kind}");
            }
            known(member, value, &["code", "code id_token"]);
        }
        "response_modes_supported" => {
            const WORLD: &[&str] = &[
                "query",
                "fragment",
                "form_post",
                "web_message",
                "jwt",
                "query.jwt",
                "fragment.jwt",
                "form_post.jwt",
            ];
            for mode in WORLD {
                let error = error_of(app, "response_mode", mode, &[]).await;
                let expected =
                    if strings(value).contains(mode) { "login_required" } else { "invalid_request" };
                assert_eq!(error, expected, "{mode}");
            }
            known(member, value, WORLD);
        }
        "grant_types_supported" => grants(app, strings(value)).await,
        "code_challenge_methods_supported" => {
            for method in ["S256", "plain", "S512"] {
                let error = error_of(app, "code_challenge_method", method, &[]).await;
                assert_eq!(error == "login_required", strings(value).contains(&method), "{method}: {error}");
            }
            known(member, value, &["S256"]);
        }
        "prompt_values_supported" => {
            for prompt in ["none", "login", "consent", "select_account", "create"] {
                let page = Browser::new().open(app.attempt("openid").with("prompt", prompt).url()).await;
                let refused = page.departure.is_some_and(|left| left.error() == "invalid_request");
                assert_eq!(!refused, strings(value).contains(&prompt), "{prompt}");
            }
            known(member, value, &["none", "login", "consent", "select_account"]);
        }
        "request_parameter_supported" => {
            refused_unless(app, value, "request", "e30.e30.", "request_not_supported").await;
        }
        "request_uri_parameter_supported" => {
            let uri = "https://any.example/request";
            refused_unless(app, value, "request_uri", uri, "request_uri_not_supported").await;
        }
        "require_request_uri_registration" => {
            assert_eq!(found["request_uri_parameter_supported"], true, "it says how");
            let error = error_of(app, "request_uri", "https://any.example/unregistered", &[]).await;
            assert_eq!(*value, json!(error == "invalid_request_uri"), "{error}");
        }
        "claims_parameter_supported" => {
            let error = error_of(app, "claims", "{", &[]).await;
            assert_eq!(*value, json!(error == "invalid_request"), "what is read is read strictly: {error}");
        }
        "authorization_response_iss_parameter_supported" => {
            let page = Browser::new().open(app.attempt("openid").with("prompt", "none").url()).await;
            let iss = page.departed().parameter("iss").map(str::to_owned);
            assert_eq!(*value, json!(iss.is_some_and(|iss| iss == bank.issuer)));
        }
        "claim_types_supported" => known(member, value, &["normal"]),
        "display_values_supported" => {
            for display in strings(value) {
                let page = Browser::new().open(app.attempt("openid").with("display", display).url()).await;
                assert_eq!(page.status, 200, "{display}");
            }
            known(member, value, &["page", "popup", "touch", "wap"]);
        }
        other => {
            panic!("{other} is advertised and nobody tries it: add it here, or a test of it to ELSEWHERE")
        }
    }
}

/// Nothing is advertised that the world above does not have.
fn known(member: &str, value: &Value, world: &[&str]) {
    for one in strings(value) {
        assert!(world.contains(&one), "{member}: {one} is advertised and nobody tries it");
    }
}

/// Each value of the world is registered if it is advertised, and refused if not.
async fn lists(
    bank: &Bank,
    wish: &Value,
    member: &str,
    advertised: Vec<&str>,
    registered: &str,
    world: &[&str],
) {
    for one in &advertised {
        assert!(world.contains(one), "{member}: {one} is advertised and nobody tries it");
    }
    for one in world {
        let mut wish = wish.clone();
        wish[registered] = json!(one);
        // Each of the two means something beside the other only.
        if let Some(both) = registered.strip_suffix("_enc") {
            wish[format!("{both}_alg")] = "RSA-OAEP-256".into();
        } else if world == KEY_MANAGEMENT {
            wish[registered.replace("_alg", "_enc")] = "A256GCM".into();
        }
        if registered == "token_endpoint_auth_signing_alg" {
            wish["token_endpoint_auth_method"] = "private_key_jwt".into();
        }
        if *one == "tls_client_auth" {
            wish["tls_client_auth_san_dns"] = "any.example".into();
        }
        let made = register(bank, None, &wish).await;
        let expected = if advertised.contains(one) { 201 } else { 400 };
        assert_eq!(made.status, expected, "{member}: {registered}={one}: {}", made.text);
        if expected == 201 {
            assert_eq!(made[registered], *one);
        }
    }
}

/// Each grant of the world is known at the token endpoint if it is advertised, and unknown if not.
async fn grants(app: &RelyingParty, advertised: Vec<&str>) {
    const WORLD: &[&str] = &[
        "authorization_code",
        "refresh_token",
        "client_credentials",
        "implicit",
        "password",
        "urn:ietf:params:oauth:grant-type:device_code",
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "urn:ietf:params:oauth:grant-type:saml2-bearer",
        "urn:openid:params:grant-type:ciba",
    ];
    for grant in &advertised {
        assert!(WORLD.contains(grant), "{grant} is advertised and nobody tries it");
    }
    for grant in WORLD {
        let answer = app.token(&[("grant_type", grant)]).await;
        assert!((400..500).contains(&answer.status), "{grant}: {}", answer.status);
        let unknown = answer["error"] == "unsupported_grant_type";
        // `implicit` stands beside `code id_token` in metadata and registrations; it is none at the endpoint.
        assert_eq!(unknown, !advertised.contains(grant) || *grant == "implicit", "{grant}: {}", answer.text);
    }
}

async fn refused_unless(app: &RelyingParty, value: &Value, name: &str, given: &str, error: &str) {
    let got = error_of(app, name, given, &[]).await;
    assert_eq!(*value, json!(got != error), "{name}: {got}");
}

/// Whether some file beside this one has a test of that name.
fn is_a_test(name: &str) -> bool {
    let files = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).unwrap();
    files.map(|file| file.unwrap().path()).filter(|path| path.is_file()).any(|path| {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.contains(&format!("async fn {name}("))
    })
}
