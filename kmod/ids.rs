// SPDX-License-Identifier: GPL-2.0

//! Ids of the objects of a file descriptor.
//!
//! An id is a slot (low half) and the generation of that slot (high half). The generation goes up
//! when an object leaves its slot, so that the id of a destroyed object fails for good. A slot whose
//! generations are used up is never filled again.

use kernel::prelude::*;

/// A 64-bit id as user space sees it; never 0, since generations begin at 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Id(u64);

impl Id {
    const fn new(slot: u32, generation: u32) -> Self {
        Self(slot as u64 | (generation as u64) << 32)
    }

    pub(crate) const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    pub(crate) const fn as_raw(self) -> u64 {
        self.0
    }

    // CAST: The low half is the slot, and the high half the generation.
    const fn slot(self) -> usize {
        self.0 as u32 as usize
    }

    const fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

struct Slot<T> {
    generation: u32,
    state: State<T>,
}

enum State<T> {
    /// Free; holds the next free slot.
    Free(Option<u32>),
    /// Promised to an object that is being made, or worn out.
    Taken,
    Full(T),
}

/// The table from ids to objects.
///
/// # Invariants
///
/// - `free` begins a chain through all slots in the state `Free`, each of them once.
/// - Slots in the state `Full` or `Free` have a generation of 1 or more.
pub(crate) struct IdTable<T> {
    slots: KVVec<Slot<T>>,
    free: Option<u32>,
    max: usize,
}

impl<T> IdTable<T> {
    /// Creates an empty table that will hold at most `max` objects.
    pub(crate) fn new(max: usize) -> Self {
        // INVARIANT: There are no slots.
        Self {
            slots: KVVec::new(),
            free: None,
            max,
        }
    }

    /// Promises an id to an object that is yet to be made. It cannot be found until
    /// [`Self::publish`], which cannot fail.
    pub(crate) fn reserve(&mut self) -> Result<Reserved> {
        if let Some(index) = self.free {
            let slot = self.slots.get_mut(index as usize).ok_or(EINVAL)?;
            if let State::Free(next) = slot.state {
                self.free = next;
            }
            slot.state = State::Taken;
            return Ok(Reserved(Id::new(index, slot.generation)));
        }

        let index = self.slots.len();
        if index >= self.max {
            return Err(ENOMEM);
        }
        self.slots.push(
            Slot {
                generation: 1,
                state: State::Taken,
            },
            GFP_KERNEL_ACCOUNT,
        )?;
        Ok(Reserved(Id::new(index.try_into()?, 1)))
    }

    /// Puts an object where [`Self::reserve`] made room for it.
    pub(crate) fn publish(&mut self, reserved: Reserved, value: T) {
        if let Some(slot) = self.slots.get_mut(reserved.0.slot()) {
            slot.state = State::Full(value);
        }
    }

    /// Gives back what [`Self::reserve`] took, as if it had not been asked.
    pub(crate) fn cancel(&mut self, reserved: Reserved) {
        let index = reserved.0.slot();
        if let Some(slot) = self.slots.get_mut(index) {
            // Nobody has seen this id: the generation stays.
            slot.state = State::Free(self.free);
            self.free = Some(index as u32);
        }
    }

    /// Finds an object.
    pub(crate) fn get(&self, id: Id) -> Result<&T> {
        match self.slots.get(id.slot()) {
            Some(Slot {
                generation,
                state: State::Full(value),
            }) if *generation == id.generation() => Ok(value),
            _ => Err(ENOENT),
        }
    }

    /// Takes an object out. Its id is invalid from here on.
    pub(crate) fn remove(&mut self, id: Id) -> Result<T> {
        self.get(id)?;

        let slot = self.slots.get_mut(id.slot()).ok_or(ENOENT)?;
        let State::Full(value) = core::mem::replace(&mut slot.state, State::Taken) else {
            return Err(ENOENT);
        };

        // A slot whose generations are used up stays `Taken`.
        if let Some(generation) = slot.generation.checked_add(1) {
            slot.generation = generation;
            slot.state = State::Free(self.free);
            self.free = Some(id.slot() as u32);
        }

        Ok(value)
    }

    /// Visits all objects.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> + Clone {
        self.slots.iter().filter_map(|slot| match &slot.state {
            State::Full(value) => Some(value),
            _ => None,
        })
    }

    /// Takes out, one by one, the objects for which `which` says so.
    pub(crate) fn drain<'a>(
        &'a mut self,
        mut which: impl FnMut(&T) -> bool + 'a,
    ) -> impl Iterator<Item = T> + 'a {
        (0..self.slots.len()).filter_map(move |index| {
            let slot = self.slots.get(index)?;
            match &slot.state {
                State::Full(value) if which(value) => {
                    let id = Id::new(index as u32, slot.generation);
                    self.remove(id).ok()
                }
                _ => None,
            }
        })
    }
}

/// An id without an object yet: [`IdTable::publish`] it or [`IdTable::cancel`] it.
#[must_use]
pub(crate) struct Reserved(Id);

impl Reserved {
    /// The id that the object will have.
    pub(crate) fn id(&self) -> Id {
        self.0
    }
}

#[kunit_tests(haiov_ids)]
mod tests {
    use super::*;

    fn add(table: &mut IdTable<u32>, value: u32) -> Result<Id> {
        let reserved = table.reserve()?;
        let id = reserved.id();
        table.publish(reserved, value);
        Ok(id)
    }

    #[test]
    fn find_and_remove() -> Result {
        let mut table = IdTable::new(16);
        let a = add(&mut table, 1)?;
        let b = add(&mut table, 2)?;

        assert!(a != b);
        assert!(a.as_raw() != 0 && b.as_raw() != 0);
        assert_eq!(table.get(a).copied(), Ok(1));
        assert_eq!(table.get(b).copied(), Ok(2));
        assert_eq!(table.remove(a), Ok(1));
        assert_eq!(table.remove(a), Err(ENOENT));
        assert_eq!(table.get(a).copied(), Err(ENOENT));
        assert_eq!(table.get(b).copied(), Ok(2));
        Ok(())
    }

    #[test]
    fn stale_ids_fail() -> Result {
        let mut table = IdTable::new(16);
        let old = add(&mut table, 1)?;
        table.remove(old)?;
        let new = add(&mut table, 2)?;

        // The slot is used again, under another id.
        assert_eq!(old.slot(), new.slot());
        assert!(old != new);
        assert_eq!(table.get(old).copied(), Err(ENOENT));
        assert_eq!(table.remove(old), Err(ENOENT));
        assert_eq!(table.get(new).copied(), Ok(2));
        Ok(())
    }

    #[test]
    fn made_up_ids_fail() -> Result {
        let mut table = IdTable::new(16);
        let id = add(&mut table, 1)?;

        for raw in [0, 1, u64::MAX, id.as_raw() + 1, id.as_raw() ^ (1 << 63)] {
            assert_eq!(table.get(Id::from_raw(raw)).copied(), Err(ENOENT));
        }
        Ok(())
    }

    #[test]
    fn reserved_ids_cannot_be_found() -> Result {
        let mut table = IdTable::new(16);
        let reserved = table.reserve()?;
        let id = reserved.id();

        assert_eq!(table.get(id).copied(), Err(ENOENT));
        assert_eq!(table.remove(id), Err(ENOENT));
        table.cancel(reserved);
        assert_eq!(table.get(id).copied(), Err(ENOENT));
        assert_eq!(add(&mut table, 7)?, id);
        Ok(())
    }

    #[test]
    fn full_table() -> Result {
        let mut table = IdTable::new(2);
        let a = add(&mut table, 1)?;
        add(&mut table, 2)?;

        assert_eq!(add(&mut table, 3), Err(ENOMEM));
        table.remove(a)?;
        assert!(add(&mut table, 3).is_ok());
        assert_eq!(add(&mut table, 4), Err(ENOMEM));
        Ok(())
    }

    #[test]
    fn worn_out_slot_retires() -> Result {
        let mut table = IdTable::new(2);
        let first = add(&mut table, 1)?;
        table.slots[first.slot()].generation = u32::MAX;

        assert_eq!(table.remove(Id::new(0, u32::MAX)), Ok(1));
        let next = add(&mut table, 2)?;
        assert!(next.slot() != first.slot());
        assert_eq!(add(&mut table, 3), Err(ENOMEM));
        Ok(())
    }

    #[test]
    fn drain_takes_what_it_should() -> Result {
        let mut table = IdTable::new(16);
        for value in 1..=5 {
            add(&mut table, value)?;
        }
        let third = Id::new(2, 1);
        table.remove(third)?;

        assert_eq!(table.iter().sum::<u32>(), 12);
        assert_eq!(table.drain(|value| value % 2 == 0).sum::<u32>(), 6);
        assert_eq!(table.iter().sum::<u32>(), 6);
        assert_eq!(table.get(Id::new(1, 1)).copied(), Err(ENOENT));
        assert_eq!(table.get(Id::new(4, 1)).copied(), Ok(5));
        assert_eq!(table.drain(|_| true).sum::<u32>(), 6);
        assert_eq!(table.drain(|_| true).count(), 0);
        assert!(add(&mut table, 1).is_ok());
        Ok(())
    }
}
