// SPDX-License-Identifier: MIT OR Apache-2.0
//! The interrupt controllers, which are KVM's: one APLIC for wires, an IMSIC for each hart.
//!
//! KVM takes its mode by itself: guest interrupt files of the hardware where it has them, emulation otherwise.

use std::io;

use kvm_bindings::{
    KVM_DEV_RISCV_AIA_ADDR_APLIC, KVM_DEV_RISCV_AIA_CONFIG_HART_BITS, KVM_DEV_RISCV_AIA_CONFIG_IDS,
    KVM_DEV_RISCV_AIA_CONFIG_SRCS, KVM_DEV_RISCV_AIA_CTRL_INIT, KVM_DEV_RISCV_AIA_GRP_ADDR,
    KVM_DEV_RISCV_AIA_GRP_CONFIG, KVM_DEV_RISCV_AIA_GRP_CTRL, kvm_create_device, kvm_device_attr,
    kvm_device_type_KVM_DEV_TYPE_RISCV_AIA,
};
use kvm_ioctls::{DeviceFd, VmFd};

use crate::error::{Error, Result};
use crate::{layout, sys};

const HINT: &str = "the host needs AIA, such as QEMU's -M virt,aia=aplic-imsic,aia-guests=3";

/// The controllers of one VM.
pub struct Aia {
    /// Keeps the device open.
    _device: DeviceFd,
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
        Ok(Self { _device: device, ids })
    }

    fn configure(device: &DeviceFd, cpus: u32) -> io::Result<u32> {
        let config = KVM_DEV_RISCV_AIA_GRP_CONFIG;
        let ids = sys::device_attr_u32(device, config, KVM_DEV_RISCV_AIA_CONFIG_IDS.into())?;
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
}

/// Sets an attribute, of 32 bits in the group of figures and of 64 in that of addresses.
fn set<T>(device: &DeviceFd, group: u32, attr: u64, value: &T) -> io::Result<()> {
    let addr = std::ptr::from_ref(value) as u64;
    device.set_device_attr(&kvm_device_attr { group, attr, addr, ..kvm_device_attr::default() })?;
    Ok(())
}
