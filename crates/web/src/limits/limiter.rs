//! One limit over many callers: the generic cell rate algorithm (GCRA), by the governor crate.

use std::{hash::Hash, num::NonZeroU32, time::Duration};

use governor::{
    Quota, RateLimiter, clock::Clock, middleware::StateInformationMiddleware, state::keyed::DashMapStateStore,
};

use crate::limits::Timer;

const MINUTE: Duration = Duration::from_secs(60);

type Counts<K> = RateLimiter<K, DashMapStateStore<K>, Timer, StateInformationMiddleware>;

/// One limit; each key has a share of its own.
pub struct Limiter<K: Hash + Eq + Clone> {
    name: &'static str,
    quota: NonZeroU32,
    timer: Timer,
    counts: Counts<K>,
}

/// What is left of a caller's share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Which limit.
    pub limit: &'static str,
    /// Requests per minute, and at once.
    pub quota: u32,
    /// Requests left.
    pub remaining: u32,
    /// Seconds until there is one more.
    pub reset: u64,
}

/// What a limit says to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may go on.
    Within(Standing),
    /// It may not; `reset` is when to come again.
    Beyond(Standing),
}

impl<K: Hash + Eq + Clone> Limiter<K> {
    /// A limit of so many requests per minute.
    pub fn new(name: &'static str, per_minute: NonZeroU32, timer: &Timer) -> Self {
        let counts = Counts::new(Quota::per_minute(per_minute), DashMapStateStore::default(), timer.clone());
        Self { name, quota: per_minute, timer: timer.clone(), counts }
    }

    /// Counts a request.
    pub fn check(&self, key: &K) -> Verdict {
        let quota = self.quota.get();
        let standing = |remaining, wait| Standing { limit: self.name, quota, remaining, reset: whole(wait) };
        match self.counts.check_key(key) {
            Ok(state) => Verdict::Within(standing(state.remaining_burst_capacity(), MINUTE / quota)),
            Err(until) => Verdict::Beyond(standing(0, until.wait_time_from(self.timer.now()))),
        }
    }

    /// How many keys are remembered.
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// Forgets keys whose share is whole again.
    pub fn tidy(&self) {
        self.counts.retain_recent();
        self.counts.shrink_to_fit();
    }
}

/// Whole seconds, at least one: `Retry-After` knows no fractions (RFC 9110 §10.2.3), and who comes
/// too early is refused again.
fn whole(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn limiter(per_minute: u32) -> (FakeRelativeClock, Limiter<u32>) {
        let clock = FakeRelativeClock::default();
        let timer = Timer::Manual(clock.clone());
        (clock, Limiter::new("test", NonZeroU32::new(per_minute).unwrap(), &timer))
    }

    fn within(verdict: Verdict) -> Standing {
        match verdict {
            Verdict::Within(standing) => standing,
            Verdict::Beyond(standing) => panic!("{standing:?}"),
        }
    }

    fn beyond(verdict: Verdict) -> Standing {
        match verdict {
            Verdict::Beyond(standing) => standing,
            Verdict::Within(standing) => panic!("{standing:?}"),
        }
    }

    #[test]
    fn a_minutes_share_may_be_used_at_once_and_grows_back_evenly() {
        let (clock, limiter) = limiter(6);
        for remaining in (0..6).rev() {
            let standing = within(limiter.check(&1));
            assert_eq!(standing, Standing { limit: "test", quota: 6, remaining, reset: 10 });
        }
        assert_eq!(beyond(limiter.check(&1)).reset, 10);
        clock.advance(Duration::from_millis(3_500));
        assert_eq!(beyond(limiter.check(&1)).reset, 7, "6.5 s are 7");
        clock.advance(Duration::from_millis(6_500));
        assert_eq!(within(limiter.check(&1)).remaining, 0);
        beyond(limiter.check(&1));
        clock.advance(Duration::from_secs(60));
        assert_eq!(within(limiter.check(&1)).remaining, 5);
    }

    #[test]
    fn waiting_as_told_is_enough() {
        for quota in [1, 7, 60, 600, 6_000] {
            let (clock, limiter) = limiter(quota);
            for _ in 0..quota {
                within(limiter.check(&1));
            }
            let standing = beyond(limiter.check(&1));
            clock.advance(Duration::from_secs(standing.reset));
            within(limiter.check(&1));
        }
    }

    #[test]
    fn each_key_has_a_share_of_its_own() {
        let (_, limiter) = limiter(1);
        within(limiter.check(&1));
        within(limiter.check(&2));
        beyond(limiter.check(&1));
    }

    #[test]
    fn keys_with_a_whole_share_are_forgotten_and_others_are_not() {
        let (clock, limiter) = limiter(2);
        for key in 0..100 {
            within(limiter.check(&key));
        }
        clock.advance(Duration::from_secs(61));
        within(limiter.check(&7));
        within(limiter.check(&7));
        limiter.tidy();
        assert!(limiter.len() < 100, "{}", limiter.len());
        beyond(limiter.check(&7));
        clock.advance(Duration::from_secs(200));
        limiter.tidy();
        assert_eq!(limiter.len(), 0);
    }
}
