//! What the server does by itself: notice changes, tend keys, sweep.

use std::time::Duration;

use audit::{Actor, Event, EventKind};
use store::SweepPlan;
use tokio::time::{sleep, timeout};

use crate::{error::Result, random::Draw, service::Service};

/// How often the change sequence is polled.
const POLL: Duration = Duration::from_secs(1);
/// How often the sweep and the rotation plan run.
const TEND: Duration = Duration::from_secs(60);
/// Rows per table and sweep; more follow at once where a batch was full.
const BATCH: u32 = 500;

impl Service {
    /// Polls for changes once a second, for as long as the process lives. After trouble with the
    /// database everything cached is read again. PostgreSQL's notifications only hasten it.
    pub async fn watch_changes(&self) {
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
        }
    }

    /// Tends keys and sweeps once a minute, for as long as the process lives.
    pub async fn tend(&self) {
        loop {
            if let Err(error) = self.tend_signing_keys().await {
                tracing::error!(%error, "could not tend signing keys; will try again");
            }
            if let Err(error) = self.sweep().await {
                tracing::warn!(%error, "could not sweep; will try again");
            }
            sleep(TEND).await;
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
            if !swept.is_full(&plan) {
                return Ok(total);
            }
        }
    }
}
