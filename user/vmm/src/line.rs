// SPDX-License-Identifier: MIT OR Apache-2.0
//! Wires into the APLIC, whose inputs look for edges.
//!
//! A wire that is an irqfd needs a kernel that raises and lowers it at each signal. That of Linux 7.3 for riscv64 raises it and
//! leaves it so (kvm_arch_set_irq_inatomic in arch/riscv/kvm/vm.c): the guest would see one edge and no other. A kernel
//! that has `/dev/haiov` makes edges.

use std::io;
use std::sync::{Arc, OnceLock};

use haiov::UserVei;
use haiov::user_vei::Signal;
use kvm_ioctls::VmFd;
use vm_superio::Trigger;
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

use crate::edge::Edge;
use crate::error::{Error, Result};
use crate::sys;

/// A wire into the APLIC of a VM.
pub struct Line {
    vm: Arc<VmFd>,
    irq: u32,
    edge: Edge,
    irqfd: Option<EventFd>,
    /// How a handler signals that.
    signal: OnceLock<Signal>,
}

impl Line {
    /// A wire that each edge takes two system calls for.
    ///
    /// # Arguments
    ///
    /// * `vm` - the VM.
    /// * `irq` - the input of its APLIC.
    pub fn new(vm: Arc<VmFd>, irq: u32) -> Self {
        Self { vm, irq, edge: Edge::default(), irqfd: None, signal: OnceLock::new() }
    }

    /// A wire that is an irqfd, so that an edge is one signal of an eventfd.
    ///
    /// # Arguments
    ///
    /// * `vm` - the VM, which has its interrupt controllers.
    /// * `irq` - the input of its APLIC.
    ///
    /// # Errors
    ///
    /// What the system or KVM refuses.
    pub fn irqfd(vm: Arc<VmFd>, irq: u32) -> Result<Self> {
        let irqfd = EventFd::new(EFD_CLOEXEC | EFD_NONBLOCK).map_err(Error::host("make an eventfd"))?;
        vm.register_irqfd(&irqfd, irq).map_err(Error::kvm("add an irqfd", "the host's kernel needs CONFIG_EVENTFD"))?;
        Ok(Self { irqfd: Some(irqfd), ..Self::new(vm, irq) })
    }

    /// Lets a handler make edges without a system call, if the wire is an irqfd and the host has that.
    ///
    /// # Arguments
    ///
    /// * `handler` - what no event starts yet.
    ///
    /// # Errors
    ///
    /// As for [`UserVei::add_signal`], but that the host may lack it.
    pub fn signaled_by(&self, handler: &UserVei) -> haiov::Result<()> {
        let Some(irqfd) = &self.irqfd else { return Ok(()) };
        match handler.add_signal(sys::borrow(irqfd)) {
            Ok(signal) => {
                // The first one is good for all.
                let _ = self.signal.set(signal);
                Ok(())
            }
            Err(error) if error.is_unsupported() => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl Trigger for Line {
    type E = io::Error;

    fn trigger(&self) -> io::Result<()> {
        if let Some(signal) = self.signal.get() {
            signal.signal();
            return Ok(());
        }
        if let Some(irqfd) = &self.irqfd {
            // KVM reads it at once, so that its counter does not get full.
            return irqfd.write(1);
        }
        Ok(self.edge.make(|level| self.vm.set_irq_line(self.irq, level))?)
    }
}
