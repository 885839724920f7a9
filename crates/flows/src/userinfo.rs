//! The userinfo endpoint (OpenID Connect Core §5.3).

use audit::EventKind;
use protocol::secret::AccessToken;
use serde_json::{Map, Value};
use tokens::presented::{DeadToken, UserinfoFault, userinfo_subject};

use crate::{
    context::RequestContext,
    dpop::{DpopAt, DpopRefusal},
    error::Result,
    service::Service,
};

/// A token that is said to be bound, without the proof (DP-12).
const WRONG_SENDER: UserinfoFault = UserinfoFault::Dead(DeadToken::WrongSender);

/// What userinfo answers.
#[derive(Debug)]
pub enum Userinfo {
    /// A JSON object.
    Json(Map<String, Value>),
    /// What the client registered: signed, encrypted, or both (OC-20).
    Jwt(String),
}

/// How the token came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown<'a> {
    /// By whoever has it, unless it is bound to the certificate of the connection.
    Bearer,
    /// In a form body, where no bound token may be (F2-38).
    Form,
    /// With the scheme `DPoP`, so that a proof must come with it; with this method.
    Dpop {
        /// The method of the request.
        method: &'a str,
    },
}

/// Why userinfo says nothing.
#[derive(Debug, thiserror::Error)]
pub enum UserinfoRefusal {
    /// The token opens nothing.
    #[error(transparent)]
    Token(#[from] UserinfoFault),
    /// The proof beside it proves nothing.
    #[error(transparent)]
    Dpop(#[from] DpopRefusal),
}

impl Service {
    /// The claims that an access token opens: `sub`, and what its scope releases (OC-16, OC-17).
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn userinfo(
        &self,
        context: &RequestContext,
        token: &AccessToken,
        shown: Shown<'_>,
    ) -> Result<std::result::Result<Userinfo, UserinfoRefusal>> {
        let proof = match shown {
            Shown::Bearer | Shown::Form => None,
            Shown::Dpop { method } => {
                let at = DpopAt::resource_server(method, "/userinfo", token.expose());
                match self.unreplayed_dpop(context, at) {
                    Ok(Some(proof)) => Some(proof),
                    Ok(None) => return self.userinfo_refused(context, WRONG_SENDER.into()).await,
                    Err(refusal) => return self.userinfo_refused(context, refusal.into()).await,
                }
            }
        };
        let found = self.find_access_token(token.expose()).await?;
        // A proof is used up only beside a token that exists: anybody can make proofs.
        let proof = match proof.filter(|_| found.is_some()) {
            None => None,
            Some(proof) => match self.used_up(proof).await? {
                Ok(proof) => Some(proof),
                Err(refusal) => return self.userinfo_refused(context, refusal.into()).await,
            },
        };
        // A certificate that has expired is none (MT-08).
        let certificate = context.certificate.held(self.now()).ok().flatten();
        let certificate = certificate.as_ref().filter(|_| shown != Shown::Form);
        let found = match found.map(|found| found.shown_with(proof.as_ref(), certificate)).transpose() {
            Ok(found) => found,
            Err(dead) => return self.userinfo_refused(context, UserinfoFault::Dead(dead).into()).await,
        };
        let declared = self.declared();
        let subject = userinfo_subject(found, &self.0.policies.issuer, &declared.catalogue, self.now());
        let (user, live) = match subject {
            Ok(subject) => subject,
            Err(fault) => return self.userinfo_refused(context, fault.into()).await,
        };
        let Some(user) = self.0.store.user(user).await? else {
            return self.userinfo_refused(context, UserinfoFault::Dead(DeadToken::Unknown).into()).await;
        };
        let Some(client) = self.client(live.claims().client_id.as_str()).await? else {
            return self
                .userinfo_refused(context, UserinfoFault::Dead(DeadToken::ClientDisabled).into())
                .await;
        };
        let mut claims = Map::new();
        claims.insert("sub".into(), Value::String(self.subjects()?.subject(&client, user.id)));
        claims.extend(user.claims.released_by(&live.claims().scope));
        if let Some(granted) = live.granted_claims() {
            claims.extend(granted.for_userinfo(&user.claims));
        }
        let Some(envelope) = self.mint(&declared)?.userinfo(&client, &claims, self.now())? else {
            return Ok(Ok(Userinfo::Json(claims)));
        };
        match self.deliver(&client, envelope).await {
            Ok(token) => Ok(Ok(Userinfo::Jwt(token))),
            Err(fault) => {
                tracing::warn!(client = %client.id, %fault, "userinfo could not be encrypted");
                self.userinfo_refused(context, UserinfoFault::Undeliverable.into()).await
            }
        }
    }

    async fn userinfo_refused(
        &self,
        context: &RequestContext,
        refusal: UserinfoRefusal,
    ) -> Result<std::result::Result<Userinfo, UserinfoRefusal>> {
        let event = self.event(context, EventKind::UserinfoRefused, self.now()).reason(refusal.to_string());
        self.note(event).await?;
        Ok(Err(refusal))
    }
}
