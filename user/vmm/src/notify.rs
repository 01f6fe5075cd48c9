// SPDX-License-Identifier: MIT OR Apache-2.0
//! The doorbell's ways into the host: an ioeventfd of KVM, and a route of `/dev/haiov` where there is one. The disk has
//! the same two.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use haiov::{Route, Vm};
use nix::sys::eventfd::EventFd;

use crate::affinity::Where;
use crate::consumer::Consumer;
use crate::doorbell::{Meter, NOTIFY, VeiStatus, Ways};
use crate::error::{Error, Result};
use crate::kvm_stats::{Counters, KvmStats};
use crate::{layout, sys};

/// Reads KVM's counters and those of the route.
pub struct HostMeter {
    vcpus: Vec<KvmStats<File>>,
    vei: Option<(Vm, Route)>,
}

impl Meter for HostMeter {
    fn counters(&mut self) -> io::Result<Counters> {
        let mut sum = Counters::new();
        self.vcpus.iter().try_for_each(|vcpu| vcpu.add_to(&mut sum))?;
        Ok(sum)
    }

    fn vei(&mut self) -> haiov::Result<Option<VeiStatus>> {
        let Some((vm, route)) = &self.vei else { return Ok(None) };
        // The route first: it says whether anything is under way.
        let route = route.query()?;
        Ok(Some(VeiStatus { route, vm: vm.query()? }))
    }
}

impl HostMeter {
    /// Whether there is a route.
    pub fn has_route(&self) -> bool {
        self.vei.is_some()
    }

    /// The CPU of the route.
    pub fn cpu_of_route(&self) -> Option<u32> {
        self.vei.as_ref().map(|(_, route)| route.cpu())
    }
}

/// Connects the doorbell.
///
/// # Arguments
///
/// * `vm` - file of the KVM VM.
/// * `vcpus` - files of its vCPUs.
/// * `vei` - binds the VM for VEI, `None` to do without; where the host has none, a warning is printed and there is no
///   route.
/// * `cpu_of_route` - where the route's interrupt and the consumers go.
///
/// # Errors
///
/// What the system or KVM refuses; [`Error::Vei`] when VEI is there but does not do what was asked for, such as to
/// use a CPU that is offline.
pub fn connect<'a>(
    vm: BorrowedFd<'_>,
    vcpus: impl IntoIterator<Item = BorrowedFd<'a>>,
    vei: Option<&mut dyn FnMut() -> haiov::Result<Vm>>,
    cpu_of_route: Option<u32>,
) -> Result<(HostMeter, Ways)> {
    let eventfd = || EventFd::new().map(Arc::new).map_err(Error::host("make an eventfd"));
    let (first, second) = (eventfd()?, eventfd()?);
    add_ioeventfd(vm, layout::DOORBELL_BASE + NOTIFY, &*first)?;
    let vei = match vei {
        Some(bind) => {
            add_route(bind, "the doorbell", |vm| vm.add_route(layout::DOORBELL_VEIRQ, &*second, cpu_of_route))?
        }
        None => None,
    };
    let on = Where::of(cpu_of_route, vei.as_ref().map(|(_, route)| route.cpu()));
    let ways = Ways { ioeventfd: Consumer::spawn("ioeventfd", first, on)?, vei: Consumer::spawn("vei", second, on)? };
    let vcpus = vcpus
        .into_iter()
        .map(|vcpu| sys::kvm_stats_fd(vcpu).and_then(KvmStats::new))
        .collect::<io::Result<_>>()
        .map_err(Error::kvm("read the statistics of KVM", "the host's kernel needs KVM_CAP_BINARY_STATS_FD"))?;
    Ok((HostMeter { vcpus, vei }, ways))
}

/// Lets a store of 32 bits signal an eventfd, in KVM.
///
/// # Arguments
///
/// * `vm` - file of the KVM VM.
/// * `address` - where the guest stores.
/// * `eventfd` - what is signaled.
///
/// # Errors
///
/// [`Error::Kvm`] when KVM refuses.
pub fn add_ioeventfd(vm: BorrowedFd<'_>, address: u64, eventfd: impl AsFd) -> Result<()> {
    sys::kvm_ioeventfd(vm, address, 4, eventfd.as_fd())
        .map_err(Error::kvm("add an ioeventfd", "the host's kernel needs CONFIG_EVENTFD"))
}

/// Adds a route beside a device's ioeventfd, or warns that this host offers none.
///
/// # Arguments
///
/// * `bind` - binds the VM.
/// * `whose` - the device, as the warning calls it.
/// * `add` - adds the route.
///
/// # Errors
///
/// [`Error::Vei`] when VEI is there but does not do what was asked for.
pub fn add_route(
    bind: &mut dyn FnMut() -> haiov::Result<Vm>,
    whose: &str,
    add: impl FnOnce(&Vm) -> haiov::Result<Route>,
) -> Result<Option<(Vm, Route)>> {
    let added = bind().and_then(|vm| {
        let route = add(&vm)?;
        Ok((vm, route))
    });
    match added {
        Ok(vei) => Ok(Some(vei)),
        Err(error) if error.is_unsupported() => {
            eprintln!("haiov-vmm: warning: {error}; {whose} goes on with its ioeventfd alone");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}
