use tokio::io::AsyncWriteExt;

use super::*;

fn frame(pieces: &[&[u8]]) -> (Vec<u8>, u64) {
    let too_long = AtomicU64::new(0);
    let mut framer = Framer::default();
    let mut out = Vec::new();
    for piece in pieces {
        out.extend(framer.push(piece, &too_long));
    }
    out.extend(framer.finish());
    (out, too_long.into_inner())
}

#[test]
fn streams_are_cut_into_whole_lines_wherever_they_are_split() {
    let text = b"a:1|c\nbb:2|g\n\nccc:3|ms\nlast:4|c";
    for cut in 0..text.len() {
        let (lines, too_long) = frame(&[&text[..cut], &text[cut..]]);
        assert_eq!((lines.as_slice(), too_long), (text.as_slice(), 0), "cut at {cut}");
    }
}

#[test]
fn over_long_lines_are_discarded_and_the_next_line_is_taken() {
    let long = vec![b'x'; TCP_LINE_BYTES_MAX];
    let (lines, too_long) = frame(&[b"a:1|c\nb", &long, b"more", b"tail\nc:1|c\n"]);
    assert_eq!((lines.as_slice(), too_long), (b"a:1|c\nc:1|c\n".as_slice(), 1));
}

/// The sockets without the worker: their chunks arrive in the returned queue.
struct Sockets {
    address: SocketAddr,
    inbox: mpsc::Receiver<Message>,
    metrics: Arc<StatsdMetrics>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

fn start(queue_max: usize) -> Sockets {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let (udp, tcp, address) = bind_both(any).expect("a free port");
    let (queue, inbox) = mpsc::channel(queue_max);
    let (stop, stopping) = watch::channel(false);
    let metrics = Arc::new(StatsdMetrics::default());
    let mut tasks = JoinSet::new();
    tasks.spawn(receive_udp(udp, queue.clone(), Arc::clone(&metrics), stopping.clone()));
    tasks.spawn(accept_tcp(tcp, queue, Arc::clone(&metrics), stopping));
    Sockets { address, inbox, metrics, stop, tasks }
}

impl Sockets {
    /// Stops the sockets and returns all lines still queued, sorted.
    async fn finish(mut self) -> Vec<String> {
        self.stop.send_replace(true);
        let mut text = Vec::new();
        while let Some(message) = self.inbox.recv().await {
            let Message::Lines(lines) = message else { panic!("no flush was asked for") };
            text.extend(lines);
            text.push(b'\n');
        }
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("no task panics");
        }
        let text = String::from_utf8(text).expect("ASCII");
        let mut lines: Vec<String> =
            text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
        lines.sort();
        lines
    }
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
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
    while load(&metrics.tcp_connections) == 0 || load(&metrics.udp_packets) < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tcp.write_all(b":2|c").await.expect("sent");
    let lines = sockets.finish().await;
    assert_eq!(lines, ["half:2|c", "tcp:1|c", "udp:1|c", "udp:2|c", "udp:3|c"]);
    assert_eq!(load(&metrics.tcp_open), 0);
    assert_eq!(load(&metrics.udp_packet_drops), 0);
}

#[tokio::test]
async fn udp_is_dropped_and_counted_when_the_queue_is_full() {
    let sockets = start(1);
    let metrics = Arc::clone(&sockets.metrics);
    let udp = UdpSocket::bind("127.0.0.1:0").await.expect("bound");
    let mut sent = 0;
    while load(&metrics.udp_packet_drops) == 0 {
        udp.send_to(b"a:1|c", sockets.address).await.expect("sent");
        sent += 1;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let lines = sockets.finish().await.len() as u64;
    assert_eq!(lines + load(&metrics.udp_packet_drops), sent);
}

#[tokio::test]
async fn connections_past_the_limit_are_closed_and_counted() {
    let sockets = start(16);
    let metrics = Arc::clone(&sockets.metrics);
    let mut open = Vec::new();
    for _ in 0..TCP_CONNECTIONS_MAX {
        open.push(connect(sockets.address).await);
    }
    let mut refused = connect(sockets.address).await;
    let end = refused.read(&mut [0; 1]).await;
    assert!(matches!(end, Ok(0) | Err(_)), "the connection is closed");
    assert_eq!(load(&metrics.tcp_connection_errors), 1);
    assert_eq!(load(&metrics.tcp_open), TCP_CONNECTIONS_MAX);
    drop(open);
    assert_eq!(sockets.finish().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_taken_address_is_named() {
    let sockets = start(1);
    let error = bind_both(sockets.address).expect_err("taken");
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    sockets.finish().await;
}
