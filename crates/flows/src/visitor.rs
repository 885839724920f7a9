//! Who sits at the browser: the session behind its cookie, and what else the next step asks about.

use jose::digest::sha256;
use mfa::{Session, TotpCredential, User};
use protocol::{
    ClientId,
    secret::{BrowserCookie, DeviceCookie, SessionCookie},
};
use store::Visit;
use tokens::step::Situation;

use crate::{error::Result, service::Service};

/// The cookies of a request.
#[derive(Clone, Debug, Default)]
pub struct Cookies {
    /// Binds a browser to its interactions, before anybody signs in.
    pub browser: Option<BrowserCookie>,
    /// The session.
    pub session: Option<SessionCookie>,
    /// The accounts that have signed in to this browser before.
    pub device: Option<DeviceCookie>,
}

/// A person with a live session.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// The session.
    pub session: Session,
    /// The person.
    pub user: User,
    /// Their authenticator, confirmed or not.
    pub totp: Option<TotpCredential>,
}

impl Visitor {
    /// Whether the person has a confirmed second factor.
    pub fn enrolled(&self) -> bool {
        self.totp.as_ref().is_some_and(TotpCredential::is_enrolled)
    }
}

/// A visitor together with their latest consent to the client that asks.
pub(crate) struct Facts {
    pub(crate) visitor: Option<Visitor>,
    pub(crate) consent: Option<consent::ConsentRecord>,
}

impl Facts {
    /// When the visitor's authenticator was set up.
    pub(crate) fn confirmed_at(&self) -> Option<chrono::DateTime<chrono::Utc>> {
        self.visitor.as_ref().and_then(|visitor| visitor.totp.as_ref()?.confirmed_at)
    }

    pub(crate) fn situation(&self, began_at: chrono::DateTime<chrono::Utc>) -> Situation<'_> {
        Situation {
            began_at,
            session: self.visitor.as_ref().map(|visitor| (&visitor.session, &visitor.user)),
            enrolled: self.visitor.as_ref().is_some_and(Visitor::enrolled),
            consent: self.consent.as_ref(),
            chosen: None,
        }
    }
}

impl Service {
    /// The person behind a session cookie, if the session lives and the person is enabled. Notes
    /// that they were seen, at most once a minute.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn visitor(&self, cookies: &Cookies) -> Result<Option<Visitor>> {
        Ok(self.facts(cookies, None).await?.visitor)
    }

    /// The visitor, with their latest consent to `client`.
    pub(crate) async fn facts(&self, cookies: &Cookies, client: Option<&ClientId>) -> Result<Facts> {
        let visit = match &cookies.session {
            Some(cookie) => self.0.store.visit(&sha256(cookie.expose()), client).await?,
            None => None,
        };
        self.received(visit).await
    }

    /// What a visit that was read is worth: nothing if its session is over or its person disabled.
    pub(crate) async fn received(&self, visit: Option<Visit>) -> Result<Facts> {
        let now = self.now();
        let live =
            |visit: &Visit| visit.session.is_live(&self.0.policies.sessions, now) && visit.user.is_enabled();
        let Some(visit) = visit.filter(live) else { return Ok(Facts { visitor: None, consent: None }) };
        let Visit { session, user, totp, consent } = visit;
        if let Some(touch) = session.touch(now) {
            self.0.store.touch_session(&touch).await?;
        }
        Ok(Facts { visitor: Some(Visitor { session, user, totp }), consent })
    }
}
