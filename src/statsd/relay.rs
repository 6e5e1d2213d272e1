//! Handing every line on to another StatsD.
//!
//! In: lines. Out: UDP datagrams of lines to one target. Never here: parsing; what cannot be parsed
//! is handed on too.
//!
//! Lines are packed into datagrams up to a length and leave when the next one does not fit, or once
//! a second. A thread sends them, so that a name that takes long to resolve holds up nobody; what it
//! cannot keep up with is dropped and counted.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use super::metrics::{Meter, StatsdMetrics};

/// Datagrams waiting to be sent; of the usual length 1.4 MiB.
const QUEUE_MAX: usize = 1024;
/// How long an address that was found for a name is used.
const RESOLVE_EVERY: Duration = Duration::from_secs(60);

/// Where lines are handed on to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayOptions {
    /// `host:port`.
    pub address: String,
    /// Longest datagram in bytes.
    pub packet_bytes: usize,
}

impl RelayOptions {
    /// Datagram length when not given: below what an Ethernet frame holds.
    pub const PACKET_BYTES: usize = 1400;
}

/// Packs lines.
#[derive(Debug)]
pub struct Relay {
    packet: Vec<u8>,
    packet_bytes: usize,
    lines: u64,
    packets: SyncSender<Vec<u8>>,
    metrics: Arc<StatsdMetrics>,
}

impl Relay {
    /// Starts the thread that sends; it ends with the relay.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(options: &RelayOptions, metrics: Arc<StatsdMetrics>) -> io::Result<Relay> {
        let (packets, inbox) = sync_channel(QUEUE_MAX);
        let mut sender = Sender {
            address: options.address.clone(),
            target: None,
            metrics: Arc::clone(&metrics),
        };
        std::thread::Builder::new()
            .name("statsd-relay".into())
            .spawn(move || sender.run(&inbox))?;
        let packet_bytes = options.packet_bytes;
        Ok(Relay { packet: Vec::new(), packet_bytes, lines: 0, packets, metrics })
    }

    /// Takes one line without its line end.
    pub fn push(&mut self, line: &[u8]) {
        let length = line.len() + 1;
        if length > self.packet_bytes {
            self.metrics.count(Meter::RelayLongLines, 1);
            return;
        }
        if self.packet.len() + length > self.packet_bytes {
            self.flush();
        }
        self.packet.extend_from_slice(line);
        self.packet.push(b'\n');
        self.lines += 1;
    }

    /// Sends what is packed.
    pub fn flush(&mut self) {
        if self.packet.is_empty() {
            return;
        }
        let lines = std::mem::take(&mut self.lines);
        match self.packets.try_send(std::mem::take(&mut self.packet)) {
            Ok(()) => self.metrics.count(Meter::RelayLines, lines),
            Err(_) => self.metrics.count(Meter::RelayDrops, 1),
        }
    }
}

/// The thread's part.
struct Sender {
    address: String,
    target: Option<(UdpSocket, Instant)>,
    metrics: Arc<StatsdMetrics>,
}

impl Sender {
    fn run(&mut self, inbox: &Receiver<Vec<u8>>) {
        while let Ok(packet) = inbox.recv() {
            match self.send(&packet) {
                Ok(()) => self.metrics.count(Meter::RelayPackets, 1),
                Err(error) => {
                    self.metrics.count(Meter::RelayDrops, 1);
                    tracing::debug!(%error, target = %self.address, "cannot relay statsd lines");
                }
            }
        }
    }

    fn send(&mut self, packet: &[u8]) -> io::Result<()> {
        let fresh = self.target.as_ref().is_some_and(|(_, since)| since.elapsed() < RESOLVE_EVERY);
        if !fresh {
            self.target = Some((connect(&self.address)?, Instant::now()));
        }
        let Some((socket, _)) = &self.target else { return Ok(()) };
        // A target that does not listen shows as an error of the next datagram: try once more.
        socket.send(packet).or_else(|_| socket.send(packet)).map(drop)
    }
}

fn connect(address: &str) -> io::Result<UdpSocket> {
    let target = address.to_socket_addrs()?.next();
    let target = target.ok_or_else(|| io::Error::other("the name has no address"))?;
    let any = match target {
        SocketAddr::V4(_) => SocketAddr::from(([0, 0, 0, 0], 0)),
        SocketAddr::V6(_) => SocketAddr::from(([0u16; 8], 0)),
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(target)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_packed_and_arrive() {
        let target = UdpSocket::bind("127.0.0.1:0").expect("bound");
        target.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
        let metrics = Arc::new(StatsdMetrics::default());
        let address = target.local_addr().expect("bound").to_string();
        let options = RelayOptions { address, packet_bytes: 16 };
        let mut relay = Relay::start(&options, Arc::clone(&metrics)).expect("started");
        for line in ["a:1|c", "b:2|c", "c:3|c", "this line is too long:1|c"] {
            relay.push(line.as_bytes());
        }
        relay.flush();
        relay.flush();
        let mut buffer = [0; 100];
        let mut receive = || {
            let length = target.recv(&mut buffer).expect("received");
            String::from_utf8_lossy(&buffer[..length]).into_owned()
        };
        assert_eq!(receive(), "a:1|c\nb:2|c\n");
        assert_eq!(receive(), "c:3|c\n");
        assert_eq!(metrics.get(Meter::RelayLongLines), 1);
        assert_eq!(metrics.get(Meter::RelayLines), 3);
    }
}
