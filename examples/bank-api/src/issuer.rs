//! Everything this API asks of the issuer: where its endpoints are, its keys, and whether a token still stands.
//!
//! Nothing is fetched before the first token arrives, and a failed look-up is tried again with the next one, so
//! the API may start before the issuer. Keys are fetched anew every ten minutes, and once when a token names a
//! key that is not among them; strangers who invent key names cannot make us fetch more often than that.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::sync::Mutex;
use tracing::warn;

use crate::{
    Config, IntrospectionCredentials,
    refusal::Refusal,
    token::{self, AccessToken, KeyRing, OneOrMany, TokenRefusal},
};

/// Keys older than this are fetched again, so that a key taken out of the set stops counting.
const KEYS_STALE_AFTER: TimeDelta = TimeDelta::minutes(10);
/// The shortest time between two tries once we have keys, be it for an unknown key name or after a failure.
const REFETCH_AT_MOST_EVERY: TimeDelta = TimeDelta::seconds(10);
/// Metadata, key sets and introspection answers are far smaller.
const MAX_ANSWER_BYTES: usize = 256 * 1024;

/// Why the issuer could not be asked. Logged; the caller only hears that it is unavailable.
#[derive(Debug, thiserror::Error)]
enum IssuerError {
    #[error("the request failed: {0}")]
    Request(#[from] reqwest::Error),
    #[error("the issuer answered {0}")]
    Status(reqwest::StatusCode),
    #[error("the answer is longer than {MAX_ANSWER_BYTES} bytes")]
    TooLong,
    #[error("the answer is not the JSON expected: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the metadata is for the issuer {0:?}")]
    OtherIssuer(String),
    #[error("the metadata names no introspection endpoint")]
    NoIntrospection,
}

#[derive(Clone, Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
    introspection_endpoint: Option<String>,
}

#[derive(Default)]
struct Known {
    metadata: Option<Metadata>,
    keys: Option<(Arc<KeyRing>, DateTime<Utc>)>,
    tried: Option<DateTime<Utc>>,
}

/// An introspection answer (RFC 7662 §2.2), as far as this API reads it.
#[derive(Deserialize)]
struct Introspection {
    active: bool,
    iss: Option<String>,
    sub: Option<String>,
    client_id: Option<String>,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    aud: OneOrMany,
    #[serde(default)]
    roles: std::collections::BTreeSet<String>,
    cnf: Option<serde_json::Value>,
    acr: Option<String>,
    auth_time: Option<i64>,
}

pub(crate) struct Issuer {
    config: Config,
    http: reqwest::Client,
    known: Mutex<Known>,
}

impl Issuer {
    pub(crate) fn new(config: Config) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(5))
            .build()?;
        Ok(Self { config, http, known: Mutex::default() })
    }

    /// Turns a presented token into its meaning, or says why it does not count.
    pub(crate) async fn accept(&self, token: &str, now: DateTime<Utc>) -> Result<AccessToken, Refusal> {
        if !token::looks_like_jwt(token) {
            return match &self.config.introspection {
                Some(credentials) => self.accept_opaque(token, credentials).await,
                None => Err(TokenRefusal::Malformed.into()),
            };
        }
        let accepted = self.accept_jwt(token, now).await?;
        if let Some(credentials) = &self.config.introspection {
            let answer = self.introspect(token, credentials).await.map_err(unavailable)?;
            if !answer.active {
                return Err(TokenRefusal::Inactive.into());
            }
        }
        Ok(accepted)
    }

    async fn accept_jwt(&self, token: &str, now: DateTime<Utc>) -> Result<AccessToken, Refusal> {
        let check =
            |keys: &KeyRing| token::validate(token, keys, &self.config.issuer, &self.config.audience, now);
        let keys = self.keys(KEYS_STALE_AFTER, now).await.map_err(unavailable)?;
        match check(&keys) {
            Err(TokenRefusal::UnknownKey) => {
                let keys = self.keys(TimeDelta::zero(), now).await.map_err(unavailable)?;
                Ok(check(&keys)?)
            }
            judged => Ok(judged?),
        }
    }

    async fn accept_opaque(
        &self,
        token: &str,
        by: &IntrospectionCredentials,
    ) -> Result<AccessToken, Refusal> {
        let answer = self.introspect(token, by).await.map_err(unavailable)?;
        let (true, Some(subject), Some(client_id)) = (answer.active, answer.sub, answer.client_id) else {
            return Err(TokenRefusal::Inactive.into());
        };
        if answer.iss.is_some_and(|iss| iss != self.config.issuer) {
            return Err(TokenRefusal::Issuer.into());
        }
        if !answer.aud.contains(&self.config.audience) {
            return Err(TokenRefusal::Audience.into());
        }
        if answer.cnf.is_some() {
            return Err(TokenRefusal::Bound.into());
        }
        Ok(AccessToken {
            subject,
            client_id,
            scopes: token::split_scope(&answer.scope),
            roles: answer.roles,
            acr: answer.acr,
            auth_time: answer.auth_time,
        })
    }

    /// The keys, fetched again when those we have are older than `at_most_old`. If a fetch fails, the keys we
    /// have go on counting: an issuer that restarts does not take the bank's API down with it.
    async fn keys(&self, at_most_old: TimeDelta, now: DateTime<Utc>) -> Result<Arc<KeyRing>, IssuerError> {
        // held across the fetch, so that many requests at once cause one fetch
        let mut known = self.known.lock().await;
        let younger = |than: TimeDelta, then: DateTime<Utc>| now.signed_duration_since(then) < than;
        if let Some((keys, fetched)) = &known.keys
            && (younger(at_most_old, *fetched)
                || known.tried.is_some_and(|tried| younger(REFETCH_AT_MOST_EVERY, tried)))
        {
            return Ok(Arc::clone(keys));
        }
        known.tried = Some(now);
        let fetched = self.fetch_keys(&mut known).await;
        match (fetched, &mut known.keys) {
            (Ok(keys), slot) => {
                let keys = Arc::new(keys);
                *slot = Some((Arc::clone(&keys), now));
                Ok(keys)
            }
            (Err(error), Some((keys, _))) => {
                warn!(%error, "the issuer's keys could not be fetched anew");
                Ok(Arc::clone(keys))
            }
            (Err(error), None) => Err(error),
        }
    }

    async fn fetch_keys(&self, known: &mut Known) -> Result<KeyRing, IssuerError> {
        let metadata = self.metadata(known).await?;
        let body = read(self.http.get(&metadata.jwks_uri).send().await?).await?;
        Ok(KeyRing::from_jwks(&body)?)
    }

    /// Discovery (RFC 8414 §3); the document must be about the issuer it was asked of (§3.3).
    async fn metadata(&self, known: &mut Known) -> Result<Metadata, IssuerError> {
        if let Some(metadata) = &known.metadata {
            return Ok(metadata.clone());
        }
        let address =
            format!("{}/.well-known/openid-configuration", self.config.issuer.trim_end_matches('/'));
        let metadata: Metadata = self.read_json(self.http.get(address)).await?;
        if metadata.issuer != self.config.issuer {
            return Err(IssuerError::OtherIssuer(metadata.issuer));
        }
        known.metadata = Some(metadata.clone());
        Ok(metadata)
    }

    /// Asks whether the token still stands (RFC 7662 §2). Never cached, so that a withdrawal is felt at once.
    async fn introspect(
        &self,
        token: &str,
        by: &IntrospectionCredentials,
    ) -> Result<Introspection, IssuerError> {
        let metadata = {
            let mut known = self.known.lock().await;
            self.metadata(&mut known).await?
        };
        let endpoint = metadata.introspection_endpoint.ok_or(IssuerError::NoIntrospection)?;
        // both halves of Basic are form-encoded first (RFC 6749 §2.3.1)
        let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let request = self
            .http
            .post(endpoint)
            .basic_auth(encode(&by.client_id), Some(encode(&by.client_secret)))
            .form(&[("token", token), ("token_type_hint", "access_token")]);
        self.read_json(request).await
    }

    async fn read_json<T: DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<T, IssuerError> {
        Ok(serde_json::from_slice(&read(request.send().await?).await?)?)
    }
}

async fn read(mut response: reqwest::Response) -> Result<Vec<u8>, IssuerError> {
    if response.status() != reqwest::StatusCode::OK {
        return Err(IssuerError::Status(response.status()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(IssuerError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[expect(clippy::needless_pass_by_value, reason = "used as the function of map_err")]
fn unavailable(error: IssuerError) -> Refusal {
    warn!(%error, "the issuer cannot be asked");
    Refusal::IssuerUnavailable
}

#[cfg(test)]
#[path = "issuer_tests.rs"]
mod tests;
