// SPDX-License-Identifier: GPL-2.0

//! KVM virtual machines.
//!
//! C header: `include/linux/haiov.h`.

use crate::{
    uer,
    vm::Vm, //
};
use core::ptr::NonNull;
use kernel::{
    bindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    ffi::{
        c_long,
        c_ulong,
        c_void, //
    },
    fs::file::LocalFile,
    prelude::*,
    sync::Arc, //
};

/// A reference to a KVM virtual machine.
///
/// # Invariants
///
/// The pointer is valid, and this owns one reference to what it points at.
pub(crate) struct Kvm(NonNull<bindings::kvm>);

// SAFETY: A reference can be put by any thread.
unsafe impl Send for Kvm {}

// SAFETY: By shared reference there is only the pointer, and the functions that take it lock.
unsafe impl Sync for Kvm {}

impl Kvm {
    /// Takes a reference to the virtual machine that file descriptor `fd` of this process is.
    ///
    /// Fails with `EBADF` if it is not open, and with `EINVAL` if it is something else.
    pub(crate) fn from_fd(fd: i32) -> Result<Self> {
        // CAST: A negative number is one that no open file has.
        let file = LocalFile::fget(fd as u32)?;

        // SAFETY: `file` is a valid file for the duration of the call.
        let kvm = from_err_ptr(unsafe { bindings::haiov_kvm_get(file.as_ptr()) })?;

        // INVARIANT: `haiov_kvm_get()` gave us a valid pointer with a reference.
        Ok(Self(NonNull::new(kvm).ok_or(EINVAL)?))
    }

    /// The pointer; valid for as long as `self` is borrowed.
    pub(crate) fn as_ptr(&self) -> *mut bindings::kvm {
        self.0.as_ptr()
    }
}

impl Drop for Kvm {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours. Who bound the machine has unbound it,
        // since `Binding` owns its `Kvm`.
        unsafe { bindings::haiov_kvm_put(self.0.as_ptr()) };
    }
}

/// A KVM virtual machine whose vCPUs send as a [`Vm`].
///
/// Dropping this unbinds: no vCPU sends as that [`Vm`] any more. It sleeps, and takes locks that KVM
/// and CPU hotplug take; the caller holds none that [`crate::vei`], [`Vm::refused`] or [`uer::ecall`]
/// take.
///
/// # Invariants
///
/// `kvm` is bound by us, with a pointer to what `_vm` holds.
pub(crate) struct Binding {
    kvm: Kvm,
    _vm: Arc<Vm>,
}

impl Binding {
    /// Binds `kvm`. Fails with `EBUSY` if it is bound.
    pub(crate) fn new(kvm: Kvm, vm: Arc<Vm>) -> Result<Self> {
        // SAFETY:
        // - By its type invariant `kvm` is valid.
        // - The callbacks are static. The module that they are in stays, since the file descriptor
        //   that will own this holds a reference to it.
        // - The data outlives the binding: `vm` goes to `Self`, whose drop unbinds first.
        to_result(unsafe {
            bindings::haiov_kvm_bind(
                kvm.0.as_ptr(),
                vm.vmid(),
                &OPS,
                Arc::as_ptr(&vm).cast_mut().cast(),
            )
        })?;

        // INVARIANT: We just bound it.
        Ok(Self { kvm, _vm: vm })
    }

    /// The virtual machine.
    pub(crate) fn kvm(&self) -> &Kvm {
        &self.kvm
    }
}

impl Drop for Binding {
    fn drop(&mut self) {
        // SAFETY: By the type invariant it is bound, and it was us who bound it.
        unsafe { bindings::haiov_kvm_unbind(self.kvm.0.as_ptr()) };
    }
}

static OPS: bindings::haiov_kvm_ops = bindings::haiov_kvm_ops {
    svei_refused: Some(svei_refused),
    uer_ecall: Some(uer_ecall),
};

/// # Safety
///
/// `data` must be what [`Binding::new`] passed, and the binding must exist.
unsafe extern "C" fn svei_refused(data: *mut c_void, value: c_ulong) {
    // SAFETY: `data` points at the `Vm` to which the binding holds a reference; KVM makes sure
    // that no callback runs once it is unbound.
    let vm = unsafe { &*data.cast::<Vm>() };

    // CAST: `unsigned long` has 64 bits, since Xhaiov is there on 64-bit machines only.
    vm.refused(value as u64);
}

/// # Safety
///
/// `data` must be what [`Binding::new`] passed, and the binding must exist.
unsafe extern "C" fn uer_ecall(data: *mut c_void, nr: c_ulong, arg: c_ulong) -> c_long {
    // SAFETY: As in `svei_refused`.
    let vm = unsafe { &*data.cast::<Vm>() };

    match uer::ecall(vm, nr, arg) {
        // CAST: All results are small, and an errno is smaller.
        Ok(value) => value as c_long,
        Err(err) => err.to_errno() as c_long,
    }
}
