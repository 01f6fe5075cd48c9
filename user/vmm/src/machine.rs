// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine: puts the parts together, and runs them until the guest powers off.

use std::fs::File;
use std::io::{self, Read, Stdout, Write};
use std::os::fd::AsFd;
use std::path::{Path as HostPath, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, Builder, JoinHandle};
use std::time::Duration;

use haiov::uer::{self, Event, Handler};
use haiov::{Device, MmioRange, Route, UserVei, Vm};
use kvm_ioctls::{IoEventAddress, Kvm, VcpuFd, VmFd};
use nix::sys::eventfd::{EfdFlags, EventFd};
use vm_memory::GuestMemoryMmap;

use crate::affinity::Where;
use crate::aia::Aia;
use crate::bench::{self, Bench, Messaged, Register};
use crate::block::Block;
use crate::boot::{self, Blob};
use crate::bus::Bus;
use crate::cli::{Notify, Options, Path, Switch};
use crate::console::{InputEnd, RawMode, carry_input};
use crate::control::{Command, Control};
use crate::doorbell::Doorbell;
use crate::error::{Error, Result};
use crate::gate::{Gate, kick_set};
use crate::ioregion::{Ioregions, Region};
use crate::kvm_stats::{Counters, KvmStats};
use crate::line::Line;
use crate::notify::HostMeter;
use crate::output::Output;
use crate::snapshot::{self, State};
use crate::uart::Uart;
use crate::vcpu::{self, End, Vcpu};
use crate::virtio_mmio::{self, VirtioMmio};
use crate::wait;
use crate::{fdt, layout, notify, sys};

/// The serial port of this machine.
type Serial = Uart<Line, Stdout>;

/// The disk of this machine.
type Disk = VirtioMmio<Block, Line>;

/// What a handler that an interrupt has found may still take of who it runs on top of: some requests of ordinary size.
const HANDLER_BUDGET: Duration = Duration::from_millis(1);

const KVM_HINT: &str = "the host needs /dev/kvm, and this user access to it";

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
    let kernel =
        options.kernel.as_deref().map(|path| Blob::open("--kernel", path).map(|blob| (path, blob))).transpose()?;
    let restored = match &options.restore {
        Some(path) => Some((path, load_state(path, options)?)),
        None => None,
    };
    let initrd = options.initrd.as_deref().map(|path| Blob::open("--initrd", path)).transpose()?;
    let create = |option, path: &Option<PathBuf>| match path {
        Some(path) => match File::create(path) {
            Ok(file) => Ok(Some(Box::new(file) as Box<dyn Write + Send>)),
            Err(source) => Err(Error::File { option, path: path.clone(), source }),
        },
        None => Ok(None),
    };
    let disk = options.disk.as_deref().map(Block::open).transpose()?;
    let stats = create("--stats", &options.stats)?;
    let reports = create("--mmio-bench", &options.mmio_bench)?;

    let (mem, cpus) = match &restored {
        Some((_, state)) => (state.mem, state.vcpus.len() as u32),
        None => (options.mem.unwrap_or(Options::MEM), options.cpus.unwrap_or(Options::CPUS)),
    };
    let control = match &options.control {
        Some(path) => Some(Control::new(path).map_err(|source| Error::File {
            option: "--control",
            path: path.clone(),
            source,
        })?),
        None => None,
    };
    let mut guest = Guest::new(options, mem, cpus)?;
    let doorbell = if options.doorbell { Some(guest.add_doorbell(options, stats)?) } else { None };
    if let Some(reports) = reports {
        guest.add_bench(options, reports)?;
    }
    if let Some(disk) = disk {
        guest.add_disk(options, disk)?;
    }
    guest.redirect(options)?;
    if let Some((path, kernel)) = kernel {
        guest.load(options, path, kernel, initrd, doorbell)?;
    }
    if let Some((path, state)) = restored {
        guest.restore(path, state)?;
    }
    guest.run(options, control)
}

/// Reads the state of a guest, and compares it with what the user asked for.
fn load_state(path: &HostPath, options: &Options) -> Result<State> {
    let wrong = |what| Error::Restore { path: path.to_owned(), what };
    let state = snapshot::load_state(path).map_err(wrong)?;
    let cpus = state.vcpus.len();
    if !layout::CPUS.contains(&cpus) || !layout::MEM_MIB.contains(&state.mem) {
        return Err(wrong("its state is damaged".into()));
    }
    if let Some(asked) = options.cpus.filter(|asked| *asked as usize != cpus) {
        return Err(wrong(format!("its guest has {cpus} vCPUs, not {asked}; leave out --cpus")));
    }
    if let Some(asked) = options.mem.filter(|asked| *asked != state.mem) {
        return Err(wrong(format!("its guest has {} MiB of memory, not {asked}; leave out --mem", state.mem)));
    }
    match (&state.disk, &options.disk) {
        (Some(_), None) => Err(wrong("its guest has a disk; give it by --disk".into())),
        (None, Some(_)) => Err(wrong("its guest has no disk; leave out --disk".into())),
        _ if state.disk_vei && !options.blk.by_vei() => {
            Err(wrong("its guest notifies its disk by VEI; give --blk vei, hcs or haiov".into()))
        }
        _ => Ok(state),
    }
}

/// A guest that has not started.
struct Guest {
    // The order is that in which they go: the VM's files, then the memory that it uses.
    vcpus: Vec<VcpuFd>,
    /// Size of the memory, in MiB.
    mem: u64,
    vm: Arc<VmFd>,
    aia: Aia,
    bus: Bus,
    /// What sends the accesses to `bus.redirected` there; empty where the host has no UER.
    redirection: (Vec<MmioRange>, Vec<Handler>),
    /// What sends the accesses to some of `bus.exits` to threads; empty where the host has no ioregionfd.
    ioregions: Vec<Ioregions>,
    serial: Arc<Serial>,
    disk: Option<Arc<Disk>>,
    /// Where the disk's thread runs, if not anywhere.
    cpu_of_disk: Option<u32>,
    /// The disk's route, where it was asked for and the host has VEI.
    disk_route: Option<Route>,
    /// Whether the guest knows of it.
    disk_vei: bool,
    /// The binding to /dev/haiov, once something has asked for it.
    binding: Option<Vm>,
    /// What the bench device's eventfd is; it only has to stay open.
    bench_event: Option<EventFd>,
    cpu_of_route: Option<u32>,
    memory: GuestMemoryMmap,
}

impl Guest {
    fn new(options: &Options, mem: u64, cpus: u32) -> Result<Self> {
        let kvm = Kvm::new().map_err(Error::kvm("open /dev/kvm", KVM_HINT))?;
        let most = kvm.get_max_vcpus();
        if cpus as usize > most {
            return Err(Error::TooManyCpus { asked: cpus, most });
        }
        let memory = boot::memory(mem)?;
        let vm = create_vm(&kvm).map_err(Error::kvm("make a VM", KVM_HINT))?;
        sys::set_memory(&vm, &memory).map_err(Error::kvm("give the VM its memory", KVM_HINT))?;
        let vcpus = (0..cpus)
            .map(|index| vm.create_vcpu(u64::from(index)))
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(Error::kvm("make a vCPU", KVM_HINT))?;
        let aia = Aia::new(&vm, cpus)?;

        let vm = Arc::new(vm);
        let line = Line::new(vm.clone(), layout::SERIAL_IRQ);
        let serial = Self::serial(line).map_err(Error::host("make an eventfd"))?;
        let mut bus = Bus::default();
        let pages = match options.console {
            Path::Exit => &mut bus.exits,
            Path::Uer => &mut bus.redirected,
        };
        pages.add(layout::SERIAL_BASE, layout::SERIAL_PAGE, serial.clone())?;
        let (redirection, bench_event, cpu_of_route) = (Default::default(), None, options.cpu_of_route);
        Ok(Self {
            vcpus,
            mem,
            vm,
            aia,
            bus,
            redirection,
            ioregions: Vec::new(),
            serial,
            disk: None,
            cpu_of_disk: None,
            disk_route: None,
            disk_vei: false,
            binding: None,
            bench_event,
            cpu_of_route,
            memory,
        })
    }

    fn serial(line: Line) -> io::Result<Arc<Serial>> {
        let edge = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let edge = Event::new(edge.as_fd().try_clone_to_owned()?);
        Ok(Arc::new(Uart::new(line, edge, Arc::new(Output::new(io::stdout())?))?))
    }

    fn add_doorbell(&mut self, options: &Options, stats: Option<Box<dyn Write + Send>>) -> Result<fdt::Doorbell> {
        let (vm, binding) = (&self.vm, &mut self.binding);
        let mut bind = || bind(vm, binding);
        let (meter, ways) = notify::connect(
            sys::borrow(&*self.vm),
            self.vcpus.iter().map(sys::borrow),
            if options.vei == Switch::On { Some(&mut bind) } else { None },
            options.cpu_of_route,
        )?;
        self.cpu_of_route = self.cpu_of_route.or(meter.cpu_of_route());
        let node = fdt::Doorbell { veirq_base: meter.has_route().then_some(layout::DOORBELL_VEIRQ) };
        let device = Doorbell::new(meter, ways, stats, Doorbell::<HostMeter>::PATIENCE);
        self.bus.add(layout::DOORBELL_BASE, layout::DOORBELL_SIZE, Arc::new(Mutex::new(device)));
        Ok(node)
    }

    fn add_bench(&mut self, options: &Options, reports: Box<dyn Write + Send>) -> Result<()> {
        let (handled, messaged) = (Arc::new(Register::default()), Arc::new(Register::default()));
        let stats: Vec<_> = self
            .vcpus
            .iter()
            .map(|vcpu| sys::kvm_stats_fd(sys::borrow(vcpu)).and_then(KvmStats::new))
            .collect::<io::Result<_>>()
            .map_err(Error::kvm("read the statistics of KVM", "the host's kernel needs KVM_CAP_BINARY_STATS_FD"))?;
        let meter = move || {
            let mut sum = Counters::new();
            stats.iter().try_for_each(|vcpu| vcpu.add_to(&mut sum))?;
            Ok(sum)
        };
        let bench = Arc::new(Bench::new(handled.clone(), messaged.clone(), Box::new(meter), reports));
        self.bus.exits.add(layout::BENCH_BASE, layout::BENCH_PAGE, bench)?;
        self.bus.redirected.add(layout::BENCH_BASE + layout::BENCH_PAGE, layout::BENCH_PAGE, handled)?;
        let base = layout::BENCH_BASE + 2 * layout::BENCH_PAGE;
        self.bus.exits.add(base, layout::BENCH_PAGE, messaged.clone())?;
        let part = |offset, posted| Region { base: base + offset, size: bench::POSTED, offset, posted };
        let parts = [part(0, false), part(bench::POSTED, true)];
        self.add_ioregions(options, "the bench device", Arc::new(Messaged(messaged)), &parts)?;

        let eventfd = EventFd::new().map_err(Error::host("make an eventfd"))?;
        for (offset, len) in [(bench::NOTIFY, 4), (bench::ANYLEN, 0)] {
            sys::kvm_ioeventfd(sys::borrow(&*self.vm), layout::BENCH_BASE + offset, len, eventfd.as_fd())
                .map_err(Error::kvm("add an ioeventfd", "the host's kernel needs CONFIG_EVENTFD"))?;
        }
        self.bench_event = Some(eventfd);
        self.vm
            .register_coalesced_mmio(IoEventAddress::Mmio(layout::BENCH_BASE + bench::COALESCED), bench::COALESCED_SIZE)
            .map_err(Error::kvm("let KVM keep stores", "the host's kernel needs KVM_CAP_COALESCED_MMIO"))
    }

    fn add_disk(&mut self, options: &Options, disk: Block) -> Result<()> {
        // However the guest notifies it, so that these ways can be compared.
        let line = match Device::open() {
            Ok(_) => Line::irqfd(self.vm.clone(), layout::DISK_IRQ)?,
            Err(_) => Line::new(self.vm.clone(), layout::DISK_IRQ),
        };
        let disk = VirtioMmio::new(disk, self.memory.clone(), line).map_err(Error::host("make an eventfd"))?;
        let disk = Arc::new(if options.blk == Notify::Poll { disk.polled() } else { disk });
        let pages = if options.blk.by_uer() { &mut self.bus.redirected } else { &mut self.bus.exits };
        pages.add(layout::DISK_BASE, layout::DISK_SIZE, disk.clone())?;
        if !matches!(options.blk, Notify::Exit | Notify::Uer) {
            // For a driver that knows nothing of the other ways.
            notify::add_ioeventfd(sys::borrow(&*self.vm), layout::DISK_BASE + virtio_mmio::NOTIFY, disk.kick())?;
        }
        self.cpu_of_disk = options.cpu_of_route;
        if options.blk.by_vei() {
            let (vm, binding) = (&self.vm, &mut self.binding);
            let mut bind = || bind(vm, binding);
            let added = notify::add_route(&mut bind, "the disk", |vm| match options.blk {
                Notify::Vei => vm.add_route(layout::DISK_VEIRQ, disk.kick(), options.cpu_of_route),
                _ => handler_route(vm, &disk, options.cpu_of_route),
            })?;
            if let Some((_, route)) = added {
                self.cpu_of_disk = Some(route.cpu());
                self.cpu_of_route = self.cpu_of_route.or(self.cpu_of_disk);
                self.disk_route = Some(route);
            }
        }
        if options.blk == Notify::Ioregionfd {
            // Around QueueNotify, which needs no answer: an eventfd wakes the disk's thread, and no other one before it.
            let after = virtio_mmio::NOTIFY + 4;
            let parts = [(0, virtio_mmio::NOTIFY), (after, layout::DISK_SIZE - after)].map(|(offset, size)| {
                // None of them posted: an acknowledgement that comes late would take the next interrupt with it.
                Region { base: layout::DISK_BASE + offset, size, offset, posted: false }
            });
            self.add_ioregions(options, "the disk", disk.clone(), &parts)?;
        }
        self.disk = Some(disk);
        Ok(())
    }

    /// Lets a thread serve parts of a device of `bus.exits`, or warns that they go on with exits.
    fn add_ioregions(
        &mut self,
        options: &Options,
        whose: &'static str,
        device: Arc<dyn uer::Device>,
        parts: &[Region],
    ) -> Result<()> {
        // Whoever waits for an answer is on a vCPU.
        let on = match (options.cpu_of_route, options.cpu_of_vcpu.first()) {
            (Some(cpu), _) => Where::On(cpu as usize),
            (None, Some(cpu)) => Where::NotOn(*cpu),
            (None, None) => Where::Anywhere,
        };
        let place = move || on.keep(whose);
        match Ioregions::spawn(sys::borrow(&*self.vm), "ioregion", device, parts, place)? {
            Some(ioregions) => self.ioregions.push(ioregions),
            None => eprintln!(
                "haiov-vmm: warning: this kernel has no ioregionfd; {whose} goes on with exits where it was to use it"
            ),
        }
        Ok(())
    }

    /// Lets handlers serve the devices of `bus.redirected`, or warns that they go on with exits.
    fn redirect(&mut self, options: &Options) -> Result<()> {
        let bus = &self.bus.redirected;
        if options.console == Path::Exit && !options.blk.by_uer() && options.mmio_bench.is_none() {
            return Ok(());
        }
        let (vm, binding) = (&self.vm, &mut self.binding);
        let mut redirect = || -> haiov::Result<_> {
            let vm = bind(vm, binding)?;
            self.serial.edge().register(&vm)?;
            self.serial.output().wake().register(&vm)?;
            if let Some(disk) = &self.disk {
                disk.kick().register(&vm)?;
            }
            let handlers =
                self.vcpus.iter().map(|vcpu| bus.attach(&vm, sys::borrow(vcpu))).collect::<haiov::Result<_>>()?;
            Ok((bus.register(&vm)?, handlers))
        };
        match redirect() {
            Ok(redirection) => self.redirection = redirection,
            Err(error) if error.is_unsupported() => {
                eprintln!("haiov-vmm: warning: {error}; the devices that were to use UER go on with exits");
            }
            Err(error) => return Err(Error::Uer(error)),
        }
        Ok(())
    }

    fn load(
        &mut self,
        options: &Options,
        path: &HostPath,
        mut kernel: Blob,
        initrd: Option<Blob>,
        doorbell: Option<fdt::Doorbell>,
    ) -> Result<()> {
        let size = self.mem * layout::MIB;
        let initrd_size = initrd.as_ref().map_or(0, Blob::size);
        let place = boot::place(size, kernel.header(path)?, initrd_size)?;
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
            cpus: self.vcpus.len() as u32,
            isa: vcpu::isa(&self.vcpus[0])?,
            cmdline: &options.cmdline,
            initrd,
            rng_seed: &rng_seed,
            imsic_ids: self.aia.ids,
            doorbell,
            bench: options.mmio_bench.is_some(),
            disk: self.disk.as_ref().map(|_| fdt::Disk { veirq_base: self.disk_route.as_ref().map(Route::veirq) }),
        };
        self.disk_vei = self.disk_route.is_some();
        boot::load_fdt(&self.memory, place.fdt, &fdt::build(&description)?)?;
        vcpu::set_entry(&self.vcpus[0], place.kernel, place.fdt)
    }

    /// Puts the guest where a saved one was.
    fn restore(&mut self, path: &HostPath, state: State) -> Result<()> {
        let wrong = |what: String| Error::Restore { path: path.to_owned(), what };
        if state.disk_vei && self.disk_route.is_none() {
            return Err(wrong("its guest notifies its disk by VEI, which this host does not have".into()));
        }
        self.disk_vei = state.disk_vei;
        if state.aia.imsics.len() != self.vcpus.len() {
            return Err(wrong("its vCPUs have not an interrupt controller each".into()));
        }
        snapshot::load_memory(path, &self.memory, &state).map_err(wrong)?;
        // Before the vCPUs, whose timers are set by it.
        vcpu::set_time(&self.vcpus[0], state.time)?;
        for (vcpu, state) in self.vcpus.iter().zip(&state.vcpus) {
            vcpu::restore(vcpu, state)?;
        }
        self.aia.restore(&state)?;
        // The devices last, which raise their interrupts again.
        self.serial.restore(&state.serial).map_err(|e| wrong(e.to_string()))?;
        if let (Some(disk), Some(state)) = (&self.disk, state.disk) {
            disk.restore(state).map_err(|what| wrong(what.into()))?;
        }
        Ok(())
    }

    /// Runs the guest until the first vCPU, or the user, ends it.
    fn run(self, options: &Options, control: Option<Control>) -> Result<()> {
        let Self { vcpus, mem, vm, aia, bus, redirection, ioregions, serial, disk, .. } = self;
        let Self { cpu_of_disk, disk_route, disk_vei, binding, bench_event, cpu_of_route, memory, .. } = self;
        let (bus, gate, memory, aia) = (Arc::new(bus), Arc::new(Gate::default()), memory, Arc::new(aia));
        let vcpus: Arc<[_]> = vcpus.into_iter().map(Vcpu::new).collect();
        let (ends, ended) = channel();

        // The threads inherit the mask, so that no kick can come before it is in place.
        kick_set().thread_block().map_err(Error::host("block a signal"))?;

        let close = Arc::new(EventFd::new().map_err(Error::host("make an eventfd"))?);
        let mut helpers = vec![
            spawn_input(serial.clone(), close.clone(), ends.clone())?,
            spawn_output(serial.clone(), close.clone())?,
            spawn_interrupt(serial.clone(), close.clone())?,
        ];
        if let Some(disk) = &disk {
            let on = Where::of(options.cpu_of_route, cpu_of_disk);
            helpers.push(spawn_disk(disk.clone(), on, close.clone(), ends.clone())?);
        }
        let mut threads = Vec::new();
        for index in 0..vcpus.len() as u32 {
            let on = match (options.cpu_of_vcpu.get(index as usize), cpu_of_route) {
                (Some(cpu), _) => Where::On(*cpu),
                (None, Some(cpu)) => Where::NotOn(cpu as usize),
                (None, None) => Where::Anywhere,
            };
            let coalesced = options.mmio_bench.is_some() && index == 0;
            threads.push(spawn_vcpu(index, vcpus.clone(), on, bus.clone(), gate.clone(), ends.clone(), coalesced)?);
        }
        if let Some(control) = control {
            let saved = !options.doorbell && options.mmio_bench.is_none();
            let (gate, vcpus, aia, memory) = (gate.clone(), vcpus.clone(), aia.clone(), memory.clone());
            let guest = Paused { gate, vcpus, mem, memory, aia, serial, disk, disk_vei, saved, paused_at: None };
            helpers.push(spawn_control(control, guest, close.clone(), ends.clone())?);
        }
        drop(ends);

        let first = ended.recv().unwrap_or(End::Stopped);
        gate.end();
        let join = |thread: JoinHandle<()>| {
            thread.join().map_err(|_| Error::host("end a thread")(io::Error::other("it died")))
        };
        threads.into_iter().try_for_each(join)?;
        // Only now, so that what the guest printed last goes out.
        close.write(1).map_err(Error::host("end the input"))?;
        helpers.into_iter().try_for_each(join)?;
        // The handlers first, then the devices: they have threads and routes that use the VM.
        drop((redirection, ioregions));
        drop((bus, bench_event, disk_route, binding));
        drop((vcpus, aia, vm, memory));
        match first {
            End::PowerOff => Ok(()),
            End::Stopped => Err(Error::Quit),
            End::Failed(error) => Err(error),
        }
    }
}

/// Makes a VM, however often a debugger, or what stops the process, interrupts that: unlike most calls, this one is not begun
/// again by the system (mm_take_all_locks() in mm/vma.c of Linux).
fn create_vm(kvm: &Kvm) -> std::result::Result<VmFd, kvm_ioctls::Error> {
    loop {
        match kvm.create_vm() {
            Err(e) if e.errno() == libc::EINTR => {}
            made => return made,
        }
    }
}

/// What the control socket needs of a guest that runs.
struct Paused {
    gate: Arc<Gate>,
    vcpus: Arc<[Mutex<Vcpu>]>,
    mem: u64,
    memory: GuestMemoryMmap,
    aia: Arc<Aia>,
    serial: Arc<Serial>,
    disk: Option<Arc<Disk>>,
    /// Whether the guest knows of the disk's route.
    disk_vei: bool,
    /// Whether all of its devices can be saved.
    saved: bool,
    /// The guest's time, while it is paused: it stands still meanwhile, lest the guest believe that it hung.
    paused_at: Option<u64>,
}

impl Paused {
    fn execute(&mut self, command: &Command) -> Result<()> {
        match (command, self.paused_at) {
            (Command::Pause, Some(_)) => Err(Error::NotNow("the guest is paused already")),
            (Command::Pause, None) => self.pause(),
            (Command::Resume | Command::Snapshot(_), None) => Err(Error::NotNow("the guest runs; pause it first")),
            (Command::Resume, Some(time)) => {
                vcpu::lock(&self.vcpus[0]).set_time(time)?;
                self.paused_at = None;
                self.gate.open();
                Ok(())
            }
            (Command::Snapshot(folder), Some(time)) => self.save(folder, time),
            (Command::Quit, _) => Ok(()),
        }
    }

    /// Stops the guest, and lets what is under way end.
    fn pause(&mut self) -> Result<()> {
        loop {
            self.gate.close();
            // A vCPU that started another one, which waited here already: its thread has to see that first.
            let news = self.vcpus.iter().map(|vcpu| vcpu::lock(vcpu).has_news());
            let news = news.collect::<Result<Vec<_>>>().inspect_err(|_| self.gate.open())?;
            if !news.contains(&true) {
                break;
            }
            self.gate.open();
            // It is not told when KVM has done so. Without this the next kick may come first again.
            thread::sleep(Duration::from_millis(10));
        }
        self.paused_at = Some(vcpu::lock(&self.vcpus[0]).time().inspect_err(|_| self.gate.open())?);
        if let Some(disk) = &self.disk {
            disk.serve();
        }
        self.serial.output().drain();
        Ok(())
    }

    fn save(&self, folder: &HostPath, time: u64) -> Result<()> {
        let wrong = |what: String| Error::Save { path: folder.to_owned(), what };
        if !self.saved {
            return Err(wrong("the doorbell and the bench device cannot be saved".into()));
        }
        let ended = |e: haiov::uer::Punt| wrong(e.to_string());
        // First, since a request that it serves changes memory and interrupt controllers.
        let disk = self.disk.as_ref().map(|disk| disk.save()).transpose().map_err(wrong)?;
        let serial = self.serial.save().map_err(ended)?;
        let vcpus = self.vcpus.iter().map(|vcpu| vcpu::lock(vcpu).save()).collect::<Result<_>>()?;
        let aia = self.aia.save()?;
        let mem_crc = snapshot::save_memory(folder, &self.memory, self.mem).map_err(wrong)?;
        let state = State { mem: self.mem, mem_crc, time, vcpus, aia, serial, disk, disk_vei: self.disk_vei };
        snapshot::save_state(folder, &state).map_err(wrong)
    }
}

/// The binding of the VM to /dev/haiov, made when it is first asked for.
fn bind(vm: &VmFd, binding: &mut Option<Vm>) -> haiov::Result<Vm> {
    match binding {
        Some(vm) => Ok(vm.clone()),
        None => {
            let vm = Vm::create(&Device::open()?, sys::borrow(vm), layout::VEIRQS)?;
            Ok(binding.insert(vm).clone())
        }
    }
}

/// Lets a handler serve the disk's queue, which the guest's VEI starts; it ends with the route.
fn handler_route(vm: &Vm, disk: &Arc<Disk>, cpu: Option<u32>) -> haiov::Result<Route> {
    let handler = UserVei::builder().budget(HANDLER_BUDGET).name("disk-handler");
    let handler = if let Some(cpu) = cpu { handler.cpu(cpu) } else { handler };
    let served = disk.clone();
    let handler = handler.start(vm.device(), move || served.serve())?;
    disk.line().signaled_by(&handler)?;
    vm.add_context_route(layout::DISK_VEIRQ, &handler)
}

fn spawn_vcpu(
    index: u32,
    vcpus: Arc<[Mutex<Vcpu>]>,
    on: Where,
    bus: Arc<Bus>,
    gate: Arc<Gate>,
    ends: Sender<End>,
    coalesced: bool,
) -> Result<JoinHandle<()>> {
    let body = move || {
        let end = match on.keep("a vCPU") {
            Ok(()) => vcpu::run(index, &vcpus[index as usize], &bus, &gate, coalesced),
            Err(error) => End::Failed(error),
        };
        // Nobody listens any more once another vCPU has ended the guest.
        let _ = ends.send(end);
    };
    Builder::new().name(format!("vcpu{index}")).spawn(body).map_err(Error::host("start a vCPU's thread"))
}

/// Starts the thread that carries input to the serial port. It ends the guest only when the user asks for that.
fn spawn_input(serial: Arc<Serial>, close: Arc<EventFd>, ends: Sender<End>) -> Result<JoinHandle<()>> {
    let input = io::stdin().as_fd().try_clone_to_owned().map(File::from).map_err(Error::host("use standard input"))?;
    let body = move || {
        let raw = RawMode::enter(io::stdin());
        match carry_input(&serial, input, raw.is_some(), &close) {
            Ok(InputEnd::Closed) => {}
            Ok(InputEnd::Quit) => drop(ends.send(End::Stopped)),
            Err(error) => eprintln!("haiov-vmm: no more input for the guest: {error}"),
        }
    };
    Builder::new().name("input".into()).spawn(body).map_err(Error::host("start a thread"))
}

/// Starts the thread that writes out what the guest prints.
fn spawn_output(serial: Arc<Serial>, close: Arc<EventFd>) -> Result<JoinHandle<()>> {
    let body = move || {
        if let Err(error) = serial.output().run(&close) {
            eprintln!("haiov-vmm: no more output of the guest: {error}");
        }
    };
    Builder::new().name("output".into()).spawn(body).map_err(Error::host("start a thread"))
}

/// Starts the thread that drives the serial port's line for handlers, which have no system calls.
fn spawn_interrupt(serial: Arc<Serial>, close: Arc<EventFd>) -> Result<JoinHandle<()>> {
    let body = move || {
        if let Err(error) = carry_interrupts(&serial, &close) {
            eprintln!("haiov-vmm: no more interrupts of the serial port: {error}");
        }
    };
    Builder::new().name("interrupt".into()).spawn(body).map_err(Error::host("start a thread"))
}

/// Starts the thread that takes the user's commands.
fn spawn_control(
    control: Control,
    mut guest: Paused,
    close: Arc<EventFd>,
    ends: Sender<End>,
) -> Result<JoinHandle<()>> {
    let body = move || {
        let execute = |command| {
            guest.execute(&command).map_err(|error| error.to_string())?;
            if command == Command::Quit {
                // Nobody listens any more once the guest has ended.
                let _ = ends.send(End::Stopped);
            }
            Ok(())
        };
        if let Err(error) = control.run(&close, execute) {
            eprintln!("haiov-vmm: no more commands: {error}");
        }
    };
    Builder::new().name("control".into()).spawn(body).map_err(Error::host("start a thread"))
}

/// Starts the thread that serves the disk's queue.
fn spawn_disk(disk: Arc<Disk>, on: Where, close: Arc<EventFd>, ends: Sender<End>) -> Result<JoinHandle<()>> {
    let body = move || {
        if let Err(error) = on.keep("the disk") {
            // Nobody listens any more once the guest has ended.
            let _ = ends.send(End::Failed(error));
            return;
        }
        drop(ends);
        if let Err(error) = disk.run(&close) {
            eprintln!("haiov-vmm: no more disk for the guest: {error}");
        }
    };
    Builder::new().name("disk".into()).spawn(body).map_err(Error::host("start a thread"))
}

fn carry_interrupts(serial: &Serial, close: &EventFd) -> io::Result<()> {
    while wait::readable(serial.edge().as_fd(), close)? {
        // Non-blocking; several edges that nobody has seen yet are one.
        let _ = nix::unistd::read(serial.edge(), &mut [0; 8]);
        serial.interrupt();
    }
    Ok(())
}
