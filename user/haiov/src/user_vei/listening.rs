// SPDX-License-Identifier: MIT OR Apache-2.0
//! Events of routes that somebody else has made.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

use haiov_sys as raw;

use super::context::{Inner, UserVei};
use crate::error::{Context, Result};
use crate::sys::{self, Command};

/// A [`UserVei`] that takes the events of all routes that lead to an eventfd; [`UserVei::listen`] makes one.
///
/// The handler lives on for as long as this. Dropping it ends the listening: the routes lead to the eventfd again, which
/// is signaled once if there are any.
#[derive(Debug)]
pub struct Listening {
    user_vei: Arc<Inner>,
    /// 0 once destroyed; the kernel never gives out that id.
    id: u64,
}

impl Listening {
    pub(super) fn begin(user_vei: &UserVei, eventfd: impl AsFd) -> Result<Self> {
        let context = Context {
            invalid: "the file must be an open eventfd; check it",
            busy: "a handler listens for that eventfd already; drop that listening first",
            privilege: Some("the handler belongs to another process; do it in the process that started it"),
            ..Context::of("listen for the eventfd")
        };
        let user_vei = user_vei.inner().clone();
        let mut listen = raw::haiov_context_listen {
            context_id: user_vei.id,
            eventfd: eventfd.as_fd().as_raw_fd(),
            ..Command::new()
        };
        sys::ioctl(user_vei.device.as_fd(), &mut listen).map_err(|e| context.error(e))?;
        Ok(Self { user_vei, id: listen.out_listening_id })
    }

    /// Ends the listening, as dropping it does, and tells whether that worked.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound) when the object is gone, which only happens when its id was
    /// destroyed behind this object's back.
    pub fn destroy(mut self) -> Result<()> {
        let id = std::mem::take(&mut self.id);
        self.user_vei.device.destroy(id, "end the listening")
    }

    /// The kernel's id of this object.
    pub fn id(&self) -> u64 {
        self.id
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if self.id != 0 {
            // Nothing can be done about a failure here; closing the device takes the object along in any case.
            let _ = self.user_vei.device.destroy(self.id, "end the listening");
        }
    }
}
