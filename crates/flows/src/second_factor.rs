//! The second factor: one-time passwords, recovery codes, and setting up an authenticator.
//!
//! Each attempt is counted before it is checked, by a conditional statement, so that many at once
//! can't outrun the count; and each right value counts once, because the store says so (SE-03).

use audit::EventKind;
use jose::digest::sha256;
use mfa::{
    AttemptKind, RecoveryCodes, TotpCredential, TotpEnrolment, TotpFault, TotpReset, TotpSecret, User,
    VerifiedSecondFactor,
    recovery::{self, COUNT, ENTROPY},
    session::step_up,
    throttle::{account_key, reserve},
    totp,
};
use protocol::{
    InteractionId, UserId,
    secret::{CsrfToken, OneTimePassword, RecoveryCode, SessionCookie},
};
use store::Tx;

use crate::{
    context::RequestContext,
    error::{FlowError, Result},
    interaction::{Found, Interaction, Open, Shown},
    random::Draw,
    service::Service,
    sign_in::{CredentialAnswer, CredentialRefusal, again, elsewhere},
    visitor::{Cookies, Visitor},
};

/// What a person shows as a second factor.
#[derive(Clone, Debug)]
pub enum Factor {
    /// A code of the authenticator.
    OneTimePassword(OneTimePassword),
    /// A recovery code in its place.
    RecoveryCode(RecoveryCode),
}

/// What becomes of the first code of a new authenticator.
#[derive(Debug)]
pub enum EnrolmentAnswer {
    /// It was right: the recovery codes are shown, once, and the browser gets this session cookie.
    Enrolled {
        /// The new cookie.
        cookie: SessionCookie,
        /// The codes.
        codes: RecoveryCodes,
        /// Whose.
        username: String,
    },
    /// It was not: the same page again.
    Again(Interaction, Box<TotpEnrolment>, CredentialRefusal),
    /// Something else is to be shown.
    Elsewhere(Box<Shown>),
}

impl Service {
    /// Verifies a second factor of the visitor of an interaction.
    ///
    /// # Errors
    /// [`FlowError`].
    pub async fn second_factor(
        &self,
        context: &RequestContext,
        id: InteractionId,
        cookies: &Cookies,
        csrf: &CsrfToken,
        factor: &Factor,
    ) -> Result<CredentialAnswer> {
        let open = match self.post(context, id, cookies, csrf).await? {
            Found::Open(open) => open,
            Found::Respond(response) => return Ok(elsewhere(Shown::Respond(response))),
            Found::Refused(refusal) => return Ok(elsewhere(Shown::Refused(refusal))),
        };
        let Some(visitor) = &open.facts.visitor else {
            return Ok(elsewhere(self.show(context, id, cookies).await?));
        };
        match self.check_factor(context, visitor, factor, &open).await? {
            Ok(cookie) => Ok(CredentialAnswer::Accepted(cookie)),
            Err(refusal) => Ok(again(open, refusal)),
        }
    }

    /// Counts, checks, and steps the session up, all but the count in one transaction.
    async fn check_factor(
        &self,
        context: &RequestContext,
        visitor: &Visitor,
        factor: &Factor,
        open: &Open,
    ) -> Result<std::result::Result<SessionCookie, CredentialRefusal>> {
        if let Err(seconds) = self.count_factor_attempt(&visitor.user).await? {
            self.factor_failed(context, visitor, "too_many_failures").await?;
            return Ok(Err(CredentialRefusal::Wait(seconds)));
        }
        let now = self.now();
        let mut tx = self.0.store.begin().await?;
        let verified = match factor {
            Factor::OneTimePassword(code) => self.accept_totp(&mut tx, visitor, code).await?,
            Factor::RecoveryCode(code) => match recovery::redeem(visitor.user.id, code, now) {
                Err(fault) => Err(fault.code()),
                Ok((spend, single)) => {
                    let rows = tx.use_recovery_code(&spend).await?;
                    single.confirm(rows).map_err(|_| "wrong_recovery_code")
                }
            },
        };
        let verified = match verified {
            Ok(verified) => verified,
            Err(reason) => {
                drop(tx);
                self.factor_failed(context, visitor, reason).await?;
                return Ok(Err(CredentialRefusal::Wrong));
            }
        };
        let kind = match factor {
            Factor::OneTimePassword(_) => EventKind::SecondFactorSucceeded,
            Factor::RecoveryCode(_) => EventKind::RecoveryCodeUsed,
        };
        let event = self.event(context, kind, now).user(visitor.user.id).session(visitor.session.id);
        tx.record(&event.interaction(open.record.id).client(open.record.client.clone())).await?;
        let cookie = self.step_up(context, &mut tx, visitor, &verified).await?;
        let Some(cookie) = cookie else { return Ok(Err(CredentialRefusal::Wrong)) };
        tx.forgive_attempts(&account_key(&visitor.user.username, AttemptKind::SecondFactor)).await?;
        tx.commit().await?;
        Ok(Ok(cookie))
    }

    /// Counts an attempt; `Err` with the seconds to wait when none may be made.
    async fn count_factor_attempt(&self, user: &User) -> Result<std::result::Result<(), i64>> {
        let account = account_key(&user.username, AttemptKind::SecondFactor);
        let attempts = self.0.store.attempts(&account).await?;
        let reservation = match reserve(account, attempts, &self.0.policies.throttle, self.now()) {
            Ok(reservation) => reservation,
            Err(wait) => return Ok(Err(wait.seconds())),
        };
        let mut tx = self.0.store.begin().await?;
        let rows = tx.reserve_attempt(&reservation).await?;
        tx.commit().await?;
        // Another attempt on the account is running.
        Ok(if rows == 1 { Ok(()) } else { Err(1) })
    }

    async fn accept_totp(
        &self,
        tx: &mut Tx,
        visitor: &Visitor,
        code: &OneTimePassword,
    ) -> Result<std::result::Result<VerifiedSecondFactor, &'static str>> {
        let Some(credential) = &visitor.totp else { return Ok(Err(TotpFault::State.code())) };
        let secret = self.totp_secret(credential)?;
        match totp::accept(credential, &secret, code, self.now()) {
            Err(fault) => Ok(Err(fault.code())),
            Ok((acceptance, single)) => {
                let rows = tx.accept_totp(&acceptance).await?;
                Ok(single.confirm(rows).map_err(|_| TotpFault::Replayed.code()))
            }
        }
    }

    async fn factor_failed(&self, context: &RequestContext, visitor: &Visitor, reason: &str) -> Result<()> {
        metrics::counter!("chancery_second_factors_total", "outcome" => "refused").increment(1);
        let event = self.event(context, EventKind::SecondFactorFailed, self.now());
        self.record(&event.user(visitor.user.id).session(visitor.session.id).reason(reason)).await
    }

    /// Raises the session to two factors, under a new cookie (SE-01). `None` when it changed or
    /// ended meanwhile.
    pub(crate) async fn step_up(
        &self,
        context: &RequestContext,
        tx: &mut Tx,
        visitor: &Visitor,
        verified: &VerifiedSecondFactor,
    ) -> Result<Option<SessionCookie>> {
        let now = self.now();
        let cookie = SessionCookie::from_entropy(self.entropy());
        let digest = sha256(cookie.expose());
        let Ok(renewal) = step_up(&visitor.session, verified, digest, &self.0.policies.sessions, now) else {
            return Ok(None);
        };
        if tx.renew_session(&renewal).await? != 1 {
            return Ok(None);
        }
        let event = self.event(context, EventKind::SessionRenewed, now).user(visitor.user.id);
        tx.record(&event.session(visitor.session.id)).await?;
        metrics::counter!("chancery_second_factors_total", "outcome" => "accepted").increment(1);
        Ok(Some(cookie))
    }

    /// What the enrolment page shows: the seed of an enrolment that has begun, or a new one. A
    /// reload shows the same seed, so nobody scans one and confirms another.
    pub(crate) async fn enrolment(&self, user: &User) -> Result<TotpEnrolment> {
        let secret = match self.0.store.totp(user.id).await? {
            Some(credential) if !credential.is_enrolled() => self.totp_secret(&credential)?,
            _ => {
                let secret = TotpSecret::from_entropy(self.random().bytes());
                let sealed =
                    self.0.sealer.seal(secret.expose(), &totp_identity(user.id), self.random().bytes())?;
                let mut tx = self.0.store.begin().await?;
                tx.start_totp(&TotpCredential::unconfirmed(user.id, sealed)).await?;
                tx.commit().await?;
                secret
            }
        };
        TotpEnrolment::new(&secret, &self.0.policies.bank_name, user.username.as_str())
            .map_err(|_| FlowError::Contradiction("the enrolment can't be drawn"))
    }

    /// Confirms a new authenticator by its first code, and makes recovery codes.
    ///
    /// # Errors
    /// [`FlowError`].
    pub async fn enrol(
        &self,
        context: &RequestContext,
        id: InteractionId,
        cookies: &Cookies,
        csrf: &CsrfToken,
        code: &OneTimePassword,
    ) -> Result<EnrolmentAnswer> {
        let elsewhere = |shown| Ok(EnrolmentAnswer::Elsewhere(Box::new(shown)));
        let open = match self.post(context, id, cookies, csrf).await? {
            Found::Open(open) => open,
            Found::Respond(response) => return elsewhere(Shown::Respond(response)),
            Found::Refused(refusal) => return elsewhere(Shown::Refused(refusal)),
        };
        let Some(visitor) = open.facts.visitor.clone().filter(|visitor| !visitor.enrolled()) else {
            return elsewhere(self.show(context, id, cookies).await?);
        };
        if let Err(seconds) = self.count_factor_attempt(&visitor.user).await? {
            return self.enrol_again(*open, &visitor.user, CredentialRefusal::Wait(seconds)).await;
        }
        let Some(credential) = visitor.totp.clone() else {
            return elsewhere(self.show(context, id, cookies).await?);
        };
        let secret = self.totp_secret(&credential)?;
        let now = self.now();
        let (confirmation, single) = match totp::confirm(&credential, &secret, code, now) {
            Ok(confirmed) => confirmed,
            Err(fault) => {
                self.factor_failed(context, &visitor, fault.code()).await?;
                return self.enrol_again(*open, &visitor.user, CredentialRefusal::Wrong).await;
            }
        };
        let mut tx = self.0.store.begin().await?;
        let rows = tx.confirm_totp(&confirmation, &credential.sealed_seed).await?;
        let Ok(verified) = single.confirm(rows) else {
            // Another tab confirmed it; this one goes on with the challenge.
            drop(tx);
            return elsewhere(self.show(context, id, cookies).await?);
        };
        let codes = self.fresh_recovery_codes(visitor.user.id);
        tx.replace_recovery_codes(codes.replacement()).await?;
        let event = |kind| self.event(context, kind, now).user(visitor.user.id).session(visitor.session.id);
        tx.record(&event(EventKind::SecondFactorEnrolled)).await?;
        tx.record(&event(EventKind::RecoveryCodesGenerated)).await?;
        let Some(cookie) = self.step_up(context, &mut tx, &visitor, &verified).await? else {
            drop(tx);
            return elsewhere(self.show(context, id, cookies).await?);
        };
        tx.forgive_attempts(&account_key(&visitor.user.username, AttemptKind::SecondFactor)).await?;
        tx.commit().await?;
        let username = visitor.user.username.as_str().to_owned();
        Ok(EnrolmentAnswer::Enrolled { cookie, codes, username })
    }

    /// Takes an authenticator away, so that another can be set up. Sessions that rested on it end.
    pub(crate) async fn remove_authenticator(
        &self,
        context: &RequestContext,
        visitor: &Visitor,
    ) -> Result<()> {
        let now = self.now();
        let reset = TotpReset { user: visitor.user.id, at: now, keep_session: Some(visitor.session.id) };
        let mut tx = self.0.store.begin().await?;
        tx.reset_totp(&reset).await?;
        let event = self.event(context, EventKind::SecondFactorReset, now).user(visitor.user.id);
        tx.record(&event.session(visitor.session.id)).await?;
        Ok(tx.commit().await?)
    }

    async fn enrol_again(
        &self,
        open: Open,
        user: &User,
        refusal: CredentialRefusal,
    ) -> Result<EnrolmentAnswer> {
        let enrolment = Box::new(self.enrolment(user).await?);
        let Open { record, validated, facts, csrf } = open;
        let interaction = Interaction { record, validated, visitor: facts.visitor, csrf };
        Ok(EnrolmentAnswer::Again(interaction, enrolment, refusal))
    }

    pub(crate) fn fresh_recovery_codes(&self, user: UserId) -> RecoveryCodes {
        let entropy: [[u8; ENTROPY]; COUNT] = std::array::from_fn(|_| self.random().bytes());
        RecoveryCodes::generate(user, &entropy, self.now())
    }

    pub(crate) fn totp_secret(&self, credential: &TotpCredential) -> Result<TotpSecret> {
        let seed = self.0.sealer.open(&credential.sealed_seed, &totp_identity(credential.user))?;
        TotpSecret::try_from(&seed[..]).map_err(|_| FlowError::Contradiction("a TOTP seed of another length"))
    }
}

/// What a sealed seed belongs to; a seed moved to another user's row does not open.
fn totp_identity(user: UserId) -> Vec<u8> {
    format!("totp:{user}").into_bytes()
}
