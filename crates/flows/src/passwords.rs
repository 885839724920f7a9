//! The bounded password pool.
//!
//! One Argon2id hash takes 19 MiB and tens of milliseconds of a core, so hashing without a bound
//! would let anybody who can reach the login page take all memory. At most `slots` run at a time,
//! on the blocking pool; a bounded number wait; the rest are told to come again.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use mfa::{HashingParams, PasswordHash, PasswordRefusal, Pepper, User, VerifiedPassword};
use protocol::secret::Password;
use tokio::sync::Semaphore;

use crate::error::{FlowError, Result};

/// How many may wait for each slot before newcomers are sent away.
const WAITING_PER_SLOT: usize = 50;

/// The gauge of requests that wait for a slot.
const WAITING: &str = "chancery_password_hashes_waiting";

/// Hashes and verifies passwords, a bounded number at a time.
#[derive(Clone)]
pub struct Passwords {
    pepper: Arc<Pepper>,
    params: HashingParams,
    slots: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    limit: usize,
}

impl Passwords {
    /// A pool of `slots` (at least one).
    pub fn new(pepper: Pepper, params: HashingParams, slots: usize) -> Self {
        let slots = slots.max(1);
        Self {
            pepper: Arc::new(pepper),
            params,
            slots: Arc::new(Semaphore::new(slots)),
            waiting: Arc::default(),
            limit: slots * WAITING_PER_SLOT,
        }
    }

    /// A place in the queue. Taken before an attempt is counted, so that nobody is charged for a
    /// password that was never looked at.
    ///
    /// # Errors
    /// [`FlowError::Busy`] when too many wait already.
    pub(crate) fn queue(&self) -> Result<Place> {
        Place::take(&self.waiting, self.limit).ok_or(FlowError::Busy)
    }

    /// Verifies a password against a user's hash, or against nobody's in the same time (SE-02).
    ///
    /// # Errors
    /// [`FlowError`]; the refusal itself is the inner result.
    pub(crate) async fn verify(
        &self,
        place: Place,
        password: Password,
        user: Option<User>,
    ) -> Result<std::result::Result<VerifiedPassword, PasswordRefusal>> {
        let params = self.params;
        self.run(place, move |pepper| mfa::verify(&password, user.as_ref(), pepper, params)).await
    }

    /// Hashes a password for storage. `None` when its length is impossible.
    ///
    /// # Errors
    /// [`FlowError::Busy`].
    pub async fn hash(&self, password: Password, salt: [u8; 16]) -> Result<Option<PasswordHash>> {
        let params = self.params;
        self.run(self.queue()?, move |pepper| mfa::hash(&password, pepper, params, salt).ok()).await
    }

    async fn run<T: Send + 'static>(
        &self,
        place: Place,
        work: impl FnOnce(&Pepper) -> T + Send + 'static,
    ) -> Result<T> {
        let permit = self.slots.clone().acquire_owned().await.map_err(|_| FlowError::Busy)?;
        drop(place);
        let pepper = self.pepper.clone();
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work(&pepper)
        });
        done.await.map_err(|_| FlowError::Contradiction("a password task died"))
    }
}

/// A place in the queue; given back when dropped, also by a request that was given up.
pub(crate) struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(waiting: &Arc<AtomicUsize>, limit: usize) -> Option<Self> {
        let place = Self(waiting.clone());
        metrics::gauge!(WAITING).increment(1.0);
        (waiting.fetch_add(1, Ordering::AcqRel) < limit).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
        metrics::gauge!(WAITING).decrement(1.0);
    }
}
