// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can fail, said in one sentence each: what failed, and what to do about it.

use std::io;
use std::path::PathBuf;

use nix::errno::Errno;
use thiserror::Error;

/// Result of the operations of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An operation of this crate that failed.
///
/// The message is one sentence for the user. The system's own error is the [`source`](std::error::Error::source).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The device node cannot be opened.
    #[error("cannot open {}: {}", path.display(), open_hint(source))]
    Open {
        /// The node.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },

    /// The file is not a `/dev/haiov`, or that of a module which does not have the operation yet.
    #[error(
        "cannot {action}: the file is no /dev/haiov, or the haiov module is older than this program; open the device node \
         of a module that is as new"
    )]
    NotADevice {
        /// What was to be done.
        action: &'static str,
        /// The system's error.
        source: Errno,
    },

    /// The machine lacks the hardware.
    #[error("cannot {action}: {hint}")]
    Unsupported {
        /// What was to be done.
        action: &'static str,
        /// What is missing, and what to use instead.
        hint: &'static str,
        /// The system's error.
        source: Errno,
    },

    /// A file descriptor is closed or of the wrong kind, or a number is out of range.
    #[error("cannot {action}: {hint}")]
    Invalid {
        /// What was to be done.
        action: &'static str,
        /// Which arguments to check.
        hint: &'static str,
        /// The system's error.
        source: Errno,
    },

    /// The object is gone.
    #[error("cannot {action}: the object does not exist any more; it lives and dies with the file that made it")]
    NotFound {
        /// What was to be done.
        action: &'static str,
        /// The system's error.
        source: Errno,
    },

    /// The VEIRQ has a route.
    #[error("cannot {action}: VEIRQ {veirq} has a route already; drop that one first, or move it")]
    Exists {
        /// What was to be done.
        action: &'static str,
        /// The VEIRQ.
        veirq: u32,
        /// The system's error.
        source: Errno,
    },

    /// There is memory, or another MMIO range, at these guest physical addresses.
    #[error(
        "cannot {action}: there is memory or another MMIO range between {gpa:#x} and {:#x}; choose other addresses, or \
         remove that first", gpa.saturating_add(*length)
    )]
    Overlaps {
        /// What was to be done.
        action: &'static str,
        /// The first address.
        gpa: u64,
        /// How many bytes.
        length: u64,
        /// The system's error.
        source: Errno,
    },

    /// The caller lacks a privilege.
    #[error("cannot {action}: {hint}")]
    NotPermitted {
        /// What was to be done.
        action: &'static str,
        /// Which one, and what to do without.
        hint: &'static str,
        /// The system's error.
        source: Errno,
    },

    /// The KVM virtual machine belongs to another process.
    #[error("cannot {action}: the KVM VM belongs to another process; do it in the process that made that VM")]
    OtherProcess {
        /// What was to be done.
        action: &'static str,
        /// The system's error.
        source: Errno,
    },

    /// The object is in use.
    #[error("cannot {action}: {hint}")]
    Busy {
        /// What was to be done.
        action: &'static str,
        /// What to do first.
        hint: &'static str,
        /// The system's error.
        source: Errno,
    },

    /// The CPU cannot take interrupts of this kind now.
    #[error(
        "cannot {action}: that CPU is offline or has no VEIC file; choose another, or leave the choice to the module"
    )]
    CpuUnavailable {
        /// What was to be done.
        action: &'static str,
        /// The system's error.
        source: Errno,
    },

    /// A hardware resource is used up.
    #[error("cannot {action}: {hint}")]
    NoSpace {
        /// What was to be done.
        action: &'static str,
        /// What is used up.
        hint: &'static str,
        /// The system's error.
        source: Errno,
    },

    /// Anything else, such as a lack of memory.
    #[error("cannot {action}: {}; see the kernel log if this is unexpected", source.desc())]
    System {
        /// What was to be done.
        action: &'static str,
        /// The system's error.
        source: Errno,
    },
}

impl Error {
    /// Whether the machine, its kernel or the caller's rights simply do not offer this.
    ///
    /// A program that gets such an error can go on with an ioeventfd, or with exits to itself; any other error is worth
    /// stopping for.
    ///
    /// # Examples
    ///
    /// ```
    /// use haiov::Device;
    ///
    /// match Device::open_at("/nonexistent/haiov") {
    ///     Ok(_) => println!("notifications without exits"),
    ///     Err(e) if e.is_unsupported() => println!("plain ioeventfds, because I {e}"),
    ///     Err(e) => panic!("{e}"),
    /// }
    /// ```
    pub fn is_unsupported(&self) -> bool {
        match self {
            Self::Unsupported { .. } => true,
            Self::Open { source, .. } => matches!(
                source.raw_os_error().map(Errno::from_raw),
                Some(Errno::ENOENT | Errno::ENXIO | Errno::ENODEV | Errno::EACCES | Errno::EPERM)
            ),
            _ => false,
        }
    }
}

/// What to do when the device node does not open.
fn open_hint(source: &io::Error) -> String {
    match source.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOENT | Errno::ENXIO | Errno::ENODEV) => {
            "there is no such device; load the haiov module (modprobe haiov)".into()
        }
        Some(Errno::EACCES | Errno::EPERM) => {
            "you may not read and write it; join the group that owns it, or run as root".into()
        }
        _ => format!("{source}; check the path"),
    }
}

/// What the errors of one operation mean; the parts that differ between operations.
pub(crate) struct Context {
    /// What was to be done, to follow "cannot".
    pub action: &'static str,
    /// Which arguments EINVAL and EBADF are about.
    pub invalid: &'static str,
    /// What EBUSY is about.
    pub busy: &'static str,
    /// What ENOSPC is about.
    pub space: &'static str,
    /// What EOPNOTSUPP is about.
    pub unsupported: &'static str,
    /// What EEXIST is about.
    pub taken: Taken,
    /// What EPERM is about, where it is not about whose VM it is.
    pub privilege: Option<&'static str>,
}

/// What there can be one of.
#[derive(Clone, Copy)]
pub(crate) enum Taken {
    /// A route of this VEIRQ.
    Veirq(u32),
    /// A user of these guest physical addresses.
    Addresses { gpa: u64, length: u64 },
}

impl Context {
    /// The context of an operation for which the errno table gives no more than its general meanings.
    pub(crate) const fn of(action: &'static str) -> Self {
        Self {
            action,
            invalid: "the kernel does not know this call's flags; use a module that is as new as this program",
            busy: "the object is in use; destroy what depends on it first",
            space: "the hardware has no room for it; destroy objects that are not needed",
            unsupported: "this machine has no Xhaiov or no VEIC; use an ioeventfd instead",
            taken: Taken::Veirq(0),
            privilege: None,
        }
    }

    /// Turns the system's error into the sentence for the user.
    pub(crate) fn error(&self, source: Errno) -> Error {
        let action = self.action;
        match source {
            Errno::ENOTTY => Error::NotADevice { action, source },
            Errno::EOPNOTSUPP => Error::Unsupported { action, hint: self.unsupported, source },
            Errno::E2BIG => {
                Error::Unsupported { action, hint: "the module is older than this; load a newer one", source }
            }
            Errno::EINVAL | Errno::EBADF => Error::Invalid { action, hint: self.invalid, source },
            Errno::ENOENT => Error::NotFound { action, source },
            Errno::EEXIST => match self.taken {
                Taken::Veirq(veirq) => Error::Exists { action, veirq, source },
                Taken::Addresses { gpa, length } => Error::Overlaps { action, gpa, length, source },
            },
            Errno::EPERM => match self.privilege {
                Some(hint) => Error::NotPermitted { action, hint, source },
                None => Error::OtherProcess { action, source },
            },
            Errno::EBUSY => Error::Busy { action, hint: self.busy, source },
            Errno::ENODEV => Error::CpuUnavailable { action, source },
            Errno::ENOSPC => Error::NoSpace { action, hint: self.space, source },
            _ => Error::System { action, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    /// All that the header's errno table lists, and one that it does not.
    const ERRNOS: [Errno; 13] = [
        Errno::ENOTTY,
        Errno::EFAULT,
        Errno::E2BIG,
        Errno::EINVAL,
        Errno::EBADF,
        Errno::EOPNOTSUPP,
        Errno::ENOENT,
        Errno::EEXIST,
        Errno::EBUSY,
        Errno::EPERM,
        Errno::ENODEV,
        Errno::ENOSPC,
        Errno::ENOMEM,
    ];

    #[test]
    fn messages_are_one_sentence_with_advice_and_a_source() {
        let context = Context { taken: Taken::Veirq(7), ..Context::of("add the route") };
        for errno in ERRNOS {
            let error = context.error(errno);
            let text = error.to_string();
            assert!(text.starts_with("cannot add the route: "), "{text}");
            assert!(text.contains("; "), "no advice: {text}");
            assert!(!text.ends_with('.') && !text.contains('\n'), "{text}");
            let source = error.source().expect("a source");
            assert_eq!(source.downcast_ref::<Errno>(), Some(&errno));
        }
        assert!(context.error(Errno::EEXIST).to_string().contains("VEIRQ 7"));
        // Such a number is unknown to another kind of file, and to a module that came before it.
        let unknown = context.error(Errno::ENOTTY).to_string();
        assert!(unknown.contains("no /dev/haiov") && unknown.contains("module is older"), "{unknown}");
    }

    #[test]
    fn addresses_that_are_taken_are_named() {
        let range = |gpa, length| Context { taken: Taken::Addresses { gpa, length }, ..Context::of("x") };
        let error = range(0x1000_0000, 0x1000).error(Errno::EEXIST);
        assert!(matches!(error, Error::Overlaps { gpa: 0x1000_0000, length: 0x1000, .. }));
        assert!(error.to_string().contains("between 0x10000000 and 0x10001000; "), "{error}");
        // Whatever the caller asked for, there is a message.
        let text = range(u64::MAX, 2).error(Errno::EEXIST).to_string();
        assert!(text.contains("0xffffffffffffffff; "), "{text}");
    }

    #[test]
    fn privileges_are_named() {
        let context = Context { privilege: Some("that takes a privilege; do without"), ..Context::of("x") };
        let error = context.error(Errno::EPERM);
        assert!(matches!(error, Error::NotPermitted { .. }));
        assert_eq!(error.to_string(), "cannot x: that takes a privilege; do without");
        assert!(matches!(Context::of("x").error(Errno::EPERM), Error::OtherProcess { .. }));
    }

    #[test]
    fn only_absence_and_lack_of_rights_are_unsupported() {
        for errno in ERRNOS {
            let absent = matches!(errno, Errno::EOPNOTSUPP | Errno::E2BIG);
            assert_eq!(Context::of("x").error(errno).is_unsupported(), absent, "{errno}");
        }
        for (errno, unsupported) in [
            (Errno::ENOENT, true),
            (Errno::EACCES, true),
            (Errno::EPERM, true),
            (Errno::ENODEV, true),
            (Errno::EMFILE, false),
        ] {
            let error = Error::Open { path: "/dev/haiov".into(), source: errno.into() };
            assert_eq!(error.is_unsupported(), unsupported, "{error}");
        }
    }
}
