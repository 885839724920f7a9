//! The time of the limits: monotonic, so that a corrected wall clock neither opens nor shuts anything.

use governor::{
    clock::{Clock, FakeRelativeClock, MonotonicClock},
    nanos::Nanos,
};

/// Tells how much time has passed.
#[derive(Clone, Debug)]
pub enum Timer {
    /// Since the process began to count.
    Monotonic {
        /// The machine's monotonic clock.
        clock: MonotonicClock,
        /// When it began.
        start: <MonotonicClock as Clock>::Instant,
    },
    /// As a test says.
    Manual(FakeRelativeClock),
}

impl Default for Timer {
    fn default() -> Self {
        let clock = MonotonicClock;
        Self::Monotonic { start: clock.now(), clock }
    }
}

impl Clock for Timer {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        match self {
            Self::Monotonic { clock, start } => clock.now().duration_since(*start).into(),
            Self::Manual(clock) => clock.now(),
        }
    }
}
