// SPDX-License-Identifier: MIT OR Apache-2.0
//! A KVM virtual machine that may send notifications, and whose accesses handlers may serve.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

use haiov_sys as raw;

use crate::device::Device;
use crate::error::{Context, Result};
use crate::mmio::MmioRange;
use crate::route::Route;
use crate::signal::Signal;
use crate::sys::{self, Command};
use crate::user_vei::UserVei;

/// The kernel's object; destroyed with the last handle to it.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) device: Device,
    pub(crate) id: u64,
    vmid: u16,
    nr_veirqs: u32,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Nothing can be done about a failure here; closing the device takes the object along in any case.
        let _ = self.device.destroy(self.id, "release the VM");
    }
}

/// A KVM virtual machine that is bound to a [`Device`]: its vCPUs may send VEIRQs.
///
/// Clones are handles to the same binding. It ends when the last handle and the last object that was made with one, such
/// as a [`Route`], are dropped.
#[derive(Clone, Debug)]
pub struct Vm {
    inner: Arc<Inner>,
}

/// State and counters of a [`Vm`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VmStatus {
    /// Routes that exist.
    pub routes: u32,
    /// Sends that the hardware refused and the module delivered itself.
    pub fallbacks: u64,
    /// Sends that had no route, and went nowhere.
    pub dropped: u64,
}

impl Vm {
    /// Binds a KVM virtual machine, with all vCPUs that it has or gets.
    ///
    /// # Arguments
    ///
    /// * `device` - the device.
    /// * `kvm_vm` - the file that `KVM_CREATE_VM` gave; the binding does not depend on it later.
    /// * `nr_veirqs` - how many VEIRQs the guest gets; they are numbered from 0.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`](crate::Error::Unsupported) without the hardware,
    /// [`Error::Invalid`](crate::Error::Invalid) when `kvm_vm` is something else or `nr_veirqs` is 0 or too large,
    /// [`Error::Busy`](crate::Error::Busy) when the machine is bound already,
    /// [`Error::NoSpace`](crate::Error::NoSpace) when no VMID is left.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::os::fd::AsFd;
    ///
    /// # fn example(kvm_vm: impl AsFd) -> haiov::Result<()> {
    /// let device = haiov::Device::open()?;
    /// let vm = haiov::Vm::create(&device, kvm_vm, 16)?;
    /// println!("bound as VMID {}", vm.vmid());
    /// # Ok(())
    /// # }
    /// ```
    pub fn create(device: &Device, kvm_vm: impl AsFd, nr_veirqs: u32) -> Result<Self> {
        let context = Context {
            invalid: "the file must be an open KVM VM and the number of VEIRQs from 1 to max_veirqs; check both",
            busy: "that KVM VM is bound already; drop the other binding first",
            space: "all VMIDs are in use; end another VM first",
            ..Context::of("bind the KVM VM")
        };
        let mut create = raw::haiov_vm_create { kvm_fd: kvm_vm.as_fd().as_raw_fd(), nr_veirqs, ..Command::new() };
        sys::ioctl(device.as_fd(), &mut create).map_err(|e| context.error(e))?;
        Ok(Self {
            inner: Arc::new(Inner {
                device: device.clone(),
                id: create.out_vm_id,
                vmid: create.out_vmid as u16,
                nr_veirqs,
            }),
        })
    }

    /// Routes a VEIRQ to an eventfd; the same as [`Route::add`].
    ///
    /// # Arguments
    ///
    /// * `veirq` - which one, less than the number given to [`Vm::create`].
    /// * `eventfd` - what each event signals; the route does not depend on this file descriptor later.
    /// * `cpu` - the host CPU that takes the interrupt, or `None` for the module's choice.
    ///
    /// # Errors
    ///
    /// As for [`Route::add`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn example(vm: &haiov::Vm) -> Result<(), Box<dyn std::error::Error>> {
    /// let notify = nix::sys::eventfd::EventFd::new()?;
    /// let route = vm.add_route(3, &notify, Some(1))?;
    /// assert_eq!((route.veirq(), route.cpu()), (3, 1));
    /// # Ok(())
    /// # }
    /// ```
    pub fn add_route(&self, veirq: u32, eventfd: impl AsFd, cpu: Option<u32>) -> Result<Route> {
        Route::add(self, veirq, eventfd, cpu)
    }

    /// Routes a VEIRQ to a handler that starts at once; the same as [`Route::add_context`].
    ///
    /// # Arguments
    ///
    /// * `veirq` - which one, less than the number given to [`Vm::create`].
    /// * `user_vei` - the handler; it lives on for as long as the route.
    ///
    /// # Errors
    ///
    /// As for [`Route::add_context`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn example(vm: &haiov::Vm) -> haiov::Result<()> {
    /// let backend = haiov::UserVei::builder().start(vm.device(), || println!("an event"))?;
    /// let route = vm.add_context_route(3, &backend)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn add_context_route(&self, veirq: u32, user_vei: &UserVei) -> Result<Route> {
        Route::add_context(self, veirq, user_vei)
    }

    /// Lets accesses to a range of guest physical addresses start handlers; the same as [`MmioRange::add`].
    ///
    /// # Arguments
    ///
    /// * `gpa` - the first address, a multiple of 4096.
    /// * `length` - how many bytes, a multiple of 4096, not 0.
    ///
    /// # Errors
    ///
    /// As for [`MmioRange::add`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn example(vm: &haiov::Vm) -> haiov::Result<()> {
    /// let uart = vm.add_mmio(0x1000_0000, 0x1000)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn add_mmio(&self, gpa: u64, length: u64) -> Result<MmioRange> {
        MmioRange::add(self, gpa, length)
    }

    /// Lets handlers signal an eventfd; the same as [`Signal::add`].
    ///
    /// # Arguments
    ///
    /// * `eventfd` - what they signal; the signal does not depend on this file descriptor later.
    ///
    /// # Errors
    ///
    /// As for [`Signal::add`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn example(vm: &haiov::Vm) -> Result<(), Box<dyn std::error::Error>> {
    /// let interrupt = nix::sys::eventfd::EventFd::new()?;
    /// let signal = vm.add_signal(&interrupt)?;
    /// println!("handlers signal it as number {}", signal.index());
    /// # Ok(())
    /// # }
    /// ```
    pub fn add_signal(&self, eventfd: impl AsFd) -> Result<Signal> {
        Signal::add(self, eventfd)
    }

    /// Reads the counters.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound) when the object is gone, which only happens when its id was
    /// destroyed behind this object's back.
    pub fn query(&self) -> Result<VmStatus> {
        let mut query = raw::haiov_vm_query { vm_id: self.inner.id, ..Command::new() };
        sys::ioctl(self.inner.device.as_fd(), &mut query).map_err(|e| Context::of("query the VM").error(e))?;
        Ok(VmStatus { routes: query.out_nr_routes, fallbacks: query.out_fallbacks, dropped: query.out_dropped })
    }

    /// The device that the VM is bound to.
    pub fn device(&self) -> &Device {
        &self.inner.device
    }

    /// The kernel's id of this object.
    pub fn id(&self) -> u64 {
        self.inner.id
    }

    /// The number by which the hardware knows the VM; never 0.
    pub fn vmid(&self) -> u16 {
        self.inner.vmid
    }

    /// How many VEIRQs the VM has.
    pub fn nr_veirqs(&self) -> u32 {
        self.inner.nr_veirqs
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use std::fs::File;
    use std::os::fd::OwnedFd;

    #[test]
    fn a_file_that_is_no_device_binds_nothing() {
        let device = Device::from(OwnedFd::from(File::open("/dev/null").unwrap()));
        let other = File::open("/dev/null").unwrap();
        let error = Vm::create(&device, &other, 1).unwrap_err();
        assert!(matches!(error, Error::NotADevice { .. }), "{error}");
        assert!(error.to_string().starts_with("cannot bind the KVM VM: "));
    }
}
