//! The StatsD sockets: UDP, TCP, Unix datagrams and Unix streams.
//!
//! In: bytes. Out: chunks of whole lines, each with its origin, to the worker's queue, and flush
//! requests by the clock on the wall. Never here: parsing.
//!
//! [`datagram`] takes datagrams on threads of their own, [`stream`] serves connections as tasks,
//! [`socket`] binds, [`source`] tells senders apart.

pub mod batch;
pub mod datagram;
pub mod socket;
pub mod source;
pub mod stream;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use self::batch::Datagrams;
use self::datagram::DatagramListener;
use self::socket::Bound;
use self::source::{AddressRange, Origin, Sources};
use self::stream::{Meters, StreamServer};
use super::kernel;
use super::memory::Memory;
use super::metrics::{Meter, StatsdMetrics};
use super::relay::RelayOptions;
use super::resolve::Resolver;
use super::status::Report;
use super::worker::{Message, QUEUE_CHUNKS_MAX, Worker};
use crate::ingest::Ingest;
use crate::model::Clock;

/// Lines are handed on in chunks of about this size when there are many.
const CHUNK_BYTES: usize = 64 << 10;
/// Most connections of one listener at a time; each holds a buffer of up to 128 KiB.
pub const CONNECTIONS_MAX: usize = 256;
/// A connection without a byte for so long is closed: its sender is gone.
pub const IDLE_MAX: Duration = Duration::from_secs(3600);
/// How long a stop waits for bytes that are still in the sockets.
const DRAIN_MAX: Duration = Duration::from_secs(1);
/// A peer that sends nothing for so long during the stop has nothing more to say.
const DRAIN_PAUSE: Duration = Duration::from_millis(10);
/// How often relayed lines leave at the latest.
const RELAY_EVERY: Duration = Duration::from_secs(1);

/// One network address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The address. Port 0 takes any port free for all transports asked for.
    pub address: SocketAddr,
    /// Whether over UDP.
    pub udp: bool,
    /// Whether over TCP.
    pub tcp: bool,
    /// Who sends there.
    pub origin: Origin,
}

impl Listen {
    /// UDP and TCP for everybody.
    pub fn both(address: SocketAddr) -> Listen {
        Listen { address, udp: true, tcp: true, origin: Origin::default() }
    }
}

/// How the receiver listens and aggregates.
#[derive(Clone, Debug)]
pub struct Options {
    /// Network addresses.
    pub listens: Vec<Listen>,
    /// Path of a Unix datagram socket.
    pub unixgram: Option<PathBuf>,
    /// Path of a Unix stream socket.
    pub unix: Option<PathBuf>,
    /// Permissions of the Unix sockets.
    pub unix_mode: u32,
    /// Senders told apart by their address.
    pub ranges: Vec<(AddressRange, Origin)>,
    /// Size asked for the UDP receive buffers in bytes.
    pub read_buffer_bytes: usize,
    /// How often the values are written.
    pub flush_interval: Duration,
    /// Most stored series; samples of further ones are refused and counted.
    pub series_max: usize,
    /// Where lines are handed on to.
    pub relay: Option<RelayOptions>,
}

impl Options {
    /// Default time between two writes.
    pub const FLUSH_INTERVAL: Duration = Duration::from_secs(10);
    /// Default series limit. A summary with much traffic takes up to 140 KiB, a counter 300 bytes.
    pub const SERIES_MAX: usize = 100_000;
    /// Default size of the UDP receive buffer: a second of 80 thousand datagrams of 100 bytes.
    pub const READ_BUFFER_BYTES: usize = 8 << 20;
    /// Default permissions of Unix sockets (statsd_exporter's).
    pub const UNIX_MODE: u32 = 0o755;

    /// The defaults on one address.
    pub fn new(listen: SocketAddr) -> Options {
        Options { listens: vec![Listen::both(listen)], ..Options::default() }
    }
}

impl Default for Options {
    fn default() -> Options {
        Options {
            listens: Vec::new(),
            unixgram: None,
            unix: None,
            unix_mode: Options::UNIX_MODE,
            ranges: Vec::new(),
            read_buffer_bytes: Options::READ_BUFFER_BYTES,
            flush_interval: Options::FLUSH_INTERVAL,
            series_max: Options::SERIES_MAX,
            relay: None,
        }
    }
}

/// Lines and who sent them.
#[derive(Clone, Debug)]
pub struct Lines {
    /// Who.
    pub origin: Origin,
    /// The lines, separated by line feeds.
    pub lines: Vec<u8>,
}

/// What the rest of the server asks of a running receiver. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StatsdHandle {
    queue: mpsc::WeakSender<Message>,
}

impl StatsdHandle {
    /// Puts new rules in force; false when the receiver is gone or has no room for orders.
    pub fn reload(&self, resolver: Resolver) -> bool {
        let order = Message::Reload(Box::new(resolver));
        self.queue.upgrade().is_some_and(|queue| queue.try_send(order).is_ok())
    }

    /// What the receiver holds and has refused; with `explain` also what would become of that line.
    /// `None` when the receiver is gone.
    pub async fn report(&self, explain: Option<String>) -> Option<Report> {
        let (answer, report) = oneshot::channel();
        self.queue.upgrade()?.send(Message::Report(explain, answer)).await.ok()?;
        report.await.ok()
    }
}

/// A bound StatsD receiver.
pub struct StatsdServer {
    bound: Vec<Bound>,
    addresses: Vec<SocketAddr>,
    options: Options,
    metrics: Arc<StatsdMetrics>,
    queue: mpsc::Sender<Message>,
    worker: JoinHandle<()>,
}

impl fmt::Debug for StatsdServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatsdServer").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

impl StatsdServer {
    /// Binds all sockets and starts the worker thread, which goes on where `memory` says the last
    /// run ended. Call it inside a tokio runtime.
    ///
    /// # Errors
    /// An address cannot be bound, or the thread cannot be started; the message names the address.
    pub fn bind(
        options: Options,
        resolver: Resolver,
        ingest: Ingest,
        clock: Arc<dyn Clock>,
        metrics: Arc<StatsdMetrics>,
        memory: Option<Memory>,
    ) -> io::Result<StatsdServer> {
        let (bound, addresses) = socket::bind_all(&options)?;
        let (queue, inbox) = mpsc::channel(QUEUE_CHUNKS_MAX);
        let worker = Worker::new(&options, resolver, ingest, clock, Arc::clone(&metrics), memory)?;
        let worker = worker.spawn(inbox)?;
        Ok(StatsdServer { bound, addresses, options, metrics, queue, worker })
    }

    /// The first network address.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.addresses.first().copied()
    }

    /// All network addresses, in the order of the options.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The way to ask the running receiver.
    pub fn handle(&self) -> StatsdHandle {
        StatsdHandle { queue: self.queue.downgrade() }
    }

    /// Serves until `shutdown` resolves; then takes what is still in the sockets, writes everything
    /// a last time and returns when it is on disk (or could not be written).
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let StatsdServer { bound, addresses, options, metrics, queue, worker } = self;
        let listeners = Listeners::start(bound, &options, &queue, &metrics);
        flush_until(shutdown, &options, &addresses, &queue, &metrics).await;
        listeners.stop().await;
        flush(&queue, &metrics).await;
        drop(queue);
        // The thread ends by itself now that no sender is left; it is not joined on the runtime.
        let ended = tokio::task::spawn_blocking(move || worker.join());
        if !matches!(ended.await, Ok(Ok(()))) {
            tracing::error!("BUG: the statsd thread panicked");
        }
        for path in options.unixgram.iter().chain(&options.unix) {
            // Gone already, perhaps; the next start removes it anyway.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// What listens.
struct Listeners {
    tasks: JoinSet<()>,
    threads: Vec<JoinHandle<()>>,
    stop: watch::Sender<bool>,
    stopping: Arc<AtomicBool>,
}

impl Listeners {
    fn start(
        bound: Vec<Bound>,
        options: &Options,
        queue: &mpsc::Sender<Message>,
        metrics: &Arc<StatsdMetrics>,
    ) -> Listeners {
        let (stop, is_stopping) = watch::channel(false);
        let stopping = Arc::new(AtomicBool::new(false));
        let (mut tasks, mut threads) = (JoinSet::new(), Vec::new());
        let server = |origin, meters, packets| StreamServer {
            origin,
            queue: queue.clone(),
            metrics: Arc::clone(metrics),
            meters,
            packets,
            stopping: is_stopping.clone(),
        };
        for listener in bound {
            let (socket, default) = match listener {
                Bound::Tcp(listener, origin) => {
                    let server = server(origin, Meters::TCP, false);
                    tasks.spawn(serve_all(Acceptor::Tcp(listener), server));
                    continue;
                }
                Bound::Unix(listener) => {
                    let server = server(Origin::default(), Meters::UNIX, true);
                    tasks.spawn(serve_all(Acceptor::Unix(listener), server));
                    continue;
                }
                Bound::Udp(socket, origin) => (Datagrams::Udp(socket), origin),
                Bound::Unixgram(socket) => (Datagrams::Unix(socket), Origin::default()),
            };
            let thread = DatagramListener {
                socket,
                sources: Sources { ranges: options.ranges.clone(), default },
                queue: queue.clone(),
                metrics: Arc::clone(metrics),
                stopping: Arc::clone(&stopping),
            };
            match thread.spawn() {
                Ok(thread) => threads.push(thread),
                Err(error) => tracing::error!(%error, "cannot start a statsd thread"),
            }
        }
        Listeners { tasks, threads, stop, stopping }
    }

    /// Takes what was sent before the stop and returns when nothing listens any more.
    async fn stop(mut self) {
        self.stopping.store(true, Ordering::Release);
        self.stop.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
        let joined = tokio::task::spawn_blocking(move || {
            self.threads.into_iter().all(|thread| thread.join().is_ok())
        });
        if !matches!(joined.await, Ok(true)) {
            tracing::error!("BUG: a statsd thread panicked");
        }
    }
}

async fn flush_until(
    shutdown: impl Future<Output = ()>,
    options: &Options,
    addresses: &[SocketAddr],
    queue: &mpsc::Sender<Message>,
    metrics: &StatsdMetrics,
) {
    let mut shutdown = std::pin::pin!(shutdown);
    let every = |period: Duration| {
        let mut ticks = interval_at(Instant::now() + period, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        ticks
    };
    let mut flushes = every(options.flush_interval.max(Duration::from_millis(1)));
    let mut relays = every(RELAY_EVERY);
    loop {
        tokio::select! {
            () = &mut shutdown => return,
            _ = flushes.tick() => {
                if !flush(queue, metrics).await {
                    return;
                }
                let drops = addresses.iter().filter_map(|address| kernel::drops(*address));
                metrics.set(Meter::UdpKernelDrops, drops.sum());
            }
            _ = relays.tick(), if options.relay.is_some() => {
                // A worker too busy to take it sends full datagrams anyway.
                let _ = queue.try_send(Message::Relay);
            }
        }
    }
}

/// Asks the worker to flush and waits until that is on disk; false when the worker is gone.
async fn flush(queue: &mpsc::Sender<Message>, metrics: &StatsdMetrics) -> bool {
    let (answer, submitted) = oneshot::channel();
    if queue.send(Message::Flush(answer)).await.is_err() {
        return false;
    }
    let Ok(submitted) = submitted.await else { return false };
    let written = submitted.written(metrics).await;
    queue.send(Message::Written(written)).await.is_ok()
}

/// A listening stream socket.
enum Acceptor {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Acceptor {
    async fn accept(&self) -> io::Result<Connection> {
        match self {
            Acceptor::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Without keep-alive a vanished peer is found by the idle limit only: good enough.
                let _ = SockRef::from(&stream).set_keepalive(true);
                Ok(Connection::Tcp(stream))
            }
            Acceptor::Unix(listener) => Ok(Connection::Unix(listener.accept().await?.0)),
        }
    }
}

/// An accepted connection.
enum Connection {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Serves what connects until the stop, at most [`CONNECTIONS_MAX`] at a time.
async fn serve_all(acceptor: Acceptor, server: StreamServer) {
    let mut stopping = server.stopping.clone();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = acceptor.accept() => accepted,
            _ = stopping.wait_for(|stop| *stop) => break,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok(connection) if connections.len() < CONNECTIONS_MAX => {
                server.metrics.count(server.meters.connections, 1);
                let server = server.clone();
                connections.spawn(async move {
                    match connection {
                        Connection::Tcp(stream) => server.serve(stream).await,
                        Connection::Unix(stream) => server.serve(stream).await,
                    }
                });
            }
            Ok(_) => server.metrics.count(server.meters.errors, 1),
            Err(_) => {
                // Out of file descriptors, most likely: do not spin.
                server.metrics.count(server.meters.errors, 1);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(acceptor);
    while connections.join_next().await.is_some() {}
}

#[cfg(test)]
mod tests;
