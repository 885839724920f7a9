//! `chancery clients check` on the real binary, and the profile that new clients get by themselves.

use jose::Algorithm;
use protocol::client::Profile;
use serde_json::{Value, json};

use crate::{
    bank::Engine,
    dpop_key::REDIRECT,
    rfc7591_registration::{self, partner, register},
    running::{Answered, Installation},
    steps::new_key,
};

/// A bank with one scope that reaches accounts and one that does not.
const BANK: &str = r#"
[[resource_server]]
audience = "https://api.bank.example"
name = "Accounts"

[[scope]]
name = "funds:read"
title = "Funds"
description = "Whether there is enough."
audience = "https://api.bank.example"
financial = true

[[scope]]
name = "weather:read"
title = "Weather"
description = "Whether it rains."
audience = "https://api.bank.example"
"#;

fn installed() -> Installation {
    let bank = Installation::plain(Engine::Sqlite);
    bank.apply(BANK);
    bank
}

/// The report, and that its exit code says the same.
fn report(bank: &Installation, arguments: &[&str]) -> Value {
    let Answered { code, stdout, stderr } = bank.run(&[&["clients", "check", "--json"], arguments].concat());
    let report: Value = serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stdout}{stderr}"));
    assert_eq!(code, Some(if report["fits"] == true { 0 } else { 4 }), "{stdout}");
    report
}

fn broken(report: &Value) -> Vec<&str> {
    let findings = report["findings"].as_array().unwrap().iter();
    findings.filter(|it| it["verdict"] == "broken").map(|it| it["text"].as_str().unwrap()).collect()
}

#[test]
fn f2_08_f2_10_check_says_what_keeps_a_client_from_a_profile_in_words_json_and_exit_code() {
    let bank = installed();
    let general = ["clients", "create", "shop", "--scope", "weather:read", "--redirect-uri", REDIRECT];
    bank.run(&[&general[..], &["--id-token-algorithm", "RS256"]].concat()).expect(0, &[]);
    // By its own profile, it is as it should be.
    let own = report(&bank, &["shop"]);
    assert_eq!((&own["profile"], &own["checked"]), (&json!("general"), &json!("general")));
    assert_eq!(broken(&own), [""; 0]);
    let wanted = report(&bank, &["shop", "--profile", "fapi2"]);
    assert_eq!((&wanted["profile"], &wanted["checked"]), (&json!("general"), &json!("fapi2")));
    let [method, algorithm] = broken(&wanted)[..] else { panic!("{wanted}") };
    assert!(method.starts_with("it authenticates by client_secret_basic"), "{method}");
    assert!(algorithm.starts_with("id_token_signed_response_alg is RS256"), "{algorithm}");
    // The same in words; and what an update to it would be refused for.
    let words = bank.run(&["clients", "check", "shop", "--profile", "fapi2"]);
    words.expect(4, &[]);
    assert!(words.stdout.starts_with("2 things keep client shop from profile fapi2; it has general\n"));
    let update = bank.run(&["clients", "update", "shop", "--profile", "fapi2"]);
    update.expect(2, &[method, algorithm]);
    for text in [method, algorithm, "pushed requests", "bound tokens", "[F2-09"] {
        assert!(words.stdout.contains(text), "{text:?} is not in:\n{}", words.stdout);
    }
    bank.run(&["clients", "check", "nobody"]).expect(3, &["there is no client nobody"]);
    bank.run(&["clients", "check", "shop", "--profile", "gold"]).expect(2, &[]);
}

#[test]
fn f2_08_f2_34_a_new_client_with_a_financial_scope_has_the_profile_unless_somebody_chose() {
    let bank = installed();
    let key = new_key(Algorithm::Es256);
    let jwks = bank.write("jwks.json", &json!({ "keys": [key.public().to_value()] }).to_string());
    let create = |id: &str, more: &[&str]| {
        let common = ["clients", "create", id, "--redirect-uri", REDIRECT];
        bank.run(&[&common[..], more].concat())
    };
    let keys = ["--auth-method", "private_key_jwt", "--jwks-file", jwks.to_str().unwrap()];
    let finance = ["--scope", "openid funds:read"];
    let profile = |id: &str| report(&bank, &[id])["profile"].clone();
    create("bound", &[&keys[..], &finance].concat()).expect(0, &[]);
    assert_eq!(profile("bound"), "fapi2");
    let words = bank.run(&["clients", "check", "bound"]);
    assert!(words.stdout.starts_with("nothing keeps client bound from profile fapi2\n"), "{}", words.stdout);
    // With a secret it can't have it, so somebody must choose.
    create("secret", &finance).expect(2, &["profile fapi2: it authenticates by client_secret_basic"]);
    create("secret", &[&finance[..], &["--profile", "general"]].concat()).expect(0, &[]);
    assert_eq!(profile("secret"), "general");
    create("weather", &["--scope", "weather:read"]).expect(0, &[]);
    create("public", &[&finance[..], &["--auth-method", "none"]].concat()).expect(0, &[]);
    assert_eq!((profile("weather"), profile("public")), (json!("general"), json!("general")));
    // The same by a file.
    let declared = |id: &str, more: &str| {
        format!(
            "[[client]]\nclient_id = \"{id}\"\nscope = \"funds:read\"\nredirect_uris = [\"{REDIRECT}\"]\n\
             token_endpoint_auth_method = \"private_key_jwt\"\njwks_file = \"jwks.json\"\n{more}\n"
        )
    };
    bank.apply(&(declared("applied", "") + &declared("chosen", "profile = \"general\"")));
    assert_eq!((profile("applied"), profile("chosen")), (json!("fapi2"), json!("general")));
    // A client that can't have what it would get is not made, and the report of the other profile says why.
    let message_signing = report(&bank, &["applied", "--profile", "fapi2-message-signing"]);
    assert_eq!(message_signing["fits"], true, "{message_signing}");
    let demanded = message_signing["findings"].as_array().unwrap().iter();
    assert!(demanded.clone().any(|it| it["rule"] == "signed requests" && it["verdict"] == "demanded"));
}

#[tokio::test]
async fn f2_08_f2_10_f2_34_who_registers_itself_for_financial_scopes_has_the_profile() {
    let bank = rfc7591_registration::bank(Engine::Sqlite, true).await;
    let scope = "[[scope]]\nname = \"funds:read\"\ntitle = \"Funds\"\ndescription = \"Enough?\"\n\
                 audience = \"AUDIENCE\"\nfinancial = true";
    let audience = bank.service.declared().catalogue.resource_servers().next().unwrap().audience.clone();
    bank.declare(&scope.replace("AUDIENCE", &audience)).await.unwrap();
    let key = new_key(Algorithm::Es256);
    let wish = |more: Value| {
        let mut wish = partner();
        wish["scope"] = json!("openid funds:read");
        wish.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        wish
    };
    let keys = json!({
        "token_endpoint_auth_method": "private_key_jwt", "jwks": { "keys": [key.public().to_value()] },
    });
    let registered = register(&bank, None, &wish(keys)).await.expect(201);
    assert_eq!(registered["id_token_signed_response_alg"], "ES256", "RS256 is none of the profile");
    let client = bank.service.client(registered.str("client_id")).await.unwrap().unwrap();
    assert_eq!(client.protection.profile, Profile::Fapi2);
    let secret = register(&bank, None, &wish(json!({}))).await;
    secret.expect_error(400, "invalid_client_metadata");
    assert!(secret.text.contains("it authenticates by client_secret_basic"), "{}", secret.text);
    let public = json!({ "token_endpoint_auth_method": "none" });
    // Who can't authenticate can't have the profile, so it gets at no money.
    let refused = register(&bank, None, &wish(public)).await;
    refused.expect_error(400, "invalid_client_metadata");
    assert!(refused.text.contains("funds:read"), "{}", refused.text);
    let modest = json!({ "token_endpoint_auth_method": "none", "scope": null });
    let public = register(&bank, None, &wish(modest)).await.expect(201);
    assert!(!public.str("scope").contains("funds:read"), "{}", public.text);
    let client = bank.service.client(public.str("client_id")).await.unwrap().unwrap();
    assert_eq!(client.protection.profile, Profile::General);
}
