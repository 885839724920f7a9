//! The bounded password pool.
//!
//! One Argon2id hash takes 19 MiB and tens of milliseconds of a core, so hashing without a bound
//! would let anybody who can reach the login page take all memory. At most `slots` run at a time,
//! on threads of their own; a bounded number wait; the rest are told to come again.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use mfa::{HashMemory, HashingParams, PasswordHash, PasswordRefusal, Pepper, User, VerifiedPassword};
use protocol::secret::Password;
use tokio::sync::Semaphore;
use tracing::Instrument;

use crate::{
    error::{FlowError, Result},
    evidence::Stopwatch,
    hashing::HashingThreads,
};

/// How many may wait for each slot before newcomers are sent away.
const WAITING_PER_SLOT: usize = 50;

/// The gauge of requests that wait for a slot.
const WAITING: &str = "chancery_password_hashes_waiting";
/// The gauge of slots in use.
const RUNNING: &str = "chancery_password_hashes_running";

/// Hashes and verifies passwords, a bounded number at a time.
#[derive(Clone)]
pub struct Passwords {
    pepper: Arc<Pepper>,
    params: HashingParams,
    threads: HashingThreads,
    slots: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    limit: usize,
}

impl Passwords {
    /// A pool of `slots` (at least one).
    pub fn new(pepper: Pepper, params: HashingParams, slots: usize) -> Self {
        let slots = slots.max(1);
        let shown = u32::try_from(slots).unwrap_or(u32::MAX);
        metrics::gauge!("chancery_password_hash_slots").set(f64::from(shown));
        Self {
            pepper: Arc::new(pepper),
            params,
            threads: HashingThreads::start(slots),
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
        Place::take(&self.waiting, self.limit).ok_or_else(|| {
            metrics::counter!("chancery_password_hashes_refused_total").increment(1);
            FlowError::Busy
        })
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
        self.run(place, move |pepper, memory| mfa::verify(&password, user.as_ref(), pepper, params, memory))
            .await
    }

    /// Hashes a password for storage. `None` when its length is impossible.
    ///
    /// # Errors
    /// [`FlowError::Busy`].
    pub async fn hash(&self, password: Password, salt: [u8; 16]) -> Result<Option<PasswordHash>> {
        let params = self.params;
        self.run(self.queue()?, move |pepper, memory| mfa::hash(&password, pepper, params, salt, memory).ok())
            .await
    }

    async fn run<T: Send + 'static>(
        &self,
        place: Place,
        work: impl FnOnce(&Pepper, &mut HashMemory) -> T + Send + 'static,
    ) -> Result<T> {
        let queued = Stopwatch::start();
        let waiting = tracing::debug_span!(target: "traced", "password wait");
        let permit = self.slots.clone().acquire_owned().instrument(waiting).await;
        let permit = permit.map_err(|_| FlowError::Busy)?;
        drop(place);
        metrics::histogram!("chancery_password_hash_wait_seconds").record(queued.seconds());
        let pepper = self.pepper.clone();
        let hashing = tracing::debug_span!(target: "traced", "password hash");
        let done = self.threads.run(move |memory| {
            let _permit = permit;
            metrics::gauge!(RUNNING).increment(1.0);
            let began = Stopwatch::start();
            let done = hashing.in_scope(|| work(&pepper, memory));
            metrics::histogram!("chancery_password_hash_seconds").record(began.seconds());
            metrics::gauge!(RUNNING).decrement(1.0);
            done
        });
        done.await.ok_or(FlowError::Contradiction("a password task died"))
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
