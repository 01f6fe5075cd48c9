// SPDX-License-Identifier: MIT OR Apache-2.0
//! Eventfds that handlers can signal.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

use haiov_sys as raw;

use crate::error::{Context, Result};
use crate::sys::{self, Command};
use crate::vm::{Inner, Vm};

/// An eventfd that the handlers of a [`Vm`] can signal, by a small number.
///
/// If the eventfd is an irqfd of KVM as well, a handler interrupts the guest by it.
///
/// Dropping it destroys it: no handler signals the eventfd any more.
#[derive(Debug)]
pub struct Signal {
    vm: Arc<Inner>,
    /// 0 once destroyed; the kernel never gives out that id.
    id: u64,
    index: u32,
}

impl Signal {
    /// The most signals that a VM can have.
    pub const MAX: u32 = raw::HAIOV_MAX_SIGNALS;

    /// Adds a signal.
    ///
    /// # Arguments
    ///
    /// * `vm` - the VM whose handlers may signal.
    /// * `eventfd` - what they signal; the signal does not depend on this file descriptor later.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`](crate::Error::Unsupported) without the hardware for it,
    /// [`Error::Invalid`](crate::Error::Invalid) when `eventfd` is something else,
    /// [`Error::NoSpace`](crate::Error::NoSpace) when the VM has [`Signal::MAX`] signals.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn example(vm: &haiov::Vm) -> Result<(), Box<dyn std::error::Error>> {
    /// let interrupt = nix::sys::eventfd::EventFd::new()?;
    /// let signal = haiov::Signal::add(vm, &interrupt)?;
    /// assert!(signal.index() < haiov::Signal::MAX);
    /// # Ok(())
    /// # }
    /// ```
    pub fn add(vm: &Vm, eventfd: impl AsFd) -> Result<Self> {
        let context = Context {
            invalid: "the file must be an open eventfd; check it",
            unsupported: "this machine or its kernel has no UER; signal the eventfd by a write instead",
            space: "the VM has as many signals as it can have; drop those that are not needed",
            ..Context::of("add the signal")
        };
        let mut add = raw::haiov_signal_add { vm_id: vm.id(), eventfd: eventfd.as_fd().as_raw_fd(), ..Command::new() };
        sys::ioctl(vm.device().as_fd(), &mut add).map_err(|e| context.error(e))?;
        Ok(Self { vm: vm.inner().clone(), id: add.out_signal_id, index: add.out_index })
    }

    /// Destroys the signal, as dropping it does, and tells whether that worked.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound) when the object is gone, which only happens when its id was
    /// destroyed behind this object's back.
    pub fn destroy(mut self) -> Result<()> {
        let id = std::mem::take(&mut self.id);
        self.vm.device.destroy(id, "destroy the signal")
    }

    /// Whether it is for the handlers of this VM.
    pub(crate) fn is_of(&self, vm: &Vm) -> bool {
        Arc::ptr_eq(&self.vm, vm.inner())
    }

    /// The kernel's id of this object.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// What handlers pass with [`HAIOV_UER_SIGNAL`](raw::HAIOV_UER_SIGNAL).
    pub fn index(&self) -> u32 {
        self.index
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        if self.id != 0 {
            // Nothing can be done about a failure here; closing the device takes the object along in any case.
            let _ = self.vm.device.destroy(self.id, "destroy the signal");
        }
    }
}
