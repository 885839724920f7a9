//! DPoP (RFC 9449): the proof of a key that comes with a request, verified and used up.
//!
//! Nodes keep no nonce: each can tell a fresh one by keys that are derived from the key-encryption key,
//! which all of them have. A proof that was seen is remembered in the database, for all of them (DP-04).

use jose::{DpopFault, DpopPolicy, Nonces, Replayed, Unreplayed, VerifiedDpop, verify_dpop};
use keys::Sealer;

use crate::{
    context::{DpopHeader, RequestContext},
    error::Result,
    service::Service,
};

/// Which of our servers a nonce is for: ours as authorization server and as resource server are
/// independent (DP-14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonceOf {
    /// The token and PAR endpoints.
    AuthorizationServer,
    /// Userinfo.
    ResourceServer,
}

/// The nonces of both.
#[derive(Debug)]
pub(crate) struct ServerNonces {
    authorization: Nonces,
    resource: Nonces,
}

impl ServerNonces {
    pub(crate) fn new(sealer: &Sealer) -> Self {
        let keys = || sealer.derived("dpop nonces");
        Self {
            authorization: Nonces::new(keys(), "authorization server"),
            resource: Nonces::new(keys(), "resource server"),
        }
    }
}

/// The request that a proof must be for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DpopAt<'a> {
    method: &'a str,
    path: &'a str,
    server: NonceOf,
    access_token: Option<&'a str>,
}

impl<'a> DpopAt<'a> {
    pub(crate) const fn authorization_server(method: &'a str, path: &'a str) -> Self {
        Self { method, path, server: NonceOf::AuthorizationServer, access_token: None }
    }

    pub(crate) const fn resource_server(method: &'a str, path: &'a str, access_token: &'a str) -> Self {
        Self { method, path, server: NonceOf::ResourceServer, access_token: Some(access_token) }
    }
}

/// Why a proof proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum DpopRefusal {
    /// Several headers, or one that is no text.
    #[error("there must be one readable DPoP header")]
    Unreadable,
    /// The proof breaks a rule.
    #[error(transparent)]
    Proof(#[from] DpopFault),
    /// The proof was seen before (DP-04).
    #[error("the DPoP proof was used before")]
    Replayed(#[from] Replayed),
}

impl DpopRefusal {
    /// Whether the sender only needs a nonce, which comes with the refusal (DP-07, DP-16).
    pub const fn wants_nonce(&self) -> bool {
        matches!(self, Self::Proof(fault) if fault.wants_nonce())
    }
}

impl Service {
    /// The nonce for the next proof, where proofs need one. Every answer carries it, so that a client
    /// learns of a new one before the old one is stale.
    pub fn dpop_nonce(&self, server: NonceOf) -> Option<String> {
        self.nonces_of(server).map(|nonces| nonces.current(self.now()))
    }

    fn nonces_of(&self, server: NonceOf) -> Option<&Nonces> {
        let (policy, nonces) = (&self.0.policies.protection, &self.0.nonces);
        match server {
            NonceOf::AuthorizationServer => policy.dpop_nonce.then_some(&nonces.authorization),
            NonceOf::ResourceServer => policy.dpop_resource_nonce.then_some(&nonces.resource),
        }
    }

    /// The key of a proof, which is used up by this.
    pub(crate) async fn used_up(
        &self,
        proof: Unreplayed<VerifiedDpop>,
    ) -> Result<std::result::Result<VerifiedDpop, DpopRefusal>> {
        let rows = self.0.store.mark_once(&proof.mark()).await?;
        Ok(proof.confirm(rows).map_err(Into::into))
    }

    /// The proof that comes with a request, if one comes: it holds, if it is seen for the first time.
    pub(crate) fn unreplayed_dpop(
        &self,
        context: &RequestContext,
        at: DpopAt<'_>,
    ) -> std::result::Result<Option<Unreplayed<VerifiedDpop>>, DpopRefusal> {
        let proof = match &context.dpop {
            DpopHeader::Absent => return Ok(None),
            DpopHeader::Unreadable => return Err(DpopRefusal::Unreadable),
            DpopHeader::One(proof) => proof,
        };
        let proof = match self.verified(proof, &self.0.policies.issuer, at) {
            // Clients that show a certificate know the endpoint by another URL (MT-07).
            Err(DpopFault::Url) => match &self.0.policies.mutual_tls.alias {
                Some(alias) => self.verified(proof, alias, at),
                None => Err(DpopFault::Url),
            },
            verified => verified,
        };
        Ok(Some(proof?))
    }

    fn verified(
        &self,
        proof: &str,
        base: &str,
        at: DpopAt<'_>,
    ) -> std::result::Result<Unreplayed<VerifiedDpop>, DpopFault> {
        let url = format!("{base}{}", at.path);
        let nonces = self.nonces_of(at.server);
        let policy = DpopPolicy { method: at.method, url: &url, access_token: at.access_token, nonces };
        verify_dpop(proof, &policy, self.now())
    }
}
