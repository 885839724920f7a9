use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::{
    client::tests::record,
    profile::tests::{faults, financial},
};

/// A client that obeys `fapi2-message-signing`, and so every rule.
fn strict() -> ClientRecord {
    let mut record = financial();
    record.settings.profile = Some(Profile::Fapi2MessageSigning);
    record
}

fn verdicts(record: &ClientRecord, profile: Profile, verdict: Verdict) -> Vec<Finding> {
    fitness(record, profile).into_iter().filter(|finding| finding.verdict == verdict).collect()
}

/// The rule, what breaks it, and how that is told.
type Broken = (&'static str, fn(&mut ClientRecord), &'static str);

/// What each rule that a registration can break is broken by, and how that is told. Nothing else about the
/// client is wrong.
const BROKEN: &[Broken] = &[
    ("authentication", public, "it is a public client; it must authenticate with private_key_jwt"),
    ("authentication", secret, "it authenticates by client_secret_basic; only private_key_jwt"),
    ("algorithms", id_token, "id_token_signed_response_alg is RS256; only PS256, ES256 and EdDSA will do"),
    ("algorithms", assertions, "token_endpoint_auth_signing_alg is RS256; only PS256"),
    ("algorithms", objects, "request_object_signing_alg is RS256; only PS256"),
    ("algorithms", responses, "authorization_signed_response_alg is RS256; only PS256"),
    ("algorithms", userinfo, "userinfo_signed_response_alg is RS256; only PS256"),
    ("keys", unfit_keys, "jwks: none of its keys can sign with PS256, ES256 or EdDSA"),
    ("response types", hybrid, "response_types has code id_token; only code will do"),
    ("device grant", device, "grant_types has urn:ietf:params:oauth:grant-type:device_code"),
    ("pkce", exempt, "require_pkce is off"),
    ("signed responses", unsigned, "response_modes has no signed one"),
];

/// The rules that only requests show; the checks that read the same values are shown by their own tests.
const DEMANDED: &[&str] =
    &["pkce", "assertion audience", "pushed requests", "bound tokens", "signed requests", "signed responses"];

fn public(record: &mut ClientRecord) {
    record.metadata.token_endpoint_auth_method = Some(AuthMethod::None);
}

fn secret(record: &mut ClientRecord) {
    record.metadata.token_endpoint_auth_method = None;
    let digest = jose::digest::sha256("s3cret");
    record.secrets = vec![crate::client::SecretDigest { digest, expires_at: None }];
}

fn id_token(record: &mut ClientRecord) {
    record.metadata.id_token_signed_response_alg = Some("RS256".into());
}

fn assertions(record: &mut ClientRecord) {
    record.metadata.token_endpoint_auth_signing_alg = Some("RS256".into());
}

fn objects(record: &mut ClientRecord) {
    record.metadata.request_object_signing_alg = Some("RS256".into());
}

fn responses(record: &mut ClientRecord) {
    record.metadata.authorization_signed_response_alg = Some("RS256".into());
}

fn userinfo(record: &mut ClientRecord) {
    record.metadata.userinfo_signed_response_alg = Some("RS256".into());
}

/// The key is good, and for encryption only.
fn unfit_keys(record: &mut ClientRecord) {
    record.metadata.jwks.as_mut().unwrap()["keys"][0]["use"] = json!("enc");
}

fn hybrid(record: &mut ClientRecord) {
    record.metadata.response_types = Some(vec![ResponseType::Code, ResponseType::CodeIdToken]);
}

fn device(record: &mut ClientRecord) {
    record.metadata.grant_types.get_or_insert_default().push(GrantType::DeviceCode);
}

fn exempt(record: &mut ClientRecord) {
    record.settings.require_pkce = false;
}

fn unsigned(record: &mut ClientRecord) {
    record.metadata.response_modes = Some(vec![ResponseMode::Query, ResponseMode::FormPost]);
}

#[test]
fn f2_08_f2_10_f2_18_f2_21_f2_34_ms_05_each_rule_is_broken_by_a_client_that_breaks_just_it() {
    assert_eq!(faults(&strict()), []);
    for (rule, change, says) in BROKEN {
        let mut record = strict();
        change(&mut record);
        // Registration refuses it for this and nothing else, and the report says the same.
        let all = Client::parse(&record).err().unwrap_or_default();
        let [ClientFault::Profile { fault, .. }] = &all[..] else { panic!("{rule}: {all:?}") };
        assert!(fault.to_string().starts_with(says), "{fault}");
        let broken = verdicts(&record, Profile::Fapi2MessageSigning, Verdict::Broken);
        let [finding] = &broken[..] else { panic!("{rule}: {broken:?}") };
        assert_eq!((finding.rule, &finding.text), (*rule, &fault.to_string()));
    }
    for rule in RULES {
        let shown = BROKEN.iter().any(|(broken, ..)| *broken == rule.name) || DEMANDED.contains(&rule.name);
        assert!(shown, "no client fails {} alone", rule.name);
    }
}

#[test]
fn what_only_requests_show_is_told_in_advance() {
    let demanded = |profile| -> Vec<&str> {
        verdicts(&financial(), profile, Verdict::Demanded).iter().map(|finding| finding.rule).collect()
    };
    assert_eq!(demanded(Profile::Fapi2MessageSigning), DEMANDED);
    assert_eq!(demanded(Profile::Fapi2), DEMANDED[..4]);
    assert_eq!(demanded(Profile::General), [""; 0]);
    // Keys that are elsewhere are not looked at.
    let mut remote = financial();
    remote.metadata.jwks = None;
    remote.metadata.jwks_uri = Some("https://app.example/jwks".into());
    let keys = verdicts(&remote, Profile::Fapi2, Verdict::Demanded).remove(0);
    assert_eq!(keys.rule, "keys");
    assert!(keys.text.starts_with("https://app.example/jwks has a key"), "{}", keys.text);
}

#[rstest]
#[case::weak_key(|r: &mut ClientRecord| r.metadata.jwks = Some(weak()), "keys", "jwks: ")]
#[case::plain_redirect(
    |r: &mut ClientRecord| r.metadata.redirect_uris = vec!["http://app.example/cb".into()],
    "redirect URIs",
    "redirect_uris: "
)]
fn f2_24_f2_35_rules_that_hold_for_all_clients_are_reported_too(
    #[case] change: fn(&mut ClientRecord),
    #[case] rule: &str,
    #[case] says: &str,
) {
    let mut record = financial();
    change(&mut record);
    for profile in [Profile::General, Profile::Fapi2] {
        let broken = verdicts(&record, profile, Verdict::Broken);
        let [finding] = &broken[..] else { panic!("{broken:?}") };
        assert!(finding.rule == rule && finding.text.starts_with(says), "{finding:?}");
    }
}

/// An RSA key of 1024 bits.
fn weak() -> Value {
    json!({ "keys": [{ "kty": "RSA", "e": "AQAB", "n": "-".repeat(171) }] })
}

#[test]
fn a_general_client_learns_what_keeps_it_from_a_profile_and_is_not_changed() {
    let record = record();
    let broken = verdicts(&record, Profile::Fapi2, Verdict::Broken);
    assert_eq!(broken.iter().map(|finding| finding.rule).collect::<Vec<_>>(), ["authentication"]);
    assert_eq!(verdicts(&record, Profile::General, Verdict::Broken), []);
}
