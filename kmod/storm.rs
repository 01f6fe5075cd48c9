// SPDX-License-Identifier: GPL-2.0

//! The rate limit of a VEIID.
//!
//! To send costs a guest two instructions, to be interrupted costs us hundreds. A VEIID that is
//! claimed more than `events` times within `window` is over its rate; its hart then masks it for a
//! while.

use kernel::{
    prelude::*,
    time::{
        Delta,
        Instant,
        Monotonic, //
    },
};

/// How often a VEIID may be claimed.
#[derive(Clone, Copy)]
pub(crate) struct Limit {
    events: u32,
    window: Delta,
}

impl Limit {
    /// Longest window that makes sense: a masked VEIID waits for as long.
    const WINDOW_MAX_US: u32 = 1_000_000;

    /// `events` in `window_us` microseconds; 0 events for no limit.
    pub(crate) fn new(events: u32, window_us: u32) -> Self {
        let window_us = window_us.clamp(1, Self::WINDOW_MAX_US);
        Self {
            events: if events == 0 { u32::MAX } else { events },
            window: Delta::from_micros(window_us.into()),
        }
    }

    /// For how long a VEIID that went over its rate is masked.
    pub(crate) fn pause(&self) -> Delta {
        self.window
    }
}

/// The account of one VEIID.
///
/// The clock is read once in `events` claims only: if these took less than the window, that was
/// too fast. A VEIID that was quiet before may so get through up to twice its limit.
#[derive(Clone, Copy)]
pub(crate) struct Account {
    since: Instant<Monotonic>,
    count: u32,
}

impl Account {
    /// Opens an account.
    pub(crate) fn new(now: Instant<Monotonic>) -> Self {
        Self {
            since: now,
            count: 0,
        }
    }

    /// Books one claim. Returns `true` if it makes the VEIID go over its rate.
    pub(crate) fn book(&mut self, limit: &Limit, now: impl FnOnce() -> Instant<Monotonic>) -> bool {
        self.count += 1;
        if self.count < limit.events {
            return false;
        }

        let now = now();
        let over = now - self.since < limit.window;
        *self = Self::new(now);
        over
    }
}

#[kunit_tests(haiov_storm)]
mod tests {
    use super::*;

    fn claims(
        account: &mut Account,
        limit: &Limit,
        start: Instant<Monotonic>,
        step_us: i64,
        count: u32,
    ) -> Option<u32> {
        (1..=count)
            .find(|&n| account.book(limit, || start + Delta::from_micros(step_us * i64::from(n))))
    }

    #[test]
    fn slow_is_never_over() {
        let start = Instant::<Monotonic>::now();
        let limit = Limit::new(100, 10_000);
        let mut account = Account::new(start);

        // 100 events in exactly the window.
        assert_eq!(claims(&mut account, &limit, start, 100, 10_000), None);
    }

    #[test]
    fn fast_is_over_at_the_limit() {
        let start = Instant::<Monotonic>::now();
        let limit = Limit::new(100, 10_000);
        let mut account = Account::new(start);

        assert_eq!(claims(&mut account, &limit, start, 99, 10_000), Some(100));
    }

    #[test]
    fn burst_after_silence_is_over_at_twice_the_limit() {
        let start = Instant::<Monotonic>::now();
        let limit = Limit::new(100, 10_000);
        let mut account = Account::new(start);
        let later = start + Delta::from_micros(1_000_000);

        assert_eq!(claims(&mut account, &limit, later, 1, 10_000), Some(200));
    }

    #[test]
    fn clock_is_read_at_the_limit_only() {
        let start = Instant::<Monotonic>::now();
        let limit = Limit::new(10, 10_000);
        let mut account = Account::new(start);
        let mut reads = 0;

        for _ in 0..100 {
            account.book(&limit, || {
                reads += 1;
                start
            });
        }
        assert_eq!(reads, 10);
    }

    #[test]
    fn limits_of_the_limit() {
        let start = Instant::<Monotonic>::now();
        let mut account = Account::new(start);

        // No limit.
        assert_eq!(
            claims(&mut account, &Limit::new(0, 10_000), start, 0, 100_000),
            None
        );
        // A window of 0 or of an hour is corrected.
        assert_eq!(Limit::new(1, 0).pause().as_nanos(), 1_000);
        assert_eq!(Limit::new(1, u32::MAX).pause().as_nanos(), 1_000_000_000);
        // Every single event.
        let mut account = Account::new(start);
        assert_eq!(
            claims(&mut account, &Limit::new(1, 10), start, 1, 1),
            Some(1)
        );
    }
}
