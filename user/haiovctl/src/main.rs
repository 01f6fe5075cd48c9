// SPDX-License-Identifier: MIT OR Apache-2.0
//! `haiovctl` shows what `/dev/haiov` does: hardware, VMs, routes and counters.

#![forbid(unsafe_code)]

mod cli;
mod debugfs;
mod generate;
mod show;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use thiserror::Error;

/// What ends the program, in one sentence.
#[derive(Debug, Error)]
enum Error {
    #[error(transparent)]
    Device(#[from] haiov::Error),
    #[error(transparent)]
    State(#[from] debugfs::Error),
    #[error("cannot write {what}: {source}; check the place and its free space")]
    Write { what: String, source: io::Error },
}

fn run(options: &cli::Options) -> Result<(), Error> {
    if let Some(cli::Command::Generate { directory }) = &options.command {
        return generate::all(directory)
            .map_err(|source| Error::Write { what: directory.display().to_string(), source });
    }
    let text = show::render(options)?;
    match io::stdout().write_all(text.as_bytes()) {
        // Whoever reads has seen enough.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|source| Error::Write { what: "the answer".into(), source }),
    }
}

fn main() -> ExitCode {
    match run(&cli::Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("haiovctl: {error}");
            ExitCode::FAILURE
        }
    }
}
