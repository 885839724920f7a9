//! Whether a connection has requests in progress, and for how long it has had none.

use std::time::Duration;

use tokio::{sync::watch, time::timeout};

/// Counts the requests in progress on one connection.
#[derive(Clone, Debug, Default)]
pub struct Busy(watch::Sender<usize>);

/// A request in progress; dropped when it is answered.
#[derive(Debug)]
pub struct Working(watch::Sender<usize>);

impl Busy {
    /// A request begins.
    pub fn work(&self) -> Working {
        self.0.send_modify(|count| *count += 1);
        Working(self.0.clone())
    }

    /// Ends when there has been no request for so long.
    pub fn idle_for(&self, quiet: Duration) -> impl Future<Output = ()> + use<> {
        let mut count = self.0.subscribe();
        async move {
            loop {
                // An error means that the connection's service is gone, and so is the connection.
                if count.wait_for(|count| *count == 0).await.is_err() {
                    return;
                }
                if timeout(quiet, count.changed()).await.is_err() {
                    return;
                }
            }
        }
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

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
