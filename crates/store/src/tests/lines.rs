//! Consents, grants, codes and tokens: what is above ends what is below.

use audit::EventKind;
use consent::{ConsentUpsert, ConsentWithdrawal};
use mfa::session::SessionEnd;
use protocol::client::GrantType;
use tokens::{
    grant::{GrantEnd, RefreshKind},
    presented::{Above, ClientRights},
};

use super::{Bench, commit, fixtures::*, suite};
use crate::hot::{Redemption, RefreshUse, Rotation};

suite!(
    interactions_round_trip,
    bcp_20_codes_are_bound_and_expire,
    bcp_09_refresh_tokens_age,
    access_tokens_round_trip,
    f2_17_the_line_has_the_consent_as_it_is_now,
    in_02_a_client_of_the_same_name_is_another,
    f2_17_a_clients_own_token_comes_with_its_rights,
    a_disabled_client_ends_what_it_holds,
    a_withdrawal_kills_what_is_below,
    bl_04_the_end_of_a_session_reaches_its_grants,
    consents_are_answered_once,
    a_dead_consent_is_superseded,
    denials_and_marks,
);

async fn interactions_round_trip(bench: Bench) {
    let record = interaction();
    bench.one.begin_interaction(&record).await.unwrap();
    assert_eq!(bench.other.interaction(record.id).await.unwrap(), Some(record.clone()));
    assert_eq!(commit!(bench.one, tx => tx.complete_interaction(record.id, 2, at(5))), 0);
    assert_eq!(commit!(bench.one, tx => tx.complete_interaction(record.id, 1, at(5))), 1);
    let read = bench.other.interaction(record.id).await.unwrap().unwrap();
    assert_eq!((read.version, read.completed_at), (2, Some(at(5))));
    assert_eq!(commit!(bench.one, tx => tx.complete_interaction(record.id, 2, at(6))), 0, "it is over");
}

async fn bcp_20_codes_are_bound_and_expire(bench: Bench) {
    connected(&bench).await;
    let (read, line) = bench.other.code(&code().digest).await.unwrap().unwrap();
    assert_eq!((read, &line.grant), (code(), &grant()));
    assert_eq!(line.user_roles, ["account-viewer"]);
    assert!(line.live(&catalogue(), at(1)).is_ok());
    let told = event(1, EventKind::CodeRedeemed);
    let redeem = async |client: &str, now| {
        let (code, client) = (&code().digest, &client.parse().unwrap());
        let redemption = Redemption { code, client, access: None, refresh: None, event: &told, now };
        bench.one.redeem_code(&redemption).await.unwrap()
    };
    assert_eq!(redeem("pocketwise", at(1)).await, 0);
    assert_eq!(redeem("ledgerline", at(60)).await, 0);
    assert_eq!(redeem("ledgerline", at(59)).await, 1);
    assert_eq!(redeem("ledgerline", at(59)).await, 0);
    let (read, _) = bench.other.code(&code().digest).await.unwrap().unwrap();
    assert_eq!(read.consumed_at, Some(at(59)), "a spent code is remembered");
    assert!(bench.other.code(&digest("another")).await.unwrap().is_none());
}

async fn bcp_09_refresh_tokens_age(bench: Bench) {
    connected(&bench).await;
    let stable = refresh(RefreshKind::Stable);
    let rotating =
        tokens::grant::RefreshRecord { digest: digest("rotating"), ..refresh(RefreshKind::Rotating) };
    commit!(bench.one, tx => async {
        tx.insert_refresh(&stable).await?;
        tx.insert_refresh(&rotating).await
    });
    let (read, line) = bench.other.refresh_token(&stable.digest).await.unwrap().unwrap();
    assert_eq!((&read, &line.grant), (&stable, &grant()));
    let told = event(1, EventKind::TokenRefreshed);
    let successor = tokens::grant::RefreshRecord { digest: digest("next"), ..refresh(RefreshKind::Rotating) };
    let rotate = async |presented, now| {
        let (presented, successor) = (&presented, &successor);
        let rotation = Rotation { presented, successor, access: None, event: &told, now };
        bench.one.rotate_refresh(&rotation).await.unwrap()
    };
    assert_eq!(rotate(stable.digest, at(1)).await, 0, "a stable one is never spent");
    assert_eq!(rotate(rotating.digest, at(1000)).await, 0, "idle for too long");
    assert_eq!(rotate(rotating.digest, at(999)).await, 1);
    assert_eq!(rotate(rotating.digest, at(999)).await, 0);
    for (number, to) in [None, Some(at(2000)), Some(at(1500)), Some(at(3001))].into_iter().enumerate() {
        let told = event(10 + number as u128, EventKind::TokenRefreshed);
        let used = RefreshUse { presented: &stable.digest, idle_expires_at: to, access: None, event: &told };
        bench.one.use_refresh(&used).await.unwrap();
        let (read, _) = bench.other.refresh_token(&stable.digest).await.unwrap().unwrap();
        let expected = if to.is_none() { stable.idle_expires_at } else { at(2000) };
        assert_eq!(read.idle_expires_at, expected, "only ever forward, and never beyond the end");
    }
}

async fn access_tokens_round_trip(bench: Bench) {
    connected(&bench).await;
    let with = access_token(Some(grant().id));
    let without = tokens::grant::AccessTokenRecord { digest: digest("own"), ..access_token(None) };
    commit!(bench.one, tx => async {
        tx.insert_access_token(&with).await?;
        tx.insert_access_token(&without).await
    });
    let (read, above) = bench.other.access_token(&with.digest).await.unwrap().unwrap();
    let Above::Grant(line) = above else { panic!("{above:?}") };
    assert_eq!((&read, line.grant), (&with, grant()));
    let (read, above) = bench.other.access_token(&without.digest).await.unwrap().unwrap();
    assert_eq!(read, without);
    let Above::Client(Some(rights)) = above else { panic!("{above:?}") };
    assert_eq!((Some(rights.scope), rights.client_credentials), (client().metadata.scope, false));
    assert_eq!(commit!(bench.one, tx => tx.revoke_access_token(&with.digest, at(7))), 1);
    assert_eq!(commit!(bench.one, tx => tx.revoke_access_token(&with.digest, at(8))), 0);
    let (read, _) = bench.other.access_token(&with.digest).await.unwrap().unwrap();
    assert_eq!(read.revoked_at, Some(at(7)));
    assert!(bench.other.access_token(&digest("unknown")).await.unwrap().is_none());
}

async fn f2_17_the_line_has_the_consent_as_it_is_now(bench: Bench) {
    connected(&bench).await;
    let line = async || bench.other.grant_line(grant().id).await.unwrap().unwrap();
    let before = line().await;
    assert_eq!((before.consent_scope, before.consent_resources), (consent(30).scope, consent(30).resources));
    let record = consent::ConsentRecord {
        scope: "openid".parse().unwrap(),
        resources: vec![],
        version: 2,
        ..consent(30)
    };
    let narrower = ConsentUpsert::Replace { record, expected_version: 1 };
    assert_eq!(commit!(bench.one, tx => tx.put_consent(&narrower)), 1);
    let after = line().await;
    assert_eq!(after.grant, grant(), "the grant itself stays as it was given");
    assert_eq!((after.consent_scope.to_string(), &after.consent_resources), ("openid".to_owned(), &vec![]));
    let live = after.live(&catalogue(), at(6)).unwrap();
    assert_eq!((live.grant().scope.to_string(), &live.grant().audience), ("openid".to_owned(), &vec![]));
}

/// A token that was issued in the second in which the fixture's client began.
const IAT: i64 = 1_800_000_000;

/// A client that is registered under the name of one that was deleted does not inherit its tokens.
async fn in_02_a_client_of_the_same_name_is_another(bench: Bench) {
    let client = |seconds| tokens::client::ClientRecord { created_at: at(seconds), ..client() };
    let token = access_token(None);
    let counts = async |iat| {
        let (_, own) = bench.other.above_jwt(token.id, None, &app(), iat).await.unwrap();
        let (_, opaque) = bench.other.access_token(&token.digest).await.unwrap().unwrap();
        let enabled = |above| matches!(above, Above::Client(Some(_)));
        (enabled(own), enabled(opaque))
    };
    commit!(bench.one, tx => async {
        tx.put_client(&client(0)).await?;
        tx.insert_access_token(&token).await
    });
    assert_eq!(counts(IAT).await, (true, true), "in the second in which it began");
    assert_eq!(counts(IAT - 1).await, (false, true));
    commit!(bench.one, tx => tx.remove_client(&app()));
    assert_eq!(counts(IAT).await, (false, false));
    commit!(bench.one, tx => tx.put_client(&client(100)));
    assert_eq!(counts(IAT + 99).await, (false, false));
    assert_eq!(counts(IAT + 100).await, (true, false));
}

/// What an operator takes from a client shows with its own tokens at once (F2-17).
async fn f2_17_a_clients_own_token_comes_with_its_rights(bench: Bench) {
    let own = access_token(None);
    let mut record = client();
    record.metadata.grant_types = Some(vec![GrantType::AuthorizationCode, GrantType::ClientCredentials]);
    record.metadata.authorization_details_types = vec!["payment_initiation".into()];
    let rights = async || {
        let (_, jwt) = bench.other.above_jwt(own.id, None, &app(), IAT).await.unwrap();
        let (_, opaque) = bench.other.access_token(&own.digest).await.unwrap().unwrap();
        let (Above::Client(Some(jwt)), Above::Client(Some(opaque))) = (jwt, opaque) else { panic!() };
        assert_eq!(jwt, opaque);
        jwt
    };
    commit!(bench.one, tx => async {
        tx.put_client(&record).await?;
        tx.insert_access_token(&own).await
    });
    let all = ClientRights {
        client_credentials: true,
        scope: "openid accounts:read".parse().unwrap(),
        detail_types: vec!["payment_initiation".into()],
    };
    assert_eq!(rights().await, all);
    (record.metadata.scope, record.metadata.grant_types) = (None, None);
    record.metadata.authorization_details_types.clear();
    commit!(bench.one, tx => tx.put_client(&record));
    assert_eq!(rights().await, ClientRights::default());
}

async fn a_disabled_client_ends_what_it_holds(bench: Bench) {
    connected(&bench).await;
    let line = async || bench.other.grant_line(grant().id).await.unwrap().unwrap();
    assert!(line().await.live(&catalogue(), at(6)).is_ok());
    let id = access_token(None).id;
    let own = async |client: &str| {
        let (denied, above) = bench.other.above_jwt(id, None, &client.parse().unwrap(), IAT).await.unwrap();
        let Above::Client(rights) = above else { panic!("{above:?}") };
        assert!(!denied);
        rights.is_some()
    };
    assert!(own("ledgerline").await);
    assert!(!own("nobody").await);
    let (_, above) = bench.other.above_jwt(id, Some(grant().id), &app(), IAT).await.unwrap();
    assert!(matches!(above, Above::Grant(line) if line.grant == grant()));
    let gone = protocol::GrantId(uuid::Uuid::from_u128(99));
    let (denied, above) = bench.other.above_jwt(id, Some(gone), &app(), IAT).await.unwrap();
    assert!(!denied && matches!(above, Above::Nothing));
    let disabled = tokens::client::ClientRecord { disabled: true, ..client() };
    commit!(bench.one, tx => tx.put_client(&disabled));
    assert_eq!(line().await.live(&catalogue(), at(6)).unwrap_err(), GrantEnd::ClientDisabled);
    assert!(!own("ledgerline").await);
}

async fn a_withdrawal_kills_what_is_below(bench: Bench) {
    connected(&bench).await;
    let stranger = protocol::UserId(uuid::Uuid::from_u128(2));
    let withdrawal = |user| ConsentWithdrawal { id: consent(30).id, user, at: at(5) };
    assert_eq!(commit!(bench.one, tx => tx.withdraw_consent(&withdrawal(stranger))), 0);
    assert_eq!(commit!(bench.one, tx => tx.withdraw_consent(&withdrawal(ALICE))), 1);
    assert_eq!(commit!(bench.one, tx => tx.withdraw_consent(&withdrawal(ALICE))), 0);
    // Issued by a node that had read the consent before: born dead.
    commit!(bench.other, tx => tx.insert_access_token(&access_token(Some(grant().id))));
    let (_, above) = bench.one.access_token(&access_token(None).digest).await.unwrap().unwrap();
    let Above::Grant(line) = above else { panic!("{above:?}") };
    assert_eq!(line.live(&catalogue(), at(6)).unwrap_err(), GrantEnd::ConsentWithdrawn);
}

async fn bl_04_the_end_of_a_session_reaches_its_grants(bench: Bench) {
    connected(&bench).await;
    let with = |id, session_bound| tokens::grant::GrantRecord {
        id: protocol::GrantId(uuid::Uuid::from_u128(id)),
        session_bound,
        expires_at: at(9000),
        ..grant()
    };
    let (bound, lasting) = (with(41, true), with(42, false));
    commit!(bench.one, tx => async {
        tx.insert_grant(&bound).await?;
        tx.insert_grant(&lasting).await
    });
    let line = async |id| bench.other.grant_line(id).await.unwrap().unwrap();
    assert!(line(bound.id).await.live(&catalogue(), at(6)).is_ok());
    let end = SessionEnd { id: session(10).session.id, user: ALICE, at: at(5) };
    assert_eq!(commit!(bench.one, tx => tx.end_session(&end)), 1);
    assert_eq!(line(bound.id).await.live(&catalogue(), at(6)).unwrap_err(), GrantEnd::SessionEnded);
    assert!(line(lasting.id).await.live(&catalogue(), at(6)).is_ok());
    // The session's row is swept before that of a lasting grant.
    let plan = crate::SweepPlan { now: at(7201), attempts_before: at(0), batch: 9 };
    bench.one.sweep(&plan).await.unwrap();
    assert_eq!(bench.other.session(end.id).await.unwrap(), None);
    assert_eq!(line(bound.id).await.live(&catalogue(), at(6)).unwrap_err(), GrantEnd::SessionEnded);
    assert!(line(lasting.id).await.live(&catalogue(), at(6)).is_ok());
}

async fn consents_are_answered_once(bench: Bench) {
    connected(&bench).await;
    assert_eq!(bench.other.consent(ALICE, &app()).await.unwrap(), Some(consent(30)));
    assert_eq!(commit!(bench.one, tx => tx.put_consent(&create(consent(31)))), 0, "one is open");
    let wider = consent::ConsentRecord {
        scope: "openid accounts:read balances:read".parse().unwrap(),
        resources: vec![],
        updated_at: at(7),
        expires_at: None,
        version: 2,
        ..consent(30)
    };
    let replace = ConsentUpsert::Replace { record: wider.clone(), expected_version: 1 };
    assert_eq!(commit!(bench.one, tx => tx.put_consent(&replace)), 1);
    assert_eq!(commit!(bench.one, tx => tx.put_consent(&replace)), 0);
    assert_eq!(bench.other.consent_by_id(wider.id).await.unwrap(), Some(wider));
}

async fn a_dead_consent_is_superseded(bench: Bench) {
    connected(&bench).await;
    let next = |granted| {
        let record = consent::ConsentRecord {
            granted_at: granted,
            updated_at: granted,
            expires_at: None,
            ..consent(31)
        };
        ConsentUpsert::Create { record, supersedes: Some(consent(30).id) }
    };
    assert_eq!(commit!(bench.one, tx => tx.put_consent(&next(at(4999)))), 0, "the first still stands");
    assert_eq!(commit!(bench.one, tx => tx.put_consent(&next(at(5000)))), 1);
    assert_eq!(bench.other.consent(ALICE, &app()).await.unwrap().unwrap().id, consent(31).id);
    let all = bench.other.consents_of(ALICE).await.unwrap();
    let ends: Vec<_> = all.iter().map(|record| record.withdrawn_at).collect();
    assert_eq!(ends, [None, Some(at(5000))]);
    // Withdrawn ones are still found, if there is nothing newer.
    let withdrawal = ConsentWithdrawal { id: consent(31).id, user: ALICE, at: at(6000) };
    commit!(bench.one, tx => tx.withdraw_consent(&withdrawal));
    let last = bench.other.consent(ALICE, &app()).await.unwrap().unwrap();
    assert_eq!((last.id, last.withdrawn_at), (consent(31).id, Some(at(6000))));
}

async fn denials_and_marks(bench: Bench) {
    let id = access_token(None).id;
    assert!(!bench.other.is_denied(id).await.unwrap());
    assert_eq!(commit!(bench.one, tx => tx.deny_token(id, at(300))), 1);
    assert_eq!(commit!(bench.one, tx => tx.deny_token(id, at(300))), 0);
    assert!(bench.other.is_denied(id).await.unwrap());
    assert!(bench.other.above_jwt(id, None, &app(), IAT).await.unwrap().0);
    let seen = |kind| mark(kind, "jti", at(60));
    let once = async |kind| bench.one.mark_once(&seen(kind)).await.unwrap();
    assert_eq!((once("assertion").await, once("assertion").await, once("proof").await), (1, 0, 1));
    // One that was seen does not keep the other from being marked.
    let both = async |first, second| bench.one.mark_both(&first, &second).await.unwrap();
    assert_eq!(both(seen("assertion"), mark("proof", "new", at(60))).await, (0, 1));
    assert_eq!(both(mark("assertion", "new", at(60)), seen("proof")).await, (1, 0));
    assert_eq!(both(seen("assertion"), seen("proof")).await, (0, 0));
    assert_eq!(both(mark("assertion", "last", at(60)), mark("proof", "last", at(60))).await, (1, 1));
}
