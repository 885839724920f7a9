//! Grants that begin with somebody else's word: token exchange (RFC 8693) and the JWT bearer grant
//! (RFC 7523 §2.1).
//!
//! Neither has a refresh token, and neither has a parent of its own: an exchanged token hangs under the
//! grant of the token that was brought, an asserted one under the consent of the person.

use audit::EventKind;
use chrono::{DateTime, Utc};
use jose::{
    AssertionGrantFault, AssertionGrantPolicy, JoseFault, KeySet, peek_issuer, verify_assertion_grant,
};
use protocol::{
    GrantId, SessionId,
    exchange::{JwtBearerRequest, TokenExchangeRequest, TokenType, TypedToken},
};
use store::exchange::DirectIssue;
use tokens::{
    assertion_grant::{AssertionGrant, AssertionGrantRefusal, SubjectMapping, may_bring, under_consent},
    client::{AssertionIssuer, Client},
    exchange::exchange,
    mint::Authority,
    presented::FoundAccessToken,
    sender::Sender,
};

use crate::{
    context::RequestContext,
    error::Result,
    random::Draw,
    service::Service,
    token::{Answer, response},
};

type Judged<T> = std::result::Result<T, AssertionGrantRefusal>;

impl Service {
    /// Exchanges a token (RFC 8693 §2).
    pub(crate) async fn exchange_token(
        &self,
        context: &RequestContext,
        sender: &Sender,
        request: &TokenExchangeRequest,
    ) -> Answer {
        let subject = self.find_typed(&request.subject).await?;
        let actor = match &request.actor {
            None => None,
            Some(actor) => Some(self.find_typed(actor).await?),
        };
        let grant = subject.as_ref().and_then(|found| found.claims.grant_id);
        let declared = self.declared();
        let now = self.now();
        let granted = match exchange(sender, request, subject, actor, &declared.catalogue, now) {
            Ok(granted) => granted,
            Err(fault) => {
                return self.token_refused(context, Some(sender.authenticated()), fault.into(), grant).await;
            }
        };
        let mint = self.mint(&declared)?;
        let authority = Authority::Exchange(&granted);
        let access = mint.access_token(sender, authority, granted.target(), self.token_entropy(now), now)?;
        let subject = granted.subject();
        let event = self
            .issued_event(context, EventKind::TokenExchanged, granted.grant(), &access, now)
            .client(sender.client().id.clone())
            .detail("subject_jti", subject.jti.to_string())
            .detail("subject_client", subject.client_id.to_string());
        let event = match granted.actor() {
            Some(actor) => event.detail("actor", actor.sub.clone()),
            None => event,
        };
        match &access.record {
            // Nothing else is written of a JWT, so its event need not make it wait.
            None => self.note(event).await?,
            access => {
                let issue = DirectIssue { grant: None, access: access.as_ref(), event: &event };
                self.0.store.issue_directly(&issue).await?;
            }
        }
        let issued_token_type = Some(granted.issued().as_str());
        Ok(Ok(protocol::token::TokenResponse { issued_token_type, ..response(access, None, None) }))
    }

    /// What a token is, if it is what its sender says.
    async fn find_typed(&self, shown: &TypedToken) -> Result<Option<FoundAccessToken>> {
        let token = shown.token.expose();
        if shown.kind == TokenType::Jwt && !token.contains('.') {
            return Ok(None);
        }
        self.find_access_token(token).await
    }

    /// Takes an assertion for an authorization (RFC 7523 §2.1).
    pub(crate) async fn take_assertion(
        &self,
        context: &RequestContext,
        sender: &Sender,
        request: &JwtBearerRequest,
    ) -> Answer {
        let now = self.now();
        let granted = match self.judge_assertion(sender, request, now).await? {
            Ok(granted) => granted,
            Err(refusal) => {
                return self.token_refused(context, Some(sender.authenticated()), refusal.into(), None).await;
            }
        };
        let declared = self.declared();
        let mint = self.mint(&declared)?;
        let authority = Authority::Assertion(&granted);
        let access = mint.access_token(sender, authority, granted.target(), self.token_entropy(now), now)?;
        let event = &self.issued_event(context, EventKind::AssertionGranted, granted.live(), &access, now);
        let issue = DirectIssue { grant: Some(granted.record()), access: access.record.as_ref(), event };
        self.0.store.issue_directly(&issue).await?;
        Ok(Ok(response(access, None, None)))
    }

    async fn judge_assertion(
        &self,
        sender: &Sender,
        request: &JwtBearerRequest,
        now: DateTime<Utc>,
    ) -> Result<Judged<AssertionGrant>> {
        if let Err(refusal) = may_bring(sender.authenticated()) {
            return Ok(Err(refusal));
        }
        let client = sender.client();
        let assertion = request.assertion.expose();
        let claimed = peek_issuer(assertion);
        let issuer =
            client.assertion_issuers.iter().find(|known| Some(&known.rule.issuer) == claimed.as_ref());
        let Some(issuer) = issuer else { return Ok(Err(AssertionGrantRefusal::UnknownIssuer)) };
        let proof = match self.verified_assertion(client, issuer, assertion, now).await {
            Ok(proof) => proof,
            Err(refusal) => return Ok(Err(refusal)),
        };
        // Used up from here on, whatever else is wrong with the request.
        let marked = self.0.store.mark_once(&proof.mark()).await?;
        let Ok(person) = proof.confirm(marked) else { return Ok(Err(AssertionGrantRefusal::Replayed)) };
        let user = match issuer.rule.subject {
            SubjectMapping::Username => match person.subject.parse() {
                Ok(name) => self.0.store.user_by_name(&name).await?,
                Err(_) => None,
            },
            SubjectMapping::UserId => match person.subject.parse() {
                Ok(id) => self.0.store.user(id).await?,
                Err(_) => None,
            },
        };
        let Some(user) = user else { return Ok(Err(AssertionGrantRefusal::UnknownSubject)) };
        let consent = self.0.store.consent(user.id, &client.id).await?;
        let ids = (GrantId(self.random().id(now)), SessionId(self.random().id(now)));
        let declared = self.declared();
        let resources = declared.catalogue.resource_servers();
        // The row outlives every token that may hang under it.
        let longest = resources.filter_map(|server| server.access_token_lifetime).max();
        let longest = longest.and_then(chrono::TimeDelta::try_seconds);
        let lifetime = longest.unwrap_or_default().max(self.0.policies.tokens.access_token_lifetime);
        Ok(under_consent(
            sender.authenticated(),
            &issuer.rule,
            request,
            (&user, consent.as_ref()),
            ids,
            &declared.catalogue,
            (now, lifetime),
        ))
    }

    /// Holds an assertion against the keys of its issuer, fetched anew if one is unknown (OUT-04).
    async fn verified_assertion(
        &self,
        client: &Client,
        issuer: &AssertionIssuer,
        assertion: &str,
        now: DateTime<Utc>,
    ) -> Judged<jose::Unreplayed<jose::AssertedPerson>> {
        let ours = &self.0.policies.issuer;
        let endpoint = format!("{ours}/token");
        let policy = AssertionGrantPolicy {
            issuer: &issuer.rule.issuer,
            algorithms: client.protection.rules().algorithms,
            accepted_audiences: &[ours, &endpoint],
            subject_claim: issuer.rule.subject_claim(),
            max_lifetime: issuer.rule.max_lifetime(),
        };
        let refusal = |fault: String| AssertionGrantRefusal::Assertion(fault);
        let check = |keys: &KeySet| verify_assertion_grant(assertion, keys, &policy, now);
        let keys =
            self.keys_of(&client.id, &issuer.keys).await.map_err(|fault| refusal(fault.to_string()))?;
        let mut checked = check(&keys);
        if matches!(checked, Err(AssertionGrantFault::Jose(JoseFault::NoKey { .. })))
            && let Some(keys) = self.keys_anew(&client.id, &issuer.keys).await
        {
            checked = check(&keys);
        }
        checked.map_err(|fault| refusal(fault.to_string()))
    }
}
