// SPDX-License-Identifier: MIT OR Apache-2.0
//! The serial port's way out: a ring in memory, which a handler fills without a system call, and a thread that empties
//! it.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering, fence};
use std::sync::{Mutex, PoisonError};

use haiov::uer::{Caller, Event};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

/// Bytes that wait at most; a power of two.
const CAPACITY: usize = 1 << 16;
/// How long the thread looks on for more before it has to be woken, in ms: a guest that prints needs one wake-up for
/// all that it prints, and what it prints last is out this late.
const LINGER_MS: u8 = 2;

/// Bytes in order. One caller at a time pushes, and one takes.
struct Ring {
    bytes: Box<[AtomicU8]>,
    /// How many were ever pushed.
    head: AtomicUsize,
    /// How many were ever taken.
    tail: AtomicUsize,
}

impl Ring {
    fn new() -> Self {
        let bytes = (0..CAPACITY).map(|_| AtomicU8::new(0)).collect();
        Self { bytes, head: AtomicUsize::new(0), tail: AtomicUsize::new(0) }
    }

    /// Adds a byte; `false` when there is no room.
    fn push(&self, byte: u8) -> bool {
        let head = self.head.load(Ordering::Relaxed);
        if head.wrapping_sub(self.tail.load(Ordering::Acquire)) >= CAPACITY {
            return false;
        }
        if let Some(slot) = self.bytes.get(head % CAPACITY) {
            slot.store(byte, Ordering::Relaxed);
        }
        self.head.store(head.wrapping_add(1), Ordering::Release);
        true
    }

    fn is_empty(&self) -> bool {
        self.head.load(Ordering::Acquire) == self.tail.load(Ordering::Relaxed)
    }

    /// Takes what there is, as much as the buffer holds.
    fn take(&self, buffer: &mut [u8]) -> usize {
        let tail = self.tail.load(Ordering::Relaxed);
        let count = self.head.load(Ordering::Acquire).wrapping_sub(tail).min(buffer.len());
        for (i, byte) in buffer.iter_mut().take(count).enumerate() {
            *byte = self.bytes[tail.wrapping_add(i) % CAPACITY].load(Ordering::Relaxed);
        }
        self.tail.store(tail.wrapping_add(count), Ordering::Release);
        count
    }
}

/// The way out.
pub struct Output<W> {
    ring: Ring,
    /// Whether the thread must be woken to see more.
    asleep: AtomicBool,
    wake: Event,
    /// Held by whoever takes from the ring.
    writer: Mutex<W>,
}

impl<W: Write> Output<W> {
    /// Makes the ring; [`Output::run`] empties it.
    ///
    /// # Arguments
    ///
    /// * `writer` - where the bytes go.
    ///
    /// # Errors
    ///
    /// The system's error when there can be no further eventfd.
    pub fn new(writer: W) -> io::Result<Self> {
        let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let wake = Event::new(wake.as_fd().try_clone_to_owned()?);
        Ok(Self { ring: Ring::new(), asleep: AtomicBool::new(false), wake, writer: Mutex::new(writer) })
    }

    /// What wakes the thread.
    pub fn wake(&self) -> &Event {
        &self.wake
    }

    /// Adds a byte; `false` when there is no room. One caller at a time.
    ///
    /// # Arguments
    ///
    /// * `caller` - from where the device is called.
    /// * `byte` - the byte.
    pub fn push(&self, caller: Caller<'_>, byte: u8) -> bool {
        if !self.ring.push(byte) {
            return false;
        }
        // Either the thread sees the byte before it sleeps, or this sees that it sleeps.
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) {
            self.rouse(|| self.wake.signal(caller).is_ok());
        }
        true
    }

    /// Wakes the thread; `signal` says whether it could.
    #[cold]
    fn rouse(&self, signal: impl FnOnce() -> bool) {
        // First, since the thread may sleep again as soon as it is signaled.
        self.asleep.store(false, Ordering::Relaxed);
        if !signal() {
            // It sleeps on, so that the next byte tries again.
            self.asleep.store(true, Ordering::Relaxed);
        }
    }

    /// Writes out all that there is; `false` when there was nothing.
    pub fn drain(&self) -> bool {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffer = [0; 4096];
        let mut some = false;
        loop {
            let count = self.ring.take(&mut buffer);
            if count == 0 {
                break;
            }
            some = true;
            // A closed standard output loses the bytes, as a pulled plug would; the guest goes on.
            let _ = writer.write_all(&buffer[..count]);
        }
        if some {
            let _ = writer.flush();
        }
        some
    }

    /// Empties the ring until `stop` is signaled, and then once more.
    ///
    /// # Arguments
    ///
    /// * `stop` - what ends this.
    ///
    /// # Errors
    ///
    /// The system's error when it cannot wait.
    pub fn run(&self, stop: &EventFd) -> io::Result<()> {
        loop {
            let more = self.drain();
            let timeout = if more {
                PollTimeout::from(LINGER_MS)
            } else {
                self.asleep.store(true, Ordering::Relaxed);
                // See `push`.
                fence(Ordering::SeqCst);
                if !self.ring.is_empty() {
                    self.asleep.store(false, Ordering::Relaxed);
                    continue;
                }
                PollTimeout::NONE
            };
            let mut fds = [stop.as_fd(), self.wake.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
            match poll(&mut fds, timeout) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            if fds[0].any().unwrap_or(true) {
                self.drain();
                return Ok(());
            }
            if fds[1].any().unwrap_or(true) {
                // Non-blocking: whatever it holds, the ring is looked at next.
                let _ = nix::unistd::read(&self.wake, &mut [0; 8]);
            }
            self.asleep.store(false, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn a_full_ring_takes_no_more_until_it_is_drained() {
        let output = Output::new(Vec::new()).unwrap();
        for i in 0..CAPACITY {
            assert!(output.push(Caller::outside(), i as u8));
        }
        assert!(!output.push(Caller::outside(), 0));
        assert!(output.drain() && !output.drain());
        assert!(output.push(Caller::outside(), 7));
        output.drain();
        let written = output.writer.into_inner().unwrap();
        assert_eq!(written.len(), CAPACITY + 1);
        assert!(written[..CAPACITY].iter().enumerate().all(|(i, byte)| *byte == i as u8));
    }

    #[test]
    fn everything_comes_out_in_order_and_the_thread_sleeps_in_between() {
        let output = Output::new(Vec::new()).unwrap();
        let stop = EventFd::new().unwrap();
        let sent: Vec<u8> = (0..=255).cycle().take(300_000).collect();
        thread::scope(|scope| {
            let thread = scope.spawn(|| output.run(&stop));
            for part in sent.chunks(100_000) {
                while !output.asleep.load(Ordering::Relaxed) {
                    thread::yield_now();
                }
                for byte in part {
                    while !output.push(Caller::outside(), *byte) {
                        output.drain();
                    }
                }
            }
            stop.write(1).unwrap();
            thread.join().unwrap().unwrap();
        });
        assert!(output.writer.into_inner().unwrap() == sent);
    }

    #[test]
    fn a_thread_that_sleeps_again_at_once_is_woken_again() {
        let output = Output::new(Vec::new()).unwrap();
        output.asleep.store(true, Ordering::Relaxed);
        output.rouse(|| {
            // Woken, it has written everything and sleeps, before whoever woke it goes on.
            assert!(!output.asleep.swap(true, Ordering::Relaxed));
            true
        });
        assert!(output.asleep.load(Ordering::Relaxed));
    }

    #[test]
    fn a_thread_that_cannot_be_woken_is_tried_again() {
        let output = Output::new(Vec::new()).unwrap();
        output.asleep.store(true, Ordering::Relaxed);
        output.rouse(|| false);
        assert!(output.asleep.load(Ordering::Relaxed));
    }

    #[test]
    fn one_wake_up_is_enough_for_many_bytes() {
        let output = Output::new(Vec::new()).unwrap();
        output.asleep.store(true, Ordering::Relaxed);
        for byte in b"hello" {
            assert!(output.push(Caller::outside(), *byte));
        }
        let mut count = [0; 8];
        nix::unistd::read(output.wake(), &mut count).unwrap();
        assert_eq!(u64::from_ne_bytes(count), 1);
    }
}
