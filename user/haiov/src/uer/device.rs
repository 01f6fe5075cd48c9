// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a device is, and from where it is called.

use std::marker::PhantomData;

use thiserror::Error;

/// A device that a guest reaches by loads and stores, in a handler or after an exit.
///
/// All vCPUs share it, and any number of them may be in it at once; [`TryLock`](super::TryLock) holds state that only
/// one may see at a time. What else holds in a handler is told in the [module's documentation](super).
///
/// # Examples
///
/// ```
/// use haiov::uer::{Caller, Device, Punt, TryLock};
///
/// /// Adds up what is written to it.
/// #[derive(Default)]
/// struct Sum(TryLock<u64>);
///
/// impl Device for Sum {
///     fn read(&self, caller: Caller<'_>, _offset: u64, _size: u8) -> Result<u64, Punt> {
///         Ok(*self.0.enter(caller)?)
///     }
///
///     fn write(&self, caller: Caller<'_>, offset: u64, value: u64, _size: u8) -> Result<(), Punt> {
///         if offset != 0 {
///             // Rare, and needs more than memory.
///             return caller.after_exit(|| println!("a store to register {offset:#x}"));
///         }
///         *self.0.enter(caller)? += value;
///         Ok(())
///     }
/// }
///
/// let sum = Sum::default();
/// sum.write(Caller::outside(), 0, 40, 4)?;
/// sum.write(Caller::outside(), 0, 2, 4)?;
/// assert_eq!(sum.read(Caller::outside(), 0, 4)?, 42);
/// # Ok::<(), Punt>(())
/// ```
pub trait Device: Send + Sync {
    /// Answers a load.
    ///
    /// # Arguments
    ///
    /// * `caller` - from where this is called.
    /// * `offset` - the first byte, from the beginning of the device.
    /// * `size` - how many bytes: 1, 2, 4 or 8. All of them are within the device, and not necessarily aligned.
    ///
    /// The result's further bytes are ignored; the guest's register gets the rest by the instruction's extension.
    ///
    /// # Errors
    ///
    /// [`Punt`] when this cannot be done in a handler. Nothing has changed then.
    fn read(&self, caller: Caller<'_>, offset: u64, size: u8) -> Result<u64, Punt>;

    /// Takes a store.
    ///
    /// # Arguments
    ///
    /// * `caller` - from where this is called.
    /// * `offset` - the first byte, from the beginning of the device.
    /// * `value` - what is stored; bytes past `size` are zero.
    /// * `size` - how many bytes: 1, 2, 4 or 8. All of them are within the device, and not necessarily aligned.
    ///
    /// # Errors
    ///
    /// [`Punt`] when this cannot be done in a handler. Nothing has changed then.
    fn write(&self, caller: Caller<'_>, offset: u64, value: u64, size: u8) -> Result<(), Punt>;
}

/// That an access cannot be answered in a handler, and is to come again after an exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("this cannot be done in a handler; it is done after an exit")]
pub struct Punt;

/// From where a device is called. It cannot be kept, nor go to another thread.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    inside: bool,
    lifetime: PhantomData<(&'a (), *const ())>,
}

impl Caller<'_> {
    /// A caller that is no handler, such as a vCPU's thread after an exit.
    pub fn outside() -> Self {
        Self { inside: false, lifetime: PhantomData }
    }

    /// The handler.
    pub(super) fn inside() -> Self {
        Self { inside: true, lifetime: PhantomData }
    }

    /// Whether it is a handler.
    pub fn is_handler(self) -> bool {
        self.inside
    }

    /// Does what needs more than memory, such as a system call: outside a handler only.
    ///
    /// # Arguments
    ///
    /// * `body` - what is done. Its code is kept out of the handler's, which a test can therefore look at.
    ///
    /// # Errors
    ///
    /// [`Punt`] in a handler, where nothing is done.
    #[inline(always)]
    pub fn after_exit<T>(self, body: impl FnOnce() -> T) -> Result<T, Punt> {
        if self.inside { Err(Punt) } else { Ok(after_exit(body)) }
    }
}

/// See [`Caller::after_exit`].
#[cold]
#[inline(never)]
fn after_exit<T>(body: impl FnOnce() -> T) -> T {
    body()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_handler_has_to_exit() {
        assert_eq!(Caller::outside().after_exit(|| 7), Ok(7));
        assert_eq!(Caller::inside().after_exit(|| panic!("in a handler")), Err::<(), _>(Punt));
        assert!(Caller::inside().is_handler() && !Caller::outside().is_handler());
    }
}
