//! What holds when machines fail: the real binary, killed, without its database, on a full disk, twice on
//! one database, under many logins at once.
//!
//! Every test drives load from actors that remember what they were told ([`ledger`]), breaks something, and
//! then asks for all of it: what was acknowledged is there (else it is lost), what may be used once is not
//! used again (else it is doubled). The figures are printed (`--nocapture`) and asserted.
//!
//! `CHANCERY_FAULT_SECONDS` makes each test break things again and again for about so long.

mod disk_full;
mod evidence;
mod killed;
mod ledger;
mod load;
mod logins;
mod postgres_away;
mod site;
mod two_nodes;
mod verdict;

use std::time::{Duration, Instant};

/// The moment, by the machine's clock: these tests are about real time.
#[expect(clippy::disallowed_methods, reason = "the server under test is another process on this clock")]
fn now() -> Instant {
    Instant::now()
}

/// Whether a soak is asked for.
fn is_soak() -> bool {
    std::env::var("CHANCERY_FAULT_SECONDS").is_ok_and(|text| !text.is_empty())
}

/// How often to repeat something that takes about `each`; once, unless a soak is asked for.
fn rounds(usually: usize, each: Duration) -> usize {
    let seconds = std::env::var("CHANCERY_FAULT_SECONDS").ok().filter(|text| !text.is_empty());
    let Some(seconds) = seconds else { return usually };
    let seconds: f64 = seconds.parse().expect("CHANCERY_FAULT_SECONDS is a number of seconds");
    usually.max((seconds / each.as_secs_f64()).ceil() as usize)
}

/// Waits until `done` says so.
async fn wait_for(what: &str, at_most: Duration, mut done: impl AsyncFnMut() -> bool) -> Duration {
    let began = now();
    while !done().await {
        assert!(began.elapsed() < at_most, "not within {at_most:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    began.elapsed()
}
