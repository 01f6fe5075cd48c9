// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tries the handler runtime on the real hardware, with guests of two instructions.
//!
//! It needs a riscv64 host with UER and the module, such as the host under test. For each case it prints `ok NAME` or
//! `not ok NAME: WHY`; the exit status is 0 when all are ok.

#[macro_use]
mod cases;

use std::cell::Cell;
use std::error::Error as StdError;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use haiov::uer::{Bus, Caller, Device, Event, Handler, Punt, TryLock};
use haiov::{Error, MmioRange, Vm};
use kvm_bindings::kvm_userspace_memory_region;
use kvm_ioctls::{Kvm, VcpuExit, VcpuFd, VmFd};
use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

use cases::{Case, Outcome, fd};

fn main() -> ExitCode {
    let cases: &[Case] = &[
        ("every load and store, with every register", every_access),
        ("a punt is an exit with every register in place", punts_are_exits),
        ("x0 stays zero, by handler and by punt", x0_stays_zero),
        ("two devices in turn", two_devices_in_turn),
        ("a lock that is taken is a punt", a_taken_lock_is_a_punt),
        ("a handler signals an eventfd", a_handler_signals),
        ("a handler is the same on every thread", a_handler_on_every_thread),
        ("without handler or range, accesses are exits", without_them_accesses_are_exits),
        ("a vCPU has one handler", one_handler),
        ("a panic ends the frame, and nothing else", a_panic_ends_the_frame),
    ];
    cases::run("uer", cases)
}

const RAM: u64 = 0x8000_0000;
const RAM_SIZE: usize = 0x1000;
/// Nothing is here, so that a store leaves the guest.
const NOTHING: u64 = 0x1000_0000;
const DEVICE: u64 = 0x1000_1000;
const OTHER: u64 = 0x1000_2000;
const PAGE: u64 = 0x1000;
/// Number of the pc among the core registers of 64 bits (asm/kvm.h); x1 and so on follow.
const PC: u64 = 0x8030_0000_0200_0000;

/// A guest that makes one access and then stores to [`NOTHING`].
struct Guest {
    vcpu: VcpuFd,
    kvm: VmFd,
    memory: GuestMemoryMmap,
}

/// x0 to x31.
type Registers = [u64; 32];

impl Guest {
    fn new() -> Result<Self, Box<dyn StdError>> {
        let kvm = Kvm::new()?.create_vm()?;
        let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(RAM), RAM_SIZE)])?;
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
        Ok(Self { vcpu, kvm, memory })
    }

    fn bind(&self) -> haiov::Result<Vm> {
        Vm::create(&haiov::Device::open()?, fd(&self.kvm), 1)
    }

    /// Puts an instruction in place, and the registers: all different, but for those given.
    fn prepare(&mut self, insn: Insn, given: &[(usize, u64)]) -> Result<Registers, Box<dyn StdError>> {
        let mut registers: Registers = [0; 32];
        for (n, value) in (0..).zip(&mut registers).skip(1) {
            *value = 0x8000_0000_0000_0000 ^ (n * 0x0101_0101_0101_0101);
        }
        for (n, value) in given {
            registers[*n] = *value;
        }
        // The register that leads to the exit is one that the access does not name.
        let exit = (1..32).rev().find(|n| given.iter().all(|(other, _)| n != other) && *n != insn.named).unwrap_or(31);
        registers[exit] = NOTHING;
        let at = GuestAddress(RAM);
        self.memory.write_obj(insn.code, at)?;
        self.memory.write_obj(0x23 | 2 << 12 | (exit as u32) << 15, GuestAddress(RAM + insn.length))?;
        for (n, value) in (1_u64..).zip(&registers[1..]) {
            self.vcpu.set_one_reg(PC + n, &value.to_le_bytes())?;
        }
        self.vcpu.set_one_reg(PC, &RAM.to_le_bytes())?;
        Ok(registers)
    }

    fn registers(&self) -> Result<Registers, Box<dyn StdError>> {
        let mut registers: Registers = [0; 32];
        for (n, value) in (1_u64..).zip(&mut registers[1..]) {
            let mut bytes = [0; 8];
            self.vcpu.get_one_reg(PC + n, &mut bytes)?;
            *value = u64::from_le_bytes(bytes);
        }
        Ok(registers)
    }

    /// Runs until the store to [`NOTHING`]; the bus answers what comes before. Gives how many exits that were.
    fn run(&mut self, bus: &Bus) -> Result<u32, Box<dyn StdError>> {
        let mut exits = 0;
        loop {
            match self.vcpu.run()? {
                VcpuExit::MmioWrite(NOTHING, _) => break,
                VcpuExit::MmioWrite(address, data) => check!(bus.write(address, data), "a store to {address:#x}"),
                VcpuExit::MmioRead(address, data) => check!(bus.read(address, data), "a load from {address:#x}"),
                VcpuExit::Intr => continue,
                other => return Err(format!("the guest left by {other:?}").into()),
            }
            exits += 1;
        }
        // KVM ends that store when it is called again; it is to do no more than that.
        self.vcpu.set_kvm_immediate_exit(1);
        match self.vcpu.run() {
            Err(e) if e.errno() == Errno::EINTR as i32 => {}
            other => return Err(format!("the last store ended with {other:?}").into()),
        }
        self.vcpu.set_kvm_immediate_exit(0);
        Ok(exits)
    }
}

/// An instruction of the guest.
#[derive(Clone, Copy)]
struct Insn {
    code: u32,
    length: u64,
    /// The register that is stored, or loaded into.
    named: usize,
}

/// Bytes of the operand of an access, by funct3.
fn size(funct3: u32) -> u8 {
    1 << (funct3 & 3)
}

/// A load or store of four bytes, at the register's address.
fn plain(opcode: u32, funct3: u32, named: usize, base: usize) -> Insn {
    let place = if opcode == STORE { 20 } else { 7 };
    let code = opcode | funct3 << 12 | (base as u32) << 15 | (named as u32) << place;
    Insn { code, length: 4, named }
}

/// One of two bytes, for x8 to x15.
fn short(code: u32, named: usize, base: usize) -> Insn {
    Insn { code: code | (base as u32 - 8) << 7 | (named as u32 - 8) << 2, length: 2, named }
}

/// One of two bytes whose base is sp.
fn stack(code: u32, place: u32, named: usize) -> Insn {
    Insn { code: code | (named as u32) << place, length: 2, named }
}

const LOAD: u32 = 0x03;
const STORE: u32 = 0x23;
const ANSWER: u64 = 0xfedc_ba98_f6e5_d4c3;

/// Answers every load alike, remembers the last store, and counts where it was called.
#[derive(Default)]
struct Recorder {
    stored: TryLock<(u64, u64, u8)>,
    loaded: TryLock<(u64, u8)>,
    inside: AtomicU64,
    outside: AtomicU64,
}

/// Offsets from here on are punted.
const PUNTS: u64 = 0x800;

impl Recorder {
    fn count(&self, caller: Caller<'_>) {
        if caller.is_handler() { &self.inside } else { &self.outside }.fetch_add(1, Ordering::Relaxed);
    }
}

impl Device for Recorder {
    fn read(&self, caller: Caller<'_>, offset: u64, size: u8) -> Result<u64, Punt> {
        if offset >= PUNTS {
            caller.after_exit(|| ())?;
        }
        *self.loaded.enter(caller)? = (offset, size);
        self.count(caller);
        Ok(ANSWER)
    }

    fn write(&self, caller: Caller<'_>, offset: u64, value: u64, size: u8) -> Result<(), Punt> {
        if offset >= PUNTS {
            caller.after_exit(|| ())?;
        }
        *self.stored.enter(caller)? = (offset, value, size);
        self.count(caller);
        Ok(())
    }
}

/// A guest with one device, by UER.
struct Machine {
    // In the order in which they go.
    handler: Handler,
    ranges: Vec<MmioRange>,
    guest: Guest,
    bus: Bus,
    vm: Vm,
}

impl Machine {
    fn new(devices: &[(u64, Arc<dyn Device>)]) -> Result<Self, Box<dyn StdError>> {
        let guest = Guest::new()?;
        let mut bus = Bus::default();
        for (gpa, device) in devices {
            bus.add(*gpa, PAGE, device.clone())?;
        }
        let vm = guest.bind()?;
        let handler = bus.attach(&vm, fd(&guest.vcpu))?;
        let ranges = bus.register(&vm)?;
        Ok(Self { handler, ranges, guest, bus, vm })
    }

    /// One access; gives registers before and after, and how many exits it took.
    fn access(
        &mut self,
        insn: Insn,
        base: usize,
        address: u64,
    ) -> Result<(Registers, Registers, u32), Box<dyn StdError>> {
        let before = self.guest.prepare(insn, &[(base, address)])?;
        let exits = self.guest.run(&self.bus)?;
        Ok((before, self.guest.registers()?, exits))
    }
}

/// What a load leaves in its register.
fn extended(funct3: u32) -> u64 {
    match funct3 {
        0 => ANSWER as i8 as u64,
        1 => ANSWER as i16 as u64,
        2 => ANSWER as i32 as u64,
        4 => u64::from(ANSWER as u8),
        5 => u64::from(ANSWER as u16),
        6 => u64::from(ANSWER as u32),
        _ => ANSWER,
    }
}

/// A form of a load or store: funct3 of what it does, the instruction, its base register.
type Form = (u32, Insn, usize);

fn loads() -> Vec<Form> {
    let mut forms = Vec::new();
    for funct3 in 0..7 {
        // Every register, and one that is its own base.
        forms.extend((0..32).map(|n| {
            let base = if n == 5 { 6 } else { 5 };
            (funct3, plain(LOAD, funct3, n, base), base)
        }));
        forms.push((funct3, plain(LOAD, funct3, 21, 21), 21));
    }
    for (funct3, code, sp) in [(2, 0x4000, 0x4002), (3, 0x6000, 0x6002)] {
        for n in 8..16 {
            let base = if n == 9 { 10 } else { 9 };
            forms.push((funct3, short(code, n, base), base));
        }
        forms.extend((1..32).map(|n| (funct3, stack(sp, 7, n), 2)));
    }
    forms
}

fn stores() -> Vec<Form> {
    let mut forms = Vec::new();
    for funct3 in 0..4 {
        forms.extend((0..32).map(|n| {
            let base = if n == 5 { 6 } else { 5 };
            (funct3, plain(STORE, funct3, n, base), base)
        }));
        forms.push((funct3, plain(STORE, funct3, 21, 21), 21));
    }
    for (funct3, code, sp) in [(2, 0xc000, 0xc002), (3, 0xe000, 0xe002)] {
        for n in 8..16 {
            let base = if n == 9 { 10 } else { 9 };
            forms.push((funct3, short(code, n, base), base));
        }
        forms.extend((0..32).map(|n| (funct3, stack(sp, 2, n), 2)));
    }
    forms
}

/// Makes every access at one offset, and checks what device and guest saw. Gives how many exits it took.
fn all_forms(machine: &mut Machine, device: &Recorder, offset: u64) -> Result<u32, Box<dyn StdError>> {
    let mut exits = 0;
    for (funct3, insn, base) in stores() {
        let (wanted, got, took) = machine.access(insn, base, DEVICE + offset)?;
        check!(got == wanted, "store {:#x}: the registers are {got:x?}, not {wanted:x?}", insn.code);
        let mask = u64::MAX >> (64 - 8 * u32::from(size(funct3)));
        let stored = *device.stored.lock()?;
        let right = (offset, wanted[insn.named] & mask, size(funct3));
        check!(stored == right, "store {:#x}: the device saw {stored:x?}, not {right:x?}", insn.code);
        exits += took;
    }
    for (funct3, insn, base) in loads() {
        let (mut wanted, got, took) = machine.access(insn, base, DEVICE + offset)?;
        if insn.named != 0 {
            wanted[insn.named] = extended(funct3);
        }
        check!(got == wanted, "load {:#x}: the registers are {got:x?}, not {wanted:x?}", insn.code);
        let loaded = *device.loaded.lock()?;
        check!(loaded == (offset, size(funct3)), "load {:#x}: the device saw {loaded:x?}", insn.code);
        exits += took;
    }
    Ok(exits)
}

fn every_access() -> Outcome {
    let device = Arc::new(Recorder::default());
    let mut machine = Machine::new(&[(DEVICE, device.clone())])?;
    let exits = all_forms(&mut machine, &device, 0x120)?;
    let count = (loads().len() + stores().len()) as u64;
    check!(exits == 0, "{exits} accesses were exits");
    check!(device.inside.load(Ordering::Relaxed) == count, "not every access came to the handler");
    Ok(())
}

fn punts_are_exits() -> Outcome {
    let device = Arc::new(Recorder::default());
    let mut machine = Machine::new(&[(DEVICE, device.clone())])?;
    let exits = all_forms(&mut machine, &device, PUNTS)?;
    let count = (loads().len() + stores().len()) as u32;
    check!(exits == count, "{exits} exits for {count} accesses");
    check!(device.inside.load(Ordering::Relaxed) == 0, "a handler went on");
    check!(device.outside.load(Ordering::Relaxed) == u64::from(count), "not every access came after an exit");
    Ok(())
}

fn x0_stays_zero() -> Outcome {
    let device = Arc::new(Recorder::default());
    let mut machine = Machine::new(&[(DEVICE, device.clone())])?;
    for offset in [0, PUNTS] {
        machine.access(plain(LOAD, 3, 0, 5), 5, DEVICE + offset)?;
        machine.access(plain(STORE, 3, 0, 5), 5, DEVICE + offset)?;
        let stored = *device.stored.lock()?;
        check!(stored == (offset, 0, 8), "after a load into x0, a store of it: {stored:x?}");
    }
    Ok(())
}

fn two_devices_in_turn() -> Outcome {
    let (one, two) = (Arc::new(Recorder::default()), Arc::new(Recorder::default()));
    let mut machine = Machine::new(&[(DEVICE, one.clone()), (OTHER, two.clone())])?;
    for i in 0..10 {
        let (address, device) = if i % 3 == 0 { (OTHER, &two) } else { (DEVICE, &one) };
        let (before, _, exits) = machine.access(plain(STORE, 3, 7, 5), 5, address + 8 * i)?;
        check!(exits == 0, "access {i} was an exit");
        let stored = *device.stored.lock()?;
        check!(stored == (8 * i, before[7], 8), "access {i}: {stored:x?}");
    }
    Ok(())
}

fn a_taken_lock_is_a_punt() -> Outcome {
    let device = Arc::new(Recorder::default());
    let mut machine = Machine::new(&[(DEVICE, device.clone())])?;
    // The guest's access punts, and then waits outside.
    let guard = device.stored.lock()?;
    machine.guest.prepare(plain(STORE, 3, 7, 5), &[(5, DEVICE)])?;
    match machine.guest.vcpu.run()? {
        VcpuExit::MmioWrite(DEVICE, _) => {}
        other => return Err(format!("the guest left by {other:?}").into()),
    }
    drop(guard);
    let (_, _, exits) = machine.access(plain(STORE, 3, 7, 5), 5, DEVICE)?;
    check!(exits == 0, "the lock is free, and the access was an exit");
    Ok(())
}

/// Signals at every store.
struct Bell(Event);

impl Device for Bell {
    fn read(&self, _: Caller<'_>, _: u64, _: u8) -> Result<u64, Punt> {
        Ok(0)
    }
    fn write(&self, caller: Caller<'_>, _: u64, _: u64, _: u8) -> Result<(), Punt> {
        self.0.signal(caller)
    }
}

fn a_handler_signals() -> Outcome {
    let eventfd = EventFd::from_flags(EfdFlags::EFD_NONBLOCK)?;
    let bell = Arc::new(Bell(Event::new(eventfd.as_fd().try_clone_to_owned()?)));
    let mut machine = Machine::new(&[(DEVICE, bell.clone())])?;
    let store = plain(STORE, 2, 7, 5);
    let (_, _, exits) = machine.access(store, 5, DEVICE)?;
    check!(exits == 1, "an event that is not registered: {exits} exits");
    check!(eventfd.read()? == 1, "it was not signaled after the exit");
    bell.0.register(&machine.vm)?;
    for _ in 0..3 {
        let (before, after, exits) = machine.access(store, 5, DEVICE)?;
        check!(exits == 0, "a registered event: {exits} exits");
        check!(before == after, "the registers are {after:x?}, not {before:x?}");
    }
    check!(eventfd.read()? == 3, "it was not signaled by the handler");
    bell.0.register(&machine.vm)?;
    let other = Machine::new(&[])?;
    check!(
        matches!(bell.0.register(&other.vm), Err(Error::Busy { .. })),
        "a second VM's handlers would signal something else"
    );
    Ok(())
}

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

/// Tells how often this handler has called it.
struct Local;

impl Device for Local {
    fn read(&self, _: Caller<'_>, _: u64, _: u8) -> Result<u64, Punt> {
        CALLS.set(CALLS.get() + 1);
        Ok(CALLS.get())
    }
    fn write(&self, _: Caller<'_>, _: u64, _: u64, _: u8) -> Result<(), Punt> {
        Ok(())
    }
}

fn a_handler_on_every_thread() -> Outcome {
    let mut machine = Machine::new(&[(DEVICE, Arc::new(Local))])?;
    for n in 1..5 {
        let answer = thread::scope(|scope| {
            let body = || {
                CALLS.set(100);
                let (_, after, exits) = machine.access(plain(LOAD, 3, 7, 5), 5, DEVICE).ok()?;
                (exits == 0 && CALLS.get() == 100).then_some(after[7])
            };
            scope.spawn(body).join().ok().flatten()
        });
        check!(answer == Some(n), "call {n} on a thread of its own gave {answer:?}");
    }
    check!(CALLS.get() == 0, "the handler has used this thread's variables");
    Ok(())
}

fn without_them_accesses_are_exits() -> Outcome {
    let device = Arc::new(Recorder::default());
    let mut machine = Machine::new(&[(DEVICE, device.clone())])?;
    let store = plain(STORE, 3, 7, 5);
    check!(machine.access(store, 5, DEVICE)?.2 == 0, "with both, an exit");
    machine.ranges.clear();
    check!(machine.access(store, 5, DEVICE)?.2 == 1, "without the range, no exit");
    machine.ranges = machine.bus.register(&machine.vm)?;
    check!(machine.access(store, 5, DEVICE)?.2 == 0, "with the range again, an exit");
    let Machine { handler, ranges: _ranges, mut guest, bus, vm: _vm } = machine;
    handler.detach();
    guest.prepare(store, &[(5, DEVICE)])?;
    check!(guest.run(&bus)? == 1, "without the handler, no exit");
    Ok(())
}

fn one_handler() -> Outcome {
    let mut machine = Machine::new(&[(DEVICE, Arc::new(Recorder::default()))])?;
    match machine.bus.attach(&machine.vm, fd(&machine.guest.vcpu)) {
        Err(Error::Busy { .. }) => {}
        other => return Err(format!("a second handler: {other:?}").into()),
    }
    check!(machine.access(plain(STORE, 3, 7, 5), 5, DEVICE)?.2 == 0, "the first handler no longer works");
    Ok(())
}

/// Panics.
struct Bomb;

#[allow(clippy::panic)] // that is what it is for
impl Device for Bomb {
    fn read(&self, _: Caller<'_>, offset: u64, _: u8) -> Result<u64, Punt> {
        panic!("a load at {offset:#x}");
    }
    fn write(&self, _: Caller<'_>, _: u64, _: u64, _: u8) -> Result<(), Punt> {
        Ok(())
    }
}

fn a_panic_ends_the_frame() -> Outcome {
    let mut machine = Machine::new(&[(DEVICE, Arc::new(Bomb))])?;
    for _ in 0..2 {
        machine.guest.prepare(plain(LOAD, 3, 7, 5), &[(5, DEVICE)])?;
        match machine.guest.vcpu.run()? {
            VcpuExit::InternalError => {}
            other => return Err(format!("the guest left by {other:?}").into()),
        }
    }
    // The vCPU is as good as before, and so are the other threads' panics.
    check!(machine.access(plain(STORE, 3, 7, 5), 5, DEVICE)?.2 == 0, "the handler no longer works");
    Ok(())
}
