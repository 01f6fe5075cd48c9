// SPDX-License-Identifier: MIT OR Apache-2.0
//! The control socket: a line of text is a command, and a line answers it.
//!
//! | command | |
//! |---|---|
//! | `pause` | stops the guest and its clock; answered when it stands still and its disk has nothing left to do |
//! | `resume` | lets it go on |
//! | `snapshot FOLDER` | saves the guest, which is paused, in a new folder |
//! | `quit` | ends the guest |
//!
//! The answer is `ok`, or `error: ` and a sentence.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::sys::eventfd::EventFd;

use crate::wait;

/// Bytes of a command at most.
const LONGEST: usize = 4200;

/// What the user wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Stop the guest.
    Pause,
    /// Let it go on.
    Resume,
    /// Save it in a new folder.
    Snapshot(PathBuf),
    /// End it.
    Quit,
}

impl Command {
    /// Reads a command; what is wrong with it, as a sentence, otherwise.
    ///
    /// # Arguments
    ///
    /// * `line` - the command, without the end of the line.
    ///
    /// # Errors
    ///
    /// A sentence that says which commands there are.
    pub fn parse(line: &str) -> Result<Self, String> {
        let (word, rest) = line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), ""));
        match (word, rest.trim()) {
            ("pause", "") => Ok(Self::Pause),
            ("resume", "") => Ok(Self::Resume),
            ("snapshot", folder) if !folder.is_empty() => Ok(Self::Snapshot(folder.into())),
            ("quit", "") => Ok(Self::Quit),
            _ => Err("there are pause, resume, snapshot FOLDER and quit".into()),
        }
    }
}

/// A control socket.
pub struct Control {
    listener: UnixListener,
    path: PathBuf,
}

impl Control {
    /// Makes the socket. One that nobody listens to any more is replaced.
    ///
    /// # Arguments
    ///
    /// * `path` - where.
    ///
    /// # Errors
    ///
    /// The system's error when it cannot be there.
    pub fn new(path: &Path) -> io::Result<Self> {
        let listener = match UnixListener::bind(path) {
            Err(e) if e.kind() == io::ErrorKind::AddrInUse && is_stale(path) => {
                std::fs::remove_file(path)?;
                UnixListener::bind(path)?
            }
            other => other?,
        };
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Carries out commands until `stop` is signaled. One connection at a time is served.
    ///
    /// # Arguments
    ///
    /// * `stop` - what ends this.
    /// * `execute` - carries out a command; what went wrong, as a sentence, otherwise.
    ///
    /// # Errors
    ///
    /// The system's error when it cannot wait.
    pub fn run(&self, stop: &EventFd, mut execute: impl FnMut(Command) -> Result<(), String>) -> io::Result<()> {
        while wait::readable(self.listener.as_fd(), stop)? {
            let (stream, _) = self.listener.accept()?;
            // A connection that breaks is its user's affair.
            let _ = serve(stream, stop, &mut execute);
        }
        Ok(())
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // Somebody may have removed it already.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn is_stale(path: &Path) -> bool {
    matches!(UnixStream::connect(path), Err(e) if e.kind() == io::ErrorKind::ConnectionRefused)
}

/// Serves a connection to its end.
fn serve(
    mut stream: UnixStream,
    stop: &EventFd,
    execute: &mut impl FnMut(Command) -> Result<(), String>,
) -> io::Result<()> {
    let mut got = Vec::new();
    loop {
        while let Some(end) = got.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = got.drain(..=end).collect();
            let command = std::str::from_utf8(&line).map_err(|_| "a command is text".to_owned());
            match command.and_then(Command::parse).and_then(&mut *execute) {
                Ok(()) => stream.write_all(b"ok\n")?,
                Err(why) => stream.write_all(format!("error: {why}\n").as_bytes())?,
            }
        }
        if got.len() > LONGEST || !wait::readable(stream.as_fd(), stop)? {
            return Ok(());
        }
        let mut part = [0; 512];
        match stream.read(&mut part)? {
            0 => return Ok(()),
            count => got.extend(&part[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::thread;

    #[test]
    fn commands() {
        assert_eq!(Command::parse("pause"), Ok(Command::Pause));
        assert_eq!(Command::parse(" resume\r\n"), Ok(Command::Resume));
        assert_eq!(Command::parse("snapshot /a folder "), Ok(Command::Snapshot("/a folder".into())));
        assert_eq!(Command::parse("quit\n"), Ok(Command::Quit));
        for bad in ["", "snapshot", "pause now", "PAUSE", "halt"] {
            assert!(Command::parse(bad).unwrap_err().starts_with("there are "), "{bad}");
        }
    }

    #[test]
    fn each_line_is_answered_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        drop(UnixListener::bind(&path).unwrap()); // one that a dead VMM has left
        let control = Control::new(&path).unwrap();
        assert!(Control::new(&path).is_err(), "somebody listens");
        let stop = EventFd::new().unwrap();
        let mut seen = Vec::new();
        thread::scope(|scope| {
            let server = scope.spawn(|| {
                control.run(&stop, |command| match command {
                    Command::Resume => Err("no".into()),
                    other => {
                        seen.push(other);
                        Ok(())
                    }
                })
            });
            for _ in 0..2 {
                let mut stream = UnixStream::connect(&path).unwrap();
                stream.write_all(b"pause\nresu").unwrap();
                stream.write_all(b"me\n\xff\nquit\n").unwrap();
                let answers: Vec<_> = BufReader::new(stream).lines().take(4).map(Result::unwrap).collect();
                assert_eq!(answers, ["ok", "error: no", "error: a command is text", "ok"]);
            }
            let _open = UnixStream::connect(&path).unwrap();
            stop.write(1).unwrap();
            server.join().unwrap().unwrap();
        });
        assert_eq!(seen, [Command::Pause, Command::Quit, Command::Pause, Command::Quit]);
        drop(control);
        assert!(!path.exists());
    }
}
