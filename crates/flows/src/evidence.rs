//! What the server measures about itself.
//!
//! Counters and histograms stand where the thing happens; what is a state rather than an event, such as
//! the age of a key or the connections in use, is looked at when somebody asks: [`Service::observe`].
//! Labels are words of closed lists, never a name that a stranger or an operator chose. `docs/metrics.md`
//! lists all of it.

use chrono::{DateTime, TimeDelta, Utc};
use jose::Algorithm;
use keys::KeyState;
use tokens::client_auth::{ClientAuthFault, PresentedFault};
use tokio::time::Instant;

use crate::{client_auth::ClientRefusal, service::Service};

/// Measures how long something takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "a duration for metrics; no decision reads it")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn seconds(self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}

impl Service {
    /// Sets the gauges of what is to be seen at this moment: signing keys, connections and the audit queue.
    pub fn observe(&self) {
        let now = self.now();
        self.observe_keys(now);
        self.0.audit_queue.observe(now);
        self.0.audit_queue.observe(self.now());
        for pool in self.0.store.pools() {
            for (state, connections) in [("in_use", pool.in_use), ("idle", pool.idle)] {
                let labels = [("pool", pool.name), ("state", state)];
                metrics::gauge!("chancery_store_connections", &labels).set(f64::from(connections));
            }
            metrics::gauge!("chancery_store_connections_limit", "pool" => pool.name)
                .set(f64::from(pool.limit));
        }
    }

    fn observe_keys(&self, now: DateTime<Utc>) {
        let (declared, policy) = (self.declared(), self.rotation());
        for algorithm in policy.algorithms() {
            let alg = algorithm.as_str();
            for state in [KeyState::Announced, KeyState::Active, KeyState::Retired] {
                let found = declared.signing_keys.iter();
                let found = found.filter(|key| key.algorithm == algorithm && key.state == state).count();
                let labels = [("alg", alg), ("state", state.as_str())];
                metrics::gauge!("chancery_signing_keys", &labels)
                    .set(f64::from(u32::try_from(found).unwrap_or(u32::MAX)));
            }
            let age = algorithm.signature().and_then(|signs| self.signing_key_age(signs, now));
            if let Some(age) = age {
                metrics::gauge!("chancery_signing_key_age_seconds", "alg" => alg).set(seconds(age));
            }
            if let Some(period) = policy.period(algorithm) {
                metrics::gauge!("chancery_signing_key_period_seconds", "alg" => alg).set(seconds(period));
            }
            if let Some(step) = self.next_key_step(algorithm, now) {
                metrics::gauge!("chancery_signing_key_next_step_seconds", "alg" => alg)
                    .set(seconds(step - now));
            }
        }
    }

    fn signing_key_age(&self, algorithm: Algorithm, now: DateTime<Utc>) -> Option<TimeDelta> {
        let declared = self.declared();
        let signer = declared.keyring.signer(algorithm)?;
        let record = declared.signing_keys.iter().find(|key| key.kid == signer.kid())?;
        Some(now - record.activates_at)
    }
}

fn seconds(delta: TimeDelta) -> f64 {
    delta.as_seconds_f64()
}

/// Why a client is nobody, in a word for a label.
pub fn client_reason(refusal: &ClientRefusal) -> &'static str {
    match refusal {
        ClientRefusal::Presented(fault) => match fault {
            PresentedFault::Missing => "no_credentials",
            PresentedFault::MalformedBasic => "malformed_basic",
            PresentedFault::Several => "several_methods",
            PresentedFault::Contradiction => "client_id_mismatch",
            PresentedFault::AssertionType => "assertion_type",
            PresentedFault::MalformedAssertion => "malformed_assertion",
        },
        ClientRefusal::Auth(fault) => match fault {
            ClientAuthFault::UnknownClient => "unknown_client",
            ClientAuthFault::WrongMethod { .. } => "wrong_authentication_method",
            ClientAuthFault::WrongSecret => "wrong_client_secret",
            ClientAuthFault::KeysUnavailable => "client_keys_unavailable",
            ClientAuthFault::Assertion(_) => "bad_client_assertion",
            ClientAuthFault::Replayed(_) => "replayed_client_assertion",
            ClientAuthFault::CertificateMissing => "client_certificate_missing",
            ClientAuthFault::Certificate(_) => "bad_client_certificate",
        },
    }
}
