// SPDX-License-Identifier: GPL-2.0

//! vCPUs that have a handler.
//!
//! C header: `include/linux/haiov.h`.

use crate::bound::BoundVm;
use core::ptr::NonNull;
use kernel::{
    bindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    fs::file::LocalFile,
    prelude::*,
    sync::{
        atomic::Relaxed,
        Arc, //
    },
};

/// A vCPU that has a handler. When dropped, waits until the handler does not run any more.
///
/// # Invariants
///
/// The vCPU is one of the virtual machine of `bound`, and it was us who gave it its handler.
pub(crate) struct Vcpu {
    vcpu: NonNull<bindings::kvm_vcpu>,
    bound: Arc<BoundVm>,
}

// SAFETY: A handler can be taken from a vCPU by any thread.
unsafe impl Send for Vcpu {}

// SAFETY: There are no methods by shared reference.
unsafe impl Sync for Vcpu {}

impl Vcpu {
    /// Gives a handler to the vCPU that file descriptor `fd` of this process is.
    ///
    /// Fails with `EBADF` if it is not open; with `EINVAL` if it is not a vCPU of that virtual
    /// machine, or `entry` is no place for a handler; with `EBUSY` if it has one; with `EPERM` if
    /// the virtual machine is another process's.
    pub(crate) fn new(bound: Arc<BoundVm>, fd: i32, entry: u64, data: u64) -> Result<Self> {
        // CAST: A negative number is one that no open file has.
        let file = LocalFile::fget(fd as u32)?;
        // Addresses have 64 bits wherever there is Xhaiov; elsewhere KVM refuses in any case.
        let entry = entry.try_into().map_err(|_| EINVAL)?;
        let data = data.try_into().map_err(|_| EINVAL)?;

        // SAFETY: `kvm` is valid, as by its type invariant, and `file` for the duration of the call.
        let vcpu =
            from_err_ptr(unsafe { bindings::haiov_vcpu_get(bound.kvm().as_ptr(), file.as_ptr()) })?;
        let vcpu = NonNull::new(vcpu).ok_or(EINVAL)?;

        // SAFETY:
        // - The vCPU lives as long as its virtual machine, to which `bound` has a reference.
        // - The virtual machine is bound for as long as `bound` exists, which goes to `Self`, whose
        //   drop clears the handler first.
        to_result(unsafe { bindings::haiov_uer_set(vcpu.as_ptr(), entry, data) })?;

        // INVARIANT: We just set it, and before that there was none.
        bound.vm().nr_vcpus().add(1, Relaxed);
        Ok(Self { vcpu, bound })
    }
}

impl Drop for Vcpu {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the vCPU has a handler, and lives as long as `bound`, which
        // is dropped after this.
        unsafe { bindings::haiov_uer_clear(self.vcpu.as_ptr()) };
        self.bound.vm().nr_vcpus().fetch_sub(1, Relaxed);
    }
}
