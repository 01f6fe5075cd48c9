// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a handler wakes somebody: an eventfd, signaled by an `ecall` that KVM answers.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use nix::errno::Errno;
use nix::unistd::write;

use super::device::{Caller, Punt};
use crate::error::{Context, Result};
use crate::signal::Signal;
use crate::vm::Vm;

/// An eventfd that a device signals wherever it is called.
///
/// # Examples
///
/// ```no_run
/// use haiov::uer::{Caller, Device, Event, Punt};
/// use nix::sys::eventfd::EventFd;
///
/// struct Bell(Event);
///
/// impl Device for Bell {
///     fn read(&self, _: Caller<'_>, _offset: u64, _size: u8) -> Result<u64, Punt> {
///         Ok(0)
///     }
///     fn write(&self, caller: Caller<'_>, _offset: u64, _value: u64, _size: u8) -> Result<(), Punt> {
///         self.0.signal(caller)
///     }
/// }
///
/// # fn example(vm: &haiov::Vm) -> Result<(), Box<dyn std::error::Error>> {
/// let eventfd = EventFd::new()?;
/// let bell = Bell(Event::new(eventfd));
/// bell.0.register(vm)?; // from now on handlers can signal it too
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Event {
    eventfd: OwnedFd,
    signal: OnceLock<Signal>,
}

impl Event {
    /// An event that only callers outside a handler can signal; handlers punt.
    ///
    /// # Arguments
    ///
    /// * `eventfd` - what is signaled.
    pub fn new(eventfd: impl Into<OwnedFd>) -> Self {
        Self { eventfd: eventfd.into(), signal: OnceLock::new() }
    }

    /// Lets the handlers of a VM signal it too. Once is enough; more for the same VM changes nothing.
    ///
    /// # Arguments
    ///
    /// * `vm` - the VM.
    ///
    /// # Errors
    ///
    /// As for [`Vm::add_signal`]; [`Error::Busy`](crate::Error::Busy) when it is registered for another VM, whose handlers
    /// know it by a number that means something else here.
    pub fn register(&self, vm: &Vm) -> Result<()> {
        if self.signal.get().is_none() {
            // Were another thread faster, its signal stays, and this one is dropped.
            let _ = self.signal.set(vm.add_signal(&self.eventfd)?);
        }
        if self.signal.get().is_some_and(|signal| signal.is_of(vm)) {
            return Ok(());
        }
        let busy = "it is another VM's already; make one for each VM";
        Err(Context { busy, ..Context::of("register the event") }.error(Errno::EBUSY))
    }

    /// Signals the eventfd.
    ///
    /// A handler's call costs a trap into KVM, so that a device does it when somebody has to wake and not each time.
    ///
    /// # Arguments
    ///
    /// * `caller` - from where the device is called.
    ///
    /// # Errors
    ///
    /// [`Punt`] in a handler when the event is not registered, or its registration is gone; it is not signaled then.
    pub fn signal(&self, caller: Caller<'_>) -> std::result::Result<(), Punt> {
        match caller.after_exit(|| self.write()) {
            Ok(written) => written,
            Err(Punt) => self.signal.get().map_or(Err(Punt), |signal| ecall(signal.index())),
        }
    }

    fn write(&self) -> std::result::Result<(), Punt> {
        match write(&self.eventfd, &1_u64.to_ne_bytes()) {
            // A full counter has been signaled.
            Ok(_) | Err(Errno::EAGAIN) => Ok(()),
            Err(_) => Err(Punt),
        }
    }
}

impl AsFd for Event {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.eventfd.as_fd()
    }
}

#[cfg(target_arch = "riscv64")]
fn ecall(index: u32) -> std::result::Result<(), Punt> {
    if super::machine::signal(index) == 0 { Ok(()) } else { Err(Punt) }
}

/// There are no handlers elsewhere.
#[cfg(not(target_arch = "riscv64"))]
fn ecall(_index: u32) -> std::result::Result<(), Punt> {
    Err(Punt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::eventfd::EventFd;

    #[test]
    fn a_thread_writes_and_a_handler_punts_while_it_is_not_registered() {
        let eventfd = EventFd::new().unwrap();
        let event = Event::new(eventfd.as_fd().try_clone_to_owned().unwrap());
        event.signal(Caller::outside()).unwrap();
        event.signal(Caller::outside()).unwrap();
        assert_eq!(event.signal(Caller::inside()), Err(Punt));
        assert_eq!(eventfd.read().unwrap(), 2);
    }
}
