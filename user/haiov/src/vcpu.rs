// SPDX-License-Identifier: MIT OR Apache-2.0
//! A vCPU that has a handler.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

use haiov_sys as raw;

use crate::error::{Context, Result};
use crate::sys::{self, Command};
use crate::vm::{Inner, Vm};

/// A vCPU of a [`Vm`] with its handler: code of this process that the hardware starts when the guest accesses an
/// [`MmioRange`](crate::MmioRange).
///
/// Dropping it destroys it: when that returns, the handler does not run any more, and what it needs can be freed.
#[derive(Debug)]
pub struct Vcpu {
    vm: Arc<Inner>,
    /// 0 once destroyed; the kernel never gives out that id.
    id: u64,
}

impl Vcpu {
    /// Gives a vCPU a handler that is machine code.
    ///
    /// # Arguments
    ///
    /// * `vm` - the VM that the vCPU belongs to.
    /// * `vcpu` - the file that `KVM_CREATE_VCPU` gave; the object does not depend on it later.
    /// * `entry` - where the handler begins, a multiple of 4.
    /// * `data` - what the handler finds in the CSR `uscratch`.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`](crate::Error::Unsupported) without the hardware for it,
    /// [`Error::Invalid`](crate::Error::Invalid) when `vcpu` is not a vCPU of that VM or `entry` is not an address for
    /// code, [`Error::Busy`](crate::Error::Busy) when the vCPU has a handler,
    /// [`Error::OtherProcess`](crate::Error::OtherProcess) when another process made the VM.
    ///
    /// # Safety
    ///
    /// From here until the object is destroyed, on the thread that runs the vCPU and at any instruction of the guest:
    ///
    /// - At `entry` there is code that keeps to the rules for handlers in the UAPI header (`DOC: Handlers`).
    /// - Whatever that code does with memory is sound beside all that the other threads of the process do, and beside
    ///   other handlers. `data` is what it expects.
    ///
    /// A `Vcpu` that is leaked, or whose destruction fails, needs all this for as long as the process lives.
    #[allow(unsafe_code)]
    pub unsafe fn create_raw(vm: &Vm, vcpu: impl AsFd, entry: usize, data: usize) -> Result<Self> {
        let context = Context {
            invalid: "the file must be an open vCPU of that VM, and the handler's address a multiple of 4; check both",
            busy: "that vCPU has a handler already; drop the other object first",
            unsupported: "this machine or its kernel has no UER; leave the accesses to exits instead",
            ..Context::of("give the vCPU its handler")
        };
        let mut create = raw::haiov_vcpu_create {
            vm_id: vm.id(),
            vcpu_fd: vcpu.as_fd().as_raw_fd(),
            entry: entry as u64,
            data: data as u64,
            ..Command::new()
        };
        sys::ioctl(vm.device().as_fd(), &mut create).map_err(|e| context.error(e))?;
        Ok(Self { vm: vm.inner().clone(), id: create.out_vcpu_id })
    }

    /// Takes the handler away, as dropping the object does, and tells whether that worked.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound) when the object is gone, which only happens when its id was
    /// destroyed behind this object's back.
    pub fn destroy(mut self) -> Result<()> {
        let id = std::mem::take(&mut self.id);
        self.vm.device.destroy(id, "take the handler from the vCPU")
    }

    /// The kernel's id of this object.
    pub fn id(&self) -> u64 {
        self.id
    }
}

impl Drop for Vcpu {
    fn drop(&mut self) {
        if self.id != 0 {
            // Nothing can be done about a failure here; closing the device takes the object along in any case.
            let _ = self.vm.device.destroy(self.id, "take the handler from the vCPU");
        }
    }
}
