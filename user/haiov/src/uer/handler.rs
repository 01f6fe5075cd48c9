// SPDX-License-Identifier: MIT OR Apache-2.0
//! The handler of one vCPU: its memory, its thread pointer, and its registration.

use std::os::fd::BorrowedFd;

use super::bus::Entry;
use crate::error::Result;
use crate::vm::Vm;

/// A handler of a vCPU, as [`Bus::attach`](super::Bus::attach) makes it. It is detached when this is dropped, which
/// waits until it no longer runs.
#[derive(Debug)]
pub struct Handler {
    #[cfg(target_arch = "riscv64")]
    _attached: riscv::Attached,
}

impl Handler {
    /// Attaches.
    #[cfg(target_arch = "riscv64")]
    pub(super) fn new(entries: &[Entry], vm: &Vm, vcpu: BorrowedFd<'_>) -> Result<Self> {
        Ok(Self { _attached: riscv::Attached::new(entries, vm, vcpu)? })
    }

    /// Detaches the handler, as dropping it does: accesses of its vCPU are exits again.
    pub fn detach(self) {}

    /// Says that only riscv64 has this.
    #[cfg(not(target_arch = "riscv64"))]
    pub(super) fn new(_entries: &[Entry], _vm: &Vm, _vcpu: BorrowedFd<'_>) -> Result<Self> {
        Err(crate::error::Context::of("attach a handler to a vCPU").error(nix::errno::Errno::EOPNOTSUPP))
    }
}

#[cfg(target_arch = "riscv64")]
mod riscv {
    use std::cell::{Cell, UnsafeCell};
    use std::mem::{ManuallyDrop, offset_of};
    use std::os::fd::BorrowedFd;
    use std::panic;
    use std::ptr::{self, NonNull};
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Arc, Once};
    use std::thread::{Builder, JoinHandle};

    use nix::errno::Errno;
    use nix::sys::eventfd::{EfdFlags, EventFd};

    use super::super::bus::Entry;
    use super::super::device::Device;
    use super::super::machine;
    use super::super::table::{Region, Table};
    use crate::error::{Context, Result};
    use crate::vcpu::Vcpu;
    use crate::vm::Vm;

    const PAGE: usize = 4096;
    /// Below the stack; a function that needs more than this at once would jump over it.
    const GUARD: usize = 16 * PAGE;
    const STACK: usize = 16 * PAGE;

    /// What uscratch points to. The stack begins below it.
    #[repr(C, align(16))]
    struct Area {
        /// Used by the entry code alone, but for x0 and x2, which are written before it ever runs.
        registers: UnsafeCell<[u64; 32]>,
        table: Table<'static>,
    }

    const _: () = assert!(offset_of!(Area, table) == 256, "the entry code knows this offset");
    const _: () = assert!(size_of::<Area>() <= PAGE);

    /// Guard, stack, and area of a handler.
    #[derive(Debug)]
    struct Memory {
        base: NonNull<u8>,
    }

    // SAFETY: the mapping is the object's own, whichever thread has it.
    unsafe impl Send for Memory {}
    // SAFETY: shared, the object gives nothing but addresses.
    unsafe impl Sync for Memory {}

    impl Memory {
        const SIZE: usize = GUARD + STACK + PAGE;

        fn new() -> std::result::Result<Self, Errno> {
            // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
            let base = unsafe {
                libc::mmap(
                    ptr::null_mut(),
                    Self::SIZE,
                    libc::PROT_READ | libc::PROT_WRITE,
                    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                    -1,
                    0,
                )
            };
            if base == libc::MAP_FAILED {
                return Err(Errno::last());
            }
            let base = NonNull::new(base.cast()).ok_or(Errno::ENOMEM)?;
            let memory = Self { base };
            // SAFETY: these are the first pages of the mapping above, which nobody uses yet.
            Errno::result(unsafe { libc::mprotect(base.as_ptr().cast(), GUARD, libc::PROT_NONE) })?;
            Ok(memory)
        }

        /// The last page.
        fn area(&self) -> NonNull<Area> {
            // SAFETY: GUARD + STACK is within the mapping.
            unsafe { self.base.add(GUARD + STACK) }.cast()
        }
    }

    impl Drop for Memory {
        fn drop(&mut self) {
            // SAFETY: the mapping is the object's own. What pointed into it, the handler, is gone: see `Attached`.
            // A failure leaves it mapped, which harms nobody.
            let _ = unsafe { libc::munmap(self.base.as_ptr().cast(), Self::SIZE) };
        }
    }

    thread_local! {
        /// Whether this thread pointer is that of a handler.
        static HANDLER: Cell<bool> = const { Cell::new(false) };
    }

    /// A thread that lends its thread pointer.
    ///
    /// It sleeps in read(2) from before the pointer is known until the lender is dropped, and blocks all signals; so
    /// the thread-local variables behind the pointer have one user, the handler, in between.
    #[derive(Debug)]
    struct Lender {
        stop: Arc<EventFd>,
        thread: Option<JoinHandle<()>>,
        /// gp and tp.
        registers: [u64; 2],
    }

    impl Lender {
        fn new() -> std::result::Result<Self, Errno> {
            let eventfd = || EventFd::from_flags(EfdFlags::EFD_CLOEXEC).map(Arc::new);
            let (ready, stop) = (eventfd()?, eventfd()?);
            let shared: Arc<[AtomicU64; 2]> = Arc::default();
            let body = {
                let (ready, stop, shared) = (ready.clone(), stop.clone(), shared.clone());
                move || {
                    HANDLER.set(true);
                    block_signals();
                    for (slot, value) in shared.iter().zip(machine::thread_registers()) {
                        slot.store(value, Ordering::Relaxed);
                    }
                    // From here to the end of the second call nothing of this thread's variables is touched: neither
                    // call fails, so that errno is not written.
                    let _ = ready.write(1);
                    let _ = stop.read();
                }
            };
            let spawned = Builder::new().name("uer-tls".into()).stack_size(16 * PAGE).spawn(body);
            let thread = spawned.map_err(|e| e.raw_os_error().map_or(Errno::EAGAIN, Errno::from_raw))?;
            while let Err(errno) = ready.read() {
                if errno != Errno::EINTR {
                    return Err(errno);
                }
            }
            let registers = [shared[0].load(Ordering::Relaxed), shared[1].load(Ordering::Relaxed)];
            Ok(Self { stop, thread: Some(thread), registers })
        }
    }

    impl Drop for Lender {
        fn drop(&mut self) {
            if self.stop.write(1).is_ok()
                && let Some(thread) = self.thread.take()
            {
                let _ = thread.join();
            }
        }
    }

    /// Keeps signal handlers off the calling thread.
    fn block_signals() {
        let mut all = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: the call fills in the set that it is given.
        unsafe { libc::sigfillset(all.as_mut_ptr()) };
        // SAFETY: the set is filled in; a null pointer asks for no answer.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), ptr::null_mut()) };
    }

    /// Ends a frame whose code panics before anything is printed or allocated.
    ///
    /// The program's own hook goes on seeing every other panic, unless it is set after the first handler is attached:
    /// a panic in a handler then ends in a system call that is refused, and in abort's illegal instruction.
    fn install_panic_hook() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let previous = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                if HANDLER.get() {
                    machine::die();
                }
                previous(info);
            }));
        });
    }

    /// Everything that a handler uses, and its registration.
    #[derive(Debug)]
    pub(super) struct Attached {
        vcpu: ManuallyDrop<Vcpu>,
        used: ManuallyDrop<Used>,
    }

    /// What the handler's code uses.
    struct Used {
        memory: Memory,
        _lender: Lender,
        regions: NonNull<[Region<'static>]>,
        _devices: Vec<Arc<dyn Device>>,
    }

    // SAFETY: the regions are this object's own and hold references to devices, which are `Sync`.
    unsafe impl Send for Used {}
    // SAFETY: shared, the object gives access to nothing.
    unsafe impl Sync for Used {}

    impl std::fmt::Debug for Used {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.debug_struct("Used").field("memory", &self.memory).finish_non_exhaustive()
        }
    }

    impl Used {
        fn new(entries: &[Entry]) -> std::result::Result<Self, Errno> {
            let devices: Vec<Arc<dyn Device>> = entries.iter().map(|entry| entry.device.clone()).collect();
            let regions: Box<[Region<'static>]> = entries
                .iter()
                .map(|entry| {
                    // SAFETY: the device lives as long as `devices`, which this object drops after its area, the only
                    // place that the reference gets to.
                    let device = unsafe { &*Arc::as_ptr(&entry.device) };
                    Region::new(entry.gpa, entry.size, device)
                })
                .collect();
            let memory = Memory::new()?;
            let lender = Lender::new()?;
            let regions = NonNull::from(Box::leak(regions));
            let used = Self { memory, _lender: lender, regions, _devices: devices };
            let mut registers = [0; 32];
            [registers[0], registers[2]] = used._lender.registers;
            // SAFETY: the regions are a box's, which `Drop` frees after the area, the only place of this reference.
            let table = Table::new(unsafe { regions.as_ref() });
            // SAFETY: the area is a page of the mapping, aligned, and nobody's yet.
            unsafe { used.memory.area().write(Area { registers: UnsafeCell::new(registers), table }) };
            Ok(used)
        }
    }

    impl Drop for Used {
        fn drop(&mut self) {
            // SAFETY: the pointer came from a box and is freed here alone. The area, which has a copy, is used by the
            // handler only, and that is gone: see `Attached`.
            drop(unsafe { Box::from_raw(self.regions.as_ptr()) });
        }
    }

    impl Attached {
        pub(super) fn new(entries: &[Entry], vm: &Vm, vcpu: BorrowedFd<'_>) -> Result<Self> {
            install_panic_hook();
            let used = Used::new(entries).map_err(|e| Context::of("make a handler").error(e))?;
            let data = used.memory.area().as_ptr() as usize;
            // SAFETY: the entry code keeps to the rules for handlers. What it uses, `used`, is dropped only after the
            // registration has ended (`Drop`). Several handlers share nothing but the devices, which are `Sync`.
            let vcpu = unsafe { Vcpu::create_raw(vm, vcpu, machine::entry(), data) }?;
            Ok(Self { vcpu: ManuallyDrop::new(vcpu), used: ManuallyDrop::new(used) })
        }
    }

    impl Drop for Attached {
        fn drop(&mut self) {
            // SAFETY: this is taken once, here, and not used afterwards.
            let vcpu = unsafe { ManuallyDrop::take(&mut self.vcpu) };
            // A handler that could not be ended keeps what it uses: a leak is harmless, and it is not.
            if vcpu.destroy().is_ok_or_gone() {
                // SAFETY: this is taken once, here, and not used afterwards.
                drop(unsafe { ManuallyDrop::take(&mut self.used) });
            }
        }
    }

    /// Whether an object no longer exists.
    trait Gone {
        fn is_ok_or_gone(&self) -> bool;
    }

    impl Gone for Result<()> {
        fn is_ok_or_gone(&self) -> bool {
            matches!(self, Ok(()) | Err(crate::Error::NotFound { .. }))
        }
    }
}
