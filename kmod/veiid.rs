// SPDX-License-Identifier: GPL-2.0

//! Allocation of the VEIIDs of one hart.

use kernel::{
    alloc::{
        allocator::Kmalloc,
        Vec, //
    },
    id_pool::IdPool,
    prelude::*, //
};

/// A VEIID that somebody owns.
///
/// The generation makes every allocation a different value, so that one that was freed already is
/// refused instead of taken away from its next owner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Veiid {
    index: u16,
    generation: u32,
}

impl Veiid {
    /// The number by which the hardware knows it.
    pub(crate) fn index(self) -> u16 {
        self.index
    }
}

/// The VEIIDs of one hart.
///
/// # Invariants
///
/// - `generations[i]` is odd if and only if VEIID `i` is taken, which is if and only if bit `i` of
///   `pool` is set; but VEIID 0, which is not one, is set in `pool` for good.
/// - `free` is the number of VEIIDs that are not taken.
pub(crate) struct VeiidPool {
    pool: IdPool,
    generations: Vec<u32, Kmalloc>,
    free: u32,
    next: usize,
}

impl VeiidPool {
    /// Creates a pool of VEIIDs 1 to `count` - 1.
    pub(crate) fn new(count: u16) -> Result<Self> {
        if count < 2 {
            return Err(EINVAL);
        }

        let mut pool = IdPool::with_capacity(count.into(), GFP_KERNEL)?;
        let zero = pool.find_unused_id(0).ok_or(EINVAL)?;
        zero.acquire();

        // INVARIANT: All generations are even, and no bit but that of VEIID 0 is set.
        Ok(Self {
            pool,
            generations: Vec::from_elem(0, count.into(), GFP_KERNEL)?,
            free: u32::from(count) - 1,
            next: 1,
        })
    }

    /// Number of VEIIDs that are free.
    pub(crate) fn free_count(&self) -> u32 {
        self.free
    }

    /// Number of VEIIDs that are taken.
    pub(crate) fn used_count(&self) -> u32 {
        // CAST: `new` took a `u16`.
        self.generations.len() as u32 - 1 - self.free
    }

    /// Takes a free VEIID. The one that was freed last is taken last, so that a mistake elsewhere
    /// is more likely to hit nobody than a new owner.
    pub(crate) fn alloc(&mut self) -> Result<Veiid> {
        let count = self.generations.len();
        let index = match self.find(self.next) {
            Some(index) => index,
            None => self.find(1).ok_or(ENOSPC)?,
        };

        // INVARIANT: The bit is set, and the generation becomes odd.
        self.pool.find_unused_id(index).ok_or(ENOSPC)?.acquire();
        let generation = &mut self.generations[index];
        *generation = generation.wrapping_add(1);
        self.free -= 1;
        self.next = if index + 1 < count { index + 1 } else { 1 };

        Ok(Veiid {
            // CAST: `new` took a `u16`.
            index: index as u16,
            generation: *generation,
        })
    }

    /// Whether a VEIID has not been given back since it was taken.
    pub(crate) fn owns(&self, veiid: Veiid) -> bool {
        // INVARIANT: The generation that `alloc` returned is odd, so that it is taken if it is the same still.
        self.generations.get(usize::from(veiid.index)) == Some(&veiid.generation)
    }

    /// Gives a VEIID back. Fails if it is not, or no longer, the caller's.
    pub(crate) fn free(&mut self, veiid: Veiid) -> Result {
        let generation = self
            .generations
            .get_mut(usize::from(veiid.index))
            .ok_or(EINVAL)?;
        if *generation != veiid.generation || *generation % 2 == 0 {
            return Err(EINVAL);
        }

        // INVARIANT: The bit is cleared, and the generation becomes even.
        *generation = generation.wrapping_add(1);
        self.pool.release_id(veiid.index.into());
        self.free += 1;
        Ok(())
    }

    /// Gives all VEIIDs back.
    pub(crate) fn free_all(&mut self) {
        for (index, generation) in self.generations.iter_mut().enumerate() {
            if *generation % 2 != 0 {
                // INVARIANT: The bit is cleared, and the generation becomes even.
                *generation = generation.wrapping_add(1);
                self.pool.release_id(index);
                self.free += 1;
            }
        }
    }

    /// Finds a free VEIID that is not below `from`.
    fn find(&mut self, from: usize) -> Option<usize> {
        let index = self.pool.find_unused_id(from)?.as_usize();
        // The pool's capacity is rounded up.
        (index < self.generations.len()).then_some(index)
    }
}

#[kunit_tests(haiov_veiid)]
mod tests {
    use super::*;

    #[test]
    fn never_zero_and_never_twice() -> Result {
        let mut pool = VeiidPool::new(100)?;
        let mut seen = [false; 100];

        assert_eq!(pool.free_count(), 99);
        for _ in 1..100 {
            let index = usize::from(pool.alloc()?.index());
            assert!(index != 0);
            assert!(index < 100);
            assert!(!seen[index]);
            seen[index] = true;
        }
        assert_eq!(pool.free_count(), 0);
        assert_eq!(pool.used_count(), 99);
        assert_eq!(pool.alloc(), Err(ENOSPC));
        Ok(())
    }

    #[test]
    fn small_pool_ends_where_it_should() -> Result {
        // Less than what the pool below rounds up to.
        let mut pool = VeiidPool::new(2)?;
        let only = pool.alloc()?;

        assert_eq!(only.index(), 1);
        assert_eq!(pool.alloc(), Err(ENOSPC));
        pool.free(only)?;
        assert_eq!(pool.alloc()?.index(), 1);
        assert!(VeiidPool::new(1).is_err());
        Ok(())
    }

    #[test]
    fn stale_is_refused() -> Result {
        let mut pool = VeiidPool::new(2)?;
        let old = pool.alloc()?;

        pool.free(old)?;
        assert_eq!(pool.free(old), Err(EINVAL));
        let new = pool.alloc()?;
        assert_eq!(new.index(), old.index());
        assert!(new != old);
        assert!(pool.owns(new) && !pool.owns(old));
        assert_eq!(pool.free(old), Err(EINVAL));
        assert_eq!(pool.used_count(), 1);
        assert_eq!(pool.free(new), Ok(()));
        assert!(!pool.owns(new));
        assert_eq!(pool.used_count(), 0);
        Ok(())
    }

    #[test]
    fn free_all_frees_all_but_zero() -> Result {
        let mut pool = VeiidPool::new(70)?;
        let first = pool.alloc()?;
        while pool.alloc().is_ok() {}

        pool.free_all();
        assert_eq!(pool.free_count(), 69);
        assert_eq!(pool.free(first), Err(EINVAL));
        for _ in 1..70 {
            assert!(pool.alloc()?.index() != 0);
        }
        assert_eq!(pool.alloc(), Err(ENOSPC));
        Ok(())
    }

    #[test]
    fn freed_last_is_taken_last() -> Result {
        let mut pool = VeiidPool::new(4)?;
        let first = pool.alloc()?;
        pool.free(first)?;

        assert!(pool.alloc()?.index() != first.index());
        assert!(pool.alloc()?.index() != first.index());
        assert_eq!(pool.alloc()?.index(), first.index());
        Ok(())
    }
}
