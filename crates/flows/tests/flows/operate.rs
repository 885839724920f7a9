//! What operators change one by one, and what becomes of tokens then.
#![allow(clippy::cognitive_complexity, reason = "a test reads best as one list of assertions")]

use audit::{Actor, EventKind};
use chrono::TimeDelta;
use flows::{
    operate::{ClientDraft, NewUser, OperateFault},
    visitor::Cookies,
};
use jose::Algorithm;
use keys::KeyState;
use mfa::PasswordWeakness;
use protocol::{
    ScopeToken,
    claims::StandardClaims,
    client::{AuthMethod, ClientMetadata, GrantType},
    secret::{ClientSecret, Password},
};
use serde_json::json;

use super::bank::{API, Bank, context, params};

on_both_engines!(
    a_deleted_client_takes_its_tokens_along,
    a_replaced_client_secret_counts_for_a_while,
    in_01_a_replaced_introspection_secret_counts_for_a_while,
    clients_are_registered_by_the_rules,
    a_change_of_method_brings_or_takes_the_secret,
    what_is_named_stays_in_the_catalogue,
    bcp_09_a_set_password_ends_sessions_and_grants,
    users_come_and_go_by_the_rules,
    a_consent_is_revoked_once,
    a_rotated_key_waits_until_it_is_known,
    a_forced_key_signs_at_once,
    there_is_always_a_key_that_signs,
);

const GOOD: &str = "violet-harbour-lantern-41";

fn draft(redirect_uri: &str) -> ClientDraft {
    let metadata = ClientMetadata {
        redirect_uris: vec![redirect_uri.to_owned()],
        id_token_signed_response_alg: Some("ES256".to_owned()),
        ..ClientMetadata::default()
    };
    ClientDraft { metadata, ..ClientDraft::default() }
}

fn own_token(secret: &str) -> String {
    format!("grant_type=client_credentials&client_id=batch&client_secret={secret}&scope=accounts:read")
}

async fn a_deleted_client_takes_its_tokens_along(bank: Bank) {
    let tokens = super::connected(&bank, "openid accounts:read").await;
    let own = bank.token(&own_token("batch-secret")).await.unwrap();
    let operate = bank.service.operate("alex");
    let app = "app".parse().unwrap();

    let ended = operate.delete_client(&app).await.unwrap().unwrap();
    assert_eq!((ended.consents, ended.grants, ended.removed), (1, 1, false));
    assert_eq!(bank.introspect(&tokens).await, json!({ "active": false }));
    assert_eq!(bank.refresh(&tokens, "").await, Err("grant_revoked".to_owned()));
    assert!(bank.service.reload().await.unwrap(), "every node notices");
    assert!(bank.service.client("app").await.unwrap().is_none());
    let record = bank.service.store().client(&app).await.unwrap().unwrap();
    assert!(record.disabled && record.secrets.is_empty(), "evidence stays, secrets go");
    let again = operate.delete_client(&app).await.unwrap();
    assert!(matches!(again, Err(OperateFault::NotFound { .. })), "{again:?}");
    let reborn = operate.create_client(app.clone(), draft("https://app.example/cb"), None).await.unwrap();
    assert_eq!(reborn.unwrap_err(), OperateFault::Deleted(app));

    let batch = "batch".parse().unwrap();
    assert!(operate.delete_client(&batch).await.unwrap().unwrap().removed, "nobody consented to it");
    assert_eq!(bank.introspect(&own).await, json!({ "active": false }));
    // Its name is free again; who gets it is another client, and gets none of its tokens.
    bank.advance(TimeDelta::seconds(1));
    let metadata = ClientMetadata {
        token_endpoint_auth_method: Some(AuthMethod::ClientSecretPost),
        grant_types: Some(vec![GrantType::ClientCredentials]),
        scope: Some("accounts:read".parse().unwrap()),
        ..ClientMetadata::default()
    };
    let (draft, secret) = (ClientDraft { metadata, ..ClientDraft::default() }, "another-secret-of-batch");
    operate.create_client(batch, draft, Some(ClientSecret::new(secret))).await.unwrap().unwrap();
    bank.service.reload().await.unwrap();
    assert_eq!(bank.introspect(&own).await, json!({ "active": false }), "IN-02");
    let new = bank.token(&own_token(secret)).await.unwrap();
    assert_eq!(bank.introspect(&new).await["active"], true);
    let deleted = bank.events(EventKind::ClientDeleted).await;
    assert_eq!(deleted.len(), 2);
    assert!(deleted.iter().all(|event| event.actor == Actor::Operator && event.detail["operator"] == "alex"));
}

async fn a_replaced_client_secret_counts_for_a_while(bank: Bank) {
    let operate = bank.service.operate("alex");
    let batch = "batch".parse().unwrap();
    let rotate = async |given: Option<&str>, keep_old| {
        let given = given.map(ClientSecret::new);
        let rotated = operate.rotate_client_secret(&batch, given, keep_old).await.unwrap();
        bank.service.reload().await.unwrap();
        rotated.map(|rotated| rotated.secret.unwrap().expose().to_owned())
    };
    let works = async |secret: &str| bank.token(&own_token(secret)).await.is_ok();

    let new = rotate(None, TimeDelta::hours(24)).await.unwrap();
    assert!(new.len() >= 43, "256 bits");
    assert!(works("batch-secret").await && works(&new).await);
    bank.advance(TimeDelta::hours(23));
    let newer = rotate(None, TimeDelta::hours(24)).await.unwrap();
    bank.advance(TimeDelta::hours(1));
    assert!(!works("batch-secret").await, "a second rotation does not prolong it");
    assert!(works(&new).await && works(&newer).await);
    let last = rotate(Some("a-secret-of-my-own-choice"), TimeDelta::zero()).await.unwrap();
    assert!(works(&last).await && !works(&newer).await && !works(&new).await);
    assert!(matches!(rotate(Some("short"), TimeDelta::zero()).await, Err(OperateFault::Rules(_))));
    assert!(works(&last).await);
    assert_eq!(bank.events(EventKind::ClientSecretRotated).await.len(), 3);
}

async fn in_01_a_replaced_introspection_secret_counts_for_a_while(bank: Bank) {
    let tokens = bank.token(&own_token("batch-secret")).await.unwrap();
    let token = tokens["access_token"].as_str().unwrap();
    let operate = bank.service.operate("alex");
    let rotated = operate.rotate_resource_server_secret(API, None, TimeDelta::hours(1));
    let new = rotated.await.unwrap().unwrap().secret.unwrap();
    bank.service.reload().await.unwrap();
    let answers = async |secret: &str| {
        let form = format!("token={token}&client_id=bank-api&client_secret={secret}");
        bank.service.introspect(&context(), None, &params(&form), false).await.unwrap().is_ok()
    };
    assert!(answers("api-secret").await && answers(new.expose()).await && !answers("another").await);
    bank.advance(TimeDelta::hours(1));
    assert!(!answers("api-secret").await && answers(new.expose()).await);
    let unknown = operate.rotate_resource_server_secret("https://x", None, TimeDelta::zero());
    assert!(matches!(unknown.await.unwrap(), Err(OperateFault::NotFound { .. })));
}

async fn clients_are_registered_by_the_rules(bank: Bank) {
    let operate = bank.service.operate("alex");
    let create = async |id: &str, draft, secret: Option<&str>| {
        operate.create_client(id.parse().unwrap(), draft, secret.map(ClientSecret::new)).await.unwrap()
    };
    let mut wrong = draft("http://app.example/cb");
    wrong.metadata.scope = Some("openid made:up".parse().unwrap());
    wrong.metadata.client_name = Some(" ".to_owned());
    let OperateFault::Rules(faults) = create("new", wrong, None).await.unwrap_err() else { panic!("rules") };
    for part in ["redirect_uris: http://app.example/cb", "client_name", "made:up is not declared"] {
        assert!(faults.iter().any(|fault| fault.contains(part)), "{part} in {faults:?}");
    }
    let mut undeclared = draft("https://app.example/cb");
    undeclared.metadata.authorization_details_types = vec!["made_up".to_owned()];
    let fault = create("new", undeclared, None).await.unwrap_err();
    assert_eq!(fault.to_string(), "authorization_details_types: made_up is not declared");
    let mut rs256 = draft("https://app.example/cb");
    rs256.metadata.id_token_signed_response_alg = None;
    let fault = create("new", rs256, None).await.unwrap_err();
    assert!(fault.to_string().contains("RS256 is not among keys.algorithms"), "{fault}");
    assert!(bank.service.store().client(&"new".parse().unwrap()).await.unwrap().is_none());

    let made = create("new", draft("https://app.example/cb"), None).await.unwrap();
    assert!(made.secret.is_some());
    assert!(matches!(
        create("new", draft("https://app.example/cb"), None).await,
        Err(OperateFault::Exists { .. })
    ));
    let mut public = draft("https://app.example/cb");
    public.metadata.token_endpoint_auth_method = Some(AuthMethod::None);
    assert!(create("public", public.clone(), None).await.unwrap().secret.is_none());
    let fault = create("other", public, Some("a-secret-that-has-no-use")).await.unwrap_err();
    assert!(fault.to_string().contains("no use for a client secret"), "{fault}");
}

async fn a_change_of_method_brings_or_takes_the_secret(bank: Bank) {
    let operate = bank.service.operate("alex");
    let app = "app".parse().unwrap();
    let to = async |method| {
        let edit = |mut draft: ClientDraft| {
            draft.metadata.token_endpoint_auth_method = Some(method);
            Ok(draft)
        };
        operate.update_client(&app, edit).await.unwrap().unwrap()
    };
    let public = to(AuthMethod::None).await;
    assert!(public.secret.is_none() && public.record.secrets.is_empty());
    let confidential = to(AuthMethod::ClientSecretBasic).await;
    assert!(confidential.secret.is_some() && confidential.record.secrets.len() == 1);
    assert!(to(AuthMethod::ClientSecretPost).await.secret.is_none(), "the secret stays");
    let credentials = |mut draft: ClientDraft| {
        draft.metadata.grant_types = Some(vec![GrantType::RefreshToken]);
        Ok(draft)
    };
    let refused = operate.update_client(&app, credentials).await.unwrap();
    assert!(matches!(refused, Err(OperateFault::Rules(_))), "{refused:?}");
    let unread = operate.update_client(&app, |_| Err(vec!["unreadable".to_owned()])).await.unwrap();
    assert_eq!(unread.unwrap_err().to_string(), "unreadable");
}

async fn what_is_named_stays_in_the_catalogue(bank: Bank) {
    let tokens = super::connected(&bank, "openid accounts:read payments:write").await;
    let operate = bank.service.operate("alex");
    let name: ScopeToken = "payments:write".parse().unwrap();
    let kept = operate.delete_scope(&name, false).await.unwrap().unwrap_err();
    assert_eq!(kept.to_string(), "scope payments:write is still named by client app, client batch");
    let kept = operate.delete_resource_server(API).await.unwrap().unwrap_err();
    assert!(matches!(kept, OperateFault::InUse { .. }), "{kept}");

    let lost = operate.delete_scope(&name, true).await.unwrap().unwrap();
    assert_eq!(lost.len(), 2);
    bank.service.reload().await.unwrap();
    assert_eq!(bank.introspect(&tokens).await["scope"], "accounts:read", "F2-17");
    let missing = operate.delete_scope(&name, true).await.unwrap();
    assert!(matches!(missing, Err(OperateFault::NotFound { .. })));

    let name = "accounts:read".parse().unwrap();
    let lifetime = |seconds| {
        operate.update_scope(&name, move |scope| {
            Ok(consent::ScopeDefinition { max_lifetime: Some(seconds), ..scope })
        })
    };
    assert!(matches!(lifetime(0).await.unwrap(), Err(OperateFault::Rules(_))));
    assert_eq!(lifetime(60).await.unwrap().unwrap().max_lifetime, Some(60));
    let scope = bank.service.store().scopes().await.unwrap().pop().unwrap();
    let copy = |name: &str, role: &str| consent::ScopeDefinition {
        name: name.parse().unwrap(),
        roles: [role.parse().unwrap()].into(),
        ..scope.clone()
    };
    let fault = operate.create_scope(copy("openid", "unknown-role")).await.unwrap().unwrap_err();
    let OperateFault::Rules(faults) = fault else { panic!("{fault}") };
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(operate.create_scope(copy("balances:read", "account-viewer")).await.unwrap().is_ok());
    let twice = operate.create_scope(copy("balances:read", "account-viewer")).await.unwrap();
    assert!(matches!(twice, Err(OperateFault::Exists { .. })));
}

async fn bcp_09_a_set_password_ends_sessions_and_grants(bank: Bank) {
    let tokens = super::connected(&bank, "accounts:read").await;
    let operate = bank.service.operate("alex");
    let weak = operate.set_password("alice", Password::new("alice123")).await.unwrap().unwrap_err();
    assert!(matches!(weak, OperateFault::Weak(PasswordWeakness::Guessable(_))), "{weak}");
    assert_eq!(bank.introspect(&tokens).await["active"], true);
    let user = operate.set_password("Alice", Password::new(GOOD)).await.unwrap().unwrap();
    assert_eq!(bank.introspect(&tokens).await, json!({ "active": false }));
    assert!(bank.service.is_password_of(&user.username, &Password::new(GOOD)).await.unwrap());
    assert!(bank.service.store().sessions_of(user.id, bank.service.now()).await.unwrap().is_empty());
    let event = bank.events(EventKind::PasswordChanged).await.pop().unwrap();
    assert_eq!((event.actor, event.user), (Actor::Operator, Some(user.id)));
    let nobody = operate.set_password("nobody", Password::new(GOOD)).await.unwrap();
    assert!(matches!(nobody, Err(OperateFault::NotFound { .. })));
}

async fn users_come_and_go_by_the_rules(bank: Bank) {
    let operate = bank.service.operate("alex");
    let create = async |name: &str, password: Option<Password>, role: &str| {
        let new = NewUser {
            username: name.parse().unwrap(),
            password,
            claims: StandardClaims::default(),
            roles: vec![role.parse().unwrap()],
            second_factor: None,
        };
        operate.create_user(new).await.unwrap()
    };
    let weak = create("bob", Some(Password::new("short")), "account-viewer").await;
    assert_eq!(weak, Err(OperateFault::Weak(PasswordWeakness::TooShort)));
    assert!(matches!(create("bob", None, "unknown").await, Err(OperateFault::Rules(_))));
    let made = operate.new_password();
    let bob = create("bob", Some(made.clone()), "account-viewer").await.unwrap();
    assert!(bank.service.is_password_of(&bob.username, &made).await.unwrap());
    assert!(matches!(create("Bob", None, "account-viewer").await, Err(OperateFault::Exists { .. })));

    let tokens = super::connected(&bank, "accounts:read").await;
    let sessions = bank.service.store().sessions_of(bank.alice().await.id, bank.service.now()).await.unwrap();
    let stranger = operate.end_sessions("bob", Some(sessions[0].id)).await.unwrap();
    assert!(matches!(stranger, Err(OperateFault::NotFound { .. })), "{stranger:?}");
    assert_eq!(operate.end_sessions("alice", Some(sessions[0].id)).await.unwrap(), Ok(1));
    assert_eq!(operate.end_sessions("alice", None).await.unwrap(), Ok(0));
    assert_eq!(bank.introspect(&tokens).await["active"], true, "a session's end is not a withdrawal");

    let id = bank.alice().await.id.to_string();
    assert!(operate.disable_user(&id).await.unwrap().unwrap());
    assert!(!operate.disable_user("alice").await.unwrap().unwrap(), "once");
    assert_eq!(bank.introspect(&tokens).await, json!({ "active": false }));
    assert!(operate.enable_user("alice").await.unwrap().unwrap());
    assert!(!operate.enable_user("alice").await.unwrap().unwrap());
    assert!(bank.alice().await.is_enabled());
    assert_eq!(bank.events(EventKind::UserDisabled).await.len(), 1);
    assert_eq!(bank.events(EventKind::UserEnabled).await.len(), 1);

    let reset = operate.reset_second_factor("alice").await.unwrap().unwrap();
    assert!(!reset.had_authenticator);
    assert_eq!(bank.events(EventKind::SecondFactorReset).await.len(), 1);
}

async fn a_consent_is_revoked_once(bank: Bank) {
    let tokens = super::connected(&bank, "accounts:read").await;
    let store = bank.service.store();
    let consent = store.consent(bank.alice().await.id, &"app".parse().unwrap()).await.unwrap().unwrap();
    let operate = bank.service.operate("alex");
    assert!(operate.revoke_consent(consent.id).await.unwrap().unwrap().1);
    assert!(!operate.revoke_consent(consent.id).await.unwrap().unwrap().1);
    assert_eq!(bank.introspect(&tokens).await, json!({ "active": false }));
    let event = bank.events(EventKind::ConsentWithdrawn).await.pop().unwrap();
    assert_eq!((event.actor, event.reason.as_deref()), (Actor::Operator, Some("by_operator")));
    let unknown = operate.revoke_consent(protocol::ConsentId(uuid::Uuid::from_u128(9))).await.unwrap();
    assert!(matches!(unknown, Err(OperateFault::NotFound { .. })));
    // The account pages know nothing of it either.
    let gate = bank.service.account_gate(&Cookies::default()).await;
    assert!(gate.is_ok());
}

async fn signer(bank: &Bank) -> String {
    bank.service.reload().await.unwrap();
    let records = bank.service.store().signing_keys().await.unwrap();
    let active: Vec<_> = records.iter().filter(|record| record.state == KeyState::Active).collect();
    assert_eq!(active.len(), 1, "{records:?}");
    active[0].kid.clone()
}

async fn a_rotated_key_waits_until_it_is_known(bank: Bank) {
    let operate = bank.service.operate("alex");
    let before = signer(&bank).await;
    let rotated = operate.rotate_keys(&[], false).await.unwrap().unwrap().pop().unwrap();
    assert!(rotated.fresh);
    assert_eq!(rotated.successor.activates_at, bank.service.now() + TimeDelta::days(1));
    assert_eq!(rotated.until_then.map(|key| key.kid), Some(before.clone()));
    assert_eq!(signer(&bank).await, before);
    let again = operate.rotate_keys(&[Algorithm::Es256.into()], false).await.unwrap().unwrap().pop().unwrap();
    assert!(!again.fresh && again.successor.kid == rotated.successor.kid, "one successor is enough");
    let unknown = operate.rotate_keys(&[Algorithm::EdDsa.into()], false).await.unwrap();
    assert!(matches!(unknown, Err(OperateFault::Rules(_))));

    let tokens = bank.token(&own_token("batch-secret")).await.unwrap();
    bank.advance(TimeDelta::days(1) - TimeDelta::seconds(1));
    bank.service.tend_signing_keys().await.unwrap();
    assert_eq!(signer(&bank).await, before);
    bank.advance(TimeDelta::seconds(1));
    bank.service.tend_signing_keys().await.unwrap();
    assert_eq!(signer(&bank).await, rotated.successor.kid);
    drop(tokens);
    let created = bank.events(EventKind::KeyCreated).await;
    let by = |actor| created.iter().filter(|event| event.actor == actor).count();
    assert_eq!((by(Actor::System), by(Actor::Operator)), (1, 1));
}

async fn a_forced_key_signs_at_once(bank: Bank) {
    let operate = bank.service.operate("alex");
    let before = signer(&bank).await;
    let old = bank.token(&own_token("batch-secret")).await.unwrap();
    let forced = operate.rotate_keys(&[], true).await.unwrap().unwrap().pop().unwrap();
    assert!(forced.fresh && forced.until_then.is_none());
    assert_eq!(signer(&bank).await, forced.successor.kid);
    assert_ne!(forced.successor.kid, before);
    assert_eq!(bank.introspect(&old).await["active"], true, "the old key stays published");
    let new = bank.token(&own_token("batch-secret")).await.unwrap();
    assert_eq!(bank.introspect(&new).await["active"], true);
    let retired = bank.events(EventKind::KeyRetired).await.pop().unwrap();
    assert_eq!((retired.actor, retired.reason.as_deref()), (Actor::Operator, Some("forced")));
}

async fn there_is_always_a_key_that_signs(bank: Bank) {
    let operate = bank.service.operate("alex");
    let first = signer(&bank).await;
    let alone = operate.retire_key(&first, false).await.unwrap().unwrap_err();
    assert!(alone.to_string().contains("keys rotate"), "{alone}");
    operate.rotate_keys(&[], false).await.unwrap().unwrap();
    let too_soon = operate.retire_key(&first, false).await.unwrap();
    assert!(matches!(too_soon, Err(OperateFault::State(_))), "nobody can know the successor yet");
    let announced = operate.retire_key("no-such-kid", true).await.unwrap();
    assert!(matches!(announced, Err(OperateFault::NotFound { .. })));
    bank.advance(TimeDelta::days(1));
    operate.retire_key(&first, false).await.unwrap().unwrap();
    let second = signer(&bank).await;
    assert_ne!(second, first);

    let token = bank.token(&own_token("batch-secret")).await.unwrap();
    let moved = operate.revoke_key(&second).await.unwrap().unwrap();
    assert_eq!(moved.touched.len(), 2, "a new one is made at once");
    let third = signer(&bank).await;
    assert!(third != second && third != first);
    assert_eq!(bank.introspect(&token).await, json!({ "active": false }), "what it signed fails");
    let again = operate.revoke_key(&second).await.unwrap().unwrap_err();
    assert_eq!(again.to_string(), "a key that is revoked cannot be revoked");
    operate.retire_key(&third, true).await.unwrap().unwrap();
    assert_ne!(signer(&bank).await, third);
}
