// SPDX-License-Identifier: MIT OR Apache-2.0
//! A vCPU: its registers, and the loop that runs it.
//!
//! KVM starts the first vCPU; the others wait in `KVM_RUN` until the guest starts them by SBI calls, which KVM serves.

use std::fs::File;
use std::io::{self, Read, Write};
use std::mem::offset_of;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kvm_bindings::{
    KVM_REG_RISCV, KVM_REG_RISCV_CONFIG, KVM_REG_RISCV_CORE, KVM_REG_RISCV_ISA_EXT, KVM_REG_RISCV_TIMER,
    KVM_REG_SIZE_MASK, KVM_REG_SIZE_SHIFT, KVM_REG_SIZE_U64, KVM_SYSTEM_EVENT_CRASH, KVM_SYSTEM_EVENT_RESET,
    KVM_SYSTEM_EVENT_SHUTDOWN, kvm_mp_state, kvm_riscv_config, kvm_riscv_core, kvm_riscv_timer, user_regs_struct,
};
use kvm_ioctls::{VcpuExit, VcpuFd};
use nix::errno::Errno;

use crate::bus::Bus;
use crate::error::{Error, Result};
use crate::gate::Gate;
use crate::isa::{EXTENSIONS, Isa};
use crate::{snapshot, sys};

/// Where KVM has the figure that newer headers than those of kvm-bindings call `zicbop_block_size`.
const CONFIG_ZICBOP_BLOCK_SIZE: usize = size_of::<kvm_riscv_config>();

/// The guest's time, which belongs to the VM.
const TIME: u64 = register(KVM_REG_RISCV_TIMER, offset_of!(kvm_riscv_timer, time));

/// SBI calls of version 0.1 that a console uses.
const SBI_CONSOLE_PUTCHAR: u64 = 1;
const SBI_CONSOLE_GETCHAR: u64 = 2;
const SBI_ERR_NOT_SUPPORTED: u64 = -2_i64 as u64;

/// The CSR by which a guest gets random numbers (Zkr), with 16 bits of them, or none yet.
const CSR_SEED: u64 = 0x015;
const SEED_WAIT: u64 = 1 << 30;
const SEED_ES16: u64 = 2 << 30;

/// That KVM ended a handler: `HAIOV_KVM_UER_ENDED` of <linux/haiov.h>.
const HANDLER_ENDED: u32 = 0x4841_0001;

const HINT: &str = "the host's kernel needs KVM of Linux 6.8 or later";

/// The number of a register: kind, and byte offset in the struct of the kind.
const fn register(kind: u32, offset: usize) -> u64 {
    KVM_REG_RISCV as u64 | KVM_REG_SIZE_U64 as u64 | kind as u64 | (offset / size_of::<u64>()) as u64
}

fn get(vcpu: &VcpuFd, register: u64) -> io::Result<u64> {
    let mut value = [0; 8];
    vcpu.get_one_reg(register, &mut value)?;
    Ok(u64::from_le_bytes(value))
}

fn set(vcpu: &VcpuFd, register: u64, value: u64) -> io::Result<()> {
    vcpu.set_one_reg(register, &value.to_le_bytes())?;
    Ok(())
}

/// Like [`get`], with 0 for a register that this KVM does not have.
fn get_or_zero(vcpu: &VcpuFd, register: u64) -> io::Result<u64> {
    match get(vcpu, register) {
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::EINVAL)) => Ok(0),
        other => other,
    }
}

/// Asks what a vCPU can do.
///
/// # Arguments
///
/// * `vcpu` - any of the VM's: all are alike.
///
/// # Errors
///
/// [`Error::Kvm`] when KVM does not say.
pub fn isa(vcpu: &VcpuFd) -> Result<Isa> {
    let read = || -> io::Result<Isa> {
        let mut enabled = Vec::new();
        for id in 0..EXTENSIONS.len() {
            if get_or_zero(vcpu, register(KVM_REG_RISCV_ISA_EXT, id * size_of::<u64>()))? != 0 {
                enabled.push(id);
            }
        }
        let config = |offset| get_or_zero(vcpu, register(KVM_REG_RISCV_CONFIG, offset));
        let mut isa = Isa::new(enabled);
        isa.cbom_block_size = config(offset_of!(kvm_riscv_config, zicbom_block_size))? as u32;
        isa.cboz_block_size = config(offset_of!(kvm_riscv_config, zicboz_block_size))? as u32;
        isa.cbop_block_size = config(CONFIG_ZICBOP_BLOCK_SIZE)? as u32;
        isa.satp_mode = config(offset_of!(kvm_riscv_config, satp_mode))?;
        isa.timebase_hz = get(vcpu, register(KVM_REG_RISCV_TIMER, offset_of!(kvm_riscv_timer, frequency)))? as u32;
        Ok(isa)
    };
    read().map_err(Error::kvm("ask what a vCPU can do", HINT))
}

/// Puts the first vCPU where Linux begins (Documentation/arch/riscv/boot.rst).
///
/// # Arguments
///
/// * `vcpu` - the first vCPU.
/// * `entry` - address of the kernel.
/// * `fdt` - address of the device tree.
///
/// # Errors
///
/// [`Error::Kvm`] when KVM refuses.
pub fn set_entry(vcpu: &VcpuFd, entry: u64, fdt: u64) -> Result<()> {
    let core = |offset| register(KVM_REG_RISCV_CORE, offset_of!(kvm_riscv_core, regs) + offset);
    set(vcpu, core(offset_of!(user_regs_struct, pc)), entry)
        .and_then(|()| set(vcpu, core(offset_of!(user_regs_struct, a0)), 0))
        .and_then(|()| set(vcpu, core(offset_of!(user_regs_struct, a1)), fdt))
        .map_err(Error::kvm("set the registers of a vCPU", HINT))
}

/// A vCPU, locked by its thread while that runs it.
pub struct Vcpu {
    fd: VcpuFd,
    /// Whether it was started, when its thread stopped at the gate: `KVM_GET_MP_STATE`.
    mp_state: u32,
}

impl Vcpu {
    /// Takes a vCPU.
    ///
    /// # Arguments
    ///
    /// * `fd` - the vCPU.
    pub fn new(fd: VcpuFd) -> Mutex<Self> {
        Mutex::new(Self { fd, mp_state: 0 })
    }

    /// Lets KVM finish what the last exit began, such as the load that it was for: it does so when it next runs, and
    /// until then the registers do not show it. The guest does not run.
    fn settle(&mut self) -> Result<()> {
        const ACTION: &str = "stop a vCPU";
        self.fd.set_kvm_immediate_exit(1);
        let ran = match self.fd.run() {
            Err(e) if e.errno() == libc::EINTR => Ok(()),
            Err(e) => Err(e.into()),
            Ok(other) => Err(io::Error::other(format!("unexpected exit {other:?}"))),
        };
        self.fd.set_kvm_immediate_exit(0);
        ran.map_err(Error::kvm(ACTION, HINT))?;
        self.mp_state = self.fd.get_mp_state().map_err(Error::kvm(ACTION, HINT))?.mp_state;
        Ok(())
    }

    /// Whether another vCPU has started or stopped it since its thread stopped. KVM does the rest when it next runs,
    /// so that its registers do not show it yet.
    ///
    /// # Errors
    ///
    /// [`Error::Kvm`] when KVM does not say.
    pub fn has_news(&self) -> Result<bool> {
        let state = self.fd.get_mp_state().map_err(Error::kvm("ask for the state of a vCPU", HINT))?;
        Ok(state.mp_state != self.mp_state)
    }

    /// Its registers; its thread waits at the gate.
    ///
    /// # Errors
    ///
    /// [`Error::Kvm`] when KVM does not give them.
    pub fn save(&self) -> Result<snapshot::Vcpu> {
        let read = || -> io::Result<snapshot::Vcpu> {
            let registers = sys::kvm_registers(sys::borrow(&self.fd))?
                .into_iter()
                .map(|register| Ok((register, get_bytes(&self.fd, register)?)))
                .collect::<io::Result<_>>()?;
            Ok(snapshot::Vcpu { mp_state: self.fd.get_mp_state()?.mp_state, registers })
        };
        read().map_err(Error::kvm("save the registers of a vCPU", HINT))
    }

    /// The guest's time, which all vCPUs share, in cycles of its time base.
    ///
    /// # Errors
    ///
    /// [`Error::Kvm`] when KVM does not say.
    pub fn time(&self) -> Result<u64> {
        get(&self.fd, TIME).map_err(Error::kvm("ask for the guest's time", HINT))
    }

    /// Sets the guest's time: see [`set_time`].
    ///
    /// # Arguments
    ///
    /// * `time` - in cycles of its time base.
    ///
    /// # Errors
    ///
    /// [`Error::Kvm`] when KVM refuses.
    pub fn set_time(&self, time: u64) -> Result<()> {
        set_time(&self.fd, time)
    }
}

/// Sets the guest's time.
///
/// # Arguments
///
/// * `vcpu` - any of its vCPUs.
/// * `time` - in cycles of its time base.
///
/// # Errors
///
/// [`Error::Kvm`] when KVM refuses.
pub fn set_time(vcpu: &VcpuFd, time: u64) -> Result<()> {
    set(vcpu, TIME, time).map_err(Error::kvm("set the guest's time", HINT))
}

/// Puts a vCPU that has not run into a state that was saved; the guest's time is set already.
///
/// # Arguments
///
/// * `vcpu` - the vCPU.
/// * `state` - its state.
///
/// # Errors
///
/// [`Error::Register`] for the first register that this host's KVM does not take, and [`Error::Kvm`].
pub fn restore(vcpu: &VcpuFd, state: &snapshot::Vcpu) -> Result<()> {
    for (register, value) in &state.registers {
        // Most are as they were to begin with; and the timer's state can be set to "off" only where it is on.
        if *register == TIME || get_bytes(vcpu, *register).is_ok_and(|now| now == *value) {
            continue;
        }
        vcpu.set_one_reg(*register, value).map_err(|e| Error::Register { register: *register, source: e.into() })?;
    }
    vcpu.set_mp_state(kvm_mp_state { mp_state: state.mp_state }).map_err(Error::kvm("set the state of a vCPU", HINT))
}

/// A register of any size, which its number tells.
fn get_bytes(vcpu: &VcpuFd, register: u64) -> io::Result<Vec<u8>> {
    let size = 1 << ((register & KVM_REG_SIZE_MASK) >> KVM_REG_SIZE_SHIFT);
    let mut value = vec![0; size];
    vcpu.get_one_reg(register, &mut value)?;
    Ok(value)
}

/// Why a vCPU's loop ended.
#[derive(Debug)]
pub enum End {
    /// The guest powered off.
    PowerOff,
    /// The VMM ends it.
    Stopped,
    /// Something that the user should know.
    Failed(Error),
}

/// Runs a vCPU until the guest or the VMM ends it.
///
/// The calling thread blocks the signal by which the gate ends `KVM_RUN`.
///
/// # Arguments
///
/// * `index` - which vCPU, for error messages.
/// * `vcpu` - the vCPU.
/// * `bus` - the devices.
/// * `gate` - stops and ends the loop.
/// * `coalesced` - whether stores that KVM has kept are to be fetched.
pub fn run(index: u32, vcpu: &Mutex<Vcpu>, bus: &Bus, gate: &Gate, coalesced: bool) -> End {
    let entered = gate.enter(index);
    let mut guard = lock(vcpu);
    if coalesced && let Err(e) = guard.fd.map_coalesced_mmio_ring() {
        let source = io::Error::from(e);
        return End::Failed(Error::Kvm { action: "map the ring of coalesced stores", source, hint: HINT });
    }
    if let Err(source) = sys::kvm_unblock_signals_in_run(sys::borrow(&guard.fd)) {
        return End::Failed(Error::Kvm { action: "set the signal mask of a vCPU", source, hint: HINT });
    }
    loop {
        if gate.is_wanted() {
            if let Err(error) = guard.settle() {
                return End::Failed(error);
            }
            drop(guard);
            if !entered.wait() {
                return End::Stopped;
            }
            guard = lock(vcpu);
        }
        match step(index, &mut guard.fd, bus, coalesced) {
            Step::Done => {}
            Step::Interrupted => {
                if let Err(errno) = entered.take_kick() {
                    return End::Failed(Error::host("take a signal")(errno));
                }
            }
            Step::End(end) => return end,
        }
    }
}

/// Locks a vCPU.
///
/// # Arguments
///
/// * `vcpu` - the vCPU.
pub fn lock(vcpu: &Mutex<Vcpu>) -> MutexGuard<'_, Vcpu> {
    vcpu.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a call of `KVM_RUN` led to.
enum Step {
    /// The exit is served.
    Done,
    /// A signal, which may be a kick.
    Interrupted,
    /// The guest does not go on.
    End(End),
}

/// Runs a vCPU until its next exit, and serves that.
fn step(index: u32, vcpu: &mut VcpuFd, bus: &Bus, coalesced: bool) -> Step {
    let failed = |what: String| Step::End(End::Failed(Error::Vcpu { cpu: index, what }));
    match vcpu.run() {
        Ok(VcpuExit::MmioRead(address, data)) => bus.read(address, data),
        Ok(VcpuExit::MmioWrite(address, data)) if !coalesced => bus.write(address, data),
        Ok(VcpuExit::MmioWrite(address, data)) => {
            // What was kept comes first.
            let (mut copy, len) = ([0; 8], data.len().min(8));
            copy[..len].copy_from_slice(&data[..len]);
            fetch_coalesced(vcpu, bus);
            bus.write(address, &copy[..len]);
        }
        Ok(VcpuExit::InternalError) => return failed(internal_error(vcpu)),
        Ok(VcpuExit::SystemEvent(kind, _)) => {
            return match kind {
                KVM_SYSTEM_EVENT_SHUTDOWN => Step::End(End::PowerOff),
                KVM_SYSTEM_EVENT_RESET => Step::End(End::Failed(Error::Restart)),
                KVM_SYSTEM_EVENT_CRASH => Step::End(End::Failed(Error::Crash)),
                other => failed(format!("system event {other}")),
            };
        }
        Ok(VcpuExit::Intr) => return Step::Interrupted,
        Ok(VcpuExit::Unsupported(reason)) => {
            if !answer_sbi(vcpu) && !answer_csr(vcpu) {
                return failed(format!("exit reason {reason}"));
            }
        }
        Ok(other) => {
            let what = format!("{other:?}");
            return failed(what);
        }
        Err(e) if matches!(Errno::from_raw(e.errno()), Errno::EINTR | Errno::EAGAIN) => return Step::Interrupted,
        Err(e) => return failed(format!("KVM_RUN: {e}")),
    }
    Step::Done
}

/// Hands on the stores that KVM has kept.
fn fetch_coalesced(vcpu: &mut VcpuFd, bus: &Bus) {
    while let Ok(Some(store)) = vcpu.coalesced_mmio_read() {
        if let Some(data) = store.data.get(..store.len as usize) {
            bus.write(store.phys_addr, data);
        }
    }
}

/// Says why KVM cannot go on.
fn internal_error(vcpu: &mut VcpuFd) -> String {
    match sys::internal_error(vcpu.get_kvm_run()) {
        Some((HANDLER_ENDED, data)) => {
            let [cause, pc, tval] = [0, 1, 2].map(|i| data.get(i).copied().unwrap_or(0));
            let why = if data.get(3) == Some(&1) { "took too long" } else { "did what a handler may not do" };
            format!("its UER handler {why}, and KVM ended it (cause {cause}, pc {pc:#x}, tval {tval:#x})")
        }
        Some((kind, data)) => format!("internal error {kind:#x} of KVM, {data:x?}"),
        None => "internal error of KVM".into(),
    }
}

/// Serves an SBI call that KVM leaves to the VMM; `false` when the vCPU left for another reason.
fn answer_sbi(vcpu: &mut VcpuFd) -> bool {
    let run = vcpu.get_kvm_run();
    let Some(call) = sys::sbi_call(run) else { return false };
    let answer = match call.extension {
        SBI_CONSOLE_PUTCHAR => {
            let mut out = io::stdout();
            // A closed standard output loses the byte, as with the serial port.
            let _ = out.write_all(&[call.args[0] as u8]).and_then(|()| out.flush());
            [0, 0]
        }
        SBI_CONSOLE_GETCHAR => [u64::MAX, 0],
        _ => [SBI_ERR_NOT_SUPPORTED, 0],
    };
    sys::answer_sbi_call(run, answer);
    true
}

/// Serves an access to a CSR that KVM leaves to the VMM, which is `seed` (`csr_funcs` in arch/riscv/kvm/vcpu_insn.c); `false`
/// when the vCPU left for another reason.
fn answer_csr(vcpu: &mut VcpuFd) -> bool {
    let run = vcpu.get_kvm_run();
    if sys::csr_access(run) != Some(CSR_SEED) {
        return false;
    }
    let mut entropy = [0; 2];
    let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut entropy));
    let seed = if read.is_ok() { SEED_ES16 | u64::from(u16::from_le_bytes(entropy)) } else { SEED_WAIT };
    sys::answer_csr_access(run, seed);
    true
}
