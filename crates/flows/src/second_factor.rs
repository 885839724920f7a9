//! The second factor: one-time passwords, and recovery codes in their place.
//!
//! Each attempt is counted before it is checked, by a conditional statement, so that many at once
//! can't outrun the count; and each right value counts once, because the store says so (SE-03).

use audit::EventKind;
use jose::digest::{Digest, sha256};
use mfa::{
    AttemptKind, DeviceBinding, Guesser, TotpCredential, TotpFault, TotpSecret, User, VerifiedSecondFactor,
    recovery, session::step_up, throttle::attempts_key, totp,
};
use protocol::{
    InteractionId, UserId,
    secret::{CsrfToken, OneTimePassword, RecoveryCode, SessionCookie},
};
use store::Tx;

use crate::{
    context::RequestContext,
    error::{FlowError, Result},
    interaction::{Found, Open, Shown},
    service::Service,
    sign_in::{CredentialAnswer, CredentialRefusal, SignedIn, again, elsewhere},
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
        let binding = DeviceBinding::new(&visitor.user, visitor.totp.as_ref());
        let guesser = self.guesser(cookies, &binding);
        match self.check_factor(context, visitor, guesser, factor, &open).await? {
            Ok(session) => {
                let device = self.remember_device(cookies, &binding);
                Ok(CredentialAnswer::Accepted(SignedIn { session, device }))
            }
            Err(refusal) => Ok(again(open, refusal)),
        }
    }

    /// Counts, checks, and steps the session up, all but the count in one transaction.
    async fn check_factor(
        &self,
        context: &RequestContext,
        visitor: &Visitor,
        guesser: Guesser,
        factor: &Factor,
        open: &Open,
    ) -> Result<std::result::Result<SessionCookie, CredentialRefusal>> {
        if let Err(seconds) = self.count_factor_attempt(&visitor.user, guesser).await? {
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
        let Some(cookie) = cookie else {
            drop(tx);
            self.factor_failed(context, visitor, "session_changed").await?;
            return Ok(Err(CredentialRefusal::Wrong));
        };
        tx.forgive_attempts(&factor_key(&visitor.user, guesser)).await?;
        tx.commit().await?;
        metrics::counter!("chancery_second_factors_total", "outcome" => "accepted").increment(1);
        Ok(Ok(cookie))
    }

    /// Counts an attempt; `Err` with the seconds to wait when none may be made.
    pub(crate) async fn count_factor_attempt(
        &self,
        user: &User,
        guesser: Guesser,
    ) -> Result<std::result::Result<(), i64>> {
        self.count_attempt(factor_key(user, guesser)).await
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

    pub(crate) async fn factor_failed(
        &self,
        context: &RequestContext,
        visitor: &Visitor,
        reason: &str,
    ) -> Result<()> {
        let event = self.event(context, EventKind::SecondFactorFailed, self.now());
        self.record(&event.user(visitor.user.id).session(visitor.session.id).reason(reason)).await?;
        metrics::counter!("chancery_second_factors_total", "outcome" => "refused").increment(1);
        Ok(())
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
        Ok(Some(cookie))
    }

    pub(crate) fn totp_secret(&self, credential: &TotpCredential) -> Result<TotpSecret> {
        let seed = self.0.sealer.open(&credential.sealed_seed, &totp_identity(credential.user))?;
        TotpSecret::try_from(&seed[..]).map_err(|_| FlowError::Contradiction("a TOTP seed of another length"))
    }
}

/// Under which key attempts at the second factor are counted.
pub(crate) fn factor_key(user: &User, guesser: Guesser) -> Digest {
    attempts_key(&user.username, AttemptKind::SecondFactor, guesser)
}

/// What a sealed seed belongs to; a seed moved to another user's row does not open.
pub(crate) fn totp_identity(user: UserId) -> Vec<u8> {
    format!("totp:{user}").into_bytes()
}
