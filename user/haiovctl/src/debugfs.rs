// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module's state in debugfs: files of lines of words.
//!
//! debugfs is no ABI, so this reads whatever words are there instead of expecting certain ones.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// One line: names and values, in the file's order.
pub type Record = Vec<(String, String)>;

/// Why state cannot be shown.
#[derive(Debug, Error)]
#[error("cannot read {}: {}", path.display(), hint(source))]
pub struct Error {
    path: PathBuf,
    source: io::Error,
}

fn hint(source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::NotFound => "there is no such file; load the haiov module and mount debugfs".into(),
        io::ErrorKind::PermissionDenied => "only root may read it; use sudo".into(),
        _ => format!("{source}; see the kernel log"),
    }
}

/// A file of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// VMs that are bound.
    Vms,
    /// Routes.
    Routes,
    /// MMIO ranges.
    Mmio,
    /// Signals of handlers.
    Signals,
    /// Handlers of events.
    Contexts,
    /// Interrupt identities by hart.
    Harts,
    /// Counters of the interrupt controller.
    Counters,
}

impl State {
    /// The file's name.
    pub fn file(self) -> &'static str {
        match self {
            Self::Vms => "vms",
            Self::Routes => "routes",
            Self::Mmio => "mmio",
            Self::Signals => "signals",
            Self::Contexts => "contexts",
            Self::Harts => "harts",
            Self::Counters => "counters",
        }
    }

    /// Reads the file.
    pub fn read(self, directory: &Path) -> Result<Vec<Record>, Error> {
        let path = directory.join(self.file());
        match fs::read_to_string(&path) {
            Ok(text) => Ok(parse(&text)),
            Err(source) => Err(Error { path, source }),
        }
    }
}

/// Takes a text apart: words `name=value`, or lines `name value` as in the counters.
fn parse(text: &str) -> Vec<Record> {
    text.lines().map(parse_line).filter(|record| !record.is_empty()).collect()
}

fn parse_line(line: &str) -> Record {
    let mut words = line.split_whitespace().peekable();
    let mut record = Record::new();
    while let Some(word) = words.next() {
        let pair = match word.split_once('=') {
            Some(pair) => pair,
            // A name alone takes the next word as its value, unless that is a pair itself.
            None => match words.next_if(|next| !next.contains('=')) {
                Some(value) => (word.trim_end_matches(':'), value),
                None => (word.trim_end_matches(':'), ""),
            },
        };
        record.push((pair.0.to_owned(), pair.1.to_owned()));
    }
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(record: &Record) -> Vec<(&str, &str)> {
        record.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect()
    }

    #[test]
    fn lines_of_pairs() {
        let records = parse("id=1 vmid=2 routes=0\n\nid=3 vmid=4\n");
        assert_eq!(records.len(), 2);
        assert_eq!(pairs(&records[0]), [("id", "1"), ("vmid", "2"), ("routes", "0")]);
    }

    #[test]
    fn lines_of_names_and_values() {
        let records = parse("hits 7\nmisses 0\n");
        assert_eq!(pairs(&records[0]), [("hits", "7")]);
        assert_eq!(pairs(&records[1]), [("misses", "0")]);
    }

    #[test]
    fn odd_lines_lose_nothing() {
        assert_eq!(pairs(&parse("hart 3 cpu=2 =5 up")[0]), [("hart", "3"), ("cpu", "2"), ("", "5"), ("up", "")]);
        assert_eq!(pairs(&parse("alone x=1")[0]), [("alone", ""), ("x", "1")]);
        assert_eq!(pairs(&parse("a=b=c")[0]), [("a", "b=c")]);
        assert!(parse(" \n\t\n").is_empty());
    }

    #[test]
    fn a_missing_file_says_what_to_do() {
        let error = State::Vms.read(Path::new("/nonexistent")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot read /nonexistent/vms: there is no such file; load the haiov module and mount debugfs"
        );
    }
}
