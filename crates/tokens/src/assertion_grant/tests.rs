use consent::ConsentRecord;
use protocol::{ConsentId, UserId, claims::StandardClaims, client::AuthMethod, secret::PresentedToken};
use rstest::rstest;
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::{
    checks::tests::{BANK, catalogue, trusted},
    client::tests::confidential,
    grant::tests::now,
};

fn registered() -> Client {
    let mut client = trusted(confidential(AuthMethod::ClientSecretBasic));
    client.grant_types.insert(GrantType::JwtBearer);
    client
}

fn rule(scope: &str) -> AssertionRule {
    AssertionRule {
        issuer: "https://hr.example".into(),
        jwks: Some(json!({ "keys": [] })),
        jwks_uri: None,
        subject_claim: None,
        subject: SubjectMapping::Username,
        scope: scope.parse().unwrap(),
        max_lifetime: None,
    }
}

fn user() -> User {
    User {
        id: UserId(Uuid::from_u128(3)),
        username: "alice".parse().unwrap(),
        password: None,
        claims: StandardClaims::default(),
        roles: vec!["account-viewer".into(), "payment-initiator".into()],
        second_factor: None,
        created_at: now(),
        password_changed_at: None,
        disabled_at: None,
    }
}

fn consent() -> ConsentRecord {
    ConsentRecord {
        id: ConsentId(Uuid::from_u128(2)),
        user: UserId(Uuid::from_u128(3)),
        client: "app".parse().unwrap(),
        scope: "openid accounts:read payments:write".parse().unwrap(),
        details: AuthorizationDetails::default(),
        resources: vec![BANK.into()],
        granted_at: now(),
        updated_at: now(),
        expires_at: Some(now() + Duration::minutes(3)),
        withdrawn_at: None,
        version: 1,
    }
}

fn ask(
    client: Client,
    scope: Option<&str>,
    user: &User,
    consent: Option<&ConsentRecord>,
) -> Result<AssertionGrant, AssertionGrantRefusal> {
    let request = JwtBearerRequest {
        assertion: PresentedToken::new("a.b.c"),
        scope: scope.map(|scope| scope.parse().unwrap()),
        resources: Vec::new(),
    };
    under_consent(
        &AuthenticatedClient::for_tests(client),
        &rule("openid accounts:read payments:write cards:read"),
        &request,
        (user, consent),
        (GrantId(Uuid::from_u128(1)), SessionId(Uuid::from_u128(4))),
        &catalogue(),
        (now(), Duration::minutes(5)),
    )
}

#[test]
fn jb_01_consent_is_the_parent_and_the_bound() {
    let granted = ask(registered(), None, &user(), Some(&consent())).unwrap();
    assert_eq!(granted.record().consent, consent().id);
    // What takes two factors stays out, and so does what the person never allowed.
    assert_eq!(granted.target().scope, "openid accounts:read".parse().unwrap());
    assert_eq!(granted.live().ends_at(), now() + Duration::minutes(3));
    let narrow = ask(registered(), Some("accounts:read"), &user(), Some(&consent())).unwrap();
    assert_eq!(narrow.target().audience.as_deref(), Some(BANK));
}

#[rstest]
#[case::beyond_consent("cards:read", AssertionGrantRefusal::NoConsent)]
#[case::beyond_rule("profile", AssertionGrantRefusal::Scope)]
#[case::two_factors("payments:write", AssertionGrantRefusal::SecondFactor)]
#[case::offline("offline_access", AssertionGrantRefusal::Scope)]
fn jb_01_no_scope_beyond_rule_consent_and_proof(#[case] scope: &str, #[case] refusal: AssertionGrantRefusal) {
    assert_eq!(ask(registered(), Some(scope), &user(), Some(&consent())).unwrap_err(), refusal);
}

#[test]
fn jb_01_nothing_without_registration_consent_and_person() {
    use AssertionGrantRefusal as Refusal;
    let refusal =
        |client, user: &User, consent: Option<&ConsentRecord>| ask(client, None, user, consent).unwrap_err();
    assert_eq!(refusal(registered(), &user(), None), Refusal::NoConsent);
    let withdrawn = ConsentRecord { withdrawn_at: Some(now()), ..consent() };
    assert_eq!(refusal(registered(), &user(), Some(&withdrawn)), Refusal::NoConsent);
    let foreign = ConsentRecord { client: "other".parse().unwrap(), ..consent() };
    assert_eq!(refusal(registered(), &user(), Some(&foreign)), Refusal::NoConsent);
    let disabled = User { disabled_at: Some(now()), ..user() };
    assert_eq!(refusal(registered(), &disabled, Some(&consent())), Refusal::UnknownSubject);
    let unregistered = trusted(confidential(AuthMethod::ClientSecretBasic));
    assert_eq!(refusal(unregistered, &user(), Some(&consent())), Refusal::GrantNotAllowed);
    let mut public = trusted(crate::client::tests::client());
    public.grant_types.insert(GrantType::JwtBearer);
    assert_eq!(refusal(public, &user(), Some(&consent())), Refusal::GrantNotAllowed);
    // Who holds no role can give none.
    let roleless = User { roles: Vec::new(), ..user() };
    assert_eq!(refusal_scope(&roleless), "openid");
}

fn refusal_scope(user: &User) -> String {
    ask(registered(), None, user, Some(&consent())).unwrap().target().scope.to_string()
}
