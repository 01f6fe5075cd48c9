// SPDX-License-Identifier: MIT OR Apache-2.0
//! A backend that a guest's notifications start at once: a device that adds up what the guest puts into its queue.
//!
//! The guest is a dozen instructions: it puts 1, 2, 3, … into a word of its memory, sends VEIRQ 0 and waits until the
//! device has taken it. `backend [NUMBERS [CPU]]` prints what the device has made of it, and how.

use std::error::Error;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use haiov::{Device, UserVei, Vm};
use kvm_bindings::kvm_userspace_memory_region;
use kvm_ioctls::{Kvm, VcpuExit};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

const RAM: GuestAddress = GuestAddress(0x8000_0000);
const QUEUE: GuestAddress = GuestAddress(0x8000_0800);
const TAKEN: GuestAddress = GuestAddress(0x8000_0808);
/// Nothing is here, so that a store leaves the guest.
const EXIT: u64 = 0x1000_0000;
/// Number of the pc among the core registers of 64 bits (asm/kvm.h); x1 and so on follow.
const PC: u64 = 0x8030_0000_0200_0000;

const GUEST: [u32; 8] = [
    0x0012_8293, // 1: addi t0, t0, 1
    0x0053_3023, //    sd t0, 0(t1)
    0x0140_000f, //    fence w, o
    0x5d20_1073, //    csrw svei, zero
    0x0083_3383, // 2: ld t2, 8(t1)
    0xfe53_9ee3, //    bne t2, t0, 2b
    0xfe82_94e3, //    bne t0, s0, 1b
    0x0004_a023, //    sw zero, 0(s1)
];

/// What the handler does, in frames and on its thread alike: take the next number, if there is one.
fn device(memory: GuestMemoryMmap, sum: Arc<AtomicU64>) -> impl FnMut() + Send {
    let mut last = 0;
    move || {
        // There is memory at both, so that neither fails; to drop an error would free memory.
        let number = memory.load::<u64>(QUEUE, Ordering::Acquire).unwrap_or_else(|_| std::process::abort());
        if number != last {
            last = number;
            sum.fetch_add(number, Ordering::Relaxed);
            memory.store(number, TAKEN, Ordering::Release).unwrap_or_else(|_| std::process::abort());
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let numbers: u64 = arguments.next().map_or(Ok(10_000), |word| word.parse())?;
    let mut backend = UserVei::builder();
    if let Some(cpu) = arguments.next() {
        backend = backend.cpu(cpu.parse()?);
    }

    let kvm = Kvm::new()?.create_vm()?;
    let memory = GuestMemoryMmap::from_ranges(&[(RAM, 0x1000)])?;
    let region = kvm_userspace_memory_region {
        guest_phys_addr: RAM.0,
        memory_size: 0x1000,
        userspace_addr: memory.get_host_address(RAM)? as u64,
        ..Default::default()
    };
    // SAFETY: `memory` lives until the end; only vm-memory's volatile methods access it otherwise.
    unsafe { kvm.set_user_memory_region(region) }?;
    for (word, at) in GUEST.into_iter().zip((RAM.0..).step_by(4)) {
        memory.write_obj(word, GuestAddress(at))?;
    }

    // SAFETY: `kvm` is open until the end.
    let vm = Vm::create(&Device::open()?, unsafe { BorrowedFd::borrow_raw(kvm.as_raw_fd()) }, 1)?;
    let sum = Arc::new(AtomicU64::new(0));
    let backend = backend.start(vm.device(), device(memory.clone(), sum.clone()))?;
    let _route = vm.add_context_route(0, &backend)?;

    let mut vcpu = kvm.create_vcpu(0)?;
    for (register, value) in [(0, RAM.0), (6, QUEUE.0), (8, numbers), (9, EXIT)] {
        vcpu.set_one_reg(PC + register, &value.to_le_bytes())?;
    }
    while !matches!(vcpu.run()?, VcpuExit::MmioWrite(EXIT, _)) {}

    let status = backend.query()?;
    println!(
        "sum {} of {numbers} numbers: {} frames, {} wake-ups",
        sum.load(Ordering::Relaxed),
        status.frames(),
        status.wakeups()
    );
    Ok(())
}
