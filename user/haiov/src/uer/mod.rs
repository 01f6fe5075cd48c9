// SPDX-License-Identifier: MIT OR Apache-2.0
//! User-level exception redirection (UER): devices that a guest reaches without KVM.
//!
//! A load or store of the guest to a page of a [`Bus`] starts a handler in this process, on the thread that runs the
//! vCPU and while `KVM_RUN` is under way. The handler finds the [`Device`], calls it, and returns to the guest. KVM
//! takes no part. What a device cannot do there it *punts*: the access then ends in an ordinary `KVM_EXIT_MMIO`,
//! which the VMM answers by [`Bus::read`] and [`Bus::write`], with the same device.
//!
//! ```no_run
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicU64, Ordering};
//!
//! use haiov::uer::{Bus, Caller, Device, Punt};
//!
//! /// A register that holds what was last written to it.
//! struct Scratch(AtomicU64);
//!
//! impl Device for Scratch {
//!     fn read(&self, _: Caller<'_>, _offset: u64, _size: u8) -> Result<u64, Punt> {
//!         Ok(self.0.load(Ordering::Relaxed))
//!     }
//!     fn write(&self, _: Caller<'_>, _offset: u64, value: u64, _size: u8) -> Result<(), Punt> {
//!         self.0.store(value, Ordering::Relaxed);
//!         Ok(())
//!     }
//! }
//!
//! # fn example(vm: haiov::Vm, vcpu: impl std::os::fd::AsFd) -> Result<(), Box<dyn std::error::Error>> {
//! let mut bus = Bus::default();
//! bus.add(0x1000_2000, 0x1000, Arc::new(Scratch(AtomicU64::new(0))))?;
//! let ranges = bus.register(&vm)?; // the pages of the VM
//! let handler = bus.attach(&vm, &vcpu)?; // one for each vCPU
//! // … KVM_RUN; a KVM_EXIT_MMIO goes to bus.read() or bus.write() …
//! # drop((ranges, handler));
//! # Ok(())
//! # }
//! ```
//!
//! # What a device may do in a handler
//!
//! A handler is a piece of the guest's time: the vCPU stands still meanwhile, with its floating-point and vector
//! registers in place. So it computes and it accesses memory, and that is all:
//!
//! * **No system calls.** There are two services only, [`Event::signal`] and the punt. Any other `ecall` gives
//!   `ENOSYS`. What needs one goes into [`Caller::after_exit`]. So no `std::sync::Mutex` (it sleeps, and wakes others, by a system call) but [`TryLock`]; no printing;
//!   no allocation that grows the heap.
//! * **No floating point, no vectors.** The hardware traps them, and the frame is ended. Ordinary Rust code on integers
//!   has none; `tests/user/test-handler` shows how to check a program.
//! * **Little time.** KVM ends a handler that runs for longer than its budget (100 ms).
//! * **Punt first.** A device that punts must not have changed anything: the access comes again, after the exit.
//! * **No panic.** One neither unwinds nor prints nor allocates: it ends the frame at once.
//!
//! When a frame is *ended* (a panic, an instruction that traps, a bad address, the budget), `KVM_RUN` returns with
//! `KVM_EXIT_INTERNAL_ERROR`, the guest stands at the instruction that it could not carry out, and a [`TryLock`] that
//! the handler held stays taken. A VMM should then end the guest.
//!
//! # The thread of a handler
//!
//! A handler runs on the thread that called `KVM_RUN`, but not as it: it has its own stack (64 KiB, guarded) and its
//! own thread pointer, which [`Bus::attach`] borrows from a thread that it starts for this purpose and that sleeps until
//! the [`Handler`] is dropped. So thread-local variables belong to the handler of that vCPU, whichever thread runs the
//! vCPU, and nothing that the thread itself has on its stack or in its variables can be seen or disturbed.

// Handlers exist on riscv64 only; elsewhere the tests alone use these.
#[cfg_attr(not(target_arch = "riscv64"), allow(dead_code))]
mod access;
mod bus;
#[cfg_attr(not(target_arch = "riscv64"), allow(dead_code))]
mod device;
mod event;
#[allow(unsafe_code)]
mod handler;
#[allow(unsafe_code)]
mod lock;
#[cfg(target_arch = "riscv64")]
#[allow(unsafe_code)]
mod machine;
#[cfg_attr(not(target_arch = "riscv64"), allow(dead_code))]
mod table;

pub use bus::{Bus, RangeError};
pub use device::{Caller, Device, Punt};
pub use event::Event;
pub use handler::Handler;
pub use lock::{TryGuard, TryLock};
