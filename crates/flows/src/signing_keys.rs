//! Signing keys: made when missing, moved through their lives by the plan of `keys`.

use audit::{Actor, Event, EventKind};
use keys::{KeyAction, SigningKeyRecord, Transition, plan};
use store::Lock;

use crate::{error::Result, random::Draw, service::Service};

impl Service {
    /// Carries out what the rotation plan says is due. Two nodes that start at once make one set of
    /// keys, because they wait for each other.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn tend_signing_keys(&self) -> Result<()> {
        let policy = &self.0.policies.rotation;
        // Mostly nothing is due; find out without a lock.
        if plan(&self.0.store.signing_keys().await?, policy, self.now()).is_empty() {
            return Ok(());
        }
        let mut tx = self.0.store.begin().await?;
        tx.lock(Lock::SigningKeys).await?;
        let now = self.now();
        let mut records = tx.signing_keys().await?;
        for action in plan(&records, policy, now) {
            let event = |kind| Event::new(kind, now, self.random().id(now)).by(Actor::System);
            match &action {
                KeyAction::Generate { algorithm, activates_at } => {
                    let nonce = self.random().bytes();
                    let record =
                        SigningKeyRecord::generate(*algorithm, *activates_at, &self.0.sealer, nonce, now)?;
                    tx.insert_signing_key(&record).await?;
                    tx.record(&event(EventKind::KeyCreated).detail("kid", &record.kid)).await?;
                    records.push(record);
                }
                moved => {
                    let Some((kid, transition)) = moved.transition() else { continue };
                    let Some(record) = records.iter_mut().find(|record| record.kid == kid) else { continue };
                    let before = record.state;
                    if record.apply(transition, now).is_err() {
                        continue;
                    }
                    tx.transition_signing_key(record, before).await?;
                    tx.record(&event(kind_of(transition)).detail("kid", kid)).await?;
                }
            }
        }
        Ok(tx.commit().await?)
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
