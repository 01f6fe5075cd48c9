// SPDX-License-Identifier: MIT OR Apache-2.0
//! A vCPU: its registers, and the loop that runs it.
//!
//! KVM starts the first vCPU; the others wait in `KVM_RUN` until the guest starts them by SBI calls, which KVM serves.

use std::io::{self, Write};
use std::mem::offset_of;
use std::sync::atomic::{AtomicBool, Ordering};

use kvm_bindings::{
    KVM_REG_RISCV, KVM_REG_RISCV_CONFIG, KVM_REG_RISCV_CORE, KVM_REG_RISCV_ISA_EXT, KVM_REG_RISCV_TIMER,
    KVM_REG_SIZE_U64, KVM_SYSTEM_EVENT_CRASH, KVM_SYSTEM_EVENT_RESET, KVM_SYSTEM_EVENT_SHUTDOWN, kvm_riscv_config,
    kvm_riscv_core, kvm_riscv_timer, user_regs_struct,
};
use kvm_ioctls::{VcpuExit, VcpuFd};
use nix::errno::Errno;

use crate::bus::Bus;
use crate::error::{Error, Result};
use crate::isa::{EXTENSIONS, Isa};
use crate::sys;

/// Where KVM has the figure that newer headers than those of kvm-bindings call `zicbop_block_size`.
const CONFIG_ZICBOP_BLOCK_SIZE: usize = size_of::<kvm_riscv_config>();

/// SBI calls of version 0.1 that a console uses.
const SBI_CONSOLE_PUTCHAR: u64 = 1;
const SBI_CONSOLE_GETCHAR: u64 = 2;
const SBI_ERR_NOT_SUPPORTED: u64 = -2_i64 as u64;

/// That KVM ended a handler: `HAIOV_KVM_UER_ENDED` of <linux/haiov.h>.
const HANDLER_ENDED: u32 = 0x4841_0001;

const HINT: &str = "the host's kernel needs KVM of Linux 6.8 or later";

/// The number of a register: kind, and byte offset in the struct of the kind.
fn register(kind: u32, offset: usize) -> u64 {
    KVM_REG_RISCV as u64 | KVM_REG_SIZE_U64 as u64 | u64::from(kind) | (offset / size_of::<u64>()) as u64
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
/// The calling thread blocks the signal by which the VMM ends the loop, after it has set `stop`.
///
/// # Arguments
///
/// * `index` - which vCPU, for error messages.
/// * `vcpu` - the vCPU.
/// * `bus` - the devices.
/// * `stop` - set when the loop is to end.
/// * `coalesced` - whether stores that KVM has kept are to be fetched.
pub fn run(index: u32, vcpu: &mut VcpuFd, bus: &Bus, stop: &AtomicBool, coalesced: bool) -> End {
    if coalesced && let Err(e) = vcpu.map_coalesced_mmio_ring() {
        let source = io::Error::from(e);
        return End::Failed(Error::Kvm { action: "map the ring of coalesced stores", source, hint: HINT });
    }
    if let Err(source) = sys::kvm_unblock_signals_in_run(sys::borrow(vcpu)) {
        return End::Failed(Error::Kvm { action: "set the signal mask of a vCPU", source, hint: HINT });
    }
    let failed = |what: String| End::Failed(Error::Vcpu { cpu: index, what });
    while !stop.load(Ordering::Acquire) {
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
                    KVM_SYSTEM_EVENT_SHUTDOWN => End::PowerOff,
                    KVM_SYSTEM_EVENT_RESET => End::Failed(Error::Restart),
                    KVM_SYSTEM_EVENT_CRASH => End::Failed(Error::Crash),
                    other => failed(format!("system event {other}")),
                };
            }
            Ok(VcpuExit::Intr) => {}
            Ok(VcpuExit::Unsupported(reason)) => {
                if !answer_sbi(vcpu) {
                    return failed(format!("exit reason {reason}"));
                }
            }
            Ok(other) => {
                let what = format!("{other:?}");
                return failed(what);
            }
            Err(e) if matches!(Errno::from_raw(e.errno()), Errno::EINTR | Errno::EAGAIN) => {}
            Err(e) => return failed(format!("KVM_RUN: {e}")),
        }
    }
    End::Stopped
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
