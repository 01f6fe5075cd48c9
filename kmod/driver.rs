// SPDX-License-Identifier: GPL-2.0

//! The platform driver of the controller.

use crate::{
    debug, module_parameters,
    regs::Registers,
    storm::Limit,
    vei,
    veic::{
        Veic,
        CONTROLLER, //
    },
};
use kernel::{
    device::Core,
    dma::{
        Device as _,
        DmaMask, //
    },
    new_mutex, of, platform,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    },
};

/// A bound controller.
#[pin_data]
pub(crate) struct VeicDriver {
    #[pin]
    debug: debug::Files,
    #[pin]
    registration: Mutex<Option<vei::Registration>>,
    veic: Arc<Veic>,
}

kernel::of_device_table!(
    OF_TABLE,
    <VeicDriver as platform::Driver>::IdInfo,
    [(of::DeviceId::new(c"haiov,veic"), ())]
);

impl platform::Driver for VeicDriver {
    type IdInfo = ();
    type Data<'bound> = Self;
    const OF_ID_TABLE: Option<of::IdTable<Self::IdInfo>> = Some(&OF_TABLE);

    fn probe<'bound>(
        pdev: &'bound platform::Device<Core<'_>>,
        _: Option<&'bound Self::IdInfo>,
    ) -> impl PinInit<Self, Error> + 'bound {
        pin_init::pin_init_scope(move || {
            if !vei::present() {
                return Err(ENODEV);
            }
            // Nothing says what two of them would mean for VMIDs.
            if CONTROLLER.lock().is_some() {
                return Err(EBUSY);
            }

            // SAFETY: Nothing has been allocated for this device yet, and nothing can be.
            unsafe { pdev.dma_set_mask_and_coherent(DmaMask::new::<56>())? };

            let limit = Limit::new(
                *module_parameters::storm_events.value_ref(),
                *module_parameters::storm_window_us.value_ref(),
            );
            let veic = Veic::new(pdev.as_ref(), Registers::map(pdev)?, limit)?;
            let registration = vei::Registration::new(veic.clone())?;

            Ok(try_pin_init!(Self {
                debug <- debug::Files::new(&veic),
                registration <- new_mutex!(Some(registration)),
                _: {
                    veic.start()?;
                    *CONTROLLER.lock() = Some(veic.clone());

                    let cap = veic.capabilities();
                    dev_info!(
                        pdev.as_ref(),
                        "{} harts, {} VEIIDs each, {} cached routes each\n",
                        cap.harts,
                        cap.veiids,
                        cap.cache_entries,
                    );
                },
                veic,
            }))
        })
    }

    fn unbind<'bound>(_: &'bound platform::Device<Core<'_>>, this: Pin<&Self>) {
        this.stop();

        // Not with the lock held: it calls us back for every CPU.
        let registration = this.registration.lock().take();
        drop(registration);
    }

    fn shutdown<'bound>(_: &'bound platform::Device<Core<'_>>, this: Pin<&Self>) {
        // The next kernel must not find the tables of this one in use.
        this.stop();
    }
}

impl VeicDriver {
    fn stop(&self) {
        *CONTROLLER.lock() = None;
        self.veic.stop();
    }
}
