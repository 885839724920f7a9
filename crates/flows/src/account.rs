//! The account pages: what a person sees and changes about themselves.
//!
//! Everything here wants a session as strong as the bank's policy; whoever has none is led through
//! an interaction first. Posts carry a token derived from the session cookie (BCP-16).

use audit::EventKind;
use consent::{ConsentRecord, withdraw};
use jose::digest::sha256;
use mfa::{
    DeviceBinding, Guesser, PasswordChange, PasswordWeakness, RecoveryCodes, Session, SessionRenewal,
    TotpCredential, acceptable,
    session::{end, reauthenticate},
};
use protocol::{
    ConsentId, InteractionId, SessionId,
    secret::{BrowserCookie, CsrfToken, DeviceCookie, Password, SessionCookie},
};
use tokens::{
    interaction::Purpose,
    step::{AccountStep, account_step, may_change_factors},
};

use crate::{
    context::RequestContext,
    error::{FlowError, Result},
    interaction::csrf_token,
    random::Draw,
    service::Service,
    sign_in::PasswordAnswer,
    visitor::{Cookies, Facts, Visitor},
};

/// Whether the account pages are open.
#[derive(Debug)]
pub enum AccountGate {
    /// They are.
    Open(Box<AccountAccess>),
    /// The person must sign in, or show a second factor, first.
    Interact {
        /// Where.
        id: InteractionId,
        /// A new browser cookie, where the browser had none.
        browser: Option<BrowserCookie>,
    },
    /// A post without the right token (BCP-16).
    Forgery,
}

/// Who has the account pages open.
#[derive(Debug)]
pub struct AccountAccess {
    /// The person.
    pub visitor: Visitor,
    /// What posts must carry.
    pub csrf: CsrfToken,
}

/// What the overview shows.
#[derive(Debug)]
pub struct AccountView {
    /// Live sessions.
    pub sessions: Vec<Session>,
    /// Apps with access.
    pub apps: Vec<ConnectedApp>,
    /// The person's accounts, where apps have some of them.
    pub accounts: Vec<consent::BankAccount>,
    /// Unused recovery codes.
    pub recovery_codes_left: i64,
    /// The authenticator.
    pub totp: Option<TotpCredential>,
}

/// An app with access.
#[derive(Debug)]
pub struct ConnectedApp {
    /// The consent.
    pub consent: ConsentRecord,
    /// The app's name; its identifier when it is no longer registered.
    pub name: String,
    /// Its own page.
    pub home: Option<String>,
}

/// What the browser gets when the password was changed.
#[derive(Debug)]
pub struct PasswordChanged {
    /// The session's new cookie.
    pub session: SessionCookie,
    /// What posts must carry from now on.
    pub csrf: CsrfToken,
    /// The browser's new mark, if it was known.
    pub device: Option<DeviceCookie>,
}

/// Why a password was not changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PasswordChangeRefusal {
    /// The current one is wrong.
    WrongPassword,
    /// The new one is not good enough.
    Weak(PasswordWeakness),
    /// Too many failures: wait so many seconds.
    Wait(i64),
    /// The session ended, or got another cookie, meanwhile: whoever still has it begins anew.
    SessionChanged,
}

impl Service {
    /// Opens the account pages, or says where the person must go first.
    ///
    /// # Errors
    /// [`FlowError`].
    pub async fn account_gate(&self, cookies: &Cookies) -> Result<AccountGate> {
        let now = self.now();
        let facts = self.facts(cookies, None).await?;
        let declared = self.declared();
        let step = account_step(&facts.situation(now), &self.step_policy(&declared)?, now);
        let Facts { visitor, .. } = facts;
        match (step, visitor, &cookies.session) {
            (AccountStep::Open(_), Some(visitor), Some(cookie)) => {
                let csrf = csrf_token(cookie.expose(), &["account"]);
                Ok(AccountGate::Open(Box::new(AccountAccess { visitor, csrf })))
            }
            _ => {
                let (id, browser) = self.begin_interaction(None, Purpose::Account, cookies, now).await?;
                Ok(AccountGate::Interact { id, browser })
            }
        }
    }

    /// The same for a post, which must carry the right token.
    ///
    /// # Errors
    /// [`FlowError`].
    pub async fn account_post(
        &self,
        context: &RequestContext,
        cookies: &Cookies,
        csrf: &CsrfToken,
    ) -> Result<AccountGate> {
        let gate = self.account_gate(cookies).await?;
        if let AccountGate::Open(access) = &gate
            && sha256(access.csrf.expose()) != sha256(csrf.expose())
        {
            let event = self.event(context, EventKind::ForgeryRefused, self.now());
            self.record(&event.user(access.visitor.user.id).reason("wrong_token")).await?;
            return Ok(AccountGate::Forgery);
        }
        Ok(gate)
    }

    /// What the overview shows.
    ///
    /// # Errors
    /// [`FlowError`].
    pub async fn account_view(&self, visitor: &Visitor) -> Result<AccountView> {
        let store = &self.0.store;
        let now = self.now();
        let user = visitor.user.id;
        let mut apps = Vec::new();
        for consent in store.consents_of(user).await?.into_iter().filter(|consent| consent.is_live(now)) {
            let client = self.client(consent.client.as_str()).await?;
            let name =
                client.as_ref().map_or_else(|| consent.client.to_string(), |client| client.name.clone());
            apps.push(ConnectedApp {
                consent,
                name,
                home: client.and_then(|client| client.links.home.clone()),
            });
        }
        let policy = &self.0.policies.sessions;
        let mut sessions = store.sessions_of(user, now).await?;
        sessions.retain(|session| session.is_live(policy, now));
        sessions.sort_by_key(|session| {
            (session.id != visitor.session.id, std::cmp::Reverse(session.last_seen_at))
        });
        let recovery_codes_left = store.recovery_codes_left(user).await?;
        let exact = apps.iter().any(|app| !app.consent.details.is_empty());
        let accounts = if exact { store.accounts_of(user).await? } else { Vec::new() };
        Ok(AccountView { sessions, apps, accounts, recovery_codes_left, totp: visitor.totp.clone() })
    }

    /// Withdraws a consent: everything below it is dead from now on. Nothing happens when it is not
    /// this person's or is over already.
    ///
    /// # Errors
    /// [`FlowError`].
    pub async fn withdraw(&self, context: &RequestContext, visitor: &Visitor, id: ConsentId) -> Result<()> {
        let now = self.now();
        let user = visitor.user.id;
        let Some(record) = self.0.store.consent_by_id(id).await? else { return Ok(()) };
        let Some(withdrawal) = withdraw(&record, user, now) else { return Ok(()) };
        let mut tx = self.0.store.begin().await?;
        if tx.withdraw_consent(&withdrawal).await? == 1 {
            let event = self.event(context, EventKind::ConsentWithdrawn, now).user(user).consent(id);
            tx.record(&event.client(record.client).session(visitor.session.id)).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Ends one of the person's sessions. Nothing happens when it is not theirs.
    ///
    /// # Errors
    /// [`FlowError`].
    pub async fn end_session_of(
        &self,
        context: &RequestContext,
        visitor: &Visitor,
        id: SessionId,
    ) -> Result<()> {
        let now = self.now();
        let Some(session) = self.0.store.session(id).await? else { return Ok(()) };
        let Some(ended) = end(&session, visitor.user.id, now) else { return Ok(()) };
        let mut tx = self.0.store.begin().await?;
        if tx.end_session(&ended).await? == 1 {
            let event = self.event(context, EventKind::SessionEnded, now).user(visitor.user.id);
            tx.record(&event.session(id).reason("by_user")).await?;
        }
        tx.commit().await?;
        self.0.deliveries.wake();
        Ok(())
    }

    /// Changes the password. Other sessions and every grant of the person end (BCP-09). Other browsers are
    /// forgotten; this one gets a new mark, if it was known. Failures are counted for the session, so
    /// that nobody outside can keep the person from changing the password.
    ///
    /// # Errors
    /// [`FlowError`].
    pub async fn change_password(
        &self,
        context: &RequestContext,
        visitor: &Visitor,
        cookies: &Cookies,
        (current, new): (Password, Password),
    ) -> Result<std::result::Result<PasswordChanged, PasswordChangeRefusal>> {
        let user = &visitor.user;
        let refused = |reason: &str| {
            let event = self.event(context, EventKind::PasswordChangeRefused, self.now());
            event.user(user.id).session(visitor.session.id).reason(reason)
        };
        let found = self.0.store.user_by_name(&user.username).await?;
        let guesser = Guesser::Session(visitor.session.id);
        let checked = self.check_password(context, Some(&user.username), found, guesser, current).await?;
        let (_, verified) = match checked {
            Ok(checked) => checked,
            Err(answer) => {
                let (reason, refusal) = match answer {
                    PasswordAnswer::Wrong => ("wrong_password", PasswordChangeRefusal::WrongPassword),
                    PasswordAnswer::Wait(seconds) => {
                        ("too_many_failures", PasswordChangeRefusal::Wait(seconds))
                    }
                };
                self.record(&refused(reason)).await?;
                return Ok(Err(refusal));
            }
        };
        if let Err(weakness) = acceptable(&new, &user.password_inputs()) {
            self.record(&refused(weakness.code())).await?;
            return Ok(Err(PasswordChangeRefusal::Weak(weakness)));
        }
        let hash = self.0.passwords.hash(new, self.random().bytes()).await?;
        let hash = hash.ok_or(FlowError::Contradiction("an acceptable password of impossible length"))?;
        let now = self.now();
        let change = PasswordChange::new(&verified, hash, Some(visitor.session.id), now);
        // Whoever stole the cookie loses it with the password (SE-01).
        let session = SessionCookie::from_entropy(self.entropy());
        let digest = sha256(session.expose());
        let renewal = reauthenticate(&visitor.session, &verified, digest, &self.0.policies.sessions, now);
        let renewal =
            renewal.map_err(|_| FlowError::Contradiction("a session that just verified a password"))?;
        let renewal = kept_factors(renewal, &visitor.session);
        let mut tx = self.0.store.begin().await?;
        tx.change_password(&change).await?;
        // Whatever takes an account from a thief ends the session, be it another password or its disabling.
        // So nothing is written by who lost it meanwhile, or the thief's password would be the last.
        if tx.renew_session(&renewal).await? != 1 {
            drop(tx);
            self.record(&refused("session_changed")).await?;
            return Ok(Err(PasswordChangeRefusal::SessionChanged));
        }
        let event = self.event(context, EventKind::PasswordChanged, now).user(user.id);
        tx.record(&event.session(visitor.session.id)).await?;
        tx.commit().await?;
        self.0.deliveries.wake();
        let before = DeviceBinding::new(user, visitor.totp.as_ref());
        let known = self.guesser(cookies, &before) != Guesser::Stranger;
        let after = before.with_password_of(now);
        let device = if known { self.remember_device(cookies, &after) } else { None };
        let csrf = csrf_token(session.expose(), &["account"]);
        Ok(Ok(PasswordChanged { session, csrf, device }))
    }

    /// Makes a fresh set of recovery codes, for a person with an authenticator who signed in just
    /// now; `None` if that has to come first.
    ///
    /// # Errors
    /// [`FlowError`].
    pub async fn renew_recovery_codes(
        &self,
        context: &RequestContext,
        visitor: &Visitor,
    ) -> Result<Option<RecoveryCodes>> {
        if !visitor.enrolled() || !may_change_factors(&visitor.session, true, self.now()) {
            return Ok(None);
        }
        let codes = self.fresh_recovery_codes(visitor.user.id);
        let mut tx = self.0.store.begin().await?;
        tx.replace_recovery_codes(codes.replacement()).await?;
        let event = self.event(context, EventKind::RecoveryCodesGenerated, self.now()).user(visitor.user.id);
        tx.record(&event.session(visitor.session.id)).await?;
        tx.commit().await?;
        Ok(Some(codes))
    }

    /// Begins a fresh sign-in, for what wants one.
    ///
    /// # Errors
    /// [`FlowError`].
    pub async fn begin_reauthentication(
        &self,
        cookies: &Cookies,
    ) -> Result<(InteractionId, Option<BrowserCookie>)> {
        self.begin_interaction(None, Purpose::Reauthentication, cookies, self.now()).await
    }

    /// Begins setting up an authenticator, or another one.
    ///
    /// # Errors
    /// [`FlowError`].
    pub async fn begin_authenticator(
        &self,
        cookies: &Cookies,
    ) -> Result<(InteractionId, Option<BrowserCookie>)> {
        self.begin_interaction(None, Purpose::Authenticator, cookies, self.now()).await
    }
}

/// A new cookie for the same authentication: typing the current password in the account pages takes
/// nothing from the second factor that the session had.
fn kept_factors(renewal: SessionRenewal, before: &Session) -> SessionRenewal {
    let session = Session { acr: before.acr, amr: before.amr.clone(), ..renewal.session };
    SessionRenewal { session, ..renewal }
}
