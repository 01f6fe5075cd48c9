// SPDX-License-Identifier: MIT OR Apache-2.0
//! Safe objects over `/dev/haiov`: notifications that a guest sends without leaving the guest, and accesses of a guest
//! to emulated devices that this process handles without KVM.
//!
//! The objects mirror those of the kernel interface. A [`Device`] is an open `/dev/haiov`; a [`Vm`] binds a KVM
//! virtual machine to it; a [`Route`] takes one notification number (VEIRQ) of that machine to an eventfd. Whatever
//! reads the eventfd, such as vhost, an io_uring or a poll loop, needs no change.
//!
//! A [`Vcpu`] gives a vCPU of the machine a handler, which the hardware starts in this process when the guest accesses
//! an [`MmioRange`]; a [`Signal`] is an eventfd that handlers can signal.
//!
//! [`uer`] has such a handler ready-made, for devices in safe Rust.
//!
//! A [`UserVei`] is a handler for notifications: instead of an eventfd that a thread reads, code of this process that
//! the hardware starts at once. [`user_vei`] tells what it may do.
//!
//! Objects are destroyed when they are dropped, leaf first: a [`Route`], a [`Vcpu`], an [`MmioRange`] and a [`Signal`]
//! keep their [`Vm`] alive and a [`Vm`] its [`Device`], in whatever order the program drops them.
//!
//! A machine without the hardware, or without the module, is no reason to fail: see [`Error::is_unsupported`].
//!
//! # Examples
//!
//! ```no_run
//! use std::os::fd::AsFd;
//!
//! use haiov::{Device, Vm};
//! use nix::sys::eventfd::EventFd;
//!
//! # fn example(kvm_vm: impl AsFd) -> Result<(), Box<dyn std::error::Error>> {
//! let device = Device::open()?;
//! let vm = Vm::create(&device, kvm_vm, 1)?;
//! let notify = EventFd::new()?;
//! let route = vm.add_route(0, &notify, None)?;
//! println!("VEIRQ {} interrupts CPU {}", route.veirq(), route.cpu());
//! println!("{} events came", notify.read()?);
//! # Ok(())
//! # }
//! ```

#![deny(unsafe_code)]

mod device;
mod error;
mod mmio;
mod route;
mod signal;
#[allow(unsafe_code)]
mod sys;
pub mod uer;
pub mod user_vei;
mod vcpu;
mod vm;

pub use device::{Device, Features, Info};
pub use error::{Error, Result};
pub use haiov_sys as raw;
pub use mmio::MmioRange;
pub use route::{Route, RouteStatus};
pub use signal::Signal;
pub use user_vei::UserVei;
pub use vcpu::Vcpu;
pub use vm::{Vm, VmStatus};
