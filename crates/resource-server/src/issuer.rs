//! What is asked of the issuer: where its endpoints are, its keys, and whether a token still stands.
//!
//! Nothing is fetched before the first token arrives, and a failed look-up is tried again with the next one a
//! second later, so an API may start before its issuer. Keys are fetched anew every ten minutes, and once when a token
//! names a key that is not among them; strangers who invent key names can't make us fetch more often than
//! every ten seconds. Many requests at once cause one fetch, and while it lasts the keys that are known go on
//! counting: a slow issuer delays only tokens whose key nobody knows.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use jose::{Digest, JoseFault, KeySet, OwnTokenFault, PublicKey, digest::sha256, own::verify_access_token};
use moka::sync::Cache;
use protocol::json;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tracing::Instrument;

use crate::{
    Config,
    refusal::Refusal,
    token::{AccessToken, TokenFault},
};

/// Keys older than this are fetched again, so that a key taken out of the set stops counting.
const KEYS_STALE_AFTER: TimeDelta = TimeDelta::minutes(10);
/// The shortest time between two tries once there are keys.
const REFETCH_AT_MOST_EVERY: TimeDelta = TimeDelta::seconds(10);
/// The same while there are none: those who queued up during a failure do not repeat it one by one.
const RETRY_AT_MOST_EVERY: TimeDelta = TimeDelta::seconds(1);
/// Metadata, key sets and introspection answers are far smaller.
const MAX_ANSWER_BYTES: usize = 256 * 1024;
/// How long the issuer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Answers of introspection that are remembered at most, if they are.
const MAX_ANSWERS: u64 = 50_000;

/// Why the issuer could not be asked. Logged; the caller only hears that it is unavailable.
#[derive(Debug, thiserror::Error)]
enum IssuerFault {
    #[error("the request failed: {0}")]
    Request(#[from] reqwest::Error),
    #[error("the issuer answered {0}")]
    Status(reqwest::StatusCode),
    #[error("the answer is longer than {MAX_ANSWER_BYTES} bytes")]
    TooLong,
    #[error("the answer is not the JSON that was expected: {0}")]
    Json(#[from] json::JsonFault),
    #[error("the metadata is for the issuer {0:?}")]
    OtherIssuer(String),
    #[error("the metadata names no introspection endpoint")]
    NoIntrospection,
    #[error("its keys could not be fetched a moment ago")]
    JustFailed,
    #[error("the fetch ended early")]
    Ended,
    #[error("the metadata of an https issuer names {0}, which is not https")]
    Downgrade(String),
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
    introspection_endpoint: Option<String>,
}

#[derive(Clone, Default)]
struct Known {
    metadata: Option<Arc<Metadata>>,
    /// And when they were fetched.
    keys: Option<(Arc<KeySet>, DateTime<Utc>)>,
}

impl Known {
    /// The keys, if they were fetched less than this ago.
    fn younger(&self, than: TimeDelta, now: DateTime<Utc>) -> Option<Arc<KeySet>> {
        let (keys, fetched) = self.keys.as_ref()?;
        (now.signed_duration_since(*fetched) < than).then(|| Arc::clone(keys))
    }
}

/// The issuer, as a resource server knows it.
pub struct Issuer {
    config: Config,
    http: reqwest::Client,
    /// Locked for a moment only.
    known: RwLock<Known>,
    /// When the keys were last asked for. Locked while they are.
    tried: Arc<Mutex<Option<DateTime<Utc>>>>,
    answers: Option<Cache<Digest, Arc<Map<String, Value>>>>,
}

impl Issuer {
    /// Knows nothing yet.
    ///
    /// # Errors
    /// If the HTTP client can't be built, for example because it finds no root certificates.
    pub fn new(config: Config) -> Result<Self, reqwest::Error> {
        let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        let answers = (!config.introspection_cache.is_zero()).then(|| {
            Cache::builder().max_capacity(MAX_ANSWERS).time_to_live(config.introspection_cache).build()
        });
        let http = builder.timeout(PATIENCE).build()?;
        Ok(Self { http, known: RwLock::default(), tried: Arc::default(), answers, config })
    }

    /// What a token says.
    ///
    /// # Errors
    /// [`Refusal::Token`], or [`Refusal::IssuerUnavailable`].
    pub async fn read(self: &Arc<Self>, token: &str, now: DateTime<Utc>) -> Result<AccessToken, Refusal> {
        let Config { issuer, audience, .. } = &self.config;
        if !looks_like_jwt(token) {
            if self.config.introspection.is_none() {
                return Err(TokenFault::Unverified.into());
            }
            let answer = self.introspect(token).await?;
            if !is_access_token(&answer) {
                return Err(TokenFault::Unverified.into());
            }
            return Ok(AccessToken::read(answer, issuer, audience, now)?);
        }
        let claims = self.verify(token, now).await?;
        if !claims.contains_key("jti") {
            return Err(TokenFault::Incomplete.into());
        }
        if self.config.introspection.is_none() {
            return Ok(AccessToken::read(claims, issuer, audience, now)?);
        }
        let signed = AccessToken::read(claims.clone(), issuer, audience, now)?;
        let answer = self.introspect(token).await?;
        let token = AccessToken::read(as_it_is_now(answer, claims), issuer, audience, now)?;
        if !signed.is_the_same_as(&token) {
            return Err(TokenFault::Unverified.into());
        }
        Ok(token)
    }

    async fn verify(
        self: &Arc<Self>,
        token: &str,
        now: DateTime<Utc>,
    ) -> Result<Map<String, Value>, Refusal> {
        let check = |keys: &KeySet| {
            verify_access_token(token, keys, &self.config.issuer, now)
                .map(|verified| verified.claims.into_map())
                .map_err(fault)
        };
        let keys = self.keys(KEYS_STALE_AFTER, now).await.map_err(unavailable)?;
        match check(&keys) {
            Err(TokenFault::UnknownKey) => {
                let keys = self.keys(TimeDelta::zero(), now).await.map_err(unavailable)?;
                Ok(check(&keys)?)
            }
            judged => Ok(judged?),
        }
    }

    /// The keys, fetched again when those that are known are older than `at_most_old`. If a fetch fails, they
    /// go on counting: an issuer that restarts does not take the API down with it.
    async fn keys(
        self: &Arc<Self>,
        at_most_old: TimeDelta,
        now: DateTime<Utc>,
    ) -> Result<Arc<KeySet>, IssuerFault> {
        let known = self.known();
        if let Some(keys) = known.younger(at_most_old, now) {
            return Ok(keys);
        }
        let tried = match (known.keys, Arc::clone(&self.tried).try_lock_owned()) {
            (_, Ok(tried)) => tried,
            // Somebody is fetching. Who only wants younger keys does not wait for that.
            (Some((keys, _)), Err(_)) if at_most_old > TimeDelta::zero() => return Ok(keys),
            _ => Arc::clone(&self.tried).lock_owned().await,
        };
        let known = self.known();
        if let Some(keys) = known.younger(at_most_old, now) {
            return Ok(keys);
        }
        let tried_within =
            |span| tried.is_some_and(|tried: DateTime<Utc>| now.signed_duration_since(tried) < span);
        match &known.keys {
            Some((keys, _)) if tried_within(REFETCH_AT_MOST_EVERY) => return Ok(keys.clone()),
            None if tried_within(RETRY_AT_MOST_EVERY) => return Err(IssuerFault::JustFailed),
            _ => {}
        }
        // A caller who hangs up takes no fetch away from others, who would not repeat it at once.
        let issuer = Arc::clone(self);
        let fetch = async move { issuer.keys_anew(tried, known.keys, now).await };
        tokio::spawn(fetch.in_current_span()).await.map_err(|_| IssuerFault::Ended)?
    }

    async fn keys_anew(
        &self,
        mut tried: OwnedMutexGuard<Option<DateTime<Utc>>>,
        known: Option<(Arc<KeySet>, DateTime<Utc>)>,
        now: DateTime<Utc>,
    ) -> Result<Arc<KeySet>, IssuerFault> {
        *tried = Some(now);
        match (self.fetch_keys().await, known) {
            (Ok(keys), _) => {
                let keys = Arc::new(keys);
                self.learn(|known| known.keys = Some((keys.clone(), now)));
                Ok(keys)
            }
            (Err(fault), Some((keys, _))) => {
                tracing::warn!(%fault, "the issuer's keys could not be fetched anew");
                // Perhaps they have moved.
                self.learn(|known| known.metadata = None);
                Ok(keys)
            }
            (Err(fault), None) => Err(fault),
        }
    }

    fn known(&self) -> Known {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn learn(&self, change: impl FnOnce(&mut Known)) {
        change(&mut self.known.write().unwrap_or_else(PoisonError::into_inner));
    }

    async fn fetch_keys(&self) -> Result<KeySet, IssuerFault> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let metadata = self.metadata().await?;
        let set: Set = json(self.http.get(&metadata.jwks_uri)).await?;
        // An issuer may publish keys that are not understood here (RFC 7517 §5).
        Ok(KeySet::new(set.keys.iter().filter_map(|key| PublicKey::from_value(key).ok()).collect()))
    }

    /// Discovery (OpenID Connect Discovery §4); the document must be about the issuer that was asked (RFC 8414
    /// §3.3), and an issuer on https must not send us elsewhere in the clear.
    async fn metadata(&self) -> Result<Arc<Metadata>, IssuerFault> {
        if let Some(metadata) = self.known().metadata {
            return Ok(metadata);
        }
        let issuer = self.config.issuer.trim_end_matches('/');
        let metadata: Metadata =
            json(self.http.get(format!("{issuer}/.well-known/openid-configuration"))).await?;
        if metadata.issuer != self.config.issuer {
            return Err(IssuerFault::OtherIssuer(metadata.issuer));
        }
        for endpoint in metadata.introspection_endpoint.iter().chain([&metadata.jwks_uri]) {
            if issuer.starts_with("https://") && !endpoint.starts_with("https://") {
                return Err(IssuerFault::Downgrade(endpoint.clone()));
            }
        }
        let metadata = Arc::new(metadata);
        self.learn(|known| known.metadata = Some(metadata.clone()));
        Ok(metadata)
    }

    /// Asks whether the token still stands (RFC 7662 §2).
    async fn introspect(&self, token: &str) -> Result<Map<String, Value>, Refusal> {
        let digest = sha256(token);
        if let Some(cache) = &self.answers
            && let Some(answer) = cache.get(&digest)
        {
            return Ok((*answer).clone());
        }
        let answer = self.ask(token).await.map_err(unavailable)?;
        if answer.get("active") != Some(&Value::Bool(true)) {
            return Err(TokenFault::Inactive.into());
        }
        if let Some(cache) = &self.answers {
            cache.insert(digest, Arc::new(answer.clone()));
        }
        Ok(answer)
    }

    async fn ask(&self, token: &str) -> Result<Map<String, Value>, IssuerFault> {
        let metadata = self.metadata().await?;
        let endpoint = metadata.introspection_endpoint.as_deref().ok_or(IssuerFault::NoIntrospection)?;
        let Some((id, secret)) = &self.config.introspection else {
            return Err(IssuerFault::NoIntrospection);
        };
        // Both halves of Basic are form-encoded first (RFC 6749 §2.3.1).
        let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let request = self.http.post(endpoint).basic_auth(encode(id), Some(encode(secret)));
        json(request.form(&[("token", token), ("token_type_hint", "access_token")])).await
    }
}

async fn json<T: DeserializeOwned>(request: reqwest::RequestBuilder) -> Result<T, IssuerFault> {
    let mut response = request.send().await?;
    if response.status() != reqwest::StatusCode::OK {
        return Err(IssuerFault::Status(response.status()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(IssuerFault::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(json::from_slice(&body)?)
}

#[expect(clippy::needless_pass_by_value, reason = "used as the function of map_err")]
fn fault(fault: OwnTokenFault) -> TokenFault {
    match fault {
        OwnTokenFault::Jose(JoseFault::NoKey { .. }) => TokenFault::UnknownKey,
        OwnTokenFault::Issuer => TokenFault::Issuer,
        OwnTokenFault::Expired => TokenFault::Expired,
        OwnTokenFault::NotYetValid => TokenFault::NotYetValid,
        OwnTokenFault::Claim(_) => TokenFault::Incomplete,
        OwnTokenFault::Jose(_) | OwnTokenFault::Type => TokenFault::Unverified,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "used as the function of map_err")]
fn unavailable(fault: IssuerFault) -> Refusal {
    tracing::warn!(%fault, "the issuer can't be asked");
    Refusal::IssuerUnavailable
}

/// What a JWT allows is what the issuer answers about it now: a consent may have been narrowed, or a role taken
/// away, since it was signed. Only of what does not change may an answer be silent (RFC 7662 §2.2).
fn as_it_is_now(mut answer: Map<String, Value>, signed: Map<String, Value>) -> Map<String, Value> {
    for (name, value) in signed {
        if !["scope", "roles", "authorization_details"].contains(&name.as_str()) {
            answer.entry(name).or_insert(value);
        }
    }
    answer
}

/// Some issuers answer `active` about refresh tokens too; those are not for an API (RFC 9700 §4.14).
fn is_access_token(answer: &Map<String, Value>) -> bool {
    let bearer_or_dpop = |kind: &str| ["bearer", "dpop"].iter().any(|known| kind.eq_ignore_ascii_case(known));
    answer.get("token_type").is_none_or(|kind| kind.as_str().is_some_and(bearer_or_dpop))
}

/// Whether this is a JWT at all, or an opaque token that only its issuer can read.
fn looks_like_jwt(token: &str) -> bool {
    token.split('.').count() == 3 && token.starts_with("ey")
}

#[cfg(test)]
#[path = "issuer_tests.rs"]
mod tests;
