//! What must happen next: the one place that decides between login, second factor, consent and an
//! answer.
//!
//! `prompt`, `max_age`, `acr_values`, hints, step-up and several tabs are values that it reads. It
//! is asked anew at every request of an interaction and remembers nothing itself; a new factor is a
//! new variant here, not a route that calls another.

use chrono::{DateTime, Duration, Utc};
use consent::{
    Catalogue, ConsentAsk, ConsentDecision, ConsentRecord, ConsentRefusal, ConsentRequest, GrantedConsent,
};
use mfa::{
    Authentication, Demands, FactorStep, Requirement, SecondFactorPolicy, Session, SessionPolicy, User,
    factor_step, required_acr,
};
use protocol::{SessionId, acr::Acr, authorization::Prompt, client::GrantType};

use crate::{checks::ValidatedAuthorization, subject::SubjectKey};

/// The facts about the browser and the person at it.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// When the interaction began; what the person did since then was done for it.
    pub began_at: DateTime<Utc>,
    /// The session of the browser, with its user. Dead sessions and disabled users are none.
    pub session: Option<(&'a Session, &'a User)>,
    /// Whether the user has a confirmed second factor.
    pub enrolled: bool,
    /// The user's latest consent to the client.
    pub consent: Option<&'a ConsentRecord>,
    /// The session that the person chose to go on with in this interaction (OC-06).
    pub chosen: Option<SessionId>,
}

/// The rules that the decision follows.
#[derive(Clone, Copy, Debug)]
pub struct StepPolicy<'a> {
    /// The bank's second-factor policy.
    pub second_factor: SecondFactorPolicy,
    /// How long sessions live.
    pub sessions: &'a SessionPolicy,
    /// What scopes mean.
    pub catalogue: &'a Catalogue,
    /// How people are called towards clients.
    pub subjects: &'a SubjectKey,
}

/// What must happen next.
#[derive(Debug)]
pub enum Step {
    /// The person signs in.
    Login,
    /// The person says whether to go on as who is signed in, or as somebody else (OC-06).
    SelectAccount,
    /// The person shows their second factor.
    SecondFactor,
    /// The person sets up a second factor.
    Enrol,
    /// The person is asked.
    Consent(Box<ConsentAsk>),
    /// Everything is there: a code can be issued.
    Issue {
        /// Who, how, when.
        authentication: Authentication,
        /// Under which consent.
        consent: Granting,
    },
    /// Nothing can happen; the client is told.
    Refuse(StepRefusal),
}

/// Under which consent a code is issued without asking.
#[derive(Debug)]
pub enum Granting {
    /// It was given before (OC-33).
    Remembered(Box<GrantedConsent>),
    /// The bank answers for its own client; the consent is recorded all the same.
    Implied(Box<ConsentAsk>),
}

/// Why nothing can happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepRefusal {
    /// `prompt=none` without a usable session, or another person than the hint's (OC-05, OC-09).
    #[error("login_required")]
    LoginRequired,
    /// `prompt=none` where a second factor is missing (OC-05).
    #[error("interaction_required")]
    InteractionRequired,
    /// `prompt=none` where consent is missing (OC-05).
    #[error("consent_required")]
    ConsentRequired,
    /// The person's own roles allow nothing of what was asked.
    #[error("nothing_allowed")]
    NothingAllowed(ConsentRefusal),
    /// The request names accounts that are not the person's (RAR-03).
    #[error("account_of_another")]
    ForeignAccount,
}

/// Decides what an authorization needs next.
pub fn next_step(
    validated: &ValidatedAuthorization,
    situation: &Situation<'_>,
    policy: &StepPolicy<'_>,
    now: DateTime<Utc>,
) -> Step {
    let silent = validated.request().prompt.contains(&Prompt::None);
    let step = match authenticate(validated, situation, policy, now) {
        Err(step) => step,
        Ok((authentication, user)) => consent_step(validated, authentication, user, situation, policy, now),
    };
    match step {
        Step::Login if silent => Step::Refuse(StepRefusal::LoginRequired),
        Step::SelectAccount | Step::SecondFactor | Step::Enrol if silent => {
            Step::Refuse(StepRefusal::InteractionRequired)
        }
        Step::Consent(_) if silent => Step::Refuse(StepRefusal::ConsentRequired),
        step => step,
    }
}

/// The person is who the request wants, recently enough and strongly enough; or what is missing.
fn authenticate<'a>(
    validated: &ValidatedAuthorization,
    situation: &Situation<'a>,
    policy: &StepPolicy<'_>,
    now: DateTime<Utc>,
) -> Result<(Authentication, &'a User), Step> {
    let (session, user) = situation.session.ok_or(Step::Login)?;
    let authentication = Authentication::from_session(session, policy.sessions, now).ok_or(Step::Login)?;
    let signed_in_for_this = session.auth_time >= situation.began_at;
    if !validated.is_meant_for(user.id, &policy.subjects.subject(validated.client(), user.id)) {
        // OC-09, OC-18: whoever signed in just now is not whom the client means.
        return Err(if signed_in_for_this { Step::Refuse(StepRefusal::LoginRequired) } else { Step::Login });
    }
    // Whoever signed in for this very request has chosen by that.
    let asked_who = validated.request().prompt.contains(&Prompt::SelectAccount);
    if asked_who && !signed_in_for_this && situation.chosen != Some(session.id) {
        return Err(Step::SelectAccount);
    }
    if !signed_in_for_this && !recent_enough(validated, session, now) {
        return Err(Step::Login);
    }
    match factors(Some(validated), session, user, situation.enrolled, policy) {
        FactorStep::Satisfied => Ok((authentication, user)),
        FactorStep::Challenge => Err(Step::SecondFactor),
        // Who finds an open browser sets up nothing.
        FactorStep::Enrol if !is_fresh(session, situation.began_at, now) => Err(Step::Login),
        FactorStep::Enrol => Err(Step::Enrol),
    }
}

/// OC-04, OC-06, OC-34: `prompt=login`, `max_age` or the client's default for it. A login for this
/// very request is recent enough for `max_age=0`, or nobody could ever answer it.
fn recent_enough(validated: &ValidatedAuthorization, session: &Session, now: DateTime<Utc>) -> bool {
    if validated.request().prompt.contains(&Prompt::Login) {
        return false;
    }
    let max_age = validated.request().max_age.or(validated.client().default_max_age);
    let Some(max_age) = max_age else { return true };
    let Some(max_age) = i64::try_from(max_age).ok().and_then(Duration::try_seconds) else { return true };
    max_age > Duration::zero() && now - session.auth_time <= max_age
}

/// Whether the authentication is as strong as it must be: the bank, the person, the client, the scope, the
/// details and `acr_values` each have a say.
fn factors(
    validated: Option<&ValidatedAuthorization>,
    session: &Session,
    user: &User,
    enrolled: bool,
    policy: &StepPolicy<'_>,
) -> FactorStep {
    let requirement = strength(validated, user.second_factor, policy.second_factor, policy.catalogue);
    factor_step(enrolled, session.acr, requirement)
}

/// How strong an authentication must be for a request, or for pages of our own where there is none. `user` is
/// the person's own policy in place of the bank's, where it is known already who it will be.
pub fn strength(
    validated: Option<&ValidatedAuthorization>,
    user: Option<SecondFactorPolicy>,
    bank: SecondFactorPolicy,
    catalogue: &Catalogue,
) -> Requirement {
    let client = validated.map(ValidatedAuthorization::client);
    let acr_texts = validated.map(ValidatedAuthorization::acr_values).unwrap_or_default();
    let acr_values: Vec<Acr> = acr_texts.iter().filter_map(|text| text.parse().ok()).collect();
    let scope = validated.is_some_and(|validated| {
        let details = &validated.request().authorization_details;
        catalogue.demands_second_factor(validated.scope())
            || catalogue.detail_types().demand_second_factor(details)
    });
    required_acr(&Demands {
        bank,
        user,
        client: client.and_then(|client| client.settings.second_factor),
        scope,
        acr_values: &acr_values,
    })
}

fn consent_step(
    validated: &ValidatedAuthorization,
    authentication: Authentication,
    user: &User,
    situation: &Situation<'_>,
    policy: &StepPolicy<'_>,
    now: DateTime<Utc>,
) -> Step {
    let client = validated.client();
    let prompt = &validated.request().prompt;
    let request = ConsentRequest {
        user: user.id,
        client: client.id.clone(),
        scope: validated.consentable(),
        resources: validated.audience().to_vec(),
        details: validated.request().authorization_details.clone(),
        prompt_consent: prompt.contains(&Prompt::Consent),
        prompt_none: prompt.contains(&Prompt::None),
        offline: client.may_use(GrantType::RefreshToken),
        client_skips_consent: client.settings.first_party,
    };
    let roles: Vec<consent::Role> = user.roles.iter().filter_map(|role| role.parse().ok()).collect();
    match consent::evaluate(&request, &roles, situation.consent, policy.catalogue, now) {
        ConsentDecision::Remembered(consent) => {
            Step::Issue { authentication, consent: Granting::Remembered(Box::new(consent)) }
        }
        ConsentDecision::Implied(ask) => {
            Step::Issue { authentication, consent: Granting::Implied(Box::new(ask)) }
        }
        ConsentDecision::Ask(ask) => Step::Consent(Box::new(ask)),
        ConsentDecision::Refuse(refusal) => Step::Refuse(StepRefusal::NothingAllowed(refusal)),
    }
}

/// What the account pages need next.
#[derive(Debug)]
pub enum AccountStep {
    /// The person signs in.
    Login,
    /// The person shows their second factor.
    SecondFactor,
    /// The person sets up a second factor.
    Enrol,
    /// The pages may be shown.
    Open(Authentication),
}

/// Decides what the account pages need next: a session as strong as the bank's policy wants.
pub fn account_step(situation: &Situation<'_>, policy: &StepPolicy<'_>, now: DateTime<Utc>) -> AccountStep {
    let Some((session, user)) = situation.session else { return AccountStep::Login };
    let Some(authentication) = Authentication::from_session(session, policy.sessions, now) else {
        return AccountStep::Login;
    };
    match factors(None, session, user, situation.enrolled, policy) {
        FactorStep::Satisfied => AccountStep::Open(authentication),
        FactorStep::Challenge => AccountStep::SecondFactor,
        FactorStep::Enrol if !is_fresh(session, situation.began_at, now) => AccountStep::Login,
        FactorStep::Enrol => AccountStep::Enrol,
    }
}

/// What setting up an authenticator needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthenticatorStep {
    /// The person signs in, for this very purpose: who finds an open browser sets up nothing.
    Login,
    /// The person shows the authenticator that is to be replaced, or a recovery code.
    SecondFactor,
    /// A new one is set up; the old one goes when the new one has proven itself.
    Enrol,
    /// It was done.
    Done,
}

/// Decides what setting up an authenticator needs next. `confirmed_at` is when the present one was
/// set up.
pub fn authenticator_step(
    situation: &Situation<'_>,
    confirmed_at: Option<DateTime<Utc>>,
    policy: &StepPolicy<'_>,
    now: DateTime<Utc>,
) -> AuthenticatorStep {
    let live = situation.session.filter(|(session, _)| session.is_live(policy.sessions, now));
    let Some((session, _)) = live else { return AuthenticatorStep::Login };
    if confirmed_at.is_some_and(|at| at >= situation.began_at) {
        return AuthenticatorStep::Done;
    }
    if session.auth_time < situation.began_at {
        return AuthenticatorStep::Login;
    }
    match (confirmed_at, session.acr) {
        (None, _) | (Some(_), Acr::StrongCustomerAuthentication) => AuthenticatorStep::Enrol,
        (Some(_), Acr::CustomerAuthentication) => AuthenticatorStep::SecondFactor,
    }
}

/// How long a sign-in counts as fresh for what wants one: setting up a factor, new recovery codes.
const FRESH: Duration = Duration::minutes(5);

/// Whether the person signed in just now: for this very interaction, or a few minutes ago.
fn is_fresh(session: &Session, began_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    session.auth_time >= began_at || now - session.auth_time < FRESH
}

/// Whether a session is fresh and as strong as its person can make it: what changes to the person's
/// own factors want.
pub fn may_change_factors(session: &Session, enrolled: bool, now: DateTime<Utc>) -> bool {
    now - session.auth_time < FRESH && (!enrolled || session.acr == Acr::StrongCustomerAuthentication)
}

/// Decides what signing in anew needs next.
pub fn reauthentication_step(
    situation: &Situation<'_>,
    policy: &StepPolicy<'_>,
    now: DateTime<Utc>,
) -> AuthenticatorStep {
    let live = situation.session.filter(|(session, _)| session.is_live(policy.sessions, now));
    match live {
        Some((session, _)) if session.auth_time < situation.began_at => AuthenticatorStep::Login,
        Some((session, _)) if situation.enrolled && session.acr < Acr::StrongCustomerAuthentication => {
            AuthenticatorStep::SecondFactor
        }
        Some(_) => AuthenticatorStep::Done,
        None => AuthenticatorStep::Login,
    }
}

#[cfg(test)]
pub(crate) mod tests;
