use protocol::client::AuthMethod;
use rstest::rstest;
use uuid::Uuid;

use super::*;
use crate::{
    checks::tests::{BANK, CARDS, catalogue},
    client::{
        Client,
        tests::{client, confidential},
    },
    grant::tests::{line, now},
};

fn days(count: i64) -> Duration {
    Duration::days(count)
}

/// A grant that lasts a year under a consent without end.
fn lasting() -> GrantLine {
    let mut line = line();
    line.grant.session_bound = false;
    line.grant.expires_at = now() + days(365);
    line.consent_expires_at = None;
    line
}

struct Case {
    client: Client,
    request: RefreshRequest,
    record: RefreshRecord,
    line: GrantLine,
}

/// A right refresh of a token that the client got ten days ago.
fn case_of(client: Client) -> Case {
    let line = lasting();
    let grant = line.clone().live(&catalogue(), now()).unwrap();
    let issued = now() - days(10);
    let (token, record) = first_refresh_token(
        &Sender::for_tests(client.clone()),
        &grant,
        &TokenPolicy::default(),
        [1; 32],
        issued,
    )
    .unwrap();
    Case {
        client,
        request: RefreshRequest { refresh_token: token, scope: None, resources: Vec::new(), details: None },
        record,
        line,
    }
}

fn case() -> Case {
    case_of(client())
}

impl Case {
    fn run(self) -> Result<Refreshable, RefreshRefusal> {
        let sender = Sender::for_tests(self.client);
        refresh(&sender, &self.request, Some((self.record, self.line)), &catalogue(), now())
    }

    fn scope(mut self, scope: &str) -> Result<String, RefreshRefusal> {
        self.request.scope = Some(scope.parse().unwrap());
        self.run().map(|refreshable| refreshable.target().scope.to_string())
    }
}

fn rotated(ageing: Ageing) -> (Digest, RefreshToken, RefreshRecord) {
    match ageing {
        Ageing::Rotate { presented, token, successor } => (presented, token, *successor),
        Ageing::Keep { .. } | Ageing::Renew { .. } => panic!("{ageing:?}"),
    }
}

fn touch(ageing: &Ageing) -> Option<DateTime<Utc>> {
    match ageing {
        Ageing::Keep { touch, .. } => *touch,
        Ageing::Rotate { .. } | Ageing::Renew { .. } => panic!("{ageing:?}"),
    }
}

#[test]
fn bcp_08_a_public_clients_token_is_replaced_at_every_use() {
    let before = case().record;
    let refreshable = case().run().unwrap();
    let (presented, token, successor) = rotated(refreshable.ageing(&TokenPolicy::default(), [2; 32], now()));
    assert_eq!(presented, before.digest);
    assert_eq!(successor.digest, sha256(token.expose()));
    assert_ne!(successor.digest, before.digest);
    assert_eq!((successor.grant, successor.kind), (before.grant, RefreshKind::Rotating));
    assert_eq!((successor.issued_at, successor.consumed_at), (now(), None));
    assert_eq!(successor.idle_expires_at, now() + days(30));
    assert_eq!(successor.expires_at, before.expires_at, "a family never outlives its first token");
}

#[test]
fn bcp_09_a_successor_is_never_idle_beyond_its_familys_end() {
    let mut case = case();
    case.record.expires_at = now() + days(5);
    let (_, _, successor) = rotated(case.run().unwrap().ageing(&TokenPolicy::default(), [2; 32], now()));
    assert_eq!(successor.idle_expires_at, now() + days(5));
    assert_eq!(successor.expires_at, now() + days(5));
}

#[test]
fn bcp_08_reuse_ends_the_family() {
    let mut used = case();
    used.record.consumed_at = Some(now() - days(1));
    let grant = used.record.grant;
    let expected = RefreshRefusal { fault: RefreshFault::Reused, revoke: Some(grant) };
    assert_eq!(used.run().unwrap_err(), expected);

    let mut long_ago = case();
    long_ago.record.consumed_at = Some(now() - days(100));
    long_ago.record.idle_expires_at = now() - days(50);
    assert_eq!(long_ago.run().unwrap_err(), expected, "an expired token can be stolen as well");

    assert_eq!(case().run().unwrap().lost(), expected, "whoever comes second reuses, too");
}

#[test]
fn bcp_08_a_confidential_clients_token_stays() {
    let case = case_of(confidential(AuthMethod::ClientSecretBasic));
    let before = case.record.clone();
    assert_eq!(before.kind, RefreshKind::Stable);
    let ageing = case.run().unwrap().ageing(&TokenPolicy::default(), [2; 32], now());
    assert!(matches!(ageing, Ageing::Keep { digest, .. } if digest == before.digest));
    assert_eq!(touch(&ageing), Some(now() + days(30)));
}

/// Who could prove who it is and no longer can keeps nothing that it was given on that proof.
#[test]
fn bcp_08_a_stable_token_of_a_client_that_became_public_gives_nothing() {
    let stable = case_of(confidential(AuthMethod::ClientSecretBasic));
    let downgraded = Case { client: client(), ..stable };
    assert_eq!(
        downgraded.run().unwrap_err(),
        RefreshRefusal { fault: RefreshFault::Confidential, revoke: None }
    );
}

#[test]
fn f2_13_while_tokens_are_migrated_the_old_one_goes_on_for_a_while() {
    let mut client = confidential(AuthMethod::ClientSecretBasic);
    client.settings.refresh_rotation_grace = Some(600);
    let renewed = |record: &RefreshRecord| {
        let case = Case { record: record.clone(), ..case_of(client.clone()) };
        match case.run().unwrap().ageing(&TokenPolicy::default(), [2; 32], now()) {
            Ageing::Renew { presented, until, successor, .. } => (presented, until, *successor),
            other => panic!("{other:?}"),
        }
    };
    let before = case_of(client.clone()).record;
    let (presented, until, successor) = renewed(&before);
    assert_eq!((presented, until), (before.digest, now() + Duration::seconds(600)));
    assert!(successor.digest != before.digest && successor.kind == RefreshKind::Stable);
    // Again with the one that was replaced: the near end of that one is not its successor's.
    let replaced = RefreshRecord { expires_at: until, idle_expires_at: until, ..before };
    let (_, _, second) = renewed(&replaced);
    assert_eq!(
        (second.expires_at, second.idle_expires_at),
        (successor.expires_at, successor.idle_expires_at)
    );
    assert_eq!(second.idle_expires_at, now() + days(30));
    let lost = case_of(client.clone()).run().unwrap().lost();
    assert_eq!(lost, RefreshRefusal { fault: RefreshFault::Expired, revoke: None });
}

#[rstest]
#[case::at_once(0, false)]
#[case::soon(59, false)]
#[case::after_a_minute(60, true)]
fn a_stable_token_is_touched_at_most_once_a_minute(#[case] seconds: i64, #[case] touched: bool) {
    let mut case = case_of(confidential(AuthMethod::ClientSecretBasic));
    case.record.idle_expires_at = now() + days(30);
    let later = now() + Duration::seconds(seconds);
    let ageing = case.run().unwrap().ageing(&TokenPolicy::default(), [2; 32], later);
    assert_eq!(touch(&ageing), touched.then_some(later + days(30)));
}

#[test]
fn bcp_09_a_stable_token_is_never_touched_beyond_its_end() {
    let mut case = case_of(confidential(AuthMethod::ClientSecretBasic));
    case.record.expires_at = now() + days(1);
    case.record.idle_expires_at = now() + days(1);
    let refreshable = case.run().unwrap();
    assert_eq!(touch(&refreshable.ageing(&TokenPolicy::default(), [2; 32], now())), None);
}

#[rstest]
#[case::idle(|c: &mut Case| c.record.idle_expires_at = now(), RefreshFault::Expired)]
#[case::old(|c: &mut Case| c.record.expires_at = now(), RefreshFault::Expired)]
#[case::revoked(|c: &mut Case| c.line.grant.revoked_at = Some(now()), RefreshFault::Ended(GrantEnd::Revoked))]
#[case::withdrawn(
    |c: &mut Case| c.line.consent_withdrawn_at = Some(now()),
    RefreshFault::Ended(GrantEnd::ConsentWithdrawn)
)]
#[case::consent_expired(
    |c: &mut Case| c.line.consent_expires_at = Some(now()),
    RefreshFault::Ended(GrantEnd::ConsentExpired)
)]
#[case::disabled(
    |c: &mut Case| c.line.user_disabled_at = Some(now()),
    RefreshFault::Ended(GrantEnd::UserDisabled)
)]
#[case::client_disabled(
    |c: &mut Case| c.line.client_disabled = true,
    RefreshFault::Ended(GrantEnd::ClientDisabled)
)]
#[case::consent_narrowed_away(
    |c: &mut Case| c.line.consent_scope = "email".parse().unwrap(),
    RefreshFault::Ended(GrantEnd::NothingLeft)
)]
#[case::roles_lost(
    |c: &mut Case| { c.line.grant.scope = "accounts:read".parse().unwrap(); c.line.user_roles.clear(); },
    RefreshFault::Ended(GrantEnd::NothingLeft)
)]
#[case::logged_out(
    |c: &mut Case| { c.line.grant.session_bound = true; c.line.session_ended_at = Some(now()); },
    RefreshFault::Ended(GrantEnd::SessionEnded)
)]
#[case::not_registered(
    |c: &mut Case| { c.client.grant_types.remove(&GrantType::RefreshToken); },
    RefreshFault::GrantNotAllowed
)]
fn bcp_09_bl_04_what_is_over_gives_nothing_and_revokes_nothing(
    #[case] change: fn(&mut Case),
    #[case] fault: RefreshFault,
) {
    let mut case = case();
    change(&mut case);
    assert_eq!(case.run().unwrap_err(), RefreshRefusal { fault, revoke: None });
}

#[test]
fn an_unknown_token_gives_nothing() {
    let client = Sender::for_tests(client());
    let refused = refresh(&client, &case().request, None, &catalogue(), now()).unwrap_err();
    assert_eq!(refused, RefreshRefusal { fault: RefreshFault::Unknown, revoke: None });
}

#[rstest]
#[case::fresh(|_: &mut Case| ())]
#[case::used(|c: &mut Case| c.record.consumed_at = Some(now()))]
#[case::expired(|c: &mut Case| c.record.expires_at = now())]
fn dp_15_rf_01_another_clients_presentation_ends_nothing(#[case] change: fn(&mut Case)) {
    let mut case = case();
    change(&mut case);
    case.record.client = "other".parse().unwrap();
    let expected = RefreshRefusal { fault: RefreshFault::OtherClient, revoke: None };
    assert_eq!(case.run().unwrap_err(), expected);
}

#[test]
fn rf_01_scope_narrows_and_never_widens() {
    assert_eq!(case().run().unwrap().target().scope.to_string(), "accounts:read openid");
    assert_eq!(case().scope("accounts:read").as_deref(), Ok("accounts:read"));
    assert_eq!(case().scope("openid accounts:read").as_deref(), Ok("accounts:read openid"));
    let wider = RefreshRefusal { fault: RefreshFault::ScopeWider, revoke: None };
    for scope in ["accounts:read payments:write", "profile", "gold"] {
        assert_eq!(case().scope(scope), Err(wider.clone()), "{scope}");
    }
}

#[test]
fn rf_01_narrowing_leaves_the_grant_as_it_was() {
    let mut case = case();
    case.request.scope = Some("accounts:read".parse().unwrap());
    let refreshable = case.run().unwrap();
    assert_eq!(refreshable.grant().grant().scope.to_string(), "accounts:read openid");
}

#[test]
fn f2_17_rf_01_a_narrowed_consent_narrows_the_next_refresh() {
    let mut case = case();
    case.line.grant.scope = "openid profile accounts:read".parse().unwrap();
    case.line.consent_scope = "openid accounts:read".parse().unwrap();
    assert_eq!(case.run().unwrap().target().scope.to_string(), "accounts:read openid");

    let mut lost = self::case();
    lost.line.user_roles.clear();
    let refreshable = lost.run().unwrap();
    assert_eq!(
        (refreshable.target().scope.to_string(), &refreshable.target().audience),
        ("openid".into(), &None)
    );

    let mut asks = self::case();
    asks.line.user_roles.clear();
    assert_eq!(asks.scope("openid accounts:read").unwrap_err().fault, RefreshFault::ScopeWider);
}

#[test]
fn ri_01_a_resource_for_which_no_scope_is_left_is_no_target() {
    let mut case = case();
    case.line.user_roles.clear();
    case.request.resources = vec![BANK.to_owned()];
    let unknown = RefreshFault::Audience(AudienceFault::UnknownResource(BANK.to_owned()));
    assert_eq!(case.run().unwrap_err(), RefreshRefusal { fault: unknown.clone(), revoke: None });

    let mut narrowed = self::case();
    narrowed.request.scope = Some("openid".parse().unwrap());
    narrowed.request.resources = vec![BANK.to_owned()];
    assert_eq!(narrowed.run().unwrap_err().fault, unknown);
}

#[test]
fn o21_04_a_scope_without_any_token_counts_as_none() {
    assert_eq!(case().scope(" ").as_deref(), Ok("accounts:read openid"));
}

#[test]
fn ri_01_resource_only_narrows() {
    let over_two = |resources: &[&str]| {
        let mut case = case();
        case.line.grant.scope = "openid accounts:read cards:read".parse().unwrap();
        case.line.grant.audience = vec![BANK.to_owned(), CARDS.to_owned()];
        case.line.consent_scope = case.line.grant.scope.clone();
        case.line.consent_resources = case.line.grant.audience.clone();
        case.line.user_roles = vec!["account-viewer".into(), "card-viewer".into()];
        case.request.resources = resources.iter().map(|&resource| resource.to_owned()).collect();
        case.run().map(|refreshable| refreshable.target().clone()).map_err(|refusal| refusal.fault)
    };
    let cards = TokenTarget { audience: Some(CARDS.into()), scope: "cards:read openid".parse().unwrap() };
    assert_eq!(over_two(&[CARDS]), Ok(cards));
    let ambiguous = AudienceFault::Ambiguous(vec![BANK.into(), CARDS.into()]);
    assert_eq!(over_two(&[]), Err(RefreshFault::Audience(ambiguous.clone())));
    assert_eq!(over_two(&[BANK, CARDS]), Err(RefreshFault::Audience(ambiguous)));
    let foreign = "https://vault.example/api";
    let unknown = AudienceFault::UnknownResource(foreign.into());
    assert_eq!(over_two(&[foreign]), Err(RefreshFault::Audience(unknown)));
}

#[test]
fn a_first_token_is_for_clients_that_may_refresh() {
    let grant = lasting().live(&catalogue(), now()).unwrap();
    let policy = TokenPolicy::default();
    let (token, record) =
        first_refresh_token(&Sender::for_tests(client()), &grant, &policy, [7; 32], now()).unwrap();
    assert_eq!(record.digest, sha256(token.expose()));
    assert_eq!((record.grant, record.client.as_str()), (grant.grant().id, "app"));
    assert_eq!(record.idle_expires_at, now() + days(30));
    assert_eq!(record.expires_at, now() + days(180));
    assert_eq!((record.issued_at, record.consumed_at), (now(), None));
    let mut never = client();
    never.grant_types.remove(&GrantType::RefreshToken);
    assert!(first_refresh_token(&Sender::for_tests(never), &grant, &policy, [7; 32], now()).is_none());
}

/// Consent, session and grant each bound what is issued below them.
#[rstest]
#[case::consent(|l: &mut GrantLine| l.consent_expires_at = Some(now() + days(3)))]
#[case::grant(|l: &mut GrantLine| l.grant.expires_at = now() + days(3))]
#[case::session(|l: &mut GrantLine| {
    l.grant.session_bound = true;
    l.session_expires_at = Some(now() + days(3));
})]
fn refresh_lifetimes_never_outlive_consent(#[case] change: fn(&mut GrantLine)) {
    let mut line = lasting();
    change(&mut line);
    let end = now() + days(3);
    let grant = line.clone().live(&catalogue(), now()).unwrap();
    let policy = TokenPolicy::default();
    let (_, first) =
        first_refresh_token(&Sender::for_tests(client()), &grant, &policy, [7; 32], now()).unwrap();
    assert_eq!((first.idle_expires_at, first.expires_at), (end, end));

    // A token from before the consent was shortened.
    let case = Case { line, ..case() };
    let (_, _, successor) = rotated(case.run().unwrap().ageing(&policy, [2; 32], now()));
    assert_eq!(successor.idle_expires_at, end);
}

#[test]
fn a_family_is_one_grant() {
    let mut case = case();
    case.record.grant = GrantId(Uuid::from_u128(77));
    case.record.consumed_at = Some(now());
    assert_eq!(case.run().unwrap_err().revoke, Some(GrantId(Uuid::from_u128(77))));
}
