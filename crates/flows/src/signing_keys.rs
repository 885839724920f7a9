//! Keys of ours, to sign with and to be encrypted to: made when missing, moved through their lives by the plan of `keys` or by an
//! operator.

use audit::{Actor, Event, EventKind};
use chrono::{DateTime, TimeDelta, Utc};
use keys::{
    KeyAction, KeyAlgorithm, KeyState, NOTICE, RotationPolicy, SigningKeyRecord, Transition, next_step, plan,
};
use store::Lock;

use crate::{
    error::{FlowError, Result},
    random::Draw,
    service::Service,
};

/// One step to carry out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyStep {
    /// Make a key.
    Make {
        /// What it signs with, or is encrypted to with.
        algorithm: KeyAlgorithm,
        /// When it is to sign first.
        activates_at: DateTime<Utc>,
    },
    /// Move a key on.
    Move {
        /// Which.
        kid: String,
        /// Whereto.
        transition: Transition,
    },
}

impl From<KeyAction> for KeyStep {
    fn from(action: KeyAction) -> Self {
        match action {
            KeyAction::Generate { algorithm, activates_at } => Self::Make { algorithm, activates_at },
            KeyAction::Activate { kid } => Self::Move { kid, transition: Transition::Activate },
            KeyAction::Retire { kid, retain_for } => {
                Self::Move { kid, transition: Transition::Retire { retain_for } }
            }
            KeyAction::Destroy { kid } => Self::Move { kid, transition: Transition::Destroy },
        }
    }
}

/// The keys after some steps, and which of them the steps touched.
#[derive(Clone, Debug)]
pub struct MovedKeys {
    /// Every key there is.
    pub records: Vec<SigningKeyRecord>,
    /// The identifiers of those that were made or moved.
    pub touched: Vec<String>,
}

impl Service {
    /// How keys rotate: as configured, but whatever a resource server declares, a retired key stays
    /// published until its last token is dead (OC-22).
    pub fn rotation(&self) -> RotationPolicy {
        let declared = self.declared();
        let servers = declared.catalogue.resource_servers();
        let longest = servers.filter_map(|server| server.access_token_lifetime).max().unwrap_or_default();
        let configured = self.0.policies.rotation.clone();
        configured.retaining_at_least(TimeDelta::seconds(longest) + NOTICE)
    }

    /// When there will be something to do for the keys of an algorithm, as far as this node knows.
    pub(crate) fn next_key_step(&self, algorithm: KeyAlgorithm, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        next_step(&self.declared().signing_keys, &self.rotation(), algorithm, now)
    }

    /// Carries out what the rotation plan says is due. Two nodes that start at once make one set of
    /// keys.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn tend_signing_keys(&self) -> Result<()> {
        let policy = self.rotation();
        let due = |records: &[SigningKeyRecord], now| -> std::result::Result<_, std::convert::Infallible> {
            Ok(plan(records, &policy, now).into_iter().map(KeyStep::from).collect())
        };
        let event = |kind, now| Event::new(kind, now, self.random().id(now)).by(Actor::System);
        let Ok(_) = self.move_keys(due, event).await?;
        Ok(())
    }

    /// Carries out what `decide` says about the keys that there are, with one `event` for each step.
    ///
    /// New keys are made before the transaction begins, because an RSA key takes long; if other keys
    /// have moved meanwhile, on this node or another, it is decided again.
    pub(crate) async fn move_keys<E>(
        &self,
        decide: impl Fn(&[SigningKeyRecord], DateTime<Utc>) -> std::result::Result<Vec<KeyStep>, E>,
        event: impl Fn(EventKind, DateTime<Utc>) -> Event,
    ) -> Result<std::result::Result<MovedKeys, E>> {
        loop {
            let now = self.now();
            let mut records = self.0.store.signing_keys().await?;
            let steps = match decide(&records, now) {
                Ok(steps) => steps,
                Err(refusal) => return Ok(Err(refusal)),
            };
            let mut touched = Vec::new();
            if steps.is_empty() {
                return Ok(Ok(MovedKeys { records, touched }));
            }
            let mut made = Vec::new();
            for step in &steps {
                if let KeyStep::Make { algorithm, activates_at } = step {
                    made.push(self.new_key(*algorithm, *activates_at, now).await?);
                }
            }
            // The making took its time; a key is announced from when it is there.
            let late = self.now() - now;
            for record in made.iter_mut().filter(|record| record.state == KeyState::Announced) {
                record.created_at += late;
                record.activates_at += late;
            }
            let mut made = made.into_iter();
            let mut tx = self.0.store.begin().await?;
            tx.lock(Lock::SigningKeys).await?;
            if tx.signing_keys().await? != records {
                continue;
            }
            for step in steps {
                match step {
                    KeyStep::Make { .. } => {
                        let Some(record) = made.next() else { continue };
                        tx.insert_signing_key(&record).await?;
                        tx.record(&event(EventKind::KeyCreated, now).detail("kid", &record.kid)).await?;
                        touched.push(record.kid.clone());
                        records.push(record);
                    }
                    KeyStep::Move { kid, transition } => {
                        let Some(record) = records.iter_mut().find(|record| record.kid == kid) else {
                            continue;
                        };
                        let before = record.state;
                        if record.apply(transition, now).is_ok()
                            && tx.transition_signing_key(record, before).await? == 1
                        {
                            tx.record(&event(kind_of(transition), now).detail("kid", &kid)).await?;
                            touched.push(kid);
                        }
                    }
                }
            }
            tx.commit().await?;
            return Ok(Ok(MovedKeys { records, touched }));
        }
    }

    /// Away from the threads that answer requests, because an RSA key takes long.
    async fn new_key(
        &self,
        algorithm: KeyAlgorithm,
        activates_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<SigningKeyRecord> {
        let (service, nonce) = (self.clone(), self.random().bytes());
        let made = tokio::task::spawn_blocking(move || {
            SigningKeyRecord::generate(algorithm, activates_at, &service.0.sealer, nonce, now)
        });
        Ok(made.await.map_err(|_| FlowError::Contradiction("the making of a key died"))??)
    }
}

const fn kind_of(transition: Transition) -> EventKind {
    match transition {
        Transition::Activate => EventKind::KeyActivated,
        Transition::Retire { .. } => EventKind::KeyRetired,
        Transition::Destroy => EventKind::KeyDestroyed,
        Transition::Revoke => EventKind::KeyRevoked,
    }
}
