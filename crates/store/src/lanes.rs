//! The connections that requests use.
//!
//! A pool of sqlx asks a connection whether it is alive when it is taken and again when it is given
//! back: two more round trips around every statement, on every request. Here a connection that did its
//! last work properly goes straight to the next request. It is tried out only after a rest, or once
//! another one of its age was found broken (a restart of the database ends them all at once), or when
//! whoever held it gave up in the middle.
//!
//! What is broken is closed, and a new connection is made by the request that needs one: when the
//! database is away, that fails at once instead of making everybody wait.
//!
//! A database that is halted keeps its connections open and says nothing. Everything is therefore waited
//! for with patience that ends ([`in_time`]), and while nothing answers only one request at a time waits
//! that long: the others are refused after a moment.

use std::{
    fmt,
    future::Future,
    io,
    ops::{Deref, DerefMut},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use sqlx::{ConnectOptions, Connection, Database, Executor, Postgres, Sqlite};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

/// A connection that rested longer is tried out before it is used.
const RESTED: Duration = Duration::from_secs(1);
/// A connection that is older is replaced, so that what a server keeps for it does not only grow.
const LIFETIME: Duration = Duration::from_secs(30 * 60);
/// How long a request waits for a connection while the database is silent.
const MOMENT: Duration = Duration::from_millis(500);

/// Waits for the database's answer, as long as is sensible for whoever asks. Late is an error of its own
/// ([`is_late`]), and nobody knows what became of the statement.
pub(crate) async fn in_time<T>(
    sensible: Duration,
    answer: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    timeout(sensible, answer).await.unwrap_or_else(|_| Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into())))
}

/// An engine that runs a statement without parameters.
pub trait Engine: Database {
    /// Runs it, to its end.
    fn run(
        connection: &mut Self::Connection,
        statement: &'static str,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;
}

impl Engine for Postgres {
    async fn run(connection: &mut Self::Connection, statement: &'static str) -> sqlx::Result<()> {
        connection.execute(statement).await.map(drop)
    }
}

impl Engine for Sqlite {
    async fn run(connection: &mut Self::Connection, statement: &'static str) -> sqlx::Result<()> {
        connection.execute(statement).await.map(drop)
    }
}

type OptionsOf<DB> = <<DB as Database>::Connection as Connection>::Options;

/// Connections to one database, at most so many.
pub struct Lanes<DB: Engine>(Arc<Shared<DB>>);

struct Shared<DB: Engine> {
    options: OptionsOf<DB>,
    limit: u32,
    permits: Arc<Semaphore>,
    /// Last used last, so that few are kept busy and the others rest.
    idle: Mutex<Vec<Idle<DB>>>,
    /// Counts the breaks; what is from before the last one is tried out.
    generation: AtomicU64,
    patience: Duration,
    /// How long the answer to one statement may take.
    answer: Duration,
    /// The last that was heard of the database is that it was late.
    silent: AtomicBool,
    /// Somebody waits with all patience for a silent database.
    trying: AtomicBool,
}

/// Ends the turn of whoever waits for a silent database.
struct Turn<'a>(&'a AtomicBool);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

struct Idle<DB: Engine> {
    connection: DB::Connection,
    generation: u64,
    born: Instant,
    since: Instant,
}

/// What may be said of a connection when it is given back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    /// It did what it was asked, to the end.
    Sound,
    /// Whoever held it gave up in the middle.
    Unclear,
    /// It does not answer any more.
    Broken,
}

/// A connection in somebody's hands; given back when dropped.
pub struct Lease<DB: Engine> {
    connection: Option<DB::Connection>,
    condition: Condition,
    in_transaction: bool,
    /// Whether it did something for somebody else before.
    pub(crate) reused: bool,
    generation: u64,
    born: Instant,
    lanes: Lanes<DB>,
    permit: Option<OwnedSemaphorePermit>,
}

#[expect(clippy::disallowed_methods, reason = "decides only whether a connection is tried out first")]
fn now() -> Instant {
    Instant::now()
}

impl<DB: Engine> Lanes<DB> {
    /// No connection is made yet. `patience` is how long a request waits for one, all in all; `answer`
    /// how long for the answer to one statement.
    pub(crate) fn new(options: OptionsOf<DB>, limit: u32, patience: Duration, answer: Duration) -> Self {
        Self(Arc::new(Shared {
            options,
            limit,
            permits: Arc::new(Semaphore::new(limit as usize)),
            idle: Mutex::default(),
            generation: AtomicU64::new(0),
            patience,
            answer,
            silent: AtomicBool::new(false),
            trying: AtomicBool::new(false),
        }))
    }

    /// How long the answer to one statement may take.
    pub(crate) fn answer(&self) -> Duration {
        self.0.answer
    }

    /// The most connections there may be.
    pub(crate) fn limit(&self) -> u32 {
        self.0.limit
    }

    /// Connections that rest, and those in somebody's hands.
    pub(crate) fn counts(&self) -> (u32, u32) {
        let free = u32::try_from(self.0.permits.available_permits()).unwrap_or(u32::MAX);
        let idle = u32::try_from(self.idle().len()).unwrap_or(u32::MAX);
        (idle, self.0.limit.saturating_sub(free))
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Idle<DB>>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Acquire)
    }
}

impl<DB: Engine> Lanes<DB> {
    /// A connection that answers, as far as one can know.
    ///
    /// # Errors
    /// `PoolTimedOut` if none comes free in time; whatever keeps a new one from being made.
    pub(crate) async fn lease(&self) -> sqlx::Result<Lease<DB>> {
        let asked = now();
        let silent = self.0.silent.load(Ordering::Relaxed);
        let mine = silent && !self.0.trying.swap(true, Ordering::AcqRel);
        let _turn = mine.then(|| Turn(&self.0.trying));
        let patience = if silent && !mine { self.0.patience.min(MOMENT) } else { self.0.patience };
        let lease = timeout(patience, self.patiently()).await;
        metrics::histogram!("chancery_store_acquire_seconds").record(now() - asked);
        lease.unwrap_or_else(|_| {
            self.0.silent.store(true, Ordering::Relaxed);
            Err(sqlx::Error::PoolTimedOut)
        })
    }

    /// The database answered.
    fn heard(&self) {
        if self.0.silent.load(Ordering::Relaxed) {
            self.0.silent.store(false, Ordering::Relaxed);
        }
    }

    async fn patiently(&self) -> sqlx::Result<Lease<DB>> {
        let permit = self.0.permits.clone().acquire_owned().await.map_err(|_| sqlx::Error::PoolClosed)?;
        loop {
            let generation = self.generation();
            let next = self.idle().pop();
            let Some(idle) = next else {
                let connection = self.0.options.connect().await?;
                self.heard();
                return Ok(self.lend(connection, (generation, now()), false, permit));
            };
            let Idle { mut connection, born, .. } = idle;
            if now() - born > LIFETIME {
                continue;
            }
            let proven = idle.generation == generation && now() - idle.since <= RESTED;
            if proven || connection.ping().await.is_ok() {
                return Ok(self.lend(connection, (generation, born), true, permit));
            }
            self.0.generation.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn lend(
        &self,
        connection: DB::Connection,
        (generation, born): (u64, Instant),
        reused: bool,
        permit: OwnedSemaphorePermit,
    ) -> Lease<DB> {
        Lease {
            connection: Some(connection),
            condition: Condition::Unclear,
            in_transaction: false,
            reused,
            generation,
            born,
            lanes: self.clone(),
            permit: Some(permit),
        }
    }

    /// Closes every connection, after those in use are given back.
    pub(crate) async fn close(&self) {
        let all = self.0.permits.acquire_many(self.0.limit).await;
        self.0.permits.close();
        drop(all);
        let resting = std::mem::take(&mut *self.idle());
        for idle in resting {
            drop(idle.connection.close().await);
        }
    }

    /// Takes back a connection that somebody gave up in the middle: waits until it is ready again, and
    /// undoes what it had begun.
    async fn settle(self, mut connection: DB::Connection, undo: bool, generation: u64, born: Instant) {
        let ready =
            async { if undo { DB::run(&mut connection, "ROLLBACK").await } else { connection.ping().await } };
        if matches!(timeout(self.0.patience, ready).await, Ok(Ok(()))) {
            self.idle().push(Idle { connection, generation, born, since: now() });
        }
    }
}

impl<DB: Engine> Lease<DB> {
    /// How long the answer to one statement may take.
    pub(crate) fn answer(&self) -> Duration {
        self.lanes.answer()
    }

    /// Begins a transaction with this statement.
    pub(crate) async fn begin(&mut self, statement: &'static str) -> sqlx::Result<()> {
        self.in_transaction = true;
        let begun = in_time(self.lanes.answer(), DB::run(self, statement)).await;
        self.judged(begun)
    }

    /// Ends the transaction.
    pub(crate) async fn commit(&mut self) -> sqlx::Result<()> {
        let committed = in_time(self.lanes.answer(), DB::run(self, "COMMIT")).await;
        if committed.is_ok() {
            self.in_transaction = false;
            self.condition = Condition::Sound;
        }
        self.judged(committed)
    }

    /// Sees from an outcome what became of the connection. Without this it counts as given up in the
    /// middle.
    pub(crate) fn judged<T>(&mut self, outcome: sqlx::Result<T>) -> sqlx::Result<T> {
        match &outcome {
            Ok(_) => {
                self.lanes.heard();
                if !self.in_transaction {
                    self.condition = Condition::Sound;
                }
            }
            Err(error) if is_broken(error) => {
                if is_late(error) {
                    self.lanes.0.silent.store(true, Ordering::Relaxed);
                }
                self.condition = Condition::Broken;
                self.lanes.0.generation.fetch_add(1, Ordering::AcqRel);
            }
            _ => {}
        }
        outcome
    }
}

/// Whether the connection is over, rather than the statement.
pub(crate) fn is_broken(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::Tls(_) | sqlx::Error::WorkerCrashed => {
            true
        }
        // PostgreSQL: shut down by an operator, crashed, or not yet up.
        sqlx::Error::Database(refusal) => {
            matches!(refusal.code().as_deref(), Some("57P01" | "57P02" | "57P03"))
        }
        _ => false,
    }
}

/// Whether the database did not answer in time.
pub(crate) fn is_late(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut)
}

/// Whether another connection may do better: this one was dead before it was asked.
pub(crate) fn is_dead(error: &sqlx::Error) -> bool {
    is_broken(error) && !is_late(error)
}

impl<DB: Engine> Drop for Lease<DB> {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        let (lanes, permit) = (self.lanes.clone(), self.permit.take());
        match (self.condition, tokio::runtime::Handle::try_current()) {
            (Condition::Sound, _) => {
                let (generation, born) = (self.generation, self.born);
                lanes.idle().push(Idle { connection, generation, born, since: now() });
            }
            (Condition::Unclear, Ok(runtime)) => {
                let (generation, born, undo) = (self.generation, self.born, self.in_transaction);
                runtime.spawn(async move {
                    lanes.settle(connection, undo, generation, born).await;
                    drop(permit);
                });
            }
            (Condition::Broken, _) | (Condition::Unclear, Err(_)) => drop(connection),
        }
    }
}

impl<DB: Engine> Deref for Lease<DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &DB::Connection {
        self.connection.as_ref().expect("a connection is taken out only when the lease is dropped")
    }
}

impl<DB: Engine> DerefMut for Lease<DB> {
    fn deref_mut(&mut self) -> &mut DB::Connection {
        self.connection.as_mut().expect("a connection is taken out only when the lease is dropped")
    }
}

impl<DB: Engine> Clone for Lanes<DB> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<DB: Engine> fmt::Debug for Lanes<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (idle, in_use) = self.counts();
        write!(f, "Lanes({in_use} in use, {idle} idle, of {})", self.0.limit)
    }
}

impl<DB: Engine> fmt::Debug for Lease<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lease")
    }
}
