// SPDX-License-Identifier: GPL-2.0

//! Hart-local interrupts 24 and 25, and CPUs that come and go.
//!
//! C header: `include/linux/haiov.h`.

use crate::veic::Veic;
use core::marker::PhantomData;
use kernel::{
    bindings,
    device::Device,
    error::{
        from_result,
        to_result, //
    },
    ffi::{
        c_int,
        c_uint,
        c_void, //
    },
    interrupt::LocalInterruptDisabled,
    prelude::*,
    sync::Arc,
    types::NotThreadSafe, //
};

/// Whether all harts have Xhaiov.
pub(crate) fn present() -> bool {
    // SAFETY: May be called in any context.
    unsafe { bindings::haiov_present() }
}

/// Returns the CPU that is hart `hart` of the controller `dev`.
///
/// Fails with `ENOENT` past the last one, and with `ENODEV` if Linux does not run on it.
pub(crate) fn cpu_of_hart(dev: &Device, hart: u32) -> Result<u32> {
    // `Device` is a transparent wrapper of a `struct device`.
    let dev = core::ptr::from_ref(dev).cast_mut().cast();

    // SAFETY: `dev` is a valid device, since it comes from a reference to one.
    let cpu = unsafe { bindings::haiov_veic_cpu(dev, hart) };
    to_result(cpu)?;
    // CAST: It is not negative.
    Ok(cpu as u32)
}

/// Proof that no CPU comes or goes as long as `'a`.
#[derive(Clone, Copy)]
pub(crate) struct CpusHeld<'a>(PhantomData<(&'a (), NotThreadSafe)>);

/// Runs `f` while no CPU comes or goes.
pub(crate) fn with_cpus_held<R>(f: impl FnOnce(CpusHeld<'_>) -> R) -> R {
    // SAFETY: This is process context, and whoever comes here does not hold the lock: by the lock order
    // (`veic.rs`) it comes second, and callbacks of CPU hotplug do not come here.
    unsafe { bindings::cpus_read_lock() };
    let result = f(CpusHeld(PhantomData));
    // SAFETY: Taken above, by this thread.
    unsafe { bindings::cpus_read_unlock() };
    result
}

/// While this exists, the interrupts of all CPUs arrive at a controller.
///
/// Creating and dropping it calls [`Veic::cpu_online`] and [`Veic::cpu_offline`] for every CPU, so
/// that no lock may be held that these take.
///
/// # Invariants
///
/// The callbacks are registered, with a pointer to what `_veic` holds.
pub(crate) struct Registration {
    _veic: Arc<Veic>,
}

impl Registration {
    /// Directs the interrupts to `veic`.
    pub(crate) fn new(veic: Arc<Veic>) -> Result<Self> {
        // SAFETY: `OPS` is static, and the module stays for as long as its driver is registered. The
        // data outlives the registration: `veic` goes to `Self`, whose drop unregisters first.
        to_result(unsafe {
            bindings::haiov_vei_register(&OPS, Arc::as_ptr(&veic).cast_mut().cast())
        })?;

        // INVARIANT: Just registered.
        Ok(Self { _veic: veic })
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: By the type invariant we are registered.
        unsafe { bindings::haiov_vei_unregister() };
    }
}

static OPS: bindings::haiov_vei_ops = bindings::haiov_vei_ops {
    supervisor: Some(supervisor),
    doorbell: Some(doorbell),
    cpu_online: Some(cpu_online),
    cpu_offline: Some(cpu_offline),
};

/// # Safety
///
/// `data` must be what [`Registration::new`] passed, and the registration must exist. Interrupts
/// must be disabled.
unsafe extern "C" fn supervisor(data: *mut c_void, cpu: c_uint, veiid: c_uint) {
    // SAFETY: By the safety requirement `data` points at a `Veic` that is alive.
    let veic = unsafe { &*data.cast::<Veic>() };
    // SAFETY: This is called in hard interrupt context.
    let irq = unsafe { LocalInterruptDisabled::assume_disabled() };

    veic.deliver(cpu, veiid, irq);
}

/// # Safety
///
/// As for [`supervisor`].
unsafe extern "C" fn doorbell(data: *mut c_void, cpu: c_uint) {
    // SAFETY: By the safety requirement `data` points at a `Veic` that is alive.
    let veic = unsafe { &*data.cast::<Veic>() };
    // SAFETY: This is called in hard interrupt context.
    let irq = unsafe { LocalInterruptDisabled::assume_disabled() };

    veic.doorbell(cpu, irq);
}

/// # Safety
///
/// `data` must be what [`Registration::new`] passed, and the registration must exist.
unsafe extern "C" fn cpu_online(data: *mut c_void, cpu: c_uint) -> c_int {
    // SAFETY: By the safety requirement `data` points at a `Veic` that is alive.
    let veic = unsafe { &*data.cast::<Veic>() };

    veic.cpu_online(cpu);
    0
}

/// # Safety
///
/// `data` must be what [`Registration::new`] passed, and the registration must exist.
unsafe extern "C" fn cpu_offline(data: *mut c_void, cpu: c_uint) -> c_int {
    // SAFETY: By the safety requirement `data` points at a `Veic` that is alive.
    let veic = unsafe { &*data.cast::<Veic>() };

    from_result(|| {
        // Whoever brings CPUs up and down waits for this callback.
        veic.cpu_offline(cpu, CpusHeld(PhantomData))?;
        Ok(0)
    })
}
