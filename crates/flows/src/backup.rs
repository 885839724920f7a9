//! What makes a copy of the database fit to serve from.
//!
//! A copy is a step back in time. What was spent, ended or withdrawn after it was taken is alive in it
//! again: refresh tokens that were rotated, sessions that were signed out of, grants that were revoked.
//! Nothing in the copy tells which, so [`settle`] ends all that was issued, unless the operator says
//! that nothing happened since. Consents stay: they are evidence, and without a grant an app gets
//! nothing until the customer signs in again.

use audit::{Actor, Event, EventKind};
use chrono::{DateTime, Utc};
use keys::{KeyRecordFault, SealFault, Sealer, Transition};
use mfa::TotpReset;
use protocol::UserId;
use store::{Lock, Store, backup::Ended};

use crate::{
    Clock,
    error::{FlowError, Result},
    random::{Draw, Random},
    second_factor::totp_identity,
    subjects,
};

/// Users whose seeds are opened at a time.
const PAGE: u32 = 1000;
/// Seconds of a one-time password (RFC 6238 §4.1).
const TOTP_STEP: i64 = 30;

/// A sealed record that does not open.
#[derive(Debug, thiserror::Error)]
#[error("{what} can't be opened: {why}")]
pub struct Unopened {
    /// Which record.
    pub what: String,
    /// Why not.
    #[source]
    pub why: SealFault,
}

/// What an operator wants of a restored database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// End what was issued.
    End {
        /// Consents too, so that every customer is asked anew.
        consents: bool,
    },
    /// Leave everything as it was, because nothing happened since the copy was taken.
    AsItWas,
}

/// Who does it, and with what.
pub struct Operator<'a> {
    /// The name that the operating system knows them by.
    pub name: String,
    /// The time.
    pub clock: &'a dyn Clock,
    /// The randomness.
    pub random: &'a dyn Random,
}

impl Operator<'_> {
    fn event(&self, kind: EventKind, now: DateTime<Utc>) -> Event {
        Event::new(kind, now, self.random.id(now)).by(Actor::Operator).detail("operator", &self.name)
    }
}

/// Opens every sealed record: the private keys, and the seeds of authenticators. Gives how many.
///
/// # Errors
/// [`FlowError`]; the inner error names the first that does not open.
pub async fn open_everything(store: &Store, sealer: &Sealer) -> Result<std::result::Result<u64, Unopened>> {
    let mut opened = 0;
    for key in store.signing_keys().await?.iter().filter(|key| !key.sealed_private.is_empty()) {
        match key.opens(sealer) {
            Ok(_) => opened += 1,
            Err(KeyRecordFault::Seal(why)) => {
                return Ok(Err(Unopened { what: format!("signing key {}", key.kid), why }));
            }
            Err(other) => return Err(FlowError::Key(other)),
        }
    }
    let mut after = None;
    loop {
        let users = store.totp_users(after, PAGE).await?;
        for user in users.iter().copied() {
            let Some(credential) = store.totp(user).await? else { continue };
            match sealer.open(&credential.sealed_seed, &totp_identity(user)) {
                Ok(_) => opened += 1,
                Err(why) => {
                    return Ok(Err(Unopened { what: format!("the authenticator of user {user}"), why }));
                }
            }
        }
        let Some(last) = users.last() else { return Ok(Ok(opened)) };
        after = Some(*last);
    }
}

/// What was given up with a key-encryption key that is lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Abandoned {
    /// Signing keys that were revoked, by `kid`.
    pub keys: Vec<String>,
    /// How many authenticators were removed.
    pub authenticators: u64,
    /// Whether the secret of pairwise subjects was given up: those clients then know people by new names.
    pub subject_key: bool,
}

/// Gives up what the key-encryption key does not open: signing keys are revoked, authenticators removed
/// with the sessions of their owners. What opens is not touched. The server makes new signing keys when it
/// starts.
///
/// # Errors
/// [`FlowError`]; then nothing was changed.
pub async fn abandon_unopened(store: &Store, sealer: &Sealer, operator: &Operator<'_>) -> Result<Abandoned> {
    let now = operator.clock.now();
    let mut abandoned = Abandoned::default();
    let event = |kind| operator.event(kind, now).reason("key_encryption_key_lost");
    let lost = lost_authenticators(store, sealer).await?;
    let subject_key = store.deployment_secret(subjects::NAME).await?;
    let lost_subject_key =
        subject_key.is_some_and(|sealed| sealer.open(&sealed, subjects::IDENTITY).is_err());
    let mut tx = store.begin().await?;
    tx.lock(Lock::SigningKeys).await?;
    for mut key in tx.signing_keys().await? {
        let before = key.state;
        let dead = key.sealed_private.is_empty() || key.open(sealer).is_ok();
        if dead || key.apply(Transition::Revoke, now).is_err() {
            continue;
        }
        tx.transition_signing_key(&key, before).await?;
        tx.record(&event(EventKind::KeyRevoked).detail("kid", &key.kid)).await?;
        abandoned.keys.push(key.kid);
    }
    for user in lost {
        abandoned.authenticators += tx.reset_totp(&TotpReset { user, at: now, keep_session: None }).await?;
        tx.record(&event(EventKind::SecondFactorReset).user(user)).await?;
    }
    if lost_subject_key {
        abandoned.subject_key = tx.forget_deployment_secret(subjects::NAME).await? == 1;
    }
    tx.commit().await?;
    Ok(abandoned)
}

async fn lost_authenticators(store: &Store, sealer: &Sealer) -> Result<Vec<UserId>> {
    let (mut lost, mut after) = (Vec::new(), None);
    loop {
        let users = store.totp_users(after, PAGE).await?;
        for user in users.iter().copied() {
            let Some(credential) = store.totp(user).await? else { continue };
            if sealer.open(&credential.sealed_seed, &totp_identity(user)).is_err() {
                lost.push(user);
            }
        }
        let Some(last) = users.last() else { return Ok(lost) };
        after = Some(*last);
    }
}

/// Makes a restored database fit to serve from, and writes into the audit trail that it was restored.
///
/// # Errors
/// [`FlowError`]; then nothing was changed.
pub async fn settle(store: &Store, operator: &Operator<'_>, settlement: Settlement) -> Result<Ended> {
    let now = operator.clock.now();
    let mut tx = store.begin().await?;
    let ended = match settlement {
        Settlement::AsItWas => Ended::default(),
        // The step after the present one would be accepted too.
        Settlement::End { consents } => {
            tx.end_everything(now, now.timestamp() / TOTP_STEP + 1, consents).await?
        }
    };
    let event = operator.event(EventKind::DatabaseRestored, now);
    let event = match settlement {
        Settlement::AsItWas => event.detail("settlement", "as_it_was"),
        Settlement::End { .. } => event
            .detail("settlement", "ended")
            .detail("sessions", ended.sessions.to_string())
            .detail("grants", ended.grants.to_string())
            .detail("consents", ended.consents.to_string()),
    };
    tx.record(&event).await?;
    tx.commit().await?;
    Ok(ended)
}

/// Writes into the audit trail that a copy was taken.
///
/// # Errors
/// [`FlowError`].
pub async fn record_copy(store: &Store, operator: &Operator<'_>, file: &str) -> Result<()> {
    let now = operator.clock.now();
    let mut tx = store.begin().await?;
    tx.record(&operator.event(EventKind::DatabaseCopied, now).detail("file", file)).await?;
    Ok(tx.commit().await?)
}
