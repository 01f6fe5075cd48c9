// SPDX-License-Identifier: GPL-2.0

//! Eventfds.
//!
//! C header: `include/linux/eventfd.h`.

use core::ptr::NonNull;
use kernel::{
    bindings,
    error::from_err_ptr,
    prelude::*, //
};

/// A reference to the context of an eventfd.
///
/// # Invariants
///
/// The pointer is valid, and this owns one reference to what it points at.
pub(crate) struct EventFd(NonNull<bindings::eventfd_ctx>);

// SAFETY: A reference can be put by any thread.
unsafe impl Send for EventFd {}

// SAFETY: Of the methods by shared reference `signal` takes the lock of the context, and `identity` only looks at the
// pointer.
unsafe impl Sync for EventFd {}

impl EventFd {
    /// Takes a reference to the eventfd that file descriptor `fd` of this process is.
    ///
    /// Fails with `EBADF` if it is not open, and with `EINVAL` if it is something else.
    pub(crate) fn from_fd(fd: i32) -> Result<Self> {
        // SAFETY: Any integer may be passed.
        let ctx = from_err_ptr(unsafe { bindings::eventfd_ctx_fdget(fd) })?;

        // INVARIANT: `eventfd_ctx_fdget()` gave us a valid pointer with a reference.
        Ok(Self(NonNull::new(ctx).ok_or(EINVAL)?))
    }

    /// What tells it from all others, for as long as there is a reference to it.
    pub(crate) fn identity(&self) -> usize {
        self.0.addr().get()
    }

    /// Adds one to the counter. Works in any context but that of an NMI.
    #[inline]
    pub(crate) fn signal(&self) {
        // SAFETY: By the type invariant the context is valid.
        unsafe { bindings::eventfd_signal(self.0.as_ptr()) };
    }
}

impl Drop for EventFd {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours, and it is not used after this.
        unsafe { bindings::eventfd_ctx_put(self.0.as_ptr()) };
    }
}
