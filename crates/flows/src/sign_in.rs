//! Signing in: username and password, from the first page of an interaction.

use ::federation::{Provider, UpstreamIdentity};
use audit::EventKind;
use jose::digest::{Digest, sha256};
use mfa::{
    AttemptKind, FirstFactor, Guesser, PasswordRefusal, Rehash, SignInBasis, User, Username,
    VerifiedPassword,
    session::{SessionOrigin, end, reauthenticate, start},
    throttle::{attempts_key, reserve},
};
use protocol::{
    InteractionId, SessionId,
    secret::{CsrfToken, DeviceCookie, Password, SessionCookie},
};
use store::hot::SessionStart;

use crate::{
    context::RequestContext,
    device::Account,
    error::Result,
    interaction::{Found, Interaction, Open, Shown},
    random::Draw,
    service::Service,
    visitor::{Cookies, Visitor},
};

/// What becomes of a post with a credential.
#[derive(Debug)]
pub enum CredentialAnswer {
    /// It was right: the browser gets these cookies and asks what comes next (303).
    Accepted(SignedIn),
    /// It was not: the same page again, with a reason that tells a stranger nothing.
    Again(Box<Interaction>, CredentialRefusal),
    /// Something else is to be shown.
    Elsewhere(Box<Shown>),
}

/// The cookies of a browser after a right credential.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// The session's.
    pub session: SessionCookie,
    /// What the browser keeps of the account, where the sign-in is complete.
    pub device: Option<DeviceCookie>,
}

/// Why a credential was not accepted, as the page may say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialRefusal {
    /// Wrong, whatever it was (SE-02).
    Wrong,
    /// Too many failures: wait so many seconds.
    Wait(i64),
}

impl Service {
    /// Verifies a password. Unknown and known names take the same path, with the same work and the
    /// same answer (SE-02).
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn sign_in(
        &self,
        context: &RequestContext,
        id: InteractionId,
        cookies: &Cookies,
        csrf: &CsrfToken,
        (username, password): (&str, Password),
    ) -> Result<CredentialAnswer> {
        let open = match self.post(context, id, cookies, csrf).await? {
            Found::Open(open) => open,
            Found::Respond(response) => return Ok(elsewhere(Shown::Respond(response))),
            Found::Refused(refusal) => return Ok(elsewhere(Shown::Refused(refusal))),
        };
        let name = username.parse::<Username>().ok();
        let Account { user, binding, password_suffices } = self.account(name.as_ref()).await?;
        let guesser = self.guesser(cookies, &binding);
        match self.check_password(context, name.as_ref(), user, guesser, password.clone()).await? {
            Err(PasswordAnswer::Wait(seconds)) => Ok(again(open, CredentialRefusal::Wait(seconds))),
            Err(PasswordAnswer::Wrong) => Ok(again(open, CredentialRefusal::Wrong)),
            Ok((user, verified)) => {
                let Some(session) = self.begin_session(context, &open, (&verified).into(), None).await?
                else {
                    self.login_failed(context, Some(&user), name.as_ref(), "account_changed").await?;
                    return Ok(again(open, CredentialRefusal::Wrong));
                };
                metrics::counter!("chancery_logins_total", "outcome" => "accepted").increment(1);
                let device = if password_suffices { self.remember_device(cookies, &binding) } else { None };
                // They are signed in; a hash that could not be strengthened can wait for the next time.
                if let Err(error) = self.rehash(&user, &verified, password).await {
                    tracing::warn!(%error, "could not store a password under stronger parameters");
                }
                Ok(CredentialAnswer::Accepted(SignedIn { session, device }))
            }
        }
    }

    /// Counts the attempt for its guesser, verifies the password of `user`, and forgives the count when
    /// it was right.
    pub(crate) async fn check_password(
        &self,
        context: &RequestContext,
        name: Option<&Username>,
        user: Option<User>,
        guesser: Guesser,
        password: Password,
    ) -> Result<std::result::Result<(User, VerifiedPassword), PasswordAnswer>> {
        let place = self.0.passwords.queue()?;
        let account = name.map(|name| attempts_key(name, AttemptKind::Password, guesser));
        if let Some(account) = account
            && let Err(seconds) = self.count_attempt(account).await?
        {
            self.login_failed(context, None, name, "too_many_failures").await?;
            return Ok(Err(PasswordAnswer::Wait(seconds)));
        }
        match self.0.passwords.verify(place, password, user.clone()).await? {
            Ok(verified) => {
                if let Some(account) = &account {
                    self.0.store.forgive_attempts(account).await?;
                }
                let user = user.ok_or(crate::FlowError::Contradiction("a verified password of nobody"))?;
                Ok(Ok((user, verified)))
            }
            Err(refusal) => {
                let known = user.filter(|_| refusal != PasswordRefusal::UnknownUser);
                self.login_failed(context, known.as_ref(), name, refusal.code()).await?;
                Ok(Err(PasswordAnswer::Wrong))
            }
        }
    }

    /// Counts an attempt before its secret is looked at; `Err` with the seconds to wait when none may
    /// be made. Two tabs of one person may come at the same moment, so a lost race is run again.
    pub(crate) async fn count_attempt(&self, account: Digest) -> Result<std::result::Result<(), i64>> {
        let store = &self.0.store;
        for _ in 0..16 {
            let attempts = store.attempts(&account).await?;
            let reservation = match reserve(account, attempts, &self.0.policies.throttle, self.now()) {
                Ok(reservation) => reservation,
                Err(wait) => return Ok(Err(wait.seconds())),
            };
            if store.reserve_attempt(&reservation).await? == 1 {
                return Ok(Ok(()));
            }
        }
        Ok(Err(1))
    }

    async fn login_failed(
        &self,
        context: &RequestContext,
        user: Option<&User>,
        name: Option<&Username>,
        reason: &str,
    ) -> Result<()> {
        let event = self.event(context, EventKind::LoginFailed, self.now()).user(user.map(|user| user.id));
        // The typed name of an unknown account may be a password typed in the wrong field.
        let named = name.filter(|_| user.is_some()).map(Username::as_str).unwrap_or_default();
        self.record(&event.reason(reason).detail("username", named)).await?;
        metrics::counter!("chancery_logins_total", "outcome" => "refused").increment(1);
        Ok(())
    }

    /// Starts a session, or renews the one that the same person has in this browser. Another
    /// person's session in this browser ends. The cookie is new in any case (SE-01). `None` if the account
    /// was disabled, or the password changed, since it was verified (BCP-09).
    pub(crate) async fn begin_session(
        &self,
        context: &RequestContext,
        open: &Open,
        first: FirstFactor,
        upstream: Option<(&Provider, &UpstreamIdentity)>,
    ) -> Result<Option<SessionCookie>> {
        let now = self.now();
        let policy = &self.0.policies.sessions;
        let cookie = SessionCookie::from_entropy(self.entropy());
        let digest = sha256(cookie.expose());
        let event = |kind| {
            let client = open.record.client.clone();
            self.event(context, kind, now).user(first.user()).client(client).interaction(open.record.id)
        };
        let origin = || SessionOrigin {
            id: SessionId(self.random().id(now)),
            digest,
            address: context.address,
            user_agent: context.user_agent.clone(),
        };
        let mut login = event(EventKind::LoginSucceeded);
        if let Some((provider, _)) = upstream {
            login = login.detail("upstream", provider.config().id.as_str());
        }
        let current = open.facts.visitor.as_ref().map(|visitor: &Visitor| &visitor.session);
        let basis = first.basis();
        if let (None, SignInBasis::Password { changed_at: password_changed_at, .. }) = (current, basis) {
            let new = start(first.clone(), origin(), policy, now);
            let started = event(EventKind::SessionStarted).session(new.session.id);
            let start = SessionStart { session: &new, password_changed_at, events: [&login, &started] };
            return Ok((self.0.store.start_session(&start).await? == 1).then_some(cookie));
        }
        let renewal =
            current.and_then(|session| reauthenticate(session, first.clone(), digest, policy, now).ok());
        let mut tx = self.0.store.begin().await?;
        if tx.hold_signing_in(&basis).await? != 1 {
            return Ok(None);
        }
        tx.record(&login).await?;
        let session = if let Some(renewal) = &renewal
            && tx.renew_session(renewal).await? == 1
        {
            tx.record(&event(EventKind::SessionRenewed).session(renewal.session.id)).await?;
            renewal.session.id
        } else {
            if let Some(ended) = current.and_then(|session| end(session, session.user, now))
                && tx.end_session(&ended).await? == 1
            {
                let ended_event = event(EventKind::SessionEnded).user(ended.user).session(ended.id);
                tx.record(&ended_event.reason("replaced")).await?;
            }
            let new = start(first.clone(), origin(), policy, now);
            tx.insert_session(&new).await?;
            tx.record(&event(EventKind::SessionStarted).session(new.session.id)).await?;
            new.session.id
        };
        if let Some((_, identity)) = upstream {
            tx.put_upstream_session(&self.upstream_session(session, identity, now)?).await?;
        }
        tx.commit().await?;
        self.0.deliveries.wake();
        Ok(Some(cookie))
    }

    /// Stores the password under stronger parameters, where the bank raised them.
    async fn rehash(&self, user: &User, verified: &VerifiedPassword, password: Password) -> Result<()> {
        if !verified.needs_rehash() {
            return Ok(());
        }
        let hash = self.0.passwords.hash(password, self.random().bytes()).await?;
        if let Some(rehash) = hash.and_then(|hash| Rehash::new(verified, user, hash)) {
            let mut tx = self.0.store.begin().await?;
            tx.rehash_password(&rehash).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}

/// Why a password was not accepted, as the page may say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PasswordAnswer {
    Wrong,
    Wait(i64),
}

pub(crate) fn again(open: Box<Open>, refusal: CredentialRefusal) -> CredentialAnswer {
    let Open { record, validated, facts, csrf } = *open;
    let interaction = Interaction { record, validated, visitor: facts.visitor, csrf };
    CredentialAnswer::Again(Box::new(interaction), refusal)
}

pub(crate) fn elsewhere(shown: Shown) -> CredentialAnswer {
    CredentialAnswer::Elsewhere(Box::new(shown))
}
