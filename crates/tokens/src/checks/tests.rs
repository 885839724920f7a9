use std::collections::BTreeSet;

use consent::{DetailTypeDefinition, IntrospectionCredential, ResourceServer, ScopeDefinition};
use jose::digest::sha256;
use proptest::prelude::*;
use protocol::{
    acr::Acr,
    authorization::Addressee,
    claims_request::ClaimsRequest,
    client::{AuthMethod, GrantType, ResponseType, TokenFormat},
    params::Params,
};
use rstest::rstest;
use uuid::Uuid;

// No glob: the check named `core` would hide the crate of that name from macros.
use super::{
    Arc, AudienceFault, AuthorizationFault, AuthorizationRequest, CHECKS, Catalogue, Client, Draft, Duration,
    Hint, Scope, UserId, ValidatedAuthorization, VerifiedRedirect,
};
use crate::client::tests::{client, confidential, record};

/// Takes JWTs and introspects as `bank-api`.
pub(crate) const BANK: &str = "https://bank.example/api";
/// Takes JWTs that live ten minutes, and introspects as `cards-api`.
pub(crate) const CARDS: &str = "https://cards.example/api";
/// Takes opaque tokens.
pub(crate) const VAULT: &str = "https://vault.example/api";

const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn server(audience: &str, id: &str) -> ResourceServer {
    ResourceServer {
        audience: audience.to_owned(),
        name: id.to_owned(),
        token_format: TokenFormat::Jwt,
        introspection: Some(IntrospectionCredential {
            id: id.parse().unwrap(),
            secret: sha256(format!("secret of {id}")),
            former: None,
            answer: consent::IntrospectionAnswer::default(),
        }),
        access_token_lifetime: None,
    }
}

fn define(name: &str, audience: &str, roles: &[&str]) -> ScopeDefinition {
    ScopeDefinition {
        name: name.parse().unwrap(),
        title: name.to_owned(),
        description: name.to_owned(),
        audience: Some(audience.to_owned()),
        roles: roles.iter().map(|role| role.parse().unwrap()).collect(),
        sensitive: false,
        financial: false,
        second_factor_required: false,
        max_lifetime: None,
        translations: std::collections::BTreeMap::new(),
    }
}

/// Three resource servers; `payments:write` takes two factors.
pub(crate) fn catalogue() -> Catalogue {
    let payments = ScopeDefinition {
        second_factor_required: true,
        ..define("payments:write", BANK, &["account-viewer", "payment-initiator"])
    };
    let scopes = [
        define("accounts:read", BANK, &["account-viewer"]),
        payments,
        define("cards:read", CARDS, &["card-viewer"]),
        define("vault:read", VAULT, &[]),
    ];
    let cards = ResourceServer { access_token_lifetime: Some(600), ..server(CARDS, "cards-api") };
    let vault = ResourceServer { token_format: TokenFormat::Opaque, ..server(VAULT, "vault-api") };
    let types = [("account_information", vec![BANK]), ("payment_initiation", vec![BANK, CARDS])];
    let types = types.map(|(name, locations)| DetailTypeDefinition {
        name: name.to_owned(),
        title: name.to_owned(),
        description: String::new(),
        locations: locations.into_iter().map(str::to_owned).collect(),
        roles: [].into(),
        always_ask: false,
        financial: false,
        second_factor_required: name == "payment_initiation",
        client_credentials: false,
        schema: None,
        translations: std::collections::BTreeMap::new(),
    });
    let catalogue = Catalogue::new(scopes, [server(BANK, "bank-api"), cards, vault]).unwrap();
    catalogue.with_detail_types(types).unwrap()
}

/// `client`, registered for every scope there is.
pub(crate) fn trusted(mut client: Client) -> Client {
    client.scope = catalogue().supported().cloned().collect();
    client
}

/// A right request of the client `app` for its accounts.
pub(crate) fn request() -> AuthorizationRequest {
    let query = format!(
        "client_id=app&redirect_uri=https://app.example/cb&response_type=code&state=s&nonce=n\
         &scope=openid+accounts:read&code_challenge={CHALLENGE}&code_challenge_method=S256"
    );
    AuthorizationRequest::parse(&Params::parse(query.as_bytes()).unwrap()).unwrap()
}

pub(crate) fn validate(
    client: Client,
    request: AuthorizationRequest,
    hint: Hint,
) -> Result<ValidatedAuthorization, AuthorizationFault> {
    let redirect = verified(&request, &client);
    ValidatedAuthorization::validate(request, Arc::new(client), redirect, hint, &catalogue())
}

fn verified(request: &AuthorizationRequest, client: &Client) -> VerifiedRedirect {
    let addressee = Addressee {
        client_id: Some(&request.client_id),
        redirect_uri: request.redirect_uri.as_deref(),
        state: request.state.as_deref(),
        response_mode: request.response_mode,
        front_channel: request.response_type.has_id_token(),
        ui_locales: None,
    };
    VerifiedRedirect::verify(&addressee, client).unwrap()
}

/// [`request`] with a change, of a client that may ask for everything.
pub(crate) fn validated(change: impl FnOnce(&mut AuthorizationRequest)) -> ValidatedAuthorization {
    let mut request = request();
    change(&mut request);
    validate(trusted(client()), request, Hint::Absent).unwrap()
}

fn scoped(client: Client, scope: &str) -> Result<ValidatedAuthorization, AuthorizationFault> {
    validate(client, AuthorizationRequest { scope: Some(scope.parse().unwrap()), ..request() }, Hint::Absent)
}

fn scope_of(
    result: Result<ValidatedAuthorization, AuthorizationFault>,
) -> Result<String, AuthorizationFault> {
    result.map(|validated| validated.scope().to_string())
}

#[test]
fn every_check_has_its_own_name_and_its_source() {
    let names: BTreeSet<_> = CHECKS.iter().map(|check| check.name).collect();
    assert_eq!(names.len(), CHECKS.len());
    for check in CHECKS {
        assert!(!check.name.trim().is_empty() && !check.cites.trim().is_empty(), "{}", check.name);
    }
}

#[test]
fn a_right_request_passes_and_keeps_what_it_said() {
    let user = UserId(Uuid::from_u128(3));
    let validated = validate(client(), request(), Hint::Subject(user)).unwrap();
    assert_eq!(*validated.request(), request());
    assert_eq!(validated.scope().to_string(), "accounts:read openid");
    assert_eq!(validated.audience(), [BANK]);
    assert!(validated.is_meant_for(user, "me"));
    assert!(!validated.is_meant_for(UserId(Uuid::from_u128(4)), "me"));
    assert_eq!(validated.redirect().uri(), "https://app.example/cb");
    assert_eq!(validated.client().id.as_str(), "app");
}

#[test]
fn a_client_without_the_code_flow_is_refused() {
    let mut client = client();
    client.grant_types.remove(&GrantType::AuthorizationCode);
    let refused = validate(client, request(), Hint::Absent).unwrap_err();
    assert_eq!(refused, AuthorizationFault::CodeFlowNotAllowed);
}

#[rstest]
#[case::public(client())]
#[case::confidential(confidential(AuthMethod::ClientSecretBasic))]
fn bcp_04_a_challenge_is_compulsory(#[case] client: Client) {
    let request = AuthorizationRequest { code_challenge: None, ..request() };
    assert_eq!(validate(client, request, Hint::Absent).unwrap_err(), AuthorizationFault::ChallengeMissing);
}

#[test]
fn bcp_04_no_setting_exempts_a_public_client() {
    // Registration refuses this client; the check does not rely on it.
    let mut client = client();
    client.settings.require_pkce = false;
    let request = AuthorizationRequest { code_challenge: None, ..request() };
    assert_eq!(validate(client, request, Hint::Absent).unwrap_err(), AuthorizationFault::ChallengeMissing);
}

#[test]
fn o21_01_only_registration_exempts_a_confidential_client_never_a_nonce() {
    let bare = AuthorizationRequest { code_challenge: None, ..request() };
    assert!(bare.nonce.is_some());
    let mut client = confidential(AuthMethod::ClientSecretBasic);
    let refused = validate(client.clone(), bare.clone(), Hint::Absent).unwrap_err();
    assert_eq!(refused, AuthorizationFault::ChallengeMissing);
    client.settings.require_pkce = false;
    assert!(validate(client.clone(), bare, Hint::Absent).is_ok());
    let kept = validate(client, request(), Hint::Absent).unwrap();
    assert!(kept.request().code_challenge.is_some(), "an exempt client may use PKCE all the same");
}

#[test]
fn f2_17_unknown_scopes_are_ignored() {
    assert_eq!(scope_of(scoped(client(), "openid accounts:read gold")), Ok("accounts:read openid".into()));
}

#[test]
fn f2_17_a_known_scope_that_is_not_registered_is_refused() {
    let refused = scoped(client(), "openid accounts:read payments:write email").unwrap_err();
    assert_eq!(refused, AuthorizationFault::ScopeNotAllowed("email payments:write".parse().unwrap()));
}

#[test]
fn a_request_without_any_understood_scope_is_refused() {
    let absent = AuthorizationRequest { scope: None, ..request() };
    assert_eq!(validate(client(), absent, Hint::Absent).unwrap_err(), AuthorizationFault::ScopeMissing);
    for scope in ["", "gold silver"] {
        assert_eq!(scoped(client(), scope).unwrap_err(), AuthorizationFault::ScopeMissing, "{scope:?}");
    }
}

#[test]
fn oc_15_offline_access_is_ignored_where_it_can_not_be_used() {
    let asked = "openid offline_access";
    assert_eq!(scope_of(scoped(client(), asked)), Ok("offline_access openid".into()));
    let mut never_refreshes = client();
    never_refreshes.grant_types.remove(&GrantType::RefreshToken);
    assert_eq!(scope_of(scoped(never_refreshes, asked)), Ok("openid".into()));
    let mut not_registered = client();
    not_registered.scope = "openid".parse().unwrap();
    assert_eq!(scope_of(scoped(not_registered.clone(), asked)), Ok("openid".into()));
    assert_eq!(scoped(not_registered, "offline_access").unwrap_err(), AuthorizationFault::ScopeMissing);
}

#[rstest]
#[case::implied("openid accounts:read", &[], Ok(vec![BANK]))]
#[case::userinfo_alone("openid profile", &[], Ok(vec![]))]
#[case::named("openid accounts:read cards:read", &[CARDS, BANK], Ok(vec![BANK, CARDS]))]
#[case::ambiguous(
    "accounts:read cards:read",
    &[],
    Err(AudienceFault::Ambiguous(vec![BANK.into(), CARDS.into()]))
)]
#[case::unknown(
    "accounts:read",
    &["https://evil.example/api"],
    Err(AudienceFault::UnknownResource("https://evil.example/api".into()))
)]
#[case::outside(
    "accounts:read cards:read",
    &[BANK],
    Err(AudienceFault::ScopeOutsideResources("cards:read".parse().unwrap()))
)]
fn at_03_ri_01_the_audience_follows_resource_or_scope(
    #[case] scope: &str,
    #[case] resources: &[&str],
    #[case] expected: Result<Vec<&str>, AudienceFault>,
) {
    let request = AuthorizationRequest {
        scope: Some(scope.parse().unwrap()),
        resources: resources.iter().map(|&resource| resource.to_owned()).collect(),
        ..request()
    };
    let found = validate(trusted(client()), request, Hint::Absent);
    let expected = expected
        .map(|audience| audience.into_iter().map(str::to_owned).collect())
        .map_err(AuthorizationFault::Audience);
    assert_eq!(found.map(|validated| validated.audience().to_vec()), expected);
}

#[test]
fn oc_09_a_hint_that_is_not_ours_is_refused() {
    let refused = validate(client(), request(), Hint::Invalid).unwrap_err();
    assert_eq!(refused, AuthorizationFault::HintNotOurs);
    assert!(validate(client(), request(), Hint::Absent).unwrap().is_meant_for(UserId(Uuid::nil()), "me"));
}

#[test]
fn the_core_machine_agrees_or_refuses() {
    // Such redirects never get past the proof of the redirect; the machine knows, too.
    let (client, catalogue) = (client(), catalogue());
    for (redirect_uri, expected) in [
        (request().redirect_uri, Ok(())),
        (Some("no url".to_owned()), Err(AuthorizationFault::Core)),
        (None, Err(AuthorizationFault::Core)),
    ] {
        let request = AuthorizationRequest { redirect_uri, ..request() };
        let mut draft = Draft {
            request: &request,
            client: &client,
            catalogue: &catalogue,
            hint: Hint::Absent,
            scope: "openid".parse().unwrap(),
            audience: Vec::new(),
            claims: Scope::empty(),
        };
        assert_eq!(super::core::check(&mut draft), expected, "{:?}", request.redirect_uri);
    }
}

#[rstest]
#[case::another_clients_redirect(|_: &mut AuthorizationRequest| (), |c: &mut Client| c.id = "other".parse().unwrap())]
#[case::another_clients_request(|r: &mut AuthorizationRequest| r.client_id = "other".into(), |_: &mut Client| ())]
#[case::another_redirect(
    |r: &mut AuthorizationRequest| r.redirect_uri = Some("https://app.example/other".into()),
    |_: &mut Client| ()
)]
#[case::no_redirect(|r: &mut AuthorizationRequest| r.redirect_uri = None, |_: &mut Client| ())]
#[case::another_state(|r: &mut AuthorizationRequest| r.state = Some("other".into()), |_: &mut Client| ())]
#[case::another_mode(
    |r: &mut AuthorizationRequest| r.response_mode = Some(protocol::client::ResponseMode::FormPost),
    |_: &mut Client| ()
)]
fn f2_11_redirect_client_and_request_belong_together(
    #[case] other_request: fn(&mut AuthorizationRequest),
    #[case] other_client: fn(&mut Client),
) {
    let (mut request, mut client) = (request(), client());
    let redirect = verified(&request, &client);
    other_request(&mut request);
    other_client(&mut client);
    let refused =
        ValidatedAuthorization::validate(request, Arc::new(client), redirect, Hint::Absent, &catalogue());
    assert_eq!(refused.unwrap_err(), AuthorizationFault::Contradiction);
}

/// A request that fails every check is told of the first; with that mended, of the next.
#[test]
fn the_first_check_that_fails_decides() {
    let mut client = client();
    client.grant_types.clear();
    client.protection.pushed_requests = true;
    let mut bad = AuthorizationRequest {
        response_type: ResponseType::CodeIdToken,
        nonce: None,
        code_challenge: None,
        scope: Some("cards:read openid".parse().unwrap()),
        resources: vec!["https://evil.example/api".into()],
        claims: ClaimsRequest::parse(r#"{"id_token":{"acr":{"essential":true,"value":"x"}}}"#).unwrap(),
        authorization_details: super::details_tests::details(serde_json::json!([{"type": "unknown"}])),
        ..request()
    };
    let mut hint = Hint::Invalid;
    let mut told = Vec::new();
    while let Err(fault) = validate(client.clone(), bad.clone(), hint) {
        told.push(match fault {
            AuthorizationFault::CodeFlowNotAllowed => {
                client.grant_types.insert(GrantType::AuthorizationCode);
                "grant type"
            }
            AuthorizationFault::NotPushed => {
                client.protection.pushed_requests = false;
                "pushed"
            }
            AuthorizationFault::ResponseTypeNotAllowed => {
                let mut record = record();
                record.metadata.response_types = Some(ResponseType::ALL.to_vec());
                client.responses = Client::parse(&record).unwrap().responses;
                "response"
            }
            AuthorizationFault::NonceMissing => {
                bad.nonce = request().nonce;
                "nonce"
            }
            AuthorizationFault::ChallengeMissing => {
                bad.code_challenge = request().code_challenge;
                "pkce"
            }
            AuthorizationFault::ScopeNotAllowed(_) => {
                client = trusted(client);
                "scope"
            }
            AuthorizationFault::Details(_) => {
                bad.authorization_details = request().authorization_details;
                "authorization_details"
            }
            AuthorizationFault::Audience(_) => {
                bad.resources.clear();
                "audience"
            }
            AuthorizationFault::HintNotOurs => {
                hint = Hint::Absent;
                "id_token_hint"
            }
            AuthorizationFault::AcrUnreachable => {
                bad.claims = request().claims;
                "claims"
            }
            other => panic!("{other:?} after {told:?}"),
        });
    }
    // The core refuses nothing that passed the others.
    let mut listed: Vec<_> = CHECKS.iter().map(|check| check.name).collect();
    listed.retain(|name| *name != "rfc 6749 core");
    assert_eq!(listed, told);
}

#[test]
fn the_longest_token_lifetime_is_that_of_a_resource_server_or_the_default() {
    let cards = validated(|request| request.scope = Some("cards:read".parse().unwrap()));
    assert_eq!(cards.longest_token_lifetime(Duration::seconds(300)), Duration::seconds(600));
    assert_eq!(cards.longest_token_lifetime(Duration::seconds(900)), Duration::seconds(900));
    let bank = validated(|_| ());
    assert_eq!(bank.longest_token_lifetime(Duration::seconds(300)), Duration::seconds(300));
}

proptest! {
    /// F2-17: whatever is asked, what passes is asked, understood and registered.
    #[test]
    fn f2_17_what_passes_is_asked_and_registered(
        asked in proptest::sample::subsequence(
            vec!["openid", "profile", "email", "offline_access", "accounts:read", "payments:write",
                 "cards:read", "vault:read", "gold"], 0..=9),
        registered in proptest::sample::subsequence(
            vec!["openid", "profile", "offline_access", "accounts:read", "cards:read", "gold"], 0..=6),
        resources in proptest::sample::subsequence(vec![BANK, CARDS, VAULT, "urn:unknown"], 0..=4),
        refreshes in any::<bool>(),
    ) {
        let asked: Scope = asked.join(" ").parse().unwrap();
        let mut client = client();
        client.scope = registered.join(" ").parse().unwrap();
        if !refreshes {
            client.grant_types.remove(&GrantType::RefreshToken);
        }
        let request = AuthorizationRequest {
            scope: Some(asked.clone()),
            resources: resources.iter().map(|&resource| resource.to_owned()).collect(),
            ..request()
        };
        if let Ok(validated) = validate(client.clone(), request, Hint::Absent) {
            let catalogue = catalogue();
            prop_assert!(!validated.scope().is_empty());
            prop_assert!(validated.scope().is_subset(&asked));
            prop_assert!(validated.scope().is_subset(&client.scope));
            prop_assert!(catalogue.unknown(validated.scope()).is_empty());
            prop_assert!(refreshes || !validated.scope().contains("offline_access"));
            for definition in catalogue.definitions(validated.scope()) {
                let audience = definition.audience.as_ref();
                prop_assert!(audience.is_none_or(|audience| validated.audience().contains(audience)));
            }
        }
    }
}

fn asking(claims: &str) -> ValidatedAuthorization {
    validated(|request| request.claims = ClaimsRequest::parse(claims).unwrap())
}

#[test]
fn oc_18_single_claims_join_what_is_asked_unless_their_scope_is() {
    let claims = r#"{"userinfo":{"name":null,"email":null},"id_token":{"name":null,"sub":null}}"#;
    let plain = validated(|_| ());
    let narrow = |scope: &str| {
        let claims = ClaimsRequest::parse(claims).unwrap();
        let client = Client { scope: scope.parse().unwrap(), ..trusted(client()) };
        let scope = Some("openid".parse().unwrap());
        validate(client, AuthorizationRequest { claims, scope, ..request() }, Hint::Absent).unwrap()
    };
    // A client that is registered for profile and not for email.
    assert_eq!(narrow("openid profile").consentable().to_string(), "claim:name openid");
    assert_eq!(narrow("openid").consentable().to_string(), "openid");
    assert_eq!(asking(claims).consentable().difference(plain.scope()).to_string(), "claim:email claim:name");
    assert_eq!(asking(claims).scope(), plain.scope(), "a claim is no scope");
    let with_scope = validated(|request| {
        request.scope = Some("openid profile email".parse().unwrap());
        request.claims = ClaimsRequest::parse(claims).unwrap();
    });
    assert_eq!(with_scope.consentable(), *with_scope.scope());
    // A client can't smuggle one in as a scope.
    let smuggled = validated(|request| request.scope = Some("openid claim:email".parse().unwrap()));
    assert_eq!(smuggled.consentable().to_string(), "openid");
}

#[test]
fn oc_18_hint_and_demanded_subject_both_have_to_agree() {
    let (alice, bob) = (UserId(Uuid::from_u128(3)), UserId(Uuid::from_u128(4)));
    let demanding = asking(r#"{"id_token":{"sub":{"values":["me","her"]}}}"#);
    assert!(demanding.is_meant_for(alice, "me") && !demanding.is_meant_for(alice, "him"));
    let pairwise = Hint::Pairwise(sha256("alice"));
    let name = sha256("alice").to_string();
    let hinted = validate(client(), request(), pairwise).unwrap();
    assert!(hinted.is_meant_for(bob, &name), "the name says who it is");
    assert!(!hinted.is_meant_for(alice, &alice.to_string()));
}

#[test]
fn oc_19_an_essential_acr_outweighs_acr_values_and_gets_a_listed_class() {
    const CA: &str = "urn:openbanking:psd2:ca";
    const SCA: &str = "urn:openbanking:psd2:sca";
    use Acr::{CustomerAuthentication as One, StrongCustomerAuthentication as Two};
    let acr = |asked: &str, values: &[&str]| {
        validated(|request| {
            request.claims = ClaimsRequest::parse(&format!(r#"{{"id_token":{{"acr":{asked}}}}}"#)).unwrap();
            request.acr_values = values.iter().map(|&value| value.to_owned()).collect();
        })
    };
    let essential = acr(&format!(r#"{{"essential":true,"values":["x","{SCA}"]}}"#), &[CA]);
    assert_eq!(essential.acr_values(), ["x", SCA]);
    assert_eq!(acr(&format!(r#"{{"value":"{SCA}"}}"#), &[CA]).acr_values(), [CA]);
    assert_eq!(acr(&format!(r#"{{"value":"{SCA}"}}"#), &[]).acr_values(), [SCA]);
    assert_eq!(acr("null", &[CA]).acr_values(), [CA]);
    let weak = acr(&format!(r#"{{"essential":true,"value":"{CA}"}}"#), &[]);
    assert_eq!((weak.answered_acr(Two), weak.answered_acr(One)), (One, One));
    assert_eq!(essential.answered_acr(Two), Two);
    assert_eq!(acr("null", &[]).answered_acr(Two), Two);
}
