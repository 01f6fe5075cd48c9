// SPDX-License-Identifier: GPL-2.0

//! Listenings: contexts that take the events of all routes that lead to an eventfd.
//!
//! Routes are made by who has the VM. Who has the context may be somebody else, a device in a process of its own, which
//! has nothing of the VM but its memory and eventfds. The routes are found by the eventfd that both have.

use crate::{
    context::Context,
    eventfd::EventFd, //
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// A context that takes the events of routes that lead to an eventfd, until this is dropped.
pub(crate) struct Listening {
    context: Arc<Context>,
    eventfd: EventFd,
}

impl Listening {
    /// Begins. Fails with `EPERM` if the context is another process's, and with `EBUSY` if a context listens for
    /// `eventfd` already.
    pub(crate) fn new(context: Arc<Context>, eventfd: EventFd) -> Result<Self> {
        if !context.is_callers() {
            return Err(EPERM);
        }
        context.veic().listen(&context, &eventfd)?;
        Ok(Self { context, eventfd })
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.context.veic().unlisten(&self.context, &self.eventfd);
    }
}
