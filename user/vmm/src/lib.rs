// SPDX-License-Identifier: MIT OR Apache-2.0
//! The reference VMM of HA-IOV, as a library: boots Linux in a KVM guest on riscv64, and gives it a doorbell device that
//! can be rung without an exit, and a serial port and a disk that can be reached without one.
//!
//! | module | concept |
//! |---|---|
//! | [`cli`] | the command line |
//! | [`layout`] | the guest's physical address space |
//! | [`boot`] | where kernel, initrd and device tree go |
//! | [`isa`] | what the vCPUs can do, in the words of a device tree |
//! | [`fdt`] | the device tree |
//! | [`bus`] | which device an access goes to |
//! | [`uart`], [`output`], [`console`] | the serial port, its way out, its way in |
//! | [`edge`] | an edge of an interrupt that is made by two calls, as a whole |
//! | [`virtio_mmio`], [`block`] | the registers of a virtio device, and the disk behind them |
//! | [`consumer`] | a thread that waits for an eventfd |
//! | [`doorbell`] | the doorbell device and its phases |
//! | [`mod@bench`] | the bench device: one register, reached in every way |
//! | [`stats`] | what a phase reports |
//! | [`kvm_stats`] | KVM's own counters |
//! | [`affinity`] | which host CPU a thread runs on |
//! | [`notify`] | the ways of the doorbell and the disk into the host |
//! | [`ioregion`] | a thread that serves what KVM sends it over a pipe |
//! | [`gate`], [`control`] | stopping the vCPUs, and the socket by which a user asks for that |
//! | [`snapshot`] | a guest on disk |
//! | `aia`, `line`, `vcpu`, `machine` | what only a riscv64 host has |
//!
//! All but the last row builds and is tested on any Linux host.

#![deny(unsafe_code)]

pub mod affinity;
#[cfg(target_arch = "riscv64")]
pub mod aia;
pub mod bench;
pub mod block;
pub mod boot;
pub mod bus;
pub mod cli;
pub mod console;
pub mod consumer;
pub mod control;
pub mod doorbell;
pub mod edge;
pub mod error;
pub mod fdt;
pub mod gate;
pub mod ioregion;
pub mod isa;
pub mod kvm_stats;
pub mod layout;
#[cfg(target_arch = "riscv64")]
pub mod line;
#[cfg(target_arch = "riscv64")]
pub mod machine;
pub mod notify;
pub mod output;
pub mod snapshot;
pub mod stats;
#[allow(unsafe_code)]
mod sys;
pub mod uart;
#[cfg(target_arch = "riscv64")]
pub mod vcpu;
pub mod virtio_mmio;
mod wait;

pub use error::{Error, Result};

/// Runs a guest until it powers off.
///
/// # Arguments
///
/// * `options` - what the user asked for.
///
/// # Errors
///
/// Whatever keeps the guest from starting, or ends it otherwise than by powering off.
#[cfg(target_arch = "riscv64")]
pub fn run(options: &cli::Options) -> Result<()> {
    machine::run(options)
}

/// Says that this host cannot run riscv64 guests.
///
/// # Arguments
///
/// * `_options` - what the user asked for.
///
/// # Errors
///
/// Always [`Error::WrongHost`].
#[cfg(not(target_arch = "riscv64"))]
pub fn run(_options: &cli::Options) -> Result<()> {
    Err(Error::WrongHost { host: std::env::consts::ARCH })
}
