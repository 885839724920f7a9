//! One API, ready to judge requests.

use std::{fmt, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use http::request::Parts;
use jose::{DpopPolicy, Nonces, Unreplayed, VerifiedDpop, verify_dpop};
use moka::{policy::EvictionPolicy, sync::Cache};
use url::Url;
use zeroize::Zeroizing;

use crate::{
    Access, ClientCertificate, Clock, binding,
    issuer::Issuer,
    layer::Protect,
    presented::{Presented, Scheme, presented},
    refusal::Refusal,
    token::AccessToken,
};

/// As long as the longest proof counts: a minute and its leeway, or two spans of a nonce.
const REPLAY_WINDOW: Duration = Duration::from_secs(150);
/// Proofs that are remembered at once: some 3,000 a second for the whole window.
const MAX_PROOFS: u64 = 500_000;

/// What a resource server has to know.
#[derive(Clone)]
pub struct Config {
    pub(crate) issuer: String,
    pub(crate) audience: String,
    pub(crate) url: String,
    pub(crate) introspection: Option<(String, Zeroizing<String>)>,
    pub(crate) introspection_cache: Duration,
    pub(crate) bound_only: bool,
    pub(crate) nonces: Option<NonceKey>,
    pub(crate) clock: Clock,
}

/// Where the key of the nonces comes from.
#[derive(Clone)]
pub(crate) enum NonceKey {
    Drawn,
    Shared(Zeroizing<[u8; 32]>),
}

impl Config {
    /// Tokens of this issuer (exactly as its metadata states it) for this audience. Clients are thought to
    /// reach the API at the audience, if that is a URL; else say [`at`](Self::at).
    #[must_use]
    pub fn new(issuer: &str, audience: &str) -> Self {
        Self {
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            url: audience.to_owned(),
            introspection: None,
            introspection_cache: Duration::ZERO,
            bound_only: false,
            nonces: None,
            clock: Clock::default(),
        }
    }

    /// Where clients reach the API: the URL to which the path of a request is appended, and that DPoP proofs
    /// must name (RFC 9449 §4.2). Where a router strips a prefix, put the prefix here.
    #[must_use]
    pub fn at(mut self, url: &str) -> Self {
        url.clone_into(&mut self.url);
        self
    }

    /// Asks the issuer about every token (RFC 7662), with these credentials. Withdrawals then count at once,
    /// and opaque tokens are taken.
    #[must_use]
    pub fn introspecting(mut self, client_id: &str, client_secret: &str) -> Self {
        self.introspection = Some((client_id.to_owned(), Zeroizing::new(client_secret.to_owned())));
        self
    }

    /// Believes a good answer of introspection for so long; then a withdrawal counts that much later.
    /// Without this nothing is believed.
    #[must_use]
    pub const fn believing_for(mut self, time: Duration) -> Self {
        self.introspection_cache = time;
        self
    }

    /// Takes only tokens that are bound to a key or a certificate (F2-09).
    #[must_use]
    pub const fn bound_only(mut self) -> Self {
        self.bound_only = true;
        self
    }

    /// Demands a nonce of this server in every proof (RFC 9449 §9). The nonces of one process count in no
    /// other; where several share an address, say [`with_shared_nonces`](Self::with_shared_nonces).
    #[must_use]
    pub fn with_nonces(mut self) -> Self {
        self.nonces = Some(NonceKey::Drawn);
        self
    }

    /// Demands a nonce in every proof, one that every process with this key hands out and takes. The key is
    /// a secret of 32 random bytes, of this API alone: the authorization server has its own nonces (DP-14).
    #[must_use]
    pub fn with_shared_nonces(mut self, key: [u8; 32]) -> Self {
        self.nonces = Some(NonceKey::Shared(Zeroizing::new(key)));
        self
    }

    /// Reads the time from this clock instead of the machine's, for tests.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

/// The resource server could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFault {
    /// No client for requests to the issuer.
    #[error("the HTTP client towards the issuer could not be built")]
    HttpClient(#[from] reqwest::Error),
    /// The URL at which clients reach the API is none.
    #[error("{0:?} is no URL; say with Config::at where clients reach the API")]
    Url(String),
    /// The system has no randomness.
    #[error("the operating system gives no randomness")]
    Randomness,
}

/// A resource server. Cloning gives another handle to the same one.
#[derive(Clone)]
pub struct ResourceServer(Arc<Inner>);

struct Inner {
    url: String,
    bound_only: bool,
    issuer: Arc<Issuer>,
    clock: Clock,
    nonces: Option<Nonces>,
    /// The proofs of the last minutes. Each process has its own: a proof that is replayed at another one
    /// within a minute, by somebody who could read it, is stopped by nonces or by one address per client.
    seen: Cache<[u8; 32], ()>,
}

impl ResourceServer {
    /// Makes it. The issuer need not be reachable yet.
    ///
    /// # Errors
    /// [`ConfigFault`].
    pub fn new(config: Config) -> Result<Self, ConfigFault> {
        if !Url::parse(&config.url).is_ok_and(|url| url.has_host()) {
            return Err(ConfigFault::Url(config.url));
        }
        let key = match config.nonces.clone() {
            None => None,
            Some(NonceKey::Shared(key)) => Some(key),
            Some(NonceKey::Drawn) => {
                let mut key = Zeroizing::new([0; 32]);
                fill(&mut key)?;
                Some(key)
            }
        };
        let nonces = key.map(|key| Nonces::new(vec![key], "resource server"));
        Ok(Self(Arc::new(Inner {
            url: config.url.trim_end_matches('/').to_owned(),
            bound_only: config.bound_only,
            clock: config.clock.clone(),
            issuer: Arc::new(Issuer::new(config)?),
            nonces,
            seen: Cache::builder()
                .max_capacity(MAX_PROOFS)
                .time_to_live(REPLAY_WINDOW)
                // When it is full the oldest goes; a new proof is never the one that is not remembered.
                .eviction_policy(EvictionPolicy::lru())
                .build(),
        })))
    }

    /// A layer that lets through what has this access.
    #[must_use]
    pub fn require(&self, access: Access) -> Protect {
        Protect::new(self.clone(), access)
    }

    /// Judges one request, whatever framework it came through.
    ///
    /// # Errors
    /// [`Refusal`], and the scheme of the token if there was one.
    pub async fn judge(
        &self,
        request: &Parts,
        access: &Access,
        now: DateTime<Utc>,
    ) -> Result<AccessToken, (Refusal, Option<Scheme>)> {
        let presented = presented(&request.headers, &request.uri).map_err(|fault| (fault.into(), None))?;
        let judged = self.admit(&presented, request, access, now).await;
        judged.map_err(|refusal| (refusal, Some(presented.scheme)))
    }

    async fn admit(
        &self,
        presented: &Presented<'_>,
        request: &Parts,
        access: &Access,
        now: DateTime<Utc>,
    ) -> Result<AccessToken, Refusal> {
        // First, because it asks nobody.
        let proof = match (presented.scheme, presented.proof) {
            (Scheme::Dpop, Some(proof)) => Some(self.prove(proof, presented.token, request, now)?),
            (Scheme::Dpop, None) => return Err(crate::token::TokenFault::Bound.into()),
            (Scheme::Bearer, _) => None,
        };
        let token = self.0.issuer.read(presented.token, now).await?;
        // Only now is the proof remembered: strangers without a token must not fill the memory.
        let proof = proof.map(|proof| self.first_use(proof)).transpose()?;
        let certificate = request.extensions.get::<ClientCertificate>();
        binding::check(&token, presented.scheme, proof.as_ref(), certificate, self.0.bound_only)?;
        access.judge(&token, now)?;
        Ok(token)
    }

    /// DPoP (RFC 9449 §7.1): the proof is for this request and this token.
    fn prove(
        &self,
        proof: &str,
        token: &str,
        request: &Parts,
        now: DateTime<Utc>,
    ) -> Result<Unreplayed<VerifiedDpop>, Refusal> {
        let url = format!("{}{}", self.0.url, request.uri.path());
        let policy = DpopPolicy {
            method: request.method.as_str(),
            url: &url,
            access_token: Some(token),
            nonces: self.0.nonces.as_ref(),
        };
        Ok(verify_dpop(proof, &policy, now)?)
    }

    /// And it is new (RFC 9449 §11.1).
    fn first_use(&self, proof: Unreplayed<VerifiedDpop>) -> Result<VerifiedDpop, Refusal> {
        let first = self.0.seen.entry(*proof.mark().digest.as_bytes()).or_insert(()).is_fresh();
        proof.confirm(u64::from(first)).map_err(|_| Refusal::Replayed)
    }

    /// The time of its clock.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.0.clock.now()
    }

    /// The nonce that clients shall use now, if there is one.
    #[must_use]
    pub fn nonce(&self, now: DateTime<Utc>) -> Option<String> {
        self.0.nonces.as_ref().map(|nonces| nonces.current(now))
    }
}

impl fmt::Debug for ResourceServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResourceServer({})", self.0.url)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this crate stands alone in an API's process: nobody injects randomness"
)]
fn fill(key: &mut [u8; 32]) -> Result<(), ConfigFault> {
    getrandom::fill(key).map_err(|_| ConfigFault::Randomness)
}
