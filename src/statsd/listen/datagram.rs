//! The threads that take datagrams out of their sockets.
//!
//! In: datagrams. Out: chunks of lines to the worker's queue. Never here: parsing.
//!
//! A thread of its own, and no task of the runtime: the kernel's buffer holds milliseconds of a busy
//! sender, and a task may have to wait that long for its turn. While the worker is busy datagrams
//! are gathered into larger chunks, so that the queue bounds bytes and not datagrams. UDP senders do
//! not wait: what finds no room is dropped and counted. Unix senders do.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::SockRef;
use tokio::sync::mpsc;

use super::batch::{BATCH, Datagrams, Receiver};
use super::source::{Origin, Sources};
use super::{CHUNK_BYTES, Lines};
use crate::statsd::metrics::{Meter, StatsdMetrics};
use crate::statsd::worker::Message;

/// Most bytes gathered for one origin while the queue is full.
const PENDING_BYTES_MAX: usize = 4 << 20;
/// How long a thread waits for a datagram before it looks whether it should stop.
pub const PATIENCE: Duration = Duration::from_millis(50);
/// Most batches taken after the stop, should senders go on without end.
const DRAIN_BATCHES_MAX: usize = 1024;
/// Pause after a batch that was not full: a wake-up for every datagram would cost more than the
/// datagram. A buffer of [`GATHER_BUFFER_BYTES`] holds three times what a sender of 200 000 small
/// datagrams a second sends meanwhile.
const GATHER: Duration = Duration::from_millis(2);
/// Batches that are gathered before an idle worker is woken up, for the same reason; about 10 ms of
/// a busy sender. After [`PATIENCE`] without a datagram it is woken up in any case.
const GATHER_BATCHES: u32 = 5;
/// Smallest receive buffer with which it pauses.
const GATHER_BUFFER_BYTES: usize = 1 << 20;
/// Pause after an error of the socket, so that a broken one does not spin.
const ERROR_PAUSE: Duration = Duration::from_millis(100);

/// What a thread takes from and where it puts it.
pub struct DatagramListener {
    /// The socket; it has the read timeout [`PATIENCE`].
    pub socket: Datagrams,
    /// Who the senders are.
    pub sources: Sources,
    /// The worker's queue.
    pub queue: mpsc::Sender<Message>,
    /// Where packets and drops are counted.
    pub metrics: Arc<StatsdMetrics>,
    /// Set when the receiver stops.
    pub stopping: Arc<AtomicBool>,
}

/// Datagrams gathered for one origin.
struct Pending {
    origin: Origin,
    lines: Vec<u8>,
    packets: u64,
}

impl DatagramListener {
    /// Starts the thread; it ends when `stopping` is set and the socket is empty.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn spawn(self) -> io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name("statsd-recv".into()).spawn(move || self.run())
    }

    fn run(self) {
        let DatagramListener { socket, sources, queue, metrics, stopping } = self;
        let waits = matches!(socket, Datagrams::Unix(_));
        let (received, dropped) = match waits {
            true => (Meter::UnixgramPackets, Meter::UnixgramPacketDrops),
            false => (Meter::UdpPackets, Meter::UdpPacketDrops),
        };
        let gathers = buffer_bytes(&socket) >= GATHER_BUFFER_BYTES;
        let mut receiver = Receiver::new(socket, sources.needs_address());
        let mut outlet = Outlet { queue, waits, pending: Vec::new(), dropped: 0, batches: 0 };
        let mut batches_left = DRAIN_BATCHES_MAX;
        loop {
            let stop = stopping.load(Ordering::Acquire);
            let mut packets = 0;
            let outcome = receiver.receive(!stop, |bytes, sender| {
                packets += 1;
                outlet.gather(sources.origin(sender), bytes);
            });
            metrics.count(received, packets);
            outlet.push(packets == 0);
            metrics.count(dropped, std::mem::take(&mut outlet.dropped));
            if let Err(error) = outcome {
                if stop {
                    break;
                }
                pause_after(&error);
            }
            if gathers && !stop && (1..BATCH as u64).contains(&packets) {
                std::thread::sleep(GATHER);
            }
            batches_left -= usize::from(stop);
            if batches_left == 0 {
                break;
            }
        }
        outlet.finish();
        metrics.count(dropped, outlet.dropped);
    }
}

/// Size of the receive buffer; 0 for Unix sockets, whose senders wait.
fn buffer_bytes(socket: &Datagrams) -> usize {
    match socket {
        Datagrams::Udp(socket) => SockRef::from(socket).recv_buffer_size().unwrap_or(0),
        Datagrams::Unix(_) => 0,
    }
}

fn pause_after(error: &io::Error) {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    if !matches!(error.kind(), WouldBlock | TimedOut | Interrupted) {
        tracing::debug!(%error, "cannot receive statsd datagrams");
        std::thread::sleep(ERROR_PAUSE);
    }
}

/// The way into the queue.
struct Outlet {
    queue: mpsc::Sender<Message>,
    /// Whether a full queue holds the senders back.
    waits: bool,
    pending: Vec<Pending>,
    /// Packets dropped and not yet counted.
    dropped: u64,
    /// Batches since an idle worker was given everything.
    batches: u32,
}

impl Outlet {
    fn gather(&mut self, origin: Origin, bytes: &[u8]) {
        let pending = match self.pending.iter_mut().position(|pending| pending.origin == origin) {
            Some(at) => &mut self.pending[at],
            None => {
                self.pending.push(Pending { origin, lines: Vec::new(), packets: 0 });
                self.pending.last_mut().expect("BUG: just pushed")
            }
        };
        pending.lines.extend_from_slice(bytes);
        pending.lines.push(b'\n');
        pending.packets += 1;
    }

    /// Hands over what is large enough, or everything when the socket is `idle` or the worker has
    /// been for some batches.
    fn push(&mut self, idle: bool) {
        self.batches += 1;
        let worker_idle =
            self.batches >= GATHER_BATCHES && self.queue.capacity() == self.queue.max_capacity();
        if worker_idle || idle {
            self.batches = 0;
        }
        for pending in &mut self.pending {
            let size = pending.lines.len();
            if pending.packets == 0 || !(idle || worker_idle || size >= CHUNK_BYTES) {
                continue;
            }
            let lines = std::mem::take(&mut pending.lines);
            let message = Message::Lines(Lines { origin: pending.origin, lines });
            let refused = match self.waits {
                true => self.queue.blocking_send(message).err().map(|refused| refused.0),
                false => self.queue.try_send(message).err().map(|refused| refused.into_inner()),
            };
            match refused {
                None => pending.packets = 0,
                Some(Message::Lines(back)) if size < PENDING_BYTES_MAX => {
                    pending.lines = back.lines
                }
                Some(_) => self.dropped += std::mem::take(&mut pending.packets),
            }
        }
    }

    /// Hands over the rest, for which the queue is waited: nobody sends any more.
    fn finish(&mut self) {
        self.waits = true;
        self.push(true);
    }
}
