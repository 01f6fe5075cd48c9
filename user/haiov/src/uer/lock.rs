// SPDX-License-Identifier: MIT OR Apache-2.0
//! A lock that handlers can take: they never wait for it, and releasing it needs no system call.

use std::cell::UnsafeCell;
use std::hint;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::device::{Caller, Punt};

const FREE: u32 = 0;
const HELD: u32 = 1;

/// How often a thread looks again before it lets others run.
const SPINS: u32 = 100;
/// A holder for so long is a handler that was ended: many times its budget.
const PATIENCE: Duration = Duration::from_secs(2);

/// State of a device that one vCPU at a time may see.
///
/// A handler does not wait for it but punts. Threads wait by looking again: a handler holds it for some tens of
/// instructions, and could not wake a thread that sleeps.
///
/// # Examples
///
/// ```
/// use haiov::uer::{Caller, TryLock};
///
/// let lock = TryLock::new(41);
/// *lock.lock()? += 1;
/// assert_eq!(*lock.enter(Caller::outside())?, 42);
/// let guard = lock.try_lock()?;
/// assert!(lock.try_lock().is_err(), "taken");
/// # drop(guard);
/// # Ok::<(), haiov::uer::Punt>(())
/// ```
#[derive(Debug, Default)]
pub struct TryLock<T: ?Sized> {
    /// A word and not a byte: RISC-V swaps words by one instruction.
    state: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: the value moves along with the lock, and only one thread at a time has access to it: `try_lock` is the one way
// to a guard, and its swap lets only one caller pass until that guard is dropped. So what the value needs is to be
// allowed to go from thread to thread.
unsafe impl<T: ?Sized + Send> Send for TryLock<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send> Sync for TryLock<T> {}

impl<T> TryLock<T> {
    /// Makes a lock that nobody holds.
    pub const fn new(value: T) -> Self {
        Self { state: AtomicU32::new(FREE), value: UnsafeCell::new(value) }
    }
}

impl<T: ?Sized> TryLock<T> {
    /// Takes the lock if nobody holds it.
    ///
    /// # Errors
    ///
    /// [`Punt`] when somebody holds it.
    #[inline(always)]
    pub fn try_lock(&self) -> Result<TryGuard<'_, T>, Punt> {
        match self.state.swap(HELD, Ordering::Acquire) {
            FREE => Ok(TryGuard { lock: self }),
            _ => Err(Punt),
        }
    }

    /// Takes the lock, as one may where the caller is: a handler only tries, a thread waits.
    ///
    /// # Arguments
    ///
    /// * `caller` - from where the device is called.
    ///
    /// # Errors
    ///
    /// [`Punt`] when a handler finds it held, and as for [`TryLock::lock`].
    #[inline(always)]
    pub fn enter(&self, caller: Caller<'_>) -> Result<TryGuard<'_, T>, Punt> {
        self.try_lock().or_else(|Punt| caller.after_exit(|| self.lock())?)
    }

    /// Takes the lock, and waits for it; not in a handler.
    ///
    /// # Errors
    ///
    /// [`Punt`] when it is held for two seconds: its holder was a handler that KVM ended, so that it is never released.
    #[inline(never)]
    pub fn lock(&self) -> Result<TryGuard<'_, T>, Punt> {
        let mut deadline = None;
        loop {
            for _ in 0..SPINS {
                if let Ok(guard) = self.try_lock() {
                    return Ok(guard);
                }
                hint::spin_loop();
            }
            let now = Instant::now();
            if now > *deadline.get_or_insert(now + PATIENCE) {
                return Err(Punt);
            }
            thread::yield_now();
        }
    }

    /// The value, without a lock: nobody else has it.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

/// That the lock is held, until this is dropped.
#[derive(Debug)]
pub struct TryGuard<'a, T: ?Sized> {
    lock: &'a TryLock<T>,
}

// SAFETY: a shared guard gives no more than a shared reference to the value.
unsafe impl<T: ?Sized + Sync> Sync for TryGuard<'_, T> {}

impl<T: ?Sized> Deref for TryGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: this is the only guard, and it is borrowed as long as the reference.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> DerefMut for TryGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this is the only guard, and it is borrowed mutably as long as the reference.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: ?Sized> Drop for TryGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.state.store(FREE, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_punts_and_a_thread_waits() {
        let lock = TryLock::new(0);
        let guard = lock.try_lock().unwrap();
        assert_eq!(lock.enter(Caller::inside()).unwrap_err(), Punt);
        thread::scope(|scope| {
            let waiter = scope.spawn(|| *lock.enter(Caller::outside()).unwrap() += 1);
            thread::yield_now();
            assert!(!waiter.is_finished());
            drop(guard);
        });
        assert_eq!(*lock.lock().unwrap(), 1);
    }

    #[test]
    fn nobody_sees_half_a_change() {
        let lock = TryLock::new((0_u64, 0_u64));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        let mut pair = lock.lock().unwrap();
                        assert_eq!(pair.0, pair.1);
                        pair.0 += 1;
                        pair.1 += 1;
                    }
                });
            }
        });
        assert_eq!(*lock.lock().unwrap(), (40_000, 40_000));
    }

    #[test]
    fn a_lock_that_is_never_released_is_given_up() {
        let lock = TryLock::new(());
        std::mem::forget(lock.try_lock().unwrap());
        assert_eq!(lock.lock().unwrap_err(), Punt);
    }
}
