//! Audit events that wait for their batch.
//!
//! An event that tells of a change is written in the transaction of the change. Some events tell of no
//! change: a client got a JWT for itself, which has no row anywhere; a program was refused. A transaction
//! for each would make them the dearest part of the request, and would let strangers who are refused
//! keep the database busy. So such an event is put into a queue here, the request is answered without
//! a round trip to the database, and one task writes what has gathered, twenty times a second.
//!
//! What that promises:
//!
//! * **At most 100 ms behind.** An event waits at most one [`TICK`] for its batch. A batch that is not
//!   written within another one closes the queue until everything in it is. So what a crash of the process can lose
//!   is what happened in the last two ticks, and never more, however long the database has been slow.
//! * **Waiting instead of loss.** Whoever has an event for a closed or full queue waits, at most
//!   [`PATIENCE`]; then the request is refused with 503. No token leaves without its event having a
//!   place: when the database is away, issuing stops, and goes on by itself when it is back.
//! * **Once.** A batch that failed, or whose answer was lost, is written again as it was; the ids of
//!   its events keep them from standing twice.
//! * **Nothing lost at a stop.** [`Service::finish_audit_queue`] writes the rest before the process ends;
//!   what even then can't be written goes to the log, line by line.

use std::{
    pin::pin,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use audit::Event;
use chrono::{DateTime, Utc};
use store::Store;
use tokio::{
    sync::{Mutex, Notify, mpsc, watch},
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tracing::Instrument;

use crate::{
    error::{FlowError, Result},
    service::Service,
};

/// How long an event waits for its batch, and how long the batch may take before the queue is closed.
const TICK: Duration = Duration::from_millis(50);
/// At most so many events wait, beside one batch: 100 ms of 40,000 requests a second.
const CAPACITY: usize = 4096;
/// At most so many events in one batch.
const BATCH: usize = 1024;
/// How long a request waits for a place.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a write may take before it counts as failed.
const WRITE: Duration = Duration::from_secs(5);
/// How long after a failure it is tried again.
const AGAIN: Duration = Duration::from_millis(100);
/// How long a stop waits for the database.
const FAREWELL: Duration = Duration::from_secs(10);

/// The queue of one process.
pub(crate) struct AuditQueue {
    places: mpsc::Sender<Event>,
    /// Something is in the queue.
    arrived: Notify,
    /// Whether a batch is late; nothing more is taken then.
    closed: watch::Sender<bool>,
    /// Whoever writes; one at a time.
    writer: Mutex<Writer>,
    /// When the oldest event of the batch that is being written happened, in microseconds since 1970; 0
    /// for none.
    oldest: AtomicI64,
}

/// Closes the queue when its writer is gone, by a stop or by a panic.
struct Abandoned<'a>(&'a watch::Sender<bool>);

impl Drop for Abandoned<'_> {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}

/// Where batches go.
pub(crate) trait Trail: Sync {
    /// Writes all of them or none. What is there already stays as it is.
    fn write(&self, events: &[Event]) -> impl Future<Output = Result<()>> + Send;
}

impl Trail for Store {
    async fn write(&self, events: &[Event]) -> Result<()> {
        let span = tracing::debug_span!(target: "traced", "audit batch", events = events.len() as i64);
        Ok(self.record_all(events).instrument(span).await?)
    }
}

struct Writer {
    queue: mpsc::Receiver<Event>,
    /// What was taken from the queue and is not yet known to be written.
    batch: Vec<Event>,
}

impl AuditQueue {
    pub(crate) fn new() -> Self {
        let (places, queue) = mpsc::channel(CAPACITY);
        Self {
            places,
            arrived: Notify::new(),
            closed: watch::Sender::new(false),
            writer: Mutex::new(Writer { queue, batch: Vec::new() }),
            oldest: AtomicI64::new(0),
        }
    }

    /// Puts an event into the queue, and waits if it is closed or full.
    ///
    /// # Errors
    /// [`FlowError::AuditBehind`] if that takes longer than [`PATIENCE`].
    async fn put(&self, event: Event) -> Result<()> {
        let free = if *self.closed.borrow() { None } else { self.places.try_reserve().ok() };
        let place = match free {
            Some(place) => place,
            None => timeout(PATIENCE, self.place()).await.map_err(|_| {
                metrics::counter!("chancery_audit_queue_refused_total").increment(1);
                FlowError::AuditBehind
            })??,
        };
        place.send(event);
        self.arrived.notify_one();
        Ok(())
    }

    async fn place(&self) -> Result<mpsc::Permit<'_, Event>> {
        let mut closed = self.closed.subscribe();
        loop {
            let open = closed.wait_for(|closed| !closed).await.map(drop);
            open.map_err(|_| FlowError::AuditBehind)?;
            let place = self.places.reserve().await.map_err(|_| FlowError::AuditBehind)?;
            // While this waited for a place the queue may have been closed.
            if !*self.closed.borrow() {
                return Ok(place);
            }
        }
    }

    /// Writes everything that is in the queue now, oldest first. After a failure the same batch comes
    /// first again.
    async fn drain(&self, trail: &impl Trail) -> Result<()> {
        let mut writer = self.writer.lock().await;
        let Writer { queue, batch } = &mut *writer;
        loop {
            while batch.len() < BATCH
                && let Ok(event) = queue.try_recv()
            {
                batch.push(event);
            }
            let Some(oldest) = batch.first() else { return Ok(()) };
            self.oldest.store(oldest.at.timestamp_micros(), Ordering::Relaxed);
            let written = timeout(WRITE, trail.write(batch)).await.unwrap_or(Err(FlowError::AuditBehind));
            let outcome = if written.is_ok() { "written" } else { "failed" };
            metrics::counter!("chancery_audit_batches_total", "outcome" => outcome).increment(1);
            written?;
            metrics::counter!("chancery_audit_batched_events_total").increment(batch.len() as u64);
            self.oldest.store(0, Ordering::Relaxed);
            let everything = batch.len() < BATCH;
            batch.clear();
            if everything {
                return Ok(());
            }
        }
    }

    /// The same, again and again until it succeeds.
    async fn persist(&self, trail: &impl Trail) {
        while let Err(error) = self.drain(trail).await {
            tracing::warn!(%error, "could not write audit events; will try again");
            sleep(AGAIN).await;
        }
    }

    /// Writes what gathers, once a tick, for as long as it is let.
    async fn keep(&self, trail: &impl Trail) {
        // Without a writer nothing may be taken.
        let _abandoned = Abandoned(&self.closed);
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.arrived.notified().await;
            ticks.tick().await;
            let mut writing = pin!(self.persist(trail));
            if timeout(TICK, &mut writing).await.is_err() {
                self.closed.send_replace(true);
                writing.await;
                // What came meanwhile is late too.
                self.persist(trail).await;
                self.closed.send_replace(false);
            }
        }
    }

    /// Writes the rest. Answers what could not be written in time.
    async fn finish(&self, trail: &impl Trail) -> Vec<Event> {
        if timeout(FAREWELL, self.persist(trail)).await.is_ok() {
            return Vec::new();
        }
        let mut writer = self.writer.lock().await;
        let mut rest = std::mem::take(&mut writer.batch);
        while let Ok(event) = writer.queue.try_recv() {
            rest.push(event);
        }
        rest
    }

    /// Sets the gauges.
    pub(crate) fn observe(&self, now: DateTime<Utc>) {
        let waiting = self.places.max_capacity() - self.places.capacity();
        metrics::gauge!("chancery_audit_queue_events")
            .set(f64::from(u32::try_from(waiting).unwrap_or(u32::MAX)));
        let oldest = match self.oldest.load(Ordering::Relaxed) {
            0 => None,
            micros => DateTime::from_timestamp_micros(micros),
        };
        let age = oldest.map_or(0.0, |oldest| (now - oldest).as_seconds_f64().max(0.0));
        metrics::gauge!("chancery_audit_queue_oldest_seconds").set(age);
    }
}

impl Service {
    /// Records an event that tells of no change in the database: soon, and without a round trip before
    /// the answer.
    ///
    /// # Errors
    /// [`FlowError::AuditBehind`] if there is no place for it; the request must fail then.
    pub(crate) async fn note(&self, event: Event) -> Result<()> {
        self.0.audit_queue.put(event).await
    }

    /// Writes the events that [`note`](Self::note)d requests left, for as long as the process lives.
    pub async fn keep_audit_queue(&self) {
        self.0.audit_queue.keep(&self.0.store).await;
    }

    /// Writes what is in the queue now, for whoever is about to read the trail.
    ///
    /// # Errors
    /// [`FlowError`]; the events stay in the queue.
    pub async fn settle_audit(&self) -> Result<()> {
        self.0.audit_queue.drain(&self.0.store).await
    }

    /// Writes the rest before the process ends, when no request is left that could add to it. What the
    /// database does not take in time goes to the log.
    pub async fn finish_audit_queue(&self) {
        for event in self.0.audit_queue.finish(&self.0.store).await {
            let event = serde_json::to_string(&event).unwrap_or_default();
            tracing::error!(event, "this event is missing in the audit trail");
        }
    }
}

#[cfg(test)]
#[path = "audit_queue_tests.rs"]
mod tests;
