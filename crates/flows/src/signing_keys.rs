//! Signing keys: made when missing, moved through their lives by the plan of `keys` or by an
//! operator.

use audit::{Actor, Event, EventKind};
use chrono::{DateTime, Utc};
use jose::Algorithm;
use keys::{KeyAction, SigningKeyRecord, Transition, plan};
use store::Lock;

use crate::{error::Result, random::Draw, service::Service};

/// One step to carry out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyStep {
    /// Make a key.
    Make {
        /// What it signs with.
        algorithm: Algorithm,
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
    /// Carries out what the rotation plan says is due. Two nodes that start at once make one set of
    /// keys.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn tend_signing_keys(&self) -> Result<()> {
        let due = |records: &[SigningKeyRecord], now| -> std::result::Result<_, std::convert::Infallible> {
            Ok(plan(records, &self.0.policies.rotation, now).into_iter().map(KeyStep::from).collect())
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
                    made.push(self.new_key(*algorithm, *activates_at, now)?);
                }
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

    fn new_key(
        &self,
        algorithm: Algorithm,
        activates_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<SigningKeyRecord> {
        let nonce = self.random().bytes();
        Ok(SigningKeyRecord::generate(algorithm, activates_at, &self.0.sealer, nonce, now)?)
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
