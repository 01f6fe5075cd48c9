// SPDX-License-Identifier: MIT OR Apache-2.0
//! The doorbell device: registers, and the phases in which a guest compares the ways to ring it.
//!
//! | offset | register | a store of 32 bits |
//! |---|---|---|
//! | 0x00 | NOTIFY | signals the first eventfd, in KVM: it never comes here |
//! | 0x10 | PHASE | `phase << 1 \| end`: begins or ends a phase |
//! | 0x14 | SENT | how many notifications the guest sent, before it ends the phase |
//! | 0x20 | PLAIN | comes here, and does nothing else |
//!
//! VEIRQ 0 of the device signals the second eventfd. Loads read 0.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use haiov::{RouteStatus, VmStatus};

use crate::bus::MmioDevice;
use crate::consumer::{Consumer, Counts};
use crate::kvm_stats::{Counters, difference};
use crate::stats::{Phase, Report, exits_only};

/// Offset of NOTIFY.
pub const NOTIFY: u64 = 0x00;
const PHASE: u64 = 0x10;
const SENT: u64 = 0x14;
const PLAIN: u64 = 0x20;

/// State of VEI.
#[derive(Clone, Copy, Debug, Default)]
pub struct VeiStatus {
    /// Of the doorbell's route.
    pub route: RouteStatus,
    /// Of the VM that sends.
    pub vm: VmStatus,
}

/// Where the doorbell gets its figures from.
pub trait Meter: Send {
    /// KVM's counters, summed over the vCPUs.
    ///
    /// # Errors
    ///
    /// An I/O error.
    fn counters(&mut self) -> io::Result<Counters>;

    /// State of VEI, `None` without it.
    ///
    /// # Errors
    ///
    /// As for [`haiov::Route::query`] and [`haiov::Vm::query`].
    fn vei(&mut self) -> haiov::Result<Option<VeiStatus>>;
}

/// A way to ring: the thread that hears it.
pub struct Ways {
    /// Hears NOTIFY.
    pub ioeventfd: Consumer,
    /// Hears the VEIRQ.
    pub vei: Consumer,
}

/// What was known when a phase began.
struct Running {
    phase: Phase,
    counters: Counters,
    status: VeiStatus,
    ioeventfd: Counts,
    vei: Counts,
    plain: u64,
    reports: u64,
}

/// The device.
pub struct Doorbell<M> {
    meter: M,
    ways: Ways,
    out: Option<Box<dyn Write + Send>>,
    patience: Duration,
    plain: u64,
    sent: u64,
    running: Option<Running>,
}

impl<M: Meter> Doorbell<M> {
    /// How long a phase waits at its end for what is still under way. It waits for events; this only bounds it.
    pub const PATIENCE: Duration = Duration::from_secs(30);

    /// Makes the device.
    ///
    /// # Arguments
    ///
    /// * `meter` - where figures come from.
    /// * `ways` - who hears it.
    /// * `out` - where reports go, `None` for nowhere.
    /// * `patience` - usually [`Doorbell::PATIENCE`].
    pub fn new(meter: M, ways: Ways, out: Option<Box<dyn Write + Send>>, patience: Duration) -> Self {
        Self { meter, ways, out, patience, plain: 0, sent: 0, running: None }
    }

    fn begin(&mut self, phase: Phase) -> Result<(), String> {
        self.sent = 0;
        let status = self.meter.vei().map_err(|e| e.to_string())?.unwrap_or_default();
        self.running = Some(Running {
            phase,
            status,
            ioeventfd: self.ways.ioeventfd.counts(),
            vei: self.ways.vei.counts(),
            plain: self.plain,
            reports: 0,
            // Last, so that what the lines above cost is not in it.
            counters: self.meter.counters().map_err(|e| e.to_string())?,
        });
        Ok(())
    }

    fn end(&mut self, phase: Phase) -> Result<(), String> {
        // First, so that what waiting costs is not in it.
        let counters = self.meter.counters().map_err(|e| e.to_string())?;
        let Some(running) = self.running.take_if(|r| r.phase == phase) else {
            return Err(format!("the guest ended the phase {phase:?}, which it had not begun"));
        };
        let deadline = Instant::now() + self.patience;
        let (seen, complete) = match phase {
            Phase::Empty => (Counts::default(), true),
            Phase::Exit => {
                let signals = self.plain - running.plain;
                (Counts { signals, wakeups: 0 }, signals == self.sent)
            }
            Phase::Ioeventfd => self.wait_ioeventfd(running.ioeventfd, deadline),
            Phase::Vei => self.wait_vei(&running, deadline)?,
        };
        let now = self.meter.vei().map_err(|e| e.to_string())?.unwrap_or_default();
        let (before, route) = (&running.status, now.route);
        let exits_by = exits_only(difference(&running.counters, &counters));
        let report = Report {
            phase,
            sent: self.sent,
            signals: seen.signals,
            wakeups: seen.wakeups,
            exits: exits_by.get("exits").copied().unwrap_or(0).saturating_sub(running.reports),
            exits_by,
            reports: running.reports,
            delivered: route.delivered - before.route.delivered,
            fallbacks: route.fallbacks - before.route.fallbacks,
            dropped: now.vm.dropped - before.vm.dropped,
            throttled: route.throttled - before.route.throttled,
            complete,
        };
        match &mut self.out {
            Some(out) => report.write(out).map_err(|e| format!("cannot write the statistics: {e}")),
            None => Ok(()),
        }
    }

    /// Waits for as many events as were sent: none coalesce on the way to an eventfd.
    fn wait_ioeventfd(&self, before: Counts, deadline: Instant) -> (Counts, bool) {
        let mut now = self.ways.ioeventfd.counts();
        while now.signals - before.signals < self.sent {
            let later = self.ways.ioeventfd.wait_for_more(now, deadline);
            if later == now {
                break;
            }
            now = later;
        }
        let seen = since(before, now);
        (seen, seen.signals == self.sent)
    }

    /// Waits until nothing is under way: neither pending in the hardware, nor signaled but not yet read.
    fn wait_vei(&mut self, running: &Running, deadline: Instant) -> Result<(Counts, bool), String> {
        loop {
            // Before the route is asked: what arrives in between is then noticed below instead of waited for in vain.
            let now = self.ways.vei.counts();
            let Some(VeiStatus { route, vm }) = self.meter.vei().map_err(|e| e.to_string())? else {
                return Ok((Counts::default(), self.sent == 0));
            };
            let seen = since(running.vei, now);
            let before = running.status.route;
            let signaled = (route.delivered + route.fallbacks) - (before.delivered + before.fallbacks);
            // However much coalesces, the last send is seen after it, unless no send had a route.
            let dropped = vm.dropped - running.status.vm.dropped;
            let arrived = seen.signals > 0 || dropped >= self.sent;
            if !route.pending && arrived && seen.signals == signaled {
                return Ok((seen, true));
            }
            if self.ways.vei.wait_for_more(now, deadline) == now {
                return Ok((seen, false));
            }
        }
    }
}

fn since(before: Counts, now: Counts) -> Counts {
    Counts { signals: now.signals - before.signals, wakeups: now.wakeups - before.wakeups }
}

impl<M: Meter> MmioDevice for Doorbell<M> {
    fn read(&mut self, _offset: u64, _data: &mut [u8]) {}

    fn write(&mut self, offset: u64, data: &[u8]) {
        let Ok(bytes) = <[u8; 4]>::try_from(data) else { return };
        let value = u32::from_le_bytes(bytes);
        if let (PHASE | SENT, Some(running)) = (offset, &mut self.running) {
            running.reports += 1;
        }
        let done = match offset {
            PLAIN => {
                self.plain += 1;
                return;
            }
            SENT => {
                self.sent = u64::from(value);
                return;
            }
            PHASE => match (Phase::from_number(value >> 1), value & 1) {
                (None, _) => Err(format!("the guest asked for an unknown phase: {value:#x}")),
                (Some(phase), 0) => self.begin(phase),
                (Some(phase), _) => self.end(phase),
            },
            _ => return,
        };
        if let Err(what) = done {
            eprintln!("haiov-vmm: doorbell: {what}");
        }
    }
}

#[cfg(test)]
mod tests;
