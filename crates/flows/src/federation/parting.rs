//! The end of a session that rests on a provider's word: ours ends theirs, theirs ends ours.

use std::sync::Arc;

use ::federation::{Provider, UpstreamFault};
use audit::{Actor, Event, EventKind};
use chrono::{DateTime, Utc};
use jose::{Mark, digest::sha256};
use mfa::session::{Session, end};
use protocol::secret::AuthorizationCode;
use store::Tx;

use super::{Errand, receive::id_token_identity};
use crate::{context::RequestContext, error::Result, service::Service, visitor::Cookies};

/// Where a session came from, read before it ends.
pub struct Parting {
    provider: Arc<Provider>,
    id_token: String,
}

impl Parting {
    /// The provider.
    pub const fn provider(&self) -> &Arc<Provider> {
        &self.provider
    }
}

impl Service {
    /// The provider that the browser's session rests on, if signing out leads through it.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn parting(&self, cookies: &Cookies) -> Result<Option<Parting>> {
        let (Some(cookie), false) = (&cookies.session, self.upstreams().is_empty()) else { return Ok(None) };
        let found = self.0.store.upstream_of_session(&sha256(cookie.expose())).await?;
        let Some((session, issuer, sealed)) = found else { return Ok(None) };
        let provider = self.upstream_by_issuer(&issuer).filter(|provider| provider.config().logout);
        let Some(provider) = provider else { return Ok(None) };
        let opened = self.0.sealer.open(&sealed, &id_token_identity(session))?;
        let id_token = String::from_utf8_lossy(&opened).into_owned();
        Ok(Some(Parting { provider: Arc::clone(provider), id_token }))
    }

    /// Where the browser goes to sign out at the provider too (RP-Initiated Logout §2); afterwards it
    /// comes back and goes on to `redirect`. `None` where the provider has no such place.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn part(
        &self,
        parting: &Parting,
        cookies: &Cookies,
        redirect: Option<String>,
    ) -> Result<Option<String>> {
        let Some(browser) = &cookies.browser else { return Ok(None) };
        let now = self.now();
        let state = AuthorizationCode::from_entropy(self.entropy());
        let provider = &parting.provider;
        let back = format!("{}/federation/signed-out/{}", self.0.policies.issuer, provider.config().id);
        let url = provider.end_session_url(Some(&parting.id_token), &back, state.expose(), now).await;
        let Some(url) = url else { return Ok(None) };
        self.remember_attempt(provider, state.expose(), browser, &Errand::Leave { redirect }, now).await?;
        Ok(Some(url.into()))
    }

    /// The browser comes back from signing out there; gives where it goes on to, if anywhere.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn parted(
        &self,
        provider: &str,
        state: Option<&str>,
        cookies: &Cookies,
    ) -> Result<Option<String>> {
        let Some(provider) = self.upstream(provider) else { return Ok(None) };
        Ok(match self.errand(provider, state, cookies).await? {
            Some((Errand::Leave { redirect }, _)) => redirect,
            _ => None,
        })
    }

    /// Takes a logout token of a provider (OpenID Connect Back-Channel Logout §2.5…2.7): ends the sessions
    /// that it names. A token that was used before ends nothing and is no error: what it ended has ended.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn upstream_logout(
        &self,
        context: &RequestContext,
        provider: &Arc<Provider>,
        token: &str,
    ) -> Result<std::result::Result<(), UpstreamFault>> {
        let now = self.now();
        let id = provider.config().id.as_str();
        let token = match provider.logout_token(token, now).await {
            Ok(token) => token,
            Err(fault) => {
                let event = self.event(context, EventKind::UpstreamLogoutRefused, now).by(Actor::Client);
                let event = event.reason(fault.code()).detail("upstream", id);
                self.note(event.detail("why", fault.to_string())).await?;
                return Ok(Err(fault));
            }
        };
        let (subject, sid) = (token.subject.as_deref(), token.sid.as_deref());
        let sessions = self.sessions_resting_on(&token.issuer, subject, sid).await?;
        // One transaction: a token whose sessions could not be ended may come again.
        let mut tx = self.0.store.begin().await?;
        let mark = Mark { kind: "upstream_logout", digest: token.digest, expires_at: token.expires_at };
        if tx.mark_once(&mark).await? != 1 {
            return Ok(Ok(()));
        }
        for session in &sessions {
            let event = self.event(context, EventKind::SessionEnded, now).by(Actor::Client);
            let event = event.reason("by_upstream").detail("upstream", id);
            end_in(&mut tx, session, event, now).await?;
        }
        tx.commit().await?;
        self.0.deliveries.wake();
        Ok(Ok(()))
    }

    /// The sessions here that rest on a subject's, or a session's, there.
    pub(super) async fn sessions_resting_on(
        &self,
        issuer: &str,
        subject: Option<&str>,
        sid: Option<&str>,
    ) -> Result<Vec<Session>> {
        let mut sessions = Vec::new();
        for id in self.0.store.sessions_at_upstream(issuer, subject, sid).await? {
            sessions.extend(self.0.store.session(id).await?);
        }
        Ok(sessions)
    }
}

/// Ends a session, if nobody did, and says so.
pub(super) async fn end_in(tx: &mut Tx, session: &Session, event: Event, now: DateTime<Utc>) -> Result<()> {
    let Some(ended) = end(session, session.user, now) else { return Ok(()) };
    if tx.end_session(&ended).await? == 1 {
        tx.record(&event.user(session.user).session(session.id)).await?;
    }
    Ok(())
}
