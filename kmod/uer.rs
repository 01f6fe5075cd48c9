// SPDX-License-Identifier: GPL-2.0

//! User-level Exception Redirection: whether it is there, and what handlers ask for by ecall.
//!
//! The mechanism is KVM's. C header: `include/linux/haiov.h`.

use crate::{
    eventfd::EventFd,
    uapi,
    vm::Vm, //
};
use kernel::{
    bindings,
    prelude::*, //
};

/// Whether vCPUs can have handlers here.
pub(crate) fn present() -> bool {
    // SAFETY: May be called in any context.
    unsafe { bindings::haiov_uer_present() }
}

/// A handler of `vm` executed ecall with `nr` in a7 and `arg` in a0. What this returns goes into a0.
/// Takes no lock but that of the signal; process context.
pub(crate) fn ecall(vm: &Vm, nr: usize, arg: usize) -> Result<usize> {
    const SIGNAL: usize = uapi::HAIOV_UER_SIGNAL as usize;

    match nr {
        SIGNAL => vm.signals().signal(arg, EventFd::signal).map(|()| 0),
        _ => Err(ENOSYS),
    }
}
