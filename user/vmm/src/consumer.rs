// SPDX-License-Identifier: MIT OR Apache-2.0
//! A thread that waits for an eventfd: the same code whoever signals it.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::eventfd::EventFd;

use crate::affinity::Where;
use crate::error::{Error, Result};

const START: &str = "start a consumer";

/// What a consumer has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events: the sum of the values read.
    pub signals: u64,
    /// Reads that returned: each is one wake-up of the thread, or one that was spared it.
    pub wakeups: u64,
}

struct Shared {
    eventfd: Arc<EventFd>,
    counts: Mutex<Counts>,
    changed: Condvar,
    stop: AtomicBool,
}

impl Shared {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads until told to stop.
    fn consume(&self) -> io::Result<()> {
        loop {
            let value = match self.eventfd.read() {
                Ok(value) => value,
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(errno.into()),
            };
            if self.stop.load(Ordering::Acquire) {
                return Ok(());
            }
            let mut counts = self.counts();
            counts.signals += value;
            counts.wakeups += 1;
            drop(counts);
            self.changed.notify_all();
        }
    }
}

/// A thread that reads an eventfd, blocked while there is nothing to read, and counts.
pub struct Consumer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Consumer {
    /// Starts a consumer.
    ///
    /// # Arguments
    ///
    /// * `name` - name of the thread.
    /// * `eventfd` - what it reads; not in non-blocking mode.
    /// * `on` - which host CPU it stays on.
    ///
    /// # Errors
    ///
    /// [`Error::Host`] when there can be no further thread, [`Error::Affinity`] when it cannot run on the CPU that the user has
    /// chosen.
    pub fn spawn(name: &str, eventfd: Arc<EventFd>, on: Where) -> Result<Self> {
        let shared = Arc::new(Shared {
            eventfd,
            counts: Mutex::default(),
            changed: Condvar::new(),
            stop: AtomicBool::new(false),
        });
        let (ready, started) = sync_channel(1);
        let thread = Builder::new().name(name.to_owned()).spawn({
            let shared = shared.clone();
            move || {
                let kept = on.keep("a consumer");
                let runs = kept.is_ok();
                let _ = ready.send(kept);
                if runs { shared.consume() } else { Ok(()) }
            }
        });
        let thread = thread.map_err(Error::host(START))?;
        let consumer = Self { shared, thread: Some(thread) };
        started.recv().map_err(|gone| Error::host(START)(io::Error::other(gone)))??;
        Ok(consumer)
    }

    /// The eventfd that the thread reads.
    pub fn eventfd(&self) -> &EventFd {
        &self.shared.eventfd
    }

    /// What it has seen.
    pub fn counts(&self) -> Counts {
        *self.shared.counts()
    }

    /// Waits until it has seen more.
    ///
    /// # Arguments
    ///
    /// * `seen` - what the caller knows of.
    /// * `deadline` - when to give up; the result is then what `seen` was.
    pub fn wait_for_more(&self, seen: Counts, deadline: Instant) -> Counts {
        let left = deadline.saturating_duration_since(Instant::now());
        let counts = self.shared.counts();
        let (counts, _) = self
            .shared
            .changed
            .wait_timeout_while(counts, left, |counts| *counts == seen)
            .unwrap_or_else(PoisonError::into_inner);
        *counts
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        // The write fails only when the counter is full, and then the thread has something to read anyway.
        let _ = self.shared.eventfd.write(1);
        if let Some(Ok(Err(error))) = self.thread.take().map(JoinHandle::join) {
            eprintln!("haiov-vmm: a consumer stopped early: {error}; its counts are too low");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn consumer() -> Consumer {
        Consumer::spawn("test", Arc::new(EventFd::new().unwrap()), Where::Anywhere).unwrap()
    }

    #[test]
    fn counts_signals_and_wakeups() {
        let consumer = consumer();
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut seen = Counts::default();
        for value in [1, 3] {
            consumer.eventfd().write(value).unwrap();
            let now = consumer.wait_for_more(seen, deadline);
            assert_eq!(now, Counts { signals: seen.signals + value, wakeups: seen.wakeups + 1 });
            seen = now;
        }
    }

    #[test]
    fn nothing_more_ends_at_the_deadline() {
        let consumer = consumer();
        let seen = consumer.counts();
        assert_eq!(consumer.wait_for_more(seen, Instant::now()), seen);
    }

    #[test]
    fn an_impossible_cpu_is_an_error() {
        assert!(Consumer::spawn("test", Arc::new(EventFd::new().unwrap()), Where::On(1 << 20)).is_err());
    }
}
