// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tries every object against the real device, with a guest of four instructions that really sends.
//!
//! It needs a riscv64 host with the hardware and the module, such as the host under test. For each case it prints
//! `ok NAME` or `not ok NAME: WHY`; the exit status is 0 when all are ok.

#[macro_use]
mod cases;

use std::error::Error as StdError;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::process::ExitCode;

use haiov::{Device, Error, Route, Signal, Vcpu, Vm};
use kvm_bindings::kvm_userspace_memory_region;
use kvm_ioctls::{Kvm, VcpuExit, VcpuFd, VmFd};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EventFd;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

use cases::{Case, Outcome, fd};

/// Ends the case unless the result is an error of the given kind.
macro_rules! refused {
    ($result:expr, $kind:pat, $what:expr) => {
        match $result {
            Err($kind) => {}
            Err(other) => return Err(format!("{}: refused, but thus: {other}", $what).into()),
            Ok(_) => return Err(format!("{}: not refused", $what).into()),
        }
    };
}

fn main() -> ExitCode {
    let cases: &[Case] = &[
        ("the hardware is described", hardware_is_described),
        ("routes come, move and go", routes_come_move_and_go),
        ("objects may be dropped in any order", objects_may_be_dropped_in_any_order),
        ("mistakes are named", mistakes_are_named),
        ("a full CPU has no room until a route goes", a_full_cpu_has_no_room),
        ("events arrive wherever the route goes", events_arrive),
        ("sends without a route are dropped and counted", sends_without_a_route),
        ("ranges come and go", ranges_come_and_go),
        ("signals come and go", signals_come_and_go),
        ("a vCPU has one handler", a_vcpu_has_one_handler),
        ("leaves of a VM may be dropped in any order", leaves_may_be_dropped_in_any_order),
    ];
    cases::run("haiov crate", cases)
}

fn hardware_is_described() -> Outcome {
    let info = Device::open()?.info()?;
    check!(info.features.vei() && info.features.uer(), "no VEI or no UER: {info:?}");
    check!(info.harts >= 1 && info.veiids_per_hart >= 2 && info.max_veirqs >= 1, "{info:?}");
    Ok(())
}

fn routes_come_move_and_go() -> Outcome {
    let kvm = Kvm::new()?.create_vm()?;
    let vm = Vm::create(&Device::open()?, fd(&kvm), 4)?;
    check!(vm.vmid() != 0, "VMID 0");
    let eventfd = EventFd::new()?;
    let first = vm.add_route(0, &eventfd, None)?;
    let mut second = vm.add_route(3, &eventfd, Some(1))?;
    check!(vm.query()?.routes == 2, "{:?}", vm.query());
    let status = second.query()?;
    check!((status.veirq, status.cpu, status.delivered) == (3, 1, 0), "{status:?}");
    check!((status.veiid, status.pending) == (second.veiid(), false), "{status:?}");
    second.move_to(0)?;
    check!(second.query()?.cpu == 0, "not moved: {:?}", second.query());
    first.destroy()?;
    check!(vm.query()?.routes == 1, "{:?}", vm.query());
    drop(second);
    check!(vm.query()?.routes == 0, "{:?}", vm.query());
    Ok(())
}

fn objects_may_be_dropped_in_any_order() -> Outcome {
    let kvm = Kvm::new()?.create_vm()?;
    let device = Device::open()?;
    let vm = Vm::create(&device, fd(&kvm), 1)?;
    let route = vm.add_route(0, EventFd::new()?, None)?;
    drop(device);
    drop(vm);
    let other = Device::open()?;
    refused!(Vm::create(&other, fd(&kvm), 1), Error::Busy { .. }, "a binding that a route keeps");
    check!(route.query()?.veirq == 0, "{:?}", route.query());
    drop(route);
    Vm::create(&other, fd(&kvm), 1)?;
    Ok(())
}

fn mistakes_are_named() -> Outcome {
    let device = Device::open()?;
    let most = device.info()?.max_veirqs;
    let kvm = Kvm::new()?.create_vm()?;
    for veirqs in [0, most + 1] {
        refused!(Vm::create(&device, fd(&kvm), veirqs), Error::Invalid { .. }, format!("{veirqs} VEIRQs"));
    }
    let eventfd = EventFd::new()?;
    refused!(Vm::create(&device, &eventfd, 1), Error::Invalid { .. }, "an eventfd as a VM");

    let vm = Vm::create(&device, fd(&kvm), 2)?;
    refused!(vm.add_route(2, &eventfd, None), Error::Invalid { .. }, "a VEIRQ past the end");
    refused!(vm.add_route(0, &device, None), Error::Invalid { .. }, "a device as an eventfd");
    refused!(vm.add_route(0, &eventfd, Some(1 << 20)), Error::Invalid { .. }, "a route to no CPU");
    let mut route = vm.add_route(0, &eventfd, Some(0))?;
    refused!(vm.add_route(0, &eventfd, None), Error::Exists { veirq: 0, .. }, "a second route");
    refused!(route.move_to(1 << 20), Error::Invalid { .. }, "a move to no CPU");
    check!((route.cpu(), route.query()?.cpu) == (0, 0), "a failed move changed something");
    Ok(())
}

fn a_full_cpu_has_no_room() -> Outcome {
    let device = Device::open()?;
    // VEIID 0 is never used.
    let room = device.info()?.veiids_per_hart - 1;
    let kvm = Kvm::new()?.create_vm()?;
    let vm = Vm::create(&device, fd(&kvm), room + 1)?;
    let eventfd = EventFd::new()?;
    let mut routes = (0..room).map(|i| vm.add_route(i, &eventfd, Some(0))).collect::<haiov::Result<Vec<Route>>>()?;
    refused!(vm.add_route(room, &eventfd, Some(0)), Error::NoSpace { .. }, "a route too many");
    routes.pop();
    vm.add_route(room, &eventfd, Some(0))?;
    Ok(())
}

const RAM: u64 = 0x8000_0000;
const RAM_SIZE: usize = 0x1000;
/// Nothing is here, so that a store leaves the guest.
const NOTHING: u64 = 0x1000_0000;
const CODE: [u32; 4] = [
    0x0140_000f, // fence w, o
    0x5d25_1073, // csrw svei, a0
    0x00a5_a023, // sw a0, 0(a1)
    0xff5f_f06f, // j .-12
];
/// Numbers of the core registers of 64 bits (asm/kvm.h): pc is the first, then x1 and so on.
const PC: u64 = 0x8030_0000_0200_0000;
const A0: u64 = PC + 10;
const A1: u64 = PC + 11;

/// A guest that sends one VEIRQ for each turn.
struct Guest {
    vcpu: VcpuFd,
    kvm: VmFd,
    _memory: GuestMemoryMmap,
}

impl Guest {
    fn new() -> Result<Self, Box<dyn StdError>> {
        let kvm = Kvm::new()?.create_vm()?;
        let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(RAM), RAM_SIZE)])?;
        for (i, word) in CODE.iter().enumerate() {
            memory.write_obj(*word, GuestAddress(RAM + 4 * i as u64))?;
        }
        let region = kvm_userspace_memory_region {
            guest_phys_addr: RAM,
            memory_size: RAM_SIZE as u64,
            userspace_addr: memory.get_host_address(GuestAddress(RAM))? as u64,
            ..Default::default()
        };
        // SAFETY: the mapping is in the same struct as the VM and goes after it; only vm-memory's volatile methods
        // access it otherwise.
        unsafe { kvm.set_user_memory_region(region) }?;
        let vcpu = kvm.create_vcpu(0)?;
        vcpu.set_one_reg(PC, &RAM.to_le_bytes())?;
        vcpu.set_one_reg(A1, &NOTHING.to_le_bytes())?;
        Ok(Self { vcpu, kvm, _memory: memory })
    }

    fn send(&mut self, veirq: u64) -> Outcome {
        self.vcpu.set_one_reg(A0, &veirq.to_le_bytes())?;
        match self.vcpu.run()? {
            VcpuExit::MmioWrite(NOTHING, _) => Ok(()),
            other => Err(format!("the guest left by {other:?}").into()),
        }
    }
}

/// Waits for one event, and that it is one.
fn one_arrives(eventfd: &EventFd) -> Outcome {
    let mut fds = [PollFd::new(eventfd.as_fd(), PollFlags::POLLIN)];
    check!(poll(&mut fds, PollTimeout::from(20_000_u16))? == 1, "no event came");
    let events = eventfd.read()?;
    check!(events == 1, "{events} events came");
    Ok(())
}

fn events_arrive() -> Outcome {
    let mut guest = Guest::new()?;
    let vm = Vm::create(&Device::open()?, fd(&guest.kvm), 2)?;
    let (zero, one) = (EventFd::new()?, EventFd::new()?);
    let mut route = vm.add_route(0, &zero, Some(0))?;
    let other = vm.add_route(1, &one, None)?;
    for cpu in [0, 1, 1, 0] {
        route.move_to(cpu)?;
        guest.send(0)?;
        one_arrives(&zero)?;
        guest.send(1)?;
        one_arrives(&one)?;
    }
    let delivered = (route.query()?.delivered, other.query()?.delivered);
    check!(delivered == (4, 4), "{delivered:?}");
    let status = vm.query()?;
    check!((status.fallbacks, status.dropped) == (0, 0), "{status:?}");
    Ok(())
}

fn sends_without_a_route() -> Outcome {
    let mut guest = Guest::new()?;
    let vm = Vm::create(&Device::open()?, fd(&guest.kvm), 2)?;
    let eventfd = EventFd::new()?;
    let route = vm.add_route(0, &eventfd, None)?;
    guest.send(1)?;
    guest.send(1 << 16)?;
    check!(vm.query()?.dropped == 2, "{:?}", vm.query());
    guest.send(0)?;
    one_arrives(&eventfd)?;
    drop(route);
    guest.send(0)?;
    check!(vm.query()?.dropped == 3, "{:?}", vm.query());
    Ok(())
}

fn ranges_come_and_go() -> Outcome {
    let guest = Guest::new()?;
    let vm = Vm::create(&Device::open()?, fd(&guest.kvm), 1)?;
    let range = vm.add_mmio(NOTHING, 0x2000)?;
    check!((range.gpa(), range.length()) == (NOTHING, 0x2000), "{range:?}");
    refused!(vm.add_mmio(NOTHING + 0x1000, 0x1000), Error::Overlaps { length: 0x1000, .. }, "a range in a range");
    refused!(vm.add_mmio(RAM, 0x1000), Error::Overlaps { gpa: RAM, .. }, "a range in memory");
    for (gpa, length) in [(NOTHING + 1, 0x1000), (NOTHING, 0x1001), (NOTHING, 0), (!0xfff, 0x1000)] {
        refused!(vm.add_mmio(gpa, length), Error::Invalid { .. }, format!("{length:#x} bytes at {gpa:#x}"));
    }
    range.destroy()?;
    drop(vm.add_mmio(NOTHING, 0x1000)?);
    vm.add_mmio(NOTHING, 0x1000)?.destroy()?;
    Ok(())
}

fn signals_come_and_go() -> Outcome {
    let kvm = Kvm::new()?.create_vm()?;
    let device = Device::open()?;
    let vm = Vm::create(&device, fd(&kvm), 1)?;
    let eventfd = EventFd::new()?;
    refused!(vm.add_signal(&device), Error::Invalid { .. }, "a device as an eventfd");
    let mut signals = (0..Signal::MAX).map(|_| vm.add_signal(&eventfd)).collect::<haiov::Result<Vec<Signal>>>()?;
    check!(signals.iter().map(Signal::index).eq(0..Signal::MAX), "indices out of order");
    refused!(vm.add_signal(&eventfd), Error::NoSpace { .. }, "a signal too many");
    drop(signals.remove(7));
    let again = vm.add_signal(&eventfd)?;
    check!(again.index() == 7, "index {}", again.index());
    again.destroy()?;
    Ok(())
}

/// Where a handler begins; it never runs here, since nothing accesses a range.
const ENTRY: usize = 0x1_0000;

/// Gives a vCPU a handler that nothing starts.
fn idle_handler(vm: &Vm, vcpu: &impl AsRawFd) -> haiov::Result<Vcpu> {
    // SAFETY: the caller's variable owns the file, and is borrowed for the duration of the call.
    let vcpu = unsafe { BorrowedFd::borrow_raw(vcpu.as_raw_fd()) };
    // SAFETY: a handler starts only at an access to an MMIO range, and no guest that gets one here runs.
    unsafe { Vcpu::create_raw(vm, vcpu, ENTRY, 0) }
}

fn a_vcpu_has_one_handler() -> Outcome {
    let (guest, other) = (Guest::new()?, Guest::new()?);
    let vm = Vm::create(&Device::open()?, fd(&guest.kvm), 1)?;
    let vcpu = idle_handler(&vm, &guest.vcpu)?;
    refused!(idle_handler(&vm, &guest.vcpu), Error::Busy { .. }, "a second handler");
    refused!(idle_handler(&vm, &other.vcpu), Error::Invalid { .. }, "a vCPU of another VM");
    refused!(idle_handler(&vm, &guest.kvm), Error::Invalid { .. }, "a VM as a vCPU");
    vcpu.destroy()?;
    drop(idle_handler(&vm, &guest.vcpu)?);
    idle_handler(&vm, &guest.vcpu)?.destroy()?;
    Ok(())
}

fn leaves_may_be_dropped_in_any_order() -> Outcome {
    let guest = Guest::new()?;
    let device = Device::open()?;
    let vm = Vm::create(&device, fd(&guest.kvm), 1)?;
    let (range, signal) = (vm.add_mmio(NOTHING, 0x1000)?, vm.add_signal(EventFd::new()?)?);
    let vcpu = idle_handler(&vm, &guest.vcpu)?;
    drop(device);
    drop(vm);
    let other = Device::open()?;
    refused!(Vm::create(&other, fd(&guest.kvm), 1), Error::Busy { .. }, "a binding that leaves keep");
    drop(range);
    drop(vcpu);
    refused!(Vm::create(&other, fd(&guest.kvm), 1), Error::Busy { .. }, "a binding that a signal keeps");
    drop(signal);
    Vm::create(&other, fd(&guest.kvm), 1)?;
    Ok(())
}
