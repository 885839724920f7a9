//! The authorization endpoint (RFC 6749 §3.1): from raw parameters to an answer or an interaction.
//!
//! An authorization that needs no page saves no interaction. One that needs a page saves the request
//! and sends the browser to `/interaction/{id}`; the rest is in [`interaction`](crate::interaction).

use std::sync::Arc;

use audit::EventKind;
use chrono::{DateTime, Utc};
use consent::{Answer, ConsentUpsert, GrantedConsent};
use jose::{digest::sha256, verify_id_token_hint};
use mfa::Authentication;
use protocol::{
    ConsentId, GrantId, InteractionId, UserId,
    authorization::AuthorizationRequest,
    params::Params,
    secret::{AuthorizationCode, BrowserCookie},
};
use store::hot::CodeIssue;
use tokens::{
    checks::{AuthorizationFault, Hint, ValidatedAuthorization},
    client::{Client, SubjectType},
    device::hand_over,
    interaction::{InteractionRecord, Purpose},
    issue::{IssueFault, issue_code},
    pushed::reference_digest,
    redirect::{RedirectFault, VerifiedRedirect},
    step::{Granting, Step, StepRefusal, next_step},
};

use crate::{
    caches::Declared,
    context::RequestContext,
    deliver::Undeliverable,
    error::{FlowError, Result},
    random::Draw,
    service::Service,
    visitor::{Cookies, Facts},
};

/// What becomes of an authorization request.
#[derive(Debug)]
pub enum Authorization {
    /// The client gets an answer.
    Respond(AuthorizationResponse),
    /// The person must see a page first.
    Interact {
        /// Which interaction.
        id: InteractionId,
        /// A new browser cookie, where the browser had none.
        browser: Option<BrowserCookie>,
    },
    /// Nobody may be redirected; a page says why (BCP-03).
    Local(RedirectFault),
}

/// An answer to the client; `iss` is added by whoever writes it (F2-23, IS-01).
#[derive(Debug)]
pub struct AuthorizationResponse {
    /// Who gets it.
    pub client: Arc<Client>,
    /// Where it goes.
    pub redirect: VerifiedRedirect,
    /// What it gets, or why there is nothing.
    pub outcome: std::result::Result<Granted, AuthorizationRefusal>,
}

/// What a client gets of a successful authorization.
#[derive(Debug)]
pub struct Granted {
    /// The code.
    pub code: AuthorizationCode,
    /// The ID token beside it, where the response type has one; as it is sent.
    pub id_token: Option<String>,
}

/// Why there is no code.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AuthorizationRefusal {
    /// A check found something.
    #[error(transparent)]
    Fault(#[from] AuthorizationFault),
    /// Nothing can happen without a page, or the person's roles allow nothing.
    #[error(transparent)]
    Step(#[from] StepRefusal),
    /// The person said no, or gave up (F2-32).
    #[error("denied_by_user")]
    Denied,
    /// The consent covers nothing of what was asked.
    #[error("{0}")]
    Issue(#[from] IssueFault),
    /// The ID token is to be encrypted, and can't be.
    #[error("{0}")]
    Undeliverable(Arc<Undeliverable>),
}

impl Service {
    /// Handles an authorization request.
    ///
    /// # Errors
    /// [`FlowError`].
    pub async fn authorize(
        &self,
        context: &RequestContext,
        params: &Params,
        cookies: &Cookies,
    ) -> Result<Authorization> {
        let addressee = AuthorizationRequest::addressee(params);
        let client = match addressee.client_id {
            None => return self.refuse_locally(context, RedirectFault::ClientIdMissing, None).await,
            Some(id) => self.client(id).await?,
        };
        let Some(client) = client else {
            return self.refuse_locally(context, RedirectFault::UnknownClient, None).await;
        };
        let reference = params.get("request_uri").filter(|_| !params.is_repeated("request_uri"));
        if let Some(digest) = reference.and_then(reference_digest) {
            return self.authorize_pushed(context, client, &digest, cookies).await;
        }
        let effective = self.effective_parameters(&client, params).await;
        // An object that is refused says nothing; what stands beside it says where the answer goes.
        let (params, refused) = match &effective {
            Ok(effective) => (&**effective, None),
            Err(refusal) => (params, Some(AuthorizationFault::from(refusal.clone()))),
        };
        let redirect = match VerifiedRedirect::verify(&AuthorizationRequest::addressee(params), &client) {
            Ok(redirect) => redirect,
            Err(fault) => return self.refuse_locally(context, fault, Some(&client)).await,
        };
        let declared = self.declared();
        let validated = match refused {
            Some(fault) => Err(fault),
            None => self.validate(params, client.clone(), redirect.clone(), &declared),
        };
        let validated = match validated {
            Ok(validated) => validated,
            Err(fault) => {
                let response = self.refuse(context, &client, redirect, fault.into(), None).await?;
                return Ok(Authorization::Respond(response));
            }
        };
        let facts = self.facts(cookies, Some(&client.id)).await?;
        self.proceed(context, validated, redirect, facts, cookies).await
    }

    /// What becomes of a request that holds: its answer, or an interaction.
    pub(crate) async fn proceed(
        &self,
        context: &RequestContext,
        validated: ValidatedAuthorization,
        redirect: VerifiedRedirect,
        facts: Facts,
        cookies: &Cookies,
    ) -> Result<Authorization> {
        let (declared, now) = (self.declared(), self.now());
        match next_step(&validated, &facts.situation(now), &self.step_policy(&declared)?, now) {
            Step::Issue { authentication, consent } => {
                let response = self.issue(context, &validated, &authentication, consent, None).await?;
                // Someone was faster with another answer to the same question: ask anew.
                match response {
                    Some(response) => Ok(Authorization::Respond(response)),
                    None => self.interact(&validated, cookies, now).await,
                }
            }
            Step::Refuse(refusal) => {
                let user = facts.visitor.map(|visitor| visitor.user.id);
                self.spend_pushed(&validated).await?;
                let client = validated.client();
                let response = self.refuse(context, client, redirect, refusal.into(), user).await?;
                Ok(Authorization::Respond(response))
            }
            Step::Login | Step::SelectAccount | Step::SecondFactor | Step::Enrol | Step::Consent(_) => {
                self.interact(&validated, cookies, now).await
            }
        }
    }

    /// Reads and checks a request whose redirect URI is verified.
    fn validate(
        &self,
        params: &Params,
        client: Arc<Client>,
        redirect: VerifiedRedirect,
        declared: &Declared,
    ) -> Result<ValidatedAuthorization, AuthorizationFault> {
        let request = AuthorizationRequest::parse(params)?;
        self.revalidate(request, client, redirect, declared)
    }

    /// Runs the list of checks, for a new request or for the stored one of an interaction.
    pub(crate) fn revalidate(
        &self,
        request: AuthorizationRequest,
        client: Arc<Client>,
        redirect: VerifiedRedirect,
        declared: &Declared,
    ) -> Result<ValidatedAuthorization, AuthorizationFault> {
        let hint = match &request.id_token_hint {
            None => Hint::Absent,
            Some(token) => self.hinted_subject(token, &client, declared).unwrap_or(Hint::Invalid),
        };
        ValidatedAuthorization::validate(request, client, redirect, hint, &declared.catalogue)
    }

    /// The subject of an ID token that we issued to this client, expired or not (OC-09).
    fn hinted_subject(&self, token: &str, client: &Client, declared: &Declared) -> Option<Hint> {
        let keys = declared.keyring.verification_keys();
        let verified = verify_id_token_hint(token, keys, &self.0.policies.issuer).ok()?;
        let audience = verified.claims.aud().ok()??;
        audience.contains(client.id.as_str()).then_some(())?;
        let subject = verified.claims.sub().ok()??;
        match client.subject_type {
            SubjectType::Public => subject.parse().ok().map(Hint::Subject),
            SubjectType::Pairwise { .. } => subject.parse().ok().map(Hint::Pairwise),
        }
    }

    /// Saves an interaction and sends the browser there.
    async fn interact(
        &self,
        validated: &ValidatedAuthorization,
        cookies: &Cookies,
        now: DateTime<Utc>,
    ) -> Result<Authorization> {
        let request = Box::new(validated.request().clone());
        let purpose = Purpose::Authorization { request };
        let (id, browser) =
            self.begin_interaction(Some(validated.client().id.clone()), purpose, cookies, now).await?;
        Ok(Authorization::Interact { id, browser })
    }

    /// Saves an interaction for the browser; answers its new cookie if it had none.
    pub(crate) async fn begin_interaction(
        &self,
        client: Option<protocol::ClientId>,
        purpose: Purpose,
        cookies: &Cookies,
        now: DateTime<Utc>,
    ) -> Result<(InteractionId, Option<BrowserCookie>)> {
        let new = cookies.browser.is_none().then(|| BrowserCookie::from_entropy(self.entropy()));
        let browser = cookies.browser.as_ref().or(new.as_ref());
        let browser = browser.ok_or(FlowError::Contradiction("a browser without a cookie"))?;
        let record = self.new_interaction(client, purpose, browser, now);
        self.0.store.begin_interaction(&record).await?;
        Ok((record.id, new))
    }

    /// An interaction of the browser, which is to be saved.
    pub(crate) fn new_interaction(
        &self,
        client: Option<protocol::ClientId>,
        purpose: Purpose,
        browser: &BrowserCookie,
        now: DateTime<Utc>,
    ) -> InteractionRecord {
        InteractionRecord {
            id: InteractionId(self.random().id(now)),
            client,
            purpose,
            browser: sha256(browser.expose()),
            version: 1,
            created_at: now,
            expires_at: now + self.0.policies.interaction_lifetime,
            completed_at: None,
            chosen_session: None,
        }
    }

    /// Issues a code in one write with its grant, its audit event and, for the bank's own
    /// client or a new answer, its consent. `None` when the session, the consent or the interaction changed
    /// meanwhile: the next step must be found anew.
    pub(crate) async fn issue(
        &self,
        context: &RequestContext,
        validated: &ValidatedAuthorization,
        authentication: &Authentication,
        consent: Granting,
        interaction: Option<&InteractionRecord>,
    ) -> Result<Option<AuthorizationResponse>> {
        let now = self.now();
        let (upsert, consent) = match consent {
            Granting::Remembered(consent) => (None, *consent),
            Granting::Implied(ask) => {
                let (upsert, consent) = self.answer(validated.client(), &ask, &Answer::All, now)?;
                (Some(upsert), consent)
            }
        };
        self.issue_under(context, validated, authentication, (upsert, consent), interaction).await
    }

    /// Turns an answer into the effect and the proof.
    pub(crate) fn answer(
        &self,
        client: &Client,
        ask: &consent::ConsentAsk,
        answer: &Answer,
        now: DateTime<Utc>,
    ) -> Result<(ConsentUpsert, GrantedConsent)> {
        let lifetime = match (client.consent_lifetime(), self.0.policies.consent_lifetime) {
            (Some(client), Some(server)) => Some(client.min(server)),
            (client, server) => client.or(server),
        };
        let id = ConsentId(self.random().id(now));
        consent::grant(ask, answer, id, now, lifetime)
            .map_err(|_| FlowError::Contradiction("an answer to everything that was asked must fit"))
    }

    /// The last step of every successful authorization.
    pub(crate) async fn issue_under(
        &self,
        context: &RequestContext,
        validated: &ValidatedAuthorization,
        authentication: &Authentication,
        (upsert, consent): (Option<ConsentUpsert>, GrantedConsent),
        interaction: Option<&InteractionRecord>,
    ) -> Result<Option<AuthorizationResponse>> {
        let now = self.now();
        let fresh = (GrantId(self.random().id(now)), self.entropy());
        let issued = issue_code(validated, authentication, &consent, fresh, &self.0.policies.tokens, now);
        let issued = match issued {
            Ok(mut issued) => {
                if let Some(Purpose::Device { device, expires_at, .. }) =
                    interaction.map(|interaction| &interaction.purpose)
                {
                    hand_over(&mut issued, *device, *expires_at, now);
                }
                issued
            }
            Err(IssueFault::ForeignConsent) => {
                return Err(FlowError::Contradiction("a consent of somebody else"));
            }
            Err(fault) => {
                return self
                    .refuse_at_last(context, validated, authentication, fault.into(), interaction)
                    .await;
            }
        };
        // Before the code is stored: who can't be given the one shall not have the other.
        let id_token = match self.id_token_beside(validated, &issued, now).await? {
            Ok(id_token) => id_token,
            Err(fault) => {
                return self.refuse_at_last(context, validated, authentication, fault, interaction).await;
            }
        };
        let event = |kind| {
            self.event(context, kind, now)
                .user(authentication.user())
                .client(validated.client().id.clone())
                .session(authentication.session())
                .consent(consent.id())
                .interaction(interaction.map(|interaction| interaction.id))
        };
        let answered = upsert.as_ref().map(|upsert| {
            let scope = upsert.record().scope.to_string();
            (upsert, event(EventKind::ConsentGranted).detail("scope", scope))
        });
        let scope = issued.grant.scope.to_string();
        let event = event(EventKind::AuthorizationIssued).grant(issued.grant.id).detail("scope", scope);
        let issue = CodeIssue {
            interaction,
            consent: answered.as_ref().map(|(upsert, event)| (*upsert, event)),
            grant: &issued.grant,
            code: &issued.code_record,
            pushed: validated.pushed(),
            event: &event,
            now,
        };
        if upsert.is_some() {
            self.keep_document(validated.client()).await?;
        }
        // Before the code: nobody gets an ID token of a session without being told of its end (OC-35).
        if validated.client().logout.any() && issued.grant.scope.contains("openid") {
            let session = issued.grant.session;
            if self.0.store.take_part(session, &validated.client().id, now).await? != 1 {
                return Ok(None);
            }
        }
        if self.0.store.issue_code(&issue).await? != 1 {
            return Ok(None);
        }
        let (client, redirect) = (validated.client().clone(), validated.redirect().clone());
        Ok(Some(AuthorizationResponse {
            client,
            redirect,
            outcome: Ok(Granted { code: issued.code, id_token }),
        }))
    }

    /// Refuses what had come as far as the code.
    async fn refuse_at_last(
        &self,
        context: &RequestContext,
        validated: &ValidatedAuthorization,
        authentication: &Authentication,
        refusal: AuthorizationRefusal,
        interaction: Option<&InteractionRecord>,
    ) -> Result<Option<AuthorizationResponse>> {
        let (client, redirect) = (validated.client(), validated.redirect().clone());
        let user = Some(authentication.user());
        match interaction {
            None => self.refuse(context, client, redirect, refusal, user).await.map(Some),
            Some(record) => self.refuse_ending(context, record, (client, redirect), refusal, user).await,
        }
    }

    /// A refusal is an answer, too: it spends the pushed request, if the request was one (F2-31).
    async fn spend_pushed(&self, validated: &ValidatedAuthorization) -> Result<()> {
        if let Some(digest) = validated.pushed() {
            self.0.store.consume_pushed(&digest, self.now()).await?;
        }
        Ok(())
    }

    /// Audits a refusal that goes to the client.
    pub(crate) async fn refuse(
        &self,
        context: &RequestContext,
        client: &Arc<Client>,
        redirect: VerifiedRedirect,
        refusal: AuthorizationRefusal,
        user: Option<UserId>,
    ) -> Result<AuthorizationResponse> {
        self.record(&self.refusal_event(context, client, &refusal, user)).await?;
        Ok(AuthorizationResponse { client: client.clone(), redirect, outcome: Err(refusal) })
    }

    /// Audits a refusal that ends an interaction, and ends it, or does neither: `None` when another
    /// tab ended it before.
    pub(crate) async fn refuse_ending(
        &self,
        context: &RequestContext,
        interaction: &InteractionRecord,
        (client, redirect): (&Arc<Client>, VerifiedRedirect),
        refusal: AuthorizationRefusal,
        user: Option<UserId>,
    ) -> Result<Option<AuthorizationResponse>> {
        let event = self.refusal_event(context, client, &refusal, user).interaction(interaction.id);
        let mut tx = self.0.store.begin().await?;
        if tx.complete_interaction(interaction.id, interaction.version, self.now()).await? != 1 {
            return Ok(None);
        }
        if let Purpose::Device { device, .. } = &interaction.purpose {
            tx.deny_device(device).await?;
        }
        if let Some(digest) = interaction.pushed() {
            tx.consume_pushed(&digest, self.now()).await?;
        }
        tx.record(&event).await?;
        tx.commit().await?;
        Ok(Some(AuthorizationResponse { client: client.clone(), redirect, outcome: Err(refusal) }))
    }

    fn refusal_event(
        &self,
        context: &RequestContext,
        client: &Client,
        refusal: &AuthorizationRefusal,
        user: Option<UserId>,
    ) -> audit::Event {
        let kind = match refusal {
            AuthorizationRefusal::Denied => EventKind::ConsentDenied,
            _ => EventKind::AuthorizationRefused,
        };
        let event = self.event(context, kind, self.now()).client(client.id.clone()).user(user);
        event.reason(refusal.to_string())
    }

    pub(crate) async fn refuse_locally(
        &self,
        context: &RequestContext,
        fault: RedirectFault,
        client: Option<&Client>,
    ) -> Result<Authorization> {
        let event = self.event(context, EventKind::AuthorizationRefused, self.now());
        let event = event.client(client.map(|client| client.id.clone())).reason(fault.to_string());
        self.record(&event).await?;
        Ok(Authorization::Local(fault))
    }
}
