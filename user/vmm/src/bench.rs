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
//! | 0x2000 | VALUE | the same register, by a message to a thread where the host has ioregionfd |
//! | 0x2800 | VALUE | as at 0x2000, but a store does not wait |
//!
//! The three pages are three devices, with the same code behind VALUE.

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
/// Offset of the half of the third page where stores are posted.
pub const POSTED: u64 = 0x800;
const VALUE: u64 = 0;
const PHASE: u64 = 0x10;

/// The ways that the guest compares, in the order of their numbers.
const PHASES: [&str; 11] = [
    "empty",
    "exit-write",
    "exit-read",
    "coalesced-write",
    "ioeventfd-write",
    "uer-write",
    "uer-read",
    "anylen-write",
    "ioregion-write",
    "ioregion-read",
    "ioregion-posted",
];

/// The register VALUE, and how often it was reached in which way.
#[derive(Debug, Default)]
pub struct Register {
    value: AtomicU64,
    reads: AtomicU64,
    writes: AtomicU64,
    handled_reads: AtomicU64,
    handled_writes: AtomicU64,
    messaged_reads: AtomicU64,
    messaged_writes: AtomicU64,
}

impl Register {
    fn seen(&self) -> Seen {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Seen {
            reads: of(&self.reads),
            writes: of(&self.writes),
            handled_reads: of(&self.handled_reads),
            handled_writes: of(&self.handled_writes),
            messaged_reads: of(&self.messaged_reads),
            messaged_writes: of(&self.messaged_writes),
            coalesced: 0,
        }
    }

    fn load(&self, offset: u64, count: &AtomicU64) -> u64 {
        if offset != VALUE {
            return 0;
        }
        count.fetch_add(1, Ordering::Relaxed);
        self.value.load(Ordering::Relaxed)
    }

    fn store(&self, offset: u64, value: u64, count: &AtomicU64) {
        if offset == VALUE {
            count.fetch_add(1, Ordering::Relaxed);
            self.value.store(value, Ordering::Relaxed);
        }
    }
}

impl Device for Register {
    fn read(&self, caller: Caller<'_>, offset: u64, _size: u8) -> Result<u64, Punt> {
        Ok(self.load(offset, if caller.is_handler() { &self.handled_reads } else { &self.reads }))
    }

    fn write(&self, caller: Caller<'_>, offset: u64, value: u64, _size: u8) -> Result<(), Punt> {
        self.store(offset, value, if caller.is_handler() { &self.handled_writes } else { &self.writes });
        Ok(())
    }
}

/// The third page, as a thread that KVM sends messages to reaches it, and not an exit.
pub struct Messaged(pub Arc<Register>);

impl Device for Messaged {
    fn read(&self, _caller: Caller<'_>, offset: u64, _size: u8) -> Result<u64, Punt> {
        Ok(self.0.load(offset % POSTED, &self.0.messaged_reads))
    }

    fn write(&self, _caller: Caller<'_>, offset: u64, value: u64, _size: u8) -> Result<(), Punt> {
        self.0.store(offset % POSTED, value, &self.0.messaged_writes);
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
    /// By messages.
    messaged_reads: u64,
    messaged_writes: u64,
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
            messaged_reads: self.messaged_reads - before.messaged_reads,
            messaged_writes: self.messaged_writes - before.messaged_writes,
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
    /// The other pages.
    handled: Arc<Register>,
    messaged: Arc<Register>,
    coalesced: AtomicU64,
    log: Mutex<Log>,
}

impl Bench {
    /// Makes the device.
    ///
    /// # Arguments
    ///
    /// * `handled` - the page that handlers serve.
    /// * `messaged` - the page that a thread serves.
    /// * `meter` - reads KVM's counters.
    /// * `out` - where reports go.
    pub fn new(handled: Arc<Register>, messaged: Arc<Register>, meter: Meter, out: Box<dyn Write + Send>) -> Self {
        let log = Mutex::new(Log { meter, out, running: None });
        Self { here: Register::default(), handled, messaged, coalesced: AtomicU64::new(0), log }
    }

    fn seen(&self) -> Seen {
        let (here, handled, messaged) = (self.here.seen(), self.handled.seen(), self.messaged.seen());
        Seen {
            reads: here.reads + handled.reads + messaged.reads,
            writes: here.writes + handled.writes + messaged.writes,
            handled_reads: handled.handled_reads,
            handled_writes: handled.handled_writes,
            messaged_reads: messaged.messaged_reads,
            messaged_writes: messaged.messaged_writes,
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
        let (handled, messaged) = (Arc::new(Register::default()), Arc::new(Register::default()));
        let exits = Arc::new(AtomicU64::new(5));
        let meter = {
            let exits = exits.clone();
            Box::new(move || Ok(Counters::from([("exits".into(), exits.load(Ordering::Relaxed))])))
        };
        let bench = Bench::new(handled.clone(), messaged.clone(), meter, Box::new(out.clone()));
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
        let by_message = Messaged(messaged.clone());
        by_message.write(Caller::outside(), VALUE, 88, 4).unwrap();
        by_message.write(Caller::outside(), POSTED + VALUE, 99, 4).unwrap();
        assert_eq!(by_message.read(Caller::outside(), VALUE, 4), Ok(99), "posted or not, it is one register");
        store(PHASE, 2 << 1 | 1); // not the one that runs
        store(PHASE, 99 << 1);
        store(PHASE, 1 << 1 | 1);
        let text = String::from_utf8(out.get()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        let report: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(report["phase"], "exit-write");
        assert_eq!((&report["writes"], &report["reads"]), (&4.into(), &2.into()));
        assert_eq!((&report["coalesced"], &report["handled_writes"]), (&1.into(), &0.into()));
        assert_eq!((&report["messaged_writes"], &report["messaged_reads"]), (&2.into(), &1.into()));
        assert_eq!(report["counters"]["exits"], 4);
    }
}
