//! Logout: the end-session endpoint (OpenID Connect RP-Initiated Logout 1.0) and the account page's
//! own button.

use std::sync::Arc;

use audit::EventKind;
use jose::{digest::sha256, verify_id_token_hint};
use mfa::session::end;
use protocol::{logout::EndSessionRequest, secret::CsrfToken};
use tokens::{
    client::Client,
    logout::{LogoutFrame, LogoutHint, end_session},
};

use crate::{
    context::RequestContext,
    error::Result,
    interaction::csrf_token,
    service::Service,
    visitor::{Cookies, Visitor},
};

/// What becomes of an end-session request.
#[derive(Debug)]
pub enum Logout {
    /// The person is asked first (LO-01).
    Confirm {
        /// The client that asks, if it is known.
        client: Option<Arc<Client>>,
        /// What the answer must carry.
        csrf: CsrfToken,
        /// Who is signed in.
        username: String,
        /// Where the answer will lead, if the client registered it.
        redirect: Option<String>,
    },
    /// The session is over; the person goes there, or sees our own page.
    Done {
        /// Where to, if the client registered it.
        redirect: Option<String>,
        /// What is framed on the way (FL-01).
        frames: Vec<LogoutFrame>,
    },
}

impl Service {
    /// Handles an end-session request. `confirmed` carries the token of the confirmation page.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn logout(
        &self,
        context: &RequestContext,
        request: &EndSessionRequest,
        cookies: &Cookies,
        confirmed: Option<&CsrfToken>,
    ) -> Result<Logout> {
        let (hint, hinted_client) = self.logout_hint(request);
        let named = match (&request.client_id, &hinted_client) {
            // LO-02: both must agree, and a hint that is not ours makes the request nobody's.
            (Some(named), Some(hinted)) if named != hinted => None,
            (_, None) if request.id_token_hint.is_some() => None,
            (Some(named), _) => Some(named),
            (None, hinted) => hinted.as_ref(),
        };
        let client = match named {
            Some(id) => self.client(id).await?,
            None => None,
        };
        let visitor = self.visitor(cookies).await?;
        let current = visitor.as_ref().map(|visitor| (visitor.session.id, visitor.user.id));
        let decision = end_session(request, client.as_deref(), hint.as_ref(), current);
        let expected = cookies.session.as_ref().map(|cookie| csrf_token(cookie.expose(), &["end-session"]));
        let agreed = match (confirmed, &expected) {
            (Some(shown), Some(expected)) => sha256(shown.expose()) == sha256(expected.expose()),
            _ => false,
        };
        if decision.confirm && !agreed {
            if confirmed.is_some() {
                let event = self.event(context, EventKind::LogoutRefused, self.now());
                self.record(&event.reason("wrong_token")).await?;
            }
            let csrf = expected.unwrap_or_else(|| CsrfToken::new(""));
            let username =
                visitor.map(|visitor| visitor.user.username.as_str().to_owned()).unwrap_or_default();
            return Ok(Logout::Confirm { client, csrf, username, redirect: decision.redirect });
        }
        let frames = match &visitor {
            None => Vec::new(),
            Some(visitor) => {
                let reason = if client.is_some() { "by_client" } else { "by_user" };
                self.sign_out(context, visitor, reason).await?
            }
        };
        Ok(Logout::Done { redirect: decision.redirect, frames })
    }

    /// What a hint says, if it is an ID token of ours, expired or not (LO-03), and for which client.
    fn logout_hint(&self, request: &EndSessionRequest) -> (Option<LogoutHint>, Option<String>) {
        let verify = || {
            let token = request.id_token_hint.as_deref()?;
            let declared = self.declared();
            let keys = declared.keyring.verification_keys();
            let verified = verify_id_token_hint(token, keys, &self.0.policies.issuer).ok()?;
            let subject = verified.claims.sub().ok()??.parse().ok();
            let session = verified.claims.text("sid").ok().flatten().and_then(|sid| sid.parse().ok());
            let client = verified.claims.aud().ok()??.values.first().cloned()?;
            Some((LogoutHint { subject, session }, client))
        };
        verify().unzip()
    }

    /// Ends the visitor's session, and with it every grant that is bound to it (BL-04). Clients that took
    /// part are told over the back channel; gives what is framed for the others (FL-01).
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn sign_out(
        &self,
        context: &RequestContext,
        visitor: &Visitor,
        reason: &str,
    ) -> Result<Vec<LogoutFrame>> {
        let now = self.now();
        let session = visitor.session.id;
        let Some(ended) = end(&visitor.session, visitor.user.id, now) else { return Ok(Vec::new()) };
        let mut frames = Vec::new();
        for client in self.0.store.participants(session).await? {
            let client = self.client(client.as_str()).await?;
            frames.extend(
                client.and_then(|client| LogoutFrame::new(&client, &self.0.policies.issuer, session)),
            );
        }
        let mut tx = self.0.store.begin().await?;
        if tx.end_session(&ended).await? == 1 {
            let event = self.event(context, EventKind::SessionEnded, now).user(visitor.user.id);
            tx.record(&event.session(session).reason(reason)).await?;
        }
        tx.commit().await?;
        self.0.deliveries.wake();
        Ok(frames)
    }
}
