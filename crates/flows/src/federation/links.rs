//! Links between a person's account here and theirs at a provider, made and removed by the person alone.
//!
//! Whoever links an account can sign in with it for ever, so a link wants what a change of factors wants:
//! a sign-in here a few minutes ago, as strong as the person can make it. Then the person signs in anew
//! at the provider, in the same browser and session.

use std::sync::Arc;

use ::federation::{Provider, UpstreamRequest, UpstreamResponse, response::Freshness};
use audit::EventKind;
use chrono::{DateTime, TimeDelta, Utc};
use protocol::{SessionId, UserId};
use store::upstream::UpstreamLink;
use tokens::step::may_change_factors;

use super::{Errand, UpstreamProblem, parting::end_in};
use crate::{
    context::RequestContext,
    error::Result,
    service::Service,
    visitor::{Cookies, Visitor},
};

/// What becomes of the wish to link an account.
#[derive(Debug)]
pub enum LinkStart {
    /// The browser goes there (303).
    To(String),
    /// The person signs in here first, anew.
    SignInFirst,
    /// It does not work now.
    Problem(UpstreamProblem),
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkOutcome {
    /// Both accounts are linked.
    Linked,
    /// One of the two has another link already.
    Taken,
    /// The person is no longer signed in as whoever they were.
    SignedOut,
    /// It did not work.
    Problem(UpstreamProblem),
}

/// What becomes of the wish to remove a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlinking {
    /// It is gone, if it was there.
    Done,
    /// The person signs in here first, anew.
    SignInFirst,
    /// Without a password it is the person's only way in.
    OnlyWay,
}

/// A provider as the account page shows it.
#[derive(Clone, Debug)]
pub struct UpstreamAccount {
    /// The provider.
    pub provider: Arc<Provider>,
    /// The person's link with it.
    pub link: Option<UpstreamLink>,
}

impl Service {
    /// The providers that a person may link, and those that they have linked.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn upstream_accounts(&self, visitor: &Visitor) -> Result<Vec<UpstreamAccount>> {
        if self.upstreams().is_empty() {
            return Ok(Vec::new());
        }
        let links = self.0.store.upstream_links_of(visitor.user.id).await?;
        let account = |provider: &Arc<Provider>| {
            let link = links.iter().find(|link| link.issuer == provider.config().issuer).cloned();
            UpstreamAccount { provider: Arc::clone(provider), link }
        };
        let shown = |account: &UpstreamAccount| account.link.is_some() || !account.provider.config().hidden;
        Ok(self.upstreams().iter().map(account).filter(shown).collect())
    }

    /// Sends a person to a provider, to link their account there.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn begin_link(
        &self,
        visitor: &Visitor,
        cookies: &Cookies,
        provider: &Arc<Provider>,
    ) -> Result<LinkStart> {
        let fresh = may_change_factors(&visitor.session, visitor.enrolled(), self.now());
        let Some(browser) = cookies.browser.as_ref().filter(|_| fresh) else {
            return Ok(LinkStart::SignInFirst);
        };
        let request = UpstreamRequest {
            redirect_uri: self.callback(provider),
            fresh: true,
            max_age: TimeDelta::zero(),
            ..UpstreamRequest::default()
        };
        let errand = Errand::Link { session: visitor.session.id, user: visitor.user.id };
        Ok(match self.begin_errand(provider, &request, browser, &errand).await? {
            Ok(url) => LinkStart::To(url),
            Err(fault) => {
                tracing::warn!(upstream = provider.config().id.as_str(), %fault, "nobody can be sent to a provider");
                LinkStart::Problem(UpstreamProblem::from(&fault))
            }
        })
    }

    /// The person comes back: the same session must be there, of the same person.
    pub(super) async fn receive_link(
        &self,
        context: &RequestContext,
        provider: &Provider,
        response: &UpstreamResponse,
        cookies: &Cookies,
        (session, user): (SessionId, UserId),
        asked_at: DateTime<Utc>,
    ) -> Result<LinkOutcome> {
        let visitor = self.visitor(cookies).await?;
        let same = |visitor: &Visitor| visitor.session.id == session && visitor.user.id == user;
        if !visitor.as_ref().is_some_and(same) {
            return Ok(LinkOutcome::SignedOut);
        }
        let freshness = Freshness { asked_at, fresh: true, max_age: TimeDelta::zero() };
        let identity = match self.upstream_identity(provider, response, freshness).await? {
            Ok(identity) => identity,
            Err(fault) => {
                tracing::info!(upstream = provider.config().id.as_str(), %fault, "an account was not linked");
                return Ok(LinkOutcome::Problem(UpstreamProblem::from(&fault)));
            }
        };
        let now = self.now();
        let link = UpstreamLink {
            issuer: identity.issuer,
            subject: identity.subject,
            user,
            brought: false,
            label: identity.label,
            linked_at: now,
        };
        let mut tx = self.0.store.begin().await?;
        let linked = tx.link_upstream(&link).await? == 1;
        let kind = if linked { EventKind::UpstreamLinked } else { EventKind::UpstreamLinkRefused };
        let event = self.event(context, kind, now).user(user).session(session);
        tx.record(&event.detail("upstream", provider.config().id.as_str())).await?;
        tx.commit().await?;
        Ok(if linked { LinkOutcome::Linked } else { LinkOutcome::Taken })
    }

    /// Removes a link. The person's other sessions that rest on it end: whoever removes a link may do so
    /// because somebody else has the account there.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn unlink_upstream(
        &self,
        context: &RequestContext,
        visitor: &Visitor,
        provider: &Provider,
    ) -> Result<Unlinking> {
        if !may_change_factors(&visitor.session, visitor.enrolled(), self.now()) {
            return Ok(Unlinking::SignInFirst);
        }
        // Read anew: the visitor of a session may lack what was changed meanwhile.
        let user = self.0.store.user(visitor.user.id).await?;
        if user.is_none_or(|user| user.password.is_none()) {
            return Ok(Unlinking::OnlyWay);
        }
        let (issuer, id) = (&provider.config().issuer, provider.config().id.as_str());
        let links = self.0.store.upstream_links_of(visitor.user.id).await?;
        let Some(link) = links.iter().find(|link| link.issuer == *issuer) else { return Ok(Unlinking::Done) };
        let resting = self.sessions_resting_on(issuer, Some(&link.subject), None).await?;
        let now = self.now();
        let event = |kind| self.event(context, kind, now).detail("upstream", id);
        let mut tx = self.0.store.begin().await?;
        if tx.unlink_upstream(visitor.user.id, issuer).await? == 1 {
            let unlinked = event(EventKind::UpstreamUnlinked).user(visitor.user.id);
            tx.record(&unlinked.session(visitor.session.id)).await?;
            for session in resting.iter().filter(|session| session.id != visitor.session.id) {
                end_in(&mut tx, session, event(EventKind::SessionEnded).reason("unlinked"), now).await?;
            }
        }
        tx.commit().await?;
        self.0.deliveries.wake();
        Ok(Unlinking::Done)
    }
}
