//! Flows over both engines, without HTTP: what takes effect when something above a token changes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[macro_use]
mod bank;
mod issuance;
mod meanwhile;
mod operate;

use audit::{Actor, EventKind};
use bank::{Bank, PASSWORD, alice, context, request};
use chrono::TimeDelta;
use flows::{
    authorize::{Authorization, AuthorizationResponse},
    declare::{DeclareFault, Declared},
    interaction::{Interaction, Shown},
    sign_in::CredentialAnswer,
    visitor::Cookies,
};
use protocol::{
    InteractionId,
    secret::{AccessToken, CsrfToken, Password},
};
use serde_json::{Value, json};

on_both_engines!(
    bcp_09_a_declared_password_ends_sessions_and_grants,
    a_deleted_client_is_not_declared_again,
    a_disabled_client_and_its_tokens_are_dead_at_once,
    f2_17_lost_roles_take_effect_at_the_next_use,
    f2_28_nobody_allows_what_the_page_did_not_ask,
    f2_32_a_denial_ends_its_interaction_once,
    rv_03_what_was_revoked_is_audited_once,
);

#[tokio::test]
async fn oc_21_nobody_is_served_without_the_secret_of_subjects() {
    let (service, _directory) = bank::assembled().await;
    service.account_gate(&Cookies::default()).await.unwrap_err();
    service.tend_subject_key().await.unwrap();
    service.account_gate(&Cookies::default()).await.unwrap();
}

/// A browser at the consent page of a request for `scope`.
struct AtConsent {
    cookies: Cookies,
    id: InteractionId,
    csrf: CsrfToken,
}

async fn show(bank: &Bank, id: InteractionId, cookies: &Cookies) -> Shown {
    bank.service.show(&context(), id, cookies).await.unwrap()
}

async fn at_consent(bank: &Bank, scope: &str) -> AtConsent {
    let mut cookies = Cookies::default();
    let answer = bank.service.authorize(&context(), &request(scope), &cookies).await.unwrap();
    let Authorization::Interact { id, browser } = answer else { panic!("{answer:?}") };
    cookies.browser = browser;
    let Shown::SignIn(Interaction { csrf, .. }) = show(bank, id, &cookies).await else {
        panic!("no sign-in")
    };
    let credentials = ("alice", Password::new(PASSWORD));
    let answer = bank.service.sign_in(&context(), id, &cookies, &csrf, credentials).await.unwrap();
    let CredentialAnswer::Accepted(signed_in) = answer else { panic!("{answer:?}") };
    cookies.session = Some(signed_in.session);
    let Shown::Consent(Interaction { csrf, .. }, _) = show(bank, id, &cookies).await else {
        panic!("no consent")
    };
    AtConsent { cookies, id, csrf }
}

async fn allow(bank: &Bank, at: &AtConsent, csrf: &CsrfToken) -> Shown {
    bank.service.allow(&context(), at.id, &at.cookies, csrf, &[]).await.unwrap()
}

fn code(shown: Shown) -> String {
    match shown {
        Shown::Respond(AuthorizationResponse { outcome: Ok(granted), .. }) => {
            granted.code.expose().to_owned()
        }
        other => panic!("{other:?}"),
    }
}

/// Tokens that alice let the app have.
async fn connected(bank: &Bank, scope: &str) -> Value {
    let at = at_consent(bank, scope).await;
    let code = code(allow(bank, &at, &at.csrf).await);
    bank.redeem(&code).await.unwrap()
}

async fn userinfo(bank: &Bank, tokens: &Value) -> Result<Value, String> {
    let token = AccessToken::new(tokens["access_token"].as_str().unwrap());
    let answer = bank.service.userinfo(&context(), &token, flows::userinfo::Shown::Bearer).await.unwrap();
    let read = |said| match said {
        flows::userinfo::Userinfo::Json(claims) => Value::Object(claims),
        flows::userinfo::Userinfo::Jwt(token) => Value::String(token),
    };
    answer.map(read).map_err(|fault| fault.to_string())
}

async fn bcp_09_a_declared_password_ends_sessions_and_grants(bank: Bank) {
    let tokens = connected(&bank, "accounts:read").await;
    let before = bank.alice().await;
    bank.advance(TimeDelta::seconds(10));
    let declare = async |password| {
        let users = vec![alice(Some(password), &["account-viewer", "payment-initiator"])];
        bank.declare(&Declared { users, ..Declared::default() }).await;
    };

    declare(PASSWORD).await;
    assert_eq!(bank.alice().await, before, "a file that repeats the password changes nothing");
    assert!(bank.events(EventKind::PasswordChanged).await.is_empty());
    assert_eq!(bank.introspect(&tokens).await["active"], true);

    declare("granite-teapot-orbit").await;
    let after = bank.alice().await;
    assert_ne!(after.password, before.password);
    assert_eq!(after.password_changed_at, Some(bank.service.now()));
    let known = async |password: &str| {
        bank.service.is_password_of(&after.username, &Password::new(password)).await.unwrap()
    };
    assert!(known("granite-teapot-orbit").await && !known(PASSWORD).await);
    assert!(bank.service.store().sessions_of(after.id, bank.service.now()).await.unwrap().is_empty());
    assert_eq!(bank.introspect(&tokens).await, json!({ "active": false }));
    assert_eq!(bank.refresh(&tokens, "").await, Err("grant_revoked".to_owned()));
    let changed = bank.events(EventKind::PasswordChanged).await;
    let [event] = &changed[..] else { panic!("{changed:?}") };
    assert_eq!((event.user, event.actor), (Some(after.id), Actor::Operator));
}

async fn a_deleted_client_is_not_declared_again(bank: Bank) {
    bank.disable("batch").await;
    let declared = bank.service.declaration().await.unwrap();
    let wanted = Declared { clients: declared.clients, ..Declared::default() };
    let refused = bank.service.declare(&wanted).await.unwrap();
    assert!(matches!(refused, Err(DeclareFault::Deleted(id)) if id.as_str() == "batch"));
    assert!(bank.service.client("batch").await.unwrap().is_none());
}

async fn a_disabled_client_and_its_tokens_are_dead_at_once(bank: Bank) {
    let tokens = connected(&bank, "openid accounts:read").await;
    let form = "grant_type=client_credentials&client_id=batch&client_secret=batch-secret&scope=accounts:read";
    let own = bank.token(form).await.unwrap();
    assert_eq!(bank.introspect(&tokens).await["active"], true);
    assert_eq!(bank.introspect(&own).await["sub"], "batch");
    assert!(userinfo(&bank, &tokens).await.is_ok());

    bank.disable("app").await;
    bank.disable("batch").await;
    assert_eq!(bank.introspect(&tokens).await, json!({ "active": false }));
    assert_eq!(bank.introspect(&own).await, json!({ "active": false }));
    assert_eq!(userinfo(&bank, &tokens).await, Err("client_disabled".to_owned()));
    // This node has not polled yet and still lets the client authenticate.
    assert_eq!(bank.refresh(&tokens, "").await, Err("client_disabled".to_owned()));
    bank.service.reload().await.unwrap();
    assert_eq!(bank.refresh(&tokens, "").await, Err("client authentication failed".to_owned()));
}

async fn f2_17_lost_roles_take_effect_at_the_next_use(bank: Bank) {
    let tokens = connected(&bank, "openid accounts:read payments:write").await;
    assert_eq!(tokens["scope"], "accounts:read openid payments:write");
    assert_eq!(bank.introspect(&tokens).await["scope"], "accounts:read payments:write");

    bank.give_roles(&["account-viewer"]).await;
    let told = bank.introspect(&tokens).await;
    assert_eq!((&told["scope"], &told["roles"]), (&json!("accounts:read"), &json!(["account-viewer"])));
    let refreshed = bank.refresh(&tokens, "").await.unwrap();
    assert_eq!(refreshed["scope"], "accounts:read openid");
    assert!(refreshed["id_token"].is_string());
    let narrowed = bank.refresh(&tokens, "&scope=accounts:read").await.unwrap();
    assert_eq!(narrowed["id_token"], Value::Null, "OC-10");

    bank.give_roles(&[]).await;
    assert_eq!(bank.introspect(&tokens).await, json!({ "active": false }));
    let refreshed = bank.refresh(&tokens, "").await.unwrap();
    assert_eq!(refreshed["scope"], "openid", "who they are is no matter of roles");
    assert!(userinfo(&bank, &refreshed).await.is_ok());
    let named = bank.refresh(&tokens, "&resource=https://bank.example/api").await.unwrap_err();
    assert!(named.contains("is not one that this request can be for"), "{named}");

    bank.give_roles(&["account-viewer", "payment-initiator"]).await;
    let again = bank.refresh(&tokens, "").await.unwrap();
    assert_eq!(again["scope"], "accounts:read openid payments:write", "the grant itself stayed as it was");
}

async fn f2_28_nobody_allows_what_the_page_did_not_ask(bank: Bank) {
    bank.give_roles(&["account-viewer"]).await;
    let at = at_consent(&bank, "openid accounts:read payments:write").await;
    // Meanwhile the bank lets alice pay: the same request would now give more than she reads.
    bank.give_roles(&["account-viewer", "payment-initiator"]).await;
    let shown = allow(&bank, &at, &at.csrf).await;
    let Shown::Consent(Interaction { csrf, .. }, ask) = shown else { panic!("{shown:?}") };
    assert!(ask.ask.scope().contains("payments:write"));
    let consent = bank.service.store().consent(bank.alice().await.id, &"app".parse().unwrap()).await.unwrap();
    assert_eq!(consent, None);
    let tokens = bank.redeem(&code(allow(&bank, &at, &csrf).await)).await.unwrap();
    assert_eq!(tokens["scope"], "accounts:read openid payments:write");
}

async fn f2_32_a_denial_ends_its_interaction_once(bank: Bank) {
    let at = at_consent(&bank, "accounts:read").await;
    let deny = async || bank.service.deny(&context(), at.id, &at.cookies, &at.csrf).await.unwrap();
    assert!(matches!(deny().await, Shown::Respond(AuthorizationResponse { outcome: Err(_), .. })));
    assert!(matches!(deny().await, Shown::Refused(_)));
    let denied = bank.events(EventKind::ConsentDenied).await;
    assert_eq!(denied.iter().map(|event| event.interaction).collect::<Vec<_>>(), [Some(at.id)]);
}

async fn rv_03_what_was_revoked_is_audited_once(bank: Bank) {
    let tokens = connected(&bank, "accounts:read").await;
    let token = tokens["refresh_token"].as_str().unwrap();
    let form = format!("token={token}&client_id=app&client_secret=app-secret");
    for _ in 0..2 {
        let answer = bank.service.revoke(&context(), None, &bank::params(&form), &|_| Ok(())).await;
        answer.unwrap().unwrap();
    }
    assert_eq!(bank.events(EventKind::TokenRevoked).await.len(), 1);
    assert_eq!(bank.introspect(&tokens).await, json!({ "active": false }));
}
