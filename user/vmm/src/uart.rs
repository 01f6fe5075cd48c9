// SPDX-License-Identifier: MIT OR Apache-2.0
//! The serial port: a 16550A whose registers a handler of UER can serve as well as an exit.
//!
//! It sends as fast as the guest writes, so that its transmitter is always empty. Its interrupt line is wired to an input
//! that looks for edges.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use haiov::uer::{Caller, Device, Event, Punt, TryGuard, TryLock};
use nix::sys::eventfd::EventFd;
use serde::{Deserialize, Serialize};
use vm_superio::Trigger;

use crate::output::Output;

/// Registers, by offset.
const DATA: u64 = 0;
const INTERRUPT_ENABLE: u64 = 1;
const INTERRUPT_ID: u64 = 2;
const LINE_CONTROL: u64 = 3;
const MODEM_CONTROL: u64 = 4;
const LINE_STATUS: u64 = 5;
const MODEM_STATUS: u64 = 6;
const SCRATCH: u64 = 7;

const IER_RECEIVED: u8 = 1 << 0;
const IER_SENT: u8 = 1 << 1;
const IER_VALID: u8 = 0xf;
const IIR_NONE: u8 = 0x01;
const IIR_SENT: u8 = 0x02;
const IIR_RECEIVED: u8 = 0x04;
const IIR_FIFO: u8 = 0xc0;
const FCR_FIFO: u8 = 1 << 0;
const FCR_CLEAR_RECEIVED: u8 = 1 << 1;
const LCR_DIVISOR: u8 = 1 << 7;
const MCR_LOOP: u8 = 1 << 4;
const LSR_RECEIVED: u8 = 1 << 0;
/// Holding register and transmitter are empty.
const LSR_SENT: u8 = 0x60;
/// Carrier, ready, and clear to send: somebody listens.
const MSR_CONNECTED: u8 = 0xb0;

/// How many bytes of input the port holds.
pub const INPUT_CAPACITY: usize = 64;

/// Bytes in order, in a place of their own: a handler has no heap.
#[derive(Clone, Copy)]
struct Fifo {
    bytes: [u8; INPUT_CAPACITY],
    first: usize,
    len: usize,
}

impl Fifo {
    const EMPTY: Self = Self { bytes: [0; INPUT_CAPACITY], first: 0, len: 0 };

    fn room(&self) -> usize {
        INPUT_CAPACITY.saturating_sub(self.len)
    }

    /// Adds a byte; one for which there is no room is lost.
    fn push(&mut self, byte: u8) {
        if self.room() > 0 {
            self.bytes[(self.first + self.len) % INPUT_CAPACITY] = byte;
            self.len += 1;
        }
    }

    /// Takes the first byte; 0 when there is none.
    fn pop(&mut self) -> u8 {
        if self.len == 0 {
            return 0;
        }
        let byte = self.bytes[self.first % INPUT_CAPACITY];
        self.first = (self.first + 1) % INPUT_CAPACITY;
        self.len -= 1;
        byte
    }
}

/// What one vCPU at a time may see.
struct Port {
    interrupt_enable: u8,
    fifo: bool,
    line_control: u8,
    modem_control: u8,
    scratch: u8,
    divisor: [u8; 2],
    input: Fifo,
    /// Whether there is somebody to be told when the guest has read all of the input.
    input_waits: bool,
    /// That the holding register became empty, and the guest does not know yet.
    sent: bool,
    /// The interrupt line.
    line: bool,
}

impl Port {
    fn new() -> Self {
        Self {
            interrupt_enable: 0,
            fifo: false,
            line_control: 0,
            modem_control: 0x08, // OUT2: firmware has enabled the interrupt
            scratch: 0,
            divisor: [12, 0], // 9600 baud
            input: Fifo::EMPTY,
            input_waits: false,
            sent: true,
            line: false,
        }
    }

    fn divisor_latch(&self) -> bool {
        self.line_control & LCR_DIVISOR != 0
    }

    /// The cause of the interrupt, by priority.
    fn interrupt(&self) -> u8 {
        if self.interrupt_enable & IER_RECEIVED != 0 && self.input.len > 0 {
            IIR_RECEIVED
        } else if self.interrupt_enable & IER_SENT != 0 && self.sent {
            IIR_SENT
        } else {
            IIR_NONE
        }
    }

    fn read(&mut self, register: u64) -> u8 {
        match register {
            DATA if self.divisor_latch() => self.divisor[0],
            DATA => self.input.pop(),
            INTERRUPT_ENABLE if self.divisor_latch() => self.divisor[1],
            INTERRUPT_ENABLE => self.interrupt_enable,
            INTERRUPT_ID => {
                let interrupt = self.interrupt();
                // Being told of it acknowledges it.
                self.sent &= interrupt != IIR_SENT;
                interrupt | if self.fifo { IIR_FIFO } else { 0 }
            }
            LINE_CONTROL => self.line_control,
            MODEM_CONTROL => self.modem_control,
            LINE_STATUS => LSR_SENT | if self.input.len == 0 { 0 } else { LSR_RECEIVED },
            MODEM_STATUS if self.modem_control & MCR_LOOP != 0 => {
                // DTR, RTS, OUT1 and OUT2 come back as DSR, CTS, RI and DCD.
                let m = self.modem_control;
                (m & 1) << 5 | (m & 2) << 3 | (m & 4) << 4 | (m & 8) << 4
            }
            MODEM_STATUS => MSR_CONNECTED,
            SCRATCH => self.scratch,
            _ => 0,
        }
    }

    /// Whether a store to a register sends a byte.
    fn sends(&self, register: u64) -> bool {
        register == DATA && !self.divisor_latch() && self.modem_control & MCR_LOOP == 0
    }

    /// Whether a store to a register drops the input.
    fn clears(register: u64, value: u8) -> bool {
        register == INTERRUPT_ID && value & FCR_CLEAR_RECEIVED != 0
    }

    fn write(&mut self, register: u64, value: u8) {
        match register {
            DATA if self.divisor_latch() => self.divisor[0] = value,
            DATA => {
                if self.modem_control & MCR_LOOP != 0 {
                    self.input.push(value);
                }
                self.sent = true;
            }
            INTERRUPT_ENABLE if self.divisor_latch() => self.divisor[1] = value,
            INTERRUPT_ENABLE => {
                // The holding register is empty, which raises the interrupt as soon as it is enabled.
                self.sent |= value & !self.interrupt_enable & IER_SENT != 0;
                self.interrupt_enable = value & IER_VALID;
            }
            INTERRUPT_ID => {
                self.fifo = value & FCR_FIFO != 0;
                if Self::clears(register, value) {
                    self.input.len = 0;
                }
            }
            LINE_CONTROL => self.line_control = value,
            MODEM_CONTROL => self.modem_control = value,
            SCRATCH => self.scratch = value,
            _ => {}
        }
    }
}

/// State of a port, as a snapshot holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    interrupt_enable: u8,
    fifo: bool,
    line_control: u8,
    modem_control: u8,
    scratch: u8,
    divisor: [u8; 2],
    input: Vec<u8>,
    sent: bool,
}

/// The serial port.
pub struct Uart<I, W> {
    port: TryLock<Port>,
    output: Arc<Output<W>>,
    /// The line, where a thread may drive it.
    line: I,
    /// What a handler signals instead; whoever reads it drives the line.
    edge: Event,
    /// Whether an edge was asked for by `edge` and not made yet: it will do for whatever happens until then.
    edge_under_way: AtomicBool,
    /// Tells the input thread that the guest has read everything.
    room: Arc<EventFd>,
}

impl<I: Trigger + Send + Sync, W: Write + Send> Uart<I, W> {
    /// Makes the device.
    ///
    /// # Arguments
    ///
    /// * `line` - makes an edge on the interrupt line.
    /// * `edge` - what a handler signals, so that somebody does that for it.
    /// * `output` - where the guest's output goes.
    ///
    /// # Errors
    ///
    /// The system's error when there can be no further eventfd.
    pub fn new(line: I, edge: Event, output: Arc<Output<W>>) -> std::io::Result<Self> {
        let room = Arc::new(EventFd::new()?);
        let edge_under_way = AtomicBool::new(false);
        Ok(Self { port: TryLock::new(Port::new()), output, line, edge, edge_under_way, room })
    }

    /// Where the guest's output goes.
    pub fn output(&self) -> &Arc<Output<W>> {
        &self.output
    }

    /// What handlers signal for an edge.
    pub fn edge(&self) -> &Event {
        &self.edge
    }

    /// What is signaled when the guest has read everything, after [`Uart::room`] gave 0.
    pub fn emptied(&self) -> Arc<EventFd> {
        self.room.clone()
    }

    /// How much more input the port holds.
    pub fn room(&self) -> usize {
        let Ok(mut port) = self.port.lock() else { return 0 };
        let room = port.input.room();
        port.input_waits = room == 0;
        room
    }

    /// Takes input, as much as there is room for. A guest that tests its port in loop-back mode hears nothing else
    /// meanwhile.
    ///
    /// # Arguments
    ///
    /// * `bytes` - the input.
    pub fn receive(&self, bytes: &[u8]) {
        let Ok(mut port) = self.port.lock() else { return };
        if port.modem_control & MCR_LOOP == 0 {
            bytes.iter().for_each(|byte| port.input.push(*byte));
        }
        self.settle(Caller::outside(), &mut port);
    }

    /// Makes an edge on the line, after a handler has signaled that there is to be one.
    pub fn interrupt(&self) {
        // First, so that a handler that wants one from now on asks for another.
        self.edge_under_way.store(false, Ordering::SeqCst);
        // KVM refuses only numbers that the machine does not have.
        let _ = self.line.trigger();
    }

    /// State of the port, whose output is out already.
    ///
    /// # Errors
    ///
    /// [`Punt`] when a handler was ended in the port.
    pub fn save(&self) -> Result<State, Punt> {
        let port = self.port.lock()?;
        let mut input = port.input;
        Ok(State {
            interrupt_enable: port.interrupt_enable,
            fifo: port.fifo,
            line_control: port.line_control,
            modem_control: port.modem_control,
            scratch: port.scratch,
            divisor: port.divisor,
            input: (0..input.len).map(|_| input.pop()).collect(),
            sent: port.sent,
        })
    }

    /// Puts a new port into a state that was saved; the interrupt controllers are there already.
    ///
    /// # Arguments
    ///
    /// * `state` - what [`Uart::save`] gave.
    ///
    /// # Errors
    ///
    /// [`Punt`] when the port is not new.
    pub fn restore(&self, state: &State) -> Result<(), Punt> {
        let mut port = self.port.lock()?;
        port.interrupt_enable = state.interrupt_enable;
        port.fifo = state.fifo;
        port.line_control = state.line_control;
        port.modem_control = state.modem_control;
        port.scratch = state.scratch;
        port.divisor = state.divisor;
        port.input = Fifo::EMPTY;
        state.input.iter().for_each(|byte| port.input.push(*byte));
        port.sent = state.sent;
        // The edge may have been on its way. One too many does no harm.
        port.line = false;
        self.settle(Caller::outside(), &mut port);
        Ok(())
    }

    /// Has somebody make an edge, for a handler. One that is under way spares the call.
    fn ask(&self, caller: Caller<'_>) -> bool {
        if self.edge_under_way.load(Ordering::SeqCst) {
            return true;
        }
        // Before the signal, which may be answered at once. Two handlers cannot be here: the port is locked.
        self.edge_under_way.store(true, Ordering::SeqCst);
        let asked = self.edge.signal(caller).is_ok();
        if !asked {
            self.edge_under_way.store(false, Ordering::SeqCst);
        }
        asked
    }

    /// Tells who waits for it that the input is about to be empty.
    fn empty(&self, caller: Caller<'_>, port: &mut TryGuard<'_, Port>) -> Result<(), Punt> {
        if port.input_waits {
            // It fails only when the counter is full: the thread is told already.
            let _ = caller.after_exit(|| self.room.write(1))?;
            port.input_waits = false;
        }
        Ok(())
    }

    /// Lets the line follow the state of the port.
    fn settle(&self, caller: Caller<'_>, port: &mut TryGuard<'_, Port>) {
        let line = port.interrupt() != IIR_NONE;
        if line && !port.line {
            // An edge that could not be made is owed: the line is as it was, and the next access tries again.
            let made = caller.after_exit(|| self.line.trigger().is_ok());
            port.line = made.unwrap_or_else(|Punt| self.ask(caller));
        } else {
            port.line = line;
        }
    }
}

impl<I: Trigger + Send + Sync, W: Write + Send> Device for Uart<I, W> {
    fn read(&self, caller: Caller<'_>, offset: u64, size: u8) -> Result<u64, Punt> {
        if size != 1 || offset > SCRATCH {
            return Ok(0);
        }
        let mut port = self.port.enter(caller)?;
        if offset == DATA && port.input.len == 1 {
            self.empty(caller, &mut port)?;
        }
        let value = port.read(offset);
        self.settle(caller, &mut port);
        Ok(value.into())
    }

    fn write(&self, caller: Caller<'_>, offset: u64, value: u64, size: u8) -> Result<(), Punt> {
        if size != 1 || offset > SCRATCH {
            return Ok(());
        }
        let mut port = self.port.enter(caller)?;
        while port.sends(offset) && !self.output.push(caller, value as u8) {
            // Writing takes as long as whoever reads wants: not with the lock held, for which vCPUs wait.
            drop(port);
            caller.after_exit(|| self.output.drain())?;
            port = self.port.enter(caller)?;
        }
        if Port::clears(offset, value as u8) {
            self.empty(caller, &mut port)?;
        }
        port.write(offset, value as u8);
        self.settle(caller, &mut port);
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::io;
    use std::os::fd::AsFd;
    use std::sync::atomic::AtomicU32;

    /// Counts edges.
    pub(crate) struct Edges(pub(crate) Arc<AtomicU32>);

    impl Trigger for Edges {
        type E = io::Error;

        fn trigger(&self) -> io::Result<()> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    }

    /// A port, and how many edges its line has made.
    pub(crate) fn uart() -> (Arc<AtomicU32>, Uart<Edges, Shared>, Shared) {
        let edges = Arc::new(AtomicU32::new(0));
        let out = Shared::default();
        let event = Event::new(EventFd::new().unwrap().as_fd().try_clone_to_owned().unwrap());
        let output = Arc::new(Output::new(out.clone()).unwrap());
        (edges.clone(), Uart::new(Edges(edges), event, output).unwrap(), out)
    }

    /// Bytes that a test looks at.
    #[derive(Clone, Default)]
    pub(crate) struct Shared(Arc<std::sync::Mutex<Vec<u8>>>);

    impl Shared {
        pub(crate) fn get(&self) -> Vec<u8> {
            self.0.lock().unwrap().clone()
        }
    }

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    pub(crate) fn read(uart: &Uart<Edges, Shared>, register: u64) -> u8 {
        uart.read(Caller::outside(), register, 1).unwrap() as u8
    }

    pub(crate) fn write(uart: &Uart<Edges, Shared>, register: u64, value: u8) {
        uart.write(Caller::outside(), register, value.into(), 1).unwrap();
    }

    #[test]
    fn output_goes_out() {
        let (_, uart, out) = uart();
        for byte in b"hi" {
            write(&uart, DATA, *byte);
        }
        uart.write(Caller::outside(), DATA, 0x6564_6977, 4).unwrap(); // the port has registers of one byte
        uart.write(Caller::outside(), 8, b'x'.into(), 1).unwrap(); // and eight of them
        write(&uart, LINE_CONTROL, LCR_DIVISOR);
        write(&uart, DATA, 3); // the divisor
        assert_eq!((read(&uart, DATA), read(&uart, INTERRUPT_ENABLE)), (3, 0));
        write(&uart, LINE_CONTROL, 3);
        write(&uart, DATA, b'!');
        uart.output().drain();
        assert_eq!(out.get(), b"hi!");
    }

    #[test]
    fn more_than_the_ring_holds_goes_out() {
        let (_, uart, out) = uart();
        let sent: Vec<u8> = (0..=255).cycle().take(200_000).collect();
        for byte in &sent {
            write(&uart, DATA, *byte);
        }
        uart.output().drain();
        assert!(out.get() == sent);
    }

    #[test]
    fn the_line_rises_once_for_each_time_the_guest_was_told() {
        let (edges, uart, _) = uart();
        let edges = || edges.load(Ordering::Relaxed);
        assert_eq!(read(&uart, INTERRUPT_ID), IIR_NONE);
        write(&uart, INTERRUPT_ENABLE, IER_SENT);
        assert_eq!(edges(), 1, "the transmitter is empty");
        write(&uart, INTERRUPT_ID, FCR_FIFO);
        assert_eq!(read(&uart, INTERRUPT_ID), IIR_SENT | IIR_FIFO);
        assert_eq!(read(&uart, INTERRUPT_ID), IIR_NONE | IIR_FIFO, "reading acknowledges");
        for _ in 0..16 {
            write(&uart, DATA, b'x');
        }
        assert_eq!(edges(), 2, "one edge until the guest asks");
        assert_eq!(read(&uart, INTERRUPT_ID), IIR_SENT | IIR_FIFO);
        write(&uart, INTERRUPT_ENABLE, 0);
        write(&uart, DATA, b'x');
        assert_eq!((edges(), read(&uart, INTERRUPT_ID)), (2, IIR_NONE | IIR_FIFO), "disabled");
    }

    #[test]
    fn input_raises_the_interrupt_before_output_does() {
        let (edges, uart, _) = uart();
        write(&uart, INTERRUPT_ENABLE, IER_RECEIVED | IER_SENT);
        uart.receive(b"ab");
        assert_eq!(edges.load(Ordering::Relaxed), 1, "the line is up");
        assert_eq!(read(&uart, INTERRUPT_ID), IIR_RECEIVED);
        assert_eq!(read(&uart, LINE_STATUS), LSR_SENT | LSR_RECEIVED);
        assert_eq!([read(&uart, DATA), read(&uart, DATA)], *b"ab");
        assert_eq!((read(&uart, LINE_STATUS), read(&uart, DATA)), (LSR_SENT, 0));
        assert_eq!(read(&uart, INTERRUPT_ID), IIR_SENT);
        uart.receive(b"c");
        assert_eq!(edges.load(Ordering::Relaxed), 2);
        write(&uart, INTERRUPT_ID, FCR_CLEAR_RECEIVED);
        assert_eq!(read(&uart, INTERRUPT_ID), IIR_NONE);
    }

    #[test]
    fn loop_back_is_what_drivers_test() {
        let (_, uart, out) = uart();
        write(&uart, MODEM_CONTROL, MCR_LOOP | 0x0a); // RTS and OUT2
        assert_eq!(read(&uart, MODEM_STATUS), 0x90); // CTS and DCD
        write(&uart, DATA, b'x');
        uart.receive(b"y");
        assert_eq!([read(&uart, DATA), read(&uart, DATA)], [b'x', 0]);
        write(&uart, MODEM_CONTROL, 0x0b);
        assert_eq!(read(&uart, MODEM_STATUS), MSR_CONNECTED);
        write(&uart, SCRATCH, 0x5a);
        assert_eq!((read(&uart, SCRATCH), read(&uart, MODEM_CONTROL)), (0x5a, 0x0b));
        assert!(!uart.output().drain() && out.get().is_empty());
    }

    #[test]
    fn a_saved_port_goes_on_elsewhere() {
        let (_, old, _) = uart();
        write(&old, LINE_CONTROL, LCR_DIVISOR);
        write(&old, DATA, 3);
        write(&old, LINE_CONTROL, 0x1b);
        write(&old, INTERRUPT_ID, FCR_FIFO);
        write(&old, MODEM_CONTROL, 0x0b);
        write(&old, SCRATCH, 0x5a);
        write(&old, INTERRUPT_ENABLE, IER_RECEIVED);
        old.receive(b"xab");
        read(&old, DATA);
        let state = postcard::to_stdvec(&old.save().unwrap()).unwrap();

        let (edges, new, _) = uart();
        new.restore(&postcard::from_bytes(&state).unwrap()).unwrap();
        assert_eq!(edges.load(Ordering::Relaxed), 1, "the interrupt that the guest has not served");
        assert_eq!(read(&new, INTERRUPT_ID), IIR_RECEIVED | IIR_FIFO);
        assert_eq!([LINE_CONTROL, MODEM_CONTROL, SCRATCH].map(|r| read(&new, r)), [0x1b, 0x0b, 0x5a]);
        assert_eq!([read(&new, DATA), read(&new, DATA)], *b"ab");
        assert_eq!(read(&new, LINE_STATUS), LSR_SENT);
        write(&new, LINE_CONTROL, LCR_DIVISOR);
        assert_eq!(read(&new, DATA), 3);
    }

    #[test]
    fn a_full_port_tells_when_it_is_empty() {
        let (_, uart, _) = uart();
        assert_eq!(uart.room(), INPUT_CAPACITY);
        uart.receive(&[7; INPUT_CAPACITY + 9]);
        assert_eq!(uart.room(), 0);
        for _ in 0..INPUT_CAPACITY {
            assert_eq!(read(&uart, DATA), 7);
        }
        assert_eq!(uart.emptied().read().unwrap(), 1);
        assert_eq!((uart.room(), read(&uart, DATA)), (INPUT_CAPACITY, 0), "what was too much is lost");

        // As drivers do when they open the port.
        uart.receive(&[8; INPUT_CAPACITY]);
        assert_eq!(uart.room(), 0);
        write(&uart, INTERRUPT_ID, FCR_FIFO | FCR_CLEAR_RECEIVED);
        assert!(crate::wait::is_readable(&uart.emptied()).unwrap(), "whoever waits goes on waiting");
        assert_eq!(uart.room(), INPUT_CAPACITY);
    }
}
