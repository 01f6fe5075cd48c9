// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program `haiov-vmm`: exit status 0 when the guest powers off, 1 with one sentence otherwise.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match haiov_vmm::run(&haiov_vmm::cli::Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("haiov-vmm: {error}");
            ExitCode::FAILURE
        }
    }
}
