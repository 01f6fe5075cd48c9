// SPDX-License-Identifier: GPL-2.0

//! /dev/haiov: file descriptors, and which ioctl is which command.

use crate::{
    command::{
        Command,
        Counts,
        Object, //
    },
    copy_in,
    ids::IdTable,
    uapi, //
};
use kernel::{
    fs::File,
    ioctl::_IO,
    miscdevice::{
        MiscDevice,
        MiscDeviceRegistration, //
    },
    new_mutex,
    prelude::*,
    seq_file::SeqFile,
    seq_print,
    sync::Mutex,
    uaccess::UserPtr, //
};

/// Objects that a file descriptor can have: more than there are VEIIDs in a large machine.
const OBJECTS_MAX: usize = 1 << 20;

/// An open /dev/haiov.
#[pin_data(PinnedDrop)]
pub(crate) struct DeviceFile {
    /// First in the lock order (`veic.rs`). Held while a command runs, so that commands on one file
    /// descriptor come one after the other.
    #[pin]
    objects: Mutex<IdTable<Object>>,
    counts: Counts,
}

/// One row of [`COMMANDS`].
struct Row {
    ioctl: u32,
    run: fn(&DeviceFile, UserPtr) -> Result<isize>,
}

const fn row<C: Command>() -> Row {
    Row {
        ioctl: _IO(uapi::HAIOV_TYPE, C::NUMBER),
        run: run::<C>,
    }
}

/// All ioctls.
const COMMANDS: &[Row] = &[
    row::<uapi::haiov_info>(),
    row::<uapi::haiov_destroy>(),
    row::<uapi::haiov_vm_create>(),
    row::<uapi::haiov_vm_query>(),
    row::<uapi::haiov_route_add>(),
    row::<uapi::haiov_route_move>(),
    row::<uapi::haiov_route_query>(),
    row::<uapi::haiov_vcpu_create>(),
    row::<uapi::haiov_mmio_add>(),
    row::<uapi::haiov_signal_add>(),
    row::<uapi::haiov_context_create>(),
    Row {
        ioctl: _IO(uapi::HAIOV_TYPE, uapi::HAIOV_CMD_CONTEXT_WAIT),
        run: wait,
    },
    row::<uapi::haiov_context_query>(),
    row::<uapi::haiov_context_move>(),
    row::<uapi::haiov_context_listen>(),
];

/// Reads the argument of a command, checks it, and executes the command.
fn run<C: Command>(file: &DeviceFile, arg: UserPtr) -> Result<isize> {
    let (command, reply) = copy_in::read::<C>(arg, C::MIN_SIZE)?;
    command.check()?;
    command.execute(&mut file.objects.lock(), &file.counts, &reply)?;
    Ok(0)
}

/// The command that sleeps for as long as it likes, and so without the lock.
fn wait(file: &DeviceFile, arg: UserPtr) -> Result<isize> {
    let size = core::mem::size_of::<uapi::haiov_context_wait>();
    let (command, _) = copy_in::read::<uapi::haiov_context_wait>(arg, size)?;
    let context = command.find(&file.objects.lock())?;
    context.wait()?;
    Ok(0)
}

#[vtable]
impl MiscDevice for DeviceFile {
    type Ptr = Pin<KBox<Self>>;

    fn open(_: &File, _: &MiscDeviceRegistration<Self>) -> Result<Self::Ptr> {
        KBox::pin_init(
            pin_init!(Self {
                objects <- new_mutex!(IdTable::new(OBJECTS_MAX)),
                counts: Counts::new(),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    fn ioctl(this: Pin<&Self>, _: &File, cmd: u32, arg: usize) -> Result<isize> {
        let row = COMMANDS.iter().find(|row| row.ioctl == cmd).ok_or(ENOTTY)?;

        (row.run)(this.get_ref(), UserPtr::from_addr(arg))
    }

    fn show_fdinfo(this: Pin<&Self>, m: &SeqFile, _: &File) {
        seq_print!(
            m,
            "haiov-vms:\t{}\nhaiov-routes:\t{}\nhaiov-vcpus:\t{}\nhaiov-mmio-ranges:\t{}\n\
             haiov-signals:\t{}\nhaiov-contexts:\t{}\nhaiov-listenings:\t{}\n",
            this.counts.vms(),
            this.counts.routes(),
            this.counts.vcpus(),
            this.counts.mmio_ranges(),
            this.counts.signals(),
            this.counts.contexts(),
            this.counts.listenings(),
        );
    }
}

#[pinned_drop]
impl PinnedDrop for DeviceFile {
    fn drop(self: Pin<&mut Self>) {
        let mut objects = self.objects.lock();

        // Leaf first.
        Object::unplace_routes(&objects);
        objects.drain(Object::is_leaf).for_each(drop);
        objects.drain(|_| true).for_each(drop);
    }
}
