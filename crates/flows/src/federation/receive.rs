//! Back from a provider.

use std::collections::BTreeSet;

use ::federation::{
    ClientProof, Provider, UpstreamConfig, UpstreamFault, UpstreamIdentity, UpstreamResponse,
    response::{Freshness, OwnProof},
};
use audit::EventKind;
use chrono::{DateTime, TimeDelta, Utc};
use jose::digest::sha256;
use mfa::{Disabled, User, Username, VerifiedUpstream};
use protocol::{InteractionId, SessionId, UserId, params::Params};
use store::upstream::{UpstreamLink, UpstreamSession};

use super::{Errand, UpstreamProblem};
use crate::{
    context::RequestContext,
    error::{FlowError, Result},
    federation::links::LinkOutcome,
    interaction::{Found, InteractionRefusal, Open, Shown},
    random::Draw,
    service::Service,
    sign_in::SignedIn,
    visitor::Cookies,
};

/// What becomes of somebody who comes back from a provider.
#[derive(Debug)]
pub enum Received {
    /// They are signed in; the interaction goes on.
    SignedIn(InteractionId, SignedIn),
    /// Back to the sign-in page, which says why.
    Back(InteractionId, UpstreamProblem),
    /// Something else is to be shown.
    Elsewhere(Box<Shown>),
    /// They wanted to link their account there.
    Link(LinkOutcome),
    /// Nobody of this browser was sent to this provider with this state, or they are back already.
    Lost,
}

impl Service {
    /// Takes the answer of a provider (RFC 6749 §4.1.2).
    ///
    /// # Errors
    /// [`FlowError`].
    pub async fn receive_upstream(
        &self,
        context: &RequestContext,
        provider: &str,
        params: &Params,
        cookies: &Cookies,
    ) -> Result<Received> {
        let response = UpstreamResponse::parse(params);
        let Some(provider) = self.upstream(provider) else { return Ok(Received::Lost) };
        let used = self.errand(provider, response.state.as_deref(), cookies).await?;
        let Some((errand, asked_at)) = used else {
            let event = self.event(context, EventKind::ForgeryRefused, self.now());
            let event = event.reason("upstream_state").detail("upstream", provider.config().id.as_str());
            self.record(&event).await?;
            return Ok(Received::Lost);
        };
        match errand {
            Errand::Leave { .. } => Ok(Received::Lost),
            Errand::Link { session, user } => {
                let linked =
                    self.receive_link(context, provider, &response, cookies, (session, user), asked_at);
                linked.await.map(Received::Link)
            }
            Errand::SignIn { interaction, fresh, max_age } => {
                let open = match self.open(context, interaction, cookies).await? {
                    Found::Open(open) => open,
                    Found::Respond(response) => {
                        return Ok(Received::Elsewhere(Box::new(Shown::Respond(response))));
                    }
                    Found::Refused(refusal) => return Ok(refused(refusal)),
                };
                let freshness = Freshness { asked_at, fresh, max_age: TimeDelta::seconds(max_age) };
                self.sign_in_upstream(context, provider, &response, &open, freshness).await
            }
        }
    }

    /// Uses a state, if it is this provider's and this browser's and unused.
    pub(super) async fn errand(
        &self,
        provider: &Provider,
        state: Option<&str>,
        cookies: &Cookies,
    ) -> Result<Option<(Errand, DateTime<Utc>)>> {
        let (Some(state), Some(browser)) = (state, &cookies.browser) else { return Ok(None) };
        let (digest, browser) = (sha256(state), sha256(browser.expose()));
        let id = provider.config().id.as_str();
        let used = self.0.store.use_upstream_attempt(&digest, id, &browser, self.now()).await?;
        let Some((purpose, asked_at)) = used else { return Ok(None) };
        let errand = serde_json::from_value(purpose);
        let errand = errand.map_err(|_| FlowError::Contradiction("an errand of another kind"))?;
        Ok(Some((errand, asked_at)))
    }

    /// Redeems the answer.
    pub(super) async fn upstream_identity(
        &self,
        provider: &Provider,
        response: &UpstreamResponse,
        freshness: Freshness,
    ) -> Result<std::result::Result<UpstreamIdentity, UpstreamFault>> {
        let now = self.now();
        let secrets = self.attempt_secrets(response.state.as_deref().unwrap_or_default())?;
        let declared = self.declared();
        let key = match provider.config().proof {
            ClientProof::OwnKey(algorithm) => declared.keyring.signer(algorithm),
            _ => None,
        };
        let redirect_uri = self.callback(provider);
        let assertion_id = self.id().to_string();
        let proof = OwnProof { key, assertion_id: &assertion_id, redirect_uri: &redirect_uri };
        Ok(provider.redeem(response, &secrets, proof, freshness, now).await)
    }

    async fn sign_in_upstream(
        &self,
        context: &RequestContext,
        provider: &Provider,
        response: &UpstreamResponse,
        open: &Open,
        freshness: Freshness,
    ) -> Result<Received> {
        let id = open.record.id;
        let identity = match self.upstream_identity(provider, response, freshness).await? {
            Ok(identity) => identity,
            Err(fault) => {
                tracing::info!(upstream = provider.config().id.as_str(), %fault, "a sign-in with a provider failed");
                self.upstream_failed(context, open, provider, None, fault.code()).await?;
                return Ok(Received::Back(id, UpstreamProblem::from(&fault)));
            }
        };
        let now = self.now();
        let Some(user) = self.user_of(context, provider.config(), &identity).await? else {
            self.upstream_failed(context, open, provider, None, "upstream_not_linked").await?;
            return Ok(Received::Back(id, UpstreamProblem::NotLinked));
        };
        let (acr, amr) = (identity.acr, identity.amr.clone());
        match VerifiedUpstream::vouched(&user, identity.auth_time, acr, amr, now) {
            // Said in the words of an account that is not linked: a stranger learns nothing (SE-02).
            Err(Disabled) => {
                self.upstream_failed(context, open, provider, Some(user.id), "disabled").await?;
                Ok(Received::Back(id, UpstreamProblem::NotLinked))
            }
            Ok(verified) => {
                let upstream = Some((provider, &identity));
                let session = self.begin_session(context, open, (&verified).into(), upstream).await?;
                let Some(session) = session else {
                    self.upstream_failed(context, open, provider, Some(user.id), "account_changed").await?;
                    return Ok(Received::Back(id, UpstreamProblem::NotLinked));
                };
                metrics::counter!("chancery_logins_total", "outcome" => "accepted").increment(1);
                Ok(Received::SignedIn(id, SignedIn { session, device: None }))
            }
        }
    }

    async fn upstream_failed(
        &self,
        context: &RequestContext,
        open: &Open,
        provider: &Provider,
        user: Option<UserId>,
        reason: &str,
    ) -> Result<()> {
        let event = self.event(context, EventKind::LoginFailed, self.now()).user(user);
        let event = event.interaction(open.record.id).client(open.record.client.clone());
        self.record(&event.reason(reason).detail("upstream", provider.config().id.as_str())).await?;
        metrics::counter!("chancery_logins_total", "outcome" => "refused").increment(1);
        Ok(())
    }

    /// The user of a provider's subject: by the link, or new if the operator wants that. Nothing else is
    /// compared.
    async fn user_of(
        &self,
        context: &RequestContext,
        config: &UpstreamConfig,
        identity: &UpstreamIdentity,
    ) -> Result<Option<User>> {
        if let Some(user) = self.linked_user(context, config, identity).await? {
            return Ok(Some(user));
        }
        if !config.just_in_time {
            return Ok(None);
        }
        // The name is for people; a name that is taken is not theirs.
        let wanted = identity.label.as_deref().unwrap_or(&identity.subject);
        let wanted: String = wanted.chars().filter(|c| !c.is_whitespace()).take(150).collect();
        let id = UserId(self.id());
        for name in [format!("{}/{wanted}", config.id), format!("{}/{id}", config.id)] {
            let Ok(username) = name.parse::<Username>() else { continue };
            if let Some(user) = self.bring(context, (id, username), config, identity).await? {
                return Ok(Some(user));
            }
            // Their other tab was quicker.
            if let Some(user) = self.linked_user(context, config, identity).await? {
                return Ok(Some(user));
            }
        }
        Err(FlowError::Contradiction("a user name made of a new id is taken"))
    }

    async fn linked_user(
        &self,
        context: &RequestContext,
        config: &UpstreamConfig,
        identity: &UpstreamIdentity,
    ) -> Result<Option<User>> {
        let link = self.0.store.upstream_link(&identity.issuer, &identity.subject).await?;
        let Some(link) = link else { return Ok(None) };
        let Some(user) = self.0.store.user(link.user).await? else { return Ok(None) };
        match link.brought && user.is_enabled() {
            true => self.follow(context, config, user, identity).await,
            false => Ok(Some(user)),
        }
    }

    /// Makes a user and the link in one transaction. `None` if the name or the subject is taken.
    async fn bring(
        &self,
        context: &RequestContext,
        (id, username): (UserId, Username),
        config: &UpstreamConfig,
        identity: &UpstreamIdentity,
    ) -> Result<Option<User>> {
        let now = self.now();
        let user = User {
            id,
            username,
            password: None,
            claims: identity.claims.clone(),
            roles: identity.roles.clone().unwrap_or_default(),
            second_factor: None,
            created_at: now,
            password_changed_at: None,
            disabled_at: None,
        };
        let link = UpstreamLink {
            issuer: identity.issuer.clone(),
            subject: identity.subject.clone(),
            user: id,
            brought: true,
            label: identity.label.clone(),
            linked_at: now,
        };
        let mut tx = self.0.store.begin().await?;
        if tx.insert_user(&user).await? != 1 || tx.link_upstream(&link).await? != 1 {
            return Ok(None);
        }
        let event = self.event(context, EventKind::UpstreamUserCreated, now).user(id);
        tx.record(&event.detail("upstream", config.id.as_str())).await?;
        tx.commit().await?;
        Ok(Some(user))
    }

    /// A user whom the provider brought follows what it says today: the roles of its table, the copied
    /// claims. Roles beside the table are the operator's own and stay, also those that an operator gives or
    /// takes at this very moment.
    async fn follow(
        &self,
        context: &RequestContext,
        config: &UpstreamConfig,
        user: User,
        identity: &UpstreamIdentity,
    ) -> Result<Option<User>> {
        if followed(&user, config, identity) == user {
            return Ok(Some(user));
        }
        let mut tx = self.0.store.begin().await?;
        let Some(held) = tx.hold_user(user.id).await? else {
            drop(tx);
            return Ok(self.0.store.user(user.id).await?);
        };
        let user = followed(&held, config, identity);
        if user != held && tx.follow_upstream(user.id, &user.claims, &user.roles).await? == 1 {
            let event = self.event(context, EventKind::UserChanged, self.now()).user(user.id);
            tx.record(&event.reason("upstream").by(audit::Actor::System)).await?;
        }
        tx.commit().await?;
        Ok(Some(user))
    }

    /// What is kept of a provider's session beside our own.
    pub(crate) fn upstream_session(
        &self,
        session: SessionId,
        identity: &UpstreamIdentity,
        now: DateTime<Utc>,
    ) -> Result<UpstreamSession> {
        let named = id_token_identity(session);
        let sealed = self.0.sealer.seal(identity.id_token.as_bytes(), &named, self.random().bytes())?;
        Ok(UpstreamSession {
            session,
            issuer: identity.issuer.clone(),
            subject: identity.subject.clone(),
            sid: identity.sid.clone(),
            sealed_id_token: sealed,
            since: now,
        })
    }
}

/// A user with what the provider says of them today.
fn followed(user: &User, config: &UpstreamConfig, identity: &UpstreamIdentity) -> User {
    let mut followed = User { claims: identity.claims.clone(), ..user.clone() };
    if let Some(roles) = &identity.roles {
        let mapped: BTreeSet<&str> = config.roles.roles.values().map(String::as_str).collect();
        followed.roles.retain(|role| !mapped.contains(role.as_str()));
        followed.roles.extend(roles.iter().cloned());
    }
    followed
}

/// What a sealed ID token belongs to; moved to another session's row it does not open.
pub(super) fn id_token_identity(session: SessionId) -> Vec<u8> {
    format!("upstream-id-token:{session}").into_bytes()
}

fn refused(refusal: InteractionRefusal) -> Received {
    Received::Elsewhere(Box::new(Shown::Refused(refusal)))
}
