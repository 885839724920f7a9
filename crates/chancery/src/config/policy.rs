//! Settings turned into each room's own policy, so that no room reads the configuration.

use std::num::{NonZeroU32, NonZeroUsize};

use base64::{Engine, engine::general_purpose::STANDARD};
use flows::{
    Policies,
    policies::{MutualTls, ProtectionPolicy},
};
use jose::digest::sha256;
use keys::{KeyEncryptionKey, RotationPolicy, RotationPolicyFault};
use mfa::{HashingParams, Pepper, SessionPolicy, ThrottlePolicy, password::UnsafeParams};
use secrecy::{ExposeSecret, SecretString};
use store::StoreOptions;
use tokens::policy::TokenPolicy;
use web::{limits::LimitPolicy, pages::Language};

use crate::config::{Settings, settings::NonceMode};

/// Settings that make no policy; loading finds them first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyFault {
    /// `[keys]`
    #[error(transparent)]
    Rotation(#[from] RotationPolicyFault),
    /// `[passwords]`
    #[error(transparent)]
    Hashing(#[from] UnsafeParams),
}

impl Settings {
    /// Everything that flows go by.
    ///
    /// # Errors
    /// Never for settings that were loaded, because loading checks it.
    pub fn policies(&self) -> Result<Policies, PolicyFault> {
        Ok(Policies {
            issuer: self.issuer.as_str().to_owned(),
            bank_name: self.pages.bank_name.clone(),
            second_factor: self.second_factor.policy,
            tokens: self.token_policy(),
            sessions: self.session_policy(),
            throttle: ThrottlePolicy::default(),
            hashing: self.hashing()?,
            hashing_slots: self.hashing_slots(),
            interaction_lifetime: self.interactions.lifetime.to_delta(),
            consent_lifetime: Some(self.consent.lifetime.to_delta()),
            rotation: self.rotation()?,
            // What can't be read is found when settings are loaded; it never opens anything.
            registration: self.registration().unwrap_or_default(),
            client_documents: self.client_documents().unwrap_or_default(),
            protection: self.protection(),
            mutual_tls: self.mutual_tls(),
            outbound: self.outbound.policy(),
            upstreams: self.upstreams.clone(),
            ui_locales: Language::ALL.map(|language| language.tag().to_owned()).to_vec(),
        })
    }

    /// How many passwords are hashed at a time. However much memory a large machine has, more than eight
    /// have to be asked for.
    fn hashing_slots(&self) -> usize {
        match self.passwords.concurrent_hashes {
            Some(slots) => usize::try_from(slots).unwrap_or(usize::MAX),
            None => {
                let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
                processors.saturating_sub(1).clamp(1, 8)
            }
        }
    }

    /// Pushed requests and DPoP nonces.
    pub fn protection(&self) -> ProtectionPolicy {
        ProtectionPolicy {
            dpop_nonce: self.dpop.nonce == NonceMode::Required,
            dpop_resource_nonce: self.dpop.resource_nonce == NonceMode::Required,
            require_pushed_requests: self.pushed.required,
            pushed_request_lifetime: self.pushed.lifetime.to_delta(),
        }
    }

    /// Clients that show a certificate.
    pub fn mutual_tls(&self) -> MutualTls {
        MutualTls {
            enabled: self.mtls.listen.is_some() || self.proxy.certificate_header.is_some(),
            alias: self.mtls.url.as_ref().map(|url| url.trim_end_matches('/').to_owned()),
            // What can't be read is found when settings are loaded; it never vouches for anybody.
            authorities: self.mtls.authorities().unwrap_or_default(),
        }
    }

    /// How much one caller may ask for.
    pub fn limits(&self) -> LimitPolicy {
        let limits = &self.limits;
        LimitPolicy {
            guesses: NonZeroU32::new(limits.guesses),
            pages: NonZeroU32::new(limits.pages),
            endpoints: NonZeroU32::new(limits.endpoints),
            registrations: NonZeroU32::new(limits.registrations),
            clients: NonZeroU32::new(limits.clients),
            exempt: limits.exempt.clone(),
        }
    }

    /// How to reach the database. `None` never for settings that were loaded.
    pub fn store_options(&self) -> Option<StoreOptions> {
        let url = self.database.url.as_ref()?.expose_secret();
        Some(StoreOptions { max_connections: self.database.max_connections, ..StoreOptions::new(url) })
    }

    /// Lifetimes of codes and tokens.
    pub fn token_policy(&self) -> TokenPolicy {
        let tokens = &self.tokens;
        TokenPolicy {
            code_lifetime: tokens.code.to_delta(),
            access_token_lifetime: tokens.access_token.to_delta(),
            id_token_lifetime: tokens.id_token.to_delta(),
            refresh_idle: tokens.refresh_idle.to_delta(),
            refresh_absolute: tokens.refresh_absolute.to_delta(),
            access_token_algorithm: tokens.access_token_algorithm,
        }
    }

    /// Lifetimes of sessions.
    pub fn session_policy(&self) -> SessionPolicy {
        SessionPolicy { idle: self.sessions.idle.to_delta(), absolute: self.sessions.absolute.to_delta() }
    }

    /// How keys rotate.
    ///
    /// # Errors
    /// Never for settings that were loaded, because loading checks it.
    pub fn rotation(&self) -> Result<RotationPolicy, RotationPolicyFault> {
        let schedules = &self.keys.active_by_algorithm;
        let policy = schedules.iter().try_fold(self.common_rotation()?, |policy, schedule| {
            policy.with_period(schedule.algorithm, schedule.span.to_delta())
        })?;
        policy.with_encryption(&self.keys.encryption, self.keys.active.to_delta())
    }

    /// How those rotate that have no schedule of their own.
    ///
    /// # Errors
    /// As [`rotation`](Self::rotation).
    pub fn common_rotation(&self) -> Result<RotationPolicy, RotationPolicyFault> {
        let keys = &self.keys;
        RotationPolicy::new(
            &keys.algorithms,
            keys.active.to_delta(),
            keys.announce.to_delta(),
            keys.retain.to_delta(),
        )
    }

    /// The cost of a password hash.
    ///
    /// # Errors
    /// Never for settings that were loaded, because loading checks it.
    pub fn hashing(&self) -> Result<HashingParams, UnsafeParams> {
        HashingParams::new(self.passwords.memory_kib, self.passwords.iterations, 1)
    }

    /// The key that seals private keys and TOTP seeds. In development, without one, a well-known key
    /// that protects nothing. `None` never for settings that were loaded.
    pub fn key_encryption_key(&self) -> Option<KeyEncryptionKey> {
        match &self.secrets.key_encryption_key {
            Some(text) => text.expose_secret().parse().ok(),
            None => self.is_development().then(|| {
                KeyEncryptionKey::from_bytes(*sha256("chancery development key-encryption key").as_bytes())
            }),
        }
    }

    /// What is mixed into every password hash. In development, without one, a well-known value.
    /// `None` never for settings that were loaded.
    pub fn pepper(&self) -> Option<Pepper> {
        match &self.secrets.password_pepper {
            Some(text) => pepper_bytes(text).map(Pepper::new),
            None => {
                self.is_development().then(|| Pepper::new(*sha256("chancery development pepper").as_bytes()))
            }
        }
    }

    /// The language of pages for whoever asks for none that there is. `None` never for settings that
    /// were loaded.
    pub fn language(&self) -> Option<Language> {
        Language::ALL.into_iter().find(|language| language.tag() == self.pages.language)
    }
}

/// The bytes of a pepper, if it is one.
pub(crate) fn pepper_bytes(text: &SecretString) -> Option<[u8; 32]> {
    STANDARD.decode(text.expose_secret().trim()).ok()?.try_into().ok()
}
