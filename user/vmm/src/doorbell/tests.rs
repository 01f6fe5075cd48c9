// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tests of the doorbell with made-up counters.

use super::*;
use crate::affinity::Where;
use nix::sys::eventfd::EventFd;
use std::sync::{Arc, Mutex, mpsc};

#[derive(Default)]
struct State {
    exits: u64,
    vei: Option<VeiStatus>,
    asked: u32,
}

#[derive(Clone, Default)]
struct Fake(Arc<Mutex<State>>);

impl Meter for Fake {
    fn counters(&mut self) -> io::Result<Counters> {
        Ok(Counters::from([("exits".into(), self.0.lock().unwrap().exits), ("halts".into(), 9)]))
    }
    fn vei(&mut self) -> haiov::Result<Option<VeiStatus>> {
        let mut state = self.0.lock().unwrap();
        state.asked += 1;
        Ok(state.vei)
    }
}

struct Lines(mpsc::Sender<serde_json::Value>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(serde_json::from_slice(bytes).unwrap()).unwrap();
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Bench {
    doorbell: Doorbell<Fake>,
    fake: Fake,
    ioeventfd: Arc<EventFd>,
    vei: Arc<EventFd>,
    reports: mpsc::Receiver<serde_json::Value>,
}

impl Bench {
    fn new(vei: Option<VeiStatus>, patience: Duration) -> Self {
        let fake = Fake(Arc::new(Mutex::new(State { vei, ..State::default() })));
        let (ioeventfd, vei) = (Arc::new(EventFd::new().unwrap()), Arc::new(EventFd::new().unwrap()));
        let ways = Ways {
            ioeventfd: Consumer::spawn("a", ioeventfd.clone(), Where::Anywhere).unwrap(),
            vei: Consumer::spawn("b", vei.clone(), Where::Anywhere).unwrap(),
        };
        let (sender, reports) = mpsc::channel();
        let doorbell = Doorbell::new(fake.clone(), ways, Some(Box::new(Lines(sender))), patience);
        Self { doorbell, fake, ioeventfd, vei, reports }
    }

    /// A store by the guest: an exit.
    fn store(&mut self, offset: u64, value: u32) {
        self.fake.0.lock().unwrap().exits += 1;
        self.doorbell.write(offset, &value.to_le_bytes());
    }

    fn report(&self) -> Option<serde_json::Value> {
        self.reports.try_recv().ok()
    }

    fn counted(&mut self, f: impl FnOnce(&mut VeiStatus)) {
        f(self.fake.0.lock().unwrap().vei.as_mut().unwrap());
    }
}

const LONG: Duration = Duration::from_secs(30);

fn status() -> VeiStatus {
    let mut status = VeiStatus::default();
    status.route.delivered = 1000;
    status.vm.dropped = 10;
    status
}

#[test]
fn empty_phase_has_no_exits_of_its_own() {
    let mut b = Bench::new(None, LONG);
    b.store(PHASE, 0);
    b.store(SENT, 0);
    b.store(PHASE, 1);
    let report = b.report().unwrap();
    assert_eq!((&report["phase"], &report["exits"], &report["reports"]), (&"empty".into(), &0.into(), &2.into()));
    assert_eq!(report["exits_by"], serde_json::json!({"exits": 2}), "no other counters");
    assert_eq!(report["complete"], true);
}

#[test]
fn exits_of_the_phase_are_counted() {
    let mut b = Bench::new(None, LONG);
    b.store(PLAIN, 1); // before the phase
    b.store(PHASE, 3 << 1);
    for _ in 0..5 {
        b.store(PLAIN, 1);
    }
    b.store(SENT, 5);
    b.store(PHASE, 3 << 1 | 1);
    let report = b.report().unwrap();
    assert_eq!([&report["sent"], &report["signals"], &report["exits"]], [5, 5, 5]);
    assert_eq!(report["complete"], true);
}

#[test]
fn ioeventfd_phase_waits_for_the_consumer() {
    let mut b = Bench::new(None, LONG);
    b.store(PHASE, 1 << 1);
    let eventfd = b.ioeventfd.clone();
    let sender = std::thread::spawn(move || (0..100).for_each(|_| assert_eq!(eventfd.write(1).unwrap(), 8)));
    b.store(SENT, 100);
    b.store(PHASE, 1 << 1 | 1);
    sender.join().unwrap();
    let report = b.report().unwrap();
    assert_eq!([&report["sent"], &report["signals"]], [100, 100]);
    assert!((1..=100).contains(&report["wakeups"].as_u64().unwrap()));
    assert_eq!(report["complete"], true);
}

#[test]
fn lost_events_are_reported() {
    let mut b = Bench::new(None, Duration::from_millis(1));
    b.store(PHASE, 1 << 1);
    b.store(SENT, 1);
    b.store(PHASE, 1 << 1 | 1);
    assert_eq!(b.report().unwrap()["complete"], false);
}

#[test]
fn vei_phase_waits_for_what_is_pending() {
    let mut b = Bench::new(Some(status()), LONG);
    b.store(PHASE, 2 << 1);
    // 50 sends became 2 events; the second is delivered only later.
    b.counted(|s| {
        s.route.delivered += 1;
        s.route.pending = true;
    });
    b.vei.write(1).unwrap();
    let (fake, eventfd) = (b.fake.clone(), b.vei.clone());
    let hardware = std::thread::spawn(move || {
        // Only once the doorbell has found the event pending.
        while fake.0.lock().unwrap().asked < 2 {
            std::thread::yield_now();
        }
        let mut state = fake.0.lock().unwrap();
        let route = &mut state.vei.as_mut().unwrap().route;
        route.delivered += 1;
        route.throttled = 1;
        route.pending = false;
        eventfd.write(1).unwrap();
    });
    b.store(SENT, 50);
    b.store(PHASE, 2 << 1 | 1);
    hardware.join().unwrap();
    let report = b.report().unwrap();
    assert_eq!([&report["sent"], &report["signals"], &report["delivered"], &report["throttled"]], [50, 2, 2, 1]);
    assert_eq!((&report["exits"], &report["complete"]), (&0.into(), &true.into()));
}

#[test]
fn vei_phase_without_any_event_is_incomplete() {
    let mut b = Bench::new(Some(status()), Duration::from_millis(1));
    b.store(PHASE, 2 << 1);
    b.store(SENT, 1);
    b.store(PHASE, 2 << 1 | 1);
    assert_eq!(b.report().unwrap()["complete"], false);
}

#[test]
fn sends_without_a_route_are_not_waited_for() {
    let mut b = Bench::new(Some(status()), LONG);
    b.store(PHASE, 2 << 1);
    b.counted(|s| s.vm.dropped += 7);
    b.store(SENT, 7);
    b.store(PHASE, 2 << 1 | 1);
    let report = b.report().unwrap();
    assert_eq!([&report["sent"], &report["signals"], &report["dropped"]], [7, 0, 7]);
    assert_eq!(report["complete"], true);
}

#[test]
fn mistakes_of_the_guest_report_nothing() {
    let mut b = Bench::new(None, LONG);
    b.store(PHASE, 1); // ends what has not begun
    b.store(PHASE, 99);
    b.doorbell.write(PHASE, &[0; 8]);
    b.store(0x40, 1);
    b.store(PHASE, 1 << 1);
    b.store(PHASE, 3 << 1 | 1); // ends another
    assert!(b.report().is_none());
}
