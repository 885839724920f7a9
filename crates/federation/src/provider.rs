//! An upstream provider: its metadata and keys, and what can go wrong with it.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use jose::{KeySet, PublicKey};
use openidconnect::{
    AdditionalProviderMetadata, ClaimsVerificationError, IssuerUrl, JsonWebKeySet, ProviderMetadata,
    core::{
        CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreGrantType, CoreJsonWebKey,
        CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreResponseMode, CoreResponseType,
        CoreSubjectIdentifierType,
    },
};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    config::UpstreamConfig,
    transport::{Transport, Wire},
};

/// Keys are fetched again for an unknown `kid` at most this often.
const REFETCH_EVERY: TimeDelta = TimeDelta::seconds(30);
/// A provider that did not answer is left alone for so long.
const RETRY_AFTER: TimeDelta = TimeDelta::seconds(10);

/// Why a provider's word is not taken, or was not to be had.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamFault {
    /// Metadata, keys or an answer could not be fetched.
    #[error("the provider cannot be reached: {0}")]
    Unreachable(String),
    /// Its metadata lack something or lead where they may not.
    #[error("the provider's metadata cannot be used: {0}")]
    Metadata(&'static str),
    /// The response says that another server made it, or does not say who although it must (RFC 9207).
    #[error("the response is not this provider's")]
    MixUp,
    /// The provider said no, by this error code.
    #[error("the provider answered {0}")]
    Denied(String),
    /// The response has neither a code nor an error.
    #[error("the response has no code")]
    NoCode,
    /// The token endpoint refused the code, or its answer can't be read.
    #[error("the token endpoint refused: {0}")]
    Exchange(String),
    /// No ID token came.
    #[error("no ID token came")]
    NoIdToken,
    /// The ID token breaks a rule of OpenID Connect Core §3.1.3.7.
    #[error("the ID token is not believed: {0}")]
    IdToken(#[source] ClaimsVerificationError),
    /// It has a claim that must not be so.
    #[error("the ID token is not believed: {0}")]
    Claim(&'static str),
    /// The person was authenticated longer ago than asked for, or nobody says when.
    #[error("the provider did not authenticate the person recently enough")]
    NotFresh,
    /// The key to prove who we are is missing.
    #[error("no key to sign the client assertion with")]
    NoKey,
    /// A logout token breaks a rule of OpenID Connect Back-Channel Logout §2.6.
    #[error("the logout token is not believed: {0}")]
    LogoutToken(String),
}

impl UpstreamFault {
    /// A stable word for audit and metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "upstream_unreachable",
            Self::Metadata(_) => "upstream_metadata",
            Self::MixUp => "upstream_mix_up",
            Self::Denied(_) => "upstream_denied",
            Self::NoCode => "upstream_no_code",
            Self::Exchange(_) => "upstream_exchange",
            Self::NoIdToken | Self::IdToken(_) | Self::Claim(_) => "upstream_id_token",
            Self::NotFresh => "upstream_not_fresh",
            Self::NoKey => "upstream_no_key",
            Self::LogoutToken(_) => "upstream_logout_token",
        }
    }
}

/// What providers say beside OpenID Connect Discovery: RP-Initiated Logout §2.1 and RFC 9207 §3.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct MoreMetadata {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) end_session_endpoint: Option<String>,
    #[serde(default)]
    pub(crate) authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for MoreMetadata {}

pub(crate) type Metadata = ProviderMetadata<
    MoreMetadata,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// What is known of a provider for a while.
#[derive(Default)]
struct Known {
    metadata: Option<Arc<Metadata>>,
    fetched_at: Option<DateTime<Utc>>,
    keys_at: Option<DateTime<Utc>>,
    failed_at: Option<DateTime<Utc>>,
    /// When somebody began to look before anything was known.
    sought_at: Option<DateTime<Utc>>,
}

/// An upstream provider.
pub struct Provider {
    config: UpstreamConfig,
    pub(crate) wire: Wire,
    known: Mutex<Known>,
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("id", &self.config.id).finish_non_exhaustive()
    }
}

impl Provider {
    /// A provider that is reached over a transport. Nothing is fetched before it is needed.
    pub fn new(config: UpstreamConfig, transport: Arc<dyn Transport>) -> Self {
        Self { config, wire: Wire(transport), known: Mutex::default() }
    }

    /// What the operator says of it.
    pub const fn config(&self) -> &UpstreamConfig {
        &self.config
    }

    /// The origins that a form which leads to it passes through, as far as they are known: those of its
    /// issuer, its authorization and end-session endpoints, and what the operator listed.
    pub fn origins(&self) -> Vec<String> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).metadata.clone();
        let mut urls = vec![self.config.issuer.clone()];
        if let Some(metadata) = known {
            urls.push(metadata.authorization_endpoint().to_string());
            urls.extend(metadata.additional_metadata().end_session_endpoint.clone());
        }
        urls.extend(self.config.origins.iter().cloned());
        let origins = urls.iter().filter_map(|url| Url::parse(url).ok());
        let mut origins: Vec<_> = origins.map(|url| url.origin().ascii_serialization()).collect();
        origins.sort_unstable();
        origins.dedup();
        origins
    }

    /// Whether its [`origins`](Self::origins) are complete, because it was asked once.
    pub fn is_known(&self) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).metadata.is_some()
    }

    /// Asks a provider of which nothing is known, unless somebody did so a moment ago.
    ///
    /// # Errors
    /// [`UpstreamFault::Unreachable`], [`UpstreamFault::Metadata`].
    pub async fn get_to_know(&self, now: DateTime<Utc>) -> Result<(), UpstreamFault> {
        {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.metadata.is_some() || known.sought_at.is_some_and(|at| now - at < RETRY_AFTER) {
                return Ok(());
            }
            known.sought_at = Some(now);
        }
        self.metadata(now).await.map(drop)
    }

    /// Its metadata and keys, fetched if they are older than the operator allows.
    pub(crate) async fn metadata(&self, now: DateTime<Utc>) -> Result<Arc<Metadata>, UpstreamFault> {
        {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if let (Some(metadata), Some(at)) = (&known.metadata, known.fetched_at)
                && now - at < self.config.keep_metadata
            {
                return Ok(Arc::clone(metadata));
            }
            if known.failed_at.is_some_and(|at| now - at < RETRY_AFTER) {
                return Err(UpstreamFault::Unreachable("it failed a moment ago".into()));
            }
        }
        let fetched = self.discover().await;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match fetched {
            Ok(metadata) => {
                let metadata = Arc::new(metadata);
                *known = Known {
                    metadata: Some(Arc::clone(&metadata)),
                    fetched_at: Some(now),
                    keys_at: Some(now),
                    failed_at: None,
                    sought_at: None,
                };
                Ok(metadata)
            }
            Err(fault) => {
                known.failed_at = Some(now);
                Err(fault)
            }
        }
    }

    /// OpenID Connect Discovery §4; the crate compares the issuer (§4.3).
    async fn discover(&self) -> Result<Metadata, UpstreamFault> {
        let issuer = IssuerUrl::new(self.config.issuer.clone());
        let issuer = issuer.map_err(|_| UpstreamFault::Metadata("the issuer is no URL"))?;
        let metadata = Metadata::discover_async(issuer, &self.wire).await;
        let metadata = metadata.map_err(|fault| UpstreamFault::Unreachable(fault.to_string()))?;
        // A person's browser is sent there, so the endpoint is held to what outbound requests are.
        if metadata.authorization_endpoint().url().scheme() != "https" {
            return Err(UpstreamFault::Metadata("authorization_endpoint is not https"));
        }
        if metadata.token_endpoint().is_none() {
            return Err(UpstreamFault::Metadata("token_endpoint is missing"));
        }
        Ok(metadata)
    }

    /// Its keys once more, because a token names one that is not known; `None` if they were fetched a
    /// moment ago, so that strangers' tokens cause no stream of requests.
    pub(crate) async fn newer_keys(
        &self,
        metadata: &Metadata,
        now: DateTime<Utc>,
    ) -> Result<Option<Arc<Metadata>>, UpstreamFault> {
        {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.keys_at.is_some_and(|at| now - at < REFETCH_EVERY) {
                return Ok(None);
            }
            known.keys_at = Some(now);
        }
        let keys: Result<JsonWebKeySet<CoreJsonWebKey>, _> =
            JsonWebKeySet::fetch_async(metadata.jwks_uri(), &self.wire).await;
        let keys = keys.map_err(|fault| UpstreamFault::Unreachable(fault.to_string()))?;
        let metadata = Arc::new(metadata.clone().set_jwks(keys));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.metadata = Some(Arc::clone(&metadata));
        Ok(Some(metadata))
    }
}

/// The keys as `jose` verifies with them. A key that is of no use here hides no other.
pub(crate) fn key_set(metadata: &Metadata) -> KeySet {
    let keys = metadata.jwks().keys().iter().filter_map(|key| serde_json::to_value(key).ok());
    KeySet::new(keys.filter_map(|key| PublicKey::from_value(&key).ok()).collect())
}
