// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Serves a raw image as a virtio-blk device with one queue to a VMM, by vhost-user.
///
/// It takes one connection, and ends when the VMM does. The exit status is 0 then, and 1, with one sentence that says why,
/// otherwise.
#[derive(Clone, Debug, Parser)]
#[command(name = "haiov-vhost-user-blk", version)]
pub struct Options {
    /// Unix socket to make, for the VMM to connect to
    #[arg(long, value_name = "FILE")]
    pub socket: PathBuf,

    /// The disk: a raw image, or a block device. Its whole sectors of 512 bytes are what the guest sees
    #[arg(long, value_name = "FILE")]
    pub image: PathBuf,

    /// What the guest's notifications do; with 'hcs', those that come otherwise than by VEI wake the thread
    #[arg(long, value_name = "HOW", value_enum, default_value_t = Notify::Eventfd)]
    pub notify: Notify,

    /// Host CPU of the thread, or with 'hcs' of the handler
    #[arg(long, value_name = "CPU")]
    pub cpu: Option<u32>,
}

/// What a notification does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Notify {
    /// Wakes a thread
    Eventfd,
    /// Starts a handler at once, without a wake-up (HCS)
    Hcs,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn socket_and_image_are_needed() {
        let parse = |words: &str| Options::try_parse_from(words.split_whitespace());
        assert!(parse("x --socket /s").is_err() && parse("x --image /i").is_err());
        let options = parse("x --socket /s --image /i").unwrap();
        assert_eq!((options.notify, options.cpu), (Notify::Eventfd, None));
        assert_eq!(parse("x --socket /s --image /i --notify hcs --cpu 2").unwrap().notify, Notify::Hcs);
    }
}
