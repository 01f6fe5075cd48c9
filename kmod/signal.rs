// SPDX-License-Identifier: GPL-2.0

//! Signals: the eventfds that handlers of a VM, or that of a context, can signal, by index.
//!
//! # Why not RCU
//!
//! Each index has a lock of its own, which a handler's ecall holds while it signals. Two vCPUs meet
//! there only if they signal the same eventfd, and then they meet at the lock of the eventfd as
//! well. In return an eventfd is gone the moment that it is taken out, and nobody who removes one
//! has to wait for all CPUs.
//!
//! The ecall of a context comes with interrupts disabled, but never on a CPU that was in its kernel: who
//! has taken such a lock with interrupts enabled is not interrupted by it.

use crate::{
    bound::BoundVm,
    context::Context,
    eventfd::EventFd,
    uapi, //
};
use kernel::{
    prelude::*,
    sync::{
        new_spinlock,
        Arc,
        SpinLock, //
    },
};

/// Indices that a VM or a context has.
pub(crate) const MAX: usize = uapi::HAIOV_MAX_SIGNALS as usize;

/// An index.
struct Slot<T> {
    target: Option<T>,
    signaled: u64,
}

/// The table from indices to eventfds.
#[pin_data]
pub(crate) struct Signals<T = EventFd> {
    #[pin]
    slots: [SpinLock<Slot<T>>; MAX],
}

impl<T: Unpin> Signals<T> {
    /// Creates an empty table.
    pub(crate) fn new() -> Result<Pin<KVBox<Self>>> {
        KVBox::pin_init(
            pin_init!(Self {
                slots <- pin_init::pin_init_array_from_fn(|_| new_spinlock!(Slot {
                    target: None,
                    signaled: 0,
                })),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Signals what is behind an index, by `signal`. Fails with `ENOENT` if there is nothing.
    #[inline]
    pub(crate) fn signal(&self, index: usize, signal: impl FnOnce(&T)) -> Result {
        let mut guard = self.slots.get(index).ok_or(ENOENT)?.lock();
        let slot = &mut *guard;

        let target = slot.target.as_ref().ok_or(ENOENT)?;
        // Counted first: who has seen the event finds it counted.
        slot.signaled += 1;
        signal(target);
        Ok(())
    }

    /// Puts something behind the lowest free index, and returns that.
    fn add(&self, target: T) -> Result<u32> {
        for (index, slot) in self.slots.iter().enumerate() {
            let mut slot = slot.lock();
            if slot.target.is_none() {
                *slot = Slot {
                    target: Some(target),
                    signaled: 0,
                };
                // CAST: It is less than `MAX`.
                return Ok(index as u32);
            }
        }
        Err(ENOSPC)
    }

    /// Empties an index. Nobody signals what was behind it once this has returned.
    fn remove(&self, index: u32) -> Option<T> {
        // Dropped by the caller, who has no lock.
        self.slots.get(index as usize)?.lock().target.take()
    }

    /// Tells for each index that is in use how often it was signaled.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        self.slots.iter().enumerate().filter_map(|(index, slot)| {
            let slot = slot.lock();
            slot.target.as_ref().map(|_| (index, slot.signaled))
        })
    }
}

/// Whose handlers can signal.
pub(crate) enum Owner {
    Vm(Arc<BoundVm>),
    Context(Arc<Context>),
}

impl Owner {
    fn signals(&self) -> &Signals {
        match self {
            Self::Vm(bound) => bound.vm().signals(),
            Self::Context(context) => context.seat().signals(),
        }
    }
}

/// An eventfd that handlers can signal, until this is dropped.
pub(crate) struct Signal {
    owner: Owner,
    index: u32,
}

impl Signal {
    /// Gives `eventfd` an index. Fails with `ENOSPC` if none is free.
    pub(crate) fn new(owner: Owner, eventfd: EventFd) -> Result<Self> {
        let index = owner.signals().add(eventfd)?;
        Ok(Self { owner, index })
    }

    /// What handlers signal it by.
    pub(crate) fn index(&self) -> u32 {
        self.index
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        drop(self.owner.signals().remove(self.index));
    }
}

#[kunit_tests(haiov_signal)]
mod tests {
    use super::*;
    use kernel::sync::atomic::{
        Atomic,
        Relaxed, //
    };

    /// Stands for an eventfd, which only a process can make.
    struct Fake(Arc<Atomic<u32>>);

    impl Drop for Fake {
        fn drop(&mut self) {
            self.0.add(1000, Relaxed);
        }
    }

    fn fake() -> Result<(Arc<Atomic<u32>>, Fake)> {
        let count = Arc::new(Atomic::new(0), GFP_KERNEL)?;
        Ok((count.clone(), Fake(count)))
    }

    fn signal(signals: &Signals<Fake>, index: usize) -> Result {
        signals.signal(index, |fake| fake.0.add(1, Relaxed))
    }

    #[test]
    fn lowest_free_index_first() -> Result {
        let signals = Signals::<u32>::new()?;

        assert_eq!(signals.add(7), Ok(0));
        assert_eq!(signals.add(8), Ok(1));
        assert_eq!(signals.add(9), Ok(2));
        assert_eq!(signals.remove(1), Some(8));
        assert_eq!(signals.add(10), Ok(1));
        assert_eq!(signals.remove(1), Some(10));
        Ok(())
    }

    #[test]
    fn full_table() -> Result {
        let signals = Signals::<u32>::new()?;

        for index in 0..MAX as u32 {
            assert_eq!(signals.add(index), Ok(index));
        }
        assert_eq!(signals.add(0), Err(ENOSPC));
        assert_eq!(signals.remove(MAX as u32 - 1), Some(MAX as u32 - 1));
        assert_eq!(signals.add(0), Ok(MAX as u32 - 1));
        assert_eq!(signals.iter().count(), MAX);
        Ok(())
    }

    #[test]
    fn nothing_behind_an_index() -> Result {
        let signals = Signals::<Fake>::new()?;

        assert_eq!(signals.add(fake()?.1), Ok(0));
        assert_eq!(signal(&signals, 1), Err(ENOENT));
        assert_eq!(signal(&signals, MAX - 1), Err(ENOENT));
        assert_eq!(signal(&signals, MAX), Err(ENOENT));
        assert_eq!(signal(&signals, usize::MAX), Err(ENOENT));
        assert_eq!(signal(&signals, 0), Ok(()));
        assert!(signals.remove(0).is_some());
        assert_eq!(signal(&signals, 0), Err(ENOENT));
        assert!(signals.remove(0).is_none());
        assert!(signals.remove(MAX as u32).is_none());
        assert!(signals.remove(u32::MAX).is_none());
        Ok(())
    }

    #[test]
    fn each_index_signals_its_own() -> Result {
        let signals = Signals::new()?;
        let (a, a_target) = fake()?;
        let (b, b_target) = fake()?;

        assert_eq!(signals.add(a_target), Ok(0));
        assert_eq!(signals.add(b_target), Ok(1));
        for _ in 0..3 {
            signal(&signals, 1)?;
        }
        assert_eq!((a.load(Relaxed), b.load(Relaxed)), (0, 3));
        assert!(signals.iter().eq([(0, 0), (1, 3)]));
        Ok(())
    }

    #[test]
    fn what_is_removed_is_dropped_and_forgotten() -> Result {
        let signals = Signals::new()?;
        let (old, target) = fake()?;

        signals.add(target)?;
        signal(&signals, 0)?;
        drop(signals.remove(0));
        assert_eq!(old.load(Relaxed), 1001);
        assert_eq!(signals.iter().count(), 0);

        let (new, target) = fake()?;
        signals.add(target)?;
        assert!(signals.iter().eq([(0, 0)]));
        signal(&signals, 0)?;
        assert_eq!((old.load(Relaxed), new.load(Relaxed)), (1001, 1));
        // The table takes along what is left in it.
        drop(signals);
        assert_eq!((old.load(Relaxed), new.load(Relaxed)), (1001, 1001));
        Ok(())
    }
}
