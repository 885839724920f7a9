//! A token that somebody presents: to userinfo, to introspection, to revocation.
//!
//! `flows` finds out what it is (a JWT of ours, an opaque token, a refresh token) and loads the
//! line above it; here it is decided whether it lives, and what may be said about it.

use chrono::{DateTime, Utc};
use consent::{Catalogue, IntrospectionAnswer, ResourceServer, Role};
use jose::{
    VerifiedDpop,
    certificate::HeldCertificate,
    digest::{Digest, sha256},
};
use protocol::{
    GrantId, Scope, TokenId, UserId,
    introspection::{ActiveToken, IntrospectionResponse},
    token::Confirmation,
};

use crate::{
    client_auth::{AuthenticatedClient, Presented},
    disclosed::GrantedClaims,
    exchange::meant_roles,
    grant::{GrantEnd, GrantLine, LiveGrant},
    mint::AccessTokenClaims,
};

/// An access token whose signature or digest was found good, with everything above it.
#[derive(Clone, Debug)]
pub struct FoundAccessToken {
    /// What it says.
    pub claims: AccessTokenClaims,
    /// The digest of an opaque one; a JWT has none.
    pub digest: Option<Digest>,
    /// Whether it was revoked on its own.
    pub revoked: bool,
    /// What stands above it now.
    pub above: Above,
}

/// What stands above an access token.
#[derive(Clone, Debug)]
pub enum Above {
    /// Its grant, with everything above that.
    Grant(Box<GrantLine>),
    /// The client that acted for itself, with what it may ask for now; `None` if it is not registered any
    /// more, or disabled.
    Client(Option<ClientRights>),
    /// The grant is gone.
    Nothing,
}

/// What a client may ask for on its own behalf, as its registration says now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientRights {
    /// Whether it still has the grant of client credentials (RFC 6749 §4.4).
    pub client_credentials: bool,
    /// The scope that it may ask for.
    pub scope: Scope,
    /// The types of authorization details that it may ask for.
    pub detail_types: Vec<String>,
}

/// Why an access token opens nothing; a stable code for the audit trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeadToken {
    /// Never issued by us, or forged, or expired so long ago that it was forgotten.
    #[error("unknown_token")]
    Unknown,
    /// Revoked on its own.
    #[error("token_revoked")]
    Revoked,
    /// Its time is over.
    #[error("token_expired")]
    Expired,
    /// Its grant no longer lives.
    #[error("{0}")]
    Grant(GrantEnd),
    /// The client that acted for itself was disabled.
    #[error("client_disabled")]
    ClientDisabled,
    /// The client may not act for itself any more, or with nothing of what the token said (F2-17).
    #[error("client_rights_taken")]
    ClientRightsTaken,
    /// It is bound to a key that was not shown, or shown as what it is not (DP-12).
    #[error("wrong_sender")]
    WrongSender,
    /// It is bound to a certificate that was not shown (MT-05).
    #[error("wrong_certificate")]
    WrongCertificate,
    /// It is for somebody else.
    #[error("foreign_audience")]
    ForeignAudience,
}

/// An access token that lives at the time of asking.
#[derive(Clone, Debug)]
pub struct LiveToken {
    claims: AccessTokenClaims,
    grant: Option<LiveGrant>,
}

impl FoundAccessToken {
    /// Holds the way in which it was shown against what it is bound to: a token that is bound to a key comes
    /// with a proof by it, one that is bound to a certificate on a connection with that, and only the former
    /// comes with a proof (DP-12, MT-05).
    ///
    /// # Errors
    /// [`DeadToken::WrongSender`], [`DeadToken::WrongCertificate`].
    pub fn shown_with(
        self,
        proof: Option<&VerifiedDpop>,
        certificate: Option<&HeldCertificate>,
    ) -> Result<Self, DeadToken> {
        let bound_to = self.claims.cnf.clone().unwrap_or_default();
        if bound_to.jkt != proof.map(|proof| proof.thumbprint().to_string()) {
            return Err(DeadToken::WrongSender);
        }
        let shown = certificate.map(|certificate| certificate.thumbprint().to_string());
        if bound_to.x5t_s256.is_some() && bound_to.x5t_s256 != shown {
            return Err(DeadToken::WrongCertificate);
        }
        Ok(self)
    }

    /// Whether it and everything above it lives. What comes out says no more than the grant allows
    /// now: scope and audience are cut to what is left of it (F2-17).
    ///
    /// # Errors
    /// [`DeadToken`].
    pub fn live(self, catalogue: &Catalogue, now: DateTime<Utc>) -> Result<LiveToken, DeadToken> {
        if self.revoked {
            return Err(DeadToken::Revoked);
        }
        if self.claims.exp <= now.timestamp() {
            return Err(DeadToken::Expired);
        }
        let mut claims = self.claims;
        match (claims.grant_id, self.above) {
            (None, Above::Client(Some(rights))) => {
                let claims = cut_to_rights(claims, &rights, catalogue);
                claims.map(|claims| LiveToken { claims, grant: None }).ok_or(DeadToken::ClientRightsTaken)
            }
            (None, Above::Client(None)) => Err(DeadToken::ClientDisabled),
            (Some(id), Above::Grant(line))
                if line.grant.id == id
                    && line.grant.client
                        == *claims.delegation.origin_client_id.as_ref().unwrap_or(&claims.client_id) =>
            {
                let live = line.live(catalogue, now).map_err(DeadToken::Grant)?;
                let grant = live.grant();
                let scope = claims.scope.intersection(&grant.scope);
                // What is left of the grant's, and no more than the token had.
                claims.authorization_details = claims
                    .authorization_details
                    .filtered(|said| grant.details.iter().any(|granted| said.is_within(granted)));
                // Details alone are something, too (RFC 9396 §2).
                if scope.is_empty() && claims.authorization_details.is_empty() {
                    return Err(DeadToken::Grant(GrantEnd::NothingLeft));
                }
                // Where an exchanged token may be used was the operator's word, not the person's.
                if claims.delegation.origin_client_id.is_some() {
                    claims.aud.retain(|audience| catalogue.resource_server(audience).is_some());
                } else {
                    claims
                        .aud
                        .retain(|audience| *audience == claims.iss || grant.audience.contains(audience));
                    claims.aud = consent::still_reached(&claims.aud, &claims.scope, &scope, catalogue);
                }
                claims.scope = scope;
                Ok(LiveToken { claims, grant: Some(live) })
            }
            _ => Err(DeadToken::Unknown),
        }
    }
}

/// What a client's own token may still say: of its scope and details what the registration has now and the
/// catalogue knows, and of its roles those that this scope gives (F2-17). `None` if nothing is left.
fn cut_to_rights(
    mut claims: AccessTokenClaims,
    rights: &ClientRights,
    catalogue: &Catalogue,
) -> Option<AccessTokenClaims> {
    let (scope, aud) = (&claims.scope, &claims.aud);
    let scope = scope.intersection(&rights.scope).filtered(|name| {
        let audience = catalogue.scope(name).and_then(|definition| definition.audience.as_ref());
        audience.is_some_and(|audience| aud.contains(audience))
    });
    let types = catalogue.detail_types();
    claims.authorization_details = claims.authorization_details.filtered(|detail| {
        rights.detail_types.iter().any(|kind| kind == detail.kind())
            && types.get(detail.kind()).is_some_and(|kind| kind.definition().client_credentials)
            && aud.iter().any(|audience| types.reaches(detail, audience))
    });
    let gives = |role: &String| {
        catalogue.definitions(&scope).any(|given| given.roles.iter().any(|given| given.as_str() == role))
    };
    claims.roles.retain(gives);
    claims.scope = scope;
    let something = !claims.scope.is_empty() || !claims.authorization_details.is_empty();
    (rights.client_credentials && something).then_some(claims)
}

impl LiveToken {
    /// Single claims that its grant lets out at userinfo (OC-18).
    pub fn granted_claims(&self) -> Option<&GrantedClaims> {
        self.grant.as_ref().map(|live| &live.grant().claims)
    }

    /// What it says, as far as it still holds.
    pub const fn claims(&self) -> &AccessTokenClaims {
        &self.claims
    }

    /// What it says, and the person's grant above it, if there is one.
    pub(crate) fn into_parts(self) -> (AccessTokenClaims, Option<LiveGrant>) {
        (self.claims, self.grant)
    }
}

/// Proof that a resource server showed its introspection credentials (IN-01).
#[derive(Clone, Debug)]
pub struct IntrospectionCaller(ResourceServer);

impl IntrospectionCaller {
    /// Holds the presented secret against the catalogue. `None` is a 401.
    pub fn authenticate(presented: &Presented, catalogue: &Catalogue, now: DateTime<Utc>) -> Option<Self> {
        let (id, secret) = presented.secret()?;
        let digest = sha256(secret.expose());
        let matches = |server: &&ResourceServer| {
            let credential = server.introspection.as_ref();
            credential.is_some_and(|known| known.id.as_str() == id && known.accepts(digest, now))
        };
        catalogue.resource_servers().find(matches).cloned().map(Self)
    }

    /// The audience that asks.
    pub fn audience(&self) -> &str {
        &self.0.audience
    }

    /// How it wants answers as JWTs.
    pub fn answer(&self) -> IntrospectionAnswer {
        self.0.introspection.as_ref().map(|credential| credential.answer.clone()).unwrap_or_default()
    }
}

/// Answers an introspection request (RFC 7662 §2.2). Whatever is not a live access token for the
/// asker is just inactive (IN-02); the reason is for the audit trail only.
pub fn introspect(
    caller: &IntrospectionCaller,
    found: Option<FoundAccessToken>,
    catalogue: &Catalogue,
    now: DateTime<Utc>,
) -> (IntrospectionResponse, Option<DeadToken>) {
    let live = found.ok_or(DeadToken::Unknown).and_then(|token| token.live(catalogue, now));
    let for_caller = live.and_then(|token| {
        let ours = token.claims.aud.iter().any(|audience| audience == caller.audience());
        if ours { Ok(token) } else { Err(DeadToken::ForeignAudience) }
    });
    match for_caller {
        Err(dead) => (IntrospectionResponse::Inactive, Some(dead)),
        Ok(token) => (IntrospectionResponse::Active(Box::new(describe(token, caller, catalogue))), None),
    }
}

/// The person, as the bank knows them: a pairwise subject is for the client, and the asker has to find an
/// account by it (OC-21).
fn subject(claims: &AccessTokenClaims, grant: Option<&LiveGrant>) -> String {
    grant.map_or_else(|| claims.sub.clone(), |live| live.grant().user.to_string())
}

/// Only what concerns the asker: its own scopes, not those about the person (IN-04), and the roles
/// that these still give to the person, or to the client that acts for itself.
fn describe(token: LiveToken, caller: &IntrospectionCaller, catalogue: &Catalogue) -> ActiveToken {
    let LiveToken { mut claims, grant } = token;
    let sub = subject(&claims, grant.as_ref());
    // All of an exchanged token's scope was meant for its one audience, whosever words it uses.
    let exchanged = claims.delegation.origin_client_id.is_some();
    let concerns = |name: &str| {
        catalogue
            .scope(name)
            .and_then(|definition| definition.audience.as_deref())
            .is_some_and(|audience| exchanged || audience == caller.audience())
    };
    let scope = claims.scope.filtered(concerns);
    if let Some(grant) = grant.as_ref().filter(|_| exchanged) {
        let meant = meant_roles(&scope, catalogue);
        claims.roles.retain(|role| meant.contains(role) && grant.user_roles().contains(role));
    } else if let Some(grant) = grant {
        let held: Vec<Role> = grant.user_roles().iter().filter_map(|role| role.parse().ok()).collect();
        let given = consent::roles_for(&scope, caller.audience(), catalogue, &held);
        claims.roles.retain(|role| given.iter().any(|given| given.as_str() == role));
    }
    ActiveToken {
        scope,
        client_id: claims.client_id,
        sub,
        exp: claims.exp,
        iat: claims.iat,
        aud: caller.audience().to_owned(),
        iss: claims.iss,
        jti: claims.jti.to_string(),
        token_type: Confirmation::token_type(claims.cnf.as_ref()),
        cnf: claims.cnf,
        grant_id: claims.grant_id,
        auth_time: claims.auth_time,
        acr: claims.acr,
        amr: claims.amr,
        roles: claims.roles,
        authorization_details: catalogue
            .detail_types()
            .for_audience(&claims.authorization_details, caller.audience()),
        act: claims.delegation.act.and_then(|act| serde_json::to_value(act).ok()),
        may_act: claims.delegation.may_act.and_then(|may| serde_json::to_value(may).ok()),
    }
}

/// Why userinfo says nothing (RFC 6750 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserinfoFault {
    /// `invalid_token`.
    #[error("{0}")]
    Dead(DeadToken),
    /// The token has no `openid` scope, or is no person's: `insufficient_scope`.
    #[error("openid_scope_missing")]
    NotOpenid,
    /// The client wants the answer encrypted, and there is no key of it (OC-20).
    #[error("undeliverable")]
    Undeliverable,
}

/// Whose claims a token opens at userinfo. The token must be for this issuer and have `openid`.
///
/// # Errors
/// [`UserinfoFault`].
pub fn userinfo_subject(
    found: Option<FoundAccessToken>,
    issuer: &str,
    catalogue: &Catalogue,
    now: DateTime<Utc>,
) -> Result<(UserId, LiveToken), UserinfoFault> {
    let live = found
        .ok_or(DeadToken::Unknown)
        .and_then(|token| token.live(catalogue, now))
        .map_err(UserinfoFault::Dead)?;
    if !live.claims.scope.contains("openid") {
        return Err(UserinfoFault::NotOpenid);
    }
    if !live.claims.aud.iter().any(|audience| audience == issuer) {
        return Err(UserinfoFault::Dead(DeadToken::ForeignAudience));
    }
    let user = live.grant.as_ref().map(|grant| grant.grant().user).ok_or(UserinfoFault::NotOpenid)?;
    Ok((user, live))
}

/// What a token is, as far as revocation is concerned.
#[derive(Clone, Debug)]
pub enum Revocable {
    /// A refresh token: its client and its grant.
    Refresh(crate::grant::RefreshRecord),
    /// An access token.
    Access(Box<FoundAccessToken>),
}

/// What revocation does (RFC 7009 §2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// Nothing: the token is unknown or another client's. The answer is 200 all the same (RV-01,
    /// RV-02).
    Nothing {
        /// For the audit trail.
        foreign: bool,
    },
    /// A refresh token takes everything below its grant with it (RV-03).
    Grant(GrantId),
    /// An opaque access token ends alone.
    AccessToken(Digest),
    /// A JWT access token ends alone, by its name, until it would have expired.
    Jwt {
        /// Its `jti`.
        id: TokenId,
        /// Its `exp`.
        expires_at: DateTime<Utc>,
    },
}

/// Decides about a revocation.
pub fn revoke(client: &AuthenticatedClient, found: Option<Revocable>) -> Revocation {
    let own = &client.client().id;
    match found {
        None => Revocation::Nothing { foreign: false },
        Some(Revocable::Refresh(record)) if record.client == *own => Revocation::Grant(record.grant),
        Some(Revocable::Access(token)) if token.claims.client_id == *own => match token.digest {
            Some(digest) => Revocation::AccessToken(digest),
            None => Revocation::Jwt {
                id: token.claims.jti,
                expires_at: DateTime::from_timestamp(token.claims.exp, 0).unwrap_or_default(),
            },
        },
        Some(_) => Revocation::Nothing { foreign: true },
    }
}

#[cfg(test)]
mod tests;
