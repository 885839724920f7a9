//! The mint: the one place where access tokens and ID tokens are made.
//!
//! Who asks and why is proven by type. [`Mint::access_token`] takes a [`Sender`], which is an
//! authenticated client that showed the key its tokens are bound to if it must, and an [`Authority`]: a
//! code whose verifier fitted or a refresh token, with a living consent above it, or the client's own
//! grant. For a client of FAPI 2.0 none of these can be had without its proof. What a token says is minimal for its audience: the scope that the audience
//! understands, and the roles that this scope gives there.

mod authorization;

use chrono::{DateTime, Duration, Utc};
use consent::{Catalogue, Role, TokenTarget};
use jose::{
    Algorithm,
    digest::{half_hash, sha256},
};
use keys::Keyring;
use protocol::{
    ClientId, GrantId, Scope, SessionId, TokenId,
    acr::{Acr, Amr},
    authorization_details::AuthorizationDetails,
    client::TokenFormat,
    secret::AccessToken,
    token::Confirmation,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    assertion_grant::AssertionGrant,
    client::{Client, Disclosure},
    client_auth::AuthenticatedClient,
    code::RedeemableCode,
    credentials_grant::ClientGrant,
    envelope::Envelope,
    exchange::{Delegation, ExchangeGrant, MayAct},
    grant::{AccessTokenRecord, LiveGrant},
    policy::TokenPolicy,
    refresh::Refreshable,
    sender::Sender,
    subject::SubjectKey,
};

/// What the mint works with; read-only while it works.
#[derive(Clone, Copy, Debug)]
pub struct Mint<'a> {
    /// Who we are.
    pub issuer: &'a str,
    /// What signs.
    pub keyring: &'a Keyring,
    /// What scopes and resource servers mean.
    pub catalogue: &'a Catalogue,
    /// How long things live.
    pub policy: &'a TokenPolicy,
    /// How people are called towards clients.
    pub subjects: &'a SubjectKey,
}

/// By whose authority a token is made.
#[derive(Clone, Copy, Debug)]
pub enum Authority<'a> {
    /// A person's, under a living consent, by a code: PKCE was verified.
    Code(&'a RedeemableCode),
    /// The same, later, by a refresh token.
    Refresh(&'a Refreshable),
    /// The client's own.
    Client(&'a ClientGrant),
    /// That of another token.
    Exchange(&'a ExchangeGrant),
    /// A person's, under a living consent, by the word of a trusted issuer.
    Assertion(&'a AssertionGrant),
}

impl<'a> Authority<'a> {
    /// The person's grant, where there is one.
    const fn live(self) -> Option<&'a LiveGrant> {
        match self {
            Self::Code(code) => Some(code.grant()),
            Self::Refresh(refreshable) => Some(refreshable.grant()),
            Self::Client(_) => None,
            Self::Exchange(exchange) => Some(exchange.grant()),
            Self::Assertion(assertion) => Some(assertion.live()),
        }
    }

    /// What exactly it allows, beside the scope: what the person's consent says, or the client's own grant.
    fn details(self) -> AuthorizationDetails {
        match self {
            Self::Code(code) => code.details().clone(),
            Self::Refresh(refreshable) => refreshable.details().clone(),
            Self::Client(own) => own.details().clone(),
            Self::Exchange(exchange) => exchange.details().clone(),
            Self::Assertion(_) => AuthorizationDetails::default(),
        }
    }

    /// The moment after which the token may not live.
    fn ends_at(self) -> Option<DateTime<Utc>> {
        match self {
            Self::Exchange(exchange) => Some(exchange.ends_at()),
            other => other.live().map(LiveGrant::ends_at),
        }
    }

    /// What the authority changes in what a token says.
    fn marked(self, client: &Client, claims: AccessTokenClaims) -> AccessTokenClaims {
        match self {
            Self::Client(_) => claims,
            Self::Exchange(exchange) => exchange.shadow(claims),
            // An issuer's word says nothing of how the person was authenticated, or when (SU-02).
            Self::Assertion(_) => AccessTokenClaims { auth_time: None, acr: None, amr: Vec::new(), ..claims },
            Self::Code(_) | Self::Refresh(_) => {
                let may_act = client.settings.may_act.as_ref().map(|id| MayAct { sub: id.to_string() });
                AccessTokenClaims { delegation: Delegation { may_act, ..Delegation::default() }, ..claims }
            }
        }
    }
}

/// Randomness for one access token.
#[derive(Clone, Copy)]
pub struct TokenEntropy {
    /// Its `jti`.
    pub id: TokenId,
    /// Its value, where it is opaque.
    pub value: [u8; 32],
}

/// A new access token.
#[derive(Debug)]
pub struct MintedToken {
    /// The token itself.
    pub token: AccessToken,
    /// What it says.
    pub claims: AccessTokenClaims,
    /// The row of an opaque token; a JWT has none.
    pub record: Option<AccessTokenRecord>,
}

impl MintedToken {
    /// Its lifetime in seconds, for `expires_in` (ER-03).
    pub const fn expires_in(&self) -> i64 {
        self.claims.exp - self.claims.iat
    }
}

/// Why nothing could be made: the server's fault, never the client's.
#[derive(Debug, thiserror::Error)]
pub enum MintFault {
    /// No active key of the algorithm.
    #[error("no active signing key for {0}")]
    NoKey(Algorithm),
    /// Signing failed.
    #[error(transparent)]
    Sign(#[from] jose::SignError),
}

/// The claims of an ID token (OpenID Connect Core §2, OC-02).
#[derive(Debug, Serialize)]
struct IdTokenClaims<'a> {
    iss: &'a str,
    sub: String,
    aud: &'a ClientId,
    exp: i64,
    iat: i64,
    auth_time: i64,
    acr: Acr,
    amr: &'a [Amr],
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<SessionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    c_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    s_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
    #[serde(flatten)]
    person: &'a Map<String, Value>,
}

/// Signed userinfo (OpenID Connect Core §5.3.2). `sub` is among the claims.
#[derive(Debug, Serialize)]
struct UserinfoClaims<'a> {
    iss: &'a str,
    aud: &'a ClientId,
    iat: i64,
    #[serde(flatten)]
    person: &'a Map<String, Value>,
}

impl Mint<'_> {
    /// Makes an access token (RFC 9068), bound to the key of its sender (F2-09, DP-05). Its life ends no
    /// later than its grant's.
    ///
    /// # Errors
    /// [`MintFault`].
    pub fn access_token(
        &self,
        sender: &Sender,
        authority: Authority<'_>,
        target: &TokenTarget,
        entropy: TokenEntropy,
        now: DateTime<Utc>,
    ) -> Result<MintedToken, MintFault> {
        let client = sender.client();
        let (claims, expires_at) = self.claims(sender, authority, target, entropy.id, now);
        let grant = claims.grant_id;
        match self.format(client, target) {
            TokenFormat::Jwt => {
                let algorithm = self.access_token_algorithm(client);
                let key = self.keyring.signer(algorithm).ok_or(MintFault::NoKey(algorithm))?;
                let token = AccessToken::new(key.sign("at+jwt", &claims)?);
                Ok(MintedToken { token, claims, record: None })
            }
            TokenFormat::Opaque => {
                let token = AccessToken::from_entropy(entropy.value);
                let record = AccessTokenRecord {
                    digest: sha256(token.expose()),
                    id: entropy.id,
                    grant,
                    client: client.id.clone(),
                    claims: claims.clone(),
                    issued_at: now,
                    expires_at,
                    revoked_at: None,
                };
                Ok(MintedToken { token, claims, record: Some(record) })
            }
        }
    }

    /// The configured one, or, where the client's profile does not allow that, one of its own for which
    /// there is a key (F2-34).
    fn access_token_algorithm(&self, client: &Client) -> Algorithm {
        let configured = self.policy.access_token_algorithm;
        let allowed = client.protection.rules().algorithms;
        let fits = |algorithm: &&Algorithm| self.keyring.signer(**algorithm).is_some();
        match allowed.contains(&configured) {
            true => configured,
            false => allowed.iter().find(fits).copied().unwrap_or(client.id_token_algorithm),
        }
    }

    fn claims(
        &self,
        sender: &Sender,
        authority: Authority<'_>,
        target: &TokenTarget,
        id: TokenId,
        now: DateTime<Utc>,
    ) -> (AccessTokenClaims, DateTime<Utc>) {
        let (client, live) = (sender.client(), authority.live());
        let lifetime = self.lifetime(target);
        let expires_at = authority.ends_at().map_or(now + lifetime, |end| end.min(now + lifetime));
        let grant = live.map(LiveGrant::grant);
        let claims = AccessTokenClaims {
            iss: self.issuer.to_owned(),
            // OC-21: the client can read it, so it says no more than the ID token.
            sub: grant
                .map_or_else(|| client.id.to_string(), |grant| self.subjects.subject(client, grant.user)),
            aud: self.audience(target),
            client_id: client.id.clone(),
            jti: id,
            iat: now.timestamp(),
            exp: expires_at.timestamp(),
            scope: target.scope.clone(),
            grant_id: grant.map(|grant| grant.id),
            auth_time: grant.map(|grant| grant.auth_time.timestamp()),
            acr: grant.map(|grant| grant.acr),
            amr: grant.map(|grant| grant.amr.clone()).unwrap_or_default(),
            roles: self.roles(live, target),
            authorization_details: self.details(authority, target),
            cnf: sender.confirmation(),
            delegation: Delegation::default(),
        };
        (authority.marked(client, claims), expires_at)
    }

    /// The details that mean something to the resource server (RAR-05).
    fn details(&self, authority: Authority<'_>, target: &TokenTarget) -> AuthorizationDetails {
        match &target.audience {
            None => AuthorizationDetails::default(),
            Some(audience) => self.catalogue.detail_types().for_audience(&authority.details(), audience),
        }
    }

    /// The resource server, and this issuer beside it where the token also opens userinfo.
    fn audience(&self, target: &TokenTarget) -> Vec<String> {
        let userinfo = target.scope.contains("openid") || target.audience.is_none();
        let issuer = userinfo.then(|| self.issuer.to_owned());
        target.audience.iter().cloned().chain(issuer).collect()
    }

    /// The roles that the scope gives at its audience: of a person only those that they hold.
    fn roles(&self, live: Option<&LiveGrant>, target: &TokenTarget) -> Vec<String> {
        let Some(audience) = &target.audience else {
            return Vec::new();
        };
        let held: Vec<Role> = match live {
            Some(live) => live.user_roles().iter().filter_map(|role| role.parse().ok()).collect(),
            // A client acts by its registration: its scopes' roles are its own.
            None => self.catalogue.definitions(&target.scope).flat_map(|scope| scope.roles.clone()).collect(),
        };
        consent::roles_for(&target.scope, audience, self.catalogue, &held)
            .into_iter()
            .map(Into::into)
            .collect()
    }

    fn lifetime(&self, target: &TokenTarget) -> Duration {
        let server = target.audience.as_deref().and_then(|audience| self.catalogue.resource_server(audience));
        let own = server.and_then(|server| server.access_token_lifetime).and_then(Duration::try_seconds);
        own.unwrap_or(self.policy.access_token_lifetime)
    }

    /// Opaque by the choice of either side.
    fn format(&self, client: &Client, target: &TokenTarget) -> TokenFormat {
        let server = target.audience.as_deref().and_then(|audience| self.catalogue.resource_server(audience));
        let opaque = client.settings.access_token_format == Some(TokenFormat::Opaque)
            || server.is_some_and(|server| server.token_format == TokenFormat::Opaque);
        if opaque { TokenFormat::Opaque } else { TokenFormat::Jwt }
    }

    /// Makes the ID token that goes with an access token, signed as the client registered; none
    /// where the access token has no `openid` scope (OC-10). `nonce` is echoed from the request; a
    /// refreshed ID token has none (OC-14). `person` are the claims that were asked for by name (OC-18).
    ///
    /// # Errors
    /// [`MintFault`].
    pub fn id_token(
        &self,
        client: &AuthenticatedClient,
        live: &LiveGrant,
        access: &MintedToken,
        nonce: Option<&str>,
        person: &Map<String, Value>,
        now: DateTime<Utc>,
    ) -> Result<Option<Envelope>, MintFault> {
        if !access.claims.scope.contains("openid") {
            return Ok(None);
        }
        let client = client.client();
        let algorithm = client.id_token_algorithm;
        let key = self.keyring.signer(algorithm).ok_or(MintFault::NoKey(algorithm))?;
        let grant = live.grant();
        let claims = IdTokenClaims {
            iss: self.issuer,
            sub: self.subjects.subject(client, grant.user),
            aud: &client.id,
            exp: (now + self.policy.id_token_lifetime).timestamp(),
            iat: now.timestamp(),
            auth_time: grant.auth_time.timestamp(),
            acr: grant.acr,
            amr: &grant.amr,
            sid: client.names_sessions().then_some(grant.session),
            at_hash: Some(half_hash(algorithm, access.token.expose())),
            c_hash: None,
            s_hash: None,
            nonce,
            person,
        };
        Ok(Some(Envelope::signed(key.sign("JWT", &claims)?, client.disclosure.id_token)))
    }

    /// Puts what userinfo says into the form that the client registered (OC-20): `None` for plain JSON. A
    /// signed answer has `iss` and `aud`, and no `exp`, by which it differs from every ID token.
    ///
    /// # Errors
    /// [`MintFault`].
    pub fn userinfo(
        &self,
        client: &Client,
        claims: &Map<String, Value>,
        now: DateTime<Utc>,
    ) -> Result<Option<Envelope>, MintFault> {
        let Disclosure { userinfo_signing, userinfo, .. } = &client.disclosure;
        let Some(algorithm) = *userinfo_signing else {
            let content = || Value::Object(claims.clone()).to_string();
            return Ok(userinfo.map(|with| Envelope::document(content(), with)));
        };
        let key = self.keyring.signer(algorithm).ok_or(MintFault::NoKey(algorithm))?;
        let claims =
            UserinfoClaims { iss: self.issuer, aud: &client.id, iat: now.timestamp(), person: claims };
        Ok(Some(Envelope::signed(key.sign("JWT", &claims)?, *userinfo)))
    }
}

/// The claims of an access token (RFC 9068 §2.2); an opaque token's row holds the same (AT-02).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessTokenClaims {
    /// The issuer.
    pub iss: String,
    /// The person; the client itself for client_credentials.
    pub sub: String,
    /// The resource servers that may take it; one text, or a list.
    #[serde(with = "audience")]
    pub aud: Vec<String>,
    /// The client that holds it.
    pub client_id: ClientId,
    /// Its identifier.
    pub jti: TokenId,
    /// Issue, seconds since 1970.
    pub iat: i64,
    /// Expiry, seconds since 1970.
    pub exp: i64,
    /// What it allows; left out where only details do.
    #[serde(skip_serializing_if = "Scope::is_empty", default = "Scope::empty")]
    pub scope: Scope,
    /// The grant that it came from; a resource server can ask whether that still lives.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub grant_id: Option<GrantId>,
    /// When the person was authenticated, seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub auth_time: Option<i64>,
    /// How strongly.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub acr: Option<Acr>,
    /// By which methods.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub amr: Vec<Amr>,
    /// The roles that the scopes give at the audience.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub roles: Vec<String>,
    /// What exactly it allows at the audience, beside the scope (RFC 9396 §9.1, RAR-05).
    #[serde(skip_serializing_if = "AuthorizationDetails::is_empty", default)]
    pub authorization_details: AuthorizationDetails,
    /// The key that it is bound to (RFC 7800 §3.1); none for a bearer token.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cnf: Option<Confirmation>,
    /// Who acts, may act and acted, where tokens are exchanged (RFC 8693 §4).
    #[serde(flatten)]
    pub delegation: Delegation,
}

/// `aud` is one text where there is one, else a list (RFC 7519 §4.1.3).
mod audience {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Form {
        One(String),
        Many(Vec<String>),
    }

    pub fn serialize<S: Serializer>(audience: &[String], serializer: S) -> Result<S::Ok, S::Error> {
        match audience {
            [one] => one.serialize(serializer),
            many => many.serialize(serializer),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
        Ok(match Form::deserialize(deserializer)? {
            Form::One(one) => vec![one],
            Form::Many(many) => many,
        })
    }
}

#[cfg(test)]
mod tests;
