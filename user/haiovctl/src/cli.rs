// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line: `haiovctl OBJECT COMMAND`, where the command is `show` unless given.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Shows what /dev/haiov does: hardware, harts, VMs, routes, MMIO ranges, signals, contexts and counters.
///
/// Without an object, shows all of them. What the hardware can do comes from the device; all state comes from debugfs,
/// which usually only root may read.
#[derive(Clone, Debug, Parser)]
#[command(name = "haiovctl", version, disable_help_subcommand = false)]
pub struct Options {
    /// What to show
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Answers in JSON
    #[arg(long, global = true)]
    pub json: bool,

    /// Device node
    #[arg(long, global = true, value_name = "PATH", default_value = haiov::Device::PATH)]
    pub device: PathBuf,

    /// Directory of the module's state
    #[arg(long, global = true, value_name = "PATH", default_value = "/sys/kernel/debug/haiov")]
    pub debugfs: PathBuf,
}

/// An object, or everything.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Shows everything, as far as it may be read
    Show,
    /// What the hardware can do
    Info {
        /// What to do with it
        #[command(subcommand)]
        action: Option<Action>,
    },
    /// KVM VMs that may send, and may have handlers
    Vm {
        /// What to do with them
        #[command(subcommand)]
        action: Option<Action>,
    },
    /// Routes from VEIRQs to eventfds and contexts
    Route {
        /// What to do with them
        #[command(subcommand)]
        action: Option<Action>,
    },
    /// Guest physical addresses whose accesses start handlers
    Mmio {
        /// What to do with them
        #[command(subcommand)]
        action: Option<Action>,
    },
    /// Eventfds that handlers can signal
    Signal {
        /// What to do with them
        #[command(subcommand)]
        action: Option<Action>,
    },
    /// Handlers that events start at once
    Context {
        /// What to do with them
        #[command(subcommand)]
        action: Option<Action>,
    },
    /// Counters of the interrupt controller
    Counters {
        /// What to do with them
        #[command(subcommand)]
        action: Option<Action>,
    },
    /// Interrupt identities of each hart
    Hart {
        /// What to do with them
        #[command(subcommand)]
        action: Option<Action>,
    },
    /// Writes man pages and shell completions into a directory
    #[command(hide = true)]
    Generate {
        /// Where they go
        directory: PathBuf,
    },
}

/// What can be done with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum Action {
    /// Shows it (the default)
    Show,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(words: &str) -> Result<Options, clap::Error> {
        Options::try_parse_from(std::iter::once("haiovctl").chain(words.split_whitespace()))
    }

    #[test]
    fn command_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn show_is_the_default() {
        assert!(parse("").unwrap().command.is_none());
        assert!(matches!(parse("show").unwrap().command, Some(Command::Show)));
        assert!(matches!(parse("route").unwrap().command, Some(Command::Route { action: None })));
        assert!(matches!(parse("route show").unwrap().command, Some(Command::Route { action: Some(Action::Show) })));
    }

    #[test]
    fn json_goes_anywhere() {
        for words in ["--json", "show --json", "--json vm", "vm --json show", "vm show --json"] {
            assert!(parse(words).unwrap().json, "{words}");
        }
    }

    #[test]
    fn mistakes_are_refused() {
        for words in ["routes", "route add", "--jsn", "info show x"] {
            assert!(parse(words).is_err(), "{words}");
        }
    }

    #[test]
    fn every_object_has_help() {
        for object in ["show", "info", "vm", "route", "mmio", "signal", "counters", "hart"] {
            let error = parse(&format!("help {object}")).unwrap_err();
            assert_eq!(error.kind(), clap::error::ErrorKind::DisplayHelp, "{object}");
        }
    }
}
