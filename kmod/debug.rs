// SPDX-License-Identifier: GPL-2.0

//! Files in debugfs. For people and tests; no ABI.

use crate::veic::Veic;
use kernel::{
    debugfs::{
        Dir,
        File, //
    },
    fmt,
    prelude::*,
    sync::{
        atomic::Relaxed,
        Arc, //
    },
};

/// The files of a controller; gone when dropped.
#[pin_data]
pub(crate) struct Files {
    #[pin]
    counters: File<Arc<Veic>>,
    #[pin]
    vms: File<Arc<Veic>>,
    #[pin]
    routes: File<Arc<Veic>>,
    #[pin]
    harts: File<Arc<Veic>>,
    #[pin]
    mmio: File<Arc<Veic>>,
    #[pin]
    signals: File<Arc<Veic>>,
    #[pin]
    contexts: File<Arc<Veic>>,
    dir: Dir,
}

impl Files {
    /// Creates the files.
    pub(crate) fn new(veic: &Arc<Veic>) -> impl PinInit<Self, Error> + use<'_> {
        let dir = Dir::new(c"haiov");

        try_pin_init!(Self {
            counters <- dir.read_callback_file(c"counters", veic.clone(), &counters),
            vms <- dir.read_callback_file(c"vms", veic.clone(), &vms),
            routes <- dir.read_callback_file(c"routes", veic.clone(), &routes),
            harts <- dir.read_callback_file(c"harts", veic.clone(), &harts),
            mmio <- dir.read_callback_file(c"mmio", veic.clone(), &mmio),
            signals <- dir.read_callback_file(c"signals", veic.clone(), &signals),
            contexts <- dir.read_callback_file(c"contexts", veic.clone(), &contexts),
            dir,
        })
    }
}

fn counters(veic: &Arc<Veic>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Ok(counters) = veic.regs().counters() else {
        return Ok(());
    };

    writeln!(f, "hits {}", counters.hits)?;
    writeln!(f, "misses {}", counters.misses)?;
    writeln!(f, "walks {}", counters.walks)?;
    writeln!(f, "sent {}", counters.sent)?;
    writeln!(f, "coalesced {}", counters.coalesced)
}

fn vms(veic: &Arc<Veic>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    veic.for_each_vm(|vm| {
        writeln!(
            f,
            "vmid={} veirqs={} routes={} fallbacks={} dropped={} vcpus={} mmio={} signals={}",
            vm.vmid(),
            vm.nr_veirqs(),
            vm.nr_routes(),
            vm.fallbacks(),
            vm.dropped(),
            vm.nr_vcpus().load(Relaxed),
            vm.ranges().len(),
            vm.signals().iter().count(),
        )
    })
}

fn routes(veic: &Arc<Veic>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    veic.for_each_route(|route, hart, veiid| {
        writeln!(
            f,
            "vmid={} veirq={} hart={} cpu={} veiid={} pending={} delivered={} fallbacks={} \
             throttled={} target={}",
            route.vm().vmid(),
            route.veirq(),
            hart.index(),
            hart.cpu(),
            veiid,
            u8::from(hart.is_pending(veiid)),
            route.delivered(),
            route.fallbacks(),
            route.throttled(),
            match (route.context(), route.listener()) {
                (Some(_), _) => "context",
                (None, Some(_)) => "listener",
                (None, None) => "eventfd",
            },
        )
    })
}

fn harts(veic: &Arc<Veic>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    veic.for_each_hart(|hart| {
        writeln!(
            f,
            "hart={} cpu={} online={} free={} used={} eie={} eip={} throttled={}",
            hart.hart,
            hart.cpu,
            u8::from(hart.online),
            hart.free,
            hart.used,
            hart.enabled,
            hart.pending,
            hart.throttled,
        )
    })
}

fn mmio(veic: &Arc<Veic>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    veic.for_each_vm(|vm| {
        vm.ranges().try_for_each(|range| {
            writeln!(
                f,
                "vmid={} gpa={:#x} length={:#x}",
                vm.vmid(),
                range.gpa,
                range.length,
            )
        })
    })
}

fn signals(veic: &Arc<Veic>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    veic.for_each_vm(|vm| {
        vm.signals().iter().try_for_each(|(index, signaled)| {
            writeln!(
                f,
                "vmid={} index={} signaled={}",
                vm.vmid(),
                index,
                signaled,
            )
        })
    })
}

fn contexts(veic: &Arc<Veic>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    veic.for_each_context(|context, state| {
        let stats = context.stats();

        writeln!(
            f,
            "hart={} cpu={} veiid={} pid={} parked={} pending={} routes={} listenings={} \
             doorbells={} faults={} preempted={} expired={} interrupted={} signaled={}",
            state.hart,
            state.cpu,
            state.veiid,
            context.pid(),
            u8::from(state.parked),
            u8::from(state.pending),
            context.nr_routes().load(Relaxed),
            context.nr_listenings().load(Relaxed),
            stats.doorbells,
            stats.faults,
            stats.preempted,
            stats.expired,
            stats.interrupted,
            stats.served,
        )
    })
}
