//! What the server does by itself: notice changes, tend keys, sweep.

use std::time::Duration;

use audit::{Actor, Event, EventKind};
use chrono::TimeDelta;
use keys::KeyAlgorithm;
use store::SweepPlan;
use tokio::time::{sleep, timeout};

use crate::{error::Result, evidence::Stopwatch, random::Draw, service::Service};

/// How often the change sequence is polled.
const POLL: Duration = Duration::from_secs(1);
/// How often the sweep and the rotation plan run at least.
const TEND: TimeDelta = TimeDelta::seconds(60);
/// How long after a failure the rotation plan is tried again.
const AGAIN: TimeDelta = TimeDelta::seconds(5);
/// Rows per table and sweep; more follow at once where a batch was full.
const BATCH: u32 = 500;

impl Service {
    /// Polls for changes once a second, for as long as the process lives. After trouble with the
    /// database everything cached is read again. PostgreSQL's notifications only hasten it.
    pub async fn watch_changes(&self) {
        // Until the first poll: it answered, or this process would not have come so far.
        metrics::gauge!("chancery_database_up").set(1.0);
        let mut healthy = true;
        let mut listener = None;
        loop {
            if listener.is_none() && healthy {
                listener = self.0.store.listen().await.ok().flatten();
            }
            match &mut listener {
                Some(notified) => {
                    if matches!(timeout(POLL, notified.changed()).await, Ok(Err(_))) {
                        listener = None;
                        sleep(POLL).await;
                    }
                }
                None => sleep(POLL).await,
            }
            let done = if healthy { self.reload().await.map(drop) } else { self.reload_everything().await };
            if let Err(error) = &done {
                tracing::warn!(%error, "could not read changes; will try again");
            }
            healthy = done.is_ok();
            metrics::gauge!("chancery_database_up").set(if healthy { 1.0 } else { 0.0 });
        }
    }

    /// Sweeps once a minute and tends keys when they need it, for as long as the process lives. Keys
    /// take their steps at the second that `chancery keys list` shows; the database is asked only
    /// then, and once a minute in case this node has missed something.
    pub async fn tend(&self) {
        let (mut sweep_at, mut keys_at, mut failed) = (self.now(), self.now(), false);
        loop {
            let now = self.now();
            let is_due = |alg| self.next_key_step(alg, now).is_some_and(|step| step <= now);
            if keys_at <= now || (!failed && KeyAlgorithm::ALL.into_iter().any(is_due)) {
                failed = !self.tend_signing_keys_now().await;
                keys_at = now + if failed { AGAIN } else { TEND };
            }
            if sweep_at <= now {
                self.sweep_now().await;
                sweep_at = now + TEND;
            }
            sleep(POLL).await;
        }
    }

    /// Whether it went well.
    async fn tend_signing_keys_now(&self) -> bool {
        let done = self.tend_signing_keys().await;
        if let Err(error) = &done {
            metrics::counter!("chancery_key_tending_failures_total").increment(1);
            tracing::error!(%error, "could not tend signing keys; will try again");
        }
        done.is_ok()
    }

    async fn sweep_now(&self) {
        let began = Stopwatch::start();
        let swept = self.sweep().await;
        metrics::histogram!("chancery_sweep_seconds").record(began.seconds());
        if let Err(error) = swept {
            metrics::counter!("chancery_sweep_failures_total").increment(1);
            tracing::warn!(%error, "could not sweep; will try again");
        }
    }

    /// Writes into the audit trail that this process starts or stops to serve.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn record_lifecycle(&self, kind: EventKind) -> Result<()> {
        let now = self.now();
        let event = Event::new(kind, now, self.random().id(now)).by(Actor::System);
        self.record(&event.detail("version", env!("CARGO_PKG_VERSION"))).await
    }

    /// Removes what nobody can use or replay any more, in small batches.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn sweep(&self) -> Result<u64> {
        let mut total = 0;
        loop {
            let now = self.now();
            let plan =
                SweepPlan { now, attempts_before: now - self.0.policies.throttle.forget_after, batch: BATCH };
            let swept = self.0.store.sweep(&plan).await?;
            total += swept.total();
            for (table, rows) in &swept.tables {
                metrics::counter!("chancery_swept_rows_total", "table" => *table).increment(*rows);
            }
            if !swept.is_full(&plan) {
                let unused = self.forget_unused_clients().await?;
                metrics::counter!("chancery_swept_rows_total", "table" => "clients").increment(unused);
                return Ok(total + unused);
            }
        }
    }
}
