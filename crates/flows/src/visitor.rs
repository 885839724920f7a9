//! Who sits at the browser: the session behind its cookie, and what else the next step asks about.

use jose::digest::sha256;
use mfa::{Session, TotpCredential, User};
use protocol::{
    ClientId,
    secret::{BrowserCookie, DeviceCookie, SessionCookie},
};
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
        let Some(cookie) = &cookies.session else { return Ok(None) };
        let store = &self.0.store;
        let now = self.now();
        let Some(session) = store.session_by_digest(&sha256(cookie.expose())).await? else { return Ok(None) };
        if !session.is_live(&self.0.policies.sessions, now) {
            return Ok(None);
        }
        let Some(user) = store.user(session.user).await?.filter(User::is_enabled) else { return Ok(None) };
        let totp = store.totp(user.id).await?;
        if let Some(touch) = session.touch(now) {
            let mut tx = store.begin().await?;
            tx.touch_session(&touch).await?;
            tx.commit().await?;
        }
        Ok(Some(Visitor { session, user, totp }))
    }

    /// The visitor, with their latest consent to `client`.
    pub(crate) async fn facts(&self, cookies: &Cookies, client: Option<&ClientId>) -> Result<Facts> {
        let visitor = self.visitor(cookies).await?;
        let consent = match (&visitor, client) {
            (Some(visitor), Some(client)) => self.0.store.consent(visitor.user.id, client).await?,
            _ => None,
        };
        Ok(Facts { visitor, consent })
    }
}
