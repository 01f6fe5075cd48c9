// SPDX-License-Identifier: MIT OR Apache-2.0
//! What ends the program, said in one sentence: what failed, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Result of this program's operations.
pub type Result<T> = std::result::Result<T, Error>;

/// Why the device cannot be served, or not any longer.
#[derive(Debug, Error)]
pub enum Error {
    /// The image cannot be used.
    #[error("cannot use --image {}: {source}; check the path and that you may access it", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },

    /// Another program has the image.
    #[error("cannot use --image {}: another program has locked it; end that one, or give a copy", path.display())]
    ImageInUse {
        /// The file.
        path: PathBuf,
    },

    /// The thread cannot run on the CPU.
    #[error("cannot run on CPU {cpu}: {source}; choose another with --cpu")]
    Affinity {
        /// The CPU.
        cpu: u32,
        /// Why.
        source: io::Error,
    },

    /// The handler cannot be had.
    #[error("{0}, or leave it at --notify eventfd")]
    Hcs(#[from] haiov::Error),

    /// There is no connection, or it failed.
    #[error("cannot serve {}: {error}; start the VMM again, and this program before it", socket.display())]
    Protocol {
        /// The socket.
        socket: PathBuf,
        /// What failed.
        error: vhost_user_backend::Error,
    },
}

impl Error {
    /// What is wrong with an image.
    pub fn of_image(path: &Path, error: haiov_vmm::Error) -> Self {
        let path = path.to_owned();
        match error {
            haiov_vmm::Error::File { source, .. } => Self::Image { path, source },
            haiov_vmm::Error::DiskInUse { .. } => Self::ImageInUse { path },
            other => Self::Image { path, source: io::Error::other(other) },
        }
    }
}
