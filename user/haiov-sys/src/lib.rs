// SPDX-License-Identifier: MIT OR Apache-2.0
//! Raw bindings of the UAPI of `/dev/haiov`.
//!
//! Everything in [`bindings`] is generated from `kmod/uapi/linux/haiov.h`, which is the single source of the ABI;
//! `generate.sh` beside this crate's manifest does it, and `generate.sh --check` fails when the header and the
//! checked-in file differ. This file only adds what bindgen cannot express: the ioctl numbers, which the header
//! makes with the `_IO` macro.
//!
//! Most users want the safe objects of the `haiov` crate instead.

#![no_std]

/// The generated part: structs, flags and command numbers, documented as the header documents them.
#[allow(missing_docs, non_camel_case_types, non_upper_case_globals)]
#[allow(clippy::all, clippy::pedantic)]
pub mod bindings {
    // Included, so that cargo fmt leaves it as it was generated.
    include!("bindings.rs");
}

pub use bindings::*;

/// Makes the number of an ioctl that encodes neither direction nor size, as `_IO(HAIOV_TYPE, cmd)` does in C.
///
/// The size travels in the first member of every struct, so that a struct can grow without a new number.
const fn io(cmd: u32) -> u32 {
    (HAIOV_TYPE << 8) | cmd
}

/// Asks what the device and the module can do; takes a [`haiov_info`].
pub const HAIOV_INFO: u32 = io(HAIOV_CMD_INFO);
/// Destroys an object by its id; takes a [`haiov_destroy`].
pub const HAIOV_DESTROY: u32 = io(HAIOV_CMD_DESTROY);
/// Binds a KVM VM; takes a [`haiov_vm_create`].
pub const HAIOV_VM_CREATE: u32 = io(HAIOV_CMD_VM_CREATE);
/// Reads the counters of a VM; takes a [`haiov_vm_query`].
pub const HAIOV_VM_QUERY: u32 = io(HAIOV_CMD_VM_QUERY);
/// Adds a route from a VEIRQ to an eventfd; takes a [`haiov_route_add`].
pub const HAIOV_ROUTE_ADD: u32 = io(HAIOV_CMD_ROUTE_ADD);
/// Moves a route to another CPU; takes a [`haiov_route_move`].
pub const HAIOV_ROUTE_MOVE: u32 = io(HAIOV_CMD_ROUTE_MOVE);
/// Reads the place and the counters of a route; takes a [`haiov_route_query`].
pub const HAIOV_ROUTE_QUERY: u32 = io(HAIOV_CMD_ROUTE_QUERY);
/// Gives a vCPU a handler; takes a [`haiov_vcpu_create`].
pub const HAIOV_VCPU_CREATE: u32 = io(HAIOV_CMD_VCPU_CREATE);
/// Lets accesses to a range of guest physical addresses start handlers; takes a [`haiov_mmio_add`].
pub const HAIOV_MMIO_ADD: u32 = io(HAIOV_CMD_MMIO_ADD);
/// Lets handlers signal an eventfd; takes a [`haiov_signal_add`].
pub const HAIOV_SIGNAL_ADD: u32 = io(HAIOV_CMD_SIGNAL_ADD);
/// Creates a context; takes a [`haiov_context_create`].
pub const HAIOV_CONTEXT_CREATE: u32 = io(HAIOV_CMD_CONTEXT_CREATE);
/// Parks the calling thread in a context; takes a [`haiov_context_wait`].
pub const HAIOV_CONTEXT_WAIT: u32 = io(HAIOV_CMD_CONTEXT_WAIT);
/// Reads the place and the counters of a context; takes a [`haiov_context_query`].
pub const HAIOV_CONTEXT_QUERY: u32 = io(HAIOV_CMD_CONTEXT_QUERY);
/// Moves a context to another CPU; takes a [`haiov_context_move`].
pub const HAIOV_CONTEXT_MOVE: u32 = io(HAIOV_CMD_CONTEXT_MOVE);
/// Lets a context take the events of routes to an eventfd; takes a [`haiov_context_listen`].
pub const HAIOV_CONTEXT_LISTEN: u32 = io(HAIOV_CMD_CONTEXT_LISTEN);
