use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::Duration;
use protocol::{
    acr::{Acr, Amr},
    authorization_details::AuthorizationDetails,
    client::AuthMethod,
    params::Params,
};
use rstest::rstest;
use uuid::Uuid;

use super::*;
use crate::{
    checks::tests::{BANK, CARDS, VAULT, catalogue},
    client::tests::{client, confidential},
    client_auth::AuthenticatedClient,
    grant::{
        RefreshKind, RefreshRecord,
        tests::{line, now},
    },
};

const ISSUER: &str = "https://as.example";

/// A token for the bank's API and for userinfo, with its line.
fn found() -> FoundAccessToken {
    let mut line = line();
    line.grant.scope = "openid profile accounts:read cards:read".parse().unwrap();
    line.grant.audience = vec![BANK.to_owned(), CARDS.to_owned()];
    line.consent_scope = line.grant.scope.clone();
    line.consent_resources = line.grant.audience.clone();
    line.user_roles = vec!["account-viewer".into(), "card-viewer".into()];
    let grant = &line.grant;
    FoundAccessToken {
        claims: AccessTokenClaims {
            iss: ISSUER.to_owned(),
            sub: grant.user.to_string(),
            aud: vec![BANK.to_owned(), ISSUER.to_owned()],
            client_id: "app".parse().unwrap(),
            jti: TokenId(Uuid::from_u128(8)),
            iat: now().timestamp() - 10,
            exp: now().timestamp() + 290,
            scope: "openid profile accounts:read cards:read".parse().unwrap(),
            grant_id: Some(grant.id),
            auth_time: Some(grant.auth_time.timestamp()),
            acr: Some(Acr::CustomerAuthentication),
            amr: vec![Amr::Pwd],
            roles: vec!["account-viewer".into()],
            authorization_details: AuthorizationDetails::default(),
            cnf: None,
            delegation: crate::exchange::Delegation::default(),
        },
        digest: None,
        revoked: false,
        above: Above::Grant(Box::new(line)),
    }
}

fn above(token: &mut FoundAccessToken) -> &mut GrantLine {
    match &mut token.above {
        Above::Grant(line) => line,
        other => panic!("{other:?}"),
    }
}

fn of_a_client(mut token: FoundAccessToken) -> FoundAccessToken {
    let claims = &mut token.claims;
    claims.sub = "app".into();
    (claims.grant_id, claims.auth_time, claims.acr) = (None, None, None);
    claims.amr.clear();
    token.above = Above::Client(Some(ClientRights {
        client_credentials: true,
        scope: "accounts:read cards:read".parse().unwrap(),
        detail_types: Vec::new(),
    }));
    token
}

fn presented(authorization: Option<&str>, body: &str) -> Presented {
    Presented::parse(authorization, &Params::parse(body.as_bytes()).unwrap()).unwrap()
}

fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}").replace(' ', "+")))
}

fn caller(id: &str) -> IntrospectionCaller {
    let header = basic(id, &format!("secret of {id}"));
    IntrospectionCaller::authenticate(&presented(Some(&header), ""), &catalogue(), now()).unwrap()
}

fn asked_by(id: &str, found: Option<FoundAccessToken>) -> (IntrospectionResponse, Option<DeadToken>) {
    introspect(&caller(id), found, &catalogue(), now())
}

fn active(id: &str, found: FoundAccessToken) -> ActiveToken {
    match asked_by(id, Some(found)) {
        (IntrospectionResponse::Active(token), None) => *token,
        other => panic!("{other:?}"),
    }
}

#[rstest]
#[case::basic("bank-api", "secret of bank-api", Some(BANK))]
#[case::of_another_server("cards-api", "secret of cards-api", Some(CARDS))]
#[case::wrong_secret("bank-api", "secret of cards-api", None)]
#[case::empty_secret("bank-api", "", None)]
#[case::wrong_id("nobody", "secret of bank-api", None)]
#[case::audience_for_id(BANK, "secret of bank-api", None)]
fn in_01_only_a_resource_servers_own_credentials_count(
    #[case] id: &str,
    #[case] secret: &str,
    #[case] expected: Option<&str>,
) {
    let encode = |text: &str| text.replace(':', "%3A").replace('/', "%2F");
    let header = basic(&encode(id), secret);
    let by_basic = IntrospectionCaller::authenticate(&presented(Some(&header), ""), &catalogue(), now());
    assert_eq!(by_basic.as_ref().map(IntrospectionCaller::audience), expected);

    let body = format!("client_id={}&client_secret={}", encode(id), secret.replace(' ', "+"));
    let by_post = IntrospectionCaller::authenticate(&presented(None, &body), &catalogue(), now());
    assert_eq!(by_post.as_ref().map(IntrospectionCaller::audience), expected);
}

#[test]
fn in_01_a_name_alone_is_no_credential() {
    let bare = presented(None, "client_id=bank-api");
    assert!(IntrospectionCaller::authenticate(&bare, &catalogue(), now()).is_none());
    let mut server = catalogue().resource_server(BANK).cloned().unwrap();
    server.introspection = None;
    let mute = Catalogue::new([], [server]).unwrap();
    let header = basic("bank-api", "secret of bank-api");
    assert!(IntrospectionCaller::authenticate(&presented(Some(&header), ""), &mute, now()).is_none());
}

#[rstest]
#[case::revoked(|t: &mut FoundAccessToken| t.revoked = true, DeadToken::Revoked)]
#[case::expired(|t: &mut FoundAccessToken| t.claims.exp = now().timestamp(), DeadToken::Expired)]
#[case::grant_gone(|t: &mut FoundAccessToken| t.above = Above::Nothing, DeadToken::Unknown)]
#[case::grant_of_another(
    |t: &mut FoundAccessToken| t.claims.grant_id = Some(GrantId(Uuid::from_u128(99))),
    DeadToken::Unknown
)]
#[case::grant_revoked(
    |t: &mut FoundAccessToken| above(t).grant.revoked_at = Some(now()),
    DeadToken::Grant(GrantEnd::Revoked)
)]
#[case::grant_expired(
    |t: &mut FoundAccessToken| above(t).grant.expires_at = now(),
    DeadToken::Grant(GrantEnd::Expired)
)]
#[case::withdrawn(
    |t: &mut FoundAccessToken| above(t).consent_withdrawn_at = Some(now()),
    DeadToken::Grant(GrantEnd::ConsentWithdrawn)
)]
#[case::consent_expired(
    |t: &mut FoundAccessToken| above(t).consent_expires_at = Some(now()),
    DeadToken::Grant(GrantEnd::ConsentExpired)
)]
#[case::logged_out(
    |t: &mut FoundAccessToken| above(t).session_ended_at = Some(now()),
    DeadToken::Grant(GrantEnd::SessionEnded)
)]
#[case::disabled(
    |t: &mut FoundAccessToken| above(t).user_disabled_at = Some(now()),
    DeadToken::Grant(GrantEnd::UserDisabled)
)]
#[case::client_disabled(
    |t: &mut FoundAccessToken| above(t).client_disabled = true,
    DeadToken::Grant(GrantEnd::ClientDisabled)
)]
#[case::narrowed_away(
    |t: &mut FoundAccessToken| above(t).consent_scope = "email".parse().unwrap(),
    DeadToken::Grant(GrantEnd::NothingLeft)
)]
#[case::of_another_client(
    |t: &mut FoundAccessToken| above(t).grant.client = "other".parse().unwrap(),
    DeadToken::Unknown
)]
#[case::without_a_grant_in_its_claims(
    |t: &mut FoundAccessToken| t.claims.grant_id = None,
    DeadToken::Unknown
)]
#[case::of_a_disabled_client(
    |t: &mut FoundAccessToken| { t.claims.grant_id = None; t.above = Above::Client(None); },
    DeadToken::ClientDisabled
)]
fn in_02_whatever_is_dead_is_just_inactive_and_opens_no_userinfo(
    #[case] kill: fn(&mut FoundAccessToken),
    #[case] dead: DeadToken,
) {
    assert!(matches!(asked_by("bank-api", Some(found())), (IntrospectionResponse::Active(_), None)));
    let mut token = found();
    kill(&mut token);
    let (answer, reason) = asked_by("bank-api", Some(token.clone()));
    assert_eq!(serde_json::to_string(&answer).unwrap(), r#"{"active":false}"#);
    assert_eq!(reason, Some(dead), "for the audit trail");
    let refused = userinfo_subject(Some(token), ISSUER, &catalogue(), now()).unwrap_err();
    assert_eq!(refused, UserinfoFault::Dead(dead));
}

#[test]
fn in_02_unknown_and_foreign_tokens_are_just_inactive() {
    let inactive = IntrospectionResponse::Inactive;
    assert_eq!(asked_by("bank-api", None), (inactive.clone(), Some(DeadToken::Unknown)));
    assert_eq!(asked_by("cards-api", Some(found())), (inactive, Some(DeadToken::ForeignAudience)));
}

#[test]
fn in_03_an_active_answer_has_every_member() {
    let token = active("bank-api", found());
    let expected = serde_json::json!({
        "active": true,
        "scope": "accounts:read",
        "client_id": "app",
        "sub": "00000000-0000-0000-0000-000000000003",
        "exp": now().timestamp() + 290,
        "iat": now().timestamp() - 10,
        "aud": BANK,
        "iss": ISSUER,
        "jti": "00000000-0000-0000-0000-000000000008",
        "token_type": "Bearer",
        "grant_id": "00000000-0000-0000-0000-000000000001",
        "auth_time": now().timestamp(),
        "acr": "urn:openbanking:psd2:ca",
        "amr": ["pwd"],
        "roles": ["account-viewer"],
    });
    let answer = IntrospectionResponse::Active(Box::new(token));
    assert_eq!(serde_json::to_value(answer).unwrap(), expected);
}

#[test]
fn in_04_an_audience_learns_only_of_its_own_scopes() {
    let mut token = found();
    token.claims.aud = vec![BANK.to_owned(), CARDS.to_owned()];
    assert_eq!(active("bank-api", token.clone()).scope.to_string(), "accounts:read");
    assert_eq!(active("cards-api", token.clone()).scope.to_string(), "cards:read");
    // The grant reaches no further, whatever a token says.
    token.claims.aud = vec![VAULT.to_owned()];
    assert_eq!(asked_by("vault-api", Some(token)).1, Some(DeadToken::ForeignAudience));
}

#[test]
fn in_03_roles_that_were_taken_away_are_no_longer_told() {
    let mut token = found();
    token.claims.roles = vec!["account-viewer".into(), "payment-initiator".into()];
    assert_eq!(active("bank-api", token.clone()).roles, ["account-viewer"]);
    // Held, but it is not what these scopes stand for here.
    token.claims.roles.push("card-viewer".into());
    assert_eq!(active("bank-api", token).roles, ["account-viewer"]);
}

#[test]
fn f2_17_a_narrowed_consent_or_a_lost_role_shows_at_the_next_question() {
    let bank_and_payments = |change: fn(&mut GrantLine)| {
        let mut token = found();
        token.claims.scope = "openid accounts:read payments:write".parse().unwrap();
        token.claims.roles = vec!["account-viewer".into(), "payment-initiator".into()];
        let (scope, roles) = (token.claims.scope.clone(), token.claims.roles.clone());
        let line = above(&mut token);
        line.consent_scope = scope.clone();
        line.grant.scope = scope;
        line.user_roles = roles;
        change(line);
        token
    };
    let told = |token: FoundAccessToken| {
        let active = active("bank-api", token);
        (active.scope.to_string(), active.roles)
    };
    let both = vec!["account-viewer".to_owned(), "payment-initiator".to_owned()];
    let viewer = vec!["account-viewer".to_owned()];
    assert_eq!(told(bank_and_payments(|_| ())), ("accounts:read payments:write".into(), both));
    let narrowed = bank_and_payments(|line| line.consent_scope = "openid accounts:read".parse().unwrap());
    assert_eq!(told(narrowed), ("accounts:read".into(), viewer.clone()));
    let lost = bank_and_payments(|line| line.user_roles = vec!["account-viewer".into()]);
    assert_eq!(told(lost), ("accounts:read".into(), viewer));
    // Nothing left for this resource server, although something is left for userinfo.
    let nothing = bank_and_payments(|line| line.user_roles.clear());
    let (answer, dead) = asked_by("bank-api", Some(nothing.clone()));
    assert_eq!((answer, dead), (IntrospectionResponse::Inactive, Some(DeadToken::ForeignAudience)));
    assert!(userinfo_subject(Some(nothing), ISSUER, &catalogue(), now()).is_ok());
    let elsewhere = bank_and_payments(|line| line.consent_resources = vec![CARDS.to_owned()]);
    assert_eq!(asked_by("bank-api", Some(elsewhere)).1, Some(DeadToken::ForeignAudience));
}

#[test]
fn f2_17_userinfo_releases_what_the_consent_still_covers() {
    let released = |scope: &str| {
        let mut token = found();
        above(&mut token).consent_scope = scope.parse().unwrap();
        userinfo_subject(Some(token), ISSUER, &catalogue(), now())
            .map(|(_, token)| token.claims().scope.to_string())
    };
    assert_eq!(released("openid profile accounts:read"), Ok("accounts:read openid profile".into()));
    assert_eq!(released("openid accounts:read"), Ok("accounts:read openid".into()));
    assert_eq!(released("profile accounts:read"), Err(UserinfoFault::NotOpenid));
}

fn payment() -> AuthorizationDetails {
    AuthorizationDetails::from_value(serde_json::json!([{
        "type": "payment_initiation", "instructedAmount": {"currency": "EUR", "amount": "123.50"},
        "creditorName": "Landlord", "creditorAccount": {"iban": "DE02100100109307118603"},
    }]))
    .unwrap()
}

#[test]
fn in_03_a_clients_own_token_is_active_without_a_person() {
    let mut token = of_a_client(found());
    token.claims.aud = vec![BANK.to_owned()];
    let answer = active("bank-api", token.clone());
    assert_eq!((answer.sub.as_str(), answer.grant_id, answer.acr), ("app", None, None));
    assert_eq!(answer.roles, ["account-viewer"], "its registration's");
    token.revoked = true;
    assert_eq!(asked_by("bank-api", Some(token.clone())).1, Some(DeadToken::Revoked));
    token.revoked = false;
    token.above = Above::Client(None);
    assert_eq!(asked_by("bank-api", Some(token)).1, Some(DeadToken::ClientDisabled));
}

#[test]
fn f2_17_in_03_what_is_taken_from_a_client_its_own_tokens_lose() {
    let payments = catalogue().detail_types().get("payment_initiation").unwrap().definition().clone();
    let payments = consent::DetailTypeDefinition { client_credentials: true, ..payments };
    let catalogue = catalogue().with_detail_types([payments]).unwrap();
    let ask = |change: fn(&mut AccessTokenClaims, &mut ClientRights)| {
        let mut token = of_a_client(found());
        token.claims.aud = vec![BANK.to_owned()];
        token.claims.scope = "accounts:read payments:write".parse().unwrap();
        token.claims.roles = vec!["account-viewer".into(), "payment-initiator".into()];
        token.claims.authorization_details = payment();
        let mut rights = ClientRights {
            client_credentials: true,
            scope: token.claims.scope.clone(),
            detail_types: vec!["payment_initiation".into()],
        };
        change(&mut token.claims, &mut rights);
        token.above = Above::Client(Some(rights));
        match introspect(&caller("bank-api"), Some(token), &catalogue, now()) {
            (IntrospectionResponse::Active(token), None) => {
                Ok((token.scope.to_string(), token.roles.join(" "), token.authorization_details.len()))
            }
            (_, dead) => Err(dead.unwrap()),
        }
    };
    let all = |scope: &str, roles: &str, details| Ok((scope.to_owned(), roles.to_owned(), details));
    assert_eq!(ask(|_, _| ()), all("accounts:read payments:write", "account-viewer payment-initiator", 1));
    let less = ask(|_, now| now.scope = "accounts:read".parse().unwrap());
    assert_eq!(less, all("accounts:read", "account-viewer", 1));
    let more = ask(|_, now| now.scope = "accounts:read payments:write cards:read".parse().unwrap());
    assert_eq!(more, all("accounts:read payments:write", "account-viewer payment-initiator", 1));
    let plain = ask(|_, now| now.detail_types.clear());
    assert_eq!(plain, all("accounts:read payments:write", "account-viewer payment-initiator", 0));
    assert_eq!(ask(|_, now| now.scope = Scope::empty()), all("", "", 1), "details alone");
    let gone = ask(|claims, now| {
        now.scope = Scope::empty();
        claims.authorization_details = AuthorizationDetails::default();
    });
    assert_eq!(gone, Err(DeadToken::ClientRightsTaken));
    assert_eq!(ask(|_, now| now.client_credentials = false), Err(DeadToken::ClientRightsTaken));
}

#[test]
fn rar_05_in_03_a_token_may_have_details_and_no_scope() {
    let catalogue = catalogue();
    let ask = |change: fn(&mut GrantLine)| {
        let mut token = found();
        token.claims.aud = vec![BANK.to_owned()];
        token.claims.scope = Scope::empty();
        token.claims.roles.clear();
        token.claims.authorization_details = payment();
        let line = above(&mut token);
        line.grant.scope = "cards:read".parse().unwrap();
        line.client_scope = line.grant.scope.clone();
        line.consent_scope = line.grant.scope.clone();
        (line.grant.details, line.consent_details) = (payment(), payment());
        line.client_detail_types = vec!["payment_initiation".into()];
        line.user_roles = vec!["card-viewer".into(), "payment-initiator".into()];
        change(line);
        introspect(&caller("bank-api"), Some(token), &catalogue, now())
    };
    let (answer, dead) = ask(|_| ());
    assert_eq!(dead, None);
    let answer = serde_json::to_value(&answer).unwrap();
    assert_eq!(answer["authorization_details"][0]["type"], "payment_initiation");
    assert!(answer.get("scope").is_none(), "no scope is empty: {answer}");
    let (_, dead) = ask(|line| line.client_detail_types.clear());
    assert_eq!(dead, Some(DeadToken::Grant(GrantEnd::NothingLeft)));
}

#[test]
fn oc_16_userinfo_is_about_the_person_of_the_grant() {
    let (user, token) = userinfo_subject(Some(found()), ISSUER, &catalogue(), now()).unwrap();
    assert_eq!(user, line().grant.user);
    assert_eq!(token.claims().sub, user.to_string());
}

#[test]
fn oc_16_what_userinfo_refuses() {
    let fault =
        |found: Option<FoundAccessToken>| userinfo_subject(found, ISSUER, &catalogue(), now()).unwrap_err();
    assert_eq!(fault(None), UserinfoFault::Dead(DeadToken::Unknown));
    let mut no_openid = found();
    no_openid.claims.scope = "profile accounts:read".parse().unwrap();
    assert_eq!(fault(Some(no_openid)), UserinfoFault::NotOpenid);
    let mut for_the_bank = found();
    for_the_bank.claims.aud = vec![BANK.to_owned()];
    assert_eq!(fault(Some(for_the_bank)), UserinfoFault::Dead(DeadToken::ForeignAudience));
    assert_eq!(fault(Some(of_a_client(found()))), UserinfoFault::NotOpenid, "it is no person's");
}

fn refresh_record(client: &str) -> RefreshRecord {
    RefreshRecord {
        digest: sha256("r"),
        grant: line().grant.id,
        client: client.parse().unwrap(),
        kind: RefreshKind::Rotating,
        issued_at: now(),
        idle_expires_at: now() + Duration::days(1),
        expires_at: now() + Duration::days(1),
        consumed_at: None,
        bound_to: None,
    }
}

fn revoked(found: Option<Revocable>) -> Revocation {
    revoke(&AuthenticatedClient::for_tests(client()), found)
}

#[test]
fn rv_01_an_unknown_token_is_nothing_to_revoke() {
    assert_eq!(revoked(None), Revocation::Nothing { foreign: false });
}

#[test]
fn rv_02_another_clients_token_is_left_alone() {
    let nothing = Revocation::Nothing { foreign: true };
    assert_eq!(revoked(Some(Revocable::Refresh(refresh_record("other")))), nothing);
    for digest in [None, Some(sha256("a"))] {
        let mut token = found();
        token.digest = digest;
        token.claims.client_id = "other".parse().unwrap();
        assert_eq!(revoked(Some(Revocable::Access(Box::new(token)))), nothing);
    }
}

#[test]
fn rv_03_a_refresh_token_takes_its_grant_with_it() {
    let grant = line().grant.id;
    let mut record = refresh_record("app");
    assert_eq!(revoked(Some(Revocable::Refresh(record.clone()))), Revocation::Grant(grant));
    // One that was rotated away names the family as well.
    record.consumed_at = Some(now());
    assert_eq!(revoked(Some(Revocable::Refresh(record.clone()))), Revocation::Grant(grant));
    let confidential = AuthenticatedClient::for_tests(confidential(AuthMethod::ClientSecretPost));
    assert_eq!(revoke(&confidential, Some(Revocable::Refresh(record))), Revocation::Grant(grant));
}

#[test]
fn rv_03_an_access_token_ends_alone() {
    let mut token = found();
    let expires_at = now() + Duration::seconds(290);
    let jwt = Revocation::Jwt { id: token.claims.jti, expires_at };
    assert_eq!(revoked(Some(Revocable::Access(Box::new(token.clone())))), jwt);
    token.digest = Some(sha256("a"));
    assert_eq!(revoked(Some(Revocable::Access(Box::new(token)))), Revocation::AccessToken(sha256("a")));
}
