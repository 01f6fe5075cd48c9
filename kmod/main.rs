// SPDX-License-Identifier: GPL-2.0

//! HA-IOV: notifications that a KVM guest sends without leaving the guest, and accesses of a guest to
//! emulated devices that user space handles without KVM.
//!
//! The module drives the Virtual Event Interrupt Controller (`veic.rs`, `hart.rs`, `regs.rs`,
//! `table.rs`) and offers it to user space as /dev/haiov (`device.rs`, `command.rs`), together with
//! User-level Exception Redirection, whose mechanism is KVM's (`uer.rs`, `vcpu.rs`, `mmio.rs`,
//! `signal.rs`), and handlers of events in user space (`context.rs`, `listening.rs`). The lock order is at the top of `veic.rs`.

mod bound;
mod command;
mod context;
mod copy_in;
mod debug;
mod device;
mod driver;
mod eventfd;
mod hart;
mod ids;
mod kvm;
mod listening;
mod mmio;
mod regs;
mod route;
mod signal;
mod storm;
mod table;
mod uapi;
mod uer;
mod vcpu;
mod vei;
mod veic;
mod veiid;
mod vm;
mod vmid;

use device::DeviceFile;
use driver::VeicDriver;
use kernel::{
    miscdevice::{
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    platform,
    prelude::*, //
};

module! {
    type: Haiov,
    name: "haiov",
    authors: ["HA-IOV maintainers"],
    description: "Notifications from KVM guests by virtual event interrupts",
    license: "GPL",
    params: {
        storm_events: u32 {
            default: 5000,
            description: "Events of one route that are let through in a window; 0 for no limit",
        },
        storm_window_us: u32 {
            default: 10000,
            description: "Length of that window, and of the pause of a route over its rate, in us",
        },
    },
}

/// The loaded module.
#[pin_data]
struct Haiov {
    // Dropped in this order: the device node goes first.
    #[pin]
    _device: MiscDeviceRegistration<DeviceFile>,
    #[pin]
    _driver: kernel::driver::Registration<platform::Adapter<VeicDriver>>,
    _vmids: vmid::Keeper,
}

impl kernel::InPlaceModule for Haiov {
    fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        pin_init::pin_init_scope(move || {
            // SAFETY: This runs once, and before everything else in the module.
            let vmids = unsafe {
                veic::CONTROLLER.init();
                vmid::init()?
            };

            Ok(try_pin_init!(Self {
                _vmids: vmids,
                _driver <- kernel::driver::Registration::new(c"haiov", module),
                _: {
                    if veic::controller().is_err() {
                        pr_info!("no Xhaiov or no VEIC here; /dev/haiov says so\n");
                    }
                },
                _device <- MiscDeviceRegistration::register(MiscDeviceOptions { name: c"haiov" }),
            }))
        })
    }
}
