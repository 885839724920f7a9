//! The provider's answer: from the redirect to a verified identity.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use jose::SigningKey;
use openidconnect::{
    AccessTokenHash, AdditionalClaims, AuthType, AuthorizationCode, ClaimsVerificationError, ClientId,
    ClientSecret, OAuth2TokenResponse, RedirectUrl, RequestTokenError, SignatureVerificationError,
    SubjectIdentifier, TokenResponse, UserInfoClaims,
    core::{CoreClient, CoreGenderClaim, CoreIdToken, CoreTokenResponse},
};
use protocol::{json, params::Params};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    config::{ClientProof, SignatureAlgorithm},
    identity::{UpstreamIdentity, copied, label, methods, roles},
    provider::{Metadata, Provider, UpstreamFault},
    request::AttemptSecrets,
};

/// Clocks of two servers may differ by so much.
const SKEW: TimeDelta = TimeDelta::seconds(60);
/// An ID token is issued for the exchange; one from long before is somebody else's.
const MAX_TOKEN_AGE: TimeDelta = TimeDelta::minutes(10);
/// A client assertion lives so long.
const ASSERTION_LIFETIME: TimeDelta = TimeDelta::seconds(60);

/// The parameters of the redirect (RFC 6749 §4.1.2, RFC 9207).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamResponse {
    /// Which attempt is answered.
    pub state: Option<String>,
    /// The code.
    pub code: Option<String>,
    /// Who answers.
    pub iss: Option<String>,
    /// Why not.
    pub error: Option<String>,
}

impl UpstreamResponse {
    /// Reads the query. A repeated parameter counts as absent, so that nobody can read it in two ways.
    pub fn parse(params: &Params) -> Self {
        let text = |name| params.get(name).filter(|_| !params.is_repeated(name)).map(str::to_owned);
        Self { state: text("state"), code: text("code"), iss: text("iss"), error: text("error") }
    }
}

/// How recent the sign-in must be.
#[derive(Clone, Copy, Debug)]
pub struct Freshness {
    /// When the person was sent to the provider.
    pub asked_at: DateTime<Utc>,
    /// Whether they had to sign in since then.
    pub fresh: bool,
    /// How old a sign-in may be otherwise.
    pub max_age: TimeDelta,
}

/// What proves who we are at the token endpoint.
#[derive(Clone, Copy, Debug, Default)]
pub struct OwnProof<'a> {
    /// This server's own signing key, where the configuration wants it.
    pub key: Option<&'a SigningKey>,
    /// A unique value for the assertion's `jti`.
    pub assertion_id: &'a str,
    /// Where the provider answered, as it was in the request.
    pub redirect_uri: &'a str,
}

/// Further members of userinfo.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Further(Map<String, Value>);

impl AdditionalClaims for Further {}

impl Provider {
    /// Turns the answer to an attempt into an identity, or says why not. The caller has found the
    /// attempt by its `state`, and that it is this browser's, this provider's, and used for the first
    /// time.
    ///
    /// # Errors
    /// [`UpstreamFault`].
    pub async fn redeem(
        &self,
        response: &UpstreamResponse,
        secrets: &AttemptSecrets,
        proof: OwnProof<'_>,
        freshness: Freshness,
        now: DateTime<Utc>,
    ) -> Result<UpstreamIdentity, UpstreamFault> {
        let metadata = self.metadata(now).await?;
        self.is_the_answerer(&metadata, response)?;
        if let Some(error) = &response.error {
            let safe = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
            return Err(UpstreamFault::Denied(error.chars().filter(safe).take(64).collect()));
        }
        let code = response.code.as_deref().ok_or(UpstreamFault::NoCode)?;
        let (tokens, client) = self.exchange(&metadata, code, secrets, proof, now).await?;
        let id_token = tokens.id_token().ok_or(UpstreamFault::NoIdToken)?;
        self.verify(&metadata, id_token, &tokens, secrets, now).await?;
        let raw = id_token.to_string();
        let mut claims = payload(&raw)?;
        let config = self.config();
        if claims.get("azp").is_some_and(|azp| azp.as_str() != Some(&config.client_id)) {
            return Err(UpstreamFault::Claim("azp names another client"));
        }
        let subject = claims.get("sub").and_then(Value::as_str).filter(|sub| (1..=255).contains(&sub.len()));
        let subject =
            subject.ok_or(UpstreamFault::Claim("sub has no text of 1 to 255 characters"))?.to_owned();
        let auth_time = self.auth_time(&claims, freshness, now)?;
        let acr = config.worth(claims.get("acr").and_then(Value::as_str));
        let (amr, sid) =
            (methods(&claims, acr), claims.get("sid").and_then(Value::as_str).map(str::to_owned));
        if config.userinfo && metadata.userinfo_endpoint().is_some() {
            self.complete(&client, &tokens, &subject, &mut claims).await?;
        }
        Ok(UpstreamIdentity {
            issuer: config.issuer.clone(),
            subject,
            auth_time,
            acr,
            amr,
            sid,
            id_token: raw,
            claims: copied(config, &claims),
            label: label(&claims),
            roles: roles(config, &claims),
        })
    }

    /// RFC 9207 §2.4: what another server answered is not redeemed here. A provider that says it sends
    /// `iss` must send it.
    fn is_the_answerer(&self, metadata: &Metadata, response: &UpstreamResponse) -> Result<(), UpstreamFault> {
        let promised = metadata.additional_metadata().authorization_response_iss_parameter_supported;
        match &response.iss {
            Some(iss) if *iss == self.config().issuer => Ok(()),
            None if !promised => Ok(()),
            _ => Err(UpstreamFault::MixUp),
        }
    }

    async fn exchange(
        &self,
        metadata: &Metadata,
        code: &str,
        secrets: &AttemptSecrets,
        proof: OwnProof<'_>,
        now: DateTime<Utc>,
    ) -> Result<(CoreTokenResponse, Reached), UpstreamFault> {
        let config = self.config();
        let redirect_uri = RedirectUrl::new(proof.redirect_uri.to_owned())
            .map_err(|_| UpstreamFault::Metadata("our own redirect URI is no URL"))?;
        let (secret, auth) = match &config.proof {
            ClientProof::SecretBasic(secret) => (Some(secret), AuthType::BasicAuth),
            ClientProof::SecretPost(secret) => (Some(secret), AuthType::RequestBody),
            ClientProof::Key(_) | ClientProof::OwnKey(_) => (None, AuthType::RequestBody),
        };
        let secret = secret.map(|secret| ClientSecret::new(secret.expose().to_owned()));
        let client = CoreClient::from_provider_metadata(
            metadata.clone(),
            ClientId::new(config.client_id.clone()),
            secret,
        )
        .set_auth_type(auth);
        let request = client.exchange_code(AuthorizationCode::new(code.to_owned()));
        let mut request = request
            .map_err(|_| UpstreamFault::Metadata("token_endpoint is missing"))?
            .set_pkce_verifier(secrets.verifier())
            .set_redirect_uri(Cow::Owned(redirect_uri));
        let key = match &config.proof {
            ClientProof::Key(key) => Some(key),
            ClientProof::OwnKey(_) => Some(proof.key.ok_or(UpstreamFault::NoKey)?),
            _ => None,
        };
        if let Some(key) = key {
            request = request
                .add_extra_param(
                    "client_assertion_type",
                    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                )
                .add_extra_param("client_assertion", self.assertion(key, proof.assertion_id, now)?);
        }
        let tokens = request.request_async(&self.wire).await.map_err(|fault| match fault {
            RequestTokenError::ServerResponse(refusal) => {
                UpstreamFault::Exchange(refusal.error().to_string())
            }
            RequestTokenError::Request(fault) => UpstreamFault::Unreachable(fault.to_string()),
            RequestTokenError::Parse(..) => UpstreamFault::Exchange("the answer can't be read".into()),
            RequestTokenError::Other(fault) => UpstreamFault::Exchange(fault),
        })?;
        Ok((tokens, client))
    }

    /// RFC 7523 §3, with the issuer as the only audience, so that no other server can be sent it.
    fn assertion(&self, key: &SigningKey, id: &str, now: DateTime<Utc>) -> Result<String, UpstreamFault> {
        let config = self.config();
        let claims = json!({
            "iss": config.client_id, "sub": config.client_id, "aud": config.issuer, "jti": id,
            "iat": now.timestamp(), "exp": (now + ASSERTION_LIFETIME).timestamp(),
        });
        key.sign("JWT", &claims).map_err(|_| UpstreamFault::NoKey)
    }

    /// OpenID Connect Core §3.1.3.7 by the crate: signature, `alg`, `iss`, `aud`, `exp`, `iat`, `nonce`;
    /// then `at_hash`. An unknown key has the keys fetched once more.
    async fn verify(
        &self,
        metadata: &Metadata,
        id_token: &CoreIdToken,
        tokens: &CoreTokenResponse,
        secrets: &AttemptSecrets,
        now: DateTime<Utc>,
    ) -> Result<(), UpstreamFault> {
        match self.verify_with(metadata, id_token, tokens, secrets, now) {
            Err(UpstreamFault::IdToken(ClaimsVerificationError::SignatureVerification(
                SignatureVerificationError::NoMatchingKey,
            ))) => match self.newer_keys(metadata, now).await? {
                Some(newer) => self.verify_with(&newer, id_token, tokens, secrets, now),
                None => Err(UpstreamFault::Claim("no key of the provider is fit")),
            },
            verified => verified,
        }
    }

    fn verify_with(
        &self,
        metadata: &Metadata,
        id_token: &CoreIdToken,
        tokens: &CoreTokenResponse,
        secrets: &AttemptSecrets,
        now: DateTime<Utc>,
    ) -> Result<(), UpstreamFault> {
        let config = self.config();
        let client_id = ClientId::new(config.client_id.clone());
        // Without the secret no token is verified under it: HS256 can't be meant by mistake.
        let client = CoreClient::from_provider_metadata(metadata.clone(), client_id, None);
        let verifier = client
            .id_token_verifier()
            .set_allowed_algs(config.algorithms.iter().copied().map(SignatureAlgorithm::core))
            .set_time_fn(move || now - SKEW)
            .set_issue_time_verifier_fn(move |issued| match issued {
                issued if issued > now + SKEW => Err("it is issued in the future".into()),
                issued if issued < now - MAX_TOKEN_AGE => Err("it was issued long ago".into()),
                _ => Ok(()),
            });
        let claims = id_token.claims(&verifier, &secrets.nonce()).map_err(UpstreamFault::IdToken)?;
        if let Some(claimed) = claims.access_token_hash() {
            let key = id_token.signing_key(&verifier);
            let hash = key.ok().zip(id_token.signing_alg().ok()).and_then(|(key, algorithm)| {
                AccessTokenHash::from_token(tokens.access_token(), algorithm, key).ok()
            });
            if hash.as_ref() != Some(claimed) {
                return Err(UpstreamFault::Claim("at_hash is not of the access token"));
            }
        }
        Ok(())
    }

    /// When the person was authenticated, if that is recent enough. Clocks differ: a sign-in that was
    /// due for this very attempt is not before it.
    fn auth_time(
        &self,
        claims: &Map<String, Value>,
        freshness: Freshness,
        now: DateTime<Utc>,
    ) -> Result<DateTime<Utc>, UpstreamFault> {
        let time =
            |name| claims.get(name).and_then(Value::as_i64).and_then(|at| DateTime::from_timestamp(at, 0));
        let said = match time("auth_time") {
            None if self.config().assume_auth_time && !freshness.fresh => time("iat"),
            said => said,
        };
        let said = said.ok_or(UpstreamFault::NotFresh)?;
        if said > now + SKEW {
            return Err(UpstreamFault::Claim("auth_time is in the future"));
        }
        if freshness.fresh {
            let since = said >= freshness.asked_at - SKEW;
            // The node that asked may be a moment ahead of this one.
            return since.then(|| said.max(freshness.asked_at).min(now)).ok_or(UpstreamFault::NotFresh);
        }
        let recent = said >= now - freshness.max_age - SKEW;
        recent.then(|| said.min(now)).ok_or(UpstreamFault::NotFresh)
    }

    /// Claims of the userinfo endpoint, which must be about the same subject (OpenID Connect Core
    /// §5.3.2). What the ID token says goes before.
    async fn complete(
        &self,
        client: &Reached,
        tokens: &CoreTokenResponse,
        subject: &str,
        claims: &mut Map<String, Value>,
    ) -> Result<(), UpstreamFault> {
        let subject = SubjectIdentifier::new(subject.to_owned());
        let request = client.user_info(tokens.access_token().clone(), Some(subject));
        let request = request.map_err(|_| UpstreamFault::Metadata("userinfo_endpoint is missing"))?;
        let answer: Result<UserInfoClaims<Further, CoreGenderClaim>, _> =
            request.request_async(&self.wire).await;
        let answer = answer.map_err(|fault| UpstreamFault::Exchange(fault.to_string()))?;
        if let Ok(Value::Object(more)) = serde_json::to_value(&answer) {
            add_claims(claims, more);
        }
        Ok(())
    }
}

/// Adds what is not there yet. That an address is verified is said of one address: where both name one,
/// the word of the one does not count for the other.
fn add_claims(claims: &mut Map<String, Value>, more: Map<String, Value>) {
    for (flag, of) in [("email_verified", "email"), ("phone_number_verified", "phone_number")] {
        if claims.contains_key(of) && claims.get(of) != more.get(of) {
            claims.entry(flag).or_insert(Value::Bool(false));
        }
    }
    for (name, value) in more {
        claims.entry(name).or_insert(value);
    }
}

/// A client of the crate after discovery.
type Reached = CoreClient<
    openidconnect::EndpointSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointMaybeSet,
    openidconnect::EndpointMaybeSet,
>;

/// The claims of a token whose signature holds, read strictly: no member twice (JO-02).
fn payload(token: &str) -> Result<Map<String, Value>, UpstreamFault> {
    let fault = || UpstreamFault::Claim("its payload can't be read");
    let middle = token.split('.').nth(1).ok_or_else(fault)?;
    let bytes = URL_SAFE_NO_PAD.decode(middle).map_err(|_| fault())?;
    json::from_slice(&bytes).map_err(|_| fault())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_repeated_parameter_is_none() {
        let params = Params::parse(b"state=a&code=b&code=c&iss=d&iss=d").unwrap();
        let read = UpstreamResponse { state: Some("a".into()), ..UpstreamResponse::default() };
        assert_eq!(UpstreamResponse::parse(&params), read);
    }

    #[test]
    fn a_verified_address_is_that_of_the_same_answer() {
        let object = |value: Value| value.as_object().unwrap().clone();
        let merged = |token: Value, more: Value| {
            let mut claims = object(token);
            add_claims(&mut claims, object(more));
            (claims.get("email").cloned(), claims.get("email_verified").cloned())
        };
        let more = json!({"email": "a@n.example", "email_verified": true});
        assert_eq!(merged(json!({}), more.clone()), (Some(json!("a@n.example")), Some(json!(true))));
        let other = json!({"email": "victim@bank.example"});
        assert_eq!(merged(other, more.clone()), (Some(json!("victim@bank.example")), Some(json!(false))));
        let same = json!({"email": "a@n.example"});
        assert_eq!(merged(same, more), (Some(json!("a@n.example")), Some(json!(true))));
    }
}
