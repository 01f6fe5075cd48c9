// SPDX-License-Identifier: GPL-2.0

//! `uapi/linux/haiov.h`, as the build makes Rust of it.

/// What bindgen makes of the header.
#[allow(
    clippy::all,
    dead_code,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub
)]
mod generated {
    use kernel::ffi;

    include!(concat!(env!("HAIOV_UAPI_DIR"), "/haiov_uapi.rs"));
}

pub(crate) use generated::*;

use kernel::{
    build_assert::static_assert,
    transmute::{
        AsBytes,
        FromBytes, //
    }, //
};

/// Makes bytes of a structure and the other way round, and fixes its size.
macro_rules! plain {
    ($($type:ident: $size:literal,)*) => {$(
        static_assert!(core::mem::size_of::<$type>() == $size);

        // SAFETY: All fields are integers, for which every bit pattern will do.
        unsafe impl FromBytes for $type {}

        // SAFETY: All fields are integers, and the assertion above says that there is no padding
        // between or after them: it is the sum of their sizes.
        unsafe impl AsBytes for $type {}
    )*};
}

plain! {
    haiov_info: 32,
    haiov_destroy: 16,
    haiov_vm_create: 32,
    haiov_vm_query: 40,
    haiov_route_add: 56,
    haiov_route_move: 24,
    haiov_route_query: 56,
    haiov_vcpu_create: 48,
    haiov_mmio_add: 40,
    haiov_signal_add: 40,
    haiov_context_create: 48,
    haiov_context_wait: 16,
    haiov_context_query: 88,
    haiov_context_move: 24,
    haiov_context_listen: 32,
}
