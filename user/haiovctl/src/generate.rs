// SPDX-License-Identifier: MIT OR Apache-2.0
//! Man pages and shell completions, from the same definition as the command line itself.

use std::fs;
use std::io;
use std::path::Path;

use clap::{CommandFactory, ValueEnum};
use clap_complete::Shell;

use crate::cli::Options;

/// Writes man pages and completions of every shell.
///
/// # Arguments
///
/// * `directory` - where they go; it is made if it is not there.
pub fn all(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    clap_mangen::generate_to(Options::command(), directory)?;
    for shell in Shell::value_variants() {
        clap_complete::generate_to(*shell, &mut Options::command(), "haiovctl", directory)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn man_pages_and_completions() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("new");
        all(&place).unwrap();
        let page = fs::read_to_string(place.join("haiovctl.1")).unwrap();
        assert!(page.contains("\\-\\-json"), "{page}");
        assert!(!page.contains("generate"), "a hidden command is not in the manual");
        assert!(place.join("haiovctl-route.1").exists());
        let bash = fs::read_to_string(place.join("haiovctl.bash")).unwrap();
        assert!(bash.contains("counters"));
        assert!(place.join("_haiovctl").exists() && place.join("haiovctl.fish").exists());
    }

    #[test]
    fn a_place_that_cannot_be_is_an_error() {
        assert!(all(Path::new("/dev/null/x")).is_err());
    }
}
