//! Setting up an authenticator, the first one or another in place of it.
//!
//! Until its first code is right an authenticator leaves no trace: its seed is derived from the
//! session and the interaction that show it, under a key that only this server has. So nobody who
//! was shown a seed in one browser knows the one that is confirmed in another, a reload shows the
//! same, and whoever gives up a replacement keeps the old authenticator.

use audit::EventKind;
use jose::digest::hmac_sha256;
use mfa::{
    DeviceBinding, Guesser, RecoveryCodes, TotpCredential, TotpEnrolment, TotpSecret,
    recovery::{COUNT, ENTROPY},
    totp,
};
use protocol::{
    InteractionId, UserId,
    secret::{CsrfToken, OneTimePassword},
};
use tokens::step::{AccountStep, AuthenticatorStep, Step, account_step, authenticator_step, next_step};

use crate::{
    context::RequestContext,
    error::{FlowError, Result},
    interaction::{Found, Interaction, Open, Shown},
    random::Draw,
    second_factor::{factor_key, totp_identity},
    service::Service,
    sign_in::{CredentialRefusal, SignedIn},
    visitor::{Cookies, Visitor},
};

/// What becomes of the first code of a new authenticator.
#[derive(Debug)]
pub enum EnrolmentAnswer {
    /// It was right: the recovery codes are shown, once, and the browser gets these cookies.
    Enrolled {
        /// The cookies.
        signed_in: SignedIn,
        /// The codes.
        codes: RecoveryCodes,
        /// The interaction, as the page needs it.
        interaction: Box<Interaction>,
    },
    /// It was not: the same page again.
    Again(Box<Interaction>, Box<TotpEnrolment>, CredentialRefusal),
    /// Something else is to be shown.
    Elsewhere(Box<Shown>),
}

impl Service {
    /// What the enrolment page shows.
    pub(crate) fn enrolment(&self, visitor: &Visitor, id: InteractionId) -> Result<TotpEnrolment> {
        let secret = self.enrolment_secret(visitor, id)?;
        TotpEnrolment::new(&secret, &self.0.policies.bank_name, visitor.user.username.as_str())
            .map_err(|_| FlowError::Contradiction("the enrolment can't be drawn"))
    }

    /// The seed that this session is shown in this interaction.
    fn enrolment_secret(&self, visitor: &Visitor, id: InteractionId) -> Result<TotpSecret> {
        let keys = self.0.sealer.derived("totp enrolment");
        let key = keys.first().ok_or(FlowError::Contradiction("a sealer without a key"))?;
        let (user, session) = (visitor.user.id.0, visitor.session.id.0);
        let seed = hmac_sha256(&key[..], &[user.as_bytes(), session.as_bytes(), id.0.as_bytes()]);
        TotpSecret::try_from(&seed.as_bytes()[..20])
            .map_err(|_| FlowError::Contradiction("a TOTP seed of another length"))
    }

    /// Whether setting up an authenticator is what comes next, and in place of which one.
    fn enrols(&self, open: &Open) -> Result<bool> {
        let declared = self.declared();
        let now = self.now();
        let policy = self.step_policy(&declared)?;
        let situation = open.situation();
        Ok(match &open.validated {
            Some(validated) => matches!(next_step(validated, &situation, &policy, now), Step::Enrol),
            None if open.is_for_authenticator() => {
                let confirmed_at = open.facts.confirmed_at();
                authenticator_step(&situation, confirmed_at, &policy, now) == AuthenticatorStep::Enrol
            }
            None => matches!(account_step(&situation, &policy, now), AccountStep::Enrol),
        })
    }

    /// Sets up a new authenticator by its first code, in place of the present one if there is one,
    /// and makes recovery codes. Sessions that rested on the old one end.
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
        let enrols = self.enrols(&open)?;
        let Some(visitor) = open.facts.visitor.clone().filter(|_| enrols) else {
            return elsewhere(self.show(context, id, cookies).await?);
        };
        if let Err(seconds) =
            self.count_factor_attempt(&visitor.user, Guesser::Session(visitor.session.id)).await?
        {
            self.factor_failed(context, &visitor, "too_many_failures").await?;
            return self.enrol_again(*open, &visitor, CredentialRefusal::Wait(seconds));
        }
        let secret = self.enrolment_secret(&visitor, id)?;
        let nobody_yet = TotpCredential::unconfirmed(visitor.user.id, Vec::new());
        let (confirmation, single) = match totp::confirm(&nobody_yet, &secret, code, self.now()) {
            Ok(confirmed) => confirmed,
            Err(fault) => {
                self.factor_failed(context, &visitor, fault.code()).await?;
                return self.enrol_again(*open, &visitor, CredentialRefusal::Wrong);
            }
        };
        let identity = totp_identity(visitor.user.id);
        let sealed = self.0.sealer.seal(secret.expose(), &identity, self.random().bytes())?;
        let replaces = open.facts.confirmed_at();
        let now = confirmation.at;
        let mut tx = self.0.store.begin().await?;
        let rows = tx.enrol_totp(&confirmation, &sealed, replaces).await?;
        let Ok(verified) = single.confirm(rows) else {
            // Another tab was faster; this one goes on with the challenge.
            drop(tx);
            return elsewhere(self.show(context, id, cookies).await?);
        };
        let codes = self.fresh_recovery_codes(visitor.user.id);
        tx.replace_recovery_codes(codes.replacement()).await?;
        let event = |kind| self.event(context, kind, now).user(visitor.user.id).session(visitor.session.id);
        if replaces.is_some() {
            tx.end_sessions_of(visitor.user.id, Some(visitor.session.id), now).await?;
            tx.record(&event(EventKind::SecondFactorReset)).await?;
        }
        tx.record(&event(EventKind::SecondFactorEnrolled)).await?;
        tx.record(&event(EventKind::RecoveryCodesGenerated)).await?;
        let Some(session) = self.step_up(context, &mut tx, &visitor, &verified).await? else {
            drop(tx);
            return elsewhere(self.show(context, id, cookies).await?);
        };
        tx.forgive_attempts(&factor_key(&visitor.user, Guesser::Session(visitor.session.id))).await?;
        tx.commit().await?;
        metrics::counter!("chancery_second_factors_total", "outcome" => "accepted").increment(1);
        let enrolled = TotpCredential { confirmed_at: Some(now), ..nobody_yet };
        let device = self.remember_device(cookies, &DeviceBinding::new(&visitor.user, Some(&enrolled)));
        let signed_in = SignedIn { session, device };
        Ok(EnrolmentAnswer::Enrolled { signed_in, codes, interaction: Box::new(open.shown()) })
    }

    fn enrol_again(
        &self,
        open: Open,
        visitor: &Visitor,
        refusal: CredentialRefusal,
    ) -> Result<EnrolmentAnswer> {
        let enrolment = Box::new(self.enrolment(visitor, open.record.id)?);
        Ok(EnrolmentAnswer::Again(Box::new(open.shown()), enrolment, refusal))
    }

    /// A fresh set of recovery codes.
    pub(crate) fn fresh_recovery_codes(&self, user: UserId) -> RecoveryCodes {
        let entropy: [[u8; ENTROPY]; COUNT] = std::array::from_fn(|_| self.random().bytes());
        RecoveryCodes::generate(user, &entropy, self.now())
    }
}
