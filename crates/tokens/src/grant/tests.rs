use chrono::Duration;
use rstest::rstest;
use uuid::Uuid;

use super::*;
use crate::checks::tests::{BANK, CARDS, catalogue};

pub(crate) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

pub(crate) fn line() -> GrantLine {
    let end = Some(now() + Duration::hours(2));
    GrantLine {
        grant: GrantRecord {
            id: GrantId(Uuid::from_u128(1)),
            consent: ConsentId(Uuid::from_u128(2)),
            client: "app".parse().unwrap(),
            user: UserId(Uuid::from_u128(3)),
            session: SessionId(Uuid::from_u128(4)),
            session_bound: true,
            claims: GrantedClaims::default(),
            details: AuthorizationDetails::default(),
            scope: "openid accounts:read".parse().unwrap(),
            audience: vec![BANK.into()],
            auth_time: now(),
            acr: Acr::CustomerAuthentication,
            amr: vec![Amr::Pwd],
            created_at: now(),
            revoked_at: None,
            expires_at: now() + Duration::days(1),
        },
        client_disabled: false,
        client_scope: "openid profile offline_access accounts:read cards:read payments:write"
            .parse()
            .unwrap(),
        client_detail_types: vec!["account_information".into(), "payment_initiation".into()],
        consent_scope: "openid profile accounts:read offline_access".parse().unwrap(),
        consent_resources: vec![BANK.into()],
        consent_details: AuthorizationDetails::default(),
        consent_withdrawn_at: None,
        consent_expires_at: Some(now() + Duration::hours(3)),
        session_ended_at: None,
        session_expires_at: end,
        user_disabled_at: None,
        user_roles: vec!["account-viewer".into()],
    }
}

#[rstest]
#[case(|l: &mut GrantLine| l.grant.revoked_at = Some(now()), GrantEnd::Revoked)]
#[case(|l: &mut GrantLine| l.grant.expires_at = now(), GrantEnd::Expired)]
#[case(|l: &mut GrantLine| l.consent_withdrawn_at = Some(now()), GrantEnd::ConsentWithdrawn)]
#[case(|l: &mut GrantLine| l.consent_expires_at = Some(now()), GrantEnd::ConsentExpired)]
#[case(|l: &mut GrantLine| l.session_ended_at = Some(now()), GrantEnd::SessionEnded)]
#[case(|l: &mut GrantLine| l.session_expires_at = None, GrantEnd::SessionEnded)]
#[case(|l: &mut GrantLine| l.user_disabled_at = Some(now()), GrantEnd::UserDisabled)]
#[case(|l: &mut GrantLine| l.client_disabled = true, GrantEnd::ClientDisabled)]
#[case(|l: &mut GrantLine| l.consent_scope = "profile".parse().unwrap(), GrantEnd::NothingLeft)]
#[case(|l: &mut GrantLine| l.client_scope = Scope::empty(), GrantEnd::NothingLeft)]
#[case(|l: &mut GrantLine| l.grant.scope = "offline_access".parse().unwrap(), GrantEnd::NothingLeft)]
fn anything_dead_above_kills_a_grant(#[case] kill: fn(&mut GrantLine), #[case] end: GrantEnd) {
    let mut line = line();
    assert!(line.clone().live(&catalogue(), now()).is_ok());
    kill(&mut line);
    assert_eq!(line.live(&catalogue(), now()).unwrap_err(), end);
}

#[test]
fn bl_04_a_lasting_grant_outlives_its_session() {
    let mut line = line();
    line.grant.session_bound = false;
    line.session_ended_at = Some(now());
    assert_eq!(line.live(&catalogue(), now()).unwrap().ends_at(), now() + Duration::hours(3));
}

#[test]
fn a_grant_ends_with_the_first_of_its_line() {
    assert_eq!(line().live(&catalogue(), now()).unwrap().ends_at(), now() + Duration::hours(2));
}

/// What a grant over two resource servers may still do after a change.
fn left(change: fn(&mut GrantLine)) -> Result<(String, Vec<String>), GrantEnd> {
    let mut line = line();
    line.grant.scope = "openid profile accounts:read cards:read".parse().unwrap();
    line.grant.audience = vec![BANK.into(), CARDS.into()];
    line.consent_scope = line.grant.scope.clone();
    line.consent_resources = line.grant.audience.clone();
    line.user_roles = vec!["account-viewer".into(), "card-viewer".into()];
    change(&mut line);
    let live = line.live(&catalogue(), now())?;
    Ok((live.grant().scope.to_string(), live.grant().audience.clone()))
}

#[rstest]
#[case::as_it_was(|_: &mut GrantLine| (), "accounts:read cards:read openid profile", &[BANK, CARDS])]
#[case::scope(
    |l: &mut GrantLine| l.consent_scope = "openid accounts:read".parse().unwrap(),
    "accounts:read openid", &[BANK]
)]
#[case::resource(
    |l: &mut GrantLine| l.consent_resources = vec![CARDS.into()],
    "cards:read openid profile", &[CARDS]
)]
#[case::role(
    |l: &mut GrantLine| l.user_roles = vec!["card-viewer".into()],
    "cards:read openid profile", &[CARDS]
)]
#[case::every_role(|l: &mut GrantLine| l.user_roles.clear(), "openid profile", &[])]
#[case::no_longer_in_the_catalogue(
    |l: &mut GrantLine| {
        l.grant.scope = "openid accounts:read gold".parse().unwrap();
        l.consent_scope = l.grant.scope.clone();
    },
    "accounts:read openid", &[BANK, CARDS]
)]
#[case::wider_consent(
    |l: &mut GrantLine| {
        l.grant.scope = "openid".parse().unwrap();
        l.grant.audience.clear();
    },
    "openid", &[]
)]
fn f2_17_a_grant_is_cut_to_consent_and_roles_at_every_use(
    #[case] change: fn(&mut GrantLine),
    #[case] scope: &str,
    #[case] audience: &[&str],
) {
    let audience = audience.iter().map(|&resource| resource.to_owned()).collect();
    assert_eq!(left(change), Ok((scope.to_owned(), audience)));
}

#[test]
fn f2_17_a_grant_of_which_nothing_is_left_is_over() {
    let lost = left(|line| {
        line.grant.scope = "accounts:read".parse().unwrap();
        line.user_roles.clear();
    });
    assert_eq!(lost, Err(GrantEnd::NothingLeft));
}

#[test]
fn bl_04_a_grant_that_lost_offline_access_goes_with_its_session() {
    let mut line = line();
    line.grant.scope = "openid offline_access".parse().unwrap();
    line.grant.session_bound = false;
    line.session_ended_at = Some(now());
    assert!(line.clone().live(&catalogue(), now()).is_ok());
    line.consent_scope = "openid".parse().unwrap();
    assert_eq!(line.live(&catalogue(), now()).unwrap_err(), GrantEnd::SessionEnded);
}

#[test]
fn ri_01_a_named_resource_without_scope_is_no_target() {
    let mut line = line();
    line.grant.scope = "accounts:read".parse().unwrap();
    line.grant.audience = vec![BANK.into(), CARDS.into()];
    line.consent_resources = line.grant.audience.clone();
    let live = line.live(&catalogue(), now()).unwrap();
    let scope = &live.grant().scope;
    let bank = live.target(scope, &[BANK.to_owned()], &catalogue()).unwrap();
    assert_eq!((bank.audience.as_deref(), bank.scope.to_string()), (Some(BANK), "accounts:read".into()));
    let cards = live.target(scope, &[CARDS.to_owned()], &catalogue());
    assert_eq!(cards, Err(AudienceFault::UnknownResource(CARDS.to_owned())));
}

#[test]
fn f2_17_a_target_never_exceeds_the_grant_and_its_scope_picks_the_audience() {
    let live = line().live(&catalogue(), now()).unwrap();
    let wide = "openid accounts:read payments:write email".parse().unwrap();
    let target = live.target(&wide, &[], &catalogue()).unwrap();
    assert_eq!(
        (target.audience.as_deref(), target.scope.to_string()),
        (Some(BANK), "accounts:read openid".into())
    );
    let openid = "openid".parse().unwrap();
    let target = live.target(&openid, &[], &catalogue()).unwrap();
    assert_eq!(target.audience, None, "nothing in it is for the bank's API");
    let named = live.target(&openid, &[BANK.to_owned()], &catalogue());
    assert_eq!(named, Err(AudienceFault::UnknownResource(BANK.to_owned())));
}

#[test]
fn f2_17_what_an_operator_takes_from_a_client_its_grants_lose() {
    let mut line = line();
    line.client_scope = "openid".parse().unwrap();
    let live = line.live(&catalogue(), now()).unwrap();
    assert_eq!((live.grant().scope.to_string().as_str(), live.grant().audience.len()), ("openid", 0));
}
