// SPDX-License-Identifier: MIT OR Apache-2.0
//! Guest physical addresses whose accesses start handlers.

use std::os::fd::AsFd;
use std::sync::Arc;

use haiov_sys as raw;

use crate::error::{Context, Result, Taken};
use crate::sys::{self, Command};
use crate::vm::{Inner, Vm};

/// A range of guest physical addresses of a [`Vm`]: an access to it, by a vCPU that has a handler
/// ([`Vcpu`](crate::Vcpu)), starts the handler instead of an exit.
///
/// Dropping it destroys it: no access starts a handler any more. One that was started before may still run.
#[derive(Debug)]
pub struct MmioRange {
    vm: Arc<Inner>,
    /// 0 once destroyed; the kernel never gives out that id.
    id: u64,
    gpa: u64,
    length: u64,
}

impl MmioRange {
    /// Adds a range.
    ///
    /// # Arguments
    ///
    /// * `vm` - the VM whose accesses these are.
    /// * `gpa` - the first address, a multiple of 4096.
    /// * `length` - how many bytes, a multiple of 4096, not 0.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`](crate::Error::Unsupported) without the hardware for it,
    /// [`Error::Invalid`](crate::Error::Invalid) when the range is not one of whole pages that the guest can address,
    /// [`Error::Overlaps`](crate::Error::Overlaps) when there is memory or another range.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn example(vm: &haiov::Vm) -> haiov::Result<()> {
    /// let uart = haiov::MmioRange::add(vm, 0x1000_0000, 0x1000)?;
    /// println!("{:#x} and {} bytes from there", uart.gpa(), uart.length());
    /// # Ok(())
    /// # }
    /// ```
    pub fn add(vm: &Vm, gpa: u64, length: u64) -> Result<Self> {
        let context = Context {
            invalid: "the range must be of whole 4096-byte pages that the guest can address; check address and length",
            unsupported: "this machine or its kernel has no UER; leave the accesses to exits instead",
            taken: Taken::Addresses { gpa, length },
            ..Context::of("add the MMIO range")
        };
        let mut add = raw::haiov_mmio_add { vm_id: vm.id(), gpa, length, ..Command::new() };
        sys::ioctl(vm.device().as_fd(), &mut add).map_err(|e| context.error(e))?;
        Ok(Self { vm: vm.inner().clone(), id: add.out_mmio_id, gpa, length })
    }

    /// Destroys the range, as dropping it does, and tells whether that worked.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound) when the object is gone, which only happens when its id was
    /// destroyed behind this object's back.
    pub fn destroy(mut self) -> Result<()> {
        let id = std::mem::take(&mut self.id);
        self.vm.device.destroy(id, "destroy the MMIO range")
    }

    /// The kernel's id of this object.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The first address.
    pub fn gpa(&self) -> u64 {
        self.gpa
    }

    /// How many bytes.
    pub fn length(&self) -> u64 {
        self.length
    }
}

impl Drop for MmioRange {
    fn drop(&mut self) {
        if self.id != 0 {
            // Nothing can be done about a failure here; closing the device takes the object along in any case.
            let _ = self.vm.device.destroy(self.id, "destroy the MMIO range");
        }
    }
}
