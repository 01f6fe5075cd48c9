// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a phase of the doorbell reports: one JSON object per line.

use std::io::{self, Write};

use serde::Serialize;

use crate::kvm_stats::Counters;

/// The ways in which the guest can ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Not at all: a loop of the same shape, to be subtracted.
    Empty,
    /// By a store that KVM turns into an eventfd signal.
    Ioeventfd,
    /// By a VEIRQ.
    Vei,
    /// By a store that comes to this VMM.
    Exit,
}

impl Phase {
    /// The phase that a guest means by a number.
    pub fn from_number(number: u32) -> Option<Self> {
        [Self::Empty, Self::Ioeventfd, Self::Vei, Self::Exit].get(number as usize).copied()
    }
}

/// What happened in one phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Which.
    pub phase: Phase,
    /// Notifications that the guest says it sent.
    pub sent: u64,
    /// Events that arrived: at the consumer, or in the phase `exit` at this VMM.
    pub signals: u64,
    /// Reads of the consumer that returned; several events can be one.
    pub wakeups: u64,
    /// Exits of all vCPUs, less those by which the guest reported.
    pub exits: u64,
    /// KVM's counters of exits that changed, the guest's reports included.
    pub exits_by: Counters,
    /// Exits by which the guest told that the phase ended and how much it had sent.
    pub reports: u64,
    /// Signals by an interrupt.
    pub delivered: u64,
    /// Signals after a send that the hardware refused.
    pub fallbacks: u64,
    /// Sends of the guest that had no route.
    pub dropped: u64,
    /// Times that the route went over its rate limit.
    pub throttled: u64,
    /// Whether everything that was sent had been seen in time.
    pub complete: bool,
}

impl Report {
    /// Writes the report as one line.
    ///
    /// # Arguments
    ///
    /// * `out` - where to.
    ///
    /// # Errors
    ///
    /// An I/O error.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        // One write, so that a reader never sees half a line.
        out.write_all(&line)?;
        out.flush()
    }
}

/// Keeps the counters that say why vCPUs left the guest.
///
/// # Arguments
///
/// * `counters` - all of them.
pub fn exits_only(mut counters: Counters) -> Counters {
    counters.retain(|name, _| name.contains("exit"));
    counters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_is_one_line_of_json() {
        let report = Report {
            phase: Phase::Vei,
            sent: 10,
            signals: 3,
            wakeups: 2,
            exits: 0,
            exits_by: Counters::from([("exits".into(), 2)]),
            reports: 2,
            delivered: 3,
            fallbacks: 0,
            dropped: 0,
            throttled: 1,
            complete: true,
        };
        let mut out = Vec::new();
        report.write(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.matches('\n').count(), 1);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["phase"], "vei");
        assert_eq!(value["exits_by"]["exits"], 2);
        for field in ["sent", "signals", "wakeups", "exits", "delivered", "fallbacks"] {
            assert!(value[field].is_u64(), "{field}");
        }
    }

    #[test]
    fn phases_by_number() {
        let names = (0..5).map(Phase::from_number).collect::<Vec<_>>();
        assert_eq!(names, [Some(Phase::Empty), Some(Phase::Ioeventfd), Some(Phase::Vei), Some(Phase::Exit), None]);
    }

    #[test]
    fn other_counters_are_left_out() {
        let all = Counters::from([("exits".into(), 1), ("wfi_exit_stat".into(), 2), ("halt_wakeup".into(), 3)]);
        assert_eq!(exits_only(all).len(), 2);
    }
}
