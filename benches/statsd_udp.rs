//! StatsD over UDP, with what the kernel spends on it: one counter a datagram, 200 000 datagrams a
//! second from one sender on loopback, unmapped and with 50 mapping rules.
//!
//! Printed are the lines per second of user and system time of the receiver's own threads, and what
//! was dropped. The time is what `/proc` says of these threads, in steps of 10 ms.

use std::fmt::Write;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidewatch::ingest::Ingest;
use tidewatch::model::{Clock, SystemClock};
use tidewatch::statsd::metrics::Meter;
use tidewatch::statsd::{Mapper, Options, Resolver, StatsdMetrics, StatsdServer};
use tidewatch::storage::{Store, StoreOptions};

const DATAGRAMS_A_SECOND: u64 = 200_000;
const SECONDS: u64 = 10;
const NAMES: usize = 2_500;
const RULES: usize = 50;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    for rules in [0, RULES] {
        measure(rules);
    }
}

fn resolver(rules: usize) -> Resolver {
    if rules == 0 {
        return Resolver::default();
    }
    let mut text = "mappings:\n".to_owned();
    for i in 1..rules {
        writeln!(text, "- {{match: 'svc{i}.*.time', name: g{i}, labels: {{id: $1}}}}")
            .expect("BUG: writing to a string cannot fail");
    }
    text.push_str("- {match: 'app.requests.*.count', name: requests, labels: {handler: $1}}\n");
    let mapper = Mapper::parse(Path::new("rules"), &text).expect("valid rules");
    Resolver { mapper, ..Resolver::default() }
}

fn measure(rules: usize) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let options = StoreOptions::new(dir.path(), Arc::clone(&clock));
    let ingest = Ingest::new(Arc::new(Store::open(options, &|_| {}).expect("opens")));
    let metrics = Arc::new(StatsdMetrics::default());
    let options = Options::new("127.0.0.1:0".parse().expect("an address"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let _entered = runtime.enter();
    let own = Arc::clone(&metrics);
    let server = StatsdServer::bind(options, resolver(rules), ingest, clock, own, None);
    let server = server.expect("a free port");
    let address = server.local_addr().expect("a network address");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = runtime.spawn(server.run(async move { drop(stopped.await) }));
    std::thread::sleep(Duration::from_millis(200));

    let before = receiver_time();
    let sent = send(address);
    while metrics.get(Meter::Lines) < sent && receiver_is_busy(&metrics) {}
    let spent = receiver_time() - before;
    let drops = metrics.get(Meter::UdpKernelDrops) + metrics.get(Meter::UdpPacketDrops);
    let lines = metrics.get(Meter::Lines);
    println!(
        "statsd_udp, {rules} rules: {:.2} M lines per CPU-second; {lines} of {sent} lines, \
         {drops} drops, {:.2} s of CPU",
        lines as f64 / spent.as_secs_f64() / 1e6,
        spent.as_secs_f64(),
    );
    drop(stop);
    runtime.block_on(running).expect("the receiver stops");
}

/// Waits a moment; whether more lines came in it.
fn receiver_is_busy(metrics: &StatsdMetrics) -> bool {
    let before = metrics.get(Meter::Lines);
    std::thread::sleep(Duration::from_millis(300));
    metrics.get(Meter::Lines) > before
}

/// Sends at the rate for the time; the number of datagrams.
fn send(address: SocketAddr) -> u64 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.connect(address).expect("connected");
    let lines: Vec<String> =
        (0..NAMES).map(|i| format!("app.requests.handler_{i}.count:1|c")).collect();
    let begin = Instant::now();
    let mut sent = 0;
    while sent < DATAGRAMS_A_SECOND * SECONDS {
        let due = begin.elapsed().as_micros() as u64 * DATAGRAMS_A_SECOND / 1_000_000;
        while sent < due {
            socket.send(lines[sent as usize % NAMES].as_bytes()).expect("sent");
            sent += 1;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    sent
}

/// User and system time of the receiver's threads so far; the sender's, which bears this program's
/// name, is left out.
fn receiver_time() -> Duration {
    let own = |stat: &String| ["(statsd)", "(statsd-"].iter().any(|name| stat.contains(name));
    let tasks = fs::read_dir("/proc/self/task").expect("Linux");
    let stats =
        tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("stat")).ok());
    let ticks: u64 = stats.filter(own).map(|stat| ticks(&stat)).sum();
    Duration::from_millis(ticks * 10)
}

fn ticks(stat: &str) -> u64 {
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or("").split(' ').collect();
    [11, 12].iter().filter_map(|i| fields.get(*i)?.parse::<u64>().ok()).sum()
}
