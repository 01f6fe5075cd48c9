// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which host CPU a thread runs on.

use std::io;

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::error::{Error, Result};

/// The calling thread.
const SELF: Pid = Pid::from_raw(0);

/// Where a thread is to run.
#[derive(Clone, Copy, Debug)]
pub enum Where {
    /// On the CPU that the user has chosen.
    On(usize),
    /// There if it is online: the host has chosen it, and it may have gone since.
    Rather(usize),
    /// Elsewhere if there is another one.
    NotOn(usize),
    /// On any.
    Anywhere,
}

impl Where {
    /// The user's choice, else the host's.
    ///
    /// # Arguments
    ///
    /// * `asked` - the CPU that the user has chosen.
    /// * `found` - the CPU that the host has chosen.
    pub fn of(asked: Option<u32>, found: Option<u32>) -> Self {
        match (asked, found) {
            (Some(cpu), _) => Self::On(cpu as usize),
            (None, Some(cpu)) => Self::Rather(cpu as usize),
            (None, None) => Self::Anywhere,
        }
    }

    /// Keeps the calling thread there.
    ///
    /// # Arguments
    ///
    /// * `who` - the thread, as the error calls it.
    ///
    /// # Errors
    ///
    /// [`Error::Affinity`] when it cannot be on the CPU that the user has chosen.
    pub fn keep(self, who: &'static str) -> Result<()> {
        match self {
            Self::On(cpu) => pin(cpu).map_err(|source| Error::Affinity { who, cpu, source })?,
            Self::Rather(cpu) => drop(pin(cpu)),
            Self::NotOn(cpu) => drop(avoid(cpu)),
            Self::Anywhere => {}
        }
        Ok(())
    }
}

/// Keeps the calling thread on one CPU.
///
/// # Arguments
///
/// * `cpu` - the CPU.
///
/// # Errors
///
/// The system's error when there is no such CPU, or this process may not use it.
pub fn pin(cpu: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    Ok(sched_setaffinity(SELF, &set)?)
}

/// Keeps the calling thread off one CPU, unless it may use no other.
///
/// # Arguments
///
/// * `cpu` - the CPU.
///
/// # Errors
///
/// The system's error; that there is nothing to avoid is none.
fn avoid(cpu: usize) -> io::Result<()> {
    let mut set = sched_getaffinity(SELF)?;
    match set.unset(cpu) {
        Ok(()) => {}
        Err(Errno::EINVAL) => return Ok(()), // beyond any CPU that the set could hold
        Err(errno) => return Err(errno.into()),
    }
    let empty = (0..CpuSet::count()).all(|i| !set.is_set(i).unwrap_or(false));
    if empty { Ok(()) } else { Ok(sched_setaffinity(SELF, &set)?) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed() -> Vec<usize> {
        let set = sched_getaffinity(SELF).unwrap();
        (0..CpuSet::count()).filter(|i| set.is_set(*i).unwrap()).collect()
    }

    /// Each test changes its own thread's affinity only; the harness gives each a thread.
    #[test]
    fn pinned_to_one() {
        let before = allowed();
        pin(before[0]).unwrap();
        assert_eq!(allowed(), [before[0]]);
        avoid(before[0]).unwrap();
        assert_eq!(allowed(), [before[0]], "the only CPU is not avoided");
    }

    #[test]
    fn avoid_takes_one_away() {
        let before = allowed();
        avoid(1 << 20).unwrap();
        assert_eq!(allowed(), before);
        if before.len() > 1 {
            avoid(before[0]).unwrap();
            assert_eq!(allowed(), before[1..]);
        }
    }

    #[test]
    fn only_the_user_is_told() {
        let before = allowed();
        let gone = 1 << 20;
        assert!(matches!(Where::of(Some(gone), Some(0)).keep("x"), Err(Error::Affinity { who: "x", .. })));
        for on in [Where::of(None, Some(gone)), Where::of(None, None), Where::NotOn(gone as usize)] {
            on.keep("x").unwrap();
            assert_eq!(allowed(), before, "{on:?}");
        }
        Where::of(None, Some(before[0] as u32)).keep("x").unwrap();
        assert_eq!(allowed(), [before[0]]);
    }

    #[test]
    fn no_such_cpu() {
        assert!(pin(1 << 20).is_err());
        assert!(pin(CpuSet::count() - 1).is_err());
    }
}
