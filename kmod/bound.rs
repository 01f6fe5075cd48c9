// SPDX-License-Identifier: GPL-2.0

//! A VM and the KVM virtual machine that is bound to it.

use crate::{
    kvm::{
        Binding,
        Kvm, //
    },
    veic::Veic,
    vm::Vm, //
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// A VM that is in the VM table; taken out when dropped.
struct ListedVm(Arc<Vm>);

impl Drop for ListedVm {
    fn drop(&mut self) {
        self.0.veic().retire_vm(&self.0);
    }
}

/// A VM with the KVM virtual machine that is bound to it; undone when dropped.
///
/// What concerns the virtual machine (vCPUs, MMIO ranges) keeps a reference to this.
pub(crate) struct BoundVm {
    // Dropped in this order: first no vCPU sends any more, then the VMID may go.
    binding: Binding,
    vm: ListedVm,
}

impl BoundVm {
    /// Creates a VM and binds `kvm` to it. Fails with `EBUSY` if that is bound.
    pub(crate) fn new(veic: &Arc<Veic>, kvm: Kvm, nr_veirqs: u32) -> Result<Arc<Self>> {
        let vm = ListedVm(veic.create_vm(nr_veirqs)?);
        let binding = Binding::new(kvm, vm.0.clone())?;

        Ok(Arc::new(Self { binding, vm }, GFP_KERNEL_ACCOUNT)?)
    }

    /// The VM.
    pub(crate) fn vm(&self) -> &Arc<Vm> {
        &self.vm.0
    }

    /// The virtual machine, which is bound for as long as this is borrowed.
    pub(crate) fn kvm(&self) -> &Kvm {
        self.binding.kvm()
    }
}
