// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest's physical address space.

use std::ops::RangeInclusive;

/// Serial port.
pub const SERIAL_BASE: u64 = 0x1000_0000;
/// Size of the serial port's node; it has eight registers of one byte.
pub const SERIAL_SIZE: u64 = 0x100;
/// The page that the serial port is alone in, so that handlers can take it over.
pub const SERIAL_PAGE: u64 = 0x1000;
/// Doorbell device.
pub const DOORBELL_BASE: u64 = 0x1000_1000;
/// Size of the doorbell device: one page, so that a later VMM can map or trap it alone.
pub const DOORBELL_SIZE: u64 = 0x1000;
/// Disk: the registers of virtio-mmio, and its configuration.
pub const DISK_BASE: u64 = 0x1000_4000;
/// Size of the disk: one page, so that handlers can take it over.
pub const DISK_SIZE: u64 = 0x1000;
/// Bench device: registers that are reached by exits, a page that handlers serve, and one that a thread does.
pub const BENCH_BASE: u64 = 0x1000_8000;
/// Size of each of its pages.
pub const BENCH_PAGE: u64 = 0x1000;
/// Size of the bench device.
pub const BENCH_SIZE: u64 = 3 * BENCH_PAGE;
/// APLIC, the controller of wired interrupts, in the kernel.
pub const APLIC_BASE: u64 = 0x0d00_0000;
/// Size of the APLIC that KVM emulates.
pub const APLIC_SIZE: u64 = 0x4000;
/// Wired interrupts that the APLIC has; number 0 is none.
pub const APLIC_SOURCES: u32 = 31;
/// IMSICs, the controllers of message-signaled interrupts, one page for each hart.
pub const IMSIC_BASE: u64 = 0x2800_0000;
/// Size of one hart's IMSIC: its S-level file, and no guest files.
pub const IMSIC_SIZE: u64 = 0x1000;
/// Memory.
pub const RAM_BASE: u64 = 0x8000_0000;

/// APLIC source of the serial port.
pub const SERIAL_IRQ: u32 = 1;
/// APLIC source of the disk.
pub const DISK_IRQ: u32 = 2;

/// VEIRQ of the doorbell.
pub const DOORBELL_VEIRQ: u32 = 0;
/// VEIRQ of the disk's queue.
pub const DISK_VEIRQ: u32 = 1;
/// How many VEIRQs the guest has.
pub const VEIRQS: u32 = 2;

/// The most vCPUs that the address space has room for.
pub const MAX_CPUS: u32 = 512;

/// How many vCPUs there may be.
pub const CPUS: RangeInclusive<usize> = 1..=MAX_CPUS as usize;
/// How much memory there may be, in MiB.
pub const MEM_MIB: RangeInclusive<u64> = 16..=1 << 20;

/// A mebibyte.
pub const MIB: u64 = 1 << 20;

// No two regions overlap, and every IMSIC fits below the memory.
const _: () = {
    assert!(APLIC_BASE + APLIC_SIZE <= SERIAL_BASE);
    assert!(SERIAL_SIZE <= SERIAL_PAGE && SERIAL_BASE + SERIAL_PAGE <= DOORBELL_BASE);
    assert!(DOORBELL_BASE + DOORBELL_SIZE <= DISK_BASE);
    assert!(DISK_BASE + DISK_SIZE <= BENCH_BASE);
    assert!(BENCH_BASE + BENCH_SIZE <= IMSIC_BASE);
    assert!(IMSIC_BASE + IMSIC_SIZE * MAX_CPUS as u64 <= RAM_BASE);
    assert!(SERIAL_IRQ >= 1 && SERIAL_IRQ != DISK_IRQ && DISK_IRQ <= APLIC_SOURCES);
};
