// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program `haiov-vhost-user-blk`: a virtio-blk device in a process of its own, by vhost-user.
//!
//! | module | concept |
//! |---|---|
//! | [`cli`] | the command line |
//! | [`device`] | the device: what the VMM asks of it, and who serves its queue |
//! | [`vring`] | its queue, and the eventfds of that |
//! | [`error`] | what ends it |

#![forbid(unsafe_code)]

mod cli;
mod device;
mod error;
mod vring;

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use haiov_vmm::affinity;
use haiov_vmm::block::Block;
use vhost_user_backend::VhostUserDaemon;
use vm_memory::GuestMemoryMmap;

use cli::{Notify, Options};
use device::Device;
use error::{Error, Result};
use vring::Memory;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("haiov-vhost-user-blk: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let block = Block::open(&options.image).map_err(|e| Error::of_image(&options.image, e))?;
    let memory = Memory::new(GuestMemoryMmap::new());
    let device = Arc::new(Device::new(block, memory.clone()));
    match (options.notify, options.cpu) {
        (Notify::Hcs, cpu) => device.start_handler(cpu)?,
        // The threads that come have what this one has.
        (Notify::Eventfd, Some(cpu)) => {
            affinity::pin(cpu as usize).map_err(|source| Error::Affinity { cpu, source })?;
        }
        (Notify::Eventfd, None) => {}
    }
    let protocol = |error| Error::Protocol { socket: options.socket.clone(), error };
    let mut daemon = VhostUserDaemon::new("vhost-user".to_owned(), device.clone(), memory).map_err(protocol)?;
    daemon.serve(&options.socket).map_err(protocol)?;
    if let Some(status) = device.end_handler()? {
        println!(
            "{} calls, {} frames, {} doorbells, {} wake-ups",
            status.calls,
            status.frames(),
            status.doorbells,
            status.wakeups()
        );
    }
    Ok(())
}
