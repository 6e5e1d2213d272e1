use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;

use super::*;

/// The sockets without the worker: their chunks arrive in the returned queue.
struct Sockets {
    address: SocketAddr,
    inbox: mpsc::Receiver<Message>,
    metrics: Arc<StatsdMetrics>,
    listeners: Listeners,
}

fn any() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn start_with(queue_max: usize, options: &Options) -> Sockets {
    let (bound, addresses) = socket::bind_all(options).expect("free ports");
    let (queue, inbox) = mpsc::channel(queue_max);
    let metrics = Arc::new(StatsdMetrics::default());
    let listeners = Listeners::start(bound, options, &queue, &metrics);
    Sockets { address: addresses[0], inbox, metrics, listeners }
}

fn start(queue_max: usize) -> Sockets {
    start_with(queue_max, &Options::new(any()))
}

impl Sockets {
    /// Stops the sockets and returns all lines still queued, sorted, each behind its origin.
    async fn finish(self) -> Vec<String> {
        let Sockets { mut inbox, listeners, .. } = self;
        let stopped = crate::runtime::spawn("stop", listeners.stop());
        let mut all: Vec<String> = Vec::new();
        while let Some(message) = inbox.recv().await {
            let Message::Lines(Lines { origin, lines }) = message else {
                panic!("no flush was asked for")
            };
            let text = String::from_utf8(lines).expect("ASCII");
            let lines = text.lines().filter(|line| !line.is_empty());
            all.extend(lines.map(|line| format!("{} {line}", origin.0)));
        }
        stopped.await.expect("stopped");
        all.sort();
        all
    }
}

async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.expect("connected")
}

#[tokio::test]
async fn what_was_sent_before_the_stop_is_taken_over_both_transports() {
    let sockets = start(16);
    let metrics = Arc::clone(&sockets.metrics);
    let mut tcp = connect(sockets.address).await;
    tcp.write_all(b"tcp:1|c\nhalf").await.expect("sent");
    let udp = UdpSocket::bind("127.0.0.1:0").await.expect("bound");
    udp.send_to(b"udp:1|c\nudp:2|c\n", sockets.address).await.expect("sent");
    udp.send_to(b"udp:3|c", sockets.address).await.expect("sent");
    while metrics.get(Meter::TcpConnections) == 0 || metrics.get(Meter::UdpPackets) < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tcp.write_all(b":2|c").await.expect("sent");
    let lines = sockets.finish().await;
    assert_eq!(lines, ["0 half:2|c", "0 tcp:1|c", "0 udp:1|c", "0 udp:2|c", "0 udp:3|c"]);
    assert_eq!(metrics.get(Meter::TcpOpen), 0);
    assert_eq!(metrics.get(Meter::UdpPacketDrops), 0);
}

#[tokio::test]
async fn udp_waits_for_room_and_then_is_dropped_and_counted() {
    let sockets = start(1);
    let metrics = Arc::clone(&sockets.metrics);
    let udp = UdpSocket::bind("127.0.0.1:0").await.expect("bound");
    let datagram = vec![b'\n'; 60_000];
    let mut sent = 0;
    while metrics.get(Meter::UdpPacketDrops) == 0 {
        udp.send_to(&datagram, sockets.address).await.expect("sent");
        sent += 1;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(sent > 60, "4 MiB are gathered first");
    assert_eq!(sockets.finish().await, Vec::<String>::new());
    assert!(metrics.get(Meter::UdpPacketDrops) <= metrics.get(Meter::UdpPackets));
}

#[tokio::test]
async fn a_busy_worker_gets_larger_chunks_and_loses_nothing() {
    let sockets = start(1);
    let udp = UdpSocket::bind("127.0.0.1:0").await.expect("bound");
    for i in 0..500 {
        udp.send_to(format!("a{i}:1|c").as_bytes(), sockets.address).await.expect("sent");
    }
    let metrics = Arc::clone(&sockets.metrics);
    while metrics.get(Meter::UdpPackets) < 500 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(sockets.finish().await.len(), 500);
    assert_eq!(metrics.get(Meter::UdpPacketDrops), 0);
}

#[tokio::test]
async fn unix_sockets_take_datagrams_lines_and_packets() {
    let dir = tempfile::TempDir::new().expect("a directory");
    let (gram, stream) = (dir.path().join("gram"), dir.path().join("stream"));
    let options =
        Options { unixgram: Some(gram.clone()), unix: Some(stream.clone()), ..Options::new(any()) };
    drop(socket::bind_all(&options).expect("bound"));
    let sockets = start_with(16, &options); // the paths left behind are no hindrance
    let metrics = Arc::clone(&sockets.metrics);
    let sender = std::os::unix::net::UnixDatagram::unbound().expect("a socket");
    sender.send_to(b"gram:1|c\ngram:2|c", &gram).expect("sent");
    let mut lines = tokio::net::UnixStream::connect(&stream).await.expect("connected");
    lines.write_all(b"stream:1|c\n").await.expect("sent");
    let mut packets = tokio::net::UnixStream::connect(&stream).await.expect("connected");
    packets.write_all(b"\x0a\0\0\0packet:1|c").await.expect("sent");
    while metrics.get(Meter::UnixConnections) < 2 || metrics.get(Meter::UnixgramPackets) < 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop((lines, packets));
    let expected = ["0 gram:1|c", "0 gram:2|c", "0 packet:1|c", "0 stream:1|c"];
    assert_eq!(sockets.finish().await, expected);
}

#[tokio::test]
async fn senders_are_told_apart_by_port_and_address() {
    let own = Listen { tcp: false, origin: Origin(1), ..Listen::both(any()) };
    let ranges = vec![("127.0.0.2".parse().expect("a range"), Origin(2))];
    let options = Options { listens: vec![own, Listen::both(any())], ranges, ..Options::default() };
    let (bound, addresses) = socket::bind_all(&options).expect("free ports");
    let (queue, inbox) = mpsc::channel(16);
    let metrics = Arc::new(StatsdMetrics::default());
    let listeners = Listeners::start(bound, &options, &queue, &metrics);
    drop(queue);
    for (from, to, line) in [
        ("127.0.0.1:0", addresses[0], "port:1|c"),
        ("127.0.0.1:0", addresses[1], "other:1|c"),
        ("127.0.0.2:0", addresses[1], "address:1|c"),
    ] {
        let socket = UdpSocket::bind(from).await.expect("bound");
        socket.send_to(line.as_bytes(), to).await.expect("sent");
    }
    while metrics.get(Meter::UdpPackets) < 3 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let sockets = Sockets { address: addresses[0], inbox, metrics, listeners };
    assert_eq!(sockets.finish().await, ["0 other:1|c", "1 port:1|c", "2 address:1|c"]);
}

#[tokio::test]
async fn connections_past_the_limit_are_closed_and_counted() {
    let sockets = start(16);
    let metrics = Arc::clone(&sockets.metrics);
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        open.push(connect(sockets.address).await);
    }
    let mut refused = connect(sockets.address).await;
    let end = refused.read(&mut [0; 1]).await;
    assert!(matches!(end, Ok(0) | Err(_)), "the connection is closed");
    assert_eq!(metrics.get(Meter::TcpConnectionErrors), 1);
    assert_eq!(metrics.get(Meter::TcpOpen), CONNECTIONS_MAX as u64);
    drop(open);
    assert_eq!(sockets.finish().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_taken_address_is_named() {
    let sockets = start(1);
    let error = socket::bind_all(&Options::new(sockets.address)).expect_err("taken");
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&sockets.address.to_string()), "{error}");
    sockets.finish().await;
}
