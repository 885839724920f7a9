//! The rules that the configuration sets, each in its own room's type.

use chrono::TimeDelta;
use jose::certificate::Authorities;
use keys::RotationPolicy;
use mfa::{HashingParams, SecondFactorPolicy, SessionPolicy, ThrottlePolicy};
use outbound::OutboundPolicy;
use protocol::client::{AuthMethod, ClientMetadata};
use tokens::policy::TokenPolicy;

use crate::{client_documents::DocumentRules, registration::RegistrationRules};

/// Everything that flows read from the configuration.
#[derive(Clone, Debug)]
pub struct Policies {
    /// Who we are: the `iss` of everything (RFC 8414 §2).
    pub issuer: String,
    /// The bank's name, on pages and in authenticator apps.
    pub bank_name: String,
    /// When a second factor is asked for.
    pub second_factor: SecondFactorPolicy,
    /// How long tokens live.
    pub tokens: TokenPolicy,
    /// How long sessions live.
    pub sessions: SessionPolicy,
    /// How slow guessing becomes.
    pub throttle: ThrottlePolicy,
    /// How passwords are hashed.
    pub hashing: HashingParams,
    /// How many passwords are hashed at a time; each takes the memory of `hashing`.
    pub hashing_slots: usize,
    /// How long an interaction waits for its person.
    pub interaction_lifetime: TimeDelta,
    /// How long a consent lasts where neither client nor scope says less; `None` for until it is
    /// withdrawn.
    pub consent_lifetime: Option<TimeDelta>,
    /// Which signing keys there are and how they change.
    pub rotation: RotationPolicy,
    /// Who may register clients; `None` for nobody (DR-01).
    pub registration: Option<RegistrationRules>,
    /// Which documents on the web may be clients; `None` for none.
    pub client_documents: Option<DocumentRules>,
    /// How requests and tokens are protected beyond what clients ask for.
    pub protection: ProtectionPolicy,
    /// Clients that show a certificate.
    pub mutual_tls: MutualTls,
    /// What requests to others may do (OUT-01…03).
    pub outbound: OutboundPolicy,
    /// Banks and employers that people may sign in with.
    pub upstreams: Vec<federation::UpstreamConfig>,
    /// Languages of the pages, for metadata.
    pub ui_locales: Vec<String>,
}

/// Clients that show a certificate (RFC 8705).
#[derive(Clone, Debug, Default)]
pub struct MutualTls {
    /// Whether anybody asks for certificates: a listener of ours, or a proxy that is believed.
    pub enabled: bool,
    /// The URL at which such clients find the endpoints, without a slash at its end; `None` for that of the
    /// issuer (MT-07).
    pub alias: Option<String>,
    /// Who may vouch for certificates; empty for nobody (MT-01).
    pub authorities: Authorities,
}

impl MutualTls {
    /// Whether clients can authenticate by a method. Without certificates, or without somebody to vouch for
    /// them, there are fewer.
    pub fn allows(&self, method: AuthMethod) -> bool {
        match method {
            AuthMethod::TlsClientAuth => self.enabled && !self.authorities.is_empty(),
            AuthMethod::SelfSignedTlsClientAuth => self.enabled,
            _ => true,
        }
    }

    /// What keeps a client from working here, because nobody would ask for its certificate, or vouch for it.
    pub fn hindrance(&self, metadata: &ClientMetadata) -> Option<String> {
        let method = metadata.token_endpoint_auth_method.filter(|method| !self.allows(*method));
        if let Some(method) = method {
            let what = if self.enabled {
                "mtls.authorities_file"
            } else {
                "mtls.listen or proxy.certificate_header"
            };
            return Some(format!("token_endpoint_auth_method: {method} needs {what}"));
        }
        let promised = metadata.tls_client_certificate_bound_access_tokens && !self.enabled;
        promised.then(|| {
            "tls_client_certificate_bound_access_tokens: needs mtls.listen or proxy.certificate_header"
                .to_owned()
        })
    }
}

/// How requests and tokens are protected beyond what clients ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProtectionPolicy {
    /// Whether DPoP proofs for the token and PAR endpoints need a nonce of ours (DP-07).
    pub dpop_nonce: bool,
    /// The same for userinfo (DP-14).
    pub dpop_resource_nonce: bool,
    /// Whether every authorization request must be pushed (PAR-07).
    pub require_pushed_requests: bool,
    /// How long a pushed request may wait for its browser; below ten minutes (F2-27).
    pub pushed_request_lifetime: TimeDelta,
}

impl Default for ProtectionPolicy {
    fn default() -> Self {
        Self {
            dpop_nonce: false,
            dpop_resource_nonce: false,
            require_pushed_requests: false,
            pushed_request_lifetime: TimeDelta::seconds(60),
        }
    }
}
