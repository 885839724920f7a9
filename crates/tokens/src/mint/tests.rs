use std::sync::{LazyLock, OnceLock};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jose::{Algorithm, OwnTokenFault, Verified, verify_access_token, verify_id_token_hint};
use keys::{KeyEncryptionKey, Sealer, SigningKeyRecord};
use protocol::{
    client::{AuthMethod, GrantType},
    token::ClientCredentialsRequest,
};
use rstest::rstest;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::*;
use crate::{
    checks::tests::{BANK, CARDS, VAULT, catalogue},
    client::tests::{client, confidential},
    credentials_grant::client_credentials,
    grant::{
        GrantLine,
        tests::{line, now},
    },
};

mod authorization;

const ISSUER: &str = "https://as.example";
const ENTROPY: TokenEntropy = TokenEntropy { id: TokenId(Uuid::from_u128(8)), value: [9; 32] };

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(catalogue);
static POLICY: LazyLock<TokenPolicy> = LazyLock::new(TokenPolicy::default);

/// Real keys; made once, because those of RSA take long.
fn keyring() -> &'static Keyring {
    static KEYRING: OnceLock<Keyring> = OnceLock::new();
    KEYRING.get_or_init(|| {
        let sealer = Sealer::new(&KeyEncryptionKey::from_bytes([3; 32]), &[]);
        let key = |algorithm| SigningKeyRecord::generate(algorithm, now(), &sealer, [1; 12], now()).unwrap();
        let records = [Algorithm::Es256, Algorithm::Rs256, Algorithm::EdDsa].map(key);
        Keyring::build(&records, &sealer, now()).unwrap()
    })
}

fn mint() -> Mint<'static> {
    let subjects = SubjectKey::for_tests();
    Mint { issuer: ISSUER, keyring: keyring(), catalogue: &CATALOGUE, policy: &POLICY, subjects }
}

fn live(change: impl FnOnce(&mut GrantLine)) -> LiveGrant {
    let mut line = line();
    change(&mut line);
    line.live(&CATALOGUE, now()).unwrap()
}

/// The target of a grant of `scope` that is for `audience`.
fn target(scope: &str, audience: &[&str]) -> TokenTarget {
    let audience: Vec<String> = audience.iter().map(|&audience| audience.to_owned()).collect();
    consent::narrow(&scope.parse().unwrap(), &audience, &[], &CATALOGUE).unwrap()
}

fn minted_for(client: Client, live: &LiveGrant, target: &TokenTarget) -> MintedToken {
    let (sender, code) = (Sender::for_tests(client), RedeemableCode::for_tests(live.clone()));
    mint().access_token(&sender, Authority::Code(&code), target, ENTROPY, now()).unwrap()
}

fn minted(live: &LiveGrant, target: &TokenTarget) -> MintedToken {
    minted_for(client(), live, target)
}

fn verified(token: &str) -> Verified {
    verify_access_token(token, keyring().verification_keys(), ISSUER, now()).unwrap()
}

fn says(verified: Verified) -> Value {
    Value::Object(verified.claims.into_map())
}

/// An access token of that scope with the value of OpenID Connect Core, appendix A.3.
fn beside(scope: &str) -> MintedToken {
    let token = AccessToken::new("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y");
    MintedToken { token, ..minted(&live(|_| ()), &target(scope, &[BANK])) }
}

/// An ID token of `client` beside the access token `at`.
fn id_token(client: Client, nonce: Option<&str>, at: DateTime<Utc>) -> Verified {
    let client = AuthenticatedClient::for_tests(client);
    let envelope =
        mint().id_token(&client, &live(|_| ()), &beside("openid"), nonce, &Map::new(), at).unwrap().unwrap();
    let token = envelope.sealed(None).unwrap();
    verify_id_token_hint(&token, keyring().verification_keys(), ISSUER).unwrap()
}

#[test]
fn at_01_a_jwt_access_token_has_its_own_type_and_an_asymmetric_signature() {
    let minted = minted(&live(|_| ()), &target("openid accounts:read", &[BANK]));
    let verified = verified(minted.token.expose());
    assert_eq!(verified.typ.as_deref(), Some("at+jwt"));
    assert_eq!(verified.algorithm, Algorithm::Es256);
    assert_eq!(verified.kid.as_deref(), keyring().signer(Algorithm::Es256).map(|key| key.kid()));
    assert!(minted.record.is_none(), "a JWT leaves no row");
}

#[test]
fn at_02_a_persons_access_token_says_all_and_no_more() {
    let minted = minted(&live(|_| ()), &target("openid accounts:read", &[BANK]));
    let expected = json!({
        "iss": ISSUER,
        "sub": "00000000-0000-0000-0000-000000000003",
        "aud": [BANK, ISSUER],
        "client_id": "app",
        "jti": "00000000-0000-0000-0000-000000000008",
        "iat": now().timestamp(),
        "exp": now().timestamp() + 300,
        "scope": "accounts:read openid",
        "grant_id": "00000000-0000-0000-0000-000000000001",
        "auth_time": now().timestamp(),
        "acr": "urn:openbanking:psd2:ca",
        "amr": ["pwd"],
        "roles": ["account-viewer"],
    });
    assert_eq!(says(verified(minted.token.expose())), expected);
    let read: AccessTokenClaims = serde_json::from_value(expected).unwrap();
    assert_eq!(read, minted.claims, "what was written can be read");
    assert_eq!(minted.expires_in(), 300);
}

#[test]
fn at_02_cc_01_a_clients_own_access_token_is_about_no_person() {
    let mut client = confidential(AuthMethod::ClientSecretBasic);
    client.grant_types.insert(GrantType::ClientCredentials);
    let client = AuthenticatedClient::for_tests(client);
    let request = ClientCredentialsRequest { scope: None, resources: Vec::new(), details: None };
    let grant = client_credentials(&client, &request, &CATALOGUE).unwrap();
    let sender = Sender::constrain(client, None, Ok(None)).unwrap();
    let minted =
        mint().access_token(&sender, Authority::Client(&grant), grant.target(), ENTROPY, now()).unwrap();
    let expected = json!({
        "iss": ISSUER,
        "sub": "app",
        "aud": BANK,
        "client_id": "app",
        "jti": "00000000-0000-0000-0000-000000000008",
        "iat": now().timestamp(),
        "exp": now().timestamp() + 300,
        "scope": "accounts:read",
        "roles": ["account-viewer"],
    });
    assert_eq!(says(verified(minted.token.expose())), expected);
}

#[rstest]
#[case::resource_alone("accounts:read", &[BANK], json!(BANK))]
#[case::resource_and_userinfo("openid accounts:read", &[BANK], json!([BANK, ISSUER]))]
#[case::userinfo_alone("openid profile", &[], json!(ISSUER))]
#[case::nothing_else("profile", &[], json!(ISSUER))]
fn at_03_bcp_10_the_audience(#[case] scope: &str, #[case] audience: &[&str], #[case] expected: Value) {
    let minted = minted(&live(|_| ()), &target(scope, audience));
    assert_eq!(says(verified(minted.token.expose()))["aud"], expected);
}

#[rstest]
#[case::of_the_scope("accounts:read", BANK, &["account-viewer", "payment-initiator"], &["account-viewer"])]
#[case::of_every_scope("accounts:read payments:write", BANK, &["account-viewer", "payment-initiator"], &["account-viewer", "payment-initiator"])]
#[case::only_held("accounts:read payments:write", BANK, &["payment-initiator", "teller"], &["payment-initiator"])]
#[case::none_held("accounts:read payments:write", BANK, &[], &[])]
#[case::of_its_audience("cards:read", CARDS, &["account-viewer", "card-viewer"], &["card-viewer"])]
#[case::of_no_scope("openid", BANK, &["account-viewer"], &[])]
fn roles_are_those_of_scope_audience_and_person(
    #[case] scope: &str,
    #[case] audience: &str,
    #[case] held: &[&str],
    #[case] expected: &[&str],
) {
    let live = live(|line| line.user_roles = held.iter().map(|&role| role.to_owned()).collect());
    assert_eq!(minted(&live, &target(scope, &[audience])).claims.roles, expected);
}

#[test]
fn roles_of_another_audience_never_reach_a_token() {
    let live = live(|line| {
        line.user_roles = vec!["account-viewer".into(), "card-viewer".into()];
    });
    // Even if the scope were not cut to the audience.
    let uncut =
        TokenTarget { audience: Some(CARDS.into()), scope: "accounts:read cards:read".parse().unwrap() };
    assert_eq!(minted(&live, &uncut).claims.roles, ["card-viewer"]);
    let userinfo = TokenTarget { audience: None, ..uncut };
    assert!(minted(&live, &userinfo).claims.roles.is_empty());
}

#[rstest]
#[case::default_lifetime("accounts:read", BANK, 300)]
#[case::the_resource_servers_own("cards:read", CARDS, 600)]
fn an_access_token_lives_as_long_as_its_resource_server_says(
    #[case] scope: &str,
    #[case] audience: &str,
    #[case] seconds: i64,
) {
    assert_eq!(minted(&live(|_| ()), &target(scope, &[audience])).expires_in(), seconds);
}

#[rstest]
#[case::consent(|l: &mut GrantLine| l.consent_expires_at = Some(now() + Duration::seconds(42)))]
#[case::session(|l: &mut GrantLine| l.session_expires_at = Some(now() + Duration::seconds(42)))]
#[case::grant(|l: &mut GrantLine| l.grant.expires_at = now() + Duration::seconds(42))]
#[case::in_the_middle_of_a_second(|l: &mut GrantLine| {
    l.consent_expires_at = Some(now() + Duration::milliseconds(42_999));
})]
fn no_access_token_outlives_what_stands_above_it(#[case] change: fn(&mut GrantLine)) {
    let minted = minted(&live(change), &target("accounts:read", &[BANK]));
    assert_eq!(minted.claims.exp, now().timestamp() + 42);
    let opaque = minted_for(client(), &live(change), &target("vault:read", &[VAULT]));
    assert_eq!(opaque.claims.exp, now().timestamp() + 42);
    assert!(opaque.record.unwrap().expires_at <= now() + Duration::milliseconds(42_999));
}

#[rstest]
#[case::nobody_cares(None, "accounts:read", BANK, false)]
#[case::the_client(Some(TokenFormat::Opaque), "accounts:read", BANK, true)]
#[case::the_resource_server(None, "vault:read", VAULT, true)]
#[case::the_resource_server_prevails(Some(TokenFormat::Jwt), "vault:read", VAULT, true)]
fn opaque_by_the_choice_of_either_side(
    #[case] clients: Option<TokenFormat>,
    #[case] scope: &str,
    #[case] audience: &str,
    #[case] opaque: bool,
) {
    let mut client = client();
    client.settings.access_token_format = clients;
    let minted = minted_for(client, &live(|_| ()), &target(scope, &[audience]));
    assert_eq!(minted.record.is_some(), opaque);
    assert_eq!(minted.token.expose().contains('.'), !opaque);
}

#[test]
fn at_02_the_row_of_an_opaque_token_holds_what_a_jwt_would_say() {
    let mut opaque = client();
    opaque.settings.access_token_format = Some(TokenFormat::Opaque);
    let target = target("openid accounts:read", &[BANK]);
    let minted_opaque = minted_for(opaque, &live(|_| ()), &target);
    let record = minted_opaque.record.unwrap();
    assert_eq!(record.digest, sha256(minted_opaque.token.expose()), "only the digest is stored");
    assert_eq!(record.claims, minted(&live(|_| ()), &target).claims);
    assert_eq!((record.id, record.grant), (ENTROPY.id, Some(line().grant.id)));
    assert_eq!((record.issued_at, record.revoked_at), (now(), None));
    assert_eq!(record.expires_at.timestamp(), record.claims.exp);
    assert_eq!(record.client.as_str(), "app");
}

#[test]
fn without_an_active_key_nothing_is_made() {
    let sealer = Sealer::new(&KeyEncryptionKey::from_bytes([3; 32]), &[]);
    let keyring = Keyring::build(&[], &sealer, now()).unwrap();
    let mint = Mint { keyring: &keyring, ..mint() };
    let (sender, client) = (Sender::for_tests(client()), AuthenticatedClient::for_tests(client()));
    let live = live(|_| ());
    let code = RedeemableCode::for_tests(live.clone());
    let target = target("accounts:read", &[BANK]);
    let access = mint.access_token(&sender, Authority::Code(&code), &target, ENTROPY, now());
    assert!(matches!(access, Err(MintFault::NoKey(Algorithm::Es256))));
    let id = mint.id_token(&client, &live, &beside("openid"), None, &Map::new(), now());
    assert!(matches!(id, Err(MintFault::NoKey(Algorithm::Rs256))));
}

#[test]
fn oc_02_oc_03_oc_30_oc_35_an_id_token_says_all_and_no_more() {
    let verified = id_token(client(), Some("n-0S6_WzA2Mj"), now());
    assert_eq!(verified.typ.as_deref(), Some("JWT"));
    assert!(verified.kid.is_some());
    // Neither roles nor scopes nor anything about the person that was not asked for (OC-17).
    let expected = json!({
        "iss": ISSUER,
        "sub": "00000000-0000-0000-0000-000000000003",
        "aud": "app",
        "exp": now().timestamp() + 300,
        "iat": now().timestamp(),
        "auth_time": now().timestamp(),
        "acr": "urn:openbanking:psd2:ca",
        "amr": ["pwd"],
        "sid": "00000000-0000-0000-0000-000000000004",
        // The example of OpenID Connect Core, appendix A.3.
        "at_hash": "77QmUPtjPfzWtF2AnpK9RQ",
        "nonce": "n-0S6_WzA2Mj",
    });
    assert_eq!(says(verified), expected);
}

#[test]
fn oc_30_oc_35_a_client_that_hears_of_no_logout_learns_no_sid() {
    let client = Client { post_logout_redirect_uris: Vec::new(), ..client() };
    assert!(says(id_token(client, None, now())).get("sid").is_none());
}

#[test]
fn oc_10_without_openid_in_the_access_token_there_is_no_id_token() {
    let client = AuthenticatedClient::for_tests(client());
    // The grant has `openid`; the refresh was narrowed.
    let live = live(|_| ());
    assert!(live.grant().scope.contains("openid"));
    let beside = |scope: &str| {
        mint().id_token(&client, &live, &beside(scope), None, &Map::new(), now()).unwrap().is_some()
    };
    assert!(!beside("accounts:read"));
    assert!(beside("openid accounts:read"));
}

#[test]
fn oc_14_an_id_token_of_a_refresh_keeps_who_and_when_and_has_no_nonce() {
    let first = says(id_token(client(), Some("n"), now()));
    let later = says(id_token(client(), None, now() + Duration::seconds(100)));
    for kept in ["iss", "sub", "aud", "auth_time", "sid", "acr"] {
        assert_eq!(first[kept], later[kept], "{kept}");
    }
    assert_eq!(later["iat"], now().timestamp() + 100);
    assert!(later.get("nonce").is_none());
}

#[rstest]
#[case::default_algorithm(None, Algorithm::Rs256)]
#[case::registered(Some(Algorithm::Es256), Algorithm::Es256)]
#[case::sha_512(Some(Algorithm::EdDsa), Algorithm::EdDsa)]
fn oc_01_id_tokens_are_signed_as_the_client_registered(
    #[case] registered: Option<Algorithm>,
    #[case] expected: Algorithm,
) {
    let mut client = client();
    client.id_token_algorithm = registered.unwrap_or(client.id_token_algorithm);
    let verified = id_token(client, None, now());
    assert_eq!(verified.algorithm, expected);
    let half = if expected == Algorithm::EdDsa { 32 } else { 16 };
    let at_hash = says(verified)["at_hash"].as_str().map(str::to_owned).unwrap();
    assert_eq!(URL_SAFE_NO_PAD.decode(at_hash).unwrap().len(), half);
}

#[test]
fn at_04_neither_kind_of_token_passes_for_the_other() {
    let client = AuthenticatedClient::for_tests(client());
    let live = live(|_| ());
    let id = mint().id_token(&client, &live, &beside("openid"), None, &Map::new(), now()).unwrap().unwrap();
    let id = id.sealed(None).unwrap();
    let keys = keyring().verification_keys();
    assert!(matches!(verify_access_token(&id, keys, ISSUER, now()), Err(OwnTokenFault::Type)));
    let access = minted(&live, &target("openid", &[])).token;
    assert!(matches!(verify_id_token_hint(access.expose(), keys, ISSUER), Err(OwnTokenFault::Type)));
}
