//! Randomness. Injected like the time.

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Fills bytes with what nobody can guess.
pub trait Random: Send + Sync {
    /// Fills the buffer.
    fn fill(&self, bytes: &mut [u8]);
}

/// The operating system's generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the operating system")]
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system has a random generator");
    }
}

/// What flows draw from a [`Random`].
pub trait Draw {
    /// So many random bytes.
    fn bytes<const N: usize>(&self) -> [u8; N];

    /// A UUIDv7: it begins with the time, so that rows of one table are written side by side.
    fn id(&self, now: DateTime<Utc>) -> Uuid;
}

impl<R: Random + ?Sized> Draw for R {
    fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    fn id(&self, now: DateTime<Utc>) -> Uuid {
        let millis = u64::try_from(now.timestamp_millis()).unwrap_or_default();
        uuid::Builder::from_unix_timestamp_millis(millis, &self.bytes()).into_uuid()
    }
}
