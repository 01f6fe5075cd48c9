// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stops the vCPUs between two instructions of the guest, and lets them go on.
//!
//! Every vCPU's thread looks at the gate before it enters the guest, and is kicked out of `KVM_RUN` by a signal when
//! the gate closes. `KVM_RUN` never returns with a frame of UER in flight, so that a thread that waits here has none.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use nix::sys::pthread::{Pthread, pthread_kill, pthread_self};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Ends `KVM_RUN`; the vCPUs' threads block it otherwise.
pub const KICK: Signal = Signal::SIGUSR1;

/// The set that has [`KICK`] alone.
pub fn kick_set() -> SigSet {
    let mut set = SigSet::empty();
    set.add(KICK);
    set
}

#[derive(Default)]
struct Inner {
    closed: bool,
    ended: bool,
    /// The threads that have entered and not left.
    threads: BTreeMap<u32, Pthread>,
    /// How many of them wait here.
    waiting: usize,
}

/// The gate.
#[derive(Default)]
pub struct Gate {
    inner: Mutex<Inner>,
    changed: Condvar,
    /// Whether a thread has to come here at all.
    wanted: AtomicBool,
}

impl Gate {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the calling thread one that the gate stops, until the result is dropped.
    ///
    /// # Arguments
    ///
    /// * `index` - which vCPU it runs.
    pub fn enter(&self, index: u32) -> Entered<'_> {
        self.inner().threads.insert(index, pthread_self());
        Entered { gate: self, index }
    }

    /// Whether the calling thread has to come to [`Entered::wait`].
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Acquire)
    }

    /// Stops all threads; returns when they wait, or have left.
    pub fn close(&self) {
        let mut inner = self.inner();
        inner.closed = true;
        self.kick(&inner);
        while !inner.ended && inner.waiting < inner.threads.len() {
            inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lets the threads go on; returns when none waits here any more.
    pub fn open(&self) {
        let mut inner = self.inner();
        inner.closed = false;
        self.wanted.store(inner.ended, Ordering::Release);
        self.changed.notify_all();
        while inner.waiting > 0 {
            inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends the loops of all threads.
    pub fn end(&self) {
        let mut inner = self.inner();
        inner.ended = true;
        self.kick(&inner);
        self.changed.notify_all();
    }

    fn kick(&self, inner: &Inner) {
        self.wanted.store(true, Ordering::Release);
        for thread in inner.threads.values() {
            // It is there: it leaves under the lock that is held here.
            let _ = pthread_kill(*thread, KICK);
        }
    }
}

/// A thread that the gate stops.
pub struct Entered<'a> {
    gate: &'a Gate,
    index: u32,
}

impl Entered<'_> {
    /// Waits while the gate is closed; `false` when the thread's loop ends.
    pub fn wait(&self) -> bool {
        let mut inner = self.gate.inner();
        inner.waiting += 1;
        self.gate.changed.notify_all();
        while inner.closed && !inner.ended {
            inner = self.gate.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        inner.waiting -= 1;
        self.gate.changed.notify_all();
        !inner.ended
    }

    /// Takes a kick that has arrived, which would end each further `KVM_RUN` at once.
    ///
    /// # Errors
    ///
    /// The system's error when there can be no further file.
    pub fn take_kick(&self) -> nix::Result<()> {
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let signals = SignalFd::with_flags(&kick_set(), flags)?;
        // Nothing to read: something else has ended KVM_RUN.
        let _ = nix::unistd::read(signals.as_fd(), &mut [0; 128]);
        Ok(())
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.gate.inner().threads.remove(&self.index);
        self.gate.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;
    use std::sync::mpsc::channel;
    use std::thread;

    #[test]
    fn a_closed_gate_stops_every_thread() {
        let (gate, count, (ready, started)) = (Gate::default(), AtomicU64::new(0), channel());
        thread::scope(|scope| {
            for index in 0..3 {
                let (ready, gate, count) = (ready.clone(), &gate, &count);
                scope.spawn(move || {
                    kick_set().thread_block().unwrap();
                    let entered = gate.enter(index);
                    ready.send(()).unwrap();
                    loop {
                        if gate.is_wanted() {
                            entered.take_kick().unwrap();
                            if !entered.wait() {
                                break;
                            }
                        }
                        count.fetch_add(1, Ordering::SeqCst);
                        thread::yield_now();
                    }
                });
            }
            (0..3).for_each(|_| started.recv().unwrap());
            for _ in 0..20 {
                gate.close();
                let before = count.load(Ordering::SeqCst);
                thread::yield_now();
                assert_eq!(count.load(Ordering::SeqCst), before);
                gate.open();
                while count.load(Ordering::SeqCst) == before {
                    thread::yield_now();
                }
            }
            gate.close();
            gate.end(); // those that wait end too
        });
        gate.close(); // nobody is left to wait for
    }

    #[test]
    fn a_kick_is_taken_once() {
        let (gate, (ready, started), (tell, told)) = (Gate::default(), channel(), channel());
        thread::scope(|scope| {
            let gate = &gate;
            scope.spawn(move || {
                kick_set().thread_block().unwrap();
                let entered = gate.enter(0);
                ready.send(()).unwrap();
                told.recv().unwrap();
                let flags = SfdFlags::SFD_NONBLOCK;
                entered.take_kick().unwrap();
                let signals = SignalFd::with_flags(&kick_set(), flags).unwrap();
                assert!(signals.read_signal().unwrap().is_none(), "it is gone");
            });
            started.recv().unwrap();
            gate.end();
            tell.send(()).unwrap();
        });
    }
}
