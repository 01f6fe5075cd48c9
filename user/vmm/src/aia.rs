// SPDX-License-Identifier: MIT OR Apache-2.0
//! The interrupt controllers, which are KVM's: one APLIC for wires, an IMSIC for each hart.
//!
//! KVM takes its mode by itself: guest interrupt files of the hardware where it has them, emulation otherwise.

use std::io;

use kvm_bindings::{
    KVM_DEV_RISCV_AIA_ADDR_APLIC, KVM_DEV_RISCV_AIA_CONFIG_HART_BITS, KVM_DEV_RISCV_AIA_CONFIG_IDS,
    KVM_DEV_RISCV_AIA_CONFIG_SRCS, KVM_DEV_RISCV_AIA_CTRL_INIT, KVM_DEV_RISCV_AIA_GRP_ADDR,
    KVM_DEV_RISCV_AIA_GRP_APLIC, KVM_DEV_RISCV_AIA_GRP_CONFIG, KVM_DEV_RISCV_AIA_GRP_CTRL, KVM_DEV_RISCV_AIA_GRP_IMSIC,
    kvm_create_device, kvm_device_attr, kvm_device_type_KVM_DEV_TYPE_RISCV_AIA,
};
use kvm_ioctls::{DeviceFd, VmFd};

use crate::error::{Error, Result};
use crate::snapshot::State;
use crate::{layout, snapshot, sys};

const HINT: &str = "the host needs AIA, such as QEMU's -M virt,aia=aplic-imsic,aia-guests=3";

/// The controllers of one VM.
pub struct Aia {
    device: DeviceFd,
    cpus: u32,
    /// Interrupt identities of each IMSIC.
    pub ids: u32,
}

impl Aia {
    /// Makes the controllers; the vCPUs exist already, and none has run.
    ///
    /// # Arguments
    ///
    /// * `vm` - the VM.
    /// * `cpus` - how many vCPUs it has.
    ///
    /// # Errors
    ///
    /// [`Error::Kvm`] when KVM refuses, as on a host without AIA.
    pub fn new(vm: &VmFd, cpus: u32) -> Result<Self> {
        let mut request =
            kvm_create_device { type_: kvm_device_type_KVM_DEV_TYPE_RISCV_AIA, ..kvm_create_device::default() };
        let device =
            vm.create_device(&mut request).map_err(Error::kvm("make the interrupt controllers in KVM", HINT))?;
        let ids = Self::configure(&device, cpus).map_err(Error::kvm("set up KVM's interrupt controllers", HINT))?;
        Ok(Self { device, cpus, ids })
    }

    fn configure(device: &DeviceFd, cpus: u32) -> io::Result<u32> {
        let config = KVM_DEV_RISCV_AIA_GRP_CONFIG;
        let ids = sys::device_attr(device, config, KVM_DEV_RISCV_AIA_CONFIG_IDS.into())? as u32;
        set(device, config, KVM_DEV_RISCV_AIA_CONFIG_SRCS.into(), &layout::APLIC_SOURCES)?;
        // So many bits of an IMSIC's address tell the hart.
        let hart_bits = u32::BITS - (cpus - 1).leading_zeros();
        set(device, config, KVM_DEV_RISCV_AIA_CONFIG_HART_BITS.into(), &hart_bits)?;
        let address = KVM_DEV_RISCV_AIA_GRP_ADDR;
        set(device, address, KVM_DEV_RISCV_AIA_ADDR_APLIC.into(), &layout::APLIC_BASE)?;
        for cpu in 0..u64::from(cpus) {
            // KVM_DEV_RISCV_AIA_ADDR_IMSIC(cpu), a macro that bindgen does not see.
            set(device, address, 1 + cpu, &(layout::IMSIC_BASE + layout::IMSIC_SIZE * cpu))?;
        }
        let init = kvm_device_attr {
            group: KVM_DEV_RISCV_AIA_GRP_CTRL,
            attr: KVM_DEV_RISCV_AIA_CTRL_INIT.into(),
            ..kvm_device_attr::default()
        };
        device.set_device_attr(&init)?;
        Ok(ids)
    }

    /// State of the controllers; no vCPU runs.
    ///
    /// # Errors
    ///
    /// [`Error::Kvm`] when KVM does not give it.
    pub fn save(&self) -> Result<snapshot::Aia> {
        let read = || -> io::Result<snapshot::Aia> {
            let aplic = aplic_registers()
                .map(|offset| Ok((offset, sys::device_attr(&self.device, KVM_DEV_RISCV_AIA_GRP_APLIC, offset)? as u32)))
                .collect::<io::Result<_>>()?;
            let imsic = |cpu| {
                imsic_registers(self.ids)
                    .map(|register| {
                        let attr = imsic_attr(cpu, register);
                        Ok((register, sys::device_attr(&self.device, KVM_DEV_RISCV_AIA_GRP_IMSIC, attr)?))
                    })
                    .collect::<io::Result<_>>()
            };
            Ok(snapshot::Aia { aplic, imsics: (0..self.cpus).map(imsic).collect::<io::Result<_>>()? })
        };
        read().map_err(Error::kvm("save KVM's interrupt controllers", HINT))
    }

    /// Puts new controllers into a state that was saved. The vCPUs' registers are there already, since what is pending
    /// here shows in theirs.
    ///
    /// # Arguments
    ///
    /// * `state` - the guest's state, with as many vCPUs as there are.
    ///
    /// # Errors
    ///
    /// [`Error::Kvm`] when KVM refuses.
    pub fn restore(&self, state: &State) -> Result<()> {
        let write = || -> io::Result<()> {
            // What is pending in the APLIC goes to the IMSICs at once, which are therefore first.
            for (cpu, imsic) in (0..).zip(&state.aia.imsics) {
                for (register, value) in imsic {
                    set(&self.device, KVM_DEV_RISCV_AIA_GRP_IMSIC, imsic_attr(cpu, *register), value)?;
                }
            }
            for (offset, value) in &state.aia.aplic {
                set(&self.device, KVM_DEV_RISCV_AIA_GRP_APLIC, *offset, value)?;
            }
            Ok(())
        };
        write().map_err(Error::kvm("restore KVM's interrupt controllers", HINT))
    }
}

/// Registers of the APLIC that have state (The RISC-V Advanced Interrupt Architecture, 4.5), in the order in which they
/// are set: all is in place when `domaincfg` enables what is pending. The lines are low, as those of all devices here.
fn aplic_registers() -> impl Iterator<Item = u64> {
    let sources = 0..u64::from(layout::APLIC_SOURCES);
    let words = 0..=u64::from(layout::APLIC_SOURCES / 32);
    let sourcecfg = sources.clone().map(|i| 0x0004 + 4 * i);
    let target = sources.map(|i| 0x3004 + 4 * i);
    let setie = words.clone().map(|i| 0x1e00 + 4 * i);
    let setip = words.map(|i| 0x1c00 + 4 * i);
    sourcecfg.chain(target).chain(setie).chain(setip).chain([0x0000])
}

/// Registers of an IMSIC (3.8): `eip` and `eie` of 64 identities each, `eithreshold` and, last, `eidelivery`.
fn imsic_registers(ids: u32) -> impl Iterator<Item = u64> {
    // Of those, the odd ones exist on RV32 only.
    let words = 0..u64::from(ids / 64 + 1);
    let eip = words.clone().map(|i| 0x80 + 2 * i);
    let eie = words.map(|i| 0xc0 + 2 * i);
    eip.chain(eie).chain([0x72, 0x70])
}

/// `KVM_DEV_RISCV_AIA_IMSIC_MKATTR`, a macro that bindgen does not see.
fn imsic_attr(cpu: u32, register: u64) -> u64 {
    u64::from(cpu) << 12 | register
}

/// Sets an attribute, of 32 bits in the groups of figures and of the APLIC, and of 64 in the others.
fn set<T>(device: &DeviceFd, group: u32, attr: u64, value: &T) -> io::Result<()> {
    let addr = std::ptr::from_ref(value) as u64;
    device.set_device_attr(&kvm_device_attr { group, attr, addr, ..kvm_device_attr::default() })?;
    Ok(())
}
