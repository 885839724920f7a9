//! Whether a connection has requests in progress, and whether it has had one lately.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::sleep;

/// Counts the requests on one connection. Nobody is woken by a request; who waits looks now and then.
#[derive(Clone, Debug, Default)]
pub struct Busy(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    begun: AtomicUsize,
    ended: AtomicUsize,
}

/// A request in progress; dropped when it is answered.
#[derive(Debug)]
pub struct Working(Arc<Counts>);

impl Busy {
    /// A request begins.
    pub fn work(&self) -> Working {
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        Working(Arc::clone(&self.0))
    }

    /// Ends when there has been no request for so long, or for up to twice as long.
    pub fn idle_for(&self, quiet: Duration) -> impl Future<Output = ()> + use<> {
        let counts = Arc::clone(&self.0);
        let seen = move || (counts.begun.load(Ordering::Relaxed), counts.ended.load(Ordering::Relaxed));
        async move {
            loop {
                let before = seen();
                sleep(quiet).await;
                let (begun, ended) = seen();
                if begun == ended && before == (begun, ended) {
                    return;
                }
            }
        }
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn idle_is_quiet_time_without_a_request() {
        let (quiet, far_more) = (Duration::from_millis(10), Duration::from_millis(100));
        let busy = Busy::default();
        let (first, second) = (busy.work(), busy.work());
        let mut idle = pin!(busy.idle_for(quiet));
        assert!(timeout(far_more, idle.as_mut()).await.is_err(), "two are in progress");
        drop(first);
        assert!(timeout(far_more, idle.as_mut()).await.is_err(), "one still is");
        drop(second);
        assert!(timeout(Duration::from_secs(20), idle).await.is_ok());
    }
}
