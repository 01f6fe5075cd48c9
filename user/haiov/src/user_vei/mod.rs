// SPDX-License-Identifier: MIT OR Apache-2.0
//! User VEIs: a handler in this process that events of a guest start at once.
//!
//! A [`UserVei`] is a [`Handler`] with a thread of its own. When an event of one of its routes comes, the hardware calls
//! the handler on the context's CPU, on top of whatever that runs in user mode or in a guest: no scheduler is asked, and
//! nobody polls. This is a *frame*. On a CPU that runs what may not be interrupted, the thread is woken instead.
//!
//! ```no_run
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicU64, Ordering};
//!
//! use haiov::user_vei::UserVei;
//!
//! # fn example(vm: haiov::Vm) -> haiov::Result<()> {
//! let events = Arc::new(AtomicU64::new(0));
//! let counted = events.clone();
//! let backend = UserVei::builder().cpu(2).start(vm.device(), move || {
//!     counted.fetch_add(1, Ordering::Relaxed);
//! })?;
//! let route = vm.add_context_route(0, &backend)?; // VEIRQ 0
//! // … the guest sends …
//! println!("{} events, {} wake-ups", events.load(Ordering::Relaxed), backend.query()?.wakeups());
//! # drop(route);
//! # Ok(())
//! # }
//! ```
//!
//! # In another process than the VM's
//!
//! A device in a process of its own, such as one of vhost-user, has nothing of the VM but its memory and eventfds. Its
//! handler [listens](UserVei::listen) for the eventfd that the VMM's route leads to, and takes the events that the route
//! would signal it for:
//!
//! ```no_run
//! use haiov::{Device, UserVei};
//! use nix::sys::eventfd::EventFd;
//!
//! # fn example(kick: &EventFd, serve: impl FnMut() + Send + 'static) -> haiov::Result<()> {
//! let backend = UserVei::builder().start(&Device::open()?, serve)?;
//! let listening = backend.listen(kick)?;
//! // … a thread reads the eventfd as well, for what does not come by a route …
//! # drop(listening);
//! # Ok(())
//! # }
//! ```
//!
//! # What a handler may do
//!
//! Everything. It has the thread's stack and its thread-local variables, and only one call runs at a time. But in a
//! frame it has memory and the integer registers only: whatever needs more takes it over to its thread, which carries on
//! where the handler stood. A page fault, a system call (an allocation that grows the heap, a lock that is taken, printing)
//! or floating-point arithmetic costs one wake-up of the thread, and that is all. [`Status`] tells how often that
//! happened; `tests/user/test-handler` shows how to find floating-point instructions in a program.
//!
//! To signal an eventfd, and to interrupt a guest if that is an irqfd of KVM, is no system call where a [`Signal`] does it.
//!
//! A handler that takes longer than the [budget](Builder::budget) is taken over to its thread as well, where it is
//! scheduled like any other. Who was interrupted goes on at once.
//!
//! Events coalesce: those that come while the handler runs call it once more, when it has returned. So a handler
//! looks at all that there is to do.
//!
//! A panic ends the process: there is no caller that it could unwind to.

#[cfg_attr(not(target_arch = "riscv64"), allow(dead_code))]
mod context;
mod listening;
#[cfg(target_arch = "riscv64")]
#[allow(unsafe_code)]
mod machine;
#[cfg_attr(not(target_arch = "riscv64"), allow(dead_code))]
mod signal;

pub(crate) use context::Inner;
pub use context::{Builder, Handler, Status, UserVei};
pub use listening::Listening;
pub use signal::Signal;
