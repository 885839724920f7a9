//! Randomness. Injected like the time.

use std::cell::RefCell;

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Fills bytes with what nobody can guess.
pub trait Random: Send + Sync {
    /// Fills the buffer.
    fn fill(&self, bytes: &mut [u8]);

    /// The same for a name that is no secret; it may have been drawn a while ago.
    fn fill_name(&self, bytes: &mut [u8]) {
        self.fill(bytes);
    }
}

/// The operating system's generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the operating system")]
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system has a random generator");
    }

    /// Every request gets a name, and a system call is the dearest part of it. So names come out of a
    /// store that is filled once for many; secrets are always drawn when they are needed.
    fn fill_name(&self, bytes: &mut [u8]) {
        DRAWN.with_borrow_mut(|drawn| {
            if bytes.len() > drawn.left {
                if bytes.len() > STORE {
                    return self.fill(bytes);
                }
                self.fill(&mut drawn.bytes);
                drawn.left = STORE;
            }
            let rest = drawn.left - bytes.len();
            // Overwritten, so that a slip in the arithmetic would show as a name of zeros.
            let taken = &mut drawn.bytes[rest..drawn.left];
            bytes.copy_from_slice(taken);
            taken.fill(0);
            drawn.left = rest;
        });
    }
}

/// Bytes that a thread draws at once.
const STORE: usize = 1024;

/// Bytes from the operating system that have not been used yet: the first `left` ones.
struct Drawn {
    bytes: [u8; STORE],
    left: usize,
}

thread_local! {
    static DRAWN: RefCell<Drawn> = const { RefCell::new(Drawn { bytes: [0; STORE], left: 0 }) };
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
        let mut bytes = [0; 10];
        self.fill_name(&mut bytes);
        uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, thread};

    use super::*;

    #[test]
    fn names_never_repeat_and_are_never_blank() {
        let draw = || {
            let now = DateTime::UNIX_EPOCH;
            (0..10_000).map(|_| SystemRandom.id(now)).collect::<Vec<_>>()
        };
        let other = thread::spawn(draw);
        let mut ids = draw();
        ids.extend(other.join().expect("drawing does not fail"));
        assert!(ids.iter().all(|id| id.get_version_num() == 7 && id.as_bytes()[9..].iter().any(|b| *b != 0)));
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 20_000);
        let mut long = [0; STORE + 1];
        SystemRandom.fill_name(&mut long);
        assert!(long.chunks_exact(64).all(|part| part.iter().any(|byte| *byte != 0)));
    }
}
