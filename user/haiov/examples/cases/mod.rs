// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the self-tests share: cases, checks, and the lines that say how each ended.

use std::error::Error as StdError;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::process::ExitCode;

/// What a case ends with.
pub type Outcome = Result<(), Box<dyn StdError>>;
/// A case and its name.
pub type Case = (&'static str, fn() -> Outcome);

/// Ends the case unless the condition holds.
macro_rules! check {
    ($condition:expr, $($what:tt)+) => {
        if !$condition {
            return Err(format!($($what)+).into());
        }
    };
}

/// Runs the cases and prints `ok GROUP: NAME` or `not ok GROUP: NAME: WHY` for each; success when all are ok.
pub fn run(group: &str, cases: &[Case]) -> ExitCode {
    let mut failed = 0;
    for (name, case) in cases {
        match case() {
            Ok(()) => println!("ok {group}: {name}"),
            Err(why) => {
                println!("not ok {group}: {name}: {why}");
                failed += 1;
            }
        }
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The file of an object of kvm-ioctls, which knows only the raw number.
pub fn fd(object: &impl AsRawFd) -> BorrowedFd<'_> {
    // SAFETY: `object` owns the file, and is borrowed as long as the result.
    unsafe { BorrowedFd::borrow_raw(object.as_raw_fd()) }
}
