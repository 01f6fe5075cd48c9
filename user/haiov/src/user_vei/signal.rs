// SPDX-License-Identifier: MIT OR Apache-2.0
//! Eventfds that a handler signals in its frame.

use std::cell::Cell;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use haiov_sys as raw;
use nix::errno::Errno;
use nix::unistd::write;

use super::context::Inner;
use crate::device::Device;
use crate::error::{Context, Result};
use crate::sys::{self, Command};

/// Whose handler a thread runs: the kernel looks for an index among the signals of the context whose frame asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner(u64);

impl Owner {
    const NOBODY: Self = Self(0);

    /// One that there was not before.
    pub(super) fn new() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Makes the calling thread, and so the frames that have its thread-local variables, this one's.
    pub(super) fn adopt_thread(self) {
        HERE.set(self);
    }
}

thread_local! {
    static HERE: Cell<Owner> = const { Cell::new(Owner::NOBODY) };
}

/// An eventfd that the handler of a [`UserVei`](super::UserVei) signals without a system call.
///
/// If the eventfd is an irqfd of KVM as well, the handler interrupts the guest by it, and its frame goes on.
///
/// Dropping it destroys it, and so does the end of the [`UserVei`](super::UserVei), which a signal does not keep alive: the
/// handler may own it. It then still signals the eventfd, by a system call.
///
/// # Examples
///
/// ```no_run
/// use std::sync::{Arc, OnceLock};
///
/// use haiov::UserVei;
/// use haiov::user_vei::Signal;
///
/// # fn example(vm: &haiov::Vm) -> Result<(), Box<dyn std::error::Error>> {
/// let answer = nix::sys::eventfd::EventFd::new()?;
/// let signal = Arc::new(OnceLock::<Signal>::new());
/// let signaled = signal.clone();
/// let backend = UserVei::builder().start(vm.device(), move || {
///     // … serve …
///     if let Some(signal) = signaled.get() {
///         signal.signal();
///     }
/// })?;
/// // Before the first event: there is no route yet.
/// let _ = signal.set(backend.add_signal(&answer)?);
/// let route = vm.add_context_route(0, &backend)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Signal {
    device: Device,
    /// 0 once destroyed; the kernel never gives out that id.
    id: u64,
    index: u32,
    owner: Owner,
    eventfd: OwnedFd,
}

impl Signal {
    pub(super) fn add(user_vei: &Inner, eventfd: impl AsFd) -> Result<Self> {
        let context = Context {
            invalid: "the file must be an open eventfd; check it",
            space: "the user VEI has as many signals as it can have; drop those that are not needed",
            ..Context::of("add the signal")
        };
        let eventfd = eventfd.as_fd().try_clone_to_owned();
        let eventfd = eventfd.map_err(|e| context.error(e.raw_os_error().map_or(Errno::EBADF, Errno::from_raw)))?;
        let mut add = raw::haiov_signal_add {
            flags: raw::HAIOV_SIGNAL_CONTEXT,
            context_id: user_vei.id,
            eventfd: eventfd.as_raw_fd(),
            ..Command::new()
        };
        sys::ioctl(user_vei.device.as_fd(), &mut add).map_err(|e| context.error(e))?;
        user_vei.keep_signal(add.out_signal_id);
        let (device, owner) = (user_vei.device.clone(), user_vei.owner);
        Ok(Self { device, id: add.out_signal_id, index: add.out_index, owner, eventfd })
    }

    /// Signals the eventfd. Any thread may do so.
    ///
    /// In a frame of the signal's own [`UserVei`](super::UserVei) it takes a trap into the kernel, which comes back to the
    /// frame unless what is signaled gives the CPU something else to do. Wherever else it is a write(2); in a frame of
    /// another handler that takes it over to its thread. It is not for a [`uer::Device`](crate::uer::Device), which
    /// has an [`Event`](crate::uer::Event).
    pub fn signal(&self) {
        if self.by_service() {
            return;
        }
        // It is an eventfd, and fails only where its counter is full: it has been signaled then.
        let _ = write(&self.eventfd, &1_u64.to_ne_bytes());
    }

    /// Signals by the kernel's service for frames, and tells whether that did it. A frame may be taken over to its thread at
    /// any instruction, so that nobody can know before; where there is no frame, there is no such service.
    #[cfg(target_arch = "riscv64")]
    fn by_service(&self) -> bool {
        HERE.get() == self.owner && super::machine::signal(self.index)
    }

    /// There are no frames elsewhere.
    #[cfg(not(target_arch = "riscv64"))]
    fn by_service(&self) -> bool {
        false
    }

    /// Destroys the signal, as dropping it does, and tells whether that worked.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound) when the object is gone, as it is after the end of the
    /// [`UserVei`](super::UserVei).
    pub fn destroy(mut self) -> Result<()> {
        let id = std::mem::take(&mut self.id);
        self.device.destroy(id, "destroy the signal")
    }

    /// The kernel's id of this object.
    pub fn id(&self) -> u64 {
        self.id
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        if self.id != 0 {
            // It may be gone already. Nothing can be done about another failure here; closing the device takes the
            // object along in any case.
            let _ = self.device.destroy(self.id, "destroy the signal");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::eventfd::{EfdFlags, EventFd};
    use std::fs::File;

    fn signal(eventfd: &EventFd) -> Signal {
        Signal {
            device: Device::from(OwnedFd::from(File::open("/dev/null").unwrap())),
            id: 1,
            index: 0,
            owner: Owner::new(),
            eventfd: eventfd.as_fd().try_clone_to_owned().unwrap(),
        }
    }

    #[test]
    fn every_thread_signals() {
        let eventfd = EventFd::new().unwrap();
        let signal = signal(&eventfd);
        signal.signal();
        std::thread::scope(|scope| scope.spawn(|| signal.signal()).join()).unwrap();
        // The one that runs the handler too, while no frame does.
        signal.owner.adopt_thread();
        signal.signal();
        assert_eq!(eventfd.read().unwrap(), 3);
    }

    #[test]
    fn a_full_counter_has_been_signaled() {
        let eventfd = EventFd::from_flags(EfdFlags::EFD_NONBLOCK).unwrap();
        eventfd.write(u64::MAX - 1).unwrap();
        signal(&eventfd).signal();
        assert_eq!(eventfd.read().unwrap(), u64::MAX - 1);
    }

    #[test]
    fn owners_differ() {
        let (first, second) = (Owner::new(), Owner::new());
        assert_ne!(first, second);
        assert_ne!(first, Owner::NOBODY);
        first.adopt_thread();
        std::thread::scope(|scope| scope.spawn(|| assert_eq!(HERE.get(), Owner::NOBODY)).join()).unwrap();
        assert_eq!(HERE.get(), first);
    }
}
