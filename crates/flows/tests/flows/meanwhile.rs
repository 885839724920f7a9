//! What happens in the middle of a flow, on another server: what was read at its beginning is not true any
//! more when it writes.

use audit::EventKind;
use chrono::TimeDelta;
use flows::{
    Service,
    account::{AccountAccess, AccountGate, PasswordChangeRefusal},
    authorize::Authorization,
    declare::{Declared, DeclaredClient},
    device_flow::{ConfirmedCode, TypedCode},
    interaction::{Interaction, Shown},
    sign_in::{CredentialAnswer, CredentialRefusal},
    visitor::Cookies,
};
use protocol::{
    InteractionId,
    secret::{BrowserCookie, Password},
};
use serde_json::json;
use tokens::client::ClientSettings;

use super::{
    AtConsent, allow, at_consent,
    bank::{Bank, Draw, PASSWORD, context, params, request},
    code, connected, show,
};

on_both_engines!(
    bcp_09_a_thief_does_not_overwrite_the_password_of_the_bank,
    bcp_09_a_sign_in_under_way_ends_with_its_password,
    bcp_09_a_renewal_under_way_ends_with_its_password,
    bcp_09_a_code_under_way_ends_with_its_session,
    dv_03_a_device_is_taken_with_a_place_to_answer,
);

const OF_THE_BANK: &str = "violet-harbour-lantern-41";
const OF_A_THIEF: &str = "granite-teapot-orbit-77";

/// What takes an account from whoever has it.
#[derive(Clone, Copy, Debug)]
enum Taken {
    Password,
    Disabled,
    Sessions,
}

impl Taken {
    async fn take(self, service: Service) {
        let operate = service.operate("alex");
        match self {
            Self::Password => {
                operate.set_password("alice", Password::new(OF_THE_BANK)).await.unwrap().unwrap();
            }
            Self::Disabled => assert!(operate.disable_user("alice").await.unwrap().unwrap()),
            Self::Sessions => assert!(operate.end_sessions("alice", None).await.unwrap().unwrap() > 0),
        }
    }

    /// As it was before, but for the sessions.
    async fn undo(self, bank: &Bank) {
        let operate = bank.service.operate("alex");
        match self {
            Self::Password => {
                bank.advance(TimeDelta::seconds(1));
                operate.set_password("alice", Password::new(PASSWORD)).await.unwrap().unwrap();
            }
            Self::Disabled => assert!(operate.enable_user("alice").await.unwrap().unwrap()),
            Self::Sessions => {}
        }
    }

    /// The password that counts then.
    const fn password(self) -> &'static str {
        match self {
            Self::Password => OF_THE_BANK,
            Self::Disabled | Self::Sessions => PASSWORD,
        }
    }
}

async fn is_password(bank: &Bank, password: &str) -> bool {
    let name = "alice".parse().unwrap();
    bank.service.is_password_of(&name, &Password::new(password)).await.unwrap()
}

async fn live_sessions(bank: &Bank) -> usize {
    let alice = bank.alice().await.id;
    bank.service.store().sessions_of(alice, bank.service.now()).await.unwrap().len()
}

async fn account(bank: &Bank, cookies: &Cookies) -> AccountAccess {
    let gate = bank.service.account_gate(cookies).await.unwrap();
    let AccountGate::Open(access) = gate else { panic!("{gate:?}") };
    *access
}

/// A browser before the sign-in page of the account pages.
async fn before_sign_in(bank: &Bank) -> (InteractionId, Cookies) {
    let gate = bank.service.account_gate(&Cookies::default()).await.unwrap();
    let AccountGate::Interact { id, browser } = gate else { panic!("{gate:?}") };
    (id, Cookies { browser, ..Cookies::default() })
}

async fn sign_in(bank: &Bank, id: InteractionId, cookies: &Cookies) -> CredentialAnswer {
    let shown = show(bank, id, cookies).await;
    let Shown::SignIn(Interaction { csrf, .. }) = shown else { panic!("{shown:?}") };
    let credentials = ("alice", Password::new(PASSWORD));
    bank.service.sign_in(&context(), id, cookies, &csrf, credentials).await.unwrap()
}

async fn bcp_09_a_thief_does_not_overwrite_the_password_of_the_bank(bank: Bank) {
    for taken in [Taken::Password, Taken::Disabled, Taken::Sessions] {
        let AtConsent { cookies, .. } = at_consent(&bank, "accounts:read").await;
        let visitor = account(&bank, &cookies).await.visitor;
        // The password is verified; its successor is about to be hashed.
        bank.meanwhile(Draw::Secret(16), move |there| taken.take(there));
        let passwords = (Password::new(PASSWORD), Password::new(OF_A_THIEF));
        let answer = bank.service.change_password(&context(), &visitor, &cookies, passwords).await.unwrap();
        assert!(bank.happened(), "{taken:?}");
        assert_eq!(answer.unwrap_err(), PasswordChangeRefusal::SessionChanged, "{taken:?}");
        let alice = bank.alice().await;
        assert_eq!(alice.is_enabled(), !matches!(taken, Taken::Disabled));
        assert!(
            is_password(&bank, taken.password()).await && !is_password(&bank, OF_A_THIEF).await,
            "{taken:?}"
        );
        taken.undo(&bank).await;
    }
    let refused = bank.events(EventKind::PasswordChangeRefused).await;
    assert_eq!(refused.len(), 3);
    assert!(refused.iter().all(|event| event.reason.as_deref() == Some("session_changed")));
}

async fn bcp_09_a_sign_in_under_way_ends_with_its_password(bank: Bank) {
    for taken in [Taken::Password, Taken::Disabled] {
        let (id, cookies) = before_sign_in(&bank).await;
        // The password is verified; the session is about to get its cookie.
        bank.meanwhile(Draw::Secret(32), move |there| taken.take(there));
        let answer = sign_in(&bank, id, &cookies).await;
        assert!(bank.happened(), "{taken:?}");
        assert!(matches!(answer, CredentialAnswer::Again(_, CredentialRefusal::Wrong)), "{answer:?}");
        taken.undo(&bank).await;
        assert_eq!(live_sessions(&bank).await, 0, "{taken:?}");
    }
    let failed = bank.events(EventKind::LoginFailed).await;
    assert_eq!(failed.len(), 2);
    assert!(failed.iter().all(|event| event.reason.as_deref() == Some("account_changed")));
    assert!(bank.events(EventKind::LoginSucceeded).await.is_empty());
    let (id, cookies) = before_sign_in(&bank).await;
    assert!(matches!(sign_in(&bank, id, &cookies).await, CredentialAnswer::Accepted(_)));
}

async fn bcp_09_a_renewal_under_way_ends_with_its_password(bank: Bank) {
    let AtConsent { cookies, .. } = at_consent(&bank, "accounts:read").await;
    bank.advance(TimeDelta::seconds(1));
    let (id, _) = bank.service.begin_reauthentication(&cookies).await.unwrap();
    bank.meanwhile(Draw::Secret(32), |there| Taken::Password.take(there));
    let answer = sign_in(&bank, id, &cookies).await;
    assert!(bank.happened());
    assert!(matches!(answer, CredentialAnswer::Again(_, CredentialRefusal::Wrong)), "{answer:?}");
    assert_eq!(live_sessions(&bank).await, 0);
}

async fn bcp_09_a_code_under_way_ends_with_its_session(bank: Bank) {
    // The page where the person allows it.
    let at = at_consent(&bank, "accounts:read").await;
    bank.meanwhile(Draw::Secret(32), |there| Taken::Sessions.take(there));
    let shown = allow(&bank, &at, &at.csrf).await;
    assert!(bank.happened() && matches!(shown, Shown::SignIn(_)), "{shown:?}");

    // A consent that stands: nothing is asked.
    connected(&bank, "accounts:read").await;
    let AtConsent { cookies, .. } = at_consent(&bank, "accounts:read payments:write").await;
    for taken in [Taken::Password, Taken::Disabled] {
        let signed_in = match taken {
            Taken::Password => cookies.clone(),
            _ => at_consent(&bank, "accounts:read payments:write").await.cookies,
        };
        bank.meanwhile(Draw::Secret(32), move |there| taken.take(there));
        let answer = bank.service.authorize(&context(), &request("accounts:read"), &signed_in).await.unwrap();
        assert!(bank.happened() && matches!(answer, Authorization::Interact { .. }), "{answer:?}");
        taken.undo(&bank).await;
    }

    // The same at the end of an interaction.
    let answer = bank.service.authorize(&context(), &request("accounts:read"), &Cookies::default()).await;
    let Authorization::Interact { id, browser } = answer.unwrap() else { panic!("signed in") };
    let mut cookies = Cookies { browser, ..Cookies::default() };
    let CredentialAnswer::Accepted(signed_in) = sign_in(&bank, id, &cookies).await else { panic!("refused") };
    cookies.session = Some(signed_in.session);
    bank.meanwhile(Draw::Secret(32), |there| Taken::Sessions.take(there));
    let shown = show(&bank, id, &cookies).await;
    assert!(bank.happened() && matches!(shown, Shown::SignIn(_)), "{shown:?}");
    // The interaction is still open, and ends as it would have.
    let CredentialAnswer::Accepted(signed_in) = sign_in(&bank, id, &cookies).await else { panic!("refused") };
    cookies.session = Some(signed_in.session);
    bank.redeem(&code(show(&bank, id, &cookies).await)).await.unwrap();
    assert_eq!(bank.events(EventKind::AuthorizationIssued).await.len(), 2);
}

/// A request that dies between the two would leave a device that nobody can decide about.
async fn dv_03_a_device_is_taken_with_a_place_to_answer(bank: Bank) {
    let grant = "urn:ietf:params:oauth:grant-type:device_code";
    let metadata = json!({
        "client_name": "tv", "token_endpoint_auth_method": "none", "id_token_signed_response_alg": "ES256",
        "grant_types": [grant], "scope": "accounts:read",
    });
    let tv = DeclaredClient {
        id: "tv".parse().unwrap(),
        metadata: serde_json::from_value(metadata).unwrap(),
        settings: ClientSettings::default(),
        secret: None,
    };
    bank.declare(&Declared { clients: vec![tv], ..Declared::default() }).await;
    let form = params("client_id=tv&scope=accounts:read");
    let device = bank.service.authorize_device(&context(), None, &form, &|_| Ok(())).await.unwrap().unwrap();
    let browser = BrowserCookie::from_entropy([1; 32]);
    let cookies = Cookies { browser: Some(browser.clone()), ..Cookies::default() };
    let typed = bank.service.typed_code(&context(), &browser, &device.user_code).await.unwrap();
    let TypedCode::Confirm { csrf, .. } = typed else { panic!("{typed:?}") };

    bank.meanwhile(Draw::Name, async |_| panic!("on purpose: the request dies here"));
    let (service, code, there) = (bank.service.clone(), device.user_code.clone(), csrf.clone());
    let (with, code) = (cookies.clone(), code);
    let died = tokio::spawn(async move { service.confirm_code(&context(), &with, &code, &there).await });
    assert!(died.await.unwrap_err().is_panic() && bank.happened());
    let answer = bank.service.confirm_code(&context(), &cookies, &device.user_code, &csrf).await.unwrap();
    let ConfirmedCode::Interact(id) = answer else { panic!("{answer:?}") };
    assert!(matches!(show(&bank, id, &cookies).await, Shown::SignIn(_)));
    let answer = bank.service.confirm_code(&context(), &cookies, &device.user_code, &csrf).await.unwrap();
    assert!(matches!(answer, ConfirmedCode::Over), "{answer:?}");
}
