// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tries user VEIs on the real hardware, with a guest of a dozen instructions.
//!
//! It needs a riscv64 host with HCS and the module, such as the host under test. For each case it prints `ok NAME` or
//! `not ok NAME: WHY`; the exit status is 0 when all are ok.

#[macro_use]
mod cases;

use std::cell::Cell;
use std::error::Error as StdError;
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use haiov::user_vei::{Builder, Signal, Status, UserVei};
use haiov::{Device, Error, Route, Vm};
use kvm_bindings::kvm_userspace_memory_region;
use kvm_ioctls::{Kvm, VcpuExit, VcpuFd, VmFd};
use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

use cases::{Case, Outcome, fd};

fn main() -> ExitCode {
    let cases: &[Case] = &[
        ("every event comes", every_event),
        ("on top of a thread, calls are frames", frames),
        ("on an idle CPU too", frames_on_idle),
        ("a system call in a handler", system_calls),
        ("an eventfd that a handler signals", signals),
        ("floating point in a handler", floating_point),
        ("locks, allocation and thread-local variables", ordinary_code),
        ("a handler over its budget", over_budget),
        ("several routes to one handler", several_routes),
        ("events of another file's routes", listening),
        ("it lives as long as a route to it", lifetimes),
        ("what is refused", refusals),
    ];
    cases::run("user-vei", cases)
}

const RAM: GuestAddress = GuestAddress(0x8000_0000);
const QUEUE: GuestAddress = GuestAddress(0x8000_0800);
const TAKEN: GuestAddress = GuestAddress(0x8000_0808);
/// Nothing is here, so that a store leaves the guest.
const EXIT: u64 = 0x1000_0000;
/// Number of the pc among the core registers of 64 bits (asm/kvm.h); x1 and so on follow.
const PC: u64 = 0x8030_0000_0200_0000;
/// Of the host, for the events.
const CPU: u32 = 2;
const EVENTS: u64 = 500;

/// Counts, sends the VEIRQs in turn, and waits for each to be taken.
const GUEST: [u32; 10] = [
    0x0012_8293, // 1: addi t0, t0, 1
    0x0053_3023, //    sd t0, 0(t1)
    0,           //             andi a0, t0, VEIRQS - 1: see `veirqs`
    0x0140_000f, //    fence w, o
    0x5d25_1073, //    csrw svei, a0
    0x0083_3383, // 2: ld t2, 8(t1)
    0xfe53_9ee3, //    bne t2, t0, 2b
    0xfe82_92e3, //    bne t0, s0, 1b
    0x0004_a023, //    sw zero, 0(s1)
    0x0000_006f, //    j .
];

/// `andi a0, t0, VEIRQS - 1`, a power of two.
fn veirqs(count: u32) -> u32 {
    0x0002_f513 | (count - 1) << 20
}

struct Guest {
    vcpu: VcpuFd,
    // After the vCPU.
    kvm: VmFd,
    memory: GuestMemoryMmap,
}

impl Guest {
    fn new(count: u32) -> Result<(Self, Vm), Box<dyn StdError>> {
        let kvm = Kvm::new()?.create_vm()?;
        let memory = GuestMemoryMmap::from_ranges(&[(RAM, 0x1000)])?;
        let region = kvm_userspace_memory_region {
            guest_phys_addr: RAM.0,
            memory_size: 0x1000,
            userspace_addr: memory.get_host_address(RAM)? as u64,
            ..Default::default()
        };
        // SAFETY: the mapping is in the same struct as the VM and goes after it; only vm-memory's volatile methods
        // access it otherwise.
        unsafe { kvm.set_user_memory_region(region) }?;
        for (word, at) in GUEST.into_iter().zip((RAM.0..).step_by(4)) {
            memory.write_obj(word, GuestAddress(at))?;
        }
        memory.write_obj(veirqs(count), GuestAddress(RAM.0 + 8))?;
        let vm = Vm::create(&Device::open()?, fd(&kvm), count)?;
        let vcpu = kvm.create_vcpu(0)?;
        Ok((Self { vcpu, kvm, memory }, vm))
    }

    /// Sends `count` events, and gives the VM back.
    fn run(&mut self, count: u64) -> Outcome {
        self.memory.write_obj(0_u64, TAKEN)?;
        for (register, value) in [(0, RAM.0), (5, 0), (6, QUEUE.0), (8, count), (9, EXIT)] {
            self.vcpu.set_one_reg(PC + register, &value.to_le_bytes())?;
        }
        loop {
            match self.vcpu.run()? {
                VcpuExit::MmioWrite(EXIT, _) => return Ok(()),
                VcpuExit::Intr => {}
                other => return Err(format!("the guest left by {other:?}").into()),
            }
        }
    }
}

/// A handler that does `act` and takes what the guest has sent; and how many it has taken.
fn taking<F>(memory: &GuestMemoryMmap, mut act: F) -> (impl FnMut() + Send + use<F>, Arc<AtomicU64>)
where
    F: FnMut() + Send + 'static,
{
    let taken = Arc::new(AtomicU64::new(0));
    let (memory, counter) = (memory.clone(), taken.clone());
    let handler = move || {
        let number = memory.load::<u64>(QUEUE, Ordering::Acquire).unwrap_or(0);
        act();
        if number != memory.load(TAKEN, Ordering::Relaxed).unwrap_or(0) {
            counter.fetch_add(1, Ordering::Relaxed);
            let _ = memory.store(number, TAKEN, Ordering::Release);
        }
    };
    (handler, taken)
}

/// Runs `EVENTS` events by a handler that does `act`.
fn serve(
    builder: Builder,
    busy: bool,
    events: u64,
    act: impl FnMut() + Send + 'static,
) -> Result<Status, Box<dyn StdError>> {
    let (mut guest, vm) = Guest::new(1)?;
    let (handler, taken) = taking(&guest.memory, act);
    let user_vei = builder.cpu(CPU).start(vm.device(), handler)?;
    let route = vm.add_context_route(0, &user_vei)?;
    let stop = AtomicBool::new(false);
    let served = thread::scope(|scope| {
        if busy {
            scope.spawn(|| {
                pin(CPU);
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        pin(1);
        let served = guest.run(events).map_err(|e| e.to_string());
        stop.store(true, Ordering::Relaxed);
        served
    });
    served?;
    let got = taken.load(Ordering::Relaxed);
    check!(got == events, "{got} of {events} events were taken");
    let status = user_vei.query()?;
    check!(status.routes == 1 && status.cpu == CPU && route.cpu() == CPU, "it says {status:?}");
    check!(status.calls >= events && status.doorbells <= status.calls, "it says {status:?}");
    Ok(status)
}

/// Keeps the calling thread on a CPU.
fn pin(cpu: u32) {
    let mut set = nix::sched::CpuSet::new();
    // Neither fails for a CPU that there is.
    let _ = set.set(cpu as usize);
    let _ = nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &set);
}

fn every_event() -> Outcome {
    serve(UserVei::builder(), false, EVENTS, || {})?;
    Ok(())
}

fn frames() -> Outcome {
    frames_over(true)
}

fn frames_on_idle() -> Outcome {
    frames_over(false)
}

fn frames_over(busy: bool) -> Outcome {
    // On a machine that is loaded itself, the timer of a hart that stood still comes before many an event.
    let mut frames = 0;
    for _ in 0..20 {
        frames += serve(UserVei::builder(), busy, EVENTS, || {})?.frames();
        if frames > EVENTS / 2 {
            return Ok(());
        }
    }
    Err(format!("{frames} frames").into())
}

fn system_calls() -> Outcome {
    let wrong = Arc::new(AtomicU64::new(0));
    let counter = wrong.clone();
    let status = serve(UserVei::builder().name("handler"), true, EVENTS, move || {
        // By a system call, and what this thread was told at its start.
        if thread::current().name() != Some("handler") || nix::unistd::getppid().as_raw() < 1 {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    })?;
    check!(wrong.load(Ordering::Relaxed) == 0, "it was on another thread");
    check!(status.faults > 0, "no frame was taken over: {status:?}");
    Ok(())
}

/// Each event is answered by a signal, in frames without a system call. Who else may use it, and how it ends.
fn signals() -> Outcome {
    let (mut guest, vm) = Guest::new(1)?;
    let eventfd = EventFd::from_flags(EfdFlags::EFD_NONBLOCK)?;
    let signal = Arc::new(OnceLock::<Signal>::new());
    let signaled = signal.clone();
    let (handler, taken) = taking(&guest.memory, move || {
        if let Some(signal) = signaled.get() {
            signal.signal();
        }
    });
    let user_vei = UserVei::builder().cpu(CPU).start(vm.device(), handler)?;
    check!(signal.set(user_vei.add_signal(&eventfd)?).is_ok(), "there is one already");
    let route = vm.add_context_route(0, &user_vei)?;
    pin(1);
    // On a machine that is loaded itself, the timer of a hart that stood still comes before many an event.
    for _ in 0..20 {
        guest.run(EVENTS)?;
        if user_vei.query()?.signaled > EVENTS / 2 {
            break;
        }
    }
    let status = user_vei.query()?;
    let (got, events) = (eventfd.read()?, taken.load(Ordering::Relaxed));
    check!(events % EVENTS == 0 && got == status.calls, "{got} signals for {events} events: {status:?}");
    check!(status.signaled > EVENTS / 2, "it leaves its frames to signal: {status:?}");
    check!(status.signaled + status.wakeups() >= status.calls, "{status:?}");

    // In the frame of another handler the same index is another signal.
    let other = EventFd::from_flags(EfdFlags::EFD_NONBLOCK)?;
    let borrowed = signal.clone();
    let (handler, _) = taking(&guest.memory, move || {
        if let Some(signal) = borrowed.get() {
            signal.signal();
        }
    });
    let stranger = UserVei::builder().cpu(CPU).start(vm.device(), handler)?;
    let _theirs = stranger.add_signal(&other)?;
    route.destroy()?;
    let route = vm.add_context_route(0, &stranger)?;
    guest.run(10)?;
    let status = stranger.query()?;
    check!(eventfd.read()? == status.calls && status.signaled == 0, "{status:?}");
    check!(other.read() == Err(Errno::EAGAIN), "another handler's eventfd is signaled");

    // A signal that the handler owns does not keep that alive; who else has it may use it after that.
    drop(route);
    drop(user_vei);
    let Some(signal) = signal.get() else { return Err("it is gone".into()) };
    signal.signal();
    check!(eventfd.read()? == 1, "it does not signal any more");
    Ok(())
}

fn floating_point() -> Outcome {
    let mut sum = 0.0;
    let mut n = 0_u32;
    let wrong = Arc::new(AtomicU64::new(0));
    let counter = wrong.clone();
    let status = serve(UserVei::builder(), true, EVENTS, move || {
        n += 1;
        sum += black_box(f64::from(n)) * 0.5;
        if sum != f64::from(n) * f64::from(n + 1) * 0.25 {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    })?;
    check!(wrong.load(Ordering::Relaxed) == 0, "{} sums are wrong", wrong.load(Ordering::Relaxed));
    check!(status.faults > 0, "no frame was taken over: {status:?}");
    Ok(())
}

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

fn ordinary_code() -> Outcome {
    let list = Arc::new(Mutex::new(Vec::new()));
    let shared = list.clone();
    CALLS.set(1000);
    serve(UserVei::builder(), true, EVENTS, move || {
        CALLS.set(CALLS.get() + 1);
        if let Ok(mut list) = shared.lock() {
            list.push(format!("call {}", CALLS.get()));
        }
    })?;
    let list = list.lock().map_err(|e| e.to_string())?;
    check!(list.len() as u64 >= EVENTS, "{} entries", list.len());
    let in_order = (1..).zip(list.iter()).all(|(n, entry)| *entry == format!("call {n}"));
    check!(in_order && CALLS.get() == 1000, "thread-local variables are another thread's");
    Ok(())
}

fn over_budget() -> Outcome {
    // On a loaded machine an event may come each time before the thread is parked, and then none starts a frame.
    for _ in 0..20 {
        let status = serve(UserVei::builder().budget(Duration::from_millis(1)), true, 10, || {
            for n in 0..2_000_000 {
                black_box(n);
            }
        })?;
        if status.expired + status.preempted > 0 {
            return Ok(());
        }
    }
    Err("no frame was taken over".into())
}

fn several_routes() -> Outcome {
    let (mut guest, vm) = Guest::new(8)?;
    let (handler, taken) = taking(&guest.memory, || {});
    let user_vei = UserVei::builder().start(vm.device(), handler)?;
    let routes = (0..8).map(|veirq| vm.add_context_route(veirq, &user_vei)).collect::<haiov::Result<Vec<Route>>>()?;
    for cpu in [0, CPU] {
        user_vei.move_to(cpu)?;
        let (at, route) = (user_vei.query()?, routes[3].query()?);
        check!((at.cpu, route.cpu, route.veiid) == (cpu, cpu, at.veiid), "{at:?}, and its route {route:?}");
    }
    check!(matches!(user_vei.move_to(1 << 20), Err(Error::Invalid { .. })), "it moves to no CPU");
    guest.run(EVENTS)?;
    check!(taken.load(Ordering::Relaxed) == EVENTS, "not every event was taken");
    check!(user_vei.query()?.routes == 8 && routes[7].veiid() == user_vei.veiid(), "{:?}", user_vei.query()?);
    Ok(())
}

fn listening() -> Outcome {
    let (mut guest, vm) = Guest::new(1)?;
    let (handler, taken) = taking(&guest.memory, || {});
    // As if it were another process's.
    let user_vei = UserVei::builder().start(&Device::open()?, handler)?;
    let kick = EventFd::from_flags(EfdFlags::EFD_NONBLOCK)?;
    let listening = user_vei.listen(&kick)?;
    match user_vei.listen(&kick) {
        Err(Error::Busy { .. }) => {}
        other => return Err(format!("a second time: {other:?}").into()),
    }
    check!(user_vei.query()?.routes == 0, "{:?}", user_vei.query()?);
    let route = vm.add_route(0, &kick, None)?;
    drop(user_vei);
    guest.run(EVENTS)?;
    check!(taken.load(Ordering::Relaxed) == EVENTS, "not every event was taken");
    check!(kick.read() == Err(Errno::EAGAIN), "the eventfd was signaled as well");
    listening.destroy()?;
    check!(kick.read() == Ok(1), "the eventfd was not signaled as the route came back");
    check!(route.query()?.delivered == 0, "{:?}", route.query()?);
    Ok(())
}

/// Tells when it is dropped.
struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn lifetimes() -> Outcome {
    let (mut guest, vm) = Guest::new(1)?;
    let gone = Arc::new(AtomicBool::new(false));
    let guard = Dropped(gone.clone());
    let (handler, taken) = taking(&guest.memory, move || {
        let _ = &guard;
    });
    let user_vei = UserVei::builder().start(vm.device(), handler)?;
    let route = vm.add_context_route(0, &user_vei)?;
    drop(user_vei);
    guest.run(10)?;
    check!(taken.load(Ordering::Relaxed) == 10, "without its own handle, it does not work");
    check!(!gone.load(Ordering::Relaxed), "the handler is dropped while there is a route");
    drop(route);
    check!(gone.load(Ordering::Relaxed), "the handler is not dropped with the last route");
    drop(guest.kvm);
    Ok(())
}

fn refusals() -> Outcome {
    let (_guest, vm) = Guest::new(1)?;
    match UserVei::builder().cpu(4096).start(vm.device(), || {}) {
        Err(Error::Invalid { .. }) => {}
        other => return Err(format!("CPU 4096: {other:?}").into()),
    }
    match UserVei::builder().budget(Duration::from_secs(1)).start(vm.device(), || {}) {
        Err(Error::Invalid { .. }) => {}
        other => return Err(format!("a budget of a second: {other:?}").into()),
    }
    let stranger = UserVei::builder().start(&Device::open()?, || {})?;
    match vm.add_context_route(0, &stranger) {
        Err(Error::NotFound { .. }) => {}
        other => return Err(format!("another file's: {other:?}").into()),
    }
    match stranger.listen(std::fs::File::open("/dev/null")?) {
        Err(Error::Invalid { .. }) => {}
        other => return Err(format!("what is no eventfd: {other:?}").into()),
    }
    let ours = UserVei::builder().start(vm.device(), || {})?;
    match ours.add_signal(std::io::stdin()) {
        Err(Error::Invalid { .. }) => {}
        other => return Err(format!("a signal that is no eventfd: {other:?}").into()),
    }
    let _route = vm.add_context_route(0, &ours)?;
    match vm.add_context_route(0, &ours) {
        Err(Error::Exists { veirq: 0, .. }) => Ok(()),
        other => Err(format!("a second route: {other:?}").into()),
    }
}
