// SPDX-License-Identifier: GPL-2.0

//! One hart's VEIIDs: who is behind each, which are enabled, and the rate limit.
//!
//! # Why not RCU
//!
//! The interrupt handler takes the lock of the hart that it runs on, and so do those who change the
//! hart's routes. Handlers of other harts never do; the lock is free and in the handler's own cache
//! almost always. In return a route is gone the moment that it is taken out of its slot, and
//! [`Hart::settle`] waits for one CPU where a grace period waits for all.
//!
//! # Life of a slot
//!
//! [`Hart::arm`] → events are signaled → [`Hart::disarm`]: nothing more is claimed →
//! [`Hart::settle`]: what was claimed has been signaled → [`Hart::release`]: what was left pending
//! is signaled, and the slot is empty.
//!
//! A context has a VEIID of user type: [`Hart::seat`] → [`Hart::park`] and [`Hart::unpark`] as its thread
//! comes and goes → [`Hart::disarm`] → [`Hart::settle`] → [`Hart::release`]. What was left pending goes along
//! if it has moved.

use crate::{
    context::Context,
    regs::{
        Bits,
        Registers,
        WORD_BITS, //
    },
    route::Route,
    storm::{
        Account,
        Limit, //
    },
};
use core::cmp::Ordering;
use kernel::{
    bindings,
    ffi::c_void,
    impl_has_hr_timer,
    interrupt::LocalInterruptDisabled,
    prelude::*,
    sync::{
        new_spinlock_irq,
        Arc,
        ArcBorrow,
        SpinLockIrq, //
    },
    time::{
        hrtimer::{
            HasHrTimer,
            HrTimer,
            HrTimerCallback,
            HrTimerCallbackContext,
            HrTimerRestart,
            RelativeMode, //
        },
        Instant,
        Monotonic, //
    },
};

/// Who is behind a VEIID.
enum Target {
    Route(Arc<Route>),
    Context(Arc<Context>),
}

/// One VEIID of a hart.
struct Slot {
    target: Option<Target>,
    /// Between `arm`, or `seat`, and `disarm`.
    armed: bool,
    account: Account,
}

/// 64 VEIIDs, as the hardware groups them.
#[derive(Clone, Copy)]
struct Word {
    /// What EIE holds. Nobody but us writes it.
    enabled: u64,
    /// Armed, but over its rate and so not enabled until the timer comes.
    throttled: u64,
    /// What EUT holds: the VEIIDs of contexts.
    user: u64,
}

/// What the lock of a hart protects.
struct Slots {
    slots: KVVec<Slot>,
    words: KVec<Word>,
    /// The timer will come, or is under way.
    timer_armed: bool,
    /// No timer is to be started any more.
    stopped: bool,
}

/// A hart that is a CPU of Linux.
#[pin_data]
pub(crate) struct Hart {
    index: u32,
    cpu: u32,
    veiids: u16,
    regs: Arc<Registers>,
    limit: Limit,
    #[pin]
    slots: SpinLockIrq<Slots>,
    #[pin]
    timer: HrTimer<Self>,
}

/// Splits a VEIID into its word and its bit there.
fn split(veiid: u16) -> (usize, u64) {
    (usize::from(veiid / WORD_BITS), 1 << (veiid % WORD_BITS))
}

/// The bits of word `word` that belong to VEIIDs from `from` on.
fn from_on(bits: u64, word: usize, from: u16) -> u64 {
    let (first, bit) = split(from);
    match word.cmp(&first) {
        Ordering::Less => 0,
        Ordering::Equal => bits & !(bit - 1),
        Ordering::Greater => bits,
    }
}

/// Visits the numbers of the bits that are set.
fn ones(mut bits: u64) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        if bits == 0 {
            return None;
        }
        let n = bits.trailing_zeros() as usize;
        bits &= bits - 1;
        Some(n)
    })
}

impl Hart {
    /// Creates the hart that is number `index` of the controller, and CPU `cpu` of Linux.
    pub(crate) fn new(
        index: u32,
        cpu: u32,
        veiids: u16,
        regs: Arc<Registers>,
        limit: Limit,
    ) -> Result<Arc<Self>> {
        let mut slots = KVVec::with_capacity(veiids.into(), GFP_KERNEL)?;
        let now = Instant::now();
        for _ in 0..veiids {
            slots.push(
                Slot {
                    target: None,
                    armed: false,
                    account: Account::new(now),
                },
                GFP_KERNEL,
            )?;
        }
        let empty = Word {
            enabled: 0,
            throttled: 0,
            user: 0,
        };
        let words = KVec::from_elem(empty, veiids.div_ceil(WORD_BITS).into(), GFP_KERNEL)?;

        Arc::pin_init(
            pin_init!(Self {
                index,
                cpu,
                veiids,
                regs,
                limit,
                slots <- new_spinlock_irq!(Slots {
                    slots,
                    words,
                    timer_armed: false,
                    stopped: false,
                }),
                timer <- HrTimer::new(),
            }),
            GFP_KERNEL,
        )
    }

    /// Number of the hart in the controller.
    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    /// The CPU that the hart is.
    pub(crate) fn cpu(&self) -> u32 {
        self.cpu
    }

    /// A claimed VEIID: signals whoever is behind it. Hard interrupt context.
    pub(crate) fn deliver(&self, veiid: u32, irq: &LocalInterruptDisabled) {
        let mut guard = self.slots.lock_with(irq);
        let slots = &mut *guard;

        let Some(slot) = slots.slots.get_mut(veiid as usize) else {
            return;
        };
        let Some(Target::Route(route)) = &slot.target else {
            return;
        };

        route.signal_interrupt();

        if slot.armed && slot.account.book(&self.limit, Instant::now) {
            route.count_throttled();
            // CAST: It is an index of `slots`, which has no more than `u16::MAX`.
            self.throttle(slots, veiid as u16);
        }
    }

    /// Masks a VEIID until the timer comes. Its EIP bit keeps what is sent meanwhile.
    fn throttle(&self, slots: &mut Slots, veiid: u16) {
        if slots.stopped {
            return;
        }

        let (word, bit) = split(veiid);
        let w = &mut slots.words[word];
        w.enabled &= !bit;
        w.throttled |= bit;
        self.regs.set_bits(self.index, Bits::Eie, word, w.enabled);

        if !slots.timer_armed {
            slots.timer_armed = true;
            // SAFETY:
            // - `self` is valid.
            // - It lives until the timer has fired or is cancelled: `Self::stop` cancels it before
            //   the controller drops its harts, and after that `stopped` keeps us from coming here.
            unsafe { <Self as HasHrTimer<Self>>::start(self, self.limit.pause()) };
        }
    }

    /// Puts a route behind a VEIID and enables it.
    pub(crate) fn arm(&self, veiid: u16, route: Arc<Route>) {
        let (word, bit) = split(veiid);
        let now = Instant::now();

        let mut guard = self.slots.lock();
        let slots = &mut *guard;

        let slot = &mut slots.slots[usize::from(veiid)];
        slot.target = Some(Target::Route(route));
        slot.armed = true;
        slot.account = Account::new(now);

        let w = &mut slots.words[word];
        w.enabled |= bit;
        self.regs.set_bits(self.index, Bits::EipClr, word, bit);
        self.regs.set_bits(self.index, Bits::Eie, word, w.enabled);
    }

    /// Puts a context behind a VEIID, which stays disabled until the context's thread parks.
    pub(crate) fn seat(&self, veiid: u16, context: Arc<Context>) {
        let (word, bit) = split(veiid);

        let mut guard = self.slots.lock();
        let slots = &mut *guard;

        let slot = &mut slots.slots[usize::from(veiid)];
        slot.target = Some(Target::Context(context));
        slot.armed = true;

        let w = &mut slots.words[word];
        w.user |= bit;
        self.regs.set_bits(self.index, Bits::EipClr, word, bit);
        self.regs.set_bits(self.index, Bits::Eut, word, w.user);
    }

    /// The thread of the context behind a VEIID is parked: its events may come. What is pending already
    /// comes at once. Any context but that of an NMI.
    pub(crate) fn park(&self, veiid: u16) {
        let (word, bit) = split(veiid);

        let mut guard = self.slots.lock();
        let slots = &mut *guard;

        if slots.slots[usize::from(veiid)].armed {
            let w = &mut slots.words[word];
            w.enabled |= bit;
            self.regs.set_bits(self.index, Bits::Eie, word, w.enabled);
        }
    }

    /// It is not parked any more: what is sent stays pending. When this returns, no frame of the context
    /// starts. Returns whether one could have. Any context but that of an NMI.
    pub(crate) fn unpark(&self, veiid: u16) -> bool {
        let (word, bit) = split(veiid);

        let mut guard = self.slots.lock();

        let w = &mut guard.words[word];
        let parked = w.enabled & bit != 0;
        w.enabled &= !bit;
        self.regs.set_bits(self.index, Bits::Eie, word, w.enabled);
        // As in `disarm`.
        self.regs.bits(self.index, Bits::Eie, word);
        parked
    }

    /// Makes the VEIID of a context pending.
    pub(crate) fn raise(&self, veiid: u16) {
        let (word, bit) = split(veiid);

        // With the lock held its slot stays as it is: a context that is gone leaves no bit behind.
        let guard = self.slots.lock();
        if guard.slots[usize::from(veiid)].armed {
            self.regs.set_bits(self.index, Bits::Eip, word, bit);
        }
    }

    /// User VEIIDs are pending that no frame has taken: wakes the threads of their contexts. Hard
    /// interrupt context.
    ///
    /// Each of them once: what becomes pending behind us rings again. A guest that sends all the while, to threads
    /// of other CPUs that are back soon, would keep us here for good.
    pub(crate) fn doorbell(&self, irq: &LocalInterruptDisabled) {
        let mut next = 0;

        // `settle` waits for us, so that the context is there as long as this takes, and the reference is
        // not the last one.
        while let Some((veiid, context)) = self.claim(next, irq) {
            next = veiid + 1;
            if !context.kick() {
                // Nobody was there to see it. Let it wait for who parks next.
                self.raise(veiid);
            }
        }
    }

    /// Claims the lowest user VEIID from `from` on that is pending and enabled, if there is one, and
    /// disables it.
    fn claim(&self, from: u16, irq: &LocalInterruptDisabled) -> Option<(u16, Arc<Context>)> {
        let mut guard = self.slots.lock_with(irq);
        let slots = &mut *guard;

        for (word, w) in slots.words.iter_mut().enumerate() {
            let mut ready = from_on(w.enabled & w.user, word, from);
            if ready != 0 {
                ready &= self.regs.bits(self.index, Bits::Eip, word);
            }
            for n in ones(ready) {
                let bit = 1 << n;

                w.enabled &= !bit;
                self.regs.set_bits(self.index, Bits::Eie, word, w.enabled);
                self.regs.set_bits(self.index, Bits::EipClr, word, bit);

                let veiid = word * usize::from(WORD_BITS) + n;
                if let Some(Target::Context(context)) = &slots.slots[veiid].target {
                    // CAST: It is an index of `slots`, which has no more than `u16::MAX`.
                    return Some((veiid as u16, context.clone()));
                }
            }
        }
        None
    }

    /// Disables a VEIID. Whoever is behind it stays there.
    pub(crate) fn disarm(&self, veiid: u16) {
        let (word, bit) = split(veiid);

        let mut guard = self.slots.lock();
        let slots = &mut *guard;

        slots.slots[usize::from(veiid)].armed = false;
        let w = &mut slots.words[word];
        w.enabled &= !bit;
        w.throttled &= !bit;
        self.regs.set_bits(self.index, Bits::Eie, word, w.enabled);
        // The read comes back after the write has arrived, and whatever was written before it.
        self.regs.bits(self.index, Bits::Eie, word);
    }

    /// Waits until every VEIID that was claimed so far has been delivered. Sleeps, or spins.
    pub(crate) fn settle(&self) {
        extern "C" fn nothing(_: *mut c_void) {}

        // Claim and delivery are one interrupt handler. The CPU answers the call once that has
        // returned. A CPU that is offline runs none, so that the error can be ignored.
        //
        // SAFETY: The function is there for as long as the call lasts, since it waits; its argument
        // is not used. Interrupts are enabled here, since callers may sleep.
        unsafe {
            bindings::smp_call_function_single(
                // CAST: A CPU number is far below `i32::MAX`.
                self.cpu as i32,
                Some(nothing),
                core::ptr::null_mut(),
                true,
            )
        };
    }

    /// Empties the slot of a VEIID that is disarmed and settled. If it was pending still, which this
    /// returns, the route that was behind it is signaled now.
    pub(crate) fn release(&self, veiid: u16) -> bool {
        let (word, bit) = split(veiid);

        let (target, pending) = {
            let mut guard = self.slots.lock();
            let pending = self.regs.bits(self.index, Bits::Eip, word) & bit != 0;
            self.regs.set_bits(self.index, Bits::EipClr, word, bit);
            let w = &mut guard.words[word];
            if w.user & bit != 0 {
                w.user &= !bit;
                self.regs.set_bits(self.index, Bits::Eut, word, w.user);
            }
            (guard.slots[usize::from(veiid)].target.take(), pending)
        };

        if let Some(Target::Route(route)) = target {
            if pending {
                route.signal_interrupt();
            }
        }
        pending
    }

    /// Returns the route behind a VEIID.
    pub(crate) fn route(&self, veiid: u16) -> Option<Arc<Route>> {
        match &self.slots.lock().slots.get(usize::from(veiid))?.target {
            Some(Target::Route(route)) => Some(route.clone()),
            _ => None,
        }
    }

    /// Returns the context behind a VEIID.
    pub(crate) fn context(&self, veiid: u16) -> Option<Arc<Context>> {
        match &self.slots.lock().slots.get(usize::from(veiid))?.target {
            Some(Target::Context(context)) => Some(context.clone()),
            _ => None,
        }
    }

    /// Whether a VEIID is pending in the hardware.
    pub(crate) fn is_pending(&self, veiid: u16) -> bool {
        let (word, bit) = split(veiid);
        self.regs.bits(self.index, Bits::Eip, word) & bit != 0
    }

    /// Whether a VEIID is enabled.
    pub(crate) fn is_enabled(&self, veiid: u16) -> bool {
        let (word, bit) = split(veiid);
        self.slots.lock().words[word].enabled & bit != 0
    }

    /// Counts the VEIIDs that are enabled, pending, and throttled.
    pub(crate) fn population(&self) -> (u32, u32, u32) {
        let guard = self.slots.lock();
        let mut population = (0, 0, 0);
        for (word, w) in guard.words.iter().enumerate() {
            population.0 += self.regs.bits(self.index, Bits::Eie, word).count_ones();
            population.1 += self.regs.bits(self.index, Bits::Eip, word).count_ones();
            population.2 += w.throttled.count_ones();
        }
        population
    }

    /// Ends the rate limit: after this no timer runs, and none is started.
    pub(crate) fn stop(&self) {
        self.slots.lock().stopped = true;

        // SAFETY: `self` is valid, and so is the timer in it. Without the lock held, the callback
        // that this may wait for can take it.
        unsafe {
            bindings::hrtimer_cancel(<Self as HasHrTimer<Self>>::c_timer_ptr(self).cast_mut())
        };
    }
}

impl_has_hr_timer! {
    impl HasHrTimer<Self> for Hart {
        mode: RelativeMode<Monotonic>, field: self.timer
    }
}

impl HrTimerCallback for Hart {
    type Pointer<'a> = Arc<Self>;

    /// Enables what was throttled.
    fn run(this: ArcBorrow<'_, Self>, _: HrTimerCallbackContext<'_, Self>) -> HrTimerRestart {
        let now = Instant::now();
        let mut guard = this.slots.lock();
        let slots = &mut *guard;

        slots.timer_armed = false;
        for (word, w) in slots.words.iter_mut().enumerate() {
            let throttled = core::mem::take(&mut w.throttled);
            if throttled == 0 {
                continue;
            }
            for n in ones(throttled) {
                let veiid = word * usize::from(WORD_BITS) + n;
                slots.slots[veiid].account = Account::new(now);
            }
            w.enabled |= throttled;
            this.regs.set_bits(this.index, Bits::Eie, word, w.enabled);
        }

        HrTimerRestart::NoRestart
    }
}

#[kunit_tests(haiov_hart)]
mod tests {
    use super::*;

    #[test]
    fn veiid_to_word_and_bit() {
        assert_eq!(split(1), (0, 2));
        assert_eq!(split(63), (0, 1 << 63));
        assert_eq!(split(64), (1, 1));
        assert_eq!(split(1023), (15, 1 << 63));
    }

    #[test]
    fn each_veiid_is_behind_itself_once() {
        assert_eq!(from_on(u64::MAX, 0, 0), u64::MAX);
        assert_eq!(from_on(u64::MAX, 0, 5), !0x1f);
        assert_eq!(from_on(u64::MAX, 0, 63), 1 << 63);
        assert_eq!(from_on(u64::MAX, 0, 64), 0);
        assert_eq!(from_on(u64::MAX, 1, 64), u64::MAX);
        assert_eq!(from_on(u64::MAX, 2, 64), u64::MAX);
        assert_eq!(from_on(0, 1, 70), 0);
    }

    #[test]
    fn visits_each_bit_once() {
        assert_eq!(ones(0).count(), 0);
        assert_eq!(ones(u64::MAX).sum::<usize>(), 63 * 64 / 2);
        assert_eq!(ones(1 << 63 | 1 << 5).max(), Some(63));
        assert_eq!(ones(1 << 63 | 1 << 5).min(), Some(5));
    }
}
