//! To a provider.

use ::federation::{AttemptSecrets, Provider, UpstreamFault, UpstreamRequest};
use audit::EventKind;
use chrono::{DateTime, TimeDelta, Utc};
use jose::digest::sha256;
use protocol::{
    InteractionId,
    acr::Acr,
    authorization::Prompt,
    secret::{AuthorizationCode, BrowserCookie, CsrfToken},
};
use store::upstream::UpstreamAttempt;
use tokens::{checks::ValidatedAuthorization, interaction::Purpose, step::strength};

use super::{ATTEMPT_LIFETIME, Errand, UpstreamProblem};
use crate::{
    context::RequestContext,
    error::{FlowError, Result},
    interaction::{Found, Open, Shown},
    service::Service,
    visitor::Cookies,
};

/// What becomes of the wish to sign in with a provider.
#[derive(Debug)]
pub enum Sent {
    /// The browser goes there (303).
    To(String),
    /// Back to the sign-in page, which says why.
    Back(UpstreamProblem),
    /// Something else is to be shown.
    Elsewhere(Box<Shown>),
}

impl Service {
    /// Sends the person of an interaction to a provider: the one that is named, or the one that
    /// `typed` belongs to by its domain.
    ///
    /// # Errors
    /// [`FlowError`].
    pub async fn send_upstream(
        &self,
        context: &RequestContext,
        id: InteractionId,
        cookies: &Cookies,
        csrf: &CsrfToken,
        (named, typed): (Option<&str>, Option<&str>),
    ) -> Result<Sent> {
        let open = match self.post(context, id, cookies, csrf).await? {
            Found::Open(open) => open,
            Found::Respond(response) => return Ok(Sent::Elsewhere(Box::new(Shown::Respond(response)))),
            Found::Refused(refusal) => return Ok(Sent::Elsewhere(Box::new(Shown::Refused(refusal)))),
        };
        let provider = match named {
            Some(named) => self.upstream(named),
            None => typed.and_then(|typed| self.home_of(typed)),
        };
        let (Some(provider), Some(browser)) = (provider, &cookies.browser) else {
            return Ok(Sent::Back(UpstreamProblem::NoProvider));
        };
        let request = self.upstream_request(provider, &open, typed);
        let errand =
            Errand::SignIn { interaction: id, fresh: request.fresh, max_age: request.max_age.num_seconds() };
        match self.begin_errand(provider, &request, browser, &errand).await? {
            Ok(url) => Ok(Sent::To(url)),
            Err(fault) => {
                tracing::warn!(upstream = provider.config().id.as_str(), %fault, "nobody can be sent to a provider");
                let event = self.event(context, EventKind::LoginFailed, self.now()).interaction(id);
                let event = event.reason(fault.code()).detail("upstream", provider.config().id.as_str());
                self.record(&event).await?;
                Ok(Sent::Back(UpstreamProblem::from(&fault)))
            }
        }
    }

    /// What of our own request the provider is told.
    fn upstream_request(&self, provider: &Provider, open: &Open, typed: Option<&str>) -> UpstreamRequest {
        let request = open.validated.as_ref().map(ValidatedAuthorization::request);
        let prompted = |request: &protocol::authorization::AuthorizationRequest| {
            request.prompt.iter().any(|prompt| matches!(prompt, Prompt::Login | Prompt::SelectAccount))
        };
        let client_age = open.validated.as_ref().and_then(|validated| validated.client().default_max_age);
        let max_age = request.and_then(|request| request.max_age).or(client_age);
        // Whoever is signed in and sees the sign-in page must sign in anew.
        let fresh = open.facts.visitor.is_some()
            || request.is_some_and(prompted)
            || max_age == Some(0)
            || matches!(open.record.purpose, Purpose::Authenticator | Purpose::Reauthentication);
        let longest = self.0.policies.sessions.absolute;
        let asked = max_age.and_then(|seconds| TimeDelta::try_seconds(i64::try_from(seconds).ok()?));
        let hint = typed.or(request.and_then(|request| request.login_hint.as_deref()));
        UpstreamRequest {
            redirect_uri: self.callback(provider),
            fresh,
            max_age: asked.map_or(longest, |asked| asked.min(longest)),
            strong: self.wants_two_factors(open.validated.as_ref()),
            login_hint: hint.map(|hint| hint.trim().chars().take(255).collect()),
            ui_locales: request.map(|request| request.ui_locales.clone()).unwrap_or_default(),
        }
    }

    /// Whether bank, client, scope, details or `acr_values` demand two factors of whoever it will be.
    fn wants_two_factors(&self, validated: Option<&ValidatedAuthorization>) -> bool {
        let declared = self.declared();
        let required = strength(validated, None, self.0.policies.second_factor, &declared.catalogue);
        required.minimum() >= Acr::StrongCustomerAuthentication
    }

    /// Remembers an attempt and gives the address that begins it.
    pub(super) async fn begin_errand(
        &self,
        provider: &Provider,
        request: &UpstreamRequest,
        browser: &BrowserCookie,
        errand: &Errand,
    ) -> Result<std::result::Result<String, UpstreamFault>> {
        let now = self.now();
        let state = AuthorizationCode::from_entropy(self.entropy());
        let secrets = self.attempt_secrets(state.expose())?;
        let url = match provider.authorization_url(request, &secrets, now).await {
            Ok(url) => url,
            Err(fault) => return Ok(Err(fault)),
        };
        self.remember_attempt(provider, state.expose(), browser, errand, now).await?;
        Ok(Ok(url.into()))
    }

    pub(super) async fn remember_attempt(
        &self,
        provider: &Provider,
        state: &str,
        browser: &BrowserCookie,
        errand: &Errand,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let purpose = serde_json::to_value(errand);
        let attempt = UpstreamAttempt {
            digest: sha256(state),
            provider: provider.config().id.to_string(),
            browser: sha256(browser.expose()),
            purpose: purpose.map_err(|_| FlowError::Contradiction("an errand that is no JSON"))?,
            created_at: now,
            expires_at: now + ATTEMPT_LIFETIME,
        };
        Ok(self.0.store.begin_upstream_attempt(&attempt).await?)
    }

    /// Nonce and PKCE verifier of a state, which nobody else can make from it.
    pub(super) fn attempt_secrets(&self, state: &str) -> Result<AttemptSecrets> {
        let keys = self.0.sealer.derived("upstream attempts");
        let key = keys.first().ok_or(FlowError::Contradiction("a sealer without a key"))?;
        Ok(AttemptSecrets::derive(key, state))
    }
}
