// SPDX-License-Identifier: MIT OR Apache-2.0
//! An edge on a wire, made of two levels.

use std::sync::{Mutex, PoisonError};

/// Makes edges on a wire.
#[derive(Debug, Default)]
pub struct Edge(Mutex<()>);

impl Edge {
    /// Raises the wire, and lowers it, while nobody else does.
    ///
    /// Were there two callers at a time, the second one might find the wire high: to raise it is no edge then, and that of the
    /// first one may have been seen before what the second one has to say was there.
    ///
    /// # Arguments
    ///
    /// * `set` - sets the level.
    ///
    /// # Errors
    ///
    /// Those of `set`.
    pub fn make<E>(&self, set: impl Fn(bool) -> Result<(), E>) -> Result<(), E> {
        let _alone = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        set(true)?;
        set(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
    use std::thread;

    #[test]
    fn each_of_two_callers_has_its_own() {
        const EACH: u32 = 2000;
        let start = Barrier::new(2);
        let (edge, high, seen) = (Edge::default(), AtomicBool::new(false), AtomicU32::new(0));
        let set = |level| {
            if !high.swap(level, Ordering::SeqCst) && level {
                seen.fetch_add(1, Ordering::SeqCst);
            }
            // As a system call may.
            thread::yield_now();
            Ok::<(), Infallible>(())
        };
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    start.wait();
                    (0..EACH).for_each(|_| edge.make(set).unwrap());
                });
            }
        });
        assert_eq!(seen.into_inner(), 2 * EACH);
    }
}
