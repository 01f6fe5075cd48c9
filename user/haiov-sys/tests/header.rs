// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compares the crate with what a C compiler makes of the UAPI header: ioctl numbers (which bindgen cannot see),
//! flags, sizes and offsets. It needs a C compiler (`CC`, else `cc`), and fails without one rather than pass.

// Helper functions are outside what clippy takes for a test.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::mem::{offset_of, size_of};
use std::path::{Path, PathBuf};
use std::process::Command;

use haiov_sys::*;

/// Compiles and runs a program that prints `name value` for each expression of the list.
fn ask_c(expressions: &[String]) -> BTreeMap<String, u64> {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("header");
    fs::create_dir_all(&dir).unwrap();
    let uapi = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kmod/uapi");
    let lines: String =
        expressions.iter().map(|e| format!("printf(\"%s=%llu\\n\", \"{e}\", (unsigned long long)({e}));\n")).collect();
    let source = dir.join("ask.c");
    let program = dir.join("ask");
    fs::write(
        &source,
        format!(
            "#include <stdio.h>\n#include <stddef.h>\n#include <linux/haiov.h>\nint main(void) {{\n{lines}return 0;\n}}\n"
        ),
    )
    .unwrap();
    let cc = env::var("CC").unwrap_or_else(|_| "cc".into());
    let status = Command::new(&cc)
        .args(["-std=gnu11", "-Wall", "-Werror", "-I"])
        .arg(&uapi)
        .arg("-o")
        .arg(&program)
        .arg(&source)
        .status()
        .unwrap_or_else(|e| panic!("cannot run the C compiler '{cc}' (set CC): {e}"));
    assert!(status.success(), "the header does not compile as C");
    let out = Command::new(&program).output().unwrap();
    String::from_utf8(out.stdout)
        .unwrap()
        .lines()
        .map(|l| l.rsplit_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

/// Builds the table of expressions in C and of what the crate says to each.
macro_rules! layout {
    ($table:ident, $($name:ident { $($field:ident),* $(,)? })*) => {$(
        $table.push((format!("sizeof(struct {})", stringify!($name)), size_of::<$name>() as u64));
        $($table.push((
            format!("offsetof(struct {}, {})", stringify!($name), stringify!($field)),
            offset_of!($name, $field) as u64,
        ));)*
    )*};
}

macro_rules! numbers {
    ($table:ident, $($name:ident),* $(,)?) => {
        $($table.push((stringify!($name).to_owned(), u64::from($name)));)*
    };
}

#[test]
fn crate_says_what_the_header_says() {
    let mut table: Vec<(String, u64)> = Vec::new();
    numbers!(
        table,
        HAIOV_TYPE,
        HAIOV_FEATURE_VEI,
        HAIOV_FEATURE_UER,
        HAIOV_FEATURE_HCS,
        HAIOV_ROUTE_CPU,
        HAIOV_ROUTE_CONTEXT,
        HAIOV_CONTEXT_CPU,
        HAIOV_CONTEXT_ANY,
        HAIOV_BUDGET_MAX_US,
        HAIOV_INFO,
        HAIOV_DESTROY,
        HAIOV_VM_CREATE,
        HAIOV_VM_QUERY,
        HAIOV_ROUTE_ADD,
        HAIOV_ROUTE_MOVE,
        HAIOV_ROUTE_QUERY,
        HAIOV_VCPU_CREATE,
        HAIOV_MMIO_ADD,
        HAIOV_SIGNAL_ADD,
        HAIOV_CONTEXT_CREATE,
        HAIOV_CONTEXT_WAIT,
        HAIOV_CONTEXT_QUERY,
        HAIOV_CONTEXT_MOVE,
        HAIOV_CONTEXT_LISTEN,
        HAIOV_MAX_SIGNALS,
        HAIOV_SIGNAL_CONTEXT,
        HAIOV_CONTEXT_SIGNAL,
        HAIOV_UER_PUNT,
        HAIOV_UER_SIGNAL,
        HAIOV_UER_ENDED,
    );
    layout!(table,
        haiov_info { size, flags, features, nr_harts, nr_veiids, cache_entries, max_veirqs }
        haiov_destroy { size, flags, id }
        haiov_vm_create { size, flags, kvm_fd, nr_veirqs, out_vm_id, out_vmid }
        haiov_vm_query { size, flags, vm_id, out_vmid, out_nr_routes, out_fallbacks, out_dropped }
        haiov_route_add { size, flags, vm_id, veirq, eventfd, cpu, out_route_id, out_veiid, out_cpu, context_id }
        haiov_route_move { size, flags, route_id, cpu, out_veiid }
        haiov_route_query {
            size, flags, route_id, out_veirq, out_veiid, out_cpu, out_pending, out_delivered, out_fallbacks, out_throttled,
        }
        haiov_vcpu_create { size, flags, vm_id, vcpu_fd, entry, data, out_vcpu_id }
        haiov_mmio_add { size, flags, vm_id, gpa, length, out_mmio_id }
        haiov_signal_add { size, flags, vm_id, eventfd, out_index, out_signal_id, context_id }
        haiov_context_create { size, flags, entry, data, cpu, budget_us, out_context_id, out_veiid, out_cpu }
        haiov_context_wait { size, flags, context_id }
        haiov_context_query {
            size, flags, context_id, out_cpu, out_veiid, out_nr_routes, out_parked, out_pending, out_doorbells, out_faults,
            out_preempted, out_expired, out_interrupted, out_signaled,
        }
        haiov_context_move { size, flags, context_id, cpu, out_veiid }
        haiov_context_listen { size, flags, context_id, eventfd, out_listening_id }
    );
    let expressions: Vec<String> = table.iter().map(|(e, _)| e.clone()).collect();
    let c = ask_c(&expressions);
    assert_eq!(c.len(), table.len());
    for (expression, value) in table {
        assert_eq!(c[&expression], value, "{expression}");
    }
}
