// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine: puts the parts together, and runs them until the guest powers off.

use std::fs::File;
use std::io::{self, Read, Stdout, Write};
use std::os::fd::AsFd;
use std::os::unix::thread::JoinHandleExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};

use kvm_ioctls::{Kvm, VcpuFd, VmFd};
use nix::sys::eventfd::EventFd;
use nix::sys::pthread::pthread_kill;
use nix::sys::signal::{SigSet, Signal};
use vm_memory::GuestMemoryMmap;
use vm_superio::Trigger;

use crate::aia::Aia;
use crate::boot::{self, Blob};
use crate::bus::Bus;
use crate::cli::{Options, Switch};
use crate::console::{Console, InputEnd, RawMode, carry_input};
use crate::doorbell::Doorbell;
use crate::error::{Error, Result};
use crate::notify::HostMeter;
use crate::vcpu::{self, End};
use crate::{affinity, fdt, layout, notify, sys};

/// Ends `KVM_RUN`; the vCPU threads block it otherwise.
const KICK: Signal = Signal::SIGUSR1;

const KVM_HINT: &str = "the host needs /dev/kvm, and this user access to it";

/// A wire into the APLIC.
///
/// No irqfd: KVM's fast path for riscv64 only ever raises the line of one (kvm_arch_set_irq_inatomic in
/// arch/riscv/kvm/vm.c), so that the guest would see a single edge, or an interrupt that never ends.
struct Line {
    vm: Arc<VmFd>,
    irq: u32,
}

impl Trigger for Line {
    type E = io::Error;

    fn trigger(&self) -> io::Result<()> {
        self.vm.set_irq_line(self.irq, true)?;
        self.vm.set_irq_line(self.irq, false)?;
        Ok(())
    }
}

/// Runs a guest until it powers off.
///
/// # Arguments
///
/// * `options` - what the user asked for.
///
/// # Errors
///
/// Whatever keeps the guest from starting, or ends it otherwise than by powering off.
pub fn run(options: &Options) -> Result<()> {
    let kernel = Blob::open("--kernel", &options.kernel)?;
    let initrd = options.initrd.as_deref().map(|path| Blob::open("--initrd", path)).transpose()?;
    let stats = options.stats.as_deref().map(|path| match File::create(path) {
        Ok(file) => Ok(Box::new(file) as Box<dyn Write + Send>),
        Err(source) => Err(Error::File { option: "--stats", path: path.to_owned(), source }),
    });
    let stats = stats.transpose()?;

    let mut guest = Guest::new(options)?;
    let doorbell = if options.doorbell { Some(guest.add_doorbell(options, stats)?) } else { None };
    guest.load(options, kernel, initrd, doorbell)?;
    guest.run(options)
}

/// A guest that has not started.
struct Guest {
    // The order is that in which they go: the VM's files, then the memory that it uses.
    vcpus: Vec<VcpuFd>,
    vm: Arc<VmFd>,
    aia: Aia,
    bus: Bus,
    console: Arc<Mutex<Console<Line, Stdout>>>,
    cpu_of_route: Option<u32>,
    memory: GuestMemoryMmap,
}

impl Guest {
    fn new(options: &Options) -> Result<Self> {
        let kvm = Kvm::new().map_err(Error::kvm("open /dev/kvm", KVM_HINT))?;
        let most = kvm.get_max_vcpus();
        if options.cpus as usize > most {
            return Err(Error::TooManyCpus { asked: options.cpus, most });
        }
        let memory = boot::memory(options.mem)?;
        let vm = kvm.create_vm().map_err(Error::kvm("make a VM", KVM_HINT))?;
        sys::set_memory(&vm, &memory).map_err(Error::kvm("give the VM its memory", KVM_HINT))?;
        let vcpus = (0..options.cpus)
            .map(|index| vm.create_vcpu(u64::from(index)))
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(Error::kvm("make a vCPU", KVM_HINT))?;
        let aia = Aia::new(&vm, options.cpus)?;

        let vm = Arc::new(vm);
        let line = Line { vm: vm.clone(), irq: layout::SERIAL_IRQ };
        let console = Console::new(line, io::stdout()).map_err(Error::host("make an eventfd"))?;
        let console = Arc::new(Mutex::new(console));
        let mut bus = Bus::default();
        bus.add(layout::SERIAL_BASE, layout::SERIAL_SIZE, console.clone());
        Ok(Self { vcpus, vm, aia, bus, console, cpu_of_route: options.cpu_of_route, memory })
    }

    fn add_doorbell(&mut self, options: &Options, stats: Option<Box<dyn Write + Send>>) -> Result<fdt::Doorbell> {
        let (meter, ways) = notify::connect(
            sys::borrow(&*self.vm),
            self.vcpus.iter().map(sys::borrow),
            options.vei == Switch::On,
            options.cpu_of_route,
        )?;
        self.cpu_of_route = self.cpu_of_route.or(meter.cpu_of_route());
        let node = fdt::Doorbell { veirq_base: meter.has_route().then_some(notify::VEIRQ_BASE) };
        let device = Doorbell::new(meter, ways, stats, Doorbell::<HostMeter>::PATIENCE);
        self.bus.add(layout::DOORBELL_BASE, layout::DOORBELL_SIZE, Arc::new(Mutex::new(device)));
        Ok(node)
    }

    fn load(
        &self,
        options: &Options,
        mut kernel: Blob,
        initrd: Option<Blob>,
        doorbell: Option<fdt::Doorbell>,
    ) -> Result<()> {
        let size = options.mem * layout::MIB;
        let initrd_size = initrd.as_ref().map_or(0, Blob::size);
        let place = boot::place(size, kernel.header(&options.kernel)?, initrd_size)?;
        kernel.load_kernel(&self.memory)?;
        let initrd = match initrd {
            Some(mut initrd) => {
                initrd.load(&self.memory, place.initrd)?;
                Some((place.initrd, place.initrd + initrd_size))
            }
            None => None,
        };
        let mut rng_seed = [0; 32];
        File::open("/dev/urandom")
            .and_then(|mut file| file.read_exact(&mut rng_seed))
            .map_err(Error::host("read /dev/urandom"))?;
        let description = fdt::Description {
            memory: size,
            cpus: options.cpus,
            isa: vcpu::isa(&self.vcpus[0])?,
            cmdline: &options.cmdline,
            initrd,
            rng_seed: &rng_seed,
            imsic_ids: self.aia.ids,
            doorbell,
        };
        boot::load_fdt(&self.memory, place.fdt, &fdt::build(&description)?)?;
        vcpu::set_entry(&self.vcpus[0], place.kernel, place.fdt)
    }

    /// Runs the guest until the first vCPU, or the user, ends it.
    fn run(self, options: &Options) -> Result<()> {
        let Self { vcpus, vm, aia, bus, console, cpu_of_route, memory } = self;
        let (bus, stop) = (Arc::new(bus), Arc::new(AtomicBool::new(false)));
        let (ends, ended) = channel();

        // The threads inherit the mask, so that no kick can come before it is in place.
        let mut kick = SigSet::empty();
        kick.add(KICK);
        kick.thread_block().map_err(Error::host("block a signal"))?;

        let close = Arc::new(EventFd::new().map_err(Error::host("make an eventfd"))?);
        let input = spawn_input(console, close.clone(), ends.clone())?;
        let mut threads = Vec::new();
        for (index, vcpu) in (0_u32..).zip(vcpus) {
            let on = match (options.cpu_of_vcpu.get(index as usize), cpu_of_route) {
                (Some(cpu), _) => Where::On(*cpu),
                (None, Some(cpu)) => Where::NotOn(cpu as usize),
                (None, None) => Where::Anywhere,
            };
            threads.push(spawn_vcpu(index, vcpu, on, bus.clone(), stop.clone(), ends.clone())?);
        }
        drop(ends);

        let first = ended.recv().unwrap_or(End::Stopped);
        stop.store(true, Ordering::Release);
        close.write(1).map_err(Error::host("end the input"))?;
        for thread in &threads {
            // A thread that has ended already needs no kick.
            let _ = pthread_kill(thread.as_pthread_t(), KICK);
        }
        for thread in threads.into_iter().chain([input]) {
            thread.join().map_err(|_| Error::host("end a thread")(io::Error::other("it died")))?;
        }
        // The devices first: they have threads and routes that use the VM.
        drop(bus);
        drop((aia, vm, memory));
        match first {
            End::PowerOff => Ok(()),
            End::Stopped => Err(Error::Quit),
            End::Failed(error) => Err(error),
        }
    }
}

/// Which host CPU a vCPU runs on.
enum Where {
    On(usize),
    NotOn(usize),
    Anywhere,
}

fn spawn_vcpu(
    index: u32,
    mut vcpu: VcpuFd,
    on: Where,
    bus: Arc<Bus>,
    stop: Arc<AtomicBool>,
    ends: Sender<End>,
) -> Result<JoinHandle<()>> {
    let body = move || {
        let (cpu, placed) = match on {
            Where::On(cpu) => (cpu, affinity::pin(cpu)),
            Where::NotOn(cpu) => (cpu, affinity::avoid(cpu)),
            Where::Anywhere => (0, Ok(())),
        };
        let end = match placed {
            Ok(()) => vcpu::run(index, &mut vcpu, &bus, &stop),
            Err(source) => End::Failed(Error::Affinity { who: "a vCPU", cpu, source }),
        };
        // Nobody listens any more once another vCPU has ended the guest.
        let _ = ends.send(end);
    };
    Builder::new().name(format!("vcpu{index}")).spawn(body).map_err(Error::host("start a vCPU's thread"))
}

/// Starts the thread that carries input to the console. It ends the guest only when the user asks for that.
fn spawn_input(
    console: Arc<Mutex<Console<Line, Stdout>>>,
    close: Arc<EventFd>,
    ends: Sender<End>,
) -> Result<JoinHandle<()>> {
    let input = io::stdin().as_fd().try_clone_to_owned().map(File::from).map_err(Error::host("use standard input"))?;
    let body = move || {
        let raw = RawMode::enter(io::stdin());
        match carry_input(&console, input, raw.is_some(), &close) {
            Ok(InputEnd::Closed) => {}
            Ok(InputEnd::Quit) => drop(ends.send(End::Stopped)),
            Err(error) => eprintln!("haiov-vmm: no more input for the guest: {error}"),
        }
    };
    Builder::new().name("input".into()).spawn(body).map_err(Error::host("start a thread"))
}
