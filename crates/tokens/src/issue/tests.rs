use chrono::Duration;
use consent::ConsentRecord;
use mfa::{Session, SessionPolicy};
use protocol::{UserId, client::AuthMethod};
use rstest::rstest;
use uuid::Uuid;

use super::*;
use crate::{
    checks::{
        Hint,
        tests::{BANK, CARDS, request, trusted, validate, validated},
    },
    client::tests::confidential,
    grant::tests::now,
    step::tests::{ALICE, consent_record, session},
};

const ID: GrantId = GrantId(Uuid::from_u128(9));

fn authentication(session: &Session) -> Authentication {
    Authentication::from_session(session, &SessionPolicy::default(), now()).unwrap()
}

fn consent(change: impl FnOnce(&mut ConsentRecord)) -> GrantedConsent {
    let mut record = consent_record();
    change(&mut record);
    GrantedConsent::from_live(&record, now()).unwrap()
}

fn issue(validated: &ValidatedAuthorization, consent: &GrantedConsent) -> Result<IssuedCode, IssueFault> {
    let policy = TokenPolicy::default();
    issue_code(validated, &authentication(&session()), consent, (ID, [5; 32]), &policy, now())
}

fn with_scope(scope: &str) -> ValidatedAuthorization {
    validated(|request| request.scope = Some(scope.parse().unwrap()))
}

#[test]
fn a_code_keeps_what_its_redemption_must_prove() {
    let issued = issue(&validated(|_| ()), &consent(|_| ())).unwrap();
    let code = &issued.code_record;
    assert_eq!(code.digest, sha256(issued.code.expose()), "only the digest is stored");
    assert_eq!((code.grant, code.client.as_str()), (ID, "app"));
    assert_eq!(code.redirect_uri, "https://app.example/cb");
    assert_eq!(code.code_challenge, request().code_challenge);
    assert_eq!(code.nonce.as_deref(), Some("n"));
    assert_eq!((code.issued_at, code.consumed_at), (now(), None));
    assert_eq!(code.expires_at, now() + Duration::seconds(60));
}

#[test]
fn a_grant_says_who_when_how_and_under_which_consent() {
    let grant = issue(&validated(|_| ()), &consent(|_| ())).unwrap().grant;
    assert_eq!((grant.id, grant.consent), (ID, consent_record().id));
    assert_eq!((grant.user, grant.session), (ALICE, session().id));
    assert_eq!(grant.client.as_str(), "app");
    assert_eq!((grant.auth_time, grant.acr), (session().auth_time, session().acr));
    assert_eq!(grant.amr, session().amr);
    assert_eq!((grant.created_at, grant.revoked_at), (now(), None));
    assert_eq!(grant.audience, [BANK]);
}

#[rstest]
#[case::as_asked("openid accounts:read", "openid accounts:read", Ok("accounts:read openid"))]
#[case::consented_to_less("openid accounts:read", "openid", Ok("openid"))]
#[case::asked_less("openid", "openid accounts:read", Ok("openid"))]
#[case::nothing_in_both("accounts:read", "openid", Err(IssueFault::NothingGranted))]
fn f2_17_never_more_than_asked_and_consented(
    #[case] asked: &str,
    #[case] consented: &str,
    #[case] expected: Result<&str, IssueFault>,
) {
    let consent = consent(|record| record.scope = consented.parse().unwrap());
    let issued = issue(&with_scope(asked), &consent).map(|issued| issued.grant.scope.to_string());
    assert_eq!(issued, expected.map(str::to_owned));
}

#[test]
fn f2_17_the_audience_is_asked_and_consented() {
    let over_two = validated(|request| {
        request.scope = Some("accounts:read cards:read".parse().unwrap());
        request.resources = vec![CARDS.to_owned(), BANK.to_owned()];
    });
    let only_bank = consent(|_| ());
    assert_eq!(issue(&over_two, &only_bank).unwrap().grant.audience, [BANK]);
    let all = consent(|record| {
        record.scope = "accounts:read cards:read".parse().unwrap();
        record.resources = vec![BANK.to_owned(), CARDS.to_owned()];
    });
    assert_eq!(issue(&over_two, &all).unwrap().grant.audience, [BANK, CARDS]);
    assert_eq!(issue(&with_scope("accounts:read"), &all).unwrap().grant.audience, [BANK]);
}

#[rstest]
#[case("openid accounts:read", true)]
#[case("openid offline_access accounts:read", false)]
#[case("accounts:read", false)]
fn bl_04_oc_15_an_openid_grant_without_offline_access_is_the_sessions(
    #[case] scope: &str,
    #[case] bound: bool,
) {
    let consent = consent(|record| record.scope = scope.parse().unwrap());
    assert_eq!(issue(&with_scope(scope), &consent).unwrap().grant.session_bound, bound);
}

#[test]
fn bl_04_offline_access_that_was_not_consented_does_not_outlast_the_session() {
    let grant = issue(&with_scope("openid offline_access"), &consent(|_| ())).unwrap().grant;
    assert!(grant.session_bound);
}

#[test]
fn the_consent_of_another_person_or_client_is_refused() {
    let another = consent(|record| record.user = UserId(Uuid::from_u128(33)));
    assert_eq!(issue(&validated(|_| ()), &another).unwrap_err(), IssueFault::ForeignConsent);
    let another = consent(|record| record.client = "other".parse().unwrap());
    assert_eq!(issue(&validated(|_| ()), &another).unwrap_err(), IssueFault::ForeignConsent);
}

#[test]
fn nothing_below_a_consent_outlives_it() {
    let end = consent_record().expires_at.unwrap();
    let grant = issue(&validated(|_| ()), &consent(|_| ())).unwrap().grant;
    assert_eq!(grant.expires_at, end);
    for long in [None, Some(now() + Duration::days(999))] {
        let consent = consent(|record| record.expires_at = long);
        let grant = issue(&validated(|_| ()), &consent).unwrap().grant;
        assert_eq!(grant.expires_at, now() + TokenPolicy::default().refresh_absolute);
    }
}

/// A grant without refresh needs to last for its one access token, however long that lives.
#[rstest]
#[case::default_lifetime("accounts:read", 300)]
#[case::the_resource_servers_own("cards:read", 600)]
fn f2_25_a_spent_code_is_kept_as_long_as_its_access_token(#[case] scope: &str, #[case] token: i64) {
    let mut client = trusted(confidential(AuthMethod::ClientSecretBasic));
    client.grant_types.remove(&GrantType::RefreshToken);
    let request =
        protocol::authorization::AuthorizationRequest { scope: Some(scope.parse().unwrap()), ..request() };
    let validated = validate(client, request, Hint::Absent).unwrap();
    let consent = consent(|record| {
        record.scope = scope.parse().unwrap();
        record.expires_at = None;
    });
    let issued = issue(&validated, &consent).unwrap();
    let end = now() + Duration::seconds(60 + token);
    assert_eq!(issued.code_record.keep_until, end);
    assert_eq!(issued.grant.expires_at, end);
}
