//! The StatsD sockets: UDP and TCP on one address.
//!
//! In: bytes. Out: chunks of whole lines to the worker's queue, and flush requests by the clock on
//! the wall. Never here: parsing.
//!
//! UDP senders do not wait: what the queue cannot take is dropped and counted. TCP senders do: a
//! full queue holds their connection back.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::kernel;
use super::metrics::StatsdMetrics;
use super::worker::{Message, QUEUE_CHUNKS_MAX, Worker};
use crate::ingest::Ingest;
use crate::model::Clock;

/// Size asked for the UDP receive buffer in bytes: a second of 80 thousand datagrams of 100 bytes.
/// The kernel grants at most `net.core.rmem_max`.
pub const UDP_BUFFER_BYTES: usize = 8 << 20;
/// Datagrams are gathered into one chunk up to this size while more are waiting.
const CHUNK_BYTES: usize = 64 << 10;
/// Largest UDP payload.
const DATAGRAM_BYTES_MAX: usize = 65_507;
/// Longest line accepted over TCP, as long as the longest datagram; longer ones are discarded.
pub const TCP_LINE_BYTES_MAX: usize = 64 << 10;
/// Most TCP connections at a time; each holds a buffer of up to 128 KiB.
pub const TCP_CONNECTIONS_MAX: u64 = 256;
/// A TCP connection without a byte for so long is closed: its sender is gone.
pub const TCP_IDLE_MAX: Duration = Duration::from_secs(3600);
/// How long a stop waits for bytes that are still in the sockets.
const DRAIN_MAX: Duration = Duration::from_secs(1);
/// A peer that sends nothing for so long during the stop has nothing more to say.
const DRAIN_PAUSE: Duration = Duration::from_millis(10);
/// Most chunks of datagrams taken after the stop, should senders go on without end.
const DRAIN_CHUNKS_MAX: usize = 64;
/// Tries to find a port that is free for both UDP and TCP, when asked for any port.
const ANY_PORT_TRIES: usize = 16;

/// How the receiver listens and aggregates.
#[derive(Clone, Debug)]
pub struct Options {
    /// Address of both the UDP and the TCP socket. Port 0 takes any port free for both.
    pub listen: SocketAddr,
    /// How often the values are written.
    pub flush_interval: Duration,
    /// Most StatsD series; events of further ones are refused and counted.
    pub series_max: usize,
}

impl Options {
    /// Default time between two writes.
    pub const FLUSH_INTERVAL: Duration = Duration::from_secs(10);
    /// Default series limit. A summary with much traffic takes up to 140 KiB, a counter 300 bytes.
    pub const SERIES_MAX: usize = 100_000;

    /// The defaults on `listen`.
    pub fn new(listen: SocketAddr) -> Options {
        Options { listen, flush_interval: Options::FLUSH_INTERVAL, series_max: Options::SERIES_MAX }
    }
}

/// A bound StatsD receiver.
pub struct StatsdServer {
    udp: UdpSocket,
    tcp: TcpListener,
    local: SocketAddr,
    flush_interval: Duration,
    metrics: Arc<StatsdMetrics>,
    queue: mpsc::Sender<Message>,
    worker: JoinHandle<()>,
}

impl fmt::Debug for StatsdServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatsdServer").field("local", &self.local).finish_non_exhaustive()
    }
}

impl StatsdServer {
    /// Binds both sockets and starts the worker thread. Call it inside a tokio runtime.
    ///
    /// # Errors
    /// The address cannot be bound, or the thread cannot be started; the message names the address.
    pub fn bind(
        options: Options,
        ingest: Ingest,
        clock: Arc<dyn Clock>,
        metrics: Arc<StatsdMetrics>,
    ) -> io::Result<StatsdServer> {
        let (udp, tcp, local) = bind_both(options.listen).map_err(|error| {
            let address = options.listen;
            io::Error::new(error.kind(), format!("cannot listen for statsd on {address}: {error}"))
        })?;
        let (queue, inbox) = mpsc::channel(QUEUE_CHUNKS_MAX);
        let worker = Worker::new(options.series_max, ingest, clock, Arc::clone(&metrics));
        let worker = worker.spawn(inbox)?;
        let flush_interval = options.flush_interval.max(Duration::from_millis(1));
        Ok(StatsdServer { udp, tcp, local, flush_interval, metrics, queue, worker })
    }

    /// The address both sockets are bound to.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Serves until `shutdown` resolves; then takes what is still in the sockets, writes everything
    /// a last time and returns when it is on disk (or could not be written).
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let StatsdServer { udp, tcp, local, flush_interval, metrics, queue, worker } = self;
        let (stop, stopping) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(receive_udp(udp, queue.clone(), Arc::clone(&metrics), stopping.clone()));
        tasks.spawn(accept_tcp(tcp, queue.clone(), Arc::clone(&metrics), stopping));
        flush_until(shutdown, flush_interval, local, &queue, &metrics).await;
        stop.send_replace(true);
        while tasks.join_next().await.is_some() {}
        flush(&queue).await;
        drop(queue);
        // The thread ends by itself now that no sender is left; it is not joined on the runtime.
        let ended = tokio::task::spawn_blocking(move || worker.join());
        if !matches!(ended.await, Ok(Ok(()))) {
            tracing::error!("BUG: the statsd thread panicked");
        }
    }
}

fn bind_both(listen: SocketAddr) -> io::Result<(UdpSocket, TcpListener, SocketAddr)> {
    let mut tries = if listen.port() == 0 { ANY_PORT_TRIES } else { 1 };
    loop {
        tries -= 1;
        let tcp = bind_tcp(listen)?;
        let local = tcp.local_addr()?;
        match bind_udp(local) {
            Ok(udp) => return Ok((udp, tcp, local)),
            Err(error) if tries == 0 => return Err(error),
            Err(_) => {}
        }
    }
}

fn bind_tcp(listen: SocketAddr) -> io::Result<TcpListener> {
    let listener = Socket::new(Domain::for_address(listen), Type::STREAM, Some(Protocol::TCP))?;
    listener.set_reuse_address(true)?;
    listener.set_nonblocking(true)?;
    listener.bind(&listen.into())?;
    listener.listen(128)?;
    TcpListener::from_std(listener.into())
}

fn bind_udp(listen: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(listen), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_recv_buffer_size(UDP_BUFFER_BYTES)?;
    let granted = socket.recv_buffer_size()?;
    if granted < UDP_BUFFER_BYTES {
        tracing::info!(
            granted_bytes = granted,
            wanted_bytes = UDP_BUFFER_BYTES,
            "the kernel limits the statsd receive buffer, raise net.core.rmem_max if it drops packets"
        );
    }
    socket.bind(&listen.into())?;
    UdpSocket::from_std(socket.into())
}

async fn flush_until(
    shutdown: impl Future<Output = ()>,
    every: Duration,
    local: SocketAddr,
    queue: &mpsc::Sender<Message>,
    metrics: &StatsdMetrics,
) {
    let mut shutdown = std::pin::pin!(shutdown);
    let mut ticks = interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            () = &mut shutdown => return,
            _ = ticks.tick() => {}
        }
        if !flush(queue).await {
            return;
        }
        if let Some(drops) = kernel::drops(local) {
            metrics.kernel_drops.store(drops, Ordering::Relaxed);
        }
    }
}

/// Asks the worker to flush and waits until it has; false when the worker is gone.
async fn flush(queue: &mpsc::Sender<Message>) -> bool {
    let (answer, flushed) = oneshot::channel();
    queue.send(Message::Flush(answer)).await.is_ok() && flushed.await.is_ok()
}

async fn receive_udp(
    socket: UdpSocket,
    queue: mpsc::Sender<Message>,
    metrics: Arc<StatsdMetrics>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut datagram = vec![0; DATAGRAM_BYTES_MAX];
    let mut chunks_left = DRAIN_CHUNKS_MAX;
    loop {
        let (lines, packets) = drain(&socket, &mut datagram);
        let draining = *stopping.borrow();
        chunks_left -= usize::from(draining);
        if chunks_left == 0 {
            return;
        }
        if packets > 0 {
            metrics.udp_packets.fetch_add(packets, Ordering::Relaxed);
            if queue.try_send(Message::Lines(lines)).is_err() {
                metrics.udp_packet_drops.fetch_add(packets, Ordering::Relaxed);
            }
            tokio::task::yield_now().await;
            continue;
        }
        tokio::select! {
            readable = socket.readable() => if let Err(error) = readable {
                return tracing::error!(%error, "cannot receive statsd over udp any more");
            },
            _ = stopping.wait_for(|stop| *stop) => return,
        }
    }
}

/// The datagrams that wait in the socket, up to [`CHUNK_BYTES`], as lines; and how many they were.
fn drain(socket: &UdpSocket, datagram: &mut [u8]) -> (Vec<u8>, u64) {
    let (mut lines, mut packets) = (Vec::new(), 0);
    while lines.len() < CHUNK_BYTES {
        match socket.try_recv(datagram) {
            Ok(length) => {
                packets += 1;
                lines.extend_from_slice(&datagram[..length]);
                lines.push(b'\n');
            }
            // Nothing waits, or a pending error of the socket, which reading it has cleared.
            Err(_) => break,
        }
    }
    (lines, packets)
}

async fn accept_tcp(
    listener: TcpListener,
    queue: mpsc::Sender<Message>,
    metrics: Arc<StatsdMetrics>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.wait_for(|stop| *stop) => break,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) if (connections.len() as u64) < TCP_CONNECTIONS_MAX => {
                metrics.tcp_connections.fetch_add(1, Ordering::Relaxed);
                let (queue, metrics) = (queue.clone(), Arc::clone(&metrics));
                connections.spawn(serve_tcp(stream, queue, metrics, stopping.clone()));
            }
            Ok((stream, _)) => {
                metrics.tcp_connection_errors.fetch_add(1, Ordering::Relaxed);
                drop(stream);
            }
            Err(_) => {
                // Out of file descriptors, most likely: do not spin.
                metrics.tcp_connection_errors.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Counts an open connection as long as it lives.
struct Open(Arc<StatsdMetrics>);

impl Open {
    fn new(metrics: Arc<StatsdMetrics>) -> Open {
        metrics.tcp_open.fetch_add(1, Ordering::Relaxed);
        Open(metrics)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.tcp_open.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn serve_tcp(
    mut stream: TcpStream,
    queue: mpsc::Sender<Message>,
    metrics: Arc<StatsdMetrics>,
    stopping: watch::Receiver<bool>,
) {
    let open = Open::new(metrics);
    // Without keep-alive a vanished peer is found by the idle limit only: good enough.
    let _ = SockRef::from(&stream).set_keepalive(true);
    let mut framer = Framer::default();
    if pump(&mut stream, &mut framer, &queue, &open.0, stopping).await.is_err() {
        open.0.tcp_connection_errors.fetch_add(1, Ordering::Relaxed);
    }
    let rest = framer.finish();
    if !rest.is_empty() {
        // Fails only when the worker is gone.
        let _ = queue.send(Message::Lines(rest)).await;
    }
}

/// Moves lines from the stream to the queue until its end, an error, [`TCP_IDLE_MAX`] without a
/// byte, or the stop: then what the peer has already sent is taken, for at most [`DRAIN_MAX`].
async fn pump(
    stream: &mut TcpStream,
    framer: &mut Framer,
    queue: &mpsc::Sender<Message>,
    metrics: &StatsdMetrics,
    mut stopping: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut stop_at = None;
    loop {
        let read = match stop_at {
            None => tokio::select! {
                read = timeout(TCP_IDLE_MAX, stream.read(&mut buffer)) => read?,
                _ = stopping.wait_for(|stop| *stop) => {
                    stop_at = Some(Instant::now() + DRAIN_MAX);
                    continue;
                }
            },
            Some(at) if Instant::now() >= at => return Ok(()),
            Some(_) => match timeout(DRAIN_PAUSE, stream.read(&mut buffer)).await {
                Ok(read) => read,
                Err(_) => return Ok(()),
            },
        };
        let length = read?;
        if length == 0 {
            return Ok(());
        }
        let lines = framer.push(&buffer[..length], &metrics.tcp_too_long_lines);
        if !lines.is_empty() && queue.send(Message::Lines(lines)).await.is_err() {
            return Ok(());
        }
    }
}

/// Cuts a stream into whole lines and discards over-long ones.
#[derive(Debug, Default)]
struct Framer {
    partial: Vec<u8>,
    discarding: bool,
}

impl Framer {
    /// The lines completed by `bytes`, with their line ends.
    fn push(&mut self, bytes: &[u8], too_long: &AtomicU64) -> Vec<u8> {
        let Some(last) = memchr::memrchr(b'\n', bytes) else {
            self.keep(bytes, too_long);
            return Vec::new();
        };
        let (mut whole, rest) = bytes.split_at(last + 1);
        let mut lines = std::mem::take(&mut self.partial);
        if std::mem::take(&mut self.discarding) {
            let end = memchr::memchr(b'\n', whole).expect("BUG: there is a line end");
            whole = &whole[end + 1..];
        }
        lines.extend_from_slice(whole);
        self.keep(rest, too_long);
        lines
    }

    fn keep(&mut self, bytes: &[u8], too_long: &AtomicU64) {
        if self.discarding {
            return;
        }
        if self.partial.len() + bytes.len() > TCP_LINE_BYTES_MAX {
            too_long.fetch_add(1, Ordering::Relaxed);
            self.partial = Vec::new();
            self.discarding = true;
        } else {
            self.partial.extend_from_slice(bytes);
        }
    }

    /// The last line, when the stream ended without a line end.
    fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.partial)
    }
}

#[cfg(test)]
#[path = "listen_tests.rs"]
mod tests;
