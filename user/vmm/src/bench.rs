// SPDX-License-Identifier: MIT OR Apache-2.0
//! The bench device: one register, reached in every way in which a VMM can be reached, so that they can be compared.
//!
//! | offset | register | |
//! |---|---|---|
//! | 0x0000 | VALUE | a load or store of 32 or 64 bits comes to this VMM by an exit |
//! | 0x0010 | PHASE | a store of `phase << 1 \| end`: begins or ends a phase |
//! | 0x0800 | COALESCED | a store that KVM keeps until the next exit |
//! | 0x0810 | NOTIFY | a store of 32 bits that signals an eventfd, in KVM |
//! | 0x0820 | ANYLEN | a store of any length that does |
//! | 0x1000 | VALUE | the same register, by a handler where the host has UER |
//!
//! The two pages are two devices, with the same code behind VALUE.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use haiov::uer::{Caller, Device, Punt};
use serde::Serialize;

use crate::kvm_stats::{Counters, difference};

/// Offset of COALESCED.
pub const COALESCED: u64 = 0x800;
/// Size of COALESCED.
pub const COALESCED_SIZE: u32 = 8;
/// Offset of NOTIFY.
pub const NOTIFY: u64 = 0x810;
/// Offset of ANYLEN.
pub const ANYLEN: u64 = 0x820;
const VALUE: u64 = 0;
const PHASE: u64 = 0x10;

/// The ways that the guest compares, in the order of their numbers.
const PHASES: [&str; 8] =
    ["empty", "exit-write", "exit-read", "coalesced-write", "ioeventfd-write", "uer-write", "uer-read", "anylen-write"];

/// The register VALUE, and how often it was reached in which way.
#[derive(Debug, Default)]
pub struct Register {
    value: AtomicU64,
    reads: AtomicU64,
    writes: AtomicU64,
    handled_reads: AtomicU64,
    handled_writes: AtomicU64,
}

impl Register {
    fn seen(&self) -> Seen {
        let [reads, writes, handled_reads, handled_writes] =
            [&self.reads, &self.writes, &self.handled_reads, &self.handled_writes].map(|n| n.load(Ordering::Relaxed));
        Seen { reads, writes, handled_reads, handled_writes, coalesced: 0 }
    }
}

impl Device for Register {
    fn read(&self, caller: Caller<'_>, offset: u64, _size: u8) -> Result<u64, Punt> {
        if offset != VALUE {
            return Ok(0);
        }
        let count = if caller.is_handler() { &self.handled_reads } else { &self.reads };
        count.fetch_add(1, Ordering::Relaxed);
        Ok(self.value.load(Ordering::Relaxed))
    }

    fn write(&self, caller: Caller<'_>, offset: u64, value: u64, _size: u8) -> Result<(), Punt> {
        if offset == VALUE {
            let count = if caller.is_handler() { &self.handled_writes } else { &self.writes };
            count.fetch_add(1, Ordering::Relaxed);
            self.value.store(value, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Accesses that reached a register.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Seen {
    /// After exits.
    reads: u64,
    writes: u64,
    /// In handlers.
    handled_reads: u64,
    handled_writes: u64,
    /// Stores that KVM had kept.
    coalesced: u64,
}

impl Seen {
    fn since(self, before: Self) -> Self {
        Self {
            reads: self.reads - before.reads,
            writes: self.writes - before.writes,
            handled_reads: self.handled_reads - before.handled_reads,
            handled_writes: self.handled_writes - before.handled_writes,
            coalesced: self.coalesced - before.coalesced,
        }
    }
}

/// What is written for a phase.
#[derive(Serialize)]
struct Report {
    phase: &'static str,
    #[serde(flatten)]
    seen: Seen,
    /// KVM's counters that changed.
    counters: Counters,
}

struct Running {
    phase: usize,
    seen: Seen,
    counters: Counters,
}

/// Reads KVM's counters, summed over the vCPUs.
pub type Meter = Box<dyn Fn() -> io::Result<Counters> + Send>;

struct Log {
    meter: Meter,
    out: Box<dyn Write + Send>,
    running: Option<Running>,
}

/// The page of the device that is reached by exits.
pub struct Bench {
    here: Register,
    /// The other page.
    handled: Arc<Register>,
    coalesced: AtomicU64,
    log: Mutex<Log>,
}

impl Bench {
    /// Makes the device.
    ///
    /// # Arguments
    ///
    /// * `handled` - the page that handlers serve.
    /// * `meter` - reads KVM's counters.
    /// * `out` - where reports go.
    pub fn new(handled: Arc<Register>, meter: Meter, out: Box<dyn Write + Send>) -> Self {
        let log = Mutex::new(Log { meter, out, running: None });
        Self { here: Register::default(), handled, coalesced: AtomicU64::new(0), log }
    }

    fn seen(&self) -> Seen {
        let (here, handled) = (self.here.seen(), self.handled.seen());
        Seen {
            reads: here.reads + handled.reads,
            writes: here.writes + handled.writes,
            handled_reads: handled.handled_reads,
            handled_writes: handled.handled_writes,
            coalesced: self.coalesced.load(Ordering::Relaxed),
        }
    }

    fn mark(&self, value: u64) -> Result<(), String> {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let phase = (value >> 1) as usize;
        let Some(name) = PHASES.get(phase).copied() else {
            return Err(format!("the guest asked for an unknown phase: {value:#x}"));
        };
        let counters = (log.meter)().map_err(|e| e.to_string())?;
        if value & 1 == 0 {
            log.running = Some(Running { phase, seen: self.seen(), counters });
            return Ok(());
        }
        let Some(running) = log.running.take_if(|running| running.phase == phase) else {
            return Err(format!("the guest ended the phase {name}, which it had not begun"));
        };
        let counters = difference(&running.counters, &counters);
        let report = Report { phase: name, seen: self.seen().since(running.seen), counters };
        let mut line = serde_json::to_vec(&report).map_err(|e| e.to_string())?;
        line.push(b'\n');
        log.out.write_all(&line).map_err(|e| format!("cannot write the report: {e}"))
    }
}

impl Device for Bench {
    fn read(&self, caller: Caller<'_>, offset: u64, size: u8) -> Result<u64, Punt> {
        self.here.read(caller, offset, size)
    }

    fn write(&self, caller: Caller<'_>, offset: u64, value: u64, size: u8) -> Result<(), Punt> {
        match offset {
            PHASE => caller.after_exit(|| {
                if let Err(what) = self.mark(value) {
                    eprintln!("haiov-vmm: bench: {what}");
                }
            }),
            COALESCED => {
                self.coalesced.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            _ => self.here.write(caller, offset, value, size),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uart::tests::Shared;

    #[test]
    fn phases_count_what_came_in_them() {
        let out = Shared::default();
        let handled = Arc::new(Register::default());
        let exits = Arc::new(AtomicU64::new(5));
        let meter = {
            let exits = exits.clone();
            Box::new(move || Ok(Counters::from([("exits".into(), exits.load(Ordering::Relaxed))])))
        };
        let bench = Bench::new(handled.clone(), meter, Box::new(out.clone()));
        let store = |offset, value| bench.write(Caller::outside(), offset, value, 4).unwrap();
        store(VALUE, 1);
        store(PHASE, 1 << 1);
        for value in 2..5 {
            store(VALUE, value);
        }
        store(COALESCED, 1);
        exits.store(9, Ordering::Relaxed);
        assert_eq!(bench.read(Caller::outside(), VALUE, 4), Ok(4));
        handled.write(Caller::outside(), VALUE, 77, 4).unwrap();
        assert_eq!(handled.read(Caller::outside(), VALUE, 4), Ok(77));
        assert_eq!(handled.read(Caller::outside(), 4, 4), Ok(0), "another register");
        store(PHASE, 2 << 1 | 1); // not the one that runs
        store(PHASE, 99 << 1);
        store(PHASE, 1 << 1 | 1);
        let text = String::from_utf8(out.get()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        let report: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(report["phase"], "exit-write");
        assert_eq!((&report["writes"], &report["reads"]), (&4.into(), &2.into()));
        assert_eq!((&report["coalesced"], &report["handled_writes"]), (&1.into(), &0.into()));
        assert_eq!(report["counters"]["exits"], 4);
    }
}
